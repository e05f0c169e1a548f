import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { imageOf } from "../../src/stores/preferences-file.ts";
import { realWorld } from "../../src/world/real.ts";
import { contentOf, needs, PLEX, STRANGER, sandbox, strayEntries, tool } from "./sandbox.ts";
import { NEW, OLD, placeSettings, problemOf, storeAt } from "./settings-of-test.ts";

const image = (text: string) => imageOf(Buffer.from(text));
const unsafe = (path: string, reason: string) => ({ code: "SETTINGS_UNSAFE", path, reason });

describe("reading settings", () => {
  it("gives the bytes, their hash, and owner, group and mode", async () => {
    const path = placeSettings(sandbox());
    chmodSync(path, 0o640);
    const stored = await (await storeAt(path)).readImage();
    const { uid, gid } = statSync(path);
    expect(stored?.metadata).toEqual({ uid, gid, mode: 0o640 });
    expect(Buffer.from(stored?.image.bytes ?? []).toString()).toBe(OLD);
    expect(stored?.image.sha256).toBe(tool("sha256sum", path).slice(0, 64));
  });

  it("gives null when the folder is there and the file is not", async () => {
    expect(await (await storeAt(join(sandbox(), "Preferences.xml"))).readImage()).toBeNull();
  });

  it("says that settings are missing when there is no folder", async () => {
    const path = join(sandbox(), "gone", "Preferences.xml");
    expect(await problemOf(storeAt(path))).toEqual({ code: "SETTINGS_MISSING", path });
  });

  it("refuses more than a mebibyte without reading it", async () => {
    const path = placeSettings(sandbox());
    truncateSync(path, 10 * 2 ** 30);
    expect(await problemOf((await storeAt(path)).readImage())).toEqual({
      code: "SETTINGS_MALFORMED",
      path,
      reason: "too-large",
    });
  });

  it("does not answer with a file that changes under it, and answers once it is quiet", async () => {
    const path = placeSettings(sandbox());
    let restless = 3;
    const quiet = realWorld();
    const world = {
      ...quiet,
      clock: { ...quiet.clock, sleep: async () => undefined },
      files: {
        ...quiet.files,
        openFolder: async (at: string) => {
          const folder = await quiet.files.openFolder(at);
          const openFile = folder.openFile.bind(folder);
          folder.openFile = async (name, access) => {
            const file = await openFile(name, access);
            const read = file.read.bind(file);
            file.read = async (cap) => {
              const bytes = await read(cap);
              if (restless-- > 0) writeFileSync(path, NEW + restless);
              return bytes;
            };
            return file;
          };
          return folder;
        },
      },
    };
    const stored = await (await storeAt(path, { world })).readImage();
    expect(Buffer.from(stored?.image.bytes ?? []).toString()).toBe(`${NEW}0`);
    restless = 1_000;
    expect(await problemOf((await storeAt(path, { world })).readImage())).toEqual({
      code: "SETTINGS_CHANGED_MEANWHILE",
      path,
    });
  });
});

describe("settings that may be a trap", () => {
  const refused: Record<string, { make: (path: string) => unknown; reason: string }> = {
    "a hard link": { make: (path) => linkSync(placeSettings(sandbox()), path), reason: "hard-link" },
    "a FIFO": { make: (path) => tool("mkfifo", path), reason: "not-regular" },
    "a device": { make: (path) => tool("mknod", path, "c", "1", "5"), reason: "not-regular" },
    "a folder": { make: (path) => mkdirSync(path), reason: "not-regular" },
    "a socket": { make: listenAt, reason: "not-regular" },
    "a stranger's file": {
      make: (path) => {
        writeFileSync(path, OLD);
        chownSync(path, STRANGER, STRANGER);
      },
      reason: "foreign-owner",
    },
  };
  it.for(Object.entries(refused))(
    "refuses %s, to read and to write, and leaves it alone",
    async ([, trap], context) => {
      needs(context);
      const folder = sandbox();
      chownSync(folder, PLEX, PLEX);
      const path = join(folder, "Preferences.xml");
      await trap.make(path);
      const before = tool("stat", "--format=%i %F %s %U %Y", path);
      const store = await storeAt(path, { expectedOwner: { uid: PLEX } });
      expect(await problemOf(store.readImage())).toEqual(unsafe(path, trap.reason));
      expect(await problemOf(store.proveWritable(9_000))).toEqual(unsafe(path, trap.reason));
      expect(await problemOf(store.write(image(OLD), image(NEW)))).toEqual(unsafe(path, trap.reason));
      expect(tool("stat", "--format=%i %F %s %U %Y", path)).toBe(before);
      expect(strayEntries(folder)).toEqual([]);
    },
  );

  function listenAt(path: string): Promise<void> {
    const server = createServer();
    onTestFinished(() => void server.close());
    return new Promise((resolve) => server.listen(path, resolve));
  }

  it("takes the folder's owner for the server's account where that is not known", async (context) => {
    needs(context);
    const path = placeSettings(sandbox(), PLEX);
    expect(await (await storeAt(path)).readImage()).not.toBeNull();
    chownSync(path, STRANGER, STRANGER);
    expect(await problemOf((await storeAt(path)).readImage())).toEqual(unsafe(path, "foreign-owner"));
    chownSync(path, 0, 0);
    expect(await (await storeAt(path)).readImage()).not.toBeNull();
  });

  it("does not refuse a folder that everybody may write in", async (context) => {
    needs(context);
    const folder = sandbox();
    const path = placeSettings(folder, PLEX);
    chmodSync(folder, 0o777);
    const store = await storeAt(path, { expectedOwner: { uid: PLEX } });
    await store.write(image(OLD), image(NEW));
    expect(contentOf(path)).toBe(NEW);
    expect(await store.isDurable()).toBe(true);
  });

  it("refuses a link that appears where a file was", async () => {
    const path = placeSettings(sandbox());
    const store = await storeAt(path);
    renameSync(path, `${path}.away`);
    symlinkSync(`${path}.away`, path);
    expect(await problemOf(store.readImage())).toEqual(unsafe(path, "link-target"));
    expect(await problemOf(store.write(image(OLD), image(NEW)))).toEqual(unsafe(path, "link-target"));
    expect(contentOf(`${path}.away`)).toBe(OLD);
  });
});

