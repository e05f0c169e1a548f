import { createHash } from "node:crypto";
import type { RegistryValue } from "../world/windows-system.ts";
import { compareNames } from "./registry-file-names.ts";
import { isTokenValue } from "./registry-settings.ts";
import type { WritePart } from "./store.ts";

/** One operation of a write: sets the value of the name, or deletes it (null). */
export interface RegistryOperation {
  readonly name: string;
  readonly to: RegistryValue | null;
}

/**
 * What turns the values of a key into others: a deletion or a setting of each value that differs, and of no other.
 * Values are told apart by their names to the letter: the registry keeps the name that a value has when it is set
 * under another case, so such a one is deleted and set.
 *
 * Deletions come first, then settings, and what happens to the token comes last of all. A process that dies between
 * two operations then leaves the server with the token that stood there before: as locked out, or as signed in, as it
 * was (but for a token under a name in another case, which has a moment without). The other orders are worse. With the token gone early, a server that starts is nobody's for as long as it takes
 * to run us again, and lets in everybody on its network (unclaimed servers do); with a new token early, it is signed in
 * under a name that is not the token's.
 */
export function operationsBetween(
  from: readonly RegistryValue[],
  to: readonly RegistryValue[],
): readonly RegistryOperation[] {
  const standing = fingerprints(from);
  const wanted = new Set(to.map(({ name }) => name));
  const deletions = from.filter(({ name }) => !wanted.has(name)).map(({ name }) => ({ name, to: null }));
  const settings = to
    .filter((value) => standing.get(value.name) !== fingerprintOf(value))
    .map((value) => ({ name: value.name, to: value }));
  const all = [...byName(deletions), ...byName(settings)];
  return [...all.filter(({ name }) => !isTokenValue(name)), ...all.filter(({ name }) => isTokenValue(name))];
}

/**
 * What takes operations back that began from `from`, the last one first: only those whose outcome is what stands
 * there, whatever was reported of them. What somebody else has put in a value's place stays.
 */
export function operationsBack(
  operations: readonly RegistryOperation[],
  from: readonly RegistryValue[],
  standing: readonly RegistryValue[],
): readonly RegistryOperation[] {
  const now = fingerprints(standing);
  const done = operations.filter(
    ({ name, to }) => now.get(name) === (to === null ? undefined : fingerprintOf(to)),
  );
  return done.map(({ name }) => ({ name, to: from.find((value) => value.name === name) ?? null })).reverse();
}

/** The operations as a journal keeps them. */
export function partsOf(operations: readonly RegistryOperation[]): readonly WritePart[] {
  return operations.map(({ name, to }) => ({ name, to: to === null ? null : fingerprintOf(to) }));
}

/** Whether each value is as it was in `from`, or as the part of its name wants it. */
export function isBetween(
  standing: readonly RegistryValue[],
  from: readonly RegistryValue[],
  parts: readonly WritePart[],
): boolean {
  const now = fingerprints(standing);
  const before = fingerprints(from);
  const wanted = new Map(parts.map(({ name, to }) => [name, to ?? undefined]));
  return [...new Set([...now.keys(), ...before.keys()])].every((name) => {
    const found = now.get(name);
    return found === before.get(name) || (wanted.has(name) && found === wanted.get(name));
  });
}

/**
 * Whether the first of the parts are as they are wanted and the others as in `from`: parts stand in the order in which
 * they are written, and are taken back in reverse. Anything else may be as it likes.
 */
export function isMixed(
  standing: readonly RegistryValue[],
  from: readonly RegistryValue[],
  parts: readonly WritePart[],
): boolean {
  const now = fingerprints(standing);
  const before = fingerprints(from);
  const states = parts.map(({ name, to }) => {
    const found = now.get(name);
    if (found === (to ?? undefined)) return "after";
    return found === before.get(name) ? "before" : "other";
  });
  const done = states.findIndex((state) => state !== "after");
  return done > 0 && states.slice(done).every((state) => state === "before");
}

/** The standing values with each of the parts as it was in `from`. */
export function withoutParts(
  standing: readonly RegistryValue[],
  from: readonly RegistryValue[],
  parts: readonly WritePart[],
): readonly RegistryValue[] {
  const names = new Set(parts.map(({ name }) => name));
  return [...standing.filter(({ name }) => !names.has(name)), ...from.filter(({ name }) => names.has(name))];
}

/** The same values in any order, names to the letter. */
export function sameValues(one: readonly RegistryValue[], other: readonly RegistryValue[]): boolean {
  return isBetween(one, other, []);
}

/** The same write is the same operations in the same order, whatever order the registry lists values in. */
function byName(operations: readonly RegistryOperation[]): readonly RegistryOperation[] {
  return operations.toSorted((one, other) => compareNames(one.name, other.name));
}

function fingerprints(values: readonly RegistryValue[]): ReadonlyMap<string, string> {
  return new Map(values.map((value) => [value.name, fingerprintOf(value)]));
}

/** SHA-256 of the type's number (32 bits, lowest byte first) and the bytes, hex. */
function fingerprintOf({ type, bytes }: RegistryValue): string {
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, type, true);
  return createHash("sha256").update(number).update(bytes).digest("hex");
}
