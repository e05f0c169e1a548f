import { ProblemError } from "../model/problem.ts";
import type { Server, ServerProcess } from "../model/server.ts";
import type { World } from "../world/world.ts";
import { attemptAs, type MacAttempt } from "./mac-attempt.ts";
import { macProcessesOf } from "./mac-processes.ts";
import type { MacUser } from "./mac-user.ts";

type LaunchWorld = Pick<World, "run" | "user" | "clock">;

/**
 * Launches the application as an account, in the background. While the one before is still on its way out the system
 * refuses (-600), or may say that it has launched and has not; while an update that waited for its end puts another
 * bundle into its place there is none, or half of one (-10810, -10827). All of that is tried again for a while, and so
 * many times at most; the last refusal is the one that is told. That it lives and answers is proven elsewhere. Throws
 * `START_FAILED` with `startLine` as its command.
 */
export async function launch(
  world: LaunchWorld,
  server: Server,
  user: MacUser,
  { application, startLine: command }: { readonly application: string; readonly startLine: string },
): Promise<void> {
  const before = await macProcessesOf(world, server);
  const begunMs = world.clock.monotonicMs();
  let unseen = 0;
  for (let tries = 1; ; tries += 1) {
    const { failure } = await open(world, user, application);
    if (failure === null) {
      const seen = await appears(world, server, before);
      if (seen === "new") return;
      if (seen === "nothing") unseen += 1;
      if (unseen >= UNSEEN_STARTS || tries >= STARTS) return;
    } else if (
      failure === NOT_ALLOWED ||
      tries >= STARTS ||
      world.clock.monotonicMs() - begunMs >= REFUSED_MS
    ) {
      throw new ProblemError({ code: "START_FAILED", command, detail: failure });
    }
    await world.clock.sleep(BETWEEN_STARTS_MS);
  }
}

/**
 * `open` hands its own environment on to what it launches (open(1)), on top of what launchd has for every application
 * of that account: ours, in the C locale, and what `sudo` adds, would stay with the server until its next start, and
 * with whatever it starts (github.com/munki/munki/issues/1395). So it gets one with the account in it and no more;
 * that `open` itself needs nothing else is UNVERIFIED, but `env -i /usr/bin/open` is much used.
 */
function open(world: LaunchWorld, user: MacUser, application: string): Promise<MacAttempt> {
  const own = [`HOME=${user.home}`, `USER=${user.name}`, `LOGNAME=${user.name}`];
  const words = ["-i", ...own, "/usr/bin/open", "-g", "-a", application];
  return attemptAs(world, user, "/usr/bin/env", words, { timeoutMs: OPEN_MS });
}

/** Another account's, and we are not root. */
const NOT_ALLOWED = "EPERM";
const OPEN_MS = 30_000;
const REFUSED_MS = 10_000;
const STARTS = 20;
/** One that dies at once is not launched for ever. */
const UNSEEN_STARTS = 3;
const BETWEEN_STARTS_MS = 500;
const LOOKS = 4;
const BETWEEN_LOOKS_MS = 250;

/** Whether a process comes that was not there; `old`: none, and one of those before is still there. */
async function appears(
  world: LaunchWorld,
  server: Server,
  before: readonly ServerProcess[] | "unknown",
): Promise<"new" | "old" | "nothing"> {
  if (before === "unknown") return "new";
  const known = new Set(before.map(nameOf));
  for (let looks = 1; ; looks += 1) {
    const now = await macProcessesOf(world, server);
    if (now === "unknown" || now.some((each) => !known.has(nameOf(each)))) return "new";
    if (looks >= LOOKS) return now.length > 0 ? "old" : "nothing";
    await world.clock.sleep(BETWEEN_LOOKS_MS);
  }
}

function nameOf({ pid, startTicks }: ServerProcess): string {
  return `${pid} ${startTicks}`;
}