describe("settings behind a link", () => {
  function linked(owner = PLEX): { link: string; target: string; folder: string } {
    const [home, folder] = [sandbox(), sandbox()];
    chownSync(home, PLEX, PLEX);
    const target = placeSettings(folder, owner);
    const link = join(home, "Preferences.xml");
    symlinkSync(target, link);
    lchownSync(link, PLEX, PLEX);
    return { link, target, folder };
  }

  it("are replaced in their own folder, and the link stays", async (context) => {
    needs(context);
    const { link, target, folder } = linked();
    const store = await storeAt(link, { expectedOwner: { uid: PLEX } });
    expect(store.location).toBe(target);
    expect(store.followedFrom).toBe(link);
    await store.write(image(OLD), image(NEW));
    expect(tool("readlink", link).trim()).toBe(target);
    expect(contentOf(target)).toBe(NEW);
    expect(statSync(target).uid).toBe(PLEX);
    expect(strayEntries(folder)).toEqual([]);
  });

  it("have one lock name, whatever path leads to them", async (context) => {
    needs(context);
    const { link, target, folder } = linked();
    const elsewhere = join(sandbox(), "moved");
    symlinkSync(folder, elsewhere);
    const names = await Promise.all(
      [link, target, join(elsewhere, "Preferences.xml")].map(async (path) => (await storeAt(path)).lockName),
    );
    expect(new Set(names).size).toBe(1);
    expect((await storeAt(join(folder, "Other.xml"))).lockName).not.toBe(names[0]);
  });

  it("are found through links to folders, without counting as a followed link", async () => {
    const folder = sandbox();
    const path = placeSettings(folder);
    const elsewhere = join(sandbox(), "moved");
    symlinkSync(folder, elsewhere);
    const store = await storeAt(join(elsewhere, "Preferences.xml"));
    expect(store.location).toBe(path);
    expect(store.followedFrom).toBeUndefined();
  });

  it.for([
    ["leads to another link", (target: string) => swapForLink(target), "link-target"],
    ["leads to a file with two names", (target: string) => linkSync(target, `${target}.2`), "hard-link"],
    ["leads to a file of root", (target: string) => chownSync(target, 0, 0), "foreign-owner"],
    [
      "leads to a stranger's file",
      (target: string) => chownSync(target, STRANGER, STRANGER),
      "foreign-owner",
    ],
    ["leads to a FIFO", (target: string) => swapForFifo(target), "link-target"],
  ] as const)("are refused when it %s", async ([, spoil, reason], context) => {
    needs(context);
    const { link, target } = linked();
    spoil(target);
    const problem = await problemOf(storeAt(link, { expectedOwner: { uid: PLEX } }));
    expect(problem).toMatchObject({ code: "SETTINGS_UNSAFE", reason });
  });

  it("are refused when a stranger made the link", async (context) => {
    needs(context);
    const { link } = linked();
    lchownSync(link, STRANGER, STRANGER);
    expect(await problemOf(storeAt(link, { expectedOwner: { uid: PLEX } }))).toEqual(
      unsafe(link, "link-target"),
    );
  });

  it("are missing when it leads nowhere", async () => {
    const link = join(sandbox(), "Preferences.xml");
    symlinkSync("/nowhere/Preferences.xml", link);
    expect(await problemOf(storeAt(link))).toEqual({ code: "SETTINGS_MISSING", path: link });
  });

  it("are refused when it leads round in a circle", async () => {
    const folder = sandbox();
    const link = join(folder, "Preferences.xml");
    symlinkSync("Preferences.xml", link);
    expect(await problemOf(storeAt(link))).toEqual(unsafe(link, "link-target"));
  });

  function swapForLink(target: string): void {
    renameSync(target, `${target}.away`);
    symlinkSync(`${target}.away`, target);
    lchownSync(target, PLEX, PLEX);
  }

  function swapForFifo(target: string): void {
    renameSync(target, `${target}.away`);
    tool("mkfifo", target);
  }
});

