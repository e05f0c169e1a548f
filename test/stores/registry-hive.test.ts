import { describe, expect, test } from "vitest";
import { type HiveFiles, inHive } from "../../src/stores/hive.ts";
import { openRegistryStore, type RegistryStoreOptions } from "../../src/stores/registry-store.ts";
import type { Image, SettingsStore } from "../../src/stores/store.ts";
import type { Registry } from "../../src/world/windows-system.ts";
import { type FileStat, SystemError } from "../../src/world/world.ts";
import { MemoryRegistry, ProcessDied, type RegistryCall, textValue } from "../support/memory-registry.ts";
import { REMOVE, replaceWith, SIGNED_IN, sorted } from "../support/registry-arbitraries.ts";
import { problemIn } from "../support/registry-store-contract.ts";

const SID = "S-1-5-80-1-2-3-4-5";
const KEY = "Software\\Plex, Inc.\\Plex Media Server";
const PATH = `HKEY_USERS\\${SID}\\${KEY}`;
const MOUNT = `plex-reclaim-${SID}`;
const FILE = "C:\\Windows\\ServiceProfiles\\PlexMediaServer\\NTUSER.DAT";
const WINDOWS = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
const CALLS: readonly (keyof Registry)[] = [
  "values",
  "subkeys",
  "mayWrite",
  "createKey",
  "setValue",
  "deleteValue",
  "flush",
  "loadHive",
  "unloadHive",
];

/** A service's account that is not signed in: its hive is a file. */
function signedOff(profile = "%SystemRoot%\\ServiceProfiles\\PlexMediaServer"): MemoryRegistry {
  const registry = new MemoryRegistry();
  registry.setKey("HKEY_USERS\\.DEFAULT");
  registry.setKey("HKEY_USERS\\S-1-5-18");
  registry.setKey(WINDOWS, [textValue("SystemRoot", "C:\\Windows")]);
  registry.setKey(`${WINDOWS}\\ProfileList\\${SID}`, [textValue("ProfileImagePath", profile, 2)]);
  registry.addHiveFile(FILE, { [KEY]: SIGNED_IN });
  return registry;
}

/** Folders, and files in them with one name each. What stands in `odd` is otherwise, by the path. */
function filesWith(odd: Readonly<Record<string, Partial<FileStat> | SystemError>> = {}): HiveFiles {
  const plain = { dev: "1", ino: "1", links: 1, uid: 0, gid: 0, mode: 0o600, size: 1, mtimeNs: "0" };
  return {
    lstat: async (path) => {
      const what = odd[path];
      if (what instanceof SystemError) throw what;
      return { ...plain, kind: path.endsWith(".DAT") ? "file" : "folder", ...what };
    },
  };
}

async function storeIn(
  registry: MemoryRegistry,
  options: RegistryStoreOptions = { hiveFiles: filesWith() },
): Promise<SettingsStore> {
  return openRegistryStore({ registry }, { settingsPath: PATH }, options);
}

async function imageIn(store: SettingsStore): Promise<Image> {
  const stored = await store.readImage();
  if (stored === null) throw new Error("there is no key");
  return stored.image;
}

function hiveCalls(registry: MemoryRegistry): RegistryCall["call"][] {
  return registry.calls
    .map(({ call }) => call)
    .filter((call) => call === "loadHive" || call === "unloadHive");
}

