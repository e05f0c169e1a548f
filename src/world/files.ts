import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { attempt } from "./attempt.ts";
import { CappedBytes, fileStat, openFileOn } from "./open-file.ts";
import {
  type FileAccess,
  type FileStat,
  type Files,
  type Folder,
  type OpenFile,
  SystemError,
} from "./world.ts";

/**
 * The real file system. Every refusal is a `SystemError` with a POSIX code.
 *
 * A folder is pinned by a descriptor, and its entries are reached through `/proc/self/fd/N/name`: nobody can
 * redirect them by moving or replacing the folder. Where that is missing (no Linux, no /proc) the name is
 * used after a check that it still leads to the pinned folder (`ESTALE` otherwise): weaker, there is a gap
 * between the check and the use.
 *
 * Calls are made synchronously inside the asynchronous methods: they are short, and their order is certain.
 *
 * @param descriptors where the system shows a process its own descriptors as paths
 */
export function realFiles(descriptors = "/proc/self/fd"): Files {
  const handles = existsSync(descriptors) ? descriptors : null;
  return {
    openFolder: async (path) => pinned(withoutTrailingSlash(path), path, handles),
    stat: async (path) => attempt("stat", path, () => fileStat(statSync(path, { bigint: true }))),
    lstat: async (path) => attempt("lstat", path, () => fileStat(lstatSync(path, { bigint: true }))),
    readLink: async (path) => attempt("readlink", path, () => readlinkSync(path)),
    realPath: async (path) => attempt("realpath", path, () => realpathSync.native(path)),
    list: async (path) => attempt("readdir", path, () => readdirSync(path)),
    read: readFollowing,
  };
}

// libuv adds O_CLOEXEC to every open, so that no child sees these descriptors unless it is handed them.
const SAFE = constants.O_NOFOLLOW | constants.O_NOCTTY;
const OPEN_FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | SAFE;
const OPEN_READ = constants.O_RDONLY | constants.O_NONBLOCK | SAFE;
const OPEN_READ_WRITE = constants.O_RDWR | constants.O_NONBLOCK | SAFE;
// With O_APPEND the kernel finds the end and writes there in one step: two processes lose none of each other's.
const OPEN_APPEND = constants.O_RDWR | constants.O_APPEND | constants.O_NONBLOCK | SAFE;
const CREATE = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL | SAFE;
const OPEN_FLAGS = { read: OPEN_READ, "read-write": OPEN_READ_WRITE, append: OPEN_APPEND } as const;
const OPEN_FOLLOWING = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

const PIPE_WAIT_MS = 20;
const PIPE_WAITS = 250;

function pinned(reachedBy: string, path: string, handles: string | null): Folder {
  const fd = attempt("open", path, () => openSync(reachedBy, OPEN_FOLDER));
  return new PinnedFolder(fd, path, handles);
}

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

class PinnedFolder implements Folder {
  readonly path: string;
  readonly #fd: number;
  readonly #handles: string | null;
  #open = true;

  constructor(fd: number, path: string, handles: string | null) {
    this.path = path;
    this.#fd = fd;
    this.#handles = handles;
  }

  async stat(): Promise<FileStat> {
    return this.#self("fstat", (fd) => fileStat(fstatSync(fd, { bigint: true })));
  }

  async list(): Promise<string[]> {
    return this.#self("readdir", () => readdirSync(this.#base("readdir")));
  }

  async lstat(name: string): Promise<FileStat> {
    return this.#entry("lstat", name, (at) => fileStat(lstatSync(at, { bigint: true })));
  }

  async openFile(name: string, access: FileAccess): Promise<OpenFile> {
    const fd = this.#entry("open", name, (at) => openSync(at, OPEN_FLAGS[access]));
    return openFileOn(fd, join(this.path, name), access === "append");
  }

