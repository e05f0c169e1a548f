import { existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeFile as atomically } from "atomically";
import { describe, expect, it } from "vitest";
import writeFileAtomic from "write-file-atomic";
import { imageOf } from "../../src/stores/preferences-file.ts";
import { realWorld } from "../../src/world/real.ts";
import { contentOf, needs, PLEX, STRANGER, sandbox, strayEntries, tmpfs, tool } from "./sandbox.ts";
import { NEW, OLD, placeSettings, storeAt } from "./settings-of-test.ts";
import { evilOwner } from "./stranger.ts";
import { watchedWorld } from "./watched-world.ts";

/** Replaces the file with `NEW`; `made` is called when the temporary file has its name. */
type Writer = (path: string, made?: (temporary: string) => void) => Promise<void>;

// Both libraries offer the call when the temporary file is made as an option of theirs: no timing, no luck.
const libraries: Record<string, Writer> = {
  "write-file-atomic": (path, made) =>
    writeFileAtomic(path, Buffer.from(NEW), made === undefined ? {} : { tmpfileCreated: made }),
  atomically: (path, made) =>
    atomically(path, Buffer.from(NEW), made === undefined ? {} : { tmpCreated: made }),
};

const ours: Writer = async (path, made) => {
  let told = false;
  const world = watchedWorld(realWorld(), {
    after: ({ name, args }) => {
      if (name !== "folder.createFile" || told) return;
      told = true;
      made?.(join(dirname(path), String(args[0])));
    },
  });
  const store = await storeAt(path, { world });
  const stood = await store.readImage();
  await store.write(stood?.image ?? null, imageOf(Buffer.from(NEW)));
};

const writers = Object.entries({ ...libraries, ours });
const isOurs = (name: string): boolean => name === "ours";

describe.for(writers)("side by side, %s", ([name, write]) => {
  it(`on a nearly full disk ${isOurs(name) ? "refuses and keeps the old file" : "publishes half a file and says nothing"}`, async (context) => {
    needs(context, "mount");
    const folder = tmpfs("64k");
    const path = placeSettings(folder);
    fillUpTo(folder, 4096);
    const said = await write(path).then(
      () => "success",
      (error: { problem?: { reason: string } }) => error.problem?.reason,
    );
    if (isOurs(name)) {
      expect(said).toBe("ENOSPC");
      expect(contentOf(path)).toBe(OLD);
    } else {
      expect(said).toBe("success");
      expect(contentOf(path)).toBe(NEW.slice(0, 4096));
    }
    expect(strayEntries(folder, "filler")).toEqual([]);
  });

  it(`run by root in another's folder ${isOurs(name) ? "gives nothing away" : "gives that account a file of root's"}`, async (context) => {
    needs(context);
    const evil = evilOwner();
    const swap = (temporary: string) => evil.swapForLink(temporary);
    const said = await write(evil.settings, swap).then(
      () => "success",
      () => "refused",
    );
    expect(statSync(evil.victim).uid).toBe(isOurs(name) ? 0 : STRANGER);
    expect(said).toBe(isOurs(name) ? "refused" : "success");
    if (isOurs(name)) expect(contentOf(evil.settings)).toBe(OLD);
  });

  it(`${isOurs(name) ? "keeps" : "loses"} access control lists and extended attributes`, async (context) => {
    needs(context, "setfattr", "getfattr", "setfacl");
    const path = placeSettings(sandbox(), PLEX);
    tool("setfacl", "--modify=user:2000:r", path);
    for (const space of ["user", "trusted", "security"]) {
      tool("setfattr", `--name=${space}.note`, "--value=kept", path);
    }
    const before = attributes(path);
    await write(path);
    expect(contentOf(path)).toBe(NEW);
    expect(statSync(path).uid).toBe(PLEX);
    expect(attributes(path)).toBe(isOurs(name) ? before : "");
  });

  it(`${isOurs(name) ? "refuses a link to a file that the linker does not own" : "writes through a link into another's file"}`, async (context) => {
    needs(context);
    const evil = evilOwner();
    rmSync(evil.settings);
    evilLink(evil.folder, evil.victim);
    const said = await write(evil.settings).then(
      () => "success",
      (error: { problem?: { code: string } }) => error.problem?.code,
    );
    expect(said).toBe(isOurs(name) ? "SETTINGS_UNSAFE" : "success");
    expect(contentOf(evil.victim)).toBe(isOurs(name) ? "root's own" : NEW);
  });
});

/** Leaves this much room on a small file system. */
function fillUpTo(folder: string, roomBytes: number): void {
  const filler = join(folder, "filler");
  for (let size = 60 * 1024; ; size -= 4096) {
    rmSync(filler, { force: true });
    const free = Number(tool("stat", "--file-system", "--format=%a", folder)) * 4096;
    if (size > free - roomBytes) continue;
    writeFileSync(filler, Buffer.alloc(size, 1));
    return;
  }
}

function attributes(path: string): string {
  return tool("getfattr", "--absolute-names", "--dump", "--match=-", path);
}

function evilLink(folder: string, victim: string): void {
  const link = join(folder, "Preferences.xml");
  symlinkSync(victim, link);
  tool("chown", "--no-dereference", `${STRANGER}:${STRANGER}`, link);
  expect(existsSync(link) && readFileSync(link, "utf8")).toBe("root's own");
}
