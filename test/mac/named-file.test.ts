import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { chmod, readdir, writeFile } from "node:fs/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { bytesOf, contentOf } from "../../src/stores/defaults-content.ts";
import { PLIST } from "../../src/stores/plist-format.ts";
import { openPreferencesFile } from "../../src/stores/preferences-file.ts";
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
  store(user?: string): Promise<SettingsStore>;
}

/** A file of jane's with one of the names, and her store of it. */
async function place(name: Name = "xml.plist", switches: Partial<MacSwitches> = {}): Promise<Placed> {
  const mac = await openMac({ switches });
  onTestFinished(() => mac.close());
  const path = `/Users/jane/${name}`;
  const real = mac.real(path);
  await writeFile(real, FILES[name], { mode: 0o640 });
  await chmod(real, 0o640);
  await mac.own(path, mac.userNamed("jane"));
  const format = name.endsWith(".plist") ? { format: PLIST } : {};
  const store = async (user = "jane") => {
    const opened = await openPreferencesFile({ ...realWorld(), ...mac.world(user) }, path, format);
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
  const placed = await place();
  await put(placed, "com.apple.metadata:_kMDItemUserTags", "0102");
  const store = await placed.store("root");
  const image = await imageIn(store);
  await store.write(image, await store.preview(image, REMOVE));
  expect(await attributes(placed)).toEqual({ "com.apple.metadata:_kMDItemUserTags": "0102" });
  expect((await store.readImage())?.metadata).toMatchObject({ uid: 501, gid: 20, mode: 0o640 });
});

const MARKS: Readonly<Record<string, (placed: Placed) => Promise<void>>> = {
  acl: async ({ real }) => mark(real, "acl", "group:everyone deny delete\nuser:bob inherited allow read"),
  flags: async ({ real }) => mark(real, "flags", "hidden,tracked"),
  "com.apple.metadata:kMDItemWhereFroms": (placed) =>
    put(placed, "com.apple.metadata:kMDItemWhereFroms", "62706C6973743030"),
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
