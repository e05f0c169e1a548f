import {
  type PlistDictionary,
  type PlistEntry,
  type PlistValue,
  realOf,
} from "../../src/stores/plist-value.ts";
import { pick, type Random } from "./plist-random.ts";

/** What a tree may hold, for readers and formats that know less than ours. */
export interface TreeLimits {
  /** Strings with NUL or half a surrogate pair, dates with fractions: the binary format only. */
  readonly binaryOnly?: boolean;
  readonly uids?: boolean;
  /** Carriage returns, which XML readers and writers treat in different ways. */
  readonly returns?: boolean;
  /** NaN with a payload, floats of 32 bits, integers wider than they need be. */
  readonly oddNumbers?: boolean;
  /** Of values in all. */
  readonly size?: number;
}

export const ALL_BINARY: TreeLimits = { binaryOnly: true, uids: true, returns: true, oddNumbers: true };

const PIECES = [
  "a",
  "Plex",
  " ",
  "\t",
  "\n",
  "&",
  "<",
  ">",
  "]]>",
  '"',
  "'",
  "é",
  "ключ",
  "日本",
  "🔑",
  "👩‍👩‍👧",
  "e\u0301",
  "\u00a0",
  "\u2028",
  "&amp;",
  "<!--",
  "\x7f",
  "\ufdd0",
];
const KEYS = [
  "1",
  "007",
  "-1",
  "1.5",
  "",
  "__proto__",
  "constructor",
  "a b",
  "ключ",
  "🔑",
  "<&>",
  "CF$UID",
  "toString",
  "x",
  "dict",
];
const INTEGERS = [0n, 1n, -1n, 127n, 128n, 255n, 256n, 65_535n, 65_536n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n]
  .concat([2n ** 40n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n])
  .concat([-(2n ** 31n), -(2n ** 53n) - 1n, -(2n ** 63n)]);
const REALS = [
  0,
  -0,
  1,
  -1,
  1.5,
  0.1,
  1e21,
  1e-7,
  5e-324,
  1.797e308,
  2 ** 53,
  Infinity,
  -Infinity,
  Number.NaN,
];

/** A tree with containers in containers, empty ones too. */
export function treeFrom(random: Random, limits: TreeLimits = {}): PlistValue {
  const budget = { left: 1 + random(limits.size ?? 40) };
  return value(random, limits, budget, 0);
}

/** The settings of a server among whatever else, the four at any places. */
export function settingsTree(random: Random, limits: TreeLimits = {}): PlistDictionary {
  const others = Array.from({ length: random(8) }, (_, n): PlistEntry => {
    const key = random(3) === 0 ? pick(random, KEYS) : `Setting${n}`;
    return [key, treeFrom(random, { size: 8, ...limits })];
  });
  const text = (some: string): PlistValue => ({ kind: "string", value: some + string(random, limits) });
  const entries = new Map<string, PlistValue>(others);
  entries.set("MachineIdentifier", text("m"));
  entries.set("ProcessedMachineIdentifier", text("p"));
  if (random(2) === 0) entries.set("AnonymousMachineIdentifier", text(""));
  if (random(2) === 0) entries.set("FriendlyName", text(""));
  for (const name of ["PlexOnlineToken", "PlexOnlineUsername", "PlexOnlineMail"]) {
    if (random(2) === 0) entries.set(name, text(""));
  }
  if (random(2) === 0) entries.set("PlexOnlineHome", random(2) ? integerOf(1n, limits, random) : TRUE);
  return { kind: "dictionary", entries: shuffled(random, [...entries]) };
}

export function string(random: Random, limits: TreeLimits = {}): string {
  const pieces = [
    ...PIECES,
    ...(limits.returns ? ["\r", "\r\n"] : []),
    ...(limits.binaryOnly ? ["\0", "\ud83d", "\udd11", "\x01", "\ufffe"] : []),
  ];
  const length = pick(random, [0, 1, 2, 3, 5, 14, 15, 16, 40]);
  const ascii = random(2) === 0;
  return Array.from({ length }, () =>
    ascii ? pick(random, ["a", "7", "-", "Z", " "]) : pick(random, pieces),
  ).join("");
}

