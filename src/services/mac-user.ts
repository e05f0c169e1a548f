import type { RunOptions, RunResult, World } from "../world/world.ts";

/** An account of this Mac. */
export interface MacUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** TODO: being built. */
export async function runAs(
  world: Pick<World, "run" | "user">,
  user: MacUser,
  file: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  if (world.user.uid === user.uid) return world.run(file, args, options);
  const asUser = ["asuser", String(user.uid), "/usr/bin/sudo", "-u", user.name, "-H", "--", file, ...args];
  return world.run("/bin/launchctl", asUser, options);
}
