import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { attempt } from "./attempt.ts";
import { type FileRules, posixRules } from "./file-rules.ts";
import { CappedBytes, openFileOn } from "./open-file.ts";
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
export function realFiles(descriptors = "/proc/self/fd", rules: FileRules = posixRules): Files {
  const place = { handles: existsSync(descriptors) ? descriptors : null, rules };
  return {
    openFolder: async (path) => pinned(rules.bare(path), path, place),
    stat: async (path) => attempt("stat", path, () => rules.stat(statSync(path, { bigint: true }))),
    lstat: async (path) => attempt("lstat", path, () => rules.stat(lstatSync(path, { bigint: true }))),
    readLink: async (path) => attempt("readlink", path, () => readlinkSync(path)),
    realPath: async (path) => attempt("realpath", path, () => rules.realPath(path)),
    list: async (path) => attempt("readdir", path, () => readdirSync(path)),
    read: (path, capBytes) => readFollowing(path, capBytes, rules),
  };
}

/** How entries are reached, and what the system's rules are. */
interface Place {
  readonly handles: string | null;
  readonly rules: FileRules;
}

const OPEN_FOLLOWING = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

const PIPE_WAIT_MS = 20;
const PIPE_WAITS = 250;

/** Whoever else holds a file is done with it soon, or will not be. */
const PASSING_WAIT_MS = 100;
const PASSING_WAITS = 30;

function pinned(reachedBy: string, path: string, place: Place): Folder {
  const fd = attempt("open", path, () => place.rules.open(reachedBy, "folder"));
  return new PinnedFolder(fd, path, place);
}

class PinnedFolder implements Folder {
  readonly path: string;
  readonly #fd: number;
  readonly #place: Place;
  #open = true;

  constructor(fd: number, path: string, place: Place) {
    this.path = path;
    this.#fd = fd;
    this.#place = place;
  }

  get #rules(): FileRules {
    return this.#place.rules;
  }

  async stat(): Promise<FileStat> {
    return this.#self("fstat", (fd) => this.#rules.stat(fstatSync(fd, { bigint: true })));
  }

  async list(): Promise<string[]> {
    return this.#self("readdir", () => readdirSync(this.#base("readdir")));
  }

  async lstat(name: string): Promise<FileStat> {
    return this.#entry("lstat", name, (at) => this.#rules.stat(lstatSync(at, { bigint: true })));
  }

  async openFile(name: string, access: FileAccess): Promise<OpenFile> {
    const fd = this.#entry("open", name, (at) => this.#rules.open(at, access));
    return this.#opened(fd, name, access === "append");
  }

  async createFile(name: string, mode: number): Promise<OpenFile> {
    const fd = this.#entry("open", name, (at) => this.#rules.create(at, mode));
    return this.#opened(fd, name, true);
  }

  async openFolder(name: string): Promise<Folder> {
    return this.#entry("open", name, (at) => pinned(at, join(this.path, name), this.#place));
  }

  async makeFolder(name: string, mode: number): Promise<void> {
    this.#entry("mkdir", name, (at) => this.#rules.makeFolder(at, mode));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#patiently(() =>
      this.#entry("rename", from, (source) =>
        this.#entry("rename", to, (target) => renameSync(source, target)),
      ),
    );
  }

  async remove(name: string): Promise<void> {
    await this.#patiently(() => this.#entry("unlink", name, unlinkSync));
  }

  async removeFolder(name: string): Promise<void> {
    await this.#patiently(() => this.#entry("rmdir", name, (at) => rmdirSync(at)));
  }

  async sync(): Promise<void> {
    this.#self("fsync", (fd) => this.#rules.syncFolder(fd, this.#base("fsync")));
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

  #opened(fd: number, name: string, appends: boolean): OpenFile {
    return openFileOn(fd, join(this.path, name), { appends, rules: this.#rules });
  }

  /** Tries again, a counted number of times, what the system refuses only while somebody else looks at it. */
  async #patiently(call: () => void): Promise<void> {
    for (let waits = 0; ; waits += 1) {
      try {
        return call();
      } catch (error) {
        const passing = error instanceof SystemError && this.#rules.passing.has(error.code);
        if (!passing || waits === PASSING_WAITS) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, PASSING_WAIT_MS));
    }
  }

  #entry<T>(call: string, name: string, body: (at: string) => T): T {
    if (!this.#rules.isEntryName(name)) {
      throw new SystemError("EINVAL", call, join(this.path, name));
    }
    return attempt(call, join(this.path, name), () => body(`${this.#base(call)}/${name}`));
  }

  /** The pinned folder as a path. */
  #base(call: string): string {
    if (!this.#open) throw new SystemError("EBADF", call, this.path);
    if (this.#place.handles !== null) return `${this.#place.handles}/${this.#fd}`;
    const held = fstatSync(this.#fd, { bigint: true });
    const named = attempt(call, this.path, () => lstatSync(this.path, { bigint: true }));
    if (held.dev !== named.dev || held.ino !== named.ino) throw new SystemError("ESTALE", call, this.path);
    return this.path;
  }
}

/** Opened without blocking, so that a FIFO without a writer reads as empty. */
async function readFollowing(path: string, capBytes: number, rules: FileRules): Promise<Uint8Array> {
  const fd = attempt("open", path, () => openSync(path, OPEN_FOLLOWING));
  try {
    const regular = attempt("fstat", path, () => fstatSync(fd).isFile());
    if (regular) return await openFileOn(fd, path, { appends: false, rules }).read(capBytes);
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
