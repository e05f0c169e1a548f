import type { RegistryKey, RegistryValue, WindowsSystem } from "../world/windows-system.ts";
import { SystemError } from "../world/world.ts";

/** A server's settings, in the hive of its account. Source: support.plex.tv/articles/204281528. */
export const SERVER_KEY = "Software\\Plex, Inc.\\Plex Media Server";

/** The key with an account's settings, as a whole path. */
export function settingsKeyOf(sid: string): string {
  return `HKEY_USERS\\${sid}\\${SERVER_KEY}`;
}

/** A key in an account's hive. */
export function keyOf(sid: string, path: string): RegistryKey {
  return { root: "HKEY_USERS", path: `${sid}\\${path}` };
}

/** A key of the machine. */
export function machineKey(path: string, view?: "32"): RegistryKey {
  return { root: "HKEY_LOCAL_MACHINE", path, ...(view !== undefined && { view }) };
}

/**
 * The values of a key; null when there is none (or its hive was just unloaded); `"unseen"`: that is not to be had. What
 * one account has made of its hive hides no other's servers: there every refusal is `"unseen"`.
 */
export async function valuesOf(
  { registry }: WindowsSystem,
  key: RegistryKey,
): Promise<readonly RegistryValue[] | null | "unseen"> {
  return visible(key, () => registry.values(key));
}

/** The names of the keys in a key, as `valuesOf` answers. */
export async function subkeysOf(
  { registry }: WindowsSystem,
  key: RegistryKey,
): Promise<readonly string[] | null | "unseen"> {
  return visible(key, () => registry.subkeys(key));
}

/** A text of a key; null when it is not there, is denied, or is no text. */
export async function textAt(windows: WindowsSystem, key: RegistryKey, name: string): Promise<string | null> {
  const values = await valuesOf(windows, key);
  return values === null || values === "unseen" ? null : textIn(values, name);
}

/** A text among values; null when it is not there or is no text. Variables in it stand as they are. */
export function textIn(values: readonly RegistryValue[], name: string): string | null {
  const value = values.find((each) => each.name.toLowerCase() === name.toLowerCase());
  if (value === undefined || !TEXTS.includes(value.type)) return null;
  const text = Buffer.from(value.bytes).toString("utf16le");
  const [upToNul = ""] = text.split("\0", 1);
  return upToNul;
}

/** `REG_SZ` and `REG_EXPAND_SZ`. */
const TEXTS: readonly number[] = [1, 2];

async function visible<T>(key: RegistryKey, read: () => Promise<T>): Promise<T | null | "unseen"> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === "ESTALE" || error.code === "ENOENT") return null;
    // In somebody's hive may be a link (`ELOOP`), more than can be read (`EFBIG`), or what never rests (`EBUSY`).
    const isAccounts = key.root === "HKEY_USERS" && key.path !== "";
    if (isAccounts || ["EACCES", "EPERM", "ELOOP"].includes(error.code)) return "unseen";
    throw error;
  }
}
