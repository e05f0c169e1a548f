import { Buffer } from "node:buffer";
import type { ProblemError } from "../model/problem.ts";
import type { BinaryLayout } from "./plist-binary-layout.ts";
import type { PlistBytes } from "./plist-bytes.ts";
import type { IntegerWidth, PlistValue } from "./plist-value.ts";
import { malformed } from "./refusals.ts";

export interface LeafObject {
  readonly value: PlistValue;
  /** Bytes of a string or of data, 0 for others. */
  readonly content: number;
}

/**
 * Reads the object at `at`, which is no container. Its length is held against the objects before anything is copied.
 * Widths, signs and limits are those of Apple's reader (CFBinaryPList.c, swift-corelibs-foundation): integers of 1, 2
 * and 4 bytes have no sign, one of 16 must be a 64-bit number with or without sign, a UID is below 2^32.
 *
 * Throws `SETTINGS_MALFORMED` (`syntax`): null, fill, sets and unknown markers; a length beyond the objects; an ASCII
 * string that is none; a date that is no finite number.
 */
export function readLeaf(bytes: PlistBytes, at: number, layout: BinaryLayout, path: string): LeafObject {
  const marker = bytes.at(at);
  const low = marker & 0x0f;
  const refuse = () => malformed(path, "syntax");
  const fixed = (size: number) => contents(bytes, at + 1, size, layout, refuse);
  const counted = (unit: number) => {
    const { count, start } = layout.countAt(at);
    return contents(bytes, start, count * unit, layout, refuse);
  };
  switch (marker >> 4) {
    case 0x0:
      if (low !== 0x8 && low !== 0x9) throw refuse();
      return { value: low === 0x9 ? TRUE : FALSE, content: 0 };
    case 0x1:
      if (low > 4) throw refuse();
      return { value: integer(fixed(2 ** low), refuse), content: 0 };
    case 0x2:
      if (low !== 2 && low !== 3) throw refuse();
      return { value: real(fixed(2 ** low)), content: 0 };
    case 0x3:
      if (low !== 3) throw refuse();
      return { value: date(fixed(8), refuse), content: 0 };
    case 0x4: {
      const data = counted(1);
      return { value: { kind: "data", bytes: new Uint8Array(data) }, content: data.length };
    }
    case 0x5: {
      const ascii = counted(1);
      return { value: { kind: "string", value: asciiText(ascii, refuse) }, content: ascii.length };
    }
    case 0x6: {
      const wide = counted(2);
      return { value: { kind: "string", value: wideText(wide) }, content: wide.length };
    }
    case 0x8:
      return { value: uid(fixed(low + 1), refuse), content: 0 };
    default:
      throw refuse();
  }
}

const TRUE: PlistValue = { kind: "boolean", value: true };
const FALSE: PlistValue = { kind: "boolean", value: false };

const NOT_ASCII = /[^\0-\x7f]/;
const MAX_UID = 0xff_ff_ff_ffn;
const MAX_UID_BYTES = 8;

type Refuse = () => ProblemError;

function contents(
  bytes: PlistBytes,
  start: number,
  size: number,
  layout: BinaryLayout,
  refuse: Refuse,
): Buffer {
  if (size > layout.objectsEnd - start) throw refuse();
  return bytes.piece(start, start + size);
}

function integer(bytes: Buffer, refuse: Refuse): PlistValue {
  const width = bytes.length as IntegerWidth;
  if (width <= 4) return { kind: "integer", value: BigInt(bytes.readUIntBE(0, width)), width };
  if (width === 8) return { kind: "integer", value: bytes.readBigInt64BE(0), width };
  const value = (bytes.readBigInt64BE(0) << 64n) | bytes.readBigUInt64BE(8);
  if (value < -(2n ** 63n) || value >= 2n ** 64n) throw refuse();
  return { kind: "integer", value, width };
}

function real(bytes: Buffer): PlistValue {
  return bytes.length === 4
    ? { kind: "real", bits: BigInt(bytes.readUInt32BE(0)), width: 4 }
    : { kind: "real", bits: bytes.readBigUInt64BE(0), width: 8 };
}

function date(bytes: Buffer, refuse: Refuse): PlistValue {
  const seconds = bytes.readDoubleBE(0);
  if (!Number.isFinite(seconds)) throw refuse();
  return { kind: "date", seconds };
}

function uid(bytes: Buffer, refuse: Refuse): PlistValue {
  if (bytes.length > MAX_UID_BYTES) throw refuse();
  const value = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  if (value > MAX_UID) throw refuse();
  return { kind: "uid", value, width: bytes.length };
}

function asciiText(bytes: Buffer, refuse: Refuse): string {
  const text = bytes.toString("latin1");
  if (NOT_ASCII.test(text)) throw refuse();
  return text;
}

/** UTF-16, big-endian. Halves of surrogate pairs stay what they are. */
function wideText(bytes: Buffer): string {
  const own = Buffer.from(new Uint8Array(bytes).buffer);
  return own.swap16().toString("utf16le");
}