describe("the hive of an account that is not signed in", () => {
  test("is loaded from its profile for each call, and unloaded again", async () => {
    const registry = signedOff();
    const store = await storeIn(registry);
    const image = await imageIn(store);
    expect(store.parse(image).credentials.token?.reveal()).toBe("old-token-of-the-sim");
    expect(registry.calls.find(({ call }) => call === "loadHive")).toEqual({
      call: "loadHive",
      path: `HKEY_USERS\\${MOUNT}`,
      name: FILE,
    });
    await store.proveWritable(1);
    const to = await store.preview(image, REMOVE);
    await store.write(image, to);
    expect(await imageIn(store)).toEqual(to);
    expect(sorted(registry.valuesInFile(FILE, KEY))).toEqual(
      sorted(SIGNED_IN.filter(({ name }) => !name.startsWith("PlexOnline"))),
    );
    expect(hiveCalls(registry)).toEqual(Array.from({ length: 4 }, () => ["loadHive", "unloadHive"]).flat());
    expect(registry.mounted()).toEqual([".DEFAULT", "S-1-5-18"]);
  });

  test("is flushed before it is unloaded", async () => {
    const registry = signedOff();
    const store = await storeIn(registry);
    const image = await imageIn(store);
    await store.write(image, await store.preview(image, REMOVE));
    const calls = registry.calls.map(({ call }) => call);
    expect(calls.lastIndexOf("flush")).toBeGreaterThan(calls.lastIndexOf("deleteValue"));
    expect(calls.lastIndexOf("unloadHive")).toBeGreaterThan(calls.lastIndexOf("flush"));
  });

  test("gives the same image as when it is signed in", async () => {
    const registry = signedOff();
    const store = await storeIn(registry);
    const image = await imageIn(store);
    registry.mount(SID, FILE);
    expect(await imageIn(store)).toEqual(image);
    expect(hiveCalls(registry)).toEqual(["loadHive", "unloadHive"]);
  });

  const profiles: Record<string, string> = {
    "%SystemRoot%\\ServiceProfiles\\PlexMediaServer": FILE,
    "%SYSTEMDRIVE%\\Users\\bob": "C:\\Users\\bob\\NTUSER.DAT",
    "d:\\Profiles\\bob": "d:\\Profiles\\bob\\NTUSER.DAT",
    "D:\\Profiles\\bob\\": "D:\\Profiles\\bob\\NTUSER.DAT",
  };
  test.for(Object.entries(profiles))("is looked for in the profile %s", async ([profile, file]) => {
    const registry = signedOff(profile);
    registry.addHiveFile(file, { [KEY]: SIGNED_IN });
    expect(await imageIn(await storeIn(registry))).toBeDefined();
    expect(registry.calls.find(({ call }) => call === "loadHive")?.name).toBe(file);
  });

  test.for([
    "%USERPROFILE%",
    "C:\\Users\\%USERNAME%",
    "\\\\server\\share\\bob",
    "bob",
    "",
    "C:",
    "%SystemRoot",
  ])("is not guessed from the profile %s", async (profile) => {
    const problem = await problemIn((await storeIn(signedOff(profile))).readImage());
    expect(problem).toEqual({ code: "HIVE_UNAVAILABLE", path: PATH, reason: "no-profile" });
  });

  test("is unavailable without a profile, and when the profile is no text", async () => {
    const problem = { code: "HIVE_UNAVAILABLE", path: PATH, reason: "no-profile" };
    const registry = signedOff();
    registry.setKey(`${WINDOWS}\\ProfileList\\${SID}`, [
      { ...textValue("ProfileImagePath", "C:\\x"), type: 3 },
    ]);
    expect(await problemIn((await storeIn(registry)).readImage())).toEqual(problem);
    registry.removeKey(`${WINDOWS}\\ProfileList\\${SID}`);
    expect(await problemIn((await storeIn(registry)).readImage())).toEqual(problem);
    expect(hiveCalls(registry)).toEqual([]);
  });

  const refusals = {
    EPERM: { code: "NEEDS_PRIVILEGE", path: PATH, line: "" },
    EACCES: { code: "NEEDS_PRIVILEGE", path: PATH, line: "" },
    ENOENT: { code: "HIVE_UNAVAILABLE", path: PATH, reason: "no-file" },
    EBUSY: { code: "HIVE_UNAVAILABLE", path: PATH, reason: "busy" },
    WIN32_1009: { code: "HIVE_UNAVAILABLE", path: PATH, reason: "WIN32_1009" },
  };
  test.for(Object.entries(refusals))("is reported when loading says %s", async ([code, problem]) => {
    const registry = signedOff();
    const store = await storeIn(registry);
    const image = await imageIn(store);
    const to = await store.preview(image, REMOVE);
    registry.failAt(1, code, { calls: ["loadHive"], lasting: true });
    const tries = async (work: () => Promise<unknown>) => {
      const before = registry.calls.length;
      expect(await problemIn(work())).toEqual(problem);
      return registry.calls.slice(before).filter(({ call }) => call === "loadHive").length;
    };
    const times = code === "EBUSY" ? 3 : 1;
    expect(await tries(() => store.readImage())).toBe(times);
    expect(await tries(() => store.proveWritable(1))).toBe(times);
    expect(await tries(() => store.write(image, to))).toBe(times);
    expect(registry.changes()).toEqual([]);
  });

  test("may not be loaded by a command that only reads", async () => {
    const registry = signedOff();
    const store = await storeIn(registry, {});
    const problem = { code: "HIVE_UNAVAILABLE", path: PATH, reason: "not-loaded" };
    expect(await problemIn(store.readImage())).toEqual(problem);
    registry.mount(MOUNT, FILE);
    expect(await problemIn(store.readImage())).toEqual(problem);
    registry.unmount(MOUNT);
    registry.mount(SID, FILE);
    expect(await imageIn(store)).toBeDefined();
    expect(hiveCalls(registry)).toEqual([]);
  });

  const PROFILE = "C:\\Windows\\ServiceProfiles\\PlexMediaServer";
  const planted: Record<string, [string, Partial<FileStat>]> = {
    "its file is a link": [FILE, { kind: "link" }],
    "its file has another name, too": [FILE, { links: 2 }],
    "its file is a folder": [FILE, { kind: "folder" }],
    "its file is a pipe": [FILE, { kind: "other" }],
    "the profile is a link": [PROFILE, { kind: "link" }],
    "the profile is a file": [PROFILE, { kind: "file" }],
  };
  test.for(Object.entries(planted))("is not loaded where %s", async ([, [path, what]]) => {
    const registry = signedOff();
    const store = await storeIn(registry, { hiveFiles: filesWith({ [path]: what }) });
    const problem = { code: "HIVE_UNAVAILABLE", path: PATH, reason: "link" };
    expect(await problemIn(store.readImage())).toEqual(problem);
    expect(await problemIn(store.proveWritable(1))).toEqual(problem);
    expect(hiveCalls(registry)).toEqual([]);
    registry.mount(SID, FILE);
    expect(await imageIn(store)).toBeDefined();
  });

  test.for([
    ["ENOENT", { code: "HIVE_UNAVAILABLE", path: PATH, reason: "no-file" }],
    ["EPERM", { code: "NEEDS_PRIVILEGE", path: PATH, line: "" }],
    ["EACCES", { code: "NEEDS_PRIVILEGE", path: PATH, line: "" }],
  ] as const)("is not loaded where looking at its file says %s", async ([code, problem]) => {
    const registry = signedOff();
    const hiveFiles = filesWith({ [FILE]: new SystemError(code, "lstat", FILE) });
    expect(await problemIn((await storeIn(registry, { hiveFiles })).readImage())).toEqual(problem);
    expect(hiveCalls(registry)).toEqual([]);
  });

  test("is used where the account signs in just when it was to be loaded", async () => {
    const registry = signedOff();
    registry.beforeCall = ({ call }) => {
      if (call === "loadHive" && !registry.mounted().includes(SID)) registry.mount(SID, FILE);
    };
    expect(await imageIn(await storeIn(registry))).toBeDefined();
    expect(hiveCalls(registry)).toEqual(["loadHive"]);
    expect(registry.mounted()).toContain(SID);
  });
});

