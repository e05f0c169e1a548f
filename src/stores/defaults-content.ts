import { createHash } from "node:crypto";
import { writeBinaryPlist } from "./plist-binary-writer.ts";
import { readPlist } from "./plist-reader.ts";
import { numberOfReal, type PlistReal, type PlistValue, realOf } from "./plist-value.ts";
import { malformed } from "./refusals.ts";

/** The keys of a preferences domain with their values, in no particular order. */
export type DomainContent = ReadonlyMap<string, PlistValue>;

export const NO_CONTENT: DomainContent = new Map();

/**
 * What a property list holds, binary or XML; `path` only goes into problems. Throws `SETTINGS_MALFORMED` (`wrong-root`:
 * no dictionary) and `IDENTITY_LOST` as `readPlist`.
 */
export function contentOf(bytes: Uint8Array, path: string): DomainContent {
  const { root } = readPlist(bytes, path);
  if (root.kind !== "dictionary") throw malformed(path, "wrong-root");
  return new Map(root.entries);
}

/**
 * The binary property list of it in one form: whatever wrote them, the same settings give the same bytes. Dictionaries
 * are in the order of their keys (a Mac keeps none), integers have no width of their own (a Mac's writer gives each the
 * narrowest that it has), nothing tells how XML spelt it, and no container is shared.
 */
export function bytesOf(content: DomainContent): Uint8Array {
  return writeBinaryPlist({ kind: "dictionary", entries: sortedEntries(content) });
}

/**
 * SHA-256 of what each value is, hex: what a way through the daemon may do to it makes no other value of it. A date may
 * pass it as nanoseconds in an integer and come back some ten millionths of a second off (`xpc_date_create` takes
 * such; UNVERIFIED that it is used), a real of 4 bytes may come back with 8. So dates count to the millisecond and reals
 * by their number; the bytes of `bytesOf` are exact.
 */
export function fingerprintsOf(content: DomainContent): ReadonlyMap<string, string> {
  return new Map([...content].map(([name, value]) => [name, fingerprintOf(value)]));
}

/** Whether both have the same keys with the same values of the same types, as far as fingerprints tell. */
export function sameContent(one: DomainContent, other: DomainContent): boolean {
  const others = fingerprintsOf(other);
  return (
    one.size === other.size && [...fingerprintsOf(one)].every(([name, print]) => others.get(name) === print)
  );
}

type Entries = readonly (readonly [string, PlistValue])[];

function fingerprintOf(value: PlistValue): string {
  return createHash("sha256")
    .update(writeBinaryPlist(canonical(value, toleratedLeaf)))
    .digest("hex");
}

type Leaf = Exclude<PlistValue, { readonly kind: "dictionary" | "array" }>;

/** By their UTF-16 units, so that no locale has a say. */
function sortedEntries(
  entries: Iterable<readonly [string, PlistValue]>,
  leaf: (value: Leaf) => Leaf = exactLeaf,
): Entries {
  const sorted = [...entries].sort(([one], [other]) => {
    if (one === other) return 0;
    return one < other ? -1 : 1;
  });
  return sorted.map(([key, value]) => [key, canonical(value, leaf)]);
}

/** The reader has seen to it that this does not go deep. */
function canonical(value: PlistValue, leaf: (value: Leaf) => Leaf): PlistValue {
  switch (value.kind) {
    case "dictionary":
      return { kind: "dictionary", entries: sortedEntries(value.entries, leaf) };
    case "array":
      return { kind: "array", items: value.items.map((item) => canonical(item, leaf)) };
    default:
      return leaf(value);
  }
}

/** A new object each time: the writer writes one that is in several places once. */
function exactLeaf(value: Leaf): Leaf {
  switch (value.kind) {
    case "integer":
    case "uid":
      return { kind: value.kind, value: value.value };
    case "real":
      return { kind: "real", bits: value.bits, width: value.width };
    case "date":
      return { kind: "date", seconds: value.seconds };
    case "data":
      return { kind: "data", bytes: value.bytes };
    case "string":
    case "boolean":
      return value;
  }
}

function toleratedLeaf(value: Leaf): Leaf {
  if (value.kind === "real") return widened(value);
  if (value.kind !== "date") return exactLeaf(value);
  const milliseconds = Math.round(value.seconds * 1000);
  // Too far away to have a millisecond, or no number.
  if (!Number.isSafeInteger(milliseconds)) return exactLeaf(value);
  // Zero has no sign here.
  return { kind: "date", seconds: milliseconds === 0 ? 0 : milliseconds / 1000 };
}

/** Every real of 4 bytes is one of 8; whatever is no number is the same, since its bits may change on that way. */
function widened(real: PlistReal): Leaf {
  const number = numberOfReal(real);
  return Number.isNaN(number) ? { kind: "real", bits: NOT_A_NUMBER, width: 8 } : realOf(number);
}

const NOT_A_NUMBER = 0x7ff8_0000_0000_0000n;
