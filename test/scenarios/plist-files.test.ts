import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { readPlist } from "../../src/stores/plist-reader.ts";
import { type PlistDictionary, samePlist, valueUnder } from "../../src/stores/plist-value.ts";
import { keepSecret } from "../support/canary.ts";
import { plistlibReadings } from "../support/plist-oracles.ts";
import { callProgram } from "../support/program-alone.ts";
import { demandEnd, noteOf } from "../support/stage.ts";

/** Property lists of a Mac as files: a copy, a backup, another disk. No Mac is needed for them. */

const FIXTURES = join(import.meta.dirname, "../fixtures/plist");
const FOUR = ["PlexOnlineToken", "PlexOnlineUsername", "PlexOnlineMail", "PlexOnlineHome"];

function dictionaryIn(bytes: Uint8Array): PlistDictionary {
  const { root } = readPlist(bytes, "");
  return root.kind === "dictionary" ? root : expect.unreachable("no dictionary");
}

function without(dictionary: PlistDictionary): PlistDictionary {
  return { ...dictionary, entries: dictionary.entries.filter(([key]) => !FOUR.includes(key)) };
}

/** A copy of a fixture in a folder of its own, and the program for it. */
function copyOf(fixture: string) {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-plist-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "com.plexapp.plexmediaserver.plist");
  copyFileSync(join(FIXTURES, fixture), path);
  const before = readFileSync(path);
  const token = valueUnder(dictionaryIn(before), "PlexOnlineToken");
  if (token?.kind === "string") keepSecret(token.value);
  const state = ["--state-dir", join(folder, "state")];
  return {
    folder,
    path,
    before,
    run: (...args: string[]) => callProgram([...args, "--settings", path, "--offline", ...state]),
    now: () => readFileSync(path),
  };
}

describe.each(["plex-binary.plist", "plex-xml.plist"])("%s, named by --settings", (fixture) => {
  test("is looked at by status, and by a dry run that changes nothing", async () => {
    const file = copyOf(fixture);
    const status = await file.run("status");
    demandEnd(status, 0, "OK");
    expect(status.result["servers"]).toMatchObject([{ settings: file.path, install: "settings-file" }]);
    demandEnd(await file.run("reset", "--dry-run", "--yes"), 0, "DRY_RUN");
    expect(file.now().equals(file.before)).toBe(true);
    expect(readdirSync(file.folder)).toEqual(["com.plexapp.plexmediaserver.plist"]);
  });

  test("loses the four keys and nothing else, in the format that it has, and undo brings every byte back", async () => {
    const file = copyOf(fixture);
    const ended = await file.run("reset", "--yes");
    demandEnd(ended, 0, "FILE_EDITED");
    expect(noteOf(ended, "FILE_ONLY")["path"]).toBe(file.path);
    const after = file.now();
    const format = readPlist(file.before, "").format;
    expect(readPlist(after, "").format).toBe(format);
    for (const name of FOUR) expect(valueUnder(dictionaryIn(after), name)).toBeUndefined();
    expect(samePlist(without(dictionaryIn(after)), without(dictionaryIn(file.before)))).toBe(true);
    // Another reader has no objection.
    const [reading] = plistlibReadings([after]);
    expect(JSON.stringify(reading)).not.toContain("PlexOnline");
    demandEnd(await file.run("undo", "--yes"), 0, "FILE_EDITED");
    expect(file.now().equals(file.before)).toBe(true);
  });

  test("is backed up as it is, and restored from that", async () => {
    const file = copyOf(fixture);
    const made = await file.run("backup", "create");
    demandEnd(made, 0, "OK");
    const id = String(made.result["backup"]);
    const kept = join(file.folder, "state", "backups", id, "settings.plist");
    expect(readFileSync(kept).equals(file.before)).toBe(true);
    demandEnd(await file.run("reset", "--yes"), 0, "FILE_EDITED");
    demandEnd(await file.run("backup", "restore", id, "--yes"), 0, "FILE_EDITED");
    expect(file.now().equals(file.before)).toBe(true);
  });
});

test("a file that is no property list is refused before anything", async () => {
  const file = copyOf("plex-xml.plist");
  const spoilt = file.before.subarray(0, file.before.length - 20);
  writeFileSync(file.path, spoilt);
  demandEnd(await file.run("reset", "--yes"), 3, "SETTINGS_MALFORMED");
  expect(file.now().equals(Buffer.from(spoilt))).toBe(true);
});