  async createFile(name: string, mode: number): Promise<OpenFile> {
    return this.#entry("open", name, (at) => {
      const fd = openSync(at, CREATE, mode);
      try {
        // The umask took bits away; never the other way round, so that there is no moment of more access.
        fchmodSync(fd, mode);
      } catch (error) {
        closeSync(fd);
        unlinkSync(at);
        throw error;
      }
      return openFileOn(fd, join(this.path, name), true);
    });
  }

  async openFolder(name: string): Promise<Folder> {
    return this.#entry("open", name, (at) => pinned(at, join(this.path, name), this.#handles));
  }

  async makeFolder(name: string, mode: number): Promise<void> {
    this.#entry("mkdir", name, (at) => {
      mkdirSync(at, mode);
      const fd = openSync(at, OPEN_FOLDER);
      try {
        fchmodSync(fd, mode);
      } finally {
        closeSync(fd);
      }
    });
  }

  async rename(from: string, to: string): Promise<void> {
    this.#entry("rename", from, (source) =>
      this.#entry("rename", to, (target) => renameSync(source, target)),
    );
  }

  async remove(name: string): Promise<void> {
    this.#entry("unlink", name, unlinkSync);
  }

  async removeFolder(name: string): Promise<void> {
    this.#entry("rmdir", name, (at) => rmdirSync(at));
  }

  async sync(): Promise<void> {
    this.#self("fsync", fsyncSync);
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    // Whatever close() answers, the number is free again: a second close could hit somebody else's file.
    this.#open = false;
    attempt("close", this.path, () => closeSync(this.#fd));
  }

  #self<T>(call: string, body: (fd: number) => T): T {
    if (!this.#open) throw new SystemError("EBADF", call, this.path);
    return attempt(call, this.path, () => body(this.#fd));
  }

  #entry<T>(call: string, name: string, body: (at: string) => T): T {
    if (name === "" || name === "." || name === ".." || name.includes("/")) {
      throw new SystemError("EINVAL", call, join(this.path, name));
    }
    return attempt(call, join(this.path, name), () => body(`${this.#base(call)}/${name}`));
  }

  /** The pinned folder as a path. */
  #base(call: string): string {
    if (!this.#open) throw new SystemError("EBADF", call, this.path);
    if (this.#handles !== null) return `${this.#handles}/${this.#fd}`;
    const held = fstatSync(this.#fd, { bigint: true });
    const named = attempt(call, this.path, () => lstatSync(this.path, { bigint: true }));
    if (held.dev !== named.dev || held.ino !== named.ino) throw new SystemError("ESTALE", call, this.path);
    return this.path;
  }
}

/** Opened without blocking, so that a FIFO without a writer reads as empty. */
async function readFollowing(path: string, capBytes: number): Promise<Uint8Array> {
  const fd = attempt("open", path, () => openSync(path, OPEN_FOLLOWING));
  try {
    const regular = attempt("fstat", path, () => fstatSync(fd).isFile());
    if (regular) return await openFileOn(fd, path).read(capBytes);
    return await readStream(fd, path, capBytes);
  } finally {
    closeSync(fd);
  }
}

/** A pipe (a shell's `<(command)`) or device: in order, waiting a few seconds for a slow writer. */
async function readStream(fd: number, path: string, capBytes: number): Promise<Uint8Array> {
  const content = new CappedBytes(path, capBytes);
  for (let waits = 0; ; ) {
    const room = content.room();
    const taken = takeOrNothingYet(fd, path, room);
    if (taken === 0) return content.whole();
    if (taken !== null) {
      content.add(room.subarray(0, taken));
      continue;
    }
    waits += 1;
    if (waits > PIPE_WAITS) throw new SystemError("ETIMEDOUT", "read", path);
    await new Promise((resolve) => setTimeout(resolve, PIPE_WAIT_MS));
  }
}

function takeOrNothingYet(fd: number, path: string, room: Uint8Array): number | null {
  try {
    return attempt("read", path, () => readSync(fd, room, 0, room.length, null));
  } catch (error) {
    if (error instanceof SystemError && (error.code === "EAGAIN" || error.code === "EINTR")) return null;
    throw error;
  }
}
