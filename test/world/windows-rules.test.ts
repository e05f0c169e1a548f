import { spawn } from "node:child_process";
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { type FileRules, posixRules } from "../../src/world/file-rules.ts";
import { windowsRules } from "../../src/world/file-rules-windows.ts";
import { realFiles } from "../../src/world/files.ts";
import { type Folder, SystemError } from "../../src/world/world.ts";
import { refusal, scratchFolder, until } from "./scratch.ts";

/** Windows' rules on this system's disk: it has no open that refuses links, and no folders by their descriptors. */
const files = realFiles("", windowsRules);

async function pinned(path: string, source = files): Promise<Folder> {
  const folder = await source.openFolder(path);
  onTestFinished(() => folder.close());
  return folder;
}

/** Makes `file` a link to the victim and a file again, without end. */
const SWAPPER = `
const { renameSync, symlinkSync, writeFileSync } = require("node:fs");
process.chdir(process.argv[1]);
for (;;) {
  symlinkSync("victim", "link");
  renameSync("link", "file");
  writeFileSync("plain", "mine");
  renameSync("plain", "file");
}`;

async function written(folder: Folder, name: string, text: string): Promise<void> {
  const file = await folder.createFile(name, 0o600);
  await file.write(Buffer.from(text));
  await file.close();
}

describe("by Windows' rules", () => {
  test("files are made, appended to, replaced and removed as elsewhere", async () => {
    const base = scratchFolder();
    const folder = await pinned(base);
    await written(folder, "one", "1");
    const file = await folder.openFile("one", "append");
    await file.append(Buffer.from("2"));
    await file.sync();
    await file.close();
    await written(folder, "two", "new");
    await folder.makeFolder("sub", 0o700);
    await folder.sync();
    expect(readFileSync(join(base, "one"), "utf8")).toBe("12");
    await folder.rename("two", "one");
    expect(readFileSync(join(base, "one"), "utf8")).toBe("new");
    await folder.remove("one");
    await folder.removeFolder("sub");
    expect(readdirSync(base)).toEqual([]);
  });

  test("nothing is opened or made through a link, though the system would follow it", async () => {
    const base = scratchFolder();
    mkdirSync(join(base, "real"));
    writeFileSync(join(base, "victim"), "v");
    symlinkSync("real", join(base, "folder-link"));
    symlinkSync("victim", join(base, "link"));
    symlinkSync("nowhere", join(base, "dangling"));
    const folder = await pinned(base);
    for (const access of ["read", "read-write", "append"] as const) {
      expect(await refusal(folder.openFile("link", access))).toBe("ELOOP");
      expect(await refusal(folder.openFile("dangling", access))).toBe("ELOOP");
    }
    expect(await refusal(folder.openFolder("folder-link"))).toBe("ELOOP");
    expect(await refusal(files.openFolder(join(base, "folder-link")))).toBe("ELOOP");
    for (const name of ["link", "dangling", "victim", "real"]) {
      expect(await refusal(folder.createFile(name, 0o600))).toBe("EEXIST");
    }
    expect(readdirSync(base).sort()).toEqual(["dangling", "folder-link", "link", "real", "victim"]);
    expect(readFileSync(join(base, "victim"), "utf8")).toBe("v");
  });

  test("what is swapped for a link between the look and the open is not taken for what was named", async () => {
    const base = scratchFolder();
    writeFileSync(join(base, "victim"), "victim");
    writeFileSync(join(base, "file"), "mine");
    const swapper = spawn(process.execPath, ["-e", SWAPPER, base], { stdio: "ignore" });
    onTestFinished(() => void swapper.kill("SIGKILL"));
    const folder = await pinned(base);
    const seen = new Map<string, number>();
    const opened = () =>
      folder.openFile("file", "read").then(
        async (file) => {
          const text = Buffer.from(await file.read(100)).toString();
          await file.close();
          return text;
        },
        (error: unknown) => (error instanceof SystemError ? error.code : Promise.reject(error)),
      );
    await until("it has been swapped often enough", async () => {
      for (let tries = 0; tries < 500; tries += 1) {
        const outcome = await opened();
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
      }
      return (seen.get("ESTALE") ?? 0) >= 10;
    });
    expect(seen.get("mine")).toBeGreaterThan(0);
    expect(seen.has("victim")).toBe(false);
  });

  test("a folder that was moved away is refused as soon as its name leads elsewhere", async () => {
    const base = scratchFolder();
    mkdirSync(join(base, "plex"));
    const folder = await pinned(join(base, "plex"));
    await written(folder, "one", "1");
    renameSync(join(base, "plex"), join(base, "moved"));
    expect(await refusal(folder.lstat("one"))).toBe("ENOENT");
    mkdirSync(join(base, "plex"));
    expect(await refusal(folder.createFile("two", 0o600))).toBe("ESTALE");
    expect(await refusal(folder.sync())).toBe("ESTALE");
    expect(readdirSync(join(base, "plex"))).toEqual([]);
  });

  test("a file is no folder", async () => {
    const base = scratchFolder();
    writeFileSync(join(base, "file"), "");
    expect(await refusal(files.openFolder(join(base, "file")))).toBe("ENOTDIR");
    expect(await refusal((await pinned(base)).openFolder("file"))).toBe("ENOTDIR");
  });

  test("no name leads out of its folder, or into another stream of a file", async () => {
    const folder = await pinned(scratchFolder());
    const elsewhere = [
      "",
      ".",
      "..",
      "..\\x",
      "../x",
      "a\\b",
      "a/b",
      "C:",
      "C:x",
      "file:stream",
      ":stream",
      "a\0b",
    ];
    for (const name of elsewhere) {
      expect(await refusal(folder.lstat(name)), name).toBe("EINVAL");
      expect(await refusal(folder.createFile(name, 0o600)), name).toBe("EINVAL");
      expect(await refusal(folder.makeFolder(name, 0o700)), name).toBe("EINVAL");
      expect(await refusal(folder.rename("a", name)), name).toBe("EINVAL");
    }
    fc.assert(
      fc.property(fc.string(), (name) => {
        const leads = name === "" || name === "." || name === ".." || /[\\/:]/.test(name);
        expect(windowsRules.isEntryName(name)).toBe(!leads);
      }),
    );
  });

  test("owner and mode are not set, and a mode says nothing of others", async () => {
    const base = scratchFolder();
    const folder = await pinned(base);
    const file = await folder.createFile("one", 0o600);
    const before = lstatSync(join(base, "one"));
    await file.chown(12345, 12345);
    await file.chmod(0o000);
    const after = lstatSync(join(base, "one"));
    expect([after.uid, after.mode]).toEqual([before.uid, before.mode]);
    expect((await file.stat()).mode).toBe(0o600);
    await file.close();
    expect((await folder.stat()).mode).toBe(0o700);
    expect((await files.stat(base)).mode).toBe(0o700);
  });

  test.each([
    ["C:\\state\\", "C:\\state"],
    ["C:\\state\\\\/", "C:\\state"],
    ["C:\\state\\.", "C:\\state"],
    ["C:\\state/./", "C:\\state"],
    ["C:\\", "C:\\"],
    ["C:\\\\", "C:\\"],
    ["\\\\server\\share\\", "\\\\server\\share\\"],
    ["C:\\ends.with.", "C:\\ends.with."],
    ["C:\\state", "C:\\state"],
  ])("the end of %s that could lead behind a link goes", (path, bare) => {
    expect(windowsRules.bare(path)).toBe(bare);
  });
});

