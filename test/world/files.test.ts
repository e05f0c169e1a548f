import { execFile, execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { realFiles } from "../../src/world/files.ts";
import type { Folder } from "../../src/world/world.ts";
import { needs, refusal, scratchFolder } from "./scratch.ts";

const files = realFiles();
const root = process.getuid?.() === 0;

async function pinned(path: string, source = files): Promise<Folder> {
  const folder = await source.openFolder(path);
  onTestFinished(() => folder.close());
  return folder;
}

async function written(folder: Folder, name: string, content: string, mode = 0o600): Promise<void> {
  const file = await folder.createFile(name, mode);
  await file.write(Buffer.from(content));
  await file.close();
}

describe("a pinned folder", () => {
  test("stays the same one when it is moved away and a link is put in its place", async () => {
    const base = scratchFolder();
    mkdirSync(join(base, "plex"));
    mkdirSync(join(base, "victim"));
    writeFileSync(join(base, "plex", "old"), "old");
    const folder = await pinned(join(base, "plex"));

    renameSync(join(base, "plex"), join(base, "moved"));
    symlinkSync(join(base, "victim"), join(base, "plex"));
    await written(folder, "temp", "new");
    await folder.rename("temp", "old");
    await folder.makeFolder("sub", 0o700);
    await folder.sync();

    expect(readFileSync(join(base, "moved", "old"), "utf8")).toBe("new");
    expect((await folder.list()).sort()).toEqual(["old", "sub"]);
    expect(await files.list(join(base, "victim"))).toEqual([]);
    await folder.remove("old");
    await folder.removeFolder("sub");
    expect(await files.list(join(base, "moved"))).toEqual([]);
  });

  test("is never opened through a link, however the path is spelt", async () => {
    const base = scratchFolder();
    mkdirSync(join(base, "real"));
    symlinkSync("real", join(base, "link"));
    const parent = await pinned(base);

    for (const spelling of ["link", "link/", "link//", "link/.", "link/./"]) {
      expect(await refusal(files.openFolder(`${base}/${spelling}`))).toMatch(/^(ELOOP|ENOTDIR)$/);
    }
    expect(await refusal(parent.openFolder("link"))).toMatch(/^(ELOOP|ENOTDIR)$/);
    const real = await parent.openFolder("real");
    expect((await real.stat()).kind).toBe("folder");
    await real.close();
  });

  test("reaches nothing outside itself by a name", async () => {
    const folder = await pinned(scratchFolder());
    for (const name of ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b"]) {
      expect(await refusal(folder.lstat(name))).toBe("EINVAL");
      expect(await refusal(folder.createFile(name, 0o600))).toBe("EINVAL");
      expect(await refusal(folder.rename("a", name))).toBe("EINVAL");
    }
  });

  test("without /proc is refused as soon as its name leads elsewhere", async () => {
    const base = scratchFolder();
    mkdirSync(join(base, "plex"));
    const folder = await pinned(join(base, "plex"), realFiles(join(base, "no-such-folder")));
    await written(folder, "one", "1");
    expect(await folder.list()).toEqual(["one"]);

    renameSync(join(base, "plex"), join(base, "moved"));
    expect(await refusal(folder.lstat("one"))).toBe("ENOENT");
    mkdirSync(join(base, "plex"));
    expect(await refusal(folder.createFile("two", 0o600))).toBe("ESTALE");
    expect(await refusal(folder.list())).toBe("ESTALE");
    expect(await files.list(join(base, "plex"))).toEqual([]);
  });
});

describe("opening an entry", () => {
  test("does not follow a link", async () => {
    const base = scratchFolder();
    writeFileSync(join(base, "victim"), "v");
    symlinkSync("victim", join(base, "link"));
    symlinkSync("nowhere", join(base, "dangling"));
    const folder = await pinned(base);

    expect(await refusal(folder.openFile("link", "read"))).toBe("ELOOP");
    expect(await refusal(folder.openFile("link", "read-write"))).toBe("ELOOP");
    expect((await folder.lstat("link")).kind).toBe("link");
    for (const taken of ["victim", "link", "dangling"]) {
      expect(await refusal(folder.createFile(taken, 0o600))).toBe("EEXIST");
    }
    expect(existsSync(join(base, "nowhere"))).toBe(false);
  });

  test("does not block on a FIFO, nor does reading one", async () => {
    const base = scratchFolder();
    execFileSync("mkfifo", [join(base, "fifo")]);
    const folder = await pinned(base);
    for (const access of ["read", "read-write"] as const) {
      const fifo = await folder.openFile("fifo", access);
      expect((await fifo.stat()).kind).toBe("other");
      expect(await refusal(fifo.read(100))).toBe("ESPIPE");
      await fifo.close();
    }
    expect(await files.read(join(base, "fifo"), 100)).toHaveLength(0);
  });

  test("of a device shows it as no file", async () => {
    const folder = await pinned("/dev");
    const zero = await folder.openFile("zero", "read");
    expect((await zero.stat()).kind).toBe("other");
    expect(await refusal(zero.read(1_000_000))).toBe("EFBIG");
    await zero.close();
  });

  test("after it was closed is refused, and a second close hits nobody else's file", async () => {
    const base = scratchFolder();
    const folder = await pinned(base);
    await written(folder, "one", "1");
    const first = await folder.openFile("one", "read");
    await first.close();
    const second = await folder.openFile("one", "read");
    await first.close();
    expect(second.fd).toBe(first.fd);
    expect(Buffer.from(await second.read(10)).toString()).toBe("1");
    expect(await refusal(first.read(10))).toBe("EBADF");
    await second.close();

    const again = await files.openFolder(base);
    await again.close();
    await again.close();
    expect(await refusal(again.list())).toBe("EBADF");
    expect(await refusal(again.sync())).toBe("EBADF");
  });
});

describe("a new file or folder", () => {
  test.each([0o077, 0o000, 0o027])("has exactly the mode asked for under umask %o", async (mask) => {
    const folder = await pinned(scratchFolder());
    const before = process.umask(mask);
    onTestFinished(() => {
      process.umask(before);
    });
    for (const mode of [0o600, 0o644, 0o666, 0o640]) {
      const file = await folder.createFile(`file-${mode}`, mode);
      expect((await file.stat()).mode).toBe(mode);
      await file.close();
      await folder.makeFolder(`folder-${mode}`, mode | 0o100);
      expect((await folder.lstat(`folder-${mode}`)).mode).toBe(mode | 0o100);
    }
  });

  test("can be given another mode and owner through its descriptor", async () => {
    const folder = await pinned(scratchFolder());
    const file = await folder.createFile("one", 0o600);
    const { uid, gid } = await file.stat();
    await file.chmod(0o755);
    await file.chown(uid, gid);
    expect(await file.stat()).toMatchObject({ mode: 0o755, uid, gid, links: 1, kind: "file" });
    await file.close();
  });
});

describe("reading", () => {
  test("gives exactly what was written, and refuses what is longer than the cap", async () => {
    const folder = await pinned(scratchFolder());
    let count = 0;
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.nat(300), async (bytes, cap) => {
        count += 1;
        const name = `file-${count}`;
        const file = await folder.createFile(name, 0o600);
        await file.write(bytes);
        if (bytes.length > cap) expect(await refusal(file.read(cap))).toBe("EFBIG");
        else expect(await file.read(cap)).toEqual(bytes);
        expect(await file.readAt(cap, 10)).toEqual(bytes.subarray(cap, cap + 10));
        await file.append(bytes);
        expect(await file.read(600)).toEqual(Uint8Array.from([...bytes, ...bytes]));
        await file.close();
        await folder.remove(name);
      }),
      { numRuns: 300 },
    );
  });

  test("content of several chunks is whole", async () => {
    const base = scratchFolder();
    const content = Buffer.alloc(1_000_000, "0123456789");
    writeFileSync(join(base, "large"), content);
    expect(content.equals(await files.read(join(base, "large"), content.length))).toBe(true);
    expect(await refusal(files.read(join(base, "large"), content.length - 1))).toBe("EFBIG");
  });

  test("stops at the cap on an endless device, a sparse giant and a file that says it is empty", async () => {
    const base = scratchFolder();
    writeFileSync(join(base, "sparse"), "");
    truncateSync(join(base, "sparse"), 2 ** 40);
    expect(await refusal(files.read("/dev/zero", 1_000_000))).toBe("EFBIG");
    expect(await refusal(files.read(join(base, "sparse"), 1_000_000))).toBe("EFBIG");
    expect(statSync("/proc/self/status").size).toBe(0);
    expect(await refusal(files.read("/proc/self/status", 10))).toBe("EFBIG");
    expect(Buffer.from(await files.read("/proc/self/status", 100_000)).toString()).toContain("Name:");
  });

  test("a pipe waits for its writer", async () => {
    const base = scratchFolder();
    execFileSync("mkfifo", [join(base, "fifo")]);
    const writer = openSync(join(base, "fifo"), constants.O_RDWR);
    const reading = files.read(join(base, "fifo"), 100);
    writeSync(writer, "from a pipe");
    closeSync(writer);
    expect(Buffer.from(await reading).toString()).toBe("from a pipe");
  });

  test("a pipe whose writer says nothing is given up", async () => {
    const base = scratchFolder();
    execFileSync("mkfifo", [join(base, "fifo")]);
    const writer = openSync(join(base, "fifo"), constants.O_RDWR);
    onTestFinished(() => closeSync(writer));
    expect(await refusal(files.read(join(base, "fifo"), 100))).toBe("ETIMEDOUT");
  });
});

