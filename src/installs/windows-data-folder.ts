import { win32 } from "node:path";
import type { Note } from "../model/event.ts";
import type { Server } from "../model/server.ts";
import type { RegistryValue, WindowsSystem } from "../world/windows-system.ts";
import { type FileStat, type Files, SystemError, type World } from "../world/world.ts";
import { absolute, type Machine, profileOf } from "./windows-machine.ts";
import { keyOf, textAt, textIn } from "./windows-registry.ts";

/** The folder with logs and databases, below the account's or the chosen parent. */
const DATA_FOLDER_NAME = "Plex Media Server";

/**
 * Where a server keeps its data: in the parent folder that its settings name (`LocalAppDataPath`), else in the
 * account's Local AppData. Source: support.plex.tv/articles/202915258; DBRepair.
 */
export async function dataFolderOf(
  world: Pick<World, "env"> & { readonly windows: WindowsSystem },
  machine: Machine,
  account: { readonly name: string; readonly sid: string },
  settings: readonly RegistryValue[],
): Promise<string> {
  const { windows, env } = world;
  const named = absolute(textIn(settings, "LocalAppDataPath"));
  const own = account.sid === windows.self.sid ? absolute(env["LOCALAPPDATA"]) : null;
  const parent =
    named ?? own ?? absolute(await textAt(windows, keyOf(account.sid, SHELL_FOLDERS), "Local AppData"));
  return parent === null
    ? defaultDataFolder(profileOf(machine, account))
    : win32.join(parent, DATA_FOLDER_NAME);
}

/** Where it is in an account's folder when nothing says otherwise. */
export function defaultDataFolder(profile: string): string {
  return win32.join(profile, "AppData", "Local", DATA_FOLDER_NAME);
}

/**
 * What is worth knowing about a server's data folder: a `Preferences.xml` in it (of a server whose settings are in
 * the registry: some have found one, and what reads it is not known), and a folder that is really somewhere else.
 * Says nothing of what it may not see.
 */
export async function dataFolderNotes(world: Pick<World, "files">, server: Server): Promise<Note[]> {
  const { files } = world;
  const { dataFolder: path } = server;
  const notes: Note[] = [];
  const stray = win32.join(path, "Preferences.xml");
  if (server.store === "registry" && (await seen(() => files.lstat(stray))) !== null) {
    notes.push({ code: "STRAY_PREFERENCES", path: stray });
  }
  const really = (await seen(() => files.realPath(path))) ?? path;
  if (isInOneDrive(path) || isInOneDrive(really)) {
    notes.push({ code: "DATA_FOLDER_REDIRECTED", path, how: "onedrive" });
  } else if (isElsewhere(path, really) || (await isLink(files, path))) {
    notes.push({ code: "DATA_FOLDER_REDIRECTED", path, how: "link" });
  }
  return notes;
}

/** Explorer keeps the account's folders there, expanded. */
const SHELL_FOLDERS = "Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\Shell Folders";

/** A path in the short form of DOS (`JOHNDO~1`) becomes another text without leading elsewhere. */
function isElsewhere(path: string, really: string): boolean {
  const plain = (each: string) => win32.normalize(each).replace(/\\+$/u, "").toLowerCase();
  return !/~\d/u.test(path) && plain(path) !== plain(really);
}

async function isLink(files: Files, path: string): Promise<boolean> {
  for (const each of [path, win32.dirname(path)]) {
    const stat: FileStat | null = await seen(() => files.lstat(each));
    if (stat?.kind === "link") return true;
  }
  return false;
}

/** `OneDrive`, or `OneDrive - Company`. */
function isInOneDrive(path: string): boolean {
  return path.split(/[\\/]/u).some((part) => /^onedrive/iu.test(part));
}

async function seen<T>(look: () => Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}
