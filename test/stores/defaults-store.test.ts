import { readFile, rm, symlink, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { openDefaultsStore } from "../../src/stores/defaults-store.ts";
import { REMOVE, replaceWith } from "../support/defaults-contents.ts";
import {
  DOMAIN,
  defaultsStoreContract,
  IN_USE,
  imageIn,
  layDown,
  leftovers,
  macWith,
  OLD_TOKEN,
  others,
  PLIST,
  sorted,
  standing,
  storeOn,
  worldOn,
} from "../support/defaults-store-contract.ts";
import { type MacValue, string } from "../support/mac-values.ts";
import { problemIn } from "../support/registry-store-contract.ts";

defaultsStoreContract("a Mac whose import merges, for its own user", {}, {});
defaultsStoreContract(
  "a Mac whose import replaces, for root after ssh",
  {
    import: "replaces",
    exportOfAbsent: "fails",
    writesFile: "at-once",
    emptyDomain: "file-removed",
    messages: "macos-27",
  },
  { user: "root", from: "ssh" },
);

test("an edit of the file is what this avoids: the daemon knows nothing of it, and writes over it", async () => {
  const mac = await macWith(IN_USE);
  const store = await storeOn(mac);
  const image = await imageIn(store);
  await mac.editFileBehindItsBack(PLIST, { PlexOnlineToken: null });
  expect(await imageIn(store)).toEqual(image);
  await mac.setValues("jane", DOMAIN, { FriendlyName: string("Kitchen") });
  await mac.flush();
  expect((await mac.fileValues(PLIST)).get("PlexOnlineToken")).toEqual(string(OLD_TOKEN));
  const now = await imageIn(store);
  await store.write(now, await store.preview(now, REMOVE));
  await mac.flush();
  expect((await mac.fileValues(PLIST)).has("PlexOnlineToken")).toBe(false);
  expect((await mac.fileValues(PLIST)).get("FriendlyName")).toEqual(string("Kitchen"));
});

describe.each(["merges", "replaces"] as const)("a date that moves on its way, where import %s", (way) => {
  test("makes neither a write nor its undoing fail, and stays where nothing sends it", async () => {
    const moment = { type: "date", value: "801234567.25" } as const;
    const nested: MacValue = { type: "dictionary", value: [["at", moment]] };
    const inUse = new Map<string, MacValue>([...IN_USE, ["SULastCheckTime", moment], ["Nested", nested]]);
    const mac = await macWith(inUse, { import: way, dates: "cut-off" });
    const store = await storeOn(mac);
    const image = await imageIn(store);
    const signedOut = await store.preview(image, REMOVE);
    await store.write(image, signedOut);
    expect(await standing(mac)).toEqual(sorted(others(inUse)));
    await store.write(signedOut, image);
    const back = await imageIn(store);
    await store.write(back, await store.preview(back, replaceWith("t", "n", "m")));
    await store.write(await imageIn(store), image);
    const kept = new Map([...inUse].filter(([name]) => !["SULastCheckTime", "Nested"].includes(name)));
    const now = new Map(await standing(mac));
    for (const [name, value] of kept) expect(now.get(name)).toEqual(value);
    expect(now.size).toBe(inUse.size);
    const at = now.get("SULastCheckTime");
    if (way === "merges") expect([at, now.get("Nested")]).toEqual([moment, nested]);
    else expect(at).not.toEqual(moment);
    expect(Number(at?.value)).toBeCloseTo(801_234_567.25, 3);
  });

  test("is no half write, and one that fails is taken back", async () => {
    const inUse = new Map<string, MacValue>([
      ...IN_USE,
      ["SULastCheckTime", { type: "date", value: "801234567.25" }],
    ]);
    const mac = await macWith(inUse, { import: way, dates: "cut-off" });
    const store = await storeOn(mac);
    const image = await imageIn(store);
    const to = await store.preview(image, replaceWith("t", "n", "m"));
    // Of the tool's calls: three to find out what an import does, a look, a deletion, the import, the read back.
    mac.fault({ at: 7, tool: "defaults", kind: "fails-after" });
    const failed = { code: "DOMAIN_WRITE_FAILED", path: PLIST, reason: "EXIT_1" };
    expect(await problemIn(store.write(image, to))).toEqual(failed);
    mac.fault(null);
    const verbs = (await mac.calledWith()).filter(({ tool }) => tool === "defaults").map(({ args }) => args);
    expect(verbs.filter(([verb, name]) => verb === "import" && name === DOMAIN)).toHaveLength(2);
    const now = await imageIn(store);
    expect(store.isHalfWritten(now, image, store.partsOf(image, to) ?? [])).toBe(false);
    expect(store.partsOf(now, image)).toEqual([]);
    await store.write(now, to);
    expect(store.parse(await imageIn(store)).credentials.token?.reveal()).toBe("t");
  });
});

test("is durable once the daemon's file holds what the domain does", async () => {
  const mac = await macWith(IN_USE);
  const store = await storeOn(mac);
  expect(await store.isDurable()).toBe(true);
  const image = await imageIn(store);
  await store.write(image, await store.preview(image, replaceWith("t", "n", "m")));
  expect(await store.isDurable()).toBe(false);
  expect(await (await storeOn(mac, { user: "bob" })).isDurable()).toBe(false);
  await mac.flush();
  for (const user of ["jane", "root"]) {
    expect(await (await storeOn(mac, { user, readOnly: true })).isDurable()).toBe(true);
  }
  await mac.editFileBehindItsBack(PLIST, { PlexOnlineToken: null });
  expect(await store.isDurable()).toBe(false);
  await writeFile(mac.real(PLIST), "{");
  expect(await store.isDurable()).toBe(false);
  await rm(mac.real(PLIST));
  expect(await store.isDurable()).toBe(false);
  await mac.setSwitches({ closed: [PLIST] });
  expect(await store.isDurable()).toBe(false);
});

test("is durable as none where there is none", async () => {
  const mac = await macWith(null);
  const store = await storeOn(mac);
  expect(await store.isDurable()).toBe(true);
  mac.fault({ at: 1, kind: "hangs" });
  expect(await store.isDurable()).toBe(false);
});

test("a file that was put into place and not noticed is written over by nobody", async () => {
  const mac = await macWith(null);
  const store = await storeOn(mac);
  const elsewhere = await macWith(IN_USE);
  const image = await imageIn(await storeOn(elsewhere));
  expect(await store.readImage()).toBeNull();
  const bytes = await readFile(elsewhere.real(PLIST));
  await writeFile(mac.real(PLIST), bytes);
  await mac.own(PLIST, mac.userNamed("jane"));
  const unnoticed = {
    code: "SYSTEM_CALL_FAILED",
    what: "defaults export",
    path: PLIST,
    reason: "FILE_UNNOTICED",
  };
  expect(await problemIn(store.write(null, image))).toEqual(unnoticed);
  expect(await problemIn(store.readImage())).toEqual(unnoticed);
  await mac.flush();
  expect(await readFile(mac.real(PLIST))).toEqual(bytes);
  // A daemon that begins anew reads it.
  await mac.forget();
  expect(await imageIn(store)).toEqual(image);
});

test("what a daemon makes again of the question what an import does is removed the next time, and tells nothing", async () => {
  const mac = await macWith(IN_USE);
  const { name, uid, gid } = mac.userNamed("jane");
  const ended = { ownPid: 4_194_305, plexMediaServers: async () => [] };
  const store = await openDefaultsStore(
    { ...worldOn(mac, "jane"), processes: ended },
    { settingsPath: PLIST, account: { name, uid, gid } },
    { readOnly: false },
  );
  const image = await imageIn(store);
  await store.write(image, await store.preview(image, replaceWith("t", "n", "m")));
  await mac.flush();
  const left = await leftovers(mac);
  expect(left.filter((path) => path.endsWith(".plist"))).toHaveLength(1);
  for (const path of left.filter((each) => each.endsWith(".plist"))) {
    const values = await mac.fileValues(`/private/var/folders/${path}`);
    expect([...values.values()].map(({ type }) => type)).toEqual(["boolean", "boolean"]);
  }
  await (await storeOn(mac)).readImage();
  expect(await leftovers(mac)).toEqual([]);
});

test("settings that only the daemon has so far are there, and their file is kept as it lies", async () => {
  const mac = await macWith(null, { exportOfAbsent: "fails" });
  await mac.setValues("jane", DOMAIN, Object.fromEntries(IN_USE));
  const stored = await (await storeOn(mac)).readImage();
  expect(stored).not.toBeNull();
  expect(stored).not.toHaveProperty("original");
});

test.each(["empty", "fails"] as const)(
  "a domain whose last key went is none, where an export of it is one that %s",
  async (exportOfAbsent) => {
    const mac = await macWith(IN_USE, { exportOfAbsent });
    await layDown(mac, new Map());
    expect(await (await storeOn(mac)).readImage()).toBeNull();
  },
);

test("an export that fails is not taken for a domain that is absent", async () => {
  const mac = await macWith(IN_USE);
  const store = await storeOn(mac);
  mac.fault({ at: 1, tool: "defaults", kind: "fails" });
  expect(await problemIn(store.readImage())).toEqual({
    code: "SYSTEM_CALL_FAILED",
    what: "defaults export",
    path: PLIST,
    reason: "EXIT_1",
  });
  mac.fault(null);
  await mac.setValues("jane", DOMAIN, { FriendlyName: string("only in memory") });
  await rm(mac.real(PLIST));
  mac.fault({ at: 1, tool: "defaults", kind: "fails" });
  expect(await problemIn(store.readImage())).toMatchObject({ code: "SYSTEM_CALL_FAILED" });
  expect(await leftovers(mac)).toEqual([]);
});

test("another user's settings need root, and no program is started for them", async () => {
  const mac = await macWith(IN_USE);
  const store = await storeOn(mac, { user: "bob" });
  const calls = mac.calls;
  const refusal = { code: "NEEDS_PRIVILEGE", path: PLIST, line: "" };
  expect(await problemIn(store.readImage())).toEqual(refusal);
  expect(await problemIn(store.proveWritable(1))).toEqual(refusal);
  expect(mac.calls).toBe(calls);
});

test.each(["empty", "fails"] as const)(
  "settings that privacy protection closes are told as such, to root too (%s)",
  async (exportOfAbsent) => {
    const mac = await macWith(IN_USE, { exportOfAbsent });
    await mac.forget();
    await mac.setSwitches({ closed: [PLIST] });
    for (const user of ["jane", "root"]) {
      const store = await storeOn(mac, { user });
      const refusal = { code: "PRIVACY_PROTECTED", path: PLIST };
      expect(await problemIn(store.readImage())).toEqual(refusal);
      expect(await problemIn(store.proveWritable(1))).toEqual(refusal);
    }
  },
);

test("a refusal of the first change leaves all as it was", async () => {
  const mac = await macWith(IN_USE);
  const store = await storeOn(mac);
  const image = await imageIn(store);
  await mac.setSwitches({ closed: [PLIST] });
  const problem = await problemIn(store.write(image, await store.preview(image, REMOVE)));
  expect(problem).toEqual({ code: "DOMAIN_WRITE_FAILED", path: PLIST, reason: "EXIT_1" });
  expect(await standing(mac)).toEqual(sorted(IN_USE));
});

test("a store that is for reading changes nothing", async () => {
  const mac = await macWith(IN_USE);
  const store = await storeOn(mac, { readOnly: true });
  const image = await imageIn(store);
  await store.proveWritable(4_000);
  const calls = mac.calls;
  const problem = await problemIn(store.write(image, await store.preview(image, REMOVE)));
  expect(problem).toMatchObject({ code: "INTERNAL" });
  expect(mac.calls).toBe(calls);
  await store.letGo();
  await store.close();
  const verbs = (await mac.calledWith()).filter(({ tool }) => tool === "defaults").map(({ args }) => args[0]);
  expect(new Set(verbs)).toEqual(new Set(["export"]));
  expect(await standing(mac)).toEqual(sorted(IN_USE));
});

test("a file that is a link is not kept beside the settings, and root does not read through it", async () => {
  const mac = await macWith(IN_USE);
  await writeFile(mac.real("/private/var/root/secret.plist"), "<plist><dict/></plist>");
  await rm(mac.real(PLIST));
  await symlink("/private/var/root/secret.plist", mac.real(PLIST));
  const stored = await (await storeOn(mac, { user: "root" })).readImage();
  expect(stored).not.toBeNull();
  expect(stored).not.toHaveProperty("original");
});

test("one lock is for one account's domain, whoever opens it", async () => {
  const mac = await macWith(null);
  const [one, other] = [await storeOn(mac), await storeOn(mac, { user: "root" })];
  expect(one.lockName).toMatch(/^settings-[0-9a-f]{32}$/);
  expect(other.lockName).toBe(one.lockName);
  const { name, uid, gid } = mac.userNamed("bob");
  const bobs = await openDefaultsStore(
    worldOn(mac, "bob"),
    { settingsPath: PLIST.replace("jane", "bob"), account: { name, uid, gid } },
    { readOnly: true },
  );
  expect(bobs.lockName).not.toBe(one.lockName);
});

test("a server of no known account has no such store", async () => {
  const mac = await macWith(null);
  const opened = openDefaultsStore(worldOn(mac, "jane"), { settingsPath: PLIST }, { readOnly: true });
  expect(await problemIn(opened)).toMatchObject({ code: "INTERNAL" });
});