describe("a hive of ours", () => {
  test("is unloaded when the work fails, whichever call it was", async () => {
    for (let k = 1; k <= 40; k += 1) {
      const registry = signedOff();
      const store = await storeIn(registry);
      const image = await imageIn(store);
      const to = await store.preview(image, REMOVE);
      registry.failAt(k, "WIN32_8", { calls: CALLS });
      const before = registry.calls.length;
      const ended = await store.write(image, to).then(
        () => "well",
        () => "badly",
      );
      registry.revive();
      expect([k, registry.mounted()]).toEqual([k, [".DEFAULT", "S-1-5-18"]]);
      const unloading = registry.calls[before + k - 1]?.call === "unloadHive";
      expect([k, await imageIn(store)]).toEqual([k, ended === "well" ? to : image]);
      if (ended === "badly") expect(unloading).toBe(false);
    }
  });

  test("is unloaded once whoever looks into it lets go", async () => {
    const registry = signedOff();
    const waits: number[] = [];
    const clock = { sleep: async (ms: number) => void waits.push(ms) };
    const store = await storeIn(registry, { clock, hiveFiles: filesWith() });
    registry.keepBusy(MOUNT, 4);
    expect(await imageIn(store)).toBeDefined();
    expect(registry.mounted()).not.toContain(MOUNT);
    expect(waits).toHaveLength(4);
  });

  test("is known to be unloaded where that was reported to have failed", async () => {
    const registry = signedOff();
    registry.failAt(1, "WIN32_8", { calls: ["unloadHive"], done: true });
    expect(await imageIn(await storeIn(registry))).toBeDefined();
    expect(hiveCalls(registry)).toEqual(["loadHive", "unloadHive"]);
  });

  test("that stays loaded is reported after a read, and before the server starts; a write is done all the same", async () => {
    const registry = signedOff();
    const store = await storeIn(registry);
    const image = await imageIn(store);
    const to = await store.preview(image, REMOVE);
    const problem = { code: "HIVE_UNAVAILABLE", path: PATH, reason: "still-loaded" };
    registry.keepBusy(MOUNT, 1_000);
    await store.write(image, to);
    expect(sorted(registry.valuesInFile(FILE, KEY))).toEqual(
      sorted(SIGNED_IN.filter(({ name }) => !name.startsWith("PlexOnline"))),
    );
    expect(await problemIn(store.readImage())).toEqual(problem);
    expect(await problemIn(store.letGo())).toEqual(problem);
    expect(registry.mounted()).toContain(MOUNT);
    // Whoever looked into it is done after a while: it is waited for.
    registry.keepBusy(MOUNT, 12);
    await store.letGo();
    expect(registry.mounted()).not.toContain(MOUNT);
    await store.letGo();
    expect(await imageIn(store)).toEqual(to);
    expect(registry.mounted()).not.toContain(MOUNT);
  });

  test("that a dead run left is unloaded before anything else, and in use it is used", async () => {
    const registry = signedOff();
    const store = await storeIn(registry);
    const image = await imageIn(store);
    const to = await store.preview(image, REMOVE);
    registry.dieAt(2);
    await expect(store.write(image, to)).rejects.toBeInstanceOf(ProcessDied);
    registry.revive();
    expect(registry.mounted()).toContain(MOUNT);
    registry.keepBusy(MOUNT, 5);
    const before = registry.calls.length;
    const standing = await imageIn(store);
    expect(registry.calls.slice(before).some(({ call }) => call === "loadHive")).toBe(false);
    expect(registry.mounted()).not.toContain(MOUNT);
    expect(store.isHalfWritten(standing, image, store.partsOf(image, to) ?? [])).toBe(true);
    await store.write(standing, image);
    expect(await imageIn(store)).toEqual(image);
  });

  test("that a dead run left needs privileges that a lesser account lacks", async () => {
    const registry = signedOff();
    registry.mount(MOUNT, FILE);
    registry.mayLoadHives = false;
    const problem = { code: "NEEDS_PRIVILEGE", path: PATH, line: "" };
    expect(await problemIn((await storeIn(registry)).readImage())).toEqual(problem);
  });

  test("of another account is left alone: somebody may be at work in it", async () => {
    const registry = signedOff();
    registry.addHiveFile("C:\\Users\\bob\\NTUSER.DAT", { [KEY]: SIGNED_IN });
    registry.mount("plex-reclaim-S-1-5-21-9", "C:\\Users\\bob\\NTUSER.DAT");
    expect(await imageIn(await storeIn(registry))).toBeDefined();
    expect(registry.mounted()).toEqual([".DEFAULT", "S-1-5-18", "plex-reclaim-S-1-5-21-9"]);
  });

  test("left over is unloaded for the account that was given a temporary one meanwhile", async () => {
    const registry = signedOff();
    registry.mount(MOUNT, FILE);
    registry.setKey(`HKEY_USERS\\${SID}\\Software`);
    expect(await (await storeIn(registry)).readImage()).toBeNull();
    expect(registry.mounted()).toEqual([".DEFAULT", "S-1-5-18", SID]);
  });
});