describe("writing", () => {
  test("takes an empty file only", async () => {
    const folder = await pinned(scratchFolder());
    const file = await folder.createFile("one", 0o600);
    await file.write(Buffer.from("one"));
    expect(await refusal(file.write(Buffer.from("two")))).toBe("EINVAL");
    expect(Buffer.from(await file.read(10)).toString()).toBe("one");
    await file.sync();
    await file.close();
  });

  test("to a full device is an error", async () => {
    const folder = await pinned("/dev");
    const full = await folder.openFile("full", "append");
    expect(await refusal(full.append(Buffer.from("x")))).toBe("ENOSPC");
    await full.close();
  });

  test("at the end loses nothing of what another process adds there", async () => {
    const base = scratchFolder();
    const source = new URL("../../src/world/files.ts", import.meta.url).href;
    const script = `
      const { realFiles } = await import(${JSON.stringify(source)});
      const folder = await realFiles().openFolder(${JSON.stringify(base)});
      const file = await folder.openFile("lines", "append");
      for (let line = 0; line < 3000; line += 1) await file.append(Buffer.from("x".repeat(50) + "\\n"));
    `;
    await written(await pinned(base), "lines", "");
    const node = ["--input-type=module", "-e", script];
    await Promise.all([1, 2, 3].map(() => promisify(execFile)(process.execPath, node)));
    const lines = readFileSync(join(base, "lines"), "utf8").split("\n");
    expect(lines.filter((line) => line === "x".repeat(50))).toHaveLength(9_000);
    expect(lines).toHaveLength(9_001);
  });

  test("at the end is the kernel's work for every file that may be added to, and refused for others", async () => {
    const folder = await pinned(scratchFolder());
    const files = [await folder.createFile("new", 0o600), await folder.openFile("new", "append")];
    for (const file of files) {
      const flags = /^flags:\s+0*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${file.fd}`, "utf8"))?.[1];
      expect(Number.parseInt(flags ?? "", 8) & constants.O_APPEND).toBe(constants.O_APPEND);
      await file.append(Buffer.from("one\n"));
      await file.close();
    }
    const other = await folder.openFile("new", "read-write");
    expect(await refusal(other.append(Buffer.from("two\n")))).toBe("EINVAL");
    await other.close();
    expect(readFileSync(join(folder.path, "new"), "utf8")).toBe("one\none\n");
  });

  test("on a nearly full disk, which takes a part only, is an error", async (context) => {
    needs(context, root, "root, to mount a small file system");
    const base = scratchFolder();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", base]);
    onTestFinished(() => {
      execFileSync("umount", ["-l", base]);
    });
    const folder = await files.openFolder(base);
    const file = await folder.createFile("large", 0o600);
    expect(await refusal(file.write(Buffer.alloc(100_000, "x")))).toBe("ENOSPC");
    // A part was taken first: the call that took it reported no error.
    expect((await file.stat()).size).toBeGreaterThan(0);
    await file.close();
    await folder.close();
  });
});

describe("a refused call", () => {
  test("carries the POSIX code, the call and the path, and no raw error", async () => {
    const base = scratchFolder();
    mkdirSync(join(base, "full", "sub"), { recursive: true });
    writeFileSync(join(base, "file"), "");
    symlinkSync("loop", join(base, "loop"));
    const folder = await pinned(base);

    expect(await refusal(folder.openFile("none", "read"))).toBe("ENOENT");
    expect(await refusal(folder.openFile("full", "read-write"))).toBe("EISDIR");
    expect(await refusal(folder.openFolder("file"))).toBe("ENOTDIR");
    expect(await refusal(folder.removeFolder("full"))).toBe("ENOTEMPTY");
    expect(await refusal(folder.remove("none"))).toBe("ENOENT");
    expect(await refusal(folder.makeFolder("full", 0o700))).toBe("EEXIST");
    expect(await refusal(folder.rename("none", "else"))).toBe("ENOENT");
    expect(await refusal(files.list(join(base, "file")))).toBe("ENOTDIR");
    expect(await refusal(files.read(base, 10))).toBe("EISDIR");
    expect(await refusal(files.stat(join(base, "loop")))).toBe("ELOOP");
    expect(await refusal(files.realPath(join(base, "none")))).toBe("ENOENT");
    expect(await refusal(files.readLink(join(base, "file")))).toBe("EINVAL");
    expect(await refusal(files.lstat("a\0b"))).toBe("EINVAL");
    await expect(folder.openFile("none", "read")).rejects.toMatchObject({
      call: "open",
      path: join(base, "none"),
      message: `ENOENT: open ${join(base, "none")}`,
    });
  });

  test("for lack of rights is EACCES", async () => {
    const base = scratchFolder();
    writeFileSync(join(base, "secret"), "");
    chmodSync(join(base, "secret"), 0);
    // Root may do everything: be somebody else for this one call.
    if (root) process.seteuid?.(65534);
    const code = await refusal(files.read(join(base, "secret"), 10)).finally(() => {
      if (root) process.seteuid?.(0);
    });
    expect(code).toBe("EACCES");
  });
});

test("paths are resolved and links shown as they stand", async () => {
  const base = scratchFolder();
  writeFileSync(join(base, "file"), "four");
  symlinkSync("file", join(base, "link"));
  expect(await files.readLink(join(base, "link"))).toBe("file");
  expect(await files.realPath(join(base, "link"))).toBe(join(base, "file"));
  expect(await files.lstat(join(base, "link"))).toMatchObject({ kind: "link" });
  const followed = await files.stat(join(base, "link"));
  expect(followed).toMatchObject({ kind: "file", size: 4 });
  expect(followed.ino).toBe(statSync(join(base, "file"), { bigint: true }).ino.toString());
  expect(followed.mtimeNs).toBe(statSync(join(base, "file"), { bigint: true }).mtimeNs.toString());
});
