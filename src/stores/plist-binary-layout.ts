import type { PlistBytes } from "./plist-bytes.ts";
import { MAX_PLIST_VALUES } from "./plist-value.ts";
import { malformed } from "./refusals.ts";

/** Where everything stands in a binary property list; all that the trailer says has been checked. */
export interface BinaryLayout {
  readonly objects: number;
  readonly top: number;
  /** Bytes a reference to an object takes. */
  readonly referenceSize: number;
  /** Where the objects end and the table of offsets begins. */
  readonly objectsEnd: number;
  /** Where an object begins; inside the objects. */
  offsetOf(index: number): number;
  /** The count in the marker at `at`, or in the integer behind it, and where the contents start. Throws `syntax`. */
  countAt(at: number): { readonly count: number; readonly start: number };
}

/** How a binary property list begins; Apple writes no other version of it. */
export const BINARY_HEADER = "bplist00";

/**
 * Reads the trailer and the table of offsets, and refuses what Apple's reader refuses about them (CFBinaryPList.c,
 * swift-corelibs-foundation): header, objects, table and trailer must fill the file, and both sizes must suffice for
 * what they count. Five bytes that Apple never reads, and the version of a sorting, may be anything.
 *
 * Throws `SETTINGS_MALFORMED`: `truncated` where the trailer is not one of this file, `too-large`, `syntax`.
 */
export function readBinaryLayout(bytes: PlistBytes, path: string): BinaryLayout {
  const trailerAt = bytes.length - TRAILER_BYTES;
  if (trailerAt < BINARY_HEADER.length + 2) throw malformed(path, "truncated");
  const offsetSize = bytes.at(trailerAt + 6);
  const referenceSize = bytes.at(trailerAt + 7);
  const [objects, top, objectsEnd] = [8, 16, 24].map((at) => unsignedAt(bytes, trailerAt + at, 8)) as Three;
  const fits =
    isSize(offsetSize) &&
    isSize(referenceSize) &&
    objects > 0 &&
    top < objects &&
    objectsEnd > BINARY_HEADER.length &&
    objectsEnd + objects * offsetSize === trailerAt &&
    objects < 256 ** referenceSize &&
    objectsEnd < 256 ** offsetSize;
  if (!fits) throw malformed(path, "truncated");
  if (objects > MAX_PLIST_VALUES) throw malformed(path, "too-large");
  const offsets = new Float64Array(objects);
  for (let index = 0; index < objects; index += 1) {
    const offset = unsignedAt(bytes, objectsEnd + index * offsetSize, offsetSize);
    if (offset < BINARY_HEADER.length || offset >= objectsEnd) throw malformed(path, "syntax");
    offsets[index] = offset;
  }
  const offsetOf = (index: number) => offsets[index] ?? 0;
  const countAt = (at: number) => readCount(bytes, at, objectsEnd, path);
  return { objects, top, referenceSize, objectsEnd, offsetOf, countAt };
}

/** Big-endian. What is larger than this language counts is no exact number, but still larger than any file. */
export function unsignedAt(bytes: PlistBytes, at: number, size: number): number {
  let value = 0;
  for (let index = at; index < at + size; index += 1) value = value * 256 + bytes.at(index);
  return value;
}

const TRAILER_BYTES = 32;

type Three = [number, number, number];

function isSize(size: number): boolean {
  return size >= 1 && size <= 8;
}

function readCount(
  bytes: PlistBytes,
  at: number,
  end: number,
  path: string,
): { count: number; start: number } {
  const short = bytes.at(at) & 0x0f;
  if (short < 0x0f) return { count: short, start: at + 1 };
  const marker = at + 1 < end ? bytes.at(at + 1) : -1;
  if (marker < 0x10 || marker > 0x13) throw malformed(path, "syntax");
  const size = 2 ** (marker & 0x0f);
  const start = at + 2 + size;
  if (start > end) throw malformed(path, "syntax");
  return { count: unsignedAt(bytes, at + 2, size), start };
}
