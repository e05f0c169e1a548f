import { rm, symlink, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { openDefaultsStore } from "../../src/stores/defaults-store.ts";
import { REMOVE } from "../support/defaults-contents.ts";
import {
  DOMAIN,
  defaultsStoreContract,
  IN_USE,
  imageIn,
  layDown,
  leftovers,
  macWith,
  OLD_TOKEN,
  PLIST,
  sorted,
  standing,
  storeOn,
  worldOn,
} from "../support/defaults-store-contract.ts";
import { string } from "../support/mac-values.ts";
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
