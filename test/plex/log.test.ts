import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { type LogFinding, readSignInLog } from "../../src/plex/log.ts";
import { realFiles } from "../../src/world/files.ts";
import type { Files, OpenFile } from "../../src/world/world.ts";
import { dataFolder, LINES, logPath } from "./play.ts";

const world = { files: realFiles() };
const { start, other, features401, features403, features200, error401, published, withToken, withoutToken } =
  LINES;
/** The time of all lines of the tests, in a zone six hours behind. */
const LINES_AT = Date.UTC(2026, 10, 22, 16, 0, 0);

function find(folder: string, since?: number): Promise<LogFinding> {
  return readSignInLog(world, { dataFolder: folder }, since === undefined ? {} : { since });
}

describe("what the log says", () => {
  it.each([
    ["nothing of the sign-in", [start, other], "silent", 0],
    ["that the token was accepted", [start, features200, published], "accepted", 0],
    ["that it was revoked", [start, withToken, features401, error401], "revoked", 2],
    ["that it was revoked, without a word on the token", [start, features401], "revoked", 1],
    ["that there is none", [start, withoutToken, features401, error401], "unclaimed", 2],
    [
      "that there was none before it was revoked",
      [start, withoutToken, withToken, features401],
      "revoked",
      1,
    ],
    ["that it is another server's", [start, features403], "forbidden", 1],
    ["first refused, then accepted", [start, features401, error401, features200], "accepted", 0],
    ["first refused, then published", [start, error401, published], "accepted", 0],
    ["first accepted, then refused", [start, features200, published, error401], "revoked", 1],
    ["forbidden though published: that was seen", [start, features403, published], "forbidden", 1],
    ["forbidden, then accepted", [start, features403, features200], "accepted", 0],
    ["refused only before the last start", [start, features401, start, other], "silent", 0],
  ] as const)("%s", async (_, lines, verdict, refusals) => {
    const finding = await find(dataFolder(lines));
    expect(finding).toMatchObject({ kind: "read", verdict, refusals });
    const since = lines.lastIndexOf(start as never);
    expect(finding.kind === "read" && finding.lines).toBe(lines.length - since);
    expect(finding.kind === "read" && finding.firstRefusal !== null).toBe(refusals > 0);
  });

  it("is the same from a newer server's hosts, an older one's grammar, and with CRLF", async () => {
    const newer = features401
      .replace("https://plex.tv", "https://servers.plex.tv")
      .replace(" (reused)", "?x=1");
    const older = error401.replace("10:00:00.000 [140000000000000]", "10:00:00 [0x7f00aa]");
    const finding = await find(dataFolder([start, newer, older].map((line) => `${line}\r`)));
    expect(finding).toMatchObject({ verdict: "revoked", refusals: 2, lines: 3 });
    expect(JSON.stringify(finding)).not.toContain("\\r");
  });

  it("is not what a client, a file name or another token's owner says", async () => {
    const at = other.slice(0, other.indexOf(" DEBUG"));
    const lines = [
      start,
      `${at} DEBUG - Request: GET /x?name=${error401} (2 live)`,
      `${at} WARN - Could not open MyPlex: Error 401 requesting JSON from: https://plex.tv/api/v2/server/x`,
      `${at} DEBUG - [HttpClient/HCl#1] HTTP/1.1 (0.0s) 401 response from GET https://plex.tv/api/v2/user`,
      `${at} DEBUG - [HttpClient/HCl#1] HTTP/1.1 (0.0s) 401 response from GET https://plex.tv.example.com/api/v2/server/users/features`,
      error401.slice(at.length),
      "",
      "a second line of a message: MyPlex: Error 401",
    ];
    expect(await find(dataFolder(lines))).toMatchObject({ verdict: "silent", lines: 5 });
  });

  it("is shown without tokens, addresses, identifiers and terminal escapes", async () => {
    const spoiled = `${error401}/x?X-Plex-Token=abcDEF123&email=jane@example.com&id=${"0a".repeat(20)} 203.0.113.9 \u001b[2J claim-AbCdEfGhIjKlMnOpQrSt`;
    const finding = await find(dataFolder([start, spoiled]));
    const line = finding.kind === "read" ? finding.firstRefusal : null;
    expect(line).toContain(
      "MyPlex: Error 401 requesting JSON from: https://plex.tv/api/v2/server/users/features",
    );
    for (const secret of ["abcDEF123", "jane", "0a0a", "203.0.113", "\u001b", "AbCdEf"])
      expect(line).not.toContain(secret);
    expect(line?.length).toBeLessThanOrEqual(300);
  });
});

