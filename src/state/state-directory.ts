import { posix, win32 } from "node:path";
import { ProblemError } from "../model/problem.ts";
import type { WindowsSystem } from "../world/windows-system.ts";
import type { Folder, World } from "../world/world.ts";
import { SystemError } from "../world/world.ts";
import { absentAsNull, ensureFolder, release } from "./durable.ts";

/**
 * Where runs, backups and parked credentials live: outside Plex's own folder (Plex may delete what it does not
 * know), 0700, owned by the account that runs us. Nobody else may have been able to prepare it. On Windows the system
 * and the administrators may enter it, too; no ordinary account but ours.
 */
export interface StateDirectory {
  readonly path: string;
  readonly runs: Folder;
  readonly backups: Folder;
  readonly parked: Folder;
  readonly root: Folder;
}

export type StateWorld = Pick<World, "files" | "user" | "env" | "clock" | "randomHex" | "windows">;

/** Who we are, where that decides the default place. */
export type StatePlaceWorld = Pick<World, "user" | "env" | "windows"> & Partial<Pick<World, "platform">>;

/**
 * The platform's state directory for root (an elevated administrator) or for the user, unless `--state-dir` names
 * one.
 */
export function stateDirectoryPath(world: StatePlaceWorld, override?: string): string {
  if (override !== undefined) return override;
  if (world.windows !== undefined) return windowsDefault(world, world.windows);
  if (world.platform === "darwin") return macDefault(world.user);
  if (world.user.uid === 0) return "/var/lib/plex-reclaim";
  const base = world.env["XDG_STATE_HOME"];
  const state = base?.startsWith("/") === true ? base : posix.join(world.user.home, ".local", "state");
  return posix.join(state, "plex-reclaim");
}

/** The path of what is in a state directory, as people and programs of its system write it. */
export function pathInState(directory: string, ...names: readonly string[]): string {
  return (directory.startsWith("/") ? posix : win32).join(directory, ...names);
}

/** Opens it and makes what is missing. Throws `STATE_DIRECTORY_UNUSABLE`. */
export async function openStateDirectory(world: StateWorld, path: string): Promise<StateDirectory> {
  return usable(path, async () => {
    if (world.windows === undefined) await makeMissing(world, path);
    else await makeMissingPrivately(world, world.windows, path);
    const root = await world.files.openFolder(path);
    await demandOurs(world, root);
    return {
      path,
      root,
      runs: await ensureFolder(root, "runs"),
      backups: await ensureFolder(root, "backups"),
      parked: await ensureFolder(root, "parked"),
    };
  });
}

/** Opens it for reading; null when there is none yet, or when it was never filled. Makes nothing. */
export async function existingStateDirectory(
  world: StateWorld,
  path: string,
): Promise<StateDirectory | null> {
  return usable(path, async () => {
    const root = await absentAsNull(world.files.openFolder(path));
    if (root === null) return null;
    await demandOurs(world, root);
    const runs = await absentAsNull(root.openFolder("runs"));
    const backups = await absentAsNull(root.openFolder("backups"));
    const parked = await absentAsNull(root.openFolder("parked"));
    if (runs === null || backups === null || parked === null) return null;
    return { path, root, runs, backups, parked };
  });
}

export async function closeStateDirectory(state: StateDirectory): Promise<void> {
  for (const folder of [state.runs, state.backups, state.parked, state.root]) {
    await release(() => folder.close());
  }
}

/** An administrator's environment may hold what was written there without those rights: it is not asked. */
function windowsDefault(
  { user, env }: Pick<World, "user" | "env">,
  { self, machine }: WindowsSystem,
): string {
  if (self.elevated) return win32.join(machine.programData, "plex-reclaim");
  const local = absolute(env["LOCALAPPDATA"]) ?? win32.join(user.home, "AppData", "Local");
  return win32.join(local, "plex-reclaim");
}

/** What an application needs to run (Apple, File System Programming Guide). XDG's variables mean nothing there. */
function macDefault({ uid, home }: World["user"]): string {
  return posix.join(uid === 0 ? "/" : home, "Library", "Application Support", "plex-reclaim");
}

/** With a drive or a share: `\folder` is one of whatever drive we are at. */
function absolute(path: string | undefined): string | undefined {
  return path !== undefined && /^(?:[A-Za-z]:[\\/]|\\\\[^\\/])/.test(path) ? path : undefined;
}

async function makeMissing(world: StateWorld, path: string): Promise<void> {
  if ((await absentAsNull(world.files.lstat(path))) !== null) return;
  const { basename, dirname } = world.windows === undefined ? posix : win32;
  const parent = dirname(path);
  if (parent === path) return;
  await makeMissing(world, parent);
  // The parent may be reached through a link (a distribution's /var); the new folder itself never is.
  const folder = await world.files.openFolder(await world.files.realPath(parent));
  try {
    await folder.makeFolder(basename(path), 0o700);
    await folder.sync();
  } catch (error) {
    if (!isThere(error)) throw error;
  } finally {
    await release(() => folder.close());
  }
}

/** Its parents are made as any folder; it takes over nothing of who may enter them. */
async function makeMissingPrivately(world: StateWorld, windows: WindowsSystem, path: string): Promise<void> {
  if ((await absentAsNull(world.files.lstat(path))) !== null) return;
  await makeMissing(world, win32.dirname(path));
  try {
    await windows.folders.makePrivate(path);
  } catch (error) {
    if (!isThere(error)) throw error;
  }
}

function isThere(error: unknown): boolean {
  return error instanceof SystemError && error.code === "EEXIST";
}

async function demandOurs(world: StateWorld, root: Folder): Promise<void> {
  if (world.windows !== undefined) return demandPrivate(world.windows, root);
  const { uid, mode } = await root.stat();
  if (uid !== world.user.uid) throw unusable(root.path, "owner");
  if ((mode & 0o077) !== 0) throw unusable(root.path, "mode");
}

/**
 * Where a consent made us an administrator, our own account is an ordinary one, too: whatever runs under it without
 * that consent could have prepared the folder.
 */
async function demandPrivate({ self, folders }: WindowsSystem, root: Folder): Promise<void> {
  const trusted = self.elevated && self.split ? [ADMINISTRATORS, SYSTEM] : [self.sid, ADMINISTRATORS, SYSTEM];
  const { owner, allowed } = await folders.accessOf(root.path);
  if (!trusted.includes(owner)) throw unusable(root.path, "owner");
  // The two are whoever owns it, or what is made in it.
  const harmless = [...trusted, CREATOR_OWNER, OWNER_RIGHTS];
  if (!allowed.every((sid) => harmless.includes(sid))) throw unusable(root.path, "mode");
  // What was asked about is what is held, as long as its name leads there.
  await root.list();
}

// Well-known SIDs (learn.microsoft.com, "Well-known SIDs").
const ADMINISTRATORS = "S-1-5-32-544";
const SYSTEM = "S-1-5-18";
const CREATOR_OWNER = "S-1-3-0";
const OWNER_RIGHTS = "S-1-3-4";

async function usable<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SystemError) throw unusable(path, error.code, error);
    throw error;
  }
}

function unusable(path: string, reason: string, cause?: unknown): ProblemError {
  return new ProblemError({ code: "STATE_DIRECTORY_UNUSABLE", path, reason }, { cause });
}
