import { beforeEach, describe, expect, test } from "vitest";
import { carryOnMac, type NamedFile } from "../../src/stores/carry-on-mac.ts";
import {
  type FileStat,
  type OpenFile,
  type RunOptions,
  type RunResult,
  SystemError,
} from "../../src/world/world.ts";
import { problemIn } from "../support/registry-store-contract.ts";

const METADATA = { uid: 501, gid: 20, mode: 0o4640 };
const OLD = "/Users/jane/xml.plist";
const NEW = "/Users/jane/.plex-reclaim-0123";

/** What `ls` says of each file, and the attributes that `xattr` reaches. */
let listed: Record<string, string>;
let values: Map<string, string>;
let calls: string[];
let xattr: (words: readonly string[]) => RunResult;

beforeEach(() => {
  listed = { [OLD]: entry(7), [NEW]: entry(8) };
  values = new Map();
  calls = [];
  xattr = honest;
});

function entry(inode: number, flags = "-", suffix = " "): string {
  return `${inode} -rw-r-----${suffix} 1 501  20  ${flags} 812 Nov 22 08:41 /Users/jane/name\n`;
}

function attribute(name: string, size: number): string {
  return `\t${name}\t ${String(size).padStart(4)} \n`;
}

function said(stdout: string, status = 0): RunResult {
  return { status, signal: null, timedOut: false, stdout, stderr: "" };
}

/** `-p -x NAME FILE` or `-w -x NAME HEX FILE`, with the file as it was handed over. */
function honest(words: readonly string[]): RunResult {
  const [mode, , name = "", hex = "", place = hex] = words;
  if (mode === "-w") {
    values.set(`${place} ${name}`, hex);
    return said("");
  }
  const value = values.get(`${place} ${name}`);
  return value === undefined ? said("", 1) : said(`${value.replace(/../g, "$& ")}\n`);
}

function file(ino: string, path: string): NamedFile {
  const done = async (what: string) => void calls.push(`${path} ${what}`);
  const opened: Partial<OpenFile> = {
    fd: Number(ino),
    stat: async () => ({ ...NO_STAT, ino }),
    chown: (uid, gid) => done(`chown ${uid} ${gid}`),
    chmod: (mode) => done(`chmod ${mode.toString(8)}`),
  };
  return { file: opened as OpenFile, path };
}

const NO_STAT: Omit<FileStat, "ino"> = {
  kind: "file",
  dev: "1",
  links: 1,
  uid: 501,
  gid: 20,
  mode: 0o640,
  size: 812,
  mtimeNs: "0",
};

function carried(): Promise<void> {
  const run = async (program: string, words: readonly string[], options: RunOptions) => {
    calls.push([program, ...words].join(" "));
    if (program === "/bin/ls") {
      const text = listed[words.at(-1) ?? ""];
      return text === undefined ? said("", 1) : said(text);
    }
    expect(options.pass?.map(({ fd }) => fd)).toEqual([7, 8]);
    return xattr(words);
  };
  const [from, to] = [file("7", OLD), file("8", NEW)];
  return carryOnMac({ run }, { from, to, metadata: METADATA, path: OLD });
}

async function refused(): Promise<string> {
  const problem = await problemIn(carried());
  expect(calls.filter((call) => /chown|chmod/.test(call))).toEqual([]);
  return problem.code === "METADATA_NOT_KEPT" ? problem.what : problem.code;
}

const DATE = "com.apple.lastuseddate#PS";

