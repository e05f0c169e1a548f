import type { KnownFile } from "../windows-system.ts";
import { SystemError } from "../world.ts";
import { WIN32 } from "./errors.ts";
import { attributesOf, setInformation, withKnownFile } from "./known-file.ts";
import { demand, type Handle, lastError, lastRefusal, systemLibrary, wideTextAt } from "./native.ts";
import { withPrivileges } from "./token.ts";

/**
 * Gives `to` what `from` has beside its bytes, and answers what differs afterwards (see `FolderAccess.copyAccess`).
 *
 * The low functions are used, which keep an access list as it is; those that Windows recommends would compute anew what
 * is inherited, from a folder that may have changed since.
 */
export function copyAccess(from: KnownFile, to: KnownFile): string[] {
  return withKnownFile(from, READ_CONTROL, (old) => {
    const parts = hasAccessLists(old, from.path) ? PARTS : [];
    const before = withKnownFile(to, READ_CONTROL, (file) => differing(parts, old, file, from, to));
    if (before.length > 0) carry(parts, before, old, from, to);
    const after = withKnownFile(to, READ_CONTROL, (file) => differing(parts, old, file, from, to));
    const encrypted = (attributesOf(old, from.path) & ENCRYPTED) !== 0;
    return [...after, ...(encrypted ? ["encryption"] : []), ...furtherStreams(old, from.path)];
  });
}

const WRITE_ATTRIBUTES = 0x100;
const READ_CONTROL = 0x2_0000;
const WRITE_DAC = 0x4_0000;
const WRITE_OWNER = 0x8_0000;

const NORMAL = 0x80;
const ENCRYPTED = 0x4000;
/** Hidden, the system's, not to be indexed. How bytes are stored (compressed, sparse) is the folder's affair. */
const CARRIED_ATTRIBUTES = 0x2006;

const FILE_BASIC_INFO = 0;
const FILE_STREAM_INFO = 7;
/** FILE_PERSISTENT_ACLS and FILE_NAMED_STREAMS. */
const HAS_ACCESS_LISTS = 0x8;
const HAS_STREAMS = 0x4_0000;

/** A part of a security descriptor: its SECURITY_INFORMATION, and the right that it takes to set it. */
interface Part {
  readonly name: string;
  readonly information: number;
  readonly right: number;
}

const PARTS: readonly Part[] = [
  { name: "owner", information: 0x1, right: WRITE_OWNER },
  { name: "group", information: 0x2, right: WRITE_OWNER },
  { name: "label", information: 0x10, right: WRITE_OWNER },
  { name: "dacl", information: 0x4, right: WRITE_DAC },
];

/** Two lists of 64 KiB at most, two SIDs, and the head. */
const LONGEST_DESCRIPTOR = 2 * 65_536 + 256;
const LONGEST_STREAM_LIST = 65_536;
const SDDL_REVISION = 1;
const CONTROL = 2;
const AUTO_INHERIT_REQUESTED = 0x100;
const AUTO_INHERITED = 0x400;
const HANDLE_EOF = 38;
/** Of file systems that know access lists, but no labels. */
const KNOWS_NONE: ReadonlySet<string> = new Set(["WIN32_1", "WIN32_50", `WIN32_${WIN32.INVALID_PARAMETER}`]);

const kernel32 = systemLibrary("kernel32.dll");
const moreInformation = kernel32(
  "GetFileInformationByHandleEx",
  "int32",
  "handle",
  "int32",
  "memory",
  "uint32",
);
const volumeInformation = kernel32(
  "GetVolumeInformationByHandleW",
  "int32",
  "handle",
  "memory",
  "uint32",
  "memory",
  "memory",
  "memory",
  "memory",
  "uint32",
);
const localFree = kernel32("LocalFree", "handle", "handle");
const advapi32 = systemLibrary("advapi32.dll");
const getSecurity = advapi32(
  "GetKernelObjectSecurity",
  "int32",
  "handle",
  "uint32",
  "memory",
  "uint32",
  "memory",
);
const setSecurity = advapi32("SetKernelObjectSecurity", "int32", "handle", "uint32", "memory");
const textOfDescriptor = advapi32(
  "ConvertSecurityDescriptorToStringSecurityDescriptorW",
  "int32",
  "memory",
  "uint32",
  "uint32",
  "memory",
  "memory",
);

function volumeFlags(handle: Handle, path: string): number {
  const flags = Buffer.alloc(4);
  demand(
    volumeInformation(handle, null, 0, null, null, flags, null, 0),
    "GetVolumeInformationByHandleW",
    path,
  );
  return flags.readUInt32LE();
}

