import type { PlistValue } from "../../src/stores/plist-value.ts";
import { pick, type Random } from "./plist-random.ts";

/** How an object of a binary property list is written: its bytes, given the numbers of the objects it refers to. */
export interface RawObject {
  readonly children?: readonly number[];
  readonly head: Uint8Array;
}

export interface RawLayout {
  readonly referenceSize?: number;
  readonly offsetSize?: number;
  readonly top?: number;
  readonly unused?: readonly number[];
}

/** A file of these objects, whatever they are. */
export function rawBinary(objects: readonly RawObject[], layout: RawLayout = {}): Uint8Array {
  const referenceSize = layout.referenceSize ?? leastSize(objects.length);
  const parts: Uint8Array[] = [Buffer.from("bplist00")];
  const offsets: number[] = [];
  let at = 8;
  for (const { head, children = [] } of objects) {
    offsets.push(at);
    const part = Buffer.concat([head, ...children.map((child) => bigEndian(BigInt(child), referenceSize))]);
    parts.push(part);
    at += part.length;
  }
  const offsetSize = layout.offsetSize ?? leastSize(at);
  for (const offset of offsets) parts.push(bigEndian(BigInt(offset), offsetSize));
  parts.push(
    trailerOf({ offsetSize, referenceSize, objects: objects.length, top: layout.top ?? 0, tableAt: at }),
  );
  const all = new Uint8Array(Buffer.concat(parts));
  all.set(layout.unused ?? [], all.length - 32);
  return all;
}

export function trailerOf(of: {
  offsetSize: number;
  referenceSize: number;
  objects: number;
  top: number;
  tableAt: number;
}): Uint8Array {
  const counts = [of.objects, of.top, of.tableAt].map((count) => bigEndian(BigInt(count), 8));
  return Buffer.concat([new Uint8Array(6), Uint8Array.of(of.offsetSize, of.referenceSize), ...counts]);
}

/** The marker of a container or text, its count in as many bytes as asked where it does not fit or is not to. */
export function headOf(family: number, count: number, countSize?: number): Uint8Array {
  if (count < 15 && countSize === undefined) return Uint8Array.of(family | count);
  const size = countSize ?? leastSize(count);
  return Buffer.concat([Uint8Array.of(family | 15, 0x10 | Math.log2(size)), bigEndian(BigInt(count), size)]);
}

/** The tree in a layout that our own writer never makes: any order, any sizes, equal objects shared or not. */
export function binaryDocument(random: Random, tree: PlistValue): Uint8Array {
  const objects: { head: Uint8Array; children: number[] }[] = [];
  const seen = new Map<string, number>();
  const sharing = random(2) === 0;
  const wideText = random(3) === 0;
  const add = (object: PlistValue): number => {
    const leaf = object.kind !== "array" && object.kind !== "dictionary";
    const head = headFor(object, wideText, random);
    const name = leaf ? Buffer.from(head).toString("hex") : "";
    const known = leaf && sharing ? seen.get(name) : undefined;
    if (known !== undefined) return known;
    if (random(12) === 0)
      objects.push({ head: Uint8Array.of(pick(random, [0x00, 0x09, 0x0f])), children: [] });
    const children: number[] = [];
    const first = random(2) === 0;
    const index = first ? objects.push({ head, children }) - 1 : -1;
    const all: PlistValue[] =
      object.kind === "array"
        ? [...object.items]
        : object.kind === "dictionary"
          ? [
              ...object.entries.map(([key]) => ({ kind: "string", value: key }) as const),
              ...object.entries.map(([, item]) => item),
            ]
          : [];
    for (const child of all) children.push(add(child));
    const at = first ? index : objects.push({ head, children }) - 1;
    if (leaf) seen.set(name, at);
    return at;
  };
  const top = add(tree);
  const referenceSize = Math.max(leastSize(objects.length), random(3) ? 1 : 1 + random(8));
  const unused = random(4) === 0 ? [1, 2, 3, 4, 5, 6] : [];
  const least = rawBinary(objects, { referenceSize, top, unused });
  if (random(3) > 0) return least;
  return rawBinary(objects, {
    referenceSize,
    top,
    unused,
    offsetSize: Math.max(least.at(-26) ?? 8, 1 + random(8)),
  });
}

function headFor(value: PlistValue, wideText: boolean, random: Random): Uint8Array {
  switch (value.kind) {
    case "array":
      return headOf(0xa0, value.items.length);
    case "dictionary":
      return headOf(0xd0, value.entries.length);
    case "string": {
      const ascii = /^[\0-\x7f]*$/.test(value.value) && !wideText;
      const bytes = Buffer.from(value.value, ascii ? "latin1" : "utf16le");
      const size = random(4) === 0 ? 4 : undefined;
      return Buffer.concat([
        headOf(ascii ? 0x50 : 0x60, value.value.length, size),
        ascii ? bytes : bytes.swap16(),
      ]);
    }
    case "integer": {
      const width = value.width ?? 8;
      return Buffer.concat([Uint8Array.of(0x10 | Math.log2(width)), bigEndian(value.value, width)]);
    }
    case "real":
      return Buffer.concat([
        Uint8Array.of(value.width === 4 ? 0x22 : 0x23),
        bigEndian(value.bits, value.width),
      ]);
    case "date": {
      const bytes = Buffer.alloc(9, 0x33);
      bytes.writeDoubleBE(value.seconds, 1);
      return bytes;
    }
    case "data":
      return Buffer.concat([headOf(0x40, value.bytes.length), value.bytes]);
    case "uid": {
      const width = value.width ?? 4;
      return Buffer.concat([Uint8Array.of(0x80 | (width - 1)), bigEndian(value.value, width)]);
    }
    case "boolean":
      return Uint8Array.of(value.value ? 9 : 8);
  }
}

export function bigEndian(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = size - 1, rest = BigInt.asUintN(size * 8, value); at >= 0; at--, rest >>= 8n) {
    bytes[at] = Number(rest & 0xffn);
  }
  return bytes;
}

function leastSize(count: number): number {
  if (count < 256) return 1;
  return count < 65_536 ? 2 : count < 2 ** 32 ? 4 : 8;
}
