import { mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { openDefaultsStore } from "../../src/stores/defaults-store.ts";
import { SystemError, type World } from "../../src/world/world.ts";
import { SIGNED_IN } from "../support/defaults-contents.ts";
import { IN_USE, macWith, storeOn } from "../support/defaults-store-contract.ts";
import { MemoryDefaults } from "../support/memory-defaults.ts";

/** When the folders here were made, in seconds since 1970; and the process that made them. */
const MADE = 1_700_000_000;
const DEAD = 312;
const TOKEN_INSIDE = "settings.plist";

let mac: MemoryDefaults;

beforeEach(() => {
  mac = new MemoryDefaults();
  mac.values = SIGNED_IN;
});

/** What a process that was killed has left, with the token in it. */
function leave(name = `plex-reclaim-${DEAD}.AbC123`): string {
  const path = join(mac.temporary, name);
  mkdirSync(path, { mode: 0o700 });
  writeFileSync(join(path, TOKEN_INSIDE), "token");
  utimesSync(path, MADE, MADE);
  return name;
}

function left(): string[] {
  return readdirSync(mac.temporary).sort();
}

async function readOn(readOnly = false): Promise<void> {
  const store = await openDefaultsStore(mac.world(), mac.server, { readOnly });
  expect(await store.readImage()).not.toBeNull();
}

function removals(): number {
  return mac.lines.filter((line) => line.startsWith("/bin/rm")).length;
}

describe("an exported domain that a killed process left", () => {
  test("is removed by the next one that may change something, with its folder", async () => {
    leave();
    leave("plex-reclaim-4711.x");
    await readOn();
    expect(left()).toEqual([]);
  });

  test("stays while nothing at all may change, and nobody looks for it", async () => {
    const name = leave();
    await readOn(true);
    expect(left()).toEqual([name]);
    expect(mac.lines.some((line) => line.startsWith("/bin/ps"))).toBe(false);
  });

  test("is looked for once by a process, however often it reads", async () => {
    const store = await openDefaultsStore(mac.world(), mac.server, { readOnly: false });
    await store.readImage();
    const name = leave();
    await store.readImage();
    expect(left()).toEqual([name]);
  });

  test("is none while the process that made it runs, and is one as soon as that has ended", async () => {
    const name = leave();
    mac.running = new Map([[DEAD, MADE - 3]]);
    await readOn();
    expect(left()).toEqual([name]);
    mac.running = new Map([[DEAD + 1, MADE - 3]]);
    await readOn();
    expect(left()).toEqual([]);
  });

  test.each([
    [0, "stays"],
    [59, "stays"],
    [61, "goes"],
    [86_400, "goes"],
  ] as const)(
    "where a process with that number began %s seconds after it was made, it %s",
    async (seconds, what) => {
      const name = leave();
      mac.running = new Map([[DEAD, MADE + seconds]]);
      await readOn();
      expect(left()).toEqual(what === "stays" ? [name] : []);
    },
  );

  test("is not taken for one without our name, where it is no folder, or leads elsewhere", async () => {
    const names = [
      "plex-reclaim",
      "plex-reclaim-.x",
      "plex-reclaim-3a.x",
      "plex-reclaim-312",
      "plex-reclaim-312.x-y",
    ];
    for (const name of [...names, "my-plex-reclaim-312.x", "plex-reclaim-312.x.y"]) leave(name);
    writeFileSync(join(mac.temporary, "plex-reclaim-312.file"), "somebody's");
    const elsewhere = join(mac.temporary, "..", "elsewhere");
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, "kept"), "");
    symlinkSync(elsewhere, join(mac.temporary, "plex-reclaim-312.link"));
    const before = left();
    await readOn();
    expect(left()).toEqual(before);
    expect(readdirSync(elsewhere)).toEqual(["kept"]);
    expect(removals()).toBe(1);
  });

  test("is not touched when it is another account's", async () => {
    const name = leave();
    const world = mac.world();
    const lstat = async (path: string) => ({ ...(await world.files.lstat(path)), uid: 12_345 });
    const files = { ...world.files, lstat };
    const store = await openDefaultsStore({ ...world, files }, mac.server, { readOnly: false });
    await store.readImage();
    expect(left()).toEqual([name]);
    expect(removals()).toBe(1);
  });

  test.each([
    ["ps cannot be started", (line: string) => line.startsWith("/bin/ps"), "throws"],
    ["ps fails", (line: string) => line.startsWith("/bin/ps"), 1],
    [
      "rm cannot be started for it",
      (line: string) => line.startsWith("/bin/rm") && line.includes(`-${DEAD}.`),
      "throws",
    ],
    ["rm fails for it", (line: string) => line.startsWith("/bin/rm") && line.includes(`-${DEAD}.`), 1],
  ] as const)("is no reason to fail, and is tried again the next time: %s", async (_, strikes, how) => {
    const name = leave();
    const world = mac.world();
    let struck = 0;
    const run: World["run"] = async (file, args, options) => {
      if (!strikes([file, ...args].join(" "))) return world.run(file, args, options);
      struck += 1;
      if (how === "throws") throw new SystemError("EAGAIN", "spawn", file);
      return { status: how, signal: null, timedOut: false, stdout: "", stderr: "" };
    };
    const store = await openDefaultsStore({ ...world, run }, mac.server, { readOnly: false });
    expect(await store.readImage()).not.toBeNull();
    expect(left()).toEqual([name]);
    expect(struck).toBeGreaterThan(0);
    await readOn();
    expect(left()).toEqual([]);
  });

  test("is no reason to fail where the folder cannot be listed, or it goes meanwhile", async () => {
    const name = leave();
    const world = mac.world();
    for (const call of ["list", "lstat"] as const) {
      const files = {
        ...world.files,
        [call]: async (path: string) => {
          throw new SystemError("ENOENT", call, path);
        },
      };
      const store = await openDefaultsStore({ ...world, files }, mac.server, { readOnly: false });
      expect(await store.readImage()).not.toBeNull();
      expect(left()).toEqual([name]);
    }
  });

  test("is one of many: a few are removed at a time", async () => {
    for (let number = 10; number < 30; number += 1) leave(`plex-reclaim-${number}.x`);
    await readOn();
    expect(left()).toHaveLength(4);
    await readOn();
    expect(left()).toEqual([]);
  });

  test("is removed by root as the account whose it is", async () => {
    const stand = await macWith(IN_USE);
    const parent = "/private/var/folders/zz/501/T";
    for (const name of ["plex-reclaim-999999.Abc", "somebody-else.Abc"]) {
      await mkdir(stand.real(`${parent}/${name}`), { recursive: true });
      await writeFile(stand.real(`${parent}/${name}/${TOKEN_INSIDE}`), "token");
      await stand.own(`${parent}/${name}`, stand.userNamed("jane"));
    }
    await (await storeOn(stand, { user: "root" })).readImage();
    expect(await readdir(stand.real(parent))).toEqual(["somebody-else.Abc"]);
    const removed = (await stand.calledWith()).filter(({ tool }) => tool === "rm");
    expect(removed.map(({ uid }) => uid)).toEqual([501, 501]);
    expect(removed.at(-1)?.args.at(-1)).toBe("/var/folders/zz/501/T/plex-reclaim-999999.Abc");
  });
});
