import { closeSync, fchmodSync, fchownSync, fstatSync, fsyncSync, readSync, writeSync } from "node:fs";
import { attempt } from "./attempt.ts";
import type { FileRules } from "./file-rules.ts";
import { type FileStat, type OpenFile, SystemError } from "./world.ts";

export interface OpenedAs {
  /** Whether it was opened with O_APPEND. */
  readonly appends: boolean;
  readonly rules: FileRules;
}

/** An open file around a descriptor that it owns from now on; `path` is for messages only. */
export function openFileOn(fd: number, path: string, as: OpenedAs): OpenFile {
  return new DescriptorFile(fd, path, as);
}

/**
 * Bytes collected up to the end of a file. The size that `stat` tells is not believed (devices and /proc say
 * 0, a file may grow meanwhile): one byte past the cap is `EFBIG`.
 */
export class CappedBytes {
  readonly #path: string;
  readonly #cap: number;
  readonly #chunks: Uint8Array[] = [];
  #total = 0;

  constructor(path: string, capBytes: number) {
    this.#path = path;
    this.#cap = capBytes;
  }

  get total(): number {
    return this.#total;
  }

  /** Space for the next read: never empty, never more than one byte past the cap. */
  room(): Uint8Array {
    return new Uint8Array(Math.min(CHUNK_BYTES, this.#cap + 1 - this.#total));
  }

  add(bytes: Uint8Array): void {
    this.#total += bytes.length;
    if (this.#total > this.#cap) throw new SystemError("EFBIG", "read", this.#path);
    this.#chunks.push(bytes);
  }

  whole(): Uint8Array {
    const whole = new Uint8Array(this.#total);
    let at = 0;
    for (const chunk of this.#chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }
}

const CHUNK_BYTES = 64 * 1024;
const INTERRUPTIONS = 100;

class DescriptorFile implements OpenFile {
  readonly fd: number;
  readonly #path: string;
  readonly #as: OpenedAs;
  #open = true;

  constructor(fd: number, path: string, as: OpenedAs) {
    this.fd = fd;
    this.#path = path;
    this.#as = as;
  }

  async stat(): Promise<FileStat> {
    return this.#call("fstat", (fd) => this.#as.rules.stat(fstatSync(fd, { bigint: true })));
  }

  async read(capBytes: number): Promise<Uint8Array> {
    const content = new CappedBytes(this.#path, capBytes);
    for (;;) {
      const room = content.room();
      const taken = this.#readInto(room, content.total);
      if (taken === 0) return content.whole();
      content.add(room.subarray(0, taken));
    }
  }

  async readAt(position: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let total = 0;
    while (total < length) {
      const taken = this.#readInto(bytes.subarray(total), position + total);
      if (taken === 0) break;
      total += taken;
    }
    return bytes.subarray(0, total);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#size() !== 0) throw new SystemError("EINVAL", "write", this.#path);
    this.#writeAll(bytes);
  }

  async append(bytes: Uint8Array): Promise<void> {
    // Written where the end was a moment ago, it could land on what somebody else has added since.
    if (!this.#as.appends) throw new SystemError("EINVAL", "write", this.#path);
    this.#writeAll(bytes);
  }

  async chown(uid: number, gid: number): Promise<void> {
    if (this.#as.rules.hasOwners) this.#call("fchown", (fd) => fchownSync(fd, uid, gid));
  }

  async chmod(mode: number): Promise<void> {
    if (this.#as.rules.hasOwners) this.#call("fchmod", (fd) => fchmodSync(fd, mode));
  }

  async sync(): Promise<void> {
    this.#call("fsync", fsyncSync);
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    // Whatever close() answers, the number is free again: a second close could hit somebody else's file.
    this.#open = false;
    attempt("close", this.#path, () => closeSync(this.fd));
  }

  #size(): number {
    return this.#call("fstat", (fd) => fstatSync(fd).size);
  }

  #readInto(into: Uint8Array, position: number): number {
    for (let interruptions = 0; ; interruptions += 1) {
      try {
        return this.#call("read", (fd) => readSync(fd, into, 0, into.length, position));
      } catch (error) {
        // libuv repeats other interrupted calls by itself, but not a read.
        const interrupted = error instanceof SystemError && error.code === "EINTR";
        if (!interrupted || interruptions >= INTERRUPTIONS) throw error;
      }
    }
  }

  /** Where the descriptor stands: at the end with O_APPEND, else (reads do not move it) at the start. */
  #writeAll(bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) {
      // A nearly full disk takes a part and says so only in this number.
      const taken = this.#call("write", (fd) => writeSync(fd, bytes, done, bytes.length - done, null));
      if (taken === 0) throw new SystemError("EIO", "write", this.#path);
      done += taken;
    }
  }

  #call<T>(call: string, body: (fd: number) => T): T {
    if (!this.#open) throw new SystemError("EBADF", call, this.#path);
    return attempt(call, this.#path, () => body(this.fd));
  }
}