describe("writing settings", () => {
  it("puts the new bytes there, whole, and keeps nothing beside them", async () => {
    const folder = sandbox();
    const path = placeSettings(folder);
    const store = await storeAt(path);
    await store.write(image(OLD), image(NEW));
    expect(contentOf(path)).toBe(NEW);
    expect(strayEntries(folder)).toEqual([]);
  });

  it("refuses when other bytes stand there than expected, or none, or some where none should", async () => {
    const path = placeSettings(sandbox());
    const store = await storeAt(path);
    const changed = { code: "SETTINGS_CHANGED_MEANWHILE", path };
    expect(await problemOf(store.write(image(NEW), image("x")))).toEqual(changed);
    expect(await problemOf(store.write(null, image("x")))).toEqual(changed);
    expect(contentOf(path)).toBe(OLD);
    const empty = await storeAt(join(sandbox(), "Preferences.xml"));
    expect(await problemOf(empty.write(image(OLD), image("x")))).toMatchObject({
      code: "SETTINGS_CHANGED_MEANWHILE",
    });
    expect(existsSync(empty.location)).toBe(false);
  });

  it("makes settings where none stood, as the server's account would have them", async (context) => {
    needs(context);
    const folder = sandbox();
    chownSync(folder, PLEX, PLEX);
    const store = await storeAt(join(folder, "Preferences.xml"));
    await store.write(null, image(NEW));
    expect(contentOf(store.location)).toBe(NEW);
    expect(statSync(store.location)).toMatchObject({ uid: PLEX, gid: PLEX, mode: 0o100600 });
  });

  it("goes to the folder that was opened, whatever stands under its name by then", async () => {
    const base = sandbox();
    const folder = join(base, "data");
    mkdirSync(folder);
    const path = placeSettings(folder);
    const store = await storeAt(path);
    renameSync(folder, join(base, "moved"));
    mkdirSync(folder);
    writeFileSync(path, "somebody else's");
    await store.write(image(OLD), image(NEW));
    expect(contentOf(path)).toBe("somebody else's");
    expect(contentOf(join(base, "moved", "Preferences.xml"))).toBe(NEW);
  });

  it("removes what killed runs left, and nothing else", async (context) => {
    needs(context);
    const folder = sandbox();
    const path = placeSettings(folder, PLEX);
    const hex = "0123456789abcdef0123456789abcdef";
    const [ours, plexs, strangers] = [hex, hex.replace("0", "1"), hex.replace("0", "2")].map(
      (each) => `.plex-reclaim-${each}`,
    );
    const others = [".plex-reclaim-notes", `.plex-reclaim-${hex}.bak`, `x.plex-reclaim-${hex}`];
    for (const name of [ours, plexs, strangers, ...others]) writeFileSync(join(folder, name ?? ""), "secret");
    chownSync(join(folder, plexs ?? ""), PLEX, PLEX);
    chownSync(join(folder, strangers ?? ""), STRANGER, STRANGER);
    await (await storeAt(path, { expectedOwner: { uid: PLEX } })).write(image(OLD), image(NEW));
    expect(strayEntries(folder).sort()).toEqual([strangers, ...others].sort());
  });

  it("parses and previews by the rules of the file format", async () => {
    const identity = `MachineIdentifier="m" ProcessedMachineIdentifier="${"a".repeat(40)}"`;
    const text = `<?xml version="1.0"?>\n<Preferences ${identity} PlexOnlineToken="t" FriendlyName="home"/>\n`;
    const store = await storeAt(join(sandbox(), "Preferences.xml"));
    expect(store.parse(image(text))).toMatchObject({ friendlyName: "home" });
    const removed = await store.preview(image(text), { kind: "remove" });
    expect(Buffer.from(removed.bytes).toString()).toBe(text.replace(' PlexOnlineToken="t"', ""));
    expect(removed.sha256).toBe(imageOf(readFileSync(spill(removed.bytes))).sha256);
  });

  function spill(bytes: Uint8Array): string {
    const path = join(sandbox(), "spilled");
    writeFileSync(path, bytes);
    return path;
  }
});
