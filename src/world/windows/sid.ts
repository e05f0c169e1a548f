import { SystemError } from "../world.ts";
import { WIN32 } from "./errors.ts";

/** The longest SID, in bytes: 15 parts ([MS-DTYP] 2.4.2). */
export const LONGEST_SID = 68;

/** How many bytes the SID has that begins with these (at least two). */
export function sidLength(head: Uint8Array): number {
  return 8 + 4 * (head[1] ?? 0);
}

/** `S-1-5-21-…` of a SID's bytes, as `ConvertSidToStringSidW` writes it ([MS-DTYP] 2.4.2.1). */
export function sidText(bytes: Uint8Array): string {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const authority = data.getUint16(2) * 2 ** 32 + data.getUint32(4);
  const parts = Array.from({ length: data.getUint8(1) }, (_, index) => data.getUint32(8 + 4 * index, true));
  const first =
    authority < 2 ** 32 ? String(authority) : `0x${authority.toString(16).toUpperCase().padStart(12, "0")}`;
  return ["S", data.getUint8(0), first, ...parts].join("-");
}

/** The bytes of `S-1-5-21-…`, or null for a text that is none. */
export function sidBytes(text: string): Buffer | null {
  const match = /^S-1-(\d{1,10}|0x[0-9a-f]{1,12})((?:-\d{1,10}){1,15})$/i.exec(text);
  if (match === null) return null;
  const [, first = "", rest = ""] = match;
  const authority = Number(first);
  const parts = rest.slice(1).split("-").map(Number);
  if (parts.some((part) => part >= 2 ** 32)) return null;
  const bytes = Buffer.alloc(8 + 4 * parts.length);
  bytes.writeUInt8(1, 0);
  bytes.writeUInt8(parts.length, 1);
  bytes.writeUIntBE(authority, 2, 6);
  parts.forEach((part, index) => {
    bytes.writeUInt32LE(part, 8 + 4 * index);
  });
  return bytes;
}

/**
 * The SIDs to whom an access control list ([MS-DTYP] 2.4.5) allows anything, each once: here, or in what is made in
 * here.
 *
 * @throws SystemError for a list that is cut off, or has an entry of a kind that is not known
 */
export function allowedSids(list: Uint8Array, path: string): string[] {
  const data = new DataView(list.buffer, list.byteOffset, list.byteLength);
  const allowed = new Set<string>();
  let offset = LIST_HEADER;
  for (let left = list.byteLength < LIST_HEADER ? -1 : data.getUint16(4, true); left !== 0; left -= 1) {
    if (left < 0 || offset + ENTRY_HEADER > list.byteLength) throw malformed(path);
    const size = data.getUint16(offset + 2, true);
    if (size < ENTRY_HEADER || offset + size > list.byteLength) throw malformed(path);
    const entry = list.subarray(offset, offset + size);
    const sid = allowedBy(entry, path);
    if (sid !== null) allowed.add(sid);
    offset += size;
  }
  return [...allowed];
}

const LIST_HEADER = 8;
const ENTRY_HEADER = 8;
const DENYING: ReadonlySet<number> = new Set([1, 6, 10, 12]);
const ALLOWING: ReadonlySet<number> = new Set([0, 9]);
/** With the numbers of an object type before the SID, as far as its flags say that they are there. */
const ALLOWING_OBJECT: ReadonlySet<number> = new Set([5, 11]);

function allowedBy(entry: Uint8Array, path: string): string | null {
  const data = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  const kind = data.getUint8(0);
  if (DENYING.has(kind) || data.getUint32(4, true) === 0) return null;
  if (ALLOWING.has(kind)) return sidIn(entry, ENTRY_HEADER, path);
  if (!ALLOWING_OBJECT.has(kind) || entry.byteLength < ENTRY_HEADER + 4) throw malformed(path);
  const flags = data.getUint32(ENTRY_HEADER, true);
  return sidIn(entry, ENTRY_HEADER + 4 + (flags & 1 ? 16 : 0) + (flags & 2 ? 16 : 0), path);
}

function sidIn(entry: Uint8Array, offset: number, path: string): string {
  const sid = entry.subarray(offset);
  if (sid.byteLength < 8 || sidLength(sid) > sid.byteLength) throw malformed(path);
  return sidText(sid);
}

function malformed(path: string): SystemError {
  return new SystemError(`WIN32_${WIN32.INVALID_ACL}`, "GetNamedSecurityInfoW", path);
}