const TRUE: PlistValue = { kind: "boolean", value: true };

function shuffled<T>(random: Random, items: T[]): T[] {
  for (let index = items.length - 1; index > 0; index--) {
    const other = random(index + 1);
    [items[index], items[other]] = [items[other] as T, items[index] as T];
  }
  return items;
}

function value(random: Random, limits: TreeLimits, budget: { left: number }, depth: number): PlistValue {
  budget.left -= 1;
  const kind = random(depth > 12 ? 7 : 11);
  if (kind < 7) return leaf(random, limits, kind);
  const count = Math.min(budget.left, pick(random, [0, 1, 2, 3, 8, 14, 15, 16]));
  const children = Array.from({ length: Math.max(0, count) }, () => value(random, limits, budget, depth + 1));
  if (kind < 9) return { kind: "array", items: children };
  const entries = new Map(
    children.map((child, n) => [random(2) ? pick(random, KEYS) : `${string(random, limits)}${n}`, child]),
  );
  // With this one key and an integer it would be a UID in XML.
  const [[key] = []] = [[...entries.keys()]];
  if (entries.size === 1 && key === "CF$UID") return { kind: "dictionary", entries: [["x", TRUE]] };
  return { kind: "dictionary", entries: [...entries] };
}

function leaf(random: Random, limits: TreeLimits, kind: number): PlistValue {
  switch (kind) {
    case 0:
    case 1:
      return { kind: "string", value: string(random, limits) };
    case 2:
      return integerOf(
        random(2) ? pick(random, INTEGERS) : BigInt(random(2 ** 31)) << BigInt(random(32)),
        limits,
        random,
      );
    case 3:
      return real(random, limits);
    case 4:
      return date(random, limits);
    case 5:
      return data(random);
    default:
      if (limits.uids && random(2) === 0) return uid(random, limits);
      return { kind: "boolean", value: random(2) === 0 };
  }
}

function integerOf(some: bigint, limits: TreeLimits, random: Random): PlistValue {
  if (!limits.oddNumbers) return { kind: "integer", value: some };
  const least = some < 0n ? 3 : [8n, 16n, 32n, 63n, 64n].findIndex((bits) => some < 2n ** bits);
  const widths = ([1, 2, 4, 8, 16] as const).slice(least);
  return { kind: "integer", value: some, width: pick(random, widths) };
}

function real(random: Random, limits: TreeLimits): PlistValue {
  const kind = random(limits.oddNumbers ? 4 : 2);
  if (kind === 0) return realOf(pick(random, REALS));
  if (kind === 1) return realOf((random(2 ** 31) / 2 ** random(60)) * (random(2) ? 1 : -1));
  const low = BigInt(random(2 ** 31)) * 2n + BigInt(random(2));
  if (kind === 2) return { kind: "real", bits: low, width: 4 };
  return { kind: "real", bits: (BigInt(random(2) ? 0x7ff0_0001 : random(2 ** 31)) << 32n) | low, width: 8 };
}

/** Fractions of 64ths, which every reader can tell exactly. */
function date(random: Random, limits: TreeLimits): PlistValue {
  const whole = (random(2) ? 1 : -1) * random(2 ** 31) * (random(4) ? 1 : 20);
  return { kind: "date", seconds: limits.binaryOnly ? whole + random(64) / 64 : whole || 0 };
}

function data(random: Random): PlistValue {
  const length = pick(random, [0, 1, 2, 3, 14, 15, 16, 60, 300]);
  return { kind: "data", bytes: Uint8Array.from({ length }, () => random(256)) };
}

function uid(random: Random, limits: TreeLimits): PlistValue {
  const some = BigInt(pick(random, [0, 1, 255, 256, 65_536, 2 ** 32 - 1]));
  const least = [8n, 16n, 32n].findIndex((bits) => some < 2n ** bits);
  const widths = [1, 2, 4, 8].slice(least);
  return { kind: "uid", value: some, ...(limits.oddNumbers && { width: pick(random, widths) }) };
}
