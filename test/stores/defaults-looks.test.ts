import { readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { bytesOf } from "../../src/stores/defaults-content.ts";
import { type DefaultsWorld, openDefaultsStore } from "../../src/stores/defaults-store.ts";
import { imageOf } from "../../src/stores/preferences-file.ts";
import type { SettingsStore } from "../../src/stores/store.ts";
import { type FileStat, type Folder, SystemError } from "../../src/world/world.ts";
import { REMOVE, replaceWith, SIGNED_IN, text } from "../support/defaults-contents.ts";
import { imageIn } from "../support/defaults-store-contract.ts";
import { MemoryDefaults } from "../support/memory-defaults.ts";
import { problemIn } from "../support/registry-store-contract.ts";

/** What a store of a Mac makes of its domain and of the daemon's file, without the programs of a Mac. */
let mac: MemoryDefaults;

beforeEach(() => {
  mac = new MemoryDefaults();
  mac.values = SIGNED_IN;
});

function storeOf(world: DefaultsWorld = mac.world(), readOnly = false): Promise<SettingsStore> {
  return openDefaultsStore(world, mac.server, { readOnly });
}

/** As what lies in the account's `Preferences` is looked at by a world whose call there is refused. */
function refusing(code: string, uid = mac.server.account.uid): DefaultsWorld {
  const world = mac.world();
  const openFolder: typeof world.files.openFolder = async (path) => {
    if (path.startsWith(dirname(mac.settingsPath))) throw new SystemError(code, "open", path);
    return world.files.openFolder(path);
  };
  return { ...world, user: { ...world.user, uid }, files: { ...world.files, openFolder } };
}

/** Every file below the folder seems to be another account's: by its name, or only once it is open. */
function withForeignFiles(below: string, when: "named" | "opened"): DefaultsWorld {
  const world = mac.world();
  const foreign = (stat: FileStat): FileStat => ({ ...stat, uid: 12_345 });
  const openFolder: typeof world.files.openFolder = async (path) => {
    const folder = await world.files.openFolder(path);
    if (!path.startsWith(below)) return folder;
    const lstat: Folder["lstat"] = async (name) => {
      const stat = await folder.lstat(name);
      return when === "named" ? foreign(stat) : stat;
    };
    const openFile: Folder["openFile"] = async (name, access) => {
      const file = await folder.openFile(name, access);
      return withMethods(file, { stat: async () => foreign(await file.stat()) });
    };
    return withMethods(folder, { lstat, openFile });
  };
  return { ...world, files: { ...world.files, openFolder } };
}

function withMethods<T extends object>(object: T, methods: Partial<T>): T {
  return new Proxy(object, {
    get: (target, key) => {
      const value: unknown = Reflect.get(key in methods ? methods : target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function changes(): string[] {
  return mac.lines.filter((line) => / (delete|import) com\./.test(line));
}

/** From now on an export is refused. */
function refuseExport(): void {
  mac.beforeRun = () => mac.fault({ at: 1, tool: "defaults", kind: "fails" });
}

describe("a domain that an export does not tell", () => {
  beforeEach(() => {
    mac.values = new Map();
  });

  test.each([
    ["no file", null],
    ["a file without keys", bytesOf(new Map())],
    ["a file that is no property list", new TextEncoder().encode("{")],
  ])("is none with %s, refused or empty", async (_, bytes) => {
    if (bytes !== null) writeFileSync(mac.settingsPath, bytes);
    expect(await (await storeOf()).readImage()).toBeNull();
    mac.fault({ at: 1, tool: "defaults", kind: "fails" });
    expect(await (await storeOf()).readImage()).toBeNull();
  });

  test("is one that the tool failed to tell where its file has keys", async () => {
    writeFileSync(mac.settingsPath, bytesOf(SIGNED_IN));
    mac.fault({ at: 1, tool: "defaults", kind: "fails" });
    const failed = { code: "SYSTEM_CALL_FAILED", what: "defaults export", reason: "EXIT_1" };
    expect(await problemIn((await storeOf()).readImage())).toEqual({ ...failed, path: mac.settingsPath });
  });

  test("is not taken for absent over a file with keys that the daemon has not noticed, nor written over", async () => {
    writeFileSync(mac.settingsPath, bytesOf(SIGNED_IN));
    const store = await storeOf();
    const unnoticed = {
      code: "SYSTEM_CALL_FAILED",
      what: "defaults export",
      path: mac.settingsPath,
      reason: "FILE_UNNOTICED",
    };
    expect(await problemIn(store.readImage())).toEqual(unnoticed);
    expect(await problemIn(store.proveWritable(1))).toEqual(unnoticed);
    expect(await problemIn(store.write(null, imageOf(bytesOf(SIGNED_IN))))).toEqual(unnoticed);
    expect(changes()).toEqual([]);
  });

  test("is one that the tool failed to tell where the daemon lists it", async () => {
    mac.values = SIGNED_IN;
    mac.fault({ at: 1, tool: "defaults", kind: "fails" });
    const store = await storeOf();
    expect(await problemIn(store.readImage())).toMatchObject({ reason: "EXIT_1" });
    expect(mac.lines.at(-1)).toBe("/usr/bin/defaults domains");
    // The list cannot be told either.
    refuseExport();
    expect(await problemIn(store.readImage())).toMatchObject({ what: "defaults domains", reason: "EXIT_1" });
  });

  test("is not the one whose name only begins or ends alike", async () => {
    const world = mac.world();
    const run: typeof world.run = async (file, args, options) => {
      const result = await world.run(file, args, options);
      if (args[0] === "export") return { ...result, status: 1 };
      const listed = "com.plexapp.plexmediaserver.helper, my.com.plexapp.plexmediaserver, zz\n";
      return args[0] === "domains" ? { ...result, stdout: listed } : result;
    };
    expect(await (await storeOf({ ...world, run })).readImage()).toBeNull();
  });

  test.each(["ETIMEDOUT", "SIGKILL"])(
    "is not taken for absent when the tool was ended: %s",
    async (reason) => {
      const world = mac.world();
      const run: typeof world.run = async (file, args, options) => {
        const result = await world.run(file, args, options);
        if (args[0] !== "export") return result;
        const ended = reason === "ETIMEDOUT" ? { timedOut: true } : { signal: reason };
        return { ...result, status: null, ...ended };
      };
      const problem = await problemIn((await storeOf({ ...world, run })).readImage());
      expect(problem).toMatchObject({ code: "SYSTEM_CALL_FAILED", reason });
    },
  );

  test("is not taken for absent when the tool wrote nothing although it says so", async () => {
    const world = mac.world();
    const run: typeof world.run = async (file, args, options) =>
      args[0] === "export"
        ? { status: 0, signal: null, timedOut: false, stdout: "", stderr: "" }
        : world.run(file, args, options);
    const problem = await problemIn((await storeOf({ ...world, run })).readImage());
    expect(problem).toMatchObject({ code: "SYSTEM_CALL_FAILED", reason: "ENOENT" });
  });
});

describe("the daemon's file", () => {
  test("is kept beside the image as it lies there", async () => {
    writeFileSync(mac.settingsPath, "as it lies");
    const stored = await (await storeOf()).readImage();
    expect(stored?.original).toEqual({
      name: "com.plexapp.plexmediaserver.plist",
      bytes: new Uint8Array(Buffer.from("as it lies")),
    });
  });

  test("is left out where it is a link, too large, another account's or closed, and nothing else is", async () => {
    symlinkSync("/etc/passwd", mac.settingsPath);
    const store = await storeOf();
    expect(await store.readImage()).not.toHaveProperty("original");
    const { uid } = mac.server.account;
    const lie: DefaultsWorld = refusing("EPERM", uid);
    expect(await (await storeOf(lie)).readImage()).not.toHaveProperty("original");
    expect(await (await storeOf(lie)).readImage()).toHaveProperty("image");
    const unsafe = { code: "SETTINGS_UNSAFE", path: mac.settingsPath, reason: "link-target" };
    expect(await problemIn(store.proveWritable(1))).toEqual(unsafe);
  });

  test.each(["named", "opened"] as const)(
    "is refused where another account owns it, once it is %s",
    async (when) => {
      writeFileSync(mac.settingsPath, bytesOf(SIGNED_IN));
      const store = await storeOf(withForeignFiles(dirname(mac.settingsPath), when));
      expect(await store.readImage()).not.toHaveProperty("original");
      const refusal = { code: "SETTINGS_UNSAFE", path: mac.settingsPath, reason: "foreign-owner" };
      expect(await problemIn(store.proveWritable(1))).toEqual(refusal);
      expect(await store.isDurable()).toBe(false);
      expect(await (await storeOf()).isDurable()).toBe(true);
      mac.values = new Map();
      expect(await problemIn(store.readImage())).toEqual(refusal);
    },
  );

  test("may be missing with its folder: the daemon may know the domain, or nobody does", async () => {
    rmSync(dirname(mac.settingsPath), { recursive: true });
    const store = await storeOf();
    expect(await store.readImage()).not.toHaveProperty("original");
    await store.proveWritable(1);
    mac.values = new Map();
    expect(await store.readImage()).toBeNull();
  });

  test("closed by privacy protection is told as such, and the settings are seen where the daemon tells them", async () => {
    const store = await storeOf(refusing("EPERM"));
    const closed = { code: "PRIVACY_PROTECTED", path: mac.settingsPath };
    expect(await store.readImage()).not.toBeNull();
    expect(await problemIn(store.proveWritable(1))).toEqual(closed);
    mac.values = new Map();
    expect(await problemIn(store.readImage())).toEqual(closed);
    mac.fault({ at: 1, tool: "defaults", kind: "fails" });
    expect(await problemIn(store.readImage())).toEqual(closed);
  });

  test("kept from us by its mode needs the administrator", async () => {
    const store = await storeOf(refusing("EACCES"));
    const refusal = { code: "NEEDS_PRIVILEGE", path: mac.settingsPath, line: "" };
    expect(await problemIn(store.proveWritable(1))).toEqual(refusal);
  });

  test("proves nothing where the tool does not work", async () => {
    writeFileSync(mac.settingsPath, bytesOf(SIGNED_IN));
    const store = await storeOf();
    mac.fault({ at: 1, tool: "mktemp", kind: "fails" });
    expect(await problemIn(store.proveWritable(1))).toMatchObject({
      code: "SYSTEM_CALL_FAILED",
      what: "mktemp",
      reason: "EXIT_1",
    });
    expect(changes()).toEqual([]);
  });
});

describe("a write", () => {
  test("is refused over what somebody changed, added or took away, and changes nothing", async () => {
    const store = await storeOf();
    const image = await imageIn(store);
    const to = await store.preview(image, REMOVE);
    for (const values of [
      new Map([...SIGNED_IN, ["FriendlyName", text("other")] as const]),
      new Map([...SIGNED_IN, ["New", text("other")] as const]),
      new Map([...SIGNED_IN].slice(1)),
      new Map(),
    ]) {
      mac.values = values;
      const refusal = { code: "SETTINGS_CHANGED_MEANWHILE", path: mac.settingsPath };
      expect(await problemIn(store.write(image, to))).toEqual(refusal);
    }
    mac.values = SIGNED_IN;
    expect(await problemIn(store.write(null, to))).toMatchObject({ code: "SETTINGS_CHANGED_MEANWHILE" });
    expect(changes()).toEqual([]);
  });

  test("ends at the first key that cannot be deleted", async () => {
    const store = await storeOf();
    const image = await imageIn(store);
    mac.refuseChanges(true);
    const failed = { code: "DOMAIN_WRITE_FAILED", path: mac.settingsPath, reason: "EXIT_1" };
    expect(await problemIn(store.write(image, await store.preview(image, REMOVE)))).toEqual(failed);
    expect(changes()).toEqual(["/usr/bin/defaults delete com.plexapp.plexmediaserver PlexOnlineHome"]);
  });

  test("is none for a store that is for reading", async () => {
    const store = await storeOf(mac.world(), true);
    const image = await imageIn(store);
    const before = mac.lines.length;
    const to = await store.preview(image, REMOVE);
    expect(await problemIn(store.write(image, to))).toEqual({ code: "INTERNAL", detail: "read-only-store" });
    expect(mac.lines.length).toBe(before);
  });

  test("tells the reason of the call that failed, whichever it was", async () => {
    const reasons: string[] = [];
    for (let at = 9; at <= 12; at += 1) {
      mac.values = SIGNED_IN;
      const store = await storeOf();
      const image = await imageIn(store);
      const to = await store.preview(image, replaceWith("t", "n", "m"));
      mac.fault({ at, kind: "hangs" });
      const problem = await problemIn(store.write(image, to));
      mac.fault(null);
      expect(problem).toMatchObject({ code: "DOMAIN_WRITE_FAILED", path: mac.settingsPath });
      reasons.push("reason" in problem ? problem.reason : "");
    }
    expect(new Set(reasons)).toEqual(new Set(["ETIMEDOUT"]));
  });

  test.each([
    [2, "is taken back at the third attempt"],
    [3, "stays when three attempts to take it back failed"],
  ])("whose result cannot be read back, nor %s times after that, %s", async (times, what) => {
    const store = await storeOf();
    const image = await imageIn(store);
    const to = await store.preview(image, REMOVE);
    let refused = -1;
    mac.beforeRun = () => {
      const isRead = mac.lines.at(-1)?.startsWith("/usr/bin/mktemp") ?? false;
      if (!isRead || mac.values.has("PlexOnlineToken") || refused === times) return;
      refused += 1;
      mac.fault({ at: 1, tool: "defaults", kind: "hangs" });
    };
    const failed = { code: "DOMAIN_WRITE_FAILED", path: mac.settingsPath, reason: "ETIMEDOUT" };
    expect(await problemIn(store.write(image, to))).toEqual(failed);
    mac.beforeRun = () => undefined;
    expect(refused).toBe(times);
    expect(await imageIn(store)).toEqual(what.startsWith("is") ? image : to);
  });

  test("whose read back is refused tells which refusal it was", async () => {
    const store = await storeOf();
    const image = await imageIn(store);
    const to = await store.preview(image, replaceWith("t", "n", "m"));
    mac.beforeCall = (line) => {
      if (line.startsWith("defaults import com.")) mac.exports = new TextEncoder().encode("{");
    };
    expect(await problemIn(store.write(image, to))).toEqual({
      code: "DOMAIN_WRITE_FAILED",
      path: mac.settingsPath,
      reason: "SETTINGS_MALFORMED",
    });
  });

  test("is no write where a bug is thrown: that stays what it is", async () => {
    const world = mac.world();
    const run: typeof world.run = async (file, args, options) => {
      if (args[0] === "import") throw new TypeError("a bug");
      return world.run(file, args, options);
    };
    const store = await storeOf({ ...world, run });
    const image = await imageIn(store);
    const to = await store.preview(image, replaceWith("t", "n", "m"));
    await expect(store.write(image, to)).rejects.toThrow(TypeError);
  });
});

test("the folder of an export is the account's alone, and what mktemp printed is one path of ours", async () => {
  const { chmodSync } = await import("node:fs");
  const world = mac.world();
  const answering = (stdout: (made: string) => string, status = 0): DefaultsWorld => ({
    ...world,
    run: async (file, args, options) => {
      const result = await world.run(file, args, options);
      if (!file.endsWith("mktemp")) return result;
      return { ...result, status, stdout: stdout(result.stdout) };
    },
  });
  for (const others of [0o40, 0o20, 0o10, 0o4, 0o2, 0o1]) {
    const open = answering((made) => {
      chmodSync(made.trim(), 0o700 | others);
      return made;
    });
    expect(await problemIn((await storeOf(open)).readImage())).toEqual({
      code: "SETTINGS_UNSAFE",
      path: mac.settingsPath,
      reason: "foreign-owner",
    });
  }
  expect(mac.lines.some((line) => line.includes(" export "))).toBe(false);
  const before = mac.lines.length;
  for (const wrong of [
    () => "/tmp/plex-reclaim\n",
    (made: string) => `${made}${made}`,
    (made: string) => made.trim(),
    (made: string) => made.slice(1),
    () => "",
    (made: string) => made.replace("-4711.", "-4712."),
  ]) {
    const problem = await problemIn((await storeOf(answering(wrong))).readImage());
    expect(problem).toMatchObject({ code: "SYSTEM_CALL_FAILED", what: "mktemp", reason: "EINVAL" });
  }
  const failed = await problemIn((await storeOf(answering((made) => made, 1))).readImage());
  expect(failed).toMatchObject({ code: "SYSTEM_CALL_FAILED", what: "mktemp", reason: "EXIT_1" });
  expect(mac.lines.slice(before).some((line) => !line.includes("mktemp"))).toBe(false);
});

test("nothing is exported into a folder that is another account's", async () => {
  const world = mac.world();
  const openFolder: typeof world.files.openFolder = async (path) => {
    const folder = await world.files.openFolder(path);
    const stat = async () => ({ ...(await folder.stat()), uid: 12_345 });
    return Object.assign(Object.create(folder), { stat, close: () => folder.close() }) as typeof folder;
  };
  const store = await storeOf({ ...world, files: { ...world.files, openFolder } });
  expect(await problemIn(store.readImage())).toMatchObject({ reason: "foreign-owner" });
  expect(mac.lines.some((line) => line.includes(" export "))).toBe(false);
});

test.each(["named", "opened"] as const)(
  "an exported file that is another account's is never read, once it is %s",
  async (when) => {
    const store = await storeOf(withForeignFiles(mac.temporary, when));
    const refusal = { code: "SETTINGS_UNSAFE", path: mac.settingsPath, reason: "foreign-owner" };
    expect(await problemIn(store.readImage())).toEqual(refusal);
    expect(mac.lines.filter((line) => line.includes(" export "))).toHaveLength(1);
    expect(readdirSync(mac.temporary)).toEqual([]);
  },
);

test("what was exported is removed at the second attempt, and told when that fails as well", async () => {
  const world = mac.world();
  const failing = (times: number): DefaultsWorld => {
    let left = times;
    return {
      ...world,
      run: async (file, args, options) => {
        if (!file.endsWith("/rm") || left === 0) return world.run(file, args, options);
        left -= 1;
        return { status: 1, signal: null, timedOut: false, stdout: "", stderr: "" };
      },
    };
  };
  expect(await (await storeOf(failing(1))).readImage()).not.toBeNull();
  const problem = await problemIn((await storeOf(failing(2))).readImage());
  expect(problem).toMatchObject({ code: "SYSTEM_CALL_FAILED", what: "rm", reason: "EXIT_1" });
  // What went wrong first is what is told, and that something was left is kept beside it.
  mac.exports = new TextEncoder().encode("{");
  await expect((await storeOf(failing(2))).readImage()).rejects.toMatchObject({
    problem: { code: "SETTINGS_MALFORMED" },
    cause: { errors: [{ problem: { code: "SETTINGS_MALFORMED" } }, { call: "rm", code: "EXIT_1" }] },
  });
});

test("locks are one for each account, and half a write is none of what cannot be read", async () => {
  const store = await storeOf();
  const { account } = mac.server;
  const other = { ...mac.server, account: { ...account, uid: account.uid + 1 } };
  const theirs = await openDefaultsStore(mac.world(), other, { readOnly: true });
  expect(theirs.lockName).not.toBe(store.lockName);
  const image = await imageIn(store);
  const garbage = imageOf(new TextEncoder().encode("{"));
  const parts = store.partsOf(image, await store.preview(image, REMOVE)) ?? [];
  expect(store.isHalfWritten(garbage, image, parts)).toBe(false);
  expect(store.isHalfWritten(image, garbage, parts)).toBe(false);
});

test("settings that would be larger than any are refused before anything is changed", async () => {
  const store = await storeOf();
  const image = await imageIn(store);
  const huge = replaceWith("t", "n", "m".repeat(1024 * 1024));
  await expect(store.preview(image, huge)).rejects.toMatchObject({
    problem: { code: "SETTINGS_MALFORMED", reason: "too-large" },
  });
});
