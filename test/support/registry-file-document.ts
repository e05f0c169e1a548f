import type { RegistryValue } from "../../src/world/windows-system.ts";

/** A number from 0 up to, not including, `below`: the only source of chance, so that a campaign can be repeated. */
export type Random = (below: number) => number;

/** The account's key, as a store names it. */
export const OWN_KEY = "HKEY_USERS\\S-1-5-21-1-2-3-1001\\Software\\Plex, Inc.\\Plex Media Server";

/** What a file of any shape means, known from how it was made. */
export interface MeantKey {
  readonly path: string;
  readonly remove: boolean;
  readonly entries: readonly MeantEntry[];
}

export type MeantEntry =
  | { readonly kind: "set"; readonly value: RegistryValue }
  | { readonly kind: "delete"; readonly name: string };

export interface RegistryDocument {
  readonly encoding: "utf16" | "utf8" | "utf8-mark" | "regedit4";
  readonly text: string;
  readonly meaning: readonly MeantKey[];
}

function pick<T>(random: Random, from: readonly T[]): T {
  return from[random(from.length)] as T;
}

/** Values of any types, names and lengths, as the registry may hold them; no name twice whatever the case. */
export function valuesFrom(random: Random, most = 8, ascii = false): RegistryValue[] {
  const taken = new Set<string>();
  return Array.from({ length: random(most + 1) }, () => valueFrom(random, ascii)).filter(({ name }) => {
    const folded = name.toLowerCase();
    return !taken.has(folded) && taken.add(folded) !== undefined;
  });
}

/** A file of one to three keys with deletions, written in every way that we promise to read. */
export function documentFrom(random: Random): RegistryDocument {
  const paths = [...OTHER_KEYS].sort(() => random(3) - 1).slice(0, 1 + random(3));
  const shape = shapeFrom(random);
  const keys = paths.map((path) => meantKey(random, path, random(6) === 0, shape.narrow, true));
  return rendered(random, shape, keys);
}

/** A file of the own key alone, with nothing but values to set. */
export function ownDocumentFrom(random: Random): RegistryDocument {
  const shape = shapeFrom(random);
  return rendered(random, shape, [meantKey(random, pick(random, OWN_SPELLINGS), false, shape.narrow, false)]);
}

export function bytesOf({ encoding, text }: Pick<RegistryDocument, "encoding" | "text">): Uint8Array {
  switch (encoding) {
    case "utf16":
      return new Uint8Array(Buffer.from(`\ufeff${text}`, "utf16le"));
    case "utf8-mark":
      return new Uint8Array(Buffer.from(`\ufeff${text}`, "utf8"));
    default:
      return new Uint8Array(Buffer.from(text, "utf8"));
  }
}

/** The bytes with one or two accidents: a changed, lost, doubled or foreign piece, or an end too early. */
export function damaged(random: Random, bytes: Uint8Array): Uint8Array {
  let all = Buffer.from(bytes);
  const wide = all[0] === 0xff;
  for (let left = 1 + random(2); left > 0; left -= 1) {
    const step = wide && random(12) > 0 ? 2 : 1;
    const at = random(Math.floor(all.length / step) + 1) * step;
    const rest = all.subarray(Math.min(all.length, at + random(12) * step));
    const kind = random(6);
    if (kind === 0 && at < all.length) all[at] = random(step === 2 ? 128 : 256);
    else if (kind === 1) all = Buffer.concat([all.subarray(0, at), rest]);
    else if (kind === 2 && random(3) === 0) all = all.subarray(0, at);
    else if (kind <= 4) {
      const trouble = Buffer.from(pick(random, TROUBLE), wide ? "utf16le" : "utf8");
      all = Buffer.concat([all.subarray(0, at), trouble, all.subarray(at)]);
    } else {
      const from = random(Math.floor(all.length / step) + 1) * step;
      all = Buffer.concat([all.subarray(0, at), all.subarray(from, from + 200)]);
    }
  }
  return new Uint8Array(all);
}

