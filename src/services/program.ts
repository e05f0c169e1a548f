import { type RunOptions, type RunResult, SystemError, type World } from "../world/world.ts";

/**
 * Runs a program of the system by its absolute path, from the folders that only root writes to; null where the
 * machine does not have it. A name is never looked up in a PATH: a root run must not start somebody's copy.
 */
export async function runProgram(
  world: Pick<World, "run">,
  name: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult | null> {
  for (const folder of PROGRAM_FOLDERS) {
    try {
      return await world.run(`${folder}/${name}`, args, options);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (error.code !== "ENOENT" && error.code !== "EACCES" && error.code !== "ENOTDIR") throw error;
    }
  }
  return null;
}

/** The last one is NixOS's, which has no programs in the others. */
const PROGRAM_FOLDERS = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/run/current-system/sw/bin"] as const;
