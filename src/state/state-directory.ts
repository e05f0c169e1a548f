import { basename, dirname, join } from "node:path";
import { ProblemError } from "../model/problem.ts";
import type { Folder, World } from "../world/world.ts";
import { SystemError } from "../world/world.ts";
import { absentAsNull, ensureFolder, release } from "./durable.ts";

/**
 * Where runs, backups and parked credentials live: outside Plex's own folder (Plex may delete what it does not
 * know), 0700, owned by the account that runs us. Nobody else may have been able to prepare it.
 */
export interface StateDirectory {
  readonly path: string;
  readonly runs: Folder;
  readonly backups: Folder;
  readonly parked: Folder;
  readonly root: Folder;
}

export type StateWorld = Pick<World, "files" | "user" | "env" | "clock" | "randomHex">;

/** The platform's state directory for root or for the user, unless `--state-dir` names one. */
export function stateDirectoryPath(world: Pick<World, "user" | "env">, override?: string): string {
  if (override !== undefined) return override;
  if (world.user.uid === 0) return "/var/lib/plex-reclaim";
  const base = world.env["XDG_STATE_HOME"];
  const state = base?.startsWith("/") === true ? base : join(world.user.home, ".local", "state");
  return join(state, "plex-reclaim");
}

/** Opens it and makes what is missing. Throws `STATE_DIRECTORY_UNUSABLE`. */
export async function openStateDirectory(world: StateWorld, path: string): Promise<StateDirectory> {
  return usable(path, async () => {
    await makeMissing(world, path);
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

async function makeMissing(world: StateWorld, path: string): Promise<void> {
  if ((await absentAsNull(world.files.lstat(path))) !== null) return;
  const parent = dirname(path);
  if (parent === path) return;
  await makeMissing(world, parent);
  // The parent may be reached through a link (a distribution's /var); the new folder itself never is.
  const folder = await world.files.openFolder(await world.files.realPath(parent));
  try {
    await folder.makeFolder(basename(path), 0o700);
    await folder.sync();
  } catch (error) {
    if (!(error instanceof SystemError && error.code === "EEXIST")) throw error;
  } finally {
    await release(() => folder.close());
  }
}

async function demandOurs(world: StateWorld, root: Folder): Promise<void> {
  const { uid, mode } = await root.stat();
  if (uid !== world.user.uid) throw unusable(root.path, "owner");
  if ((mode & 0o077) !== 0) throw unusable(root.path, "mode");
}

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