describe("the last start", () => {
  it("is not there without a banner, nor where the newest one is older than the start that is meant", async () => {
    const path = { kind: "without-start" };
    expect(await find(dataFolder([features401]))).toMatchObject(path);
    expect(await find(dataFolder([]))).toMatchObject(path);
    const folder = dataFolder([start, features401]);
    expect(await find(folder, LINES_AT + 2_000)).toMatchObject(path);
    expect(await find(folder, LINES_AT)).toMatchObject({ verdict: "revoked" });
    expect(await find(folder, LINES_AT + 500)).toMatchObject({ verdict: "revoked" });
  });

  it.each([
    ["GMT -06:00", 6],
    ["GMT 06:00", -6],
    ["GMT +06:00", -6],
    ["GMT 00:00", 0],
  ])("is timed in the zone of the banner: %s", async (zone, hours) => {
    const folder = dataFolder([start.replace("GMT -06:00", zone)]);
    const at = Date.UTC(2026, 10, 22, 10 + hours, 0, 0);
    expect(await find(folder, at)).toMatchObject({ kind: "read" });
    expect(await find(folder, at + 2_000)).toMatchObject({ kind: "without-start" });
  });

  it("counts whenever it was where the banner names no zone", async () => {
    expect(await find(dataFolder([start.replace(" - GMT -06:00", "")]), LINES_AT * 2)).toMatchObject({
      kind: "read",
    });
  });
});

describe("a log that is not what it should be", () => {
  it("is missing, with its path", async () => {
    const folder = dataFolder();
    expect(await find(folder)).toEqual({ kind: "missing", path: logPath(folder) });
    rmSync(join(folder, "Logs"), { recursive: true });
    expect((await find(folder)).kind).toBe("missing");
    rmSync(folder, { recursive: true });
    expect((await find(folder)).kind).toBe("missing");
  });

  it.each([
    ["a link to another file", (log: string) => symlinkSync("/etc/passwd", log)],
    ["a dangling link", (log: string) => symlinkSync("/nowhere/at/all", log)],
    ["a folder", (log: string) => mkdirSync(log)],
    ["a pipe that nobody writes to", (log: string) => execFileSync("mkfifo", [log])],
    ["an endless device behind a link", (log: string) => symlinkSync("/dev/zero", log)],
  ])("is not read when it is %s", async (_, make) => {
    const folder = dataFolder();
    make(logPath(folder));
    expect(await find(folder)).toEqual({ kind: "unreadable", path: logPath(folder) });
  });

  it("is not reached through a link in place of the folder of logs, but through one to the data folder", async () => {
    const folder = dataFolder([start]);
    const elsewhere = realpathSync(mkdtempSync(join(tmpdir(), "plex-reclaim-link-")));
    onTestFinished(() => rmSync(elsewhere, { recursive: true, force: true }));
    symlinkSync(folder, join(elsewhere, "data"));
    expect((await find(join(elsewhere, "data"))).kind).toBe("read");
    renameSync(join(folder, "Logs"), join(elsewhere, "Logs"));
    symlinkSync(join(elsewhere, "Logs"), join(folder, "Logs"));
    expect((await find(folder)).kind).toBe("unreadable");
  });

  it("that this account may not read says so", async () => {
    const folder = dataFolder([start]);
    const denied: Files = {
      ...world.files,
      openFolder: async (path) => {
        const opened = await world.files.openFolder(path);
        chmodSync(join(folder, "Logs"), 0);
        return opened;
      },
    };
    const finding = await readSignInLog({ files: denied }, { dataFolder: folder });
    // Root may read everything; anybody else is refused by the system itself.
    expect(finding.kind).toBe(process.getuid?.() === 0 ? "read" : "unreadable");
    chmodSync(join(folder, "Logs"), 0o700);
  });

  it("of 10 GB, sparse, with a line without end, is read to the cap and no further", async () => {
    const folder = dataFolder([start, other]);
    truncateSync(logPath(folder), 10 * 1024 ** 3);
    appendFileSync(logPath(folder), `\n${features401}\n`);
    let bytes = 0;
    const counting = countingFiles(world.files, (count) => {
      bytes += count;
    });
    expect(await readSignInLog({ files: counting }, { dataFolder: folder })).toMatchObject({
      kind: "read",
      verdict: "revoked",
      refusals: 1,
    });
    expect(bytes).toBeLessThanOrEqual(65 * 1024 * 1024);
  });

  it("with a line longer than any cap still has its neighbours read", async () => {
    const long = `${error401} ${"x".repeat(3 * 1024 * 1024)}`;
    expect(await find(dataFolder([start, long, features401]))).toMatchObject({ refusals: 2, lines: 3 });
  });

  it("without a last line break has its last line read", async () => {
    const folder = dataFolder([start]);
    appendFileSync(logPath(folder), features401);
    expect(await find(folder)).toMatchObject({ refusals: 1, lines: 2 });
  });
});

