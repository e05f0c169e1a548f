import { ProblemError } from "../model/problem.ts";
import type { ServerProcess } from "../model/server.ts";
import { identity } from "../plex/server.ts";
import { isSupervised, lineAboutKeeper, lineAboutProcesses, processesOf } from "../services/processes.ts";
import { heedInterrupt, note, type PathContext, type Target, WAITS } from "./context.ts";

/**
 * Stops the server politely and proves it: no process of this server is left, its manager has let go of it, and
 * its port is quiet or answers as somebody else. The deadline lies below the manager's own kill.
 *
 * Throws `STOP_FAILED`, `STOP_TIMEOUT`, `STILL_RUNNING`, `STILL_ANSWERING`, `RESTARTED_BY_ITSELF`, `INTERRUPTED`.
 * `machineIdentifier`: of this server, to tell its answers from another's; null when it could not be read.
 */
export async function stopServer(
  context: PathContext,
  target: Target,
  machineIdentifier: string | null,
): Promise<void> {
  const { clock } = context.world;
  const deadlineMs = await target.service.stopDeadlineMs();
  const mayComeBack = await mayRestart(context, target);
  const asked = await processesOf(context.world, target.server);
  const startedMs = clock.monotonicMs();
  await target.service.requestStop();
  for (;;) {
    heedInterrupt(context);
    const seen = await look(context, target, machineIdentifier);
    if (seen === "gone") break;
    if (typeof seen === "object" && "processes" in seen) await demandNoOther(context, target, asked, seen);
    if (clock.monotonicMs() - startedMs > deadlineMs) throw tooLate(context, target, seen, deadlineMs);
    await clock.sleep(WAITS.stopPollMs, context.interrupt);
  }
  await noteKill(context, target);
  if (mayComeBack) await watchForRestart(context, target);
}

type Seen = "gone" | "stopping" | Running | { readonly answering: string };

/** None: it is not known which ones. */
interface Running {
  readonly processes: readonly ServerProcess[];
}

/** The processes first: as long as there is one, nothing else need be asked, and no program be run for it. */
async function look(context: PathContext, target: Target, machineIdentifier: string | null): Promise<Seen> {
  const processes = await processesOf(context.world, target.server);
  if (processes === "unknown") return { processes: [] };
  if (processes.length > 0) return { processes };
  const condition = await target.service.condition();
  if (condition === "active" || condition === "stopping") return "stopping";
  const { url } = target.server;
  const answer = await identity(context.world, url);
  const ours = answer.kind === "answers" && answer.machineIdentifier === machineIdentifier;
  return ours ? { answering: url } : "gone";
}

function tooLate(context: PathContext, target: Target, seen: Seen, deadlineMs: number): ProblemError {
  if (typeof seen === "object" && "answering" in seen) {
    return new ProblemError({ code: "STILL_ANSWERING", url: seen.answering });
  }
  if (typeof seen === "object" && target.service.stopLine !== null && managerOf(target) === null) {
    return stillRunning(
      context,
      seen.processes.map(({ pid }) => pid),
    );
  }
  return new ProblemError({ code: "STOP_TIMEOUT", seconds: Math.round(deadlineMs / 1000), killed: "no" });
}

/** None: it is not known which ones. */
function stillRunning({ world }: PathContext, pids: readonly number[]): ProblemError {
  return new ProblemError({
    code: "STILL_RUNNING",
    pids: pids.join(" "),
    line: lineAboutProcesses(world, pids),
  });
}

/**
 * Whoever starts it again at once may do so between two looks: then all that runs is not what was asked to stop. Waiting
 * for that to end would be in vain. Throws `RESTARTED_BY_ITSELF`.
 */
async function demandNoOther(
  context: PathContext,
  target: Target,
  asked: readonly ServerProcess[] | "unknown",
  { processes }: Running,
): Promise<void> {
  if (managerOf(target) !== null || asked === "unknown" || asked.length === 0) return;
  const isAsked = ({ pid, startTicks }: ServerProcess) =>
    asked.some((each) => each.pid === pid && each.startTicks === startTicks);
  const [first] = processes;
  if (first !== undefined && !processes.some(isAsked)) throw await restarted(context, target, first);
}

