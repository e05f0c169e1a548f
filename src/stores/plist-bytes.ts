import { Buffer } from "node:buffer";

/** The bytes of a file as its readers look at them; a test counts the looks. */
export interface PlistBytes {
  readonly length: number;
  /** -1 before the first and after the last. */
  at(index: number): number;
  /** A view, not a copy. */
  piece(start: number, end: number): Buffer;
  /** Where the ASCII text next begins, or -1. */
  find(text: string, from: number): number;
}

export function plistBytes(bytes: Uint8Array): PlistBytes {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    length: all.length,
    at: (index) => all[index] ?? -1,
    piece: (start, end) => all.subarray(start, end),
    find: (text, from) => all.indexOf(text, from, "latin1"),
  };
}

/** One array of all the parts. Own memory, never of a shared pool: it may hold a secret. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Bytes in the making. Own memory as well, twice as much whenever it runs out. */
export class ByteSink {
  #bytes = new Uint8Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(...bytes: number[]): void {
    this.#room(bytes.length).set(bytes);
  }

  append(bytes: Uint8Array): void {
    this.#room(bytes.length).set(bytes);
  }

  /** Big-endian, in as many bytes. */
  unsigned(value: number, size: number): void {
    const room = this.#room(size);
    for (let at = size - 1, rest = value; at >= 0; at -= 1, rest = Math.floor(rest / 256))
      room[at] = rest % 256;
  }

  /** Big-endian, negative numbers as their two's complement. */
  big(value: bigint, size: number): void {
    const room = this.#room(size);
    for (let at = size - 1, rest = value; at >= 0; at -= 1, rest >>= 8n) room[at] = Number(rest & 0xffn);
  }

  double(value: number): void {
    const room = this.#room(8);
    new DataView(room.buffer, room.byteOffset, 8).setFloat64(0, value);
  }

  text(text: string, encoding: "latin1" | "utf16be"): void {
    const wide = encoding === "utf16be";
    const room = this.#room(text.length * (wide ? 2 : 1));
    const view = Buffer.from(room.buffer, room.byteOffset, room.length);
    view.write(text, wide ? "utf16le" : "latin1");
    if (wide) view.swap16();
  }

  finished(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #room(size: number): Uint8Array {
    const end = this.#length + size;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    const room = this.#bytes.subarray(this.#length, end);
    this.#length = end;
    return room;
  }
}
