import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  unlinkSync,
} from "node:fs";
import { attempt } from "./attempt.ts";
import { SystemError, type World } from "./world.ts";

/**
 * A lock by name for a whole Mac, which has no sockets without a file: an empty file in the folder that every account
 * may write to, opened with the kernel's own lock. The kernel frees that when the process ends, however it ends, so a
 * file that was left behind means nothing.
 *
 * Of the accounts of the machine anybody can take such a lock first, or make the file, and so keep others out; nobody
 * can make two runs work at once. For that the file must belong to root or to us, since only its owner can take its
 * name away (the folder is sticky): `EPERM` with its path otherwise. Root takes over what somebody else has made.
 *
 * @throws SystemError `ENOLCK` where the kernel would hand the lock out twice; what the system refuses
 */
export const darwinLock: World["lock"] = fileLock("/private/var/tmp", openLocked);

/**
 * Opens a file for reading, made if it is not there with mode 0444, never through a link, and takes its lock in the
 * same call. Synchronous; throws as `node:fs` does, `EAGAIN` when somebody has the lock.
 */
export type OpenLocked = (path: string) => number;

/** The same with a folder and a way to open of one's own. */
export function fileLock(folder: string, open: OpenLocked): World["lock"] {
  return async (name) => {
    const hash = createHash("sha256").update(name).digest("hex").slice(0, 32);
    const path = `${folder}/plex-reclaim-${hash}.lock`;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const taken = take(path, open);
      if (taken === "held") return null;
      if (taken !== "moved") return { release: async () => release(taken, path) };
    }
    return null;
  };
}

/** Whoever takes the name away from us was holding it, and has let it go. */
const TRIES = 20;

/**
 * `O_EXLOCK` of <sys/fcntl.h>, which Node has no name for and hands on as it is. Without waiting (`O_NONBLOCK`) it is
 * `flock(2)` in the same call (open(2) of macOS; libuv's `UV_FS_O_EXLOCK`).
 */
const O_EXLOCK = 0x20;

const OPEN = constants.O_RDONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK | O_EXLOCK;

function openLocked(path: string): number {
  return openSync(path, OPEN, READABLE);
}

/** For every account: to take the lock one must be able to open it, and there is nothing in it. */
const READABLE = 0o444;

/** The descriptor that holds the lock; `moved`: its file has lost its name since. */
function take(path: string, open: OpenLocked): number | "held" | "moved" {
  const fd = tryOpen(path, open);
  if (fd === "held") return "held";
  try {
    if (!isNamed(fd, path)) return closed(fd, "moved");
    demandOurs(fd, path);
    // Again: whoever owned it until now could have taken its name away.
    if (!isNamed(fd, path)) return closed(fd, "moved");
    const second = tryOpen(path, open);
    if (second === "held") return fd;
    // A lock that we can have twice is none. Or the name has moved, and this is the lock of another file.
    const isSame = isNamed(fd, path);
    closeSync(second);
    if (isSame) throw new SystemError("ENOLCK", "open", path);
    return closed(fd, "moved");
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function tryOpen(path: string, open: OpenLocked): number | "held" {
  try {
    return attempt("open", path, () => open(path));
  } catch (error) {
    if (error instanceof SystemError && error.code === "EAGAIN") return "held";
    throw error;
  }
}

function closed<T>(fd: number, answer: T): T {
  closeSync(fd);
  return answer;
}

function isNamed(fd: number, path: string): boolean {
  const held = fstatSync(fd, { bigint: true });
  const named = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return named !== undefined && named.dev === held.dev && named.ino === held.ino;
}

function demandOurs(fd: number, path: string): void {
  const stat = fstatSync(fd);
  const own = process.geteuid?.() ?? -1;
  if (!stat.isFile() || stat.nlink !== 1 || stat.size !== 0) throw new SystemError("EPERM", "open", path);
  if (stat.uid !== own && stat.uid !== 0) {
    if (own !== 0) throw new SystemError("EPERM", "open", path);
    attempt("fchown", path, () => fchownSync(fd, 0, 0));
  }
  // The umask has taken from it what others need.
  if (own === 0 || stat.uid === own) attempt("fchmod", path, () => fchmodSync(fd, READABLE));
}

/** The name first, while nobody else can have the lock: who waits for this file finds that it has none any more. */
function release(fd: number, path: string): void {
  try {
    if (isNamed(fd, path)) unlinkSync(path);
  } catch {
    // Root's, say. It may stay: a file that nobody holds means nothing.
  }
  closeSync(fd);
}
