import { win32 } from "node:path";
import type { KnownFile } from "../windows-system.ts";
import { SystemError } from "../world.ts";
import { demand, type Handle, lastRefusal, systemLibrary, wide, withHandle } from "./native.ts";

/**
 * Runs the body with a handle of the file, never of what a link of its name leads to.
 *
 * @param access rights of a file (`winnt.h`); reading its attributes is always one of them
 * @throws SystemError `ESTALE` when the name means another file by now, or what the system refuses
 */
export function withKnownFile<T>(file: KnownFile, access: number, body: (handle: Handle) => T, flags = 0): T {
  const name = wide(win32.toNamespacedPath(file.path));
  const how = (OPEN_FLAGS | flags) >>> 0;
  const handle = createFile(name, access | READ_ATTRIBUTES, SHARED_WITH_ALL, null, OPEN_EXISTING, how, 0n);
  if (handle === INVALID_HANDLE) throw lastRefusal("CreateFileW", file.path);
  return withHandle(handle, () => {
    requireSame(handle, file);
    return body(handle);
  });
}

/** `FILE_ATTRIBUTE_…` */
export function attributesOf(handle: Handle, path: string): number {
  return informationOf(handle, path).readUInt32LE(0);
}

/** @throws SystemError `EPERM` (read-only), `EACCES`, `EBUSY`, `ESTALE`, `ENOENT` */
export function demandReplaceable(file: KnownFile): void {
  withKnownFile(file, DELETE, (handle) => {
    if ((attributesOf(handle, file.path) & READ_ONLY) === 0) return;
    throw new SystemError("EPERM", "GetFileInformationByHandle", file.path);
  });
}

/** One attempt; what is renamed is the file that is known, wherever its name leads. */
export function rename(file: KnownFile, to: string, replacing: boolean): void {
  withKnownFile(
    file,
    DELETE | SYNCHRONIZE,
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

/** `SetFileInformationByHandle`, whose kinds of information have a number and a structure each. */
export const setInformation = systemLibrary("kernel32.dll")(
  "SetFileInformationByHandle",
  "int32",
  "handle",
  "int32",
  "memory",
  "uint32",
);

const READ_ATTRIBUTES = 0x80;
const DELETE = 0x1_0000;
const SYNCHRONIZE = 0x10_0000;

const SHARED_WITH_ALL = 7;
const OPEN_EXISTING = 3;
/** Backup semantics, so that privileges count; the link itself, never what it leads to. */
const OPEN_FLAGS = 0x0220_0000;
const WRITE_THROUGH = 0x8000_0000;
const INVALID_HANDLE = -1n;

const READ_ONLY = 0x1;
const FILE_RENAME_INFO = 3;

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

/** BY_HANDLE_FILE_INFORMATION: attributes, three times, the volume's number, size, links, index (high half first). */
function informationOf(handle: Handle, path: string): Buffer {
  const bytes = Buffer.alloc(52);
  demand(fileInformation(handle, bytes), "GetFileInformationByHandle", path);
  return bytes;
}

function requireSame(handle: Handle, { path, dev, ino }: KnownFile): void {
  const bytes = informationOf(handle, path);
  const index = (BigInt(bytes.readUInt32LE(44)) << 32n) | BigInt(bytes.readUInt32LE(48));
  // Node tells 64 bits of the volume's number in some calls; this structure has the lower half.
  const sameVolume = BigInt.asUintN(32, BigInt(dev)) === BigInt(bytes.readUInt32LE(28));
  if (!sameVolume || BigInt.asUintN(64, BigInt(ino)) !== index)
    throw new SystemError("ESTALE", "CreateFileW", path);
}

/** FILE_RENAME_INFO on 64 bits: whether to replace, a handle of a folder (none), the length in bytes, the name. */
function renameTo(path: string, replacing: boolean): Buffer {
  const name = wide(win32.toNamespacedPath(path));
  const head = Buffer.alloc(20);
  head.writeUInt8(replacing ? 1 : 0);
  head.writeUInt32LE(name.length - 2, 16);
  return Buffer.concat([head, name]);
}
