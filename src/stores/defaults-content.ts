import { createHash } from "node:crypto";
import { writeBinaryPlist } from "./plist-binary-writer.ts";
import { readPlist } from "./plist-reader.ts";
import type { PlistValue } from "./plist-value.ts";
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

/** SHA-256 of each value in that form, hex. */
export function fingerprintsOf(content: DomainContent): ReadonlyMap<string, string> {
  return new Map([...content].map(([name, value]) => [name, fingerprintOf(value)]));
}

/** Whether both have the same keys with the same values of the same types. */
export function sameContent(one: DomainContent, other: DomainContent): boolean {
  const others = fingerprintsOf(other);
  return (
    one.size === other.size && [...fingerprintsOf(one)].every(([name, print]) => others.get(name) === print)
  );
}

type Entries = readonly (readonly [string, PlistValue])[];

function fingerprintOf(value: PlistValue): string {
  return createHash("sha256")
    .update(writeBinaryPlist(canonical(value)))
    .digest("hex");
}

/** By their UTF-16 units, so that no locale has a say. */
function sortedEntries(entries: Iterable<readonly [string, PlistValue]>): Entries {
  const sorted = [...entries].sort(([one], [other]) => {
    if (one === other) return 0;
    return one < other ? -1 : 1;
  });
  return sorted.map(([key, value]) => [key, canonical(value)]);
}

/** The reader has seen to it that this does not go deep. */
function canonical(value: PlistValue): PlistValue {
  switch (value.kind) {
    case "dictionary":
      return { kind: "dictionary", entries: sortedEntries(value.entries) };
    case "array":
      return { kind: "array", items: value.items.map(canonical) };
    case "integer":
    case "uid":
      return { kind: value.kind, value: value.value };
    case "real":
      return { kind: "real", bits: value.bits, width: value.width };
    case "date":
    case "string":
    case "boolean":
    case "data":
      return value;
  }
}