async function restarted(
  { world }: PathContext,
  { server }: Target,
  { pid }: ServerProcess,
): Promise<ProblemError> {
  const line = await lineAboutKeeper(world, server, pid);
  return new ProblemError({ code: "RESTARTED_BY_ITSELF", pid, line });
}

/** Tells, and answers, whether the manager ended the server by force. */
async function noteKill(context: PathContext, target: Target): Promise<boolean> {
  const unit = managerOf(target);
  if (unit === null || !(await target.service.killedByForce())) return false;
  note(context, { code: "KILLED_BY_MANAGER", unit });
  return true;
}

/** What the manager that keeps the server calls it; null where none does. */
function managerOf({ server: { service } }: Target): string | null {
  if (service.kind === "systemd") return service.unit;
  return service.kind === "windows-service" ? service.name : null;
}

/**
 * A manager's own stop holds; a user's command, or asking the application to close, may only have ended the process, and
 * whoever started that brings it back a moment later.
 */
async function mayRestart(context: PathContext, target: Target): Promise<boolean> {
  return managerOf(target) === null && (await isSupervised(context.world, target.server));
}

/** Nothing has been changed yet when a restart is noticed here. */
async function watchForRestart(context: PathContext, target: Target): Promise<void> {
  const { clock } = context.world;
  const startedMs = clock.monotonicMs();
  while (clock.monotonicMs() - startedMs < WAITS.restartWatchMs) {
    heedInterrupt(context);
    await demandStopped(context, target);
    await clock.sleep(WAITS.restartPollMs, context.interrupt);
  }
}

/**
 * Throws `RESTARTED_BY_ITSELF` when a process of this server is there again, and `STILL_RUNNING` where that cannot be
 * seen, looked at a few times: settings are written only when it is known that nobody else does.
 */
export async function demandStopped(context: PathContext, target: Target): Promise<void> {
  for (let looks = 1; ; looks += 1) {
    const processes = await processesOf(context.world, target.server);
    if (processes !== "unknown") {
      const [first] = processes;
      if (first === undefined) return;
      throw await restarted(context, target, first);
    }
    if (looks === LOOKS) throw stillRunning(context, []);
    await context.world.clock.sleep(WAITS.pollMs);
  }
}

const LOOKS = 3;

/**
 * For a stop that was asked for and not seen through: waits until it is, so that the server can be started again. A
 * server on its way down still runs, and may still answer. A manager knows that a stop is queued, and ends it by
 * force if it comes to that (the answer); of a user's own command nothing is known, so it is given `patienceMs`.
 */
export async function waitOutStop(
  context: PathContext,
  target: Target,
  patienceMs: number,
): Promise<boolean> {
  const unit = managerOf(target);
  if (unit !== null) return waitOutQueuedStop(context, target, unit);
  const { clock } = context.world;
  const startedMs = clock.monotonicMs();
  while (clock.monotonicMs() - startedMs < patienceMs) {
    const processes = await processesOf(context.world, target.server);
    if (processes !== "unknown" && processes.length === 0) break;
    await clock.sleep(WAITS.pollMs);
  }
  return false;
}

async function waitOutQueuedStop(context: PathContext, target: Target, unit: string): Promise<boolean> {
  if ((await target.service.condition()) !== "stopping") return false;
  note(context, { code: "STOP_STILL_QUEUED", unit });
  const { clock } = context.world;
  const deadlineMs = await target.service.queuedStopMs();
  const startedMs = clock.monotonicMs();
  while ((await target.service.condition()) === "stopping") {
    if (clock.monotonicMs() - startedMs > deadlineMs) break;
    await clock.sleep(WAITS.pollMs);
  }
  return noteKill(context, target);
}