describe("what somebody else holds open for a moment", () => {
  /** A rename and a removal that are refused so many times, by rules that know such refusals or do not. */
  function refusing(times: number, code: string, rules: FileRules) {
    let left = times;
    let asked = 0;
    const isEntryName = (name: string) => {
      // The first thing that each try does.
      if (name === "held") {
        asked += 1;
        left -= 1;
        if (left >= 0) throw new SystemError(code, "rename", name);
      }
      return rules.isEntryName(name);
    };
    return { source: realFiles("", { ...rules, isEntryName }), asked: () => asked };
  }

  test.each(["EPERM", "EACCES", "EBUSY"])("is waited for after %s", async (code) => {
    const base = scratchFolder();
    writeFileSync(join(base, "held"), "x");
    const { source, asked } = refusing(3, code, windowsRules);
    await (await pinned(base, source)).rename("held", "new");
    expect(asked()).toBe(4);
    expect(readdirSync(base)).toEqual(["new"]);
  });

  test("is waited for a counted number of times, and the refusal is told", async () => {
    const { source, asked } = refusing(1_000, "EBUSY", windowsRules);
    expect(await refusal((await pinned(scratchFolder(), source)).remove("held"))).toBe("EBUSY");
    expect(asked()).toBe(31);
  });

  test("is not waited for after another refusal, nor on another system", async () => {
    const gone = refusing(1_000, "ENOENT", windowsRules);
    expect(await refusal((await pinned(scratchFolder(), gone.source)).remove("held"))).toBe("ENOENT");
    expect(gone.asked()).toBe(1);
    const posix = refusing(1_000, "EACCES", posixRules);
    expect(await refusal((await pinned(scratchFolder(), posix.source)).remove("held"))).toBe("EACCES");
    expect(posix.asked()).toBe(1);
  });
});

describe("a folder's names", () => {
  test("are made durable where the system can, and a disk that fails is told", async () => {
    const base = scratchFolder();
    // Linux refuses to open a folder for writing (EISDIR): nothing to flush by these rules.
    await (await pinned(base)).sync();
    expect(() => windowsRules.syncFolder(-1, join(base, "none"))).toThrow("ENOENT");
  });
});
