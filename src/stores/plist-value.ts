import { Buffer } from "node:buffer";

/**
 * A value of a property list. Keys of a dictionary are unique and keep the order of the file.
 *
 * What one of the two formats cannot tell is absent: `width` (bytes that the binary format keeps a number in) for
 * values out of XML, `text` (how XML spells it) for values out of the binary format.
 */
export type PlistValue =
  | PlistDictionary
  | { readonly kind: "array"; readonly items: readonly PlistValue[] }
  | { readonly kind: "string"; readonly value: string }
  /** From -2^63 to 2^64-1: what Apple's readers take. */
  | { readonly kind: "integer"; readonly value: bigint; readonly width?: IntegerWidth }
  | PlistReal
  /** Seconds since 2001-01-01T00:00:00Z, as a double: the binary format keeps fractions, XML has none. */
  | { readonly kind: "date"; readonly seconds: number; readonly text?: string }
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  /** A reference of a keyed archive, below 2^32. XML spells it as a dictionary with the one key `CF$UID`. */
  | { readonly kind: "uid"; readonly value: bigint; readonly width?: number }
  | { readonly kind: "boolean"; readonly value: boolean };

export interface PlistDictionary {
  readonly kind: "dictionary";
  readonly entries: readonly PlistEntry[];
}

export type PlistEntry = readonly [key: string, value: PlistValue];

/** An IEEE number by its bits, since a number of this language does not keep every NaN. */
export interface PlistReal {
  readonly kind: "real";
  readonly bits: bigint;
  readonly width: 4 | 8;
  readonly text?: string;
}

export type IntegerWidth = 1 | 2 | 4 | 8 | 16;

/** Which of the two formats a file is in, and what it holds. */
export interface Plist {
  readonly format: "binary" | "xml";
  readonly root: PlistValue;
}

export interface Sameness {
  /** Dictionaries count as the same in any order of their keys. */
  readonly anyOrder?: boolean;
  /** Numbers and dates count by what they are, however wide or however spelled: a file went through another format. */
  readonly anySpelling?: boolean;
}

/** Larger files are refused, in bytes (16 MiB). Plex's own has about 1.2 KB. */
export const MAX_PLIST_BYTES = 16 * 1_048_576;

/** So many values a file may hold, a shared one counted wherever it is referred to. */
export const MAX_PLIST_VALUES = 1_000_000;

/** So many containers may be nested: as many as Apple's reader of the binary format follows (CFBinaryPList.c). */
export const MAX_PLIST_DEPTH = 512;

/** A double. */
export function realOf(value: number, text?: string): PlistReal {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return { kind: "real", bits: view.getBigUint64(0), width: 8, ...(text !== undefined && { text }) };
}

export function numberOfReal({ bits, width }: PlistReal): number {
  const view = new DataView(new ArrayBuffer(8));
  if (width === 8) {
    view.setBigUint64(0, bits);
    return view.getFloat64(0);
  }
  view.setUint32(0, Number(bits));
  return view.getFloat32(0);
}

/** The value under a key; undefined where there is none. */
export function valueUnder(dictionary: PlistDictionary, key: string): PlistValue | undefined {
  return dictionary.entries.find(([name]) => name === key)?.[1];
}

/** Whether two values are the same in all that their format keeps, or in what `options` leave of it. No recursion. */
export function samePlist(one: PlistValue, other: PlistValue, options: Sameness = {}): boolean {
  const pairs: [PlistValue, PlistValue][] = [[one, other]];
  for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
    const [a, b] = pair;
    if (a === b) continue;
    if (a.kind === "array" && b.kind === "array") {
      if (!pushItems(pairs, a.items, b.items)) return false;
    } else if (a.kind === "dictionary" && b.kind === "dictionary") {
      const paired = options.anyOrder ? pushByKey : pushInOrder;
      if (!paired(pairs, a, b)) return false;
    } else if (!sameLeaf(a, b, options.anySpelling === true)) return false;
  }
  return true;
}

type Pairs = [PlistValue, PlistValue][];

function pushItems(pairs: Pairs, a: readonly PlistValue[], b: readonly PlistValue[]): boolean {
  if (a.length !== b.length) return false;
  for (const [index, item] of a.entries()) {
    const other = b[index];
    if (other === undefined) return false;
    pairs.push([item, other]);
  }
  return true;
}

function pushInOrder(pairs: Pairs, a: PlistDictionary, b: PlistDictionary): boolean {
  if (a.entries.some(([key], index) => b.entries[index]?.[0] !== key)) return false;
  return pushItems(
    pairs,
    a.entries.map(([, value]) => value),
    b.entries.map(([, value]) => value),
  );
}

function pushByKey(pairs: Pairs, a: PlistDictionary, b: PlistDictionary): boolean {
  if (a.entries.length !== b.entries.length) return false;
  const others = new Map(b.entries);
  for (const [key, value] of a.entries) {
    const other = others.get(key);
    if (other === undefined) return false;
    pairs.push([value, other]);
  }
  return true;
}

function sameLeaf(a: PlistValue, b: PlistValue, anySpelling: boolean): boolean {
  if ((a.kind === "string" && b.kind === "string") || (a.kind === "boolean" && b.kind === "boolean")) {
    return a.value === b.value;
  }
  if ((a.kind === "integer" && b.kind === "integer") || (a.kind === "uid" && b.kind === "uid")) {
    return a.value === b.value && (anySpelling || a.width === b.width);
  }
  if (a.kind === "data" && b.kind === "data") return Buffer.compare(a.bytes, b.bytes) === 0;
  if (a.kind === "real" && b.kind === "real") return sameReal(a, b, anySpelling);
  if (a.kind !== "date" || b.kind !== "date") return false;
  return Object.is(a.seconds, b.seconds) && (anySpelling || a.text === b.text);
}

function sameReal(a: PlistReal, b: PlistReal, anySpelling: boolean): boolean {
  if (anySpelling) return Object.is(numberOfReal(a), numberOfReal(b));
  return a.bits === b.bits && a.width === b.width && a.text === b.text;
}
