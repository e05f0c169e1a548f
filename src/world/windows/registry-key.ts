import type { RegistryKey } from "../windows-system.ts";
import { SystemError } from "../world.ts";
import { refusal, WIN32 } from "./errors.ts";
import { type Handle, systemLibrary, wide } from "./native.ts";

/** Rights to a key (`winnt.h`). */
export const ACCESS = {
  QUERY_VALUE: 0x1,
  SET_VALUE: 0x2,
  CREATE_SUB_KEY: 0x4,
  ENUMERATE_SUB_KEYS: 0x8,
} as const;

/** A key as people write it. */
export function keyText(key: RegistryKey): string {
  return `${key.root}\\${key.path}`;
}

/** The handle of a root; never closed. */
export function rootOf(root: RegistryKey["root"]): Handle {
  // The header's numbers are signed: they are widened with their sign (`(ULONG_PTR)(LONG)0x80000003`).
  return root === "HKEY_USERS" ? BigInt(0x80000003 | 0) : BigInt(0x80000002 | 0);
}

/**
 * Opens a key for the body and closes it. Answers null when there is none.
 *
 * A user may put a symbolic link anywhere in the own hive, and so send the write of an elevated run into another hive.
 * Below the first part of a key of HKEY_USERS (the SID; that of LocalSystem is itself a link, made by the system) each
 * part is therefore opened by itself, relative to the one before, and as what it is (REG_OPTION_OPEN_LINK): a handle
 * stays with its key whatever becomes of the name.
 *
 * @throws SystemError `ELOOP` when a part of the path is a symbolic link
 */
export function withKey<T>(key: RegistryKey, access: number, body: (handle: Handle) => T): T | null {
  const handle = openKey(key, access);
  if (handle === null) return null;
  try {
    return body(handle);
  } finally {
    regCloseKey(handle);
  }
}

/** Makes the key and those above it, where they are not there, in the same careful way. */
export function withNewKey(key: RegistryKey): void {
  const handle = walk(key, ACCESS.QUERY_VALUE, (parent, part, link) => madeIn(parent, part, link, key));
  if (handle === null) throw new SystemError("ENOENT", "RegCreateKeyExW", keyText(key));
  regCloseKey(handle);
}

/** A handle to be closed; null when there is no such key. See `withKey`. */
function openKey(key: RegistryKey, access: number): Handle | null {
  return walk(key, access, () => null);
}

const REG_OPTION_OPEN_LINK = 0x8;
const KEY_WOW64_64KEY = 0x100;
const KEY_WOW64_32KEY = 0x200;
const REG_LINK = 6;

const advapi32 = systemLibrary("advapi32.dll");
const regCloseKey = advapi32("RegCloseKey", "int32", "handle");
const regOpenKey = advapi32("RegOpenKeyExW", "int32", "handle", "memory", "uint32", "uint32", "memory");
const regCreateKey = advapi32(
  "RegCreateKeyExW",
  "int32",
  "handle",
  "memory",
  "uint32",
  "memory",
  "uint32",
  "uint32",
  "memory",
  "memory",
  "memory",
);
const regQueryValue = advapi32(
  "RegQueryValueExW",
  "int32",
  "handle",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
);

/** Makes a part that is missing; null: does not. */
type Make = (parent: Handle, part: string, link: Link) => Handle | null;
type Link = "follow" | "refuse";

function walk(key: RegistryKey, access: number, make: Make): Handle | null {
  const parts = partsOf(key);
  let handle = rootOf(key.root);
  for (const [index, part] of parts.entries()) {
    const last = index === parts.length - 1;
    const link: Link = key.root === "HKEY_USERS" && index > 0 ? "refuse" : "follow";
    const wanted = (last ? access : 0) | ACCESS.QUERY_VALUE;
    let next: Handle | null;
    try {
      next = openPart(handle, part, link, wanted, key) ?? make(handle, part, link);
    } finally {
      if (index > 0) regCloseKey(handle);
    }
    if (next === null) return null;
    handle = next;
  }
  return handle;
}

/**
 * In HKEY_LOCAL_MACHINE only administrators can make a link: the path is one part, and the system's own are followed.
 * The root itself is its own nameless part.
 */
function partsOf(key: RegistryKey): string[] {
  if (key.path === "") return [""];
  const parts = key.path.split("\\");
  if (parts.includes("")) throw new SystemError("EINVAL", "RegOpenKeyExW", keyText(key));
  return key.root === "HKEY_USERS" ? parts : [key.path];
}

function openPart(parent: Handle, part: string, link: Link, access: number, key: RegistryKey): Handle | null {
  const out = Buffer.alloc(8);
  const options = link === "refuse" ? REG_OPTION_OPEN_LINK : 0;
  const number = regOpenKey(parent, wide(part), options, access | viewOf(key), out);
  if (number === WIN32.FILE_NOT_FOUND || number === WIN32.PATH_NOT_FOUND) return null;
  if (number !== 0) throw refusal(number, "RegOpenKeyExW", keyText(key));
  return link === "refuse" ? noLink(out.readBigInt64LE(), key) : out.readBigInt64LE();
}

function viewOf(key: RegistryKey): number {
  return key.view === "32" ? KEY_WOW64_32KEY : KEY_WOW64_64KEY;
}

/** A link that was opened as what it is has its target in this value. */
function noLink(handle: Handle, key: RegistryKey): Handle {
  const type = Buffer.alloc(4);
  const number = regQueryValue(handle, wide("SymbolicLinkValue"), null, type, null, null);
  if (number === WIN32.FILE_NOT_FOUND || (number === 0 && type.readUInt32LE() !== REG_LINK)) return handle;
  regCloseKey(handle);
  if (number !== 0) throw refusal(number, "RegQueryValueExW", keyText(key));
  throw new SystemError("ELOOP", "RegOpenKeyExW", keyText(key));
}

function madeIn(parent: Handle, part: string, link: Link, key: RegistryKey): Handle {
  const options = link === "refuse" ? REG_OPTION_OPEN_LINK : 0;
  const [out, disposition] = [Buffer.alloc(8), Buffer.alloc(4)];
  const access = ACCESS.QUERY_VALUE | viewOf(key);
  const number = regCreateKey(parent, wide(part), 0, null, options, access, null, out, disposition);
  if (number !== 0) throw refusal(number, "RegCreateKeyExW", keyText(key));
  // Somebody may have made a link there since we looked.
  return link === "refuse" ? noLink(out.readBigInt64LE(), key) : out.readBigInt64LE();
}
