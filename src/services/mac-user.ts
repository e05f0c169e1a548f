import { type RunOptions, type RunResult, SystemError, type World } from "../world/world.ts";

/** An account of this Mac. */
export interface MacUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/**
 * Runs a program as an account of this Mac: as it is where that is our own; as root in that account's session of
 * launchd (`launchctl asuser`, which leaves the account as it is) under that account (`sudo -u`). `sudo -u` alone would
 * not do: its `defaults` cannot write after `ssh` (github.com/nix-darwin/nix-darwin/pull/1341). Both are told the number
 * (`#501` is one to sudo(8)): a name may mean another account to `sudo`, which may ask another directory.
 *
 * Throws `SystemError` (`EPERM`), and runs nothing, for another account where we are not root.
 */
export async function runAs(
  world: Pick<World, "run" | "user">,
  { uid }: Pick<MacUser, "uid">,
  file: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  if (world.user.uid === uid) return world.run(file, args, options);
  if (world.user.uid !== 0) throw new SystemError("EPERM", "spawn", file);
  const asUser = ["asuser", String(uid), "/usr/bin/sudo", "-u", `#${uid}`, "-H", "--", file, ...args];
  return world.run("/bin/launchctl", asUser, options);
}
