import { Buffer } from "node:buffer";
import type { RegistryValue } from "../world/windows-system.ts";
import { MAX_VALUE_NAME_UNITS } from "./registry-file-names.ts";
import { utf16Text } from "./registry-file-text.ts";

/** Numbers of the types that have a form of their own in a registry file (winnt.h). */
export const REG_SZ = 1;
export const REG_BINARY = 3;
export const REG_DWORD = 4;

/**
 * One value as regedit writes it, its lines separated by CRLF: text and a number of 4 bytes as such where that gives
 * the bytes back, all else in hex, in lines of at most 80 characters wherever the name leaves room for one byte.
 */
export function valueLines(value: RegistryValue): string {
  const name = value.name === "" ? "@=" : `${quoted(value.name)}=`;
  const { type, bytes } = value;
  if (type === REG_SZ) {
    const text = plainText(bytes);
    if (text !== null) return name + quoted(text);
  }
  if (type === REG_DWORD && bytes.length === 4) {
    return `${name}dword:${hexOf(bytes).toReversed().join("")}`;
  }
  return folded(type === REG_BINARY ? `${name}hex:` : `${name}hex(${type.toString(16)}):`, hexOf(bytes));
}

/** Whether the format can hold the value: a name may have any character but NUL and those that end a line. */
export function isWritableValue({ name, type }: RegistryValue): boolean {
  return !ENDS.test(name) && name.length <= MAX_VALUE_NAME_UNITS && type >>> 0 === type;
}

/** Whether a line `[…]` can name the key, and does not ask for its deletion. */
export function isWritableKeyPath(path: string): boolean {
  return !ENDS.test(path) && !path.startsWith("-") && isKeyPath(path);
}

/** Components separated by single backslashes. */
export function isKeyPath(path: string): boolean {
  return path !== "" && !path.startsWith("\\") && !path.endsWith("\\") && !path.includes("\\\\");
}

const ENDS = /[\0\r\n]/;
/** Controls and lone surrogates. */
const NOT_PLAIN = /[\p{Cc}\p{Cs}]/u;

/** Where regedit breaks a line of hex: at the first comma at or after this column. */
const FULL_LINE = 77;
const CONTINUED = ",\\\r\n  ";
const FURTHER = bytesUpTo(FULL_LINE, "  ".length);

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** Text of whole characters without controls, ended by its one NUL, which is left out; null for anything else. */
function plainText(bytes: Uint8Array): string | null {
  const ended = utf16Text(bytes);
  if (bytes.length % 2 === 1 || !ended.endsWith("\0")) return null;
  const text = ended.slice(0, -1);
  return NOT_PLAIN.test(text) ? null : text;
}

function hexOf(bytes: Uint8Array): readonly string[] {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex").match(/../g) ?? [];
}

/** Every line holds at least one byte. */
function folded(start: string, hex: readonly string[]): string {
  const first = Math.max(1, bytesUpTo(FULL_LINE, start.length));
  const lines = [hex.slice(0, first).join()];
  for (let done = first; done < hex.length; done += FURTHER)
    lines.push(hex.slice(done, done + FURTHER).join());
  return start + lines.join(CONTINUED);
}

/** So many bytes, each with its comma, bring a line from one column to the other or beyond. */
function bytesUpTo(column: number, from: number): number {
  return Math.ceil((column - from) / "00,".length);
}