describe("what a file has beside its bytes on a Mac", () => {
  test("is nothing mostly: then owner and mode are set, and no attribute is asked for", async () => {
    await carried();
    expect(calls).toEqual([
      `/bin/ls -ldine@O ${OLD}`,
      `/bin/ls -ldine@O ${NEW}`,
      `${NEW} chown 501 20`,
      `${NEW} chmod 640`,
    ]);
  });

  test("is carried through handles, and owner and mode come last", async () => {
    listed[OLD] = entry(7, "-", "@") + attribute(DATE, 2);
    values.set(`/dev/fd/3 ${DATE}`, "0a0b");
    await carried();
    expect(values.get(`/dev/fd/4 ${DATE}`)).toBe("0A0B");
    expect(calls.slice(2)).toEqual([
      `/usr/bin/xattr -p -x ${DATE} /dev/fd/3`,
      `/usr/bin/xattr -w -x ${DATE} 0A0B /dev/fd/4`,
      `/usr/bin/xattr -p -x ${DATE} /dev/fd/4`,
      `${NEW} chown 501 20`,
      `${NEW} chmod 640`,
    ]);
  });

  test("may be more on the new file: what the system gives to every one", async () => {
    listed[NEW] = entry(8, "compressed", "@") + attribute("com.apple.provenance", 11) + attribute("x", 1);
    await carried();
    expect(calls).toHaveLength(4);
  });

  test("may be an access list and flags that the new file has as well", async () => {
    const list = " 0: group:staff inherited allow read\n 1: user:bob inherited deny write\n";
    listed = {
      [OLD]: entry(7, "tracked,hidden,nodump", "+") + list,
      [NEW]: entry(8, "nodump,hidden", "+") + list,
    };
    await carried();
    listed[NEW] = `${entry(8, "hidden,nodump", "+")} 0: group:staff inherited allow read\n`;
    calls = [];
    expect(await refused()).toBe("acl");
  });

  test("must not be taken off either: a list that only the new file has is refused", async () => {
    listed[NEW] = `${entry(8, "-", "+")} 0: user:bob inherited allow read\n`;
    expect(await refused()).toBe("acl");
    listed[NEW] = entry(8, "uchg");
    expect(await refused()).toBe("flags");
  });

  test.each([
    ["of another file", entry(9)],
    ["of a folder", entry(7).replace("-rw-r-----", "drwxr-x---")],
    ["that has a line nobody knows", `${entry(7)}what is this\n`],
    ["whose name goes on in the next line", `${entry(7).trimEnd()}\nmore of the name\n`],
    ["that is empty", ""],
  ])("is unknown after a list %s", async (_, text) => {
    listed[OLD] = text;
    expect(await refused()).toBe("unknown");
  });

  test("is unknown where ls fails or cannot be started", async () => {
    delete listed[NEW];
    expect(await refused()).toBe("unknown");
    const run = async (program: string) => {
      throw new SystemError("ENOENT", "spawn", program);
    };
    const [from, to] = [file("7", OLD), file("8", NEW)];
    const work = carryOnMac({ run }, { from, to, metadata: METADATA, path: OLD });
    expect(await problemIn(work)).toEqual({ code: "METADATA_NOT_KEPT", path: OLD, what: "unknown" });
  });

  test.each([
    ["reads nothing", () => said("", 1)],
    ["reads no hex", () => said("hello\n")],
    ["reads half a byte", () => said("0A 0\n")],
    [
      "says that it wrote and did not",
      (words: readonly string[]) => (words[0] === "-w" ? said("") : honest(words)),
    ],
    [
      "writes another value",
      (words: readonly string[]) => honest(words.map((word) => (word === "0A0B" ? "0A0C" : word))),
    ],
  ] as const)("is not kept where xattr %s", async (_, how) => {
    listed[OLD] = entry(7, "-", "@") + attribute(DATE, 2);
    values.set(`/dev/fd/3 ${DATE}`, "0A0B");
    xattr = how;
    expect(await refused()).toBe(DATE);
  });

  test.each([
    ["com.apple.quarantine", "left"],
    ["com.apple.provenance", "left"],
    ["com.apple.metadata:kMDItemWhereFroms", "left"],
    ["com.apple.metadata:kMDItemDownloadedDate", "left"],
    ["com.apple.metadata:kMDItemFinderComment", "refused"],
    ["com.apple.macl", "left"],
    ["org.example.sum#CS", "left"],
    ["org.example.sum#N", "left"],
    ["org.example.sum#PB", "left"],
    ["org.example.sum#PS", "refused"],
    ["org.example.sum", "refused"],
    ["org.example.CBN", "refused"],
    ["com.apple.quarantine2", "refused"],
    ["com.apple.ResourceFork", "refused"],
  ] as const)("%s is %s", async (name, what) => {
    listed[OLD] = entry(7, "-", "@") + attribute(name, 3);
    if (what === "refused") expect(await refused()).toBe(name);
    else await carried();
    expect(calls.some((call) => call.startsWith("/usr/bin/xattr"))).toBe(false);
  });

  test("is not carried where the value is long, for everybody may read it", async () => {
    for (const [size, is] of [
      [1024, "carried"],
      [1025, "refused"],
    ] as const) {
      listed[OLD] = entry(7, "-", "@") + attribute("com.apple.FinderInfo", size);
      values.set("/dev/fd/3 com.apple.FinderInfo", "00".repeat(size));
      calls = [];
      if (is === "carried") await carried();
      else expect(await refused()).toBe("com.apple.FinderInfo");
    }
  });
});
