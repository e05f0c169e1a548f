import { win32 } from "node:path";
import type { Registry, RegistryKey, RegistryValue } from "../windows-system.ts";
import { SystemError } from "../world.ts";
import { refusal, WIN32 } from "./errors.ts";
import { type Handle, systemLibrary, wide } from "./native.ts";
import { ACCESS, keyText, rootOf, withKey, withNewKey } from "./registry-key.ts";
import { withPrivileges } from "./token.ts";

/**
 * The registry by its own calls. A key below `HKEY_USERS` is reached part by part, and never through a symbolic link
 * (`ELOOP`): see `openKey`. Reading gives every byte of a value as it is kept, whatever its type claims.
 *
 * A key is read until two readings in a row are the same: neither is a picture of one moment by itself, because
 * somebody may write meanwhile. `EBUSY` when it never rests; `EFBIG` past 16 MiB a value or 10,000 values.
 */
export const nativeRegistry: Registry = {
  values: async (key) =>
    withKey(key, ACCESS.QUERY_VALUE, (handle) => settled(key, () => valuesIn(handle, key), sameValue)),
  subkeys: async (key) =>
    withKey(key, ACCESS.ENUMERATE_SUB_KEYS | ACCESS.QUERY_VALUE, (handle) =>
      settled(key, () => subkeysIn(handle, key), Object.is),
    ),
  mayWrite: async (key) => mayWrite(key),
  createKey: async (key) => withNewKey(key),
  setValue: async (key, value) => demandKey(key, ACCESS.SET_VALUE, (handle) => setValue(handle, key, value)),
  deleteValue: async (key, name) =>
    demandKey(key, ACCESS.SET_VALUE, (handle) => deleteValue(handle, key, name)),
  flush: async (key) =>
    demandKey(key, ACCESS.QUERY_VALUE, (handle) => check(regFlushKey(handle), "RegFlushKey", keyText(key))),
  loadHive: async (mount, file) => {
    const [name, path] = [mountName(mount), wide(hivePath(file))];
    withPrivileges(HIVE_PRIVILEGES, () => check(regLoadKey(USERS, name, path), "RegLoadKeyW", file));
  },
  unloadHive: async (mount) => {
    const name = mountName(mount);
    withPrivileges(HIVE_PRIVILEGES, () => check(regUnLoadKey(USERS, name), "RegUnLoadKeyW", mount));
  },
};

const HIVE_PRIVILEGES = ["SeBackupPrivilege", "SeRestorePrivilege"];
const USERS = rootOf("HKEY_USERS");

/** The longest name of a value, and of a key, in UTF-16 units ("Registry Element Size Limits"). */
const LONGEST_VALUE_NAME = 16_383;
const LONGEST_KEY_NAME = 255;
const MOST_BYTES = 16 * 1024 * 1024;
const MOST_VALUES = 10_000;
const MOST_SUBKEYS = 100_000;
const FIRST_BYTES = 4_096;
/** How often a key is read in the hope that it rests, and a value that grows under our hands. */
const MOST_READINGS = 10;
const REG_LINK = 6;

const advapi32 = systemLibrary("advapi32.dll");
const regEnumValue = advapi32(
  "RegEnumValueW",
  "int32",
  "handle",
  "uint32",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
);
const regEnumKey = advapi32(
  "RegEnumKeyExW",
  "int32",
  "handle",
  "uint32",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
);
const regSetValue = advapi32(
  "RegSetValueExW",
  "int32",
  "handle",
  "memory",
  "uint32",
  "uint32",
  "memory",
  "uint32",
);
const regDeleteValue = advapi32("RegDeleteValueW", "int32", "handle", "memory");
const regFlushKey = advapi32("RegFlushKey", "int32", "handle");
const regLoadKey = advapi32("RegLoadKeyW", "int32", "handle", "memory", "memory");
const regUnLoadKey = advapi32("RegUnLoadKeyW", "int32", "handle", "memory");

function check(number: number, call: string, path: string): void {
  if (number !== 0) throw refusal(number, call, path);
}

function demandKey(key: RegistryKey, access: number, body: (handle: Handle) => void): void {
  const done = withKey(key, access, (handle) => {
    body(handle);
    return true;
  });
  if (done === null) throw new SystemError("ENOENT", "RegOpenKeyExW", keyText(key));
}

function settled<T>(key: RegistryKey, read: () => T[], same: (one: T, other: T) => boolean): T[] {
  let before = read();
  for (let readings = 1; readings < MOST_READINGS; readings += 1) {
    const now = read();
    if (now.length === before.length && now.every((item, index) => same(item, before[index] as T)))
      return now;
    before = now;
  }
  throw new SystemError("EBUSY", "RegEnumValueW", keyText(key));
}