const ASCII_NAMES = [
  "",
  "PlexOnlineToken",
  "PlexOnlineUsername",
  "PlexOnlineMail",
  "PlexOnlineHome",
  "plexonlinetoken",
  "FriendlyName",
  "MachineIdentifier",
  "@",
  "-",
  "=",
  "a=-",
  '"',
  "\\",
  'a"b\\',
  "\\\\",
  "[x]",
  ";c",
  " lead",
  "trail ",
  "tab\there",
  "dword:1",
  "hex(2):",
  "I",
  "S",
  "__proto__",
  "constructor",
  "\x01",
  "x".repeat(62),
  "y".repeat(77),
];
const WIDE_NAMES = [
  "ü",
  "Ünicode",
  "日本",
  "😀",
  "ı",
  "ſ",
  "ß",
  "\u2028",
  "\u202e",
  "\u0085",
  "\ufeff",
  "\ufffe",
];
const LONE = ["\ud800", "x\udfff"];
const ASCII_TEXTS = [
  "",
  "a token-1",
  'C:\\Pl "ex"\\',
  "\\",
  '"',
  ";no comment",
  "[no key]",
  "tab\t",
  "\x07",
  "=-",
  "\\n",
];
const WIDE_TEXTS = ["Wörter", "библиотека", "書庫😀", "\u0085", "\u200b", "\ufeff"];
const TYPES = [0, 1, 1, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 11, 0x100, 0xabcd_0123, 0xffff_ffff];
const TEXT_TYPES = [1, 2, 7];
const OTHER_KEYS = [
  OWN_KEY,
  "HKEY_CURRENT_USER\\Software\\Other",
  "HKEY_LOCAL_MACHINE\\SOFTWARE\\a]b [c] ;d",
  "HKEY_CURRENT_USER\\Software\\Plex, Inc.",
  "HKEY_USERS\\S-1-5-18\\Software\\tail ",
  'HKEY_CLASSES_ROOT\\x"y"=-',
];
const OWN_SPELLINGS = [
  OWN_KEY,
  OWN_KEY.toUpperCase(),
  OWN_KEY.toLowerCase(),
  "HKEY_CURRENT_USER\\Software\\Plex, Inc.\\Plex Media Server",
  "hkey_current_user\\SOFTWARE\\plex, INC.\\plex media server",
];
const TROUBLE = [
  "\0",
  "\r",
  "\n",
  "\r\n",
  '"',
  "\\",
  "\\\n",
  ",",
  ";",
  "=",
  "=-",
  "-",
  "[",
  "]",
  "@",
  " ",
  "\t",
  "\u2028",
  "\u00a0",
  "\ufeff",
  "hex:",
  "hex(7):",
  "dword:",
  "000000001",
  '"a"="b"\r\n',
  '"a"=-\r\n',
  "@=-\n",
  "[HKEY_LOCAL_MACHINE\\x]\n",
  `\r\n[-${OWN_KEY}]\r\n`,
];
const BLANKS = ["", "", "", " ", "  ", "\t", " \t "];
const COMMENTS = [";", "; words", ';"a"="b"', ";[HKEY_X]", "; goes on \\", ";\t=-"];

interface Shape {
  readonly encoding: RegistryDocument["encoding"];
  readonly narrow: boolean;
  readonly newline: string;
}

function shapeFrom(random: Random): Shape {
  const encoding = pick(random, ["utf16", "utf16", "utf8", "utf8-mark", "regedit4"] as const);
  return { encoding, narrow: encoding === "regedit4", newline: pick(random, ["\r\n", "\n"]) };
}

function valueFrom(random: Random, ascii: boolean): RegistryValue {
  const name = pick(random, ascii ? ASCII_NAMES : [...ASCII_NAMES, ...WIDE_NAMES, ...LONE]);
  const type = pick(random, TYPES);
  return { name, type, bytes: bytesFrom(random, ascii && TEXT_TYPES.includes(type)) };
}

function bytesFrom(random: Random, ascii: boolean): Uint8Array {
  const texts = ascii
    ? ASCII_TEXTS
    : [...ASCII_TEXTS, ...WIDE_TEXTS, ...LONE, "line\r\nbreak", "nul\0inside"];
  const text = pick(random, texts);
  const kind = ascii ? 0 : random(6);
  if (kind <= 2) return new Uint8Array(Buffer.from(`${text}\0`, "utf16le"));
  if (kind === 3) return new Uint8Array(Buffer.from(text, "utf16le"));
  const length = kind === 4 ? 4 : random(90);
  return Uint8Array.from({ length }, () => random(256));
}