function hasAccessLists(handle: Handle, path: string): boolean {
  return (volumeFlags(handle, path) & HAS_ACCESS_LISTS) !== 0;
}

function differing(
  parts: readonly Part[],
  old: Handle,
  file: Handle,
  from: KnownFile,
  to: KnownFile,
): string[] {
  const names = parts
    .filter((part) => textOf(part, old, from.path) !== textOf(part, file, to.path))
    .map(({ name }) => name);
  const attributes = (attributesOf(old, from.path) ^ attributesOf(file, to.path)) & CARRIED_ATTRIBUTES;
  return attributes === 0 ? names : [...names, "attributes"];
}

function textOf(part: Part, handle: Handle, path: string): string {
  const bytes = descriptorOf(part, handle, path);
  if (bytes === null) return "";
  const out = Buffer.alloc(8);
  const call = "ConvertSecurityDescriptorToStringSecurityDescriptorW";
  demand(textOfDescriptor(bytes, SDDL_REVISION, part.information, out, null), call, path);
  try {
    return wideTextAt(out.readBigInt64LE());
  } finally {
    localFree(out.readBigInt64LE());
  }
}

/** Null: this file system knows no such part. */
function descriptorOf({ name, information }: Part, handle: Handle, path: string): Buffer | null {
  const bytes = Buffer.alloc(LONGEST_DESCRIPTOR);
  if (getSecurity(handle, information, bytes, bytes.length, Buffer.alloc(4)) !== 0) return bytes;
  const refusal = lastRefusal("GetKernelObjectSecurity", path);
  if (name === "label" && KNOWS_NONE.has(refusal.code)) return null;
  throw refusal;
}

/** As far as it is allowed: the comparison afterwards decides. Rights count when a file is opened, so all come first. */
function carry(
  parts: readonly Part[],
  names: readonly string[],
  old: Handle,
  from: KnownFile,
  to: KnownFile,
): void {
  const wanted = parts.filter(({ name }) => names.includes(name));
  const attributes = names.includes("attributes");
  const rights = wanted.reduce((sum, { right }) => sum | right, attributes ? WRITE_ATTRIBUTES : 0);
  const set = () =>
    withKnownFile(to, rights, (file) => {
      for (const part of wanted) setPart(part, descriptorOf(part, old, from.path), file);
      if (attributes) setAttributes(attributesOf(old, from.path), file, to.path);
    });
  const owns = wanted.some(({ right }) => right === WRITE_OWNER);
  if (owns && unlessRefused(() => withPrivileges(["SeRestorePrivilege"], set))) return;
  unlessRefused(set);
}

function setPart({ information }: Part, bytes: Buffer | null, file: Handle): void {
  if (bytes === null) return;
  const control = bytes.readUInt16LE(CONTROL);
  // Without the request the system takes the mark of an inherited list away. (MS-DTYP 2.4.6)
  if ((control & AUTO_INHERITED) !== 0) bytes.writeUInt16LE(control | AUTO_INHERIT_REQUESTED, CONTROL);
  setSecurity(file, information, bytes);
}

/** FILE_BASIC_INFO: four times (0: as they are), then the attributes (0 would mean: as they are, too). */
function setAttributes(wanted: number, file: Handle, path: string): void {
  const bytes = Buffer.alloc(40);
  const others = attributesOf(file, path) & ~(CARRIED_ATTRIBUTES | NORMAL);
  bytes.writeUInt32LE((others | (wanted & CARRIED_ATTRIBUTES) || NORMAL) >>> 0, 32);
  setInformation(file, FILE_BASIC_INFO, bytes, bytes.length);
}

function unlessRefused(body: () => void): boolean {
  try {
    body();
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return false;
  }
}

/**
 * Streams beside the main one (`:Zone.Identifier` of what was downloaded). FILE_STREAM_INFO: where the next one begins,
 * the length of the name in bytes, two sizes, the name as `:name:$DATA`.
 */
function furtherStreams(handle: Handle, path: string): string[] {
  if ((volumeFlags(handle, path) & HAS_STREAMS) === 0) return [];
  const bytes = Buffer.alloc(LONGEST_STREAM_LIST);
  if (moreInformation(handle, FILE_STREAM_INFO, bytes, bytes.length) === 0) {
    if (lastError() === HANDLE_EOF) return [];
    throw lastRefusal("GetFileInformationByHandleEx", path);
  }
  const names: string[] = [];
  for (let at = 0, next = 1; next !== 0; at += next) {
    next = bytes.readUInt32LE(at);
    const name = bytes.toString("utf16le", at + 24, at + 24 + bytes.readUInt32LE(at + 4));
    if (name !== "::$DATA") names.push(name.replace(/:\$DATA$/, ""));
  }
  return names;
}