function sameValue(one: RegistryValue, other: RegistryValue): boolean {
  return one.name === other.name && one.type === other.type && Buffer.compare(one.bytes, other.bytes) === 0;
}

function valuesIn(handle: Handle, key: RegistryKey): RegistryValue[] {
  const values: RegistryValue[] = [];
  const room = { name: Buffer.alloc(2 * (LONGEST_VALUE_NAME + 1)), data: Buffer.alloc(FIRST_BYTES) };
  for (;;) {
    const value = valueAt(handle, values.length, room, key);
    if (value === null) return values;
    if (values.length === MOST_VALUES) throw new SystemError("EFBIG", "RegEnumValueW", keyText(key));
    values.push(value);
  }
}

/** One value by its place in the key, or null past the last. `room.data` grows to what is needed. */
function valueAt(
  handle: Handle,
  index: number,
  room: { readonly name: Buffer; data: Buffer },
  key: RegistryKey,
): RegistryValue | null {
  const [nameLength, type, length] = [Buffer.alloc(4), Buffer.alloc(4), Buffer.alloc(4)];
  for (let attempts = 0; attempts < MOST_READINGS; attempts += 1) {
    nameLength.writeUInt32LE(LONGEST_VALUE_NAME + 1);
    length.writeUInt32LE(room.data.length);
    const number = regEnumValue(handle, index, room.name, nameLength, null, type, room.data, length);
    if (number === WIN32.NO_MORE_ITEMS) return null;
    const size = length.readUInt32LE();
    if (size > MOST_BYTES) throw new SystemError("EFBIG", "RegEnumValueW", keyText(key));
    if (number === 0) {
      return {
        name: room.name.toString("utf16le", 0, 2 * nameLength.readUInt32LE()),
        type: type.readUInt32LE(),
        bytes: Uint8Array.from(room.data.subarray(0, size)),
      };
    }
    if (number !== WIN32.MORE_DATA) throw refusal(number, "RegEnumValueW", keyText(key));
    // It may have shrunk since; growing in any case ends the loop early.
    room.data = Buffer.alloc(Math.max(size, Math.min(2 * room.data.length, MOST_BYTES)));
  }
  throw new SystemError("EBUSY", "RegEnumValueW", keyText(key));
}

function subkeysIn(handle: Handle, key: RegistryKey): string[] {
  const names: string[] = [];
  const [name, length] = [Buffer.alloc(2 * (LONGEST_KEY_NAME + 1)), Buffer.alloc(4)];
  for (;;) {
    length.writeUInt32LE(LONGEST_KEY_NAME + 1);
    const number = regEnumKey(handle, names.length, name, length, null, null, null, null);
    if (number === WIN32.NO_MORE_ITEMS) return names;
    check(number, "RegEnumKeyExW", keyText(key));
    if (names.length === MOST_SUBKEYS) throw new SystemError("EFBIG", "RegEnumKeyExW", keyText(key));
    names.push(name.toString("utf16le", 0, 2 * length.readUInt32LE()));
  }
}

function mayWrite(key: RegistryKey): boolean {
  try {
    demandKey(key, ACCESS.SET_VALUE, () => undefined);
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.code === "EACCES") return false;
    throw error;
  }
}

function setValue(handle: Handle, key: RegistryKey, { name, type, bytes }: RegistryValue): void {
  const path = keyText(key);
  if (type === REG_LINK) throw new SystemError("ELOOP", "RegSetValueExW", path);
  if (name.length > LONGEST_VALUE_NAME) throw new SystemError("EINVAL", "RegSetValueExW", path);
  if (bytes.length > MOST_BYTES) throw new SystemError("EFBIG", "RegSetValueExW", path);
  // Windows takes a NUL that stands just behind a text for one that was forgotten, and keeps it too: so none stands
  // there. It looks at the two bytes before a text of one byte as well.
  const guarded = Buffer.alloc(2 * GUARD + bytes.length, 0xff);
  guarded.set(bytes, GUARD);
  const data = guarded.subarray(GUARD);
  check(regSetValue(handle, wide(name), 0, type, data, bytes.length), "RegSetValueExW", path);
}

const GUARD = 8;

function deleteValue(handle: Handle, key: RegistryKey, name: string): void {
  const number = regDeleteValue(handle, wide(name));
  if (number !== WIN32.FILE_NOT_FOUND) check(number, "RegDeleteValueW", keyText(key));
}

function mountName(mount: string): Buffer {
  if (mount === "" || mount.includes("\\")) throw new SystemError("EINVAL", "RegLoadKeyW", mount);
  return wide(mount);
}

function hivePath(file: string): string {
  if (!win32.isAbsolute(file)) throw new SystemError("EINVAL", "RegLoadKeyW", file);
  return win32.toNamespacedPath(file);
}