function meantKey(
  random: Random,
  path: string,
  remove: boolean,
  narrow: boolean,
  deletions: boolean,
): MeantKey {
  const values = remove ? [] : valuesFrom(random, 8, narrow);
  return {
    path,
    remove,
    entries: values.map((value) =>
      deletions && random(6) === 0 ? { kind: "delete", name: value.name } : { kind: "set", value },
    ),
  };
}

/** UTF-8 has no lone surrogates: such names are left out there, and such text is in hex. */
function rendered(random: Random, shape: Shape, keys: readonly MeantKey[]): RegistryDocument {
  const meaning = keys.map(({ entries, ...key }) => ({
    ...key,
    entries: entries.filter((entry) => shape.encoding === "utf16" || isWellFormed(nameOf(entry))),
  }));
  const header = shape.narrow ? "REGEDIT4" : "Windows Registry Editor Version 5.00";
  const lines = [header];
  for (const { path, remove, entries } of meaning) {
    lines.push(...between(random));
    lines.push(`${pick(random, BLANKS)}[${remove ? "-" : ""}${path}]${pick(random, BLANKS)}`);
    for (const entry of entries) lines.push(...between(random), entryLine(random, shape, entry));
  }
  lines.push(...between(random));
  const text = lines.join(shape.newline) + pick(random, ["", shape.newline]);
  return { encoding: shape.encoding, text, meaning };
}

function isWellFormed(text: string): boolean {
  return !/\p{Cs}/u.test(text);
}

function nameOf(entry: MeantEntry): string {
  return entry.kind === "delete" ? entry.name : entry.value.name;
}

function between(random: Random): string[] {
  return Array.from({ length: random(3) }, () => pick(random, BLANKS) + pick(random, ["", ...COMMENTS]));
}

function entryLine(random: Random, shape: Shape, entry: MeantEntry): string {
  const blank = () => pick(random, BLANKS);
  const name = nameOf(entry) === "" && random(2) === 0 ? "@" : quoted(nameOf(entry));
  const data = entry.kind === "delete" ? "-" : spelled(random, shape, entry.value);
  const empty = data.trimEnd().endsWith(":");
  const tail = random(4) === 0 && !empty ? pick(random, COMMENTS) : "";
  return `${blank()}${name}${blank()}=${blank()}${data}${blank()}${tail}`;
}

function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function spelled(random: Random, shape: Shape, { type, bytes }: RegistryValue): string {
  const buffer = Buffer.from(bytes);
  const text = buffer.toString("utf16le");
  const asText = type === 1 && bytes.length % 2 === 0 && /^[^\0\r\n]*\0$/.test(text);
  if (asText && random(8) > 0 && (shape.encoding === "utf16" || isWellFormed(text))) {
    return quoted(text.slice(0, -1));
  }
  const cased = random(2) === 0 ? (hex: string) => hex.toUpperCase() : (hex: string) => hex;
  if (type === 4 && bytes.length === 4 && random(3) > 0) {
    return `dword:${pick(random, BLANKS)}${cased(
      buffer
        .readUInt32LE()
        .toString(16)
        .padStart(1 + random(8), "0"),
    )}`;
  }
  const width = random(3) === 0 ? 8 : 1;
  const kind =
    type === 3 && random(4) > 0 ? "hex:" : `hex(${cased(type.toString(16)).padStart(width, "0")}):`;
  const narrowed =
    shape.narrow && TEXT_TYPES.includes(type) ? bytes.filter((_, index) => index % 2 === 0) : bytes;
  const digits = Array.from(narrowed, (byte) => cased(byte.toString(16).padStart(2, "0")));
  if (digits.length === 0) return kind + pick(random, BLANKS);
  const gap = () => (random(6) === 0 ? continuation(random, shape) : pick(random, BLANKS));
  return kind + gap() + digits.map((pair, index) => (index === 0 ? pair : `,${gap()}${pair}`)).join("");
}

function continuation(random: Random, { newline }: Shape): string {
  const comment = random(4) === 0 ? pick(random, COMMENTS) : "";
  const lines = random(4) === 0 ? between(random).map((line) => line + newline) : [];
  return `${pick(random, BLANKS)}\\${pick(random, BLANKS)}${comment}${newline}${lines.join("")}${pick(random, BLANKS)}`;
}
