import { Buffer } from "node:buffer";
import { printable } from "../model/printable.ts";
import { ProblemError } from "../model/problem.ts";
import type { RegistryValue } from "../world/windows-system.ts";
import { malformed } from "./refusals.ts";
import { compareNames, foldedName } from "./registry-file-names.ts";
import { scanRegistryText } from "./registry-file-scan.ts";
import {
  decodeRegistryFile,
  MAX_REGISTRY_FILE_BYTES,
  REGISTRY_HEADER,
  UTF16_MARK,
  unitsOf,
  utf16Bytes,
} from "./registry-file-text.ts";
import { isWritableKeyPath, isWritableValue, valueLines } from "./registry-file-values.ts";

/** What a registry file asks for, in its order. */
export interface RegistryFile {
  readonly keys: readonly RegistryFileKey[];
}

export interface RegistryFileKey {
  /** Lines are counted from 1. */
  readonly line: number;
  /** As written, root included. */
  readonly path: string;
  /** `[-path]`: the key is to go with everything in it. Has no entries. */
  readonly remove: boolean;
  readonly entries: readonly RegistryFileEntry[];
}

export type RegistryFileEntry =
  | { readonly kind: "set"; readonly line: number; readonly value: RegistryValue }
  | { readonly kind: "delete"; readonly line: number; readonly name: string };

/**
 * Reads a registry file: version 5.00 in UTF-16LE with its mark or in UTF-8 with or without one, or `REGEDIT4` in
 * ASCII. `path` only goes into problems. The time it takes is linear in the bytes.
 *
 * Promises to read less than regedit does: what regedit would skip or guess is refused. Where it reads it reads the
 * same, but for UTF-8, which regedit takes for 8-bit text, and for text without its NUL, to which regedit adds one.
 * Type numbers and bytes are as written, also for a `hex(4)` that is no number. In `REGEDIT4` hex of the types 1, 2
 * and 7 is 8-bit text (as `RegSetValueExA` takes it) and becomes UTF-16; it has to be ASCII with its NUL. In version
 * 5.00 it is UTF-16 whatever the file is in, as that of a converted file is.
 *
 * Throws `SETTINGS_MALFORMED`: `too-large` (over 16 MiB, or over 65,536 keys and values), `utf16`
 * (UTF-16BE), `truncated` (half a character at the end), `not-utf8` (also: 8-bit text that is not ASCII, since nobody
 * says in what code page), `no-registry-file` (no header), `duplicate-value` (a name twice in a key, or a key twice,
 * whatever the case), `syntax`.
 */
export function readRegistryFile(bytes: Uint8Array, path: string): RegistryFile {
  const { text, form, bodyStart } = decodeRegistryFile(bytes, path);
  return { keys: scanRegistryText(unitsOf(text), form, bodyStart, path) };
}

/**
 * The values of the one key `keyPath` (`HKEY_USERS\SID\…`), from a file that asks for nothing else: the allow-list
 * of everything that is ever written back. The key may be written as the account's `HKEY_CURRENT_USER\…`, and in any
 * case. A file without a key breaks off too early (`truncated`); one with the key alone has no values.
 *
 * Throws as `readRegistryFile`, and `REGISTRY_FILE_REFUSED` for any other key, a second time the same key under its
 * other name, a deletion of the key or of a value. `wants` is the offending line, without any data.
 */
export function readOwnKey(bytes: Uint8Array, path: string, keyPath: string): readonly RegistryValue[] {
  const { keys } = readRegistryFile(bytes, path);
  if (keys.length === 0) throw malformed(path, "truncated");
  return keys.flatMap((key, index) => {
    if (index > 0 || key.remove || !isKey(key.path, keyPath)) throw refused(path, key.line, keyLine(key));
    return key.entries.map((entry) => {
      if (entry.kind === "delete") throw refused(path, entry.line, deletionLine(entry.name));
      return entry.value;
    });
  });
}

/**
 * The canonical registry file of one key: version 5.00, UTF-16LE with its mark, CRLF, values in the order of their
 * names without regard to case. Pure; the same values in any order give the same bytes, and `readOwnKey` gives back
 * the same names, types and bytes, which is checked before it returns.
 *
 * A person can double-click it; regedit then writes the same values, but for text without a NUL at its end, to which
 * it adds one.
 *
 * Throws `SETTINGS_MALFORMED` with the key as its path: `syntax` when the format cannot hold the key or a name (a NUL
 * or a line break in it), `duplicate-value` for names that differ in case alone, `too-large`.
 */
export function writeRegistryFile(keyPath: string, values: readonly RegistryValue[]): Uint8Array {
  if (!isWritableKeyPath(keyPath) || !values.every(isWritableValue)) throw malformed(keyPath, "syntax");
  const size = values.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (size > MAX_REGISTRY_FILE_BYTES) throw malformed(keyPath, "too-large");
  const sorted = values.toSorted((one, other) => compareNames(one.name, other.name));
  const lines = [REGISTRY_HEADER, "", `[${keyPath}]`, ...sorted.map(valueLines), "", ""];
  const bytes = utf16Bytes(`${UTF16_MARK}${lines.join("\r\n")}`);
  if (!areSame(readOwnKey(bytes, keyPath, keyPath), sorted)) {
    throw new ProblemError({ code: "INTERNAL", detail: "registry-file" });
  }
  return bytes;
}

/** `HKEY_USERS\SID\` and what is below it: the account's own `HKEY_CURRENT_USER`. */
const OF_ACCOUNT = /^HKEY_USERS\\[^\\]+\\/i;

function isKey(written: string, keyPath: string): boolean {
  const folded = foldedName(written);
  const alias = keyPath.replace(OF_ACCOUNT, () => "HKEY_CURRENT_USER\\");
  return folded === foldedName(keyPath) || folded === foldedName(alias);
}

function keyLine({ remove, path }: RegistryFileKey): string {
  return `[${remove ? "-" : ""}${path}]`;
}

function deletionLine(name: string): string {
  return name === "" ? "@=-" : `"${name}"=-`;
}

function refused(path: string, line: number, wants: string): ProblemError {
  return new ProblemError({ code: "REGISTRY_FILE_REFUSED", path, line, wants: printable(wants) });
}

function areSame(some: readonly RegistryValue[], others: readonly RegistryValue[]): boolean {
  return some.length === others.length && some.every((value, index) => isSame(value, others[index]));
}

function isSame(one: RegistryValue, other: RegistryValue | undefined): boolean {
  return one.name === other?.name && one.type === other.type && Buffer.compare(one.bytes, other.bytes) === 0;
}
