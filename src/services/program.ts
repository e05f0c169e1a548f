import { type RunOptions, type RunResult, SystemError, type World } from "../world/world.ts";

/** Runs a program of the system by its name; null where the machine does not have it. */
export async function runProgram(
  world: Pick<World, "run">,
  name: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult | null> {
  try {
    return await world.run(name, args, options);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code !== "ENOENT" && error.code !== "EACCES") throw error;
    return null;
  }
}
