import { dirname } from "node:path";
import { type FileStat, type Files, SystemError } from "../world/world.ts";
import { resolved } from "./data-folder.ts";

/** Whose settings they are: who owns the file or its folder; null where that may not be seen, or nothing is there. */
export type SettingsOwners = ReadonlySet<number> | "anybody" | null;

/**
 * Any account can start a program called `Plex Media Server` and name any data folder in its environment. What it
 * cannot is own the settings there. (Where the file may be written by everybody, as on a network share that knows
 * no owners, the server may run as anybody.) Both numbers are of our own user namespace, so they compare.
 */
export async function ownersOf(files: Files, settingsPath: string): Promise<SettingsOwners> {
  const path = await resolved(files, settingsPath);
  const file = await statOf(files, path);
  // Of a link, too: who owns its folder can put another one there.
  const folders = [await statOf(files, dirname(path)), await statOf(files, dirname(settingsPath))];
  if (file?.kind === "file" && (file.mode & 0o002) !== 0) return "anybody";
  const owners = [file, ...folders].flatMap((stat) => (stat === null ? [] : [stat.uid]));
  return owners.length === 0 ? null : new Set(owners);
}

/** Whether an account owns the settings, as far as may be seen. */
export function owns(owners: SettingsOwners, uid: number): boolean {
  return owners === null || owners === "anybody" || owners.has(uid);
}

async function statOf(files: Files, path: string): Promise<FileStat | null> {
  try {
    return await files.stat(path);
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}