describe("the borders between what is read at a time", () => {
  it("hide no line, wherever they fall", async () => {
    const folder = dataFolder();
    const filling = fc.array(fc.constantFrom(other, features401, error401, `${other} ${"é".repeat(50)}`), {
      minLength: 1,
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(filling, fc.integer({ min: 1, max: 400 }), async (lines, most) => {
        writeFileSync(logPath(folder), [start, ...lines].join("\n"));
        const finding = await readSignInLog(
          { files: choppyFiles(world.files, most) },
          { dataFolder: folder },
        );
        const refusals = lines.filter((line) => line === features401 || line === error401).length;
        expect(finding).toMatchObject({ kind: "read", lines: lines.length + 1, refusals });
      }),
      { numRuns: 200 },
    );
  });
});

/** Files whose reads give at most so many bytes, out of a buffer that is used again. */
function choppyFiles(files: Files, most: number): Files {
  const buffer = new Uint8Array(most);
  return overFiles(files, (file) => ({
    ...bound(file),
    readAt: async (position, length) => {
      const bytes = await file.readAt(position, Math.min(length, most));
      buffer.set(bytes);
      return buffer.subarray(0, bytes.length);
    },
  }));
}

function countingFiles(files: Files, count: (bytes: number) => void): Files {
  return overFiles(files, (file) => ({
    ...bound(file),
    readAt: async (position, length) => {
      const bytes = await file.readAt(position, length);
      count(bytes.length);
      return bytes;
    },
  }));
}

function overFiles(files: Files, wrap: (file: OpenFile) => OpenFile): Files {
  return {
    ...files,
    openFolder: async (path) => {
      const data = await files.openFolder(path);
      return {
        ...boundFolder(data),
        openFolder: async (name) => {
          const logs = await data.openFolder(name);
          return {
            ...boundFolder(logs),
            openFile: async (log, access) => wrap(await logs.openFile(log, access)),
          };
        },
      };
    },
  };
}

type Folder = Awaited<ReturnType<Files["openFolder"]>>;

function boundFolder(folder: Folder): Folder {
  return {
    path: folder.path,
    stat: () => folder.stat(),
    list: () => folder.list(),
    lstat: (name) => folder.lstat(name),
    openFile: (name, access) => folder.openFile(name, access),
    createFile: (name, mode) => folder.createFile(name, mode),
    openFolder: (name) => folder.openFolder(name),
    makeFolder: (name, mode) => folder.makeFolder(name, mode),
    rename: (from, to) => folder.rename(from, to),
    remove: (name) => folder.remove(name),
    removeFolder: (name) => folder.removeFolder(name),
    sync: () => folder.sync(),
    close: () => folder.close(),
  };
}

function bound(file: OpenFile): OpenFile {
  return {
    fd: file.fd,
    stat: () => file.stat(),
    read: (cap) => file.read(cap),
    readAt: (position, length) => file.readAt(position, length),
    write: (bytes) => file.write(bytes),
    append: (bytes) => file.append(bytes),
    chown: (uid, gid) => file.chown(uid, gid),
    chmod: (mode) => file.chmod(mode),
    sync: () => file.sync(),
    close: () => file.close(),
  };
}
