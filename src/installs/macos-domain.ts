import { posix } from "node:path";
import type { Server } from "../model/server.ts";
import { presence } from "../services/data-folder.ts";
import { type MacUser, runAs } from "../services/mac-user.ts";
import { SystemError, type World } from "../world/world.ts";

/** The server's preferences domain is called after its application. Source: support.plex.tv/articles/204281528. */
const DOMAIN = "com.plexapp.plexmediaserver";
const NAME = "Plex Media Server";
/** Of the cache alone, with the certificate in it (DBRepair; Homebrew's cask). */
const CACHE_NAME = "PlexMediaServer";

export type DomainWorld = Pick<World, "run" | "user" | "files">;

/** The file in which the preference daemon keeps an account's domain. */
export function settingsPathOf({ home }: Pick<MacUser, "home">): string {
  return posix.join(home, "Library", "Preferences", `${DOMAIN}.plist`);
}

/** Whether we may act as an account: it is ours, or we are root. */
export function mayActAs({ user }: Pick<World, "user">, { uid }: MacUser): boolean {
  return user.uid === 0 || user.uid === uid;
}

/**
 * Whether an account has a server's settings: in the file, or in the daemon's memory alone, which writes the file later.
 * `unseen`: the file is closed to us, and the daemon does not tell.
 */
export async function settingsOf(
  world: DomainWorld,
  account: MacUser,
): Promise<"there" | "absent" | "unseen"> {
  const file = await presence(world.files, settingsPathOf(account));
  if (file === "there" || !mayActAs(world, account)) return file;
  return (await textOf(world, account, "ProcessedMachineIdentifier")) === null ? file : "there";
}

/**
 * Where a server keeps its data, its logs and its certificate, which a Mac has places of their own for. Source:
 * support.plex.tv/articles/202915258; DBRepair. `LocalAppDataPath` names the parent folder on Windows; that it does
 * so here is UNVERIFIED, so it counts only where there is such a folder, or one that is closed to us: privacy protection
 * covers other disks as well.
 */
export async function foldersOf(
  world: DomainWorld,
  account: MacUser,
): Promise<Pick<Server, "dataFolder"> & Required<Pick<Server, "logFolder" | "certificateFolder">>> {
  const library = posix.join(account.home, "Library");
  const named = mayActAs(world, account) ? await textOf(world, account, "LocalAppDataPath") : null;
  const moved = named !== null && posix.isAbsolute(named) && (await mayBeFolder(world, named));
  const parent = moved ? named : posix.join(library, "Application Support");
  return {
    dataFolder: posix.join(parent, NAME),
    logFolder: posix.join(library, "Logs", NAME),
    certificateFolder: posix.join(library, "Caches", CACHE_NAME),
  };
}

/** Whether there is a folder at a path, behind a link or not; also where we may not look whether there is one. */
export async function mayBeFolder({ files }: Pick<World, "files">, path: string): Promise<boolean> {
  try {
    return (await files.stat(path)).kind === "folder";
  } catch (error) {
    if (error instanceof SystemError) return (await presence(files, path)) === "unseen";
    throw error;
  }
}

/** One text of the domain, never a secret; null where it is not there, or nobody tells. */
async function textOf(world: DomainWorld, account: MacUser, key: string): Promise<string | null> {
  try {
    const words = ["read", DOMAIN, key];
    const answer = await runAs(world, account, "/usr/bin/defaults", words, { timeoutMs: TOOL_MS });
    return answer.status === 0 ? answer.stdout.replace(/\n$/u, "") : null;
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

const TOOL_MS = 15_000;