describe("a hive that is unloaded under a call's hands", () => {
  test("is loaded and the call done all the same, wherever it happens", async () => {
    const count = 30;
    let moved = 0;
    for (let k = 1; k <= count; k += 1) {
      for (const change of [REMOVE, replaceWith("new token", "new name", "new mail")]) {
        const registry = signedOff();
        registry.mount(SID, FILE);
        const store = await storeIn(registry);
        const image = await imageIn(store);
        const to = await store.preview(image, change);
        let left = k;
        registry.beforeCall = ({ path }) => {
          left -= 1;
          if (left !== 0 || !path.startsWith(`HKEY_USERS\\${SID}`)) return;
          registry.unmount(SID);
          moved += 1;
        };
        await store.write(image, to);
        registry.beforeCall = () => undefined;
        expect([k, await imageIn(store)]).toEqual([k, to]);
        expect(registry.mounted()).not.toContain(MOUNT);
      }
    }
    // Reading, four changes, a flush, reading back; of both writes.
    expect(moved).toBe(14);
  });

  test("is no reason to say that there are no settings", async () => {
    for (let k = 1; k <= 6; k += 1) {
      const registry = signedOff();
      registry.mount(SID, FILE);
      const store = await storeIn(registry);
      registry.beforeCall = (_call, number) => {
        if (number === k) registry.unmount(SID);
      };
      expect(await store.readImage()).not.toBeNull();
      expect(registry.mounted()).not.toContain(MOUNT);
    }
  });

  test("is seen by its code alone as well, and given up when it never stays", async () => {
    const registry = signedOff();
    registry.mount(SID, FILE);
    const store = await storeIn(registry);
    const image = await imageIn(store);
    const to = await store.preview(image, REMOVE);
    registry.failAt(2, "ESTALE", { calls: ["deleteValue"] });
    await store.write(image, to);
    registry.revive();
    registry.failAt(1, "ESTALE", { calls: ["values"], lasting: true });
    expect(await problemIn(store.readImage())).toMatchObject({
      code: "SYSTEM_CALL_FAILED",
      reason: "ESTALE",
    });
    registry.revive();
    expect(await imageIn(store)).toEqual(to);
  });

  test("is not written on with when somebody else has written there meanwhile", async () => {
    const registry = signedOff();
    registry.mount(SID, FILE);
    const store = await storeIn(registry);
    const image = await imageIn(store);
    const to = await store.preview(image, REMOVE);
    registry.beforeCall = ({ call, name }) => {
      if (call !== "deleteValue" || name !== "PlexOnlineMail") return;
      registry.setKey(PATH, [...(registry.valuesAt(PATH) ?? []), textValue("Foreign", "value")]);
      registry.unmount(SID);
    };
    expect(await problemIn(store.write(image, to))).toMatchObject({
      code: "REGISTRY_WRITE_FAILED",
      reason: "read-back",
    });
    expect(sorted(registry.valuesInFile(FILE, KEY))).toEqual(
      sorted([...SIGNED_IN, textValue("Foreign", "value")]),
    );
  });

  test("and cannot be loaded again leaves a half that is known as one", async () => {
    const registry = signedOff();
    registry.mount(SID, FILE);
    registry.mayLoadHives = false;
    const store = await storeIn(registry);
    const image = await imageIn(store);
    const to = await store.preview(image, REMOVE);
    registry.beforeCall = ({ call, name }) => {
      if (call === "deleteValue" && name === "PlexOnlineMail") registry.unmount(SID);
    };
    expect(await problemIn(store.write(image, to))).toEqual({
      code: "REGISTRY_WRITE_FAILED",
      path: PATH,
      reason: "NEEDS_PRIVILEGE",
    });
    registry.beforeCall = () => undefined;
    registry.mount(SID, FILE);
    const standing = await imageIn(store);
    expect(store.isHalfWritten(standing, image, store.partsOf(image, to) ?? [])).toBe(true);
    await store.write(standing, image);
    expect(await imageIn(store)).toEqual(image);
  });

  test("takes no work with it that failed for another reason", async () => {
    const registry = signedOff();
    let times = 0;
    const request = { sid: SID, path: PATH, files: filesWith() };
    const work = inHive(registry, request, async () => {
      times += 1;
      throw new SystemError("ENOENT", "x", "y");
    });
    await expect(work).rejects.toMatchObject({ code: "ENOENT" });
    expect(times).toBe(1);
    expect(registry.mounted()).not.toContain(MOUNT);
  });
});
