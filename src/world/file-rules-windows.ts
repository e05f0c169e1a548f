import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
} from "node:fs";
import { win32 } from "node:path";
import { type FileRules, fileStat } from "./file-rules.ts";
import { type FileStat, SystemError } from "./world.ts";

/**
 * Windows, through Node. An open that refuses links does not exist there (Node's constants have no `O_NOFOLLOW` on
 * it), so what a name leads to is looked at before, and compared with what was opened after: junctions count as
 * links. Who may enter is not in a mode but in access lists (`WindowsSystem.folders`): files take over those of
 * their folder, and a mode only says `0600` and `0700`, or without the `2` for what is read-only.
 */
export const windowsRules: FileRules = {
  open: (at, access) => {
    if (lstatSync(at).isSymbolicLink()) throw new SystemError("ELOOP", "open", at);
    return sameAsNamed(at, openSync(at, OPEN_FLAGS[access]), access === "folder");
  },
  create: (at) => {
    // The system would make the file that a dangling link leads to.
    if (lstatSync(at, { throwIfNoEntry: false }) !== undefined) throw new SystemError("EEXIST", "open", at);
    return sameAsNamed(at, openSync(at, CREATE), false);
  },
  makeFolder: (at) => mkdirSync(at),
  syncFolder: (_, at) => flushed(at),
  realPath: (path) => {
    try {
      return realpathSync.native(path);
    } catch (error) {
      // Disks without a name of the system's kind (some virtual ones) cannot answer that question.
      if (codeOf(error) !== "UNKNOWN" && codeOf(error) !== "EISDIR") throw error;
      return realpathSync(path);
    }
  },
  // A colon would lead into another stream of the file before it.
  isEntryName: (name) => name !== "" && name !== "." && name !== ".." && !/[\\/:]/.test(name),
  bare: (path) => {
    const root = win32.parse(path).root.length;
    return path.slice(0, root) + path.slice(root).replace(/(?:[\\/]+|[\\/]\.)+$/, "");
  },
  stat: windowsStat,
  hasOwners: false,
  // A scanner or an indexer holds a new file open for a moment; sharing violations come as any of these.
  passing: new Set(["EPERM", "EACCES", "EBUSY"]),
};

const OPEN_FLAGS = {
  folder: constants.O_RDONLY,
  read: constants.O_RDONLY,
  "read-write": constants.O_RDWR,
  append: constants.O_RDWR | constants.O_APPEND,
} as const;
const CREATE = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL;

/** The same descriptor, when the name stands for just what it holds; closes it otherwise. */
function sameAsNamed(at: string, fd: number, folder: boolean): number {
  try {
    const held = fstatSync(fd, { bigint: true });
    const named = lstatSync(at, { bigint: true });
    if (held.dev !== named.dev || held.ino !== named.ino) throw new SystemError("ESTALE", "open", at);
    if (folder && !held.isDirectory()) throw new SystemError("ENOTDIR", "open", at);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * The system flushes only what was opened for writing, which it may not allow for a folder; file systems are free to
 * have nothing to flush there. Their journals keep the names in order all the same.
 */
function flushed(at: string): void {
  try {
    const fd = openSync(at, constants.O_RDWR);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (!HAS_NO_FOLDER_SYNC.has(codeOf(error))) throw error;
  }
}

const HAS_NO_FOLDER_SYNC: ReadonlySet<string> = new Set(["EPERM", "EACCES", "EISDIR", "EINVAL", "ENOTSUP"]);

function windowsStat(stat: BigIntStats): FileStat {
  const whole = fileStat(stat);
  return { ...whole, mode: whole.kind === "folder" ? 0o700 : whole.mode & 0o600 };
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
