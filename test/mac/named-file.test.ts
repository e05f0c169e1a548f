import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { chmod, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { bytesOf, contentOf } from "../../src/stores/defaults-content.ts";
import { PLIST } from "../../src/stores/plist-format.ts";
import { openPreferencesFile, type PreferencesOptions } from "../../src/stores/preferences-file.ts";
import type { SettingsStore } from "../../src/stores/store.ts";
import { realWorld } from "../../src/world/real.ts";
import { REMOVE, replaceWith, SIGNED_IN } from "../support/defaults-contents.ts";
import { imageIn } from "../support/defaults-store-contract.ts";
import { type Mac, openMac } from "../support/mac.ts";
import { onMac } from "../support/mac-stage.ts";
import type { MacSwitches } from "../support/mac-switches.ts";
import { problemIn } from "../support/registry-store-contract.ts";

const XML_PLIST = `<?xml version="1.0" encoding="UTF-8"?>
<!-- kept by hand -->
<plist version="1.0"><dict>
	<key>MachineIdentifier</key><string>6f1c1c5e-0f2e-4d43-9f5e-2f0a5a9f3b11</string>
	<key>ProcessedMachineIdentifier</key><string>0123456789abcdef0123456789abcdef01234567</string>
	<key>PlexOnlineToken</key><string>old-token-of-the-mac</string>
	<key>FriendlyName</key><string>Büro 🎬</string>
</dict></plist>
`;
const PREFERENCES = `<?xml version="1.0" encoding="utf-8"?>
<Preferences MachineIdentifier="6f1c1c5e-0f2e-4d43-9f5e-2f0a5a9f3b11" ProcessedMachineIdentifier="0123456789abcdef0123456789abcdef01234567" PlexOnlineToken="old-token-of-the-mac" FriendlyName="Büro"/>
`;
const FILES = {
  "binary.plist": Buffer.from(bytesOf(SIGNED_IN)),
  "xml.plist": Buffer.from(XML_PLIST),
  "Preferences.xml": Buffer.from(PREFERENCES),
} as const;
const NAMES = ["binary.plist", "xml.plist", "Preferences.xml"] as const;

type Name = (typeof NAMES)[number];

interface Placed {
  readonly mac: Mac;
  /** On the Mac, and where it really is. */
  readonly path: string;
  readonly real: string;
  store(user?: string, options?: PreferencesOptions): Promise<SettingsStore>;
}

/** A file of jane's with one of the names, and her store of it. */
async function place(
  name: Name = "xml.plist",
  switches: Partial<MacSwitches> = {},
  folder = "/Users/jane",
): Promise<Placed> {
  const mac = await openMac({ switches });
  onTestFinished(() => mac.close());
  const path = `${folder}/${name}`;
  const real = mac.real(path);
  await mkdir(dirname(real), { recursive: true });
  for (let above = folder; ; above = dirname(above)) {
    if (!above.startsWith("/Users/jane")) await chmod(mac.real(above), 0o755);
    if (above === "/") break;
  }
  await writeFile(real, FILES[name], { mode: 0o640 });
  await chmod(real, 0o640);
  await mac.own(path, mac.userNamed("jane"));
  const format = name.endsWith(".plist") ? { format: PLIST } : {};
  const store = async (user = "jane", options: PreferencesOptions = {}) => {
    const world = { ...realWorld(), ...mac.world(user) };
    const opened = await openPreferencesFile(world, path, { ...format, ...options });
    onTestFinished(() => opened.close());
    return opened;
  };
  return { mac, path, real, store };
}

/** Marks of the stand-in that no program of it sets. */
function mark(real: string, name: "acl" | "flags", value: string): void {
  const script = "import os, sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())";
  execFileSync("python3", ["-c", script, real, `user.standin.${name}`, value]);
}

async function put({ mac, path }: Placed, name: string, hex: string): Promise<void> {
  const result = await mac.run("jane", "xattr", ["-w", "-x", name, hex, path]);
  expect(result.status, result.stderr).toBe(0);
}

/** What only the system sets. */
function putBySystem(real: string, name: string): void {
  const script = "import os, sys; os.setxattr(sys.argv[1], sys.argv[2], b'\\x01\\x02')";
  execFileSync("python3", ["-c", script, real, `user.${name}`]);
}

async function attributes({ mac, path }: Placed): Promise<Record<string, string>> {
  const names = (await mac.run("jane", "xattr", [path])).stdout.split("\n").filter(Boolean).sort();
  const pairs = names.map(async (name) => {
    const { stdout } = await mac.run("jane", "xattr", ["-p", "-x", name, path]);
    return [name, stdout.replace(/\s/g, "")];
  });
  return Object.fromEntries(await Promise.all(pairs));
}

const FINDER_INFO = `${"00".repeat(8)}0002${"00".repeat(22)}`;
const USED = "A1B2C300000000001122334455667788";

describe.each(NAMES)("a named %s on a Mac", (name) => {
  test("is replaced with nothing but the four values changed, owner and mode as they were", async () => {
    const placed = await place(name);
    const store = await placed.store();
    const image = await imageIn(store);
    await store.proveWritable(9_000);
    const to = await store.preview(image, replaceWith("new-token-of-the-mac", "Ана", "new@example.org"));
    await store.write(image, to);
    expect(new Uint8Array(readFileSync(placed.real))).toEqual(new Uint8Array(to.bytes));
    const { mode } = statSync(placed.real);
    expect(mode & 0o7777).toBe(0o640);
    const now = await store.readImage();
    expect(now?.metadata).toMatchObject({ uid: 501, gid: 20, mode: 0o640 });
    await store.write(to, await store.preview(to, REMOVE));
    expect(store.parse(await imageIn(store)).credentials.token).toBeUndefined();
    expect((await readdir(placed.mac.real("/Users/jane"))).sort()).toEqual(["Library", name].sort());
  });

  test("keeps what the Finder noted about it, and leaves behind what belongs to the old bytes", async () => {
    const placed = await place(name);
    await put(placed, "com.apple.FinderInfo", FINDER_INFO);
    await put(placed, "com.apple.lastuseddate#PS", USED);
    await put(placed, "com.apple.quarantine", Buffer.from("0083;5f;Safari;").toString("hex"));
    await put(placed, "org.example.checksum#CS", "AABB");
    await put(placed, "com.apple.metadata:kMDItemWhereFroms", "62706C6973743030");
    await put(placed, "com.apple.metadata:kMDItemDownloadedDate", "62706C6973743030");
    for (const each of ["com.apple.provenance", "com.apple.macl"]) putBySystem(placed.real, each);
    const store = await placed.store();
    const image = await imageIn(store);
    await store.proveWritable(9_000);
    await store.write(image, await store.preview(image, REMOVE));
    expect(await attributes(placed)).toEqual({
      "com.apple.FinderInfo": FINDER_INFO,
      "com.apple.lastuseddate#PS": USED,
    });
    const told = JSON.stringify(await placed.mac.calledWith());
    expect(told).not.toContain("old-token-of-the-mac");
  });
});

test("a named file keeps its marks when root replaces it, and stays its owner's", async () => {
  const placed = await place("xml.plist", {}, ROOTS);
  await put(placed, "com.apple.metadata:_kMDItemUserTags", "0102");
  const { uid } = await ownerOf(placed);
  const store = await placed.store("root", { expectedOwner: { uid } });
  const image = await imageIn(store);
  await store.proveWritable(9_000);
  await store.write(image, await store.preview(image, REMOVE));
  expect(await attributes(placed)).toEqual({ "com.apple.metadata:_kMDItemUserTags": "0102" });
  expect((await store.readImage())?.metadata).toMatchObject({ uid, mode: 0o640 });
});

const ROOTS = "/Library/Plex/settings";

async function ownerOf({ mac, path }: Placed) {
  return await mac.world("root").files.lstat(path);
}

describe("root changes no named file on a Mac whose name others can lead elsewhere", () => {
  const refusal = (path: string) => ({ code: "SETTINGS_UNSAFE", path, reason: "folder-not-roots" });

  test.each([
    ["below a folder that a group may write in", "/Library", 0o775],
    ["below a folder that all may write in", "/Library/Plex", 0o757],
    ["below a folder like /tmp", "/Library/Plex", 0o1777],
    ["in a folder that a group may write in", ROOTS, 0o770],
  ] as const)("%s", async (_, folder, mode) => {
    const placed = await place("xml.plist", {}, ROOTS);
    const expectedOwner = { uid: (await ownerOf(placed)).uid };
    const before = await placed.store("root", { expectedOwner });
    await chmod(placed.mac.real(folder), mode);
    expect(await problemIn(placed.store("root", { expectedOwner }))).toEqual(refusal(placed.path));
    // Reading goes on.
    for (const store of [before, await placed.store("root", { expectedOwner, readOnly: true })]) {
      await demandUnchangeable(placed, store);
    }
  });

  test("in another account's folder", async () => {
    const placed = await place();
    expect(await problemIn(placed.store("root"))).toEqual(refusal(placed.path));
    await demandUnchangeable(placed, await placed.store("root", { readOnly: true }));
  });

  const demandUnchangeable = async (placed: Placed, store: SettingsStore) => {
    const image = await imageIn(store);
    expect(await problemIn(store.proveWritable(9_000))).toEqual(refusal(placed.path));
    const write = store.write(image, await store.preview(image, REMOVE));
    expect(await problemIn(write)).toEqual(refusal(placed.path));
    expect(readFileSync(placed.real)).toEqual(FILES["xml.plist"]);
  };

  test("through a link into such a folder", async () => {
    const placed = await place();
    await mkdir(placed.mac.real(ROOTS), { recursive: true });
    await symlink(placed.path, placed.mac.real(`${ROOTS}/link.plist`));
    const world = { ...realWorld(), ...placed.mac.world("root") };
    const opened = openPreferencesFile(world, `${ROOTS}/link.plist`, { format: PLIST });
    expect(await problemIn(opened)).toEqual(refusal(placed.path));
  });

  test("while its owner does", async () => {
    const placed = await place();
    await chmod(placed.mac.real("/Users/jane"), 0o777);
    const store = await placed.store();
    const image = await imageIn(store);
    await store.write(image, await store.preview(image, REMOVE));
    expect(store.parse(await imageIn(store)).credentials.token).toBeUndefined();
  });
});

test("one lock is for one file on a Mac, however its name is written", async () => {
  const placed = await place();
  const world = { ...realWorld(), ...placed.mac.world("jane") };
  const lockOf = async (name: string, platform: "darwin" | "linux" = "darwin") => {
    const path = `/Users/jane/${name}`;
    const store = await openPreferencesFile({ ...world, platform }, path, { format: PLIST });
    await store.close();
    return store.lockName;
  };
  const [one] = [await lockOf("Straße é copy.plist")];
  for (const same of ["STRASSE É COPY.PLIST", "straße e\u0301 Copy.plist", "ſtraſse É copy.plist"]) {
    expect([same, await lockOf(same)]).toEqual([same, one]);
    expect(await lockOf(same, "linux")).not.toBe(one);
  }
  expect(await lockOf("strase é copy.plist")).not.toBe(one);
});

const MARKS: Readonly<Record<string, (placed: Placed) => Promise<void>>> = {
  acl: async ({ real }) => mark(real, "acl", "group:everyone deny delete\nuser:bob inherited allow read"),
  flags: async ({ real }) => mark(real, "flags", "hidden,tracked"),
  "org.example.note": (placed) => put(placed, "org.example.note", ""),
  "com.apple.FinderInfo": async (placed) => {
    await put(placed, "com.apple.FinderInfo", FINDER_INFO);
    await placed.mac.setSwitches({ deviceFiles: "unsupported" });
  },
  "com.apple.lastuseddate#PS": (placed) => put(placed, "com.apple.lastuseddate#PS", "00".repeat(1025)),
};

test.each(Object.entries(MARKS))(
  "a named file with %s that cannot be kept is refused before anything is spent, and stays",
  async (what, give) => {
    const placed = await place();
    await give(placed);
    const before = await attributes(placed);
    const store = await placed.store();
    const image = await imageIn(store);
    const refusal = { code: "METADATA_NOT_KEPT", path: placed.path, what };
    expect(await problemIn(store.proveWritable(9_000))).toEqual(refusal);
    expect(await problemIn(store.write(image, await store.preview(image, REMOVE)))).toEqual(refusal);
    expect(readFileSync(placed.real)).toEqual(FILES["xml.plist"]);
    expect(await attributes(placed)).toEqual(before);
    expect((await readdir(placed.mac.real("/Users/jane"))).sort()).toEqual(["Library", "xml.plist"]);
  },
);

test("all that cannot be kept is told at once, and marks of the system are no obstacle", async () => {
  const placed = await place();
  mark(placed.real, "flags", "compressed,dataless,tracked");
  const store = await placed.store();
  await store.proveWritable(9_000);
  mark(placed.real, "acl", "user:bob allow read");
  mark(placed.real, "flags", "hidden");
  await put(placed, "org.example.note", "01");
  expect(await problemIn(store.proveWritable(9_000))).toMatchObject({ what: "acl, flags, org.example.note" });
});

test("a named file that privacy protection closes is told as such, to root too", async () => {
  const placed = await place();
  const open = await placed.store();
  for (const closed of [placed.path, "/Users/jane"]) {
    await placed.mac.setSwitches({ closed: [closed] });
    const refusal = { code: "PRIVACY_PROTECTED", path: placed.path };
    expect(await problemIn(open.readImage())).toEqual(refusal);
    for (const user of ["jane", "root"]) {
      const read = async () => await (await placed.store(user)).readImage();
      expect(await problemIn(read())).toEqual(refusal);
    }
  }
});

test.each(["binary.plist", "xml.plist"] as const)(
  "reset and undo work on a copied %s while the live domain stays as it is",
  async (name) => {
    await onMac({}, async (stage) => {
      const before = await stage.settings();
      await stage.mac.flush();
      const copy = `/Users/jane/${name}`;
      const live = readFileSync(stage.mac.real(stage.server.plist));
      const bytes = name === "binary.plist" ? live : FILES[name];
      await writeFile(stage.mac.real(copy), bytes, { mode: 0o600 });
      await stage.mac.own(copy, stage.mac.userNamed("jane"));
      const file = ["--settings", copy];
      const edited = { exitCode: 0, code: "FILE_EDITED" };
      await stage.call(["reset", "--yes", ...file], edited);
      const names = [...contentOf(readFileSync(stage.mac.real(copy)), copy).keys()];
      expect(names).toContain("FriendlyName");
      expect(names.filter((each) => each.startsWith("PlexOnline"))).toEqual([]);
      await stage.call(["undo", "--yes"], edited);
      expect(readFileSync(stage.mac.real(copy))).toEqual(bytes);
      expect(await stage.settings()).toEqual(before);
      expect(await stage.server.answers()).toBe(true);
    });
  },
);
