import { win32 } from "node:path";
import type { KnownFile } from "../windows-system.ts";
import { SystemError } from "../world.ts";
import { WIN32 } from "./errors.ts";
import {
  demand,
  type Handle,
  lastError,
  lastRefusal,
  systemLibrary,
  wide,
  wideTextAt,
  withHandle,
} from "./native.ts";
import { withPrivileges } from "./token.ts";

/**
 * Gives `to` what `from` has beside its bytes, and answers what differs afterwards (see `FolderAccess.copyAccess`).
 *
 * The low functions are used, which keep an access list as it is; those that Windows recommends would compute anew what
 * is inherited, from a folder that may have changed since.
 */
export function copyAccess(from: KnownFile, to: KnownFile): string[] {
  return withFile(from, READ_CONTROL | READ_ATTRIBUTES, (old) => {
    const parts = hasAccessLists(old, from.path) ? PARTS : [];
    const before = withFile(to, READ_CONTROL | READ_ATTRIBUTES, (file) =>
      differing(parts, old, file, from, to),
    );
    if (before.length > 0) carry(parts, before, old, from, to);
    const after = withFile(to, READ_CONTROL | READ_ATTRIBUTES, (file) =>
      differing(parts, old, file, from, to),
    );
    const encrypted = (attributesOf(old, from.path) & ENCRYPTED) !== 0;
    return [...after, ...(encrypted ? ["encryption"] : []), ...furtherStreams(old, from.path)];
  });
}

/** @throws SystemError `EPERM` (read-only), `EACCES`, `EBUSY`, `ESTALE`, `ENOENT` */
export function demandReplaceable(file: KnownFile): void {
  withFile(file, DELETE | READ_ATTRIBUTES, (handle) => {
    if ((attributesOf(handle, file.path) & READ_ONLY) === 0) return;
    throw new SystemError("EPERM", "GetFileInformationByHandle", file.path);
  });
}

/** One attempt; what is renamed is the file that is known, wherever its name leads. */
export function rename(file: KnownFile, to: string, replacing: boolean): void {
  withFile(
    file,
    DELETE | READ_ATTRIBUTES | SYNCHRONIZE,
    (handle) => {
      const request = renameTo(to, replacing);
      if (setInformation(handle, FILE_RENAME_INFO, request, request.length) !== 0) return;
      const refusal = lastRefusal("SetFileInformationByHandle", to);
      // Both that somebody holds it and that we may not are said by one number; the caller has asked for the second.
      if (replacing && refusal.code === "EACCES")
        throw new SystemError("EBUSY", refusal.call, to, { cause: refusal });
      throw refusal;
    },
    WRITE_THROUGH,
  );
}

const READ_ATTRIBUTES = 0x80;
const WRITE_ATTRIBUTES = 0x100;
const DELETE = 0x1_0000;
const READ_CONTROL = 0x2_0000;
const WRITE_DAC = 0x4_0000;
const WRITE_OWNER = 0x8_0000;
const SYNCHRONIZE = 0x10_0000;

const SHARED_WITH_ALL = 7;
const OPEN_EXISTING = 3;
/** Backup semantics, so that privileges count; the link itself, never what it leads to. */
const OPEN_FLAGS = 0x0220_0000;
const WRITE_THROUGH = 0x8000_0000;
const INVALID_HANDLE = -1n;

const READ_ONLY = 0x1;
const NORMAL = 0x80;
const ENCRYPTED = 0x4000;
/** Hidden, the system's, not to be indexed. How bytes are stored (compressed, sparse) is the folder's affair. */
const CARRIED_ATTRIBUTES = 0x2006;

const FILE_BASIC_INFO = 0;
const FILE_RENAME_INFO = 3;
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
const createFile = kernel32(
  "CreateFileW",
  "handle",
  "memory",
  "uint32",
  "uint32",
  "memory",
  "uint32",
  "uint32",
  "handle",
);
const fileInformation = kernel32("GetFileInformationByHandle", "int32", "handle", "memory");
const moreInformation = kernel32(
  "GetFileInformationByHandleEx",
  "int32",
  "handle",
  "int32",
  "memory",
  "uint32",
);
const setInformation = kernel32("SetFileInformationByHandle", "int32", "handle", "int32", "memory", "uint32");
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

function withFile<T>(file: KnownFile, access: number, body: (handle: Handle) => T, flags = 0): T {
  const name = wide(win32.toNamespacedPath(file.path));
  const how = (OPEN_FLAGS | flags) >>> 0;
  const handle = createFile(name, access, SHARED_WITH_ALL, null, OPEN_EXISTING, how, 0n);
  if (handle === INVALID_HANDLE) throw lastRefusal("CreateFileW", file.path);
  return withHandle(handle, () => {
    requireSame(handle, file);
    return body(handle);
  });
}

/** BY_HANDLE_FILE_INFORMATION: attributes, three times, the volume's number, size, links, index (high half first). */
function informationOf(handle: Handle, path: string): Buffer {
  const bytes = Buffer.alloc(52);
  demand(fileInformation(handle, bytes), "GetFileInformationByHandle", path);
  return bytes;
}

function attributesOf(handle: Handle, path: string): number {
  return informationOf(handle, path).readUInt32LE(0);
}

function requireSame(handle: Handle, { path, dev, ino }: KnownFile): void {
  const bytes = informationOf(handle, path);
  const index = (BigInt(bytes.readUInt32LE(44)) << 32n) | BigInt(bytes.readUInt32LE(48));
  // Node tells 64 bits of the volume's number in some calls; this structure has the lower half.
  const sameVolume = BigInt.asUintN(32, BigInt(dev)) === BigInt(bytes.readUInt32LE(28));
  if (!sameVolume || BigInt.asUintN(64, BigInt(ino)) !== index)
    throw new SystemError("ESTALE", "CreateFileW", path);
}

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
    withFile(to, rights | READ_ATTRIBUTES, (file) => {
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

/** FILE_RENAME_INFO on 64 bits: whether to replace, a handle of a folder (none), the length in bytes, the name. */
function renameTo(path: string, replacing: boolean): Buffer {
  const name = wide(win32.toNamespacedPath(path));
  const head = Buffer.alloc(20);
  head.writeUInt8(replacing ? 1 : 0);
  head.writeUInt32LE(name.length - 2, 16);
  return Buffer.concat([head, name]);
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
