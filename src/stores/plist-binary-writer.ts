import { BINARY_HEADER } from "./plist-binary-layout.ts";
import { ByteSink } from "./plist-bytes.ts";
import type { IntegerWidth, PlistValue } from "./plist-value.ts";

/**
 * The binary property list of a value. The same value always gives the same bytes, and what is read back is the same
 * value: numbers keep their width, or get the narrowest that Apple's writer would give them where they have none.
 *
 * Objects are in the order of Apple's writer (CFBinaryPList.c, swift-corelibs-foundation): a container, its keys, its
 * values. Equal strings, numbers, dates and booleans are written once; so is a container or data that is the same
 * object in several places, so that a file with shared objects does not grow. No recursion. The caller sees to it that
 * keys are unique and integers in range.
 */
export function writeBinaryPlist(root: PlistValue): Uint8Array {
  const { objects, indexOf } = flattened(root);
  const referenceSize = sizeFor(objects.length);
  const sink = new ByteSink();
  sink.text(BINARY_HEADER, "latin1");
  const offsets: number[] = [];
  for (const object of objects) {
    offsets.push(sink.length);
    write(sink, object, indexOf, referenceSize);
  }
  const tableAt = sink.length;
  const offsetSize = sizeFor(tableAt);
  for (const offset of offsets) sink.unsigned(offset, offsetSize);
  writeTrailer(sink, { offsetSize, referenceSize, objects: objects.length, tableAt });
  return sink.finished();
}

const ASCII = /^[\0-\x7f]*$/;

type Keyed = PlistValue | string;

interface Flattened {
  readonly objects: readonly Keyed[];
  indexOf(value: Keyed): number;
}

function flattened(root: PlistValue): Flattened {
  const indexes = new Map<PlistValue | string, number>();
  const objects: Keyed[] = [];
  const waiting: Keyed[] = [root];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const identity = identityOf(next);
    if (indexes.has(identity)) continue;
    indexes.set(identity, objects.length);
    objects.push(next);
    const children = childrenOf(next);
    for (let index = children.length - 1; index >= 0; index -= 1) {
      const child = children[index];
      if (child !== undefined) waiting.push(child);
    }
  }
  return { objects, indexOf: (value) => indexes.get(identityOf(value)) ?? 0 };
}

function childrenOf(object: Keyed): readonly Keyed[] {
  if (typeof object === "string") return [];
  if (object.kind === "array") return object.items;
  if (object.kind !== "dictionary") return [];
  return [...object.entries.map(([key]) => key), ...object.entries.map(([, value]) => value)];
}

/** The same for what is written as one object. */
function identityOf(object: Keyed): PlistValue | string {
  if (typeof object === "string") return `s${object}`;
  switch (object.kind) {
    case "string":
      return `s${object.value}`;
    case "integer":
      return `i${widthOf(object.value, object.width)} ${object.value}`;
    case "real":
      return `r${object.width} ${object.bits}`;
    case "date":
      return `d${Object.is(object.seconds, -0) ? "-0" : object.seconds}`;
    case "uid":
      return `u${uidWidth(object.value, object.width)} ${object.value}`;
    case "boolean":
      return `b${object.value}`;
    case "array":
    case "dictionary":
    case "data":
      return object;
  }
}

function write(sink: ByteSink, object: Keyed, indexOf: Flattened["indexOf"], referenceSize: number): void {
  if (typeof object === "string") {
    writeText(sink, object);
    return;
  }
  switch (object.kind) {
    case "string":
      writeText(sink, object.value);
      break;
    case "integer":
      writeNumber(sink, 0x10, object.value, widthOf(object.value, object.width));
      break;
    case "real":
      writeNumber(sink, 0x20, object.bits, object.width);
      break;
    case "date":
      sink.push(0x33);
      sink.double(object.seconds);
      break;
    case "data":
      writeHead(sink, 0x40, object.bytes.length);
      sink.append(object.bytes);
      break;
    case "uid": {
      const width = uidWidth(object.value, object.width);
      sink.push(0x80 | (width - 1));
      sink.big(object.value, width);
      break;
    }
    case "boolean":
      sink.push(object.value ? 0x09 : 0x08);
      break;
    case "array":
      writeHead(sink, 0xa0, object.items.length);
      break;
    case "dictionary":
      writeHead(sink, 0xd0, object.entries.length);
  }
  for (const child of childrenOf(object)) sink.unsigned(indexOf(child), referenceSize);
}

function writeText(sink: ByteSink, text: string): void {
  const ascii = ASCII.test(text);
  writeHead(sink, ascii ? 0x50 : 0x60, text.length);
  sink.text(text, ascii ? "latin1" : "utf16be");
}

/** A marker says how wide its number is by the power of two. */
function writeNumber(sink: ByteSink, marker: number, value: bigint, width: number): void {
  sink.push(marker | Math.log2(width));
  sink.big(value, width);
}

/** A marker with its count; one that does not fit follows as an integer object. */
function writeHead(sink: ByteSink, marker: number, count: number): void {
  if (count < 0x0f) {
    sink.push(marker | count);
    return;
  }
  sink.push(marker | 0x0f);
  writeNumber(sink, 0x10, BigInt(count), sizeFor(count));
}

/** The top object is the first. */
function writeTrailer(
  sink: ByteSink,
  found: { offsetSize: number; referenceSize: number; objects: number; tableAt: number },
): void {
  sink.push(0, 0, 0, 0, 0, 0, found.offsetSize, found.referenceSize);
  for (const number of [found.objects, 0, found.tableAt]) sink.unsigned(number, 8);
}

/** The narrowest that holds the value, and no narrower than it was. */
function widthOf(value: bigint, width: IntegerWidth = 1): number {
  return Math.max(width, narrowest(value));
}

/** Integers of 1, 2 and 4 bytes have no sign, of 8 and 16 they do. */
function narrowest(value: bigint): IntegerWidth {
  if (value < 0n) return 8;
  if (value < 2n ** 8n) return 1;
  if (value < 2n ** 16n) return 2;
  if (value < 2n ** 32n) return 4;
  return value < 2n ** 63n ? 8 : 16;
}

/** UIDs may have any number of bytes up to eight. */
function uidWidth(value: bigint, width: number | undefined): number {
  return width !== undefined && value < 1n << BigInt(width * 8) ? width : sizeFor(Number(value));
}

/** Bytes for numbers up to this one, as Apple's reader wants them: 1, 2, 4 or 8. */
function sizeFor(value: number): number {
  if (value < 2 ** 8) return 1;
  if (value < 2 ** 16) return 2;
  return value < 2 ** 32 ? 4 : 8;
}
