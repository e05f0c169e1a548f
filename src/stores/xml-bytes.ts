import { Buffer, isUtf8 } from "node:buffer";
import { identityLost, malformed } from "./refusals.ts";

/** The largest XML settings that are read, in bytes (1 MiB). Public samples have 0.3 to 5 KB. */
export const MAX_XML_BYTES = 1_048_576;

/**
 * The bytes as a string with one UTF-16 unit a byte (latin1), so that an index is a byte offset.
 *
 * Promises that the bytes are UTF-8 and hold only characters of XML 1.0, and that there is something besides
 * white space. Throws `SETTINGS_MALFORMED` (`too-large`, `utf16`, `not-utf8`, `truncated`, `syntax`) or
 * `IDENTITY_LOST` (`empty`: nothing, white space, or only NULs, as a power cut can leave a file).
 */
export function latin1OfXml(bytes: Uint8Array, path: string): string {
  if (bytes.length > MAX_XML_BYTES) throw malformed(path, "too-large");
  const text = viewOf(bytes).toString("latin1");
  if (NOTHING.test(text)) throw identityLost(path, "empty");
  if (isWide(text)) throw malformed(path, "utf16");
  if (!isUtf8(bytes)) throw malformed(path, endsInsideCharacter(bytes) ? "truncated" : "not-utf8");
  if (FORBIDDEN.test(text)) throw malformed(path, "syntax");
  return text;
}

/** The bytes of such a string. Own memory: never part of a shared pool, as the bytes hold a secret. */
export function bytesOfLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  viewOf(bytes).write(text, "latin1");
  return bytes;
}

/** Text as such a string of its UTF-8 bytes. */
export function latin1OfText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** The text whose UTF-8 bytes such a string holds. */
export function textOfLatin1(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString("utf8");
}

/** The UTF-8 byte order mark, byte by byte. */
export const BYTE_ORDER_MARK = "\xef\xbb\xbf";

const NOTHING = /^(?:(?:\xef\xbb\xbf)?[ \t\r\n]*|\0+)$/;

/** Control characters, and the bytes of U+FFFE and U+FFFF: not characters of XML 1.0 (section 2.2, Char). */
const FORBIDDEN = /[^\t\n\r\x20-\xff]|\xef\xbf[\xbe\xbf]/;

/**
 * UTF-16 or UTF-32, with or without a byte order mark: XML 1.0, appendix F.1. Without a mark the first
 * character is white space or `<`, so one of the first four bytes is NUL and another is not.
 */
function isWide(text: string): boolean {
  if (text.startsWith("\xff\xfe") || text.startsWith("\xfe\xff")) return true;
  const head = text.slice(0, 4);
  return head.includes("\0") && head !== "\0\0\0\0";
}

function endsInsideCharacter(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
