import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  unlinkSync,
} from "node:fs";
import type { FileAccess, FileStat } from "./world.ts";

/** What differs between systems about files; `files.ts` and `open-file.ts` do the rest alike. Synchronous. */
export interface FileRules {
  /** Opens what has this name itself, never what a link leads to; never blocks on a FIFO. */
  open(at: string, access: FileAccess | "folder"): number;
  /** Makes a file, opened to append: `EEXIST` when anything has the name. */
  create(at: string, mode: number): number;
  makeFolder(at: string, mode: number): void;
  /** Makes the names in an open folder durable, as far as the system can; `at` leads to it. */
  syncFolder(fd: number, at: string): void;
  realPath(path: string): string;
  /** Whether a text can be the name of an entry, and of nothing else. */
  isEntryName(name: string): boolean;
  /** The path without an end that would make the system look behind a link in its last part. */
  bare(path: string): string;
  stat(stat: BigIntStats): FileStat;
  /** Whether owner and mode can be set: where they cannot, setting them does nothing. */
  readonly hasOwners: boolean;
  /** Refusals of a rename or a removal that may pass by themselves. */
  readonly passing: ReadonlySet<string>;
}

/** Linux and its like. */
export const posixRules: FileRules = {
  open: (at, access) => openSync(at, OPEN_FLAGS[access]),
  create: (at, mode) => {
    const fd = openSync(at, CREATE, mode);
    try {
      // The umask took bits away; never the other way round, so that there is no moment of more access.
      fchmodSync(fd, mode);
      return fd;
    } catch (error) {
      closeSync(fd);
      unlinkSync(at);
      throw error;
    }
  },
  makeFolder: (at, mode) => {
    mkdirSync(at, mode);
    const fd = openSync(at, OPEN_FLAGS.folder);
    try {
      fchmodSync(fd, mode);
    } finally {
      closeSync(fd);
    }
  },
  syncFolder: (fd) => fsyncSync(fd),
  realPath: (path) => realpathSync.native(path),
  isEntryName: (name) => name !== "" && name !== "." && name !== ".." && !name.includes("/"),
  bare: withoutTrailingSlash,
  stat: fileStat,
  hasOwners: true,
  passing: new Set(),
};

/** The part of a `stat` that we use, without losing bits of large numbers. */
export function fileStat(stat: BigIntStats): FileStat {
  return {
    kind: stat.isFile() ? "file" : stat.isDirectory() ? "folder" : stat.isSymbolicLink() ? "link" : "other",
    dev: String(stat.dev),
    ino: String(stat.ino),
    links: Number(stat.nlink),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mode: Number(stat.mode & 0o7777n),
    size: Number(stat.size),
    mtimeNs: String(stat.mtimeNs),
  };
}

// libuv adds O_CLOEXEC to every open, so that no child sees these descriptors unless it is handed them.
const SAFE = constants.O_NOFOLLOW | constants.O_NOCTTY;
const OPEN_FLAGS = {
  folder: constants.O_RDONLY | constants.O_DIRECTORY | SAFE,
  read: constants.O_RDONLY | constants.O_NONBLOCK | SAFE,
  "read-write": constants.O_RDWR | constants.O_NONBLOCK | SAFE,
  // With O_APPEND the kernel finds the end and writes there in one step: two processes lose none of each other's.
  append: constants.O_RDWR | constants.O_APPEND | constants.O_NONBLOCK | SAFE,
} as const;
const CREATE = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL | SAFE;

/** A slash (or `/.`) at the end would make the system follow a link in the last part. */
function withoutTrailingSlash(path: string): string {
  let end = path.length;
  while (end > 1) {
    if (path[end - 1] === "/") end -= 1;
    else if (path[end - 1] === "." && path[end - 2] === "/") end -= 1;
    else break;
  }
  return path.slice(0, end);
}
