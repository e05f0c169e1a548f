import { Buffer, isUtf8 } from "node:buffer";
import { malformed } from "./refusals.ts";

/** The largest registry file that is read or written, in bytes (16 MiB). */
export const MAX_REGISTRY_FILE_BYTES = 16_777_216;

/** First line of what regedit writes since Windows 2000. */
export const REGISTRY_HEADER = "Windows Registry Editor Version 5.00";

/** Byte order mark of UTF-16, as a character. */
export const UTF16_MARK = "\ufeff";

/** `4` is the 8-bit form of Windows 95 and NT 4, which regedit still writes and reads. */
export type RegistryFileForm = "5.00" | "4";

export interface RegistryText {
  /** Without a mark, and without any NUL. */
  readonly text: string;
  readonly form: RegistryFileForm;
  /** Index of what follows the header; its line is still to be ended. */
  readonly bodyStart: number;
}

/** A text as a scanner sees it: `at` is NaN beyond its end. */
export interface Units {
  at(index: number): number;
  slice(start: number, end: number): string;
}

/**
 * The text of a registry file by its mark and its header. Throws `SETTINGS_MALFORMED`: `too-large`, `utf16`,
 * `truncated`, `not-utf8`, `no-registry-file`, `syntax` (a NUL).
 */
export function decodeRegistryFile(bytes: Uint8Array, path: string): RegistryText {
  if (bytes.length > MAX_REGISTRY_FILE_BYTES) throw malformed(path, "too-large");
  const decoded = decoded16(bytes, path) ?? decoded8(bytes, path);
  if (decoded.text.includes("\0")) throw malformed(path, "syntax");
  return decoded;
}

export function unitsOf(text: string): Units {
  return { at: (index) => text.charCodeAt(index), slice: (start, end) => text.slice(start, end) };
}

/** UTF-16LE, lone surrogates included. Own memory: never part of a shared pool, as the bytes may hold a secret. */
export function utf16Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 2);
  viewOf(bytes).write(text, "utf16le");
  return bytes;
}

/** The text of UTF-16LE bytes; half a unit at the end is left out. */
export function utf16Text(bytes: Uint8Array): string {
  return viewOf(bytes).toString("utf16le");
}

const OLD_HEADER = "REGEDIT4";
const UTF8_MARK = "\xef\xbb\xbf";

function decoded16(bytes: Uint8Array, path: string): RegistryText | null {
  const [first, second] = bytes;
  if (first === 0xfe && second === 0xff) throw malformed(path, "utf16");
  if (first !== 0xff || second !== 0xfe) return null;
  if (bytes.length % 2 === 1) throw malformed(path, "truncated");
  const text = utf16Text(bytes.subarray(2));
  if (!hasHeader(text, REGISTRY_HEADER)) throw malformed(path, "no-registry-file");
  return { text, form: "5.00", bodyStart: REGISTRY_HEADER.length };
}

function decoded8(bytes: Uint8Array, path: string): RegistryText {
  const view = viewOf(bytes);
  const latin1 = view.toString("latin1");
  if (hasHeader(latin1, OLD_HEADER)) {
    if (NOT_ASCII.test(latin1)) throw malformed(path, "not-utf8");
    return { text: latin1, form: "4", bodyStart: OLD_HEADER.length };
  }
  const marked = latin1.startsWith(UTF8_MARK);
  if (!hasHeader(latin1.slice(marked ? UTF8_MARK.length : 0), REGISTRY_HEADER)) {
    throw malformed(path, "no-registry-file");
  }
  if (!isUtf8(bytes)) throw malformed(path, "not-utf8");
  const text = view.subarray(marked ? UTF8_MARK.length : 0).toString("utf8");
  return { text, form: "5.00", bodyStart: REGISTRY_HEADER.length };
}

const NOT_ASCII = /[^\0-\x7f]/;

function hasHeader(text: string, header: string): boolean {
  return text.startsWith(header) && /^[\r\n]?$/.test(text.charAt(header.length));
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
