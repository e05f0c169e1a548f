import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join, win32 } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPlist } from "../../src/stores/plist-reader.ts";
import { demandEnd, type Ended, jsonLines } from "../support/stage.ts";
import { openWine, type WineMachine } from "../support/wine.ts";
import { whyNoWine } from "../support/wine-launch.ts";

const missing = whyNoWine();
const FIXTURES = join(import.meta.dirname, "../fixtures/plist");
const FOLDER = "C:\\from a Mac";

describe.skipIf(missing !== null)(`a Mac's property list on Windows${missing ?? ""}`, () => {
  let machine: WineMachine;

  beforeAll(async () => {
    machine = await openWine();
    mkdirSync(machine.hostPath(FOLDER));
  });
  afterAll(async () => {
    await machine?.close();
  });

  it.each(["plex-binary.plist", "plex-xml.plist"])(
    "is looked at, edited and brought back: %s",
    async (name) => {
      const path = win32.join(FOLDER, name);
      const host = join(machine.hostPath(FOLDER), name);
      copyFileSync(join(FIXTURES, name), host);
      const before = readFileSync(host);
      const run = async (...args: string[]): Promise<Ended> => {
        const env = { PLEX_RECLAIM_STATE_DIR: win32.join(FOLDER, "state"), PLEX_RECLAIM_OFFLINE: "1" };
        const words = [...args, "--settings", path, "--json"];
        const { status, stdout, stderr } = await machine.program(words, { env });
        const lines = jsonLines(stdout);
        return { exitCode: status, stdout, stderr, lines, result: lines.at(-1) ?? {} };
      };
      const status = await run("status");
      demandEnd(status, 0, "OK");
      expect(status.result["servers"]).toMatchObject([{ settings: path, install: "settings-file" }]);
      demandEnd(await run("reset", "--dry-run", "--yes"), 0, "DRY_RUN");
      expect(readFileSync(host).equals(before)).toBe(true);
      demandEnd(await run("reset", "--yes"), 0, "FILE_EDITED");
      const after = readFileSync(host);
      expect(after.includes("PlexOnlineToken")).toBe(false);
      expect(readPlist(after, name).format).toBe(readPlist(before, name).format);
      demandEnd(await run("undo", "--yes"), 0, "FILE_EDITED");
      expect(readFileSync(host).equals(before)).toBe(true);
    },
  );
});
