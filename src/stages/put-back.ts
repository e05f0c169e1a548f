import type { Aftermath, ByHand } from "../model/problem.ts";
import { processesOf } from "../services/processes.ts";
import { backupSettingsPath, readBackup } from "../state/backups.ts";
import { type Entry, has, type Journal, last } from "../state/journal.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import { stopServer, waitOutQueuedStop } from "./5-stop.ts";
import { startServer } from "./8-start.ts";
import { asProblem } from "./as-problem.ts";
import { note, type PathContext, type Target, uninterruptible } from "./context.ts";

/** What putting back needs to know of a server besides its target. */
export interface Expectation {
  readonly machineIdentifier: string | null;
  /** Whether the port answered as this server before (or nobody did). */
  readonly portIsOurs: boolean;
}

export interface PutBack {
  readonly aftermath: Aftermath;
  /** A stop that was still queued had to be ended by force. */
  readonly killedByManager: boolean;
}

/**
 * Puts everything back as the run found it, from its journal alone: in the run itself after a failure, or in a
 * later one after a crash. After a successful exchange the new credentials are the one thing that stays: they
 * are in the settings, or parked for the next changing command.
 *
 * Never throws for what could not be put back: that is in the answer, with the way to do it by hand, and each
 * further problem is told as a note, so that the first error stays the first.
 */
export async function putBack(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  journal: Journal,
  expectation: Expectation,
): Promise<PutBack> {
  const entries = journal.entries;
  if (!has(entries, "stopping") && !has(entries, "writing")) {
    const aftermath: Aftermath = has(entries, "exchanged")
      ? { kind: "put-back", credentials: "parked" }
      : { kind: "nothing-changed" };
    return { aftermath, killedByManager: false };
  }
  const work = uninterruptible(context);
  work.emit({ type: "step", step: "roll-back", phase: "begin" });
  const failures: ByHand[] = [];
  const attempt = (byHand: ByHand | null, task: () => Promise<void>) =>
    attempted(work, failures, byHand, task);

  await attempt(null, () => journal.note({ kind: "putting-back" }));
  let killedByManager = false;
  await attempt(null, async () => {
    killedByManager = await waitOutQueuedStop(work, target);
  });
  const backup = last(entries, "backed-up");
  if (has(entries, "writing") && !has(entries, "exchanged") && backup !== undefined) {
    const copy: ByHand = {
      do: "copy",
      from: backupSettingsPath(state, backup.backup),
      to: target.store.location,
    };
    await attempt(copy, () => restoreBefore(work, state, target, entries, expectation));
  }
  if (begunRunning(entries)) {
    await attempt(startByHand(target), () => startAgain(work, target, expectation));
  }
  work.emit({ type: "step", step: "roll-back", phase: "end" });
  const aftermath: Aftermath =
    failures.length > 0
      ? { kind: "not-put-back", byHand: failures }
      : { kind: "put-back", credentials: await whereCredentialsAre(target, entries) };
  return { aftermath, killedByManager };
}

async function attempted(
  context: PathContext,
  failures: ByHand[],
  byHand: ByHand | null,
  task: () => Promise<void>,
): Promise<void> {
  try {
    await task();
  } catch (error) {
    note(context, { code: "ROLL_BACK_PROBLEM", problem: asProblem(error) });
    if (byHand !== null) failures.push(byHand);
  }
}

/**
 * The settings as they were before the write. What stands there now may be that already, or what we wrote, or
 * what the server made of it since: in the last two cases the server must not run while it is put back.
 */
async function restoreBefore(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  entries: readonly Entry[],
  expectation: Expectation,
): Promise<void> {
  const writing = last(entries, "writing");
  const backup = last(entries, "backed-up");
  if (writing === undefined || backup === undefined) return;
  const standing = await target.store.readImage();
  if (standing?.image.sha256 === writing.from) return;
  const running = await processesOf(context.world, target.server);
  if (running === "unknown" || running.length > 0) {
    await stopServer(context, target, expectation.machineIdentifier);
  }
  const now = await target.store.readImage();
  const before = await readBackup(state, backup.backup);
  if (now?.image.sha256 === before.image.sha256) return;
  await target.store.write(now?.image ?? null, before.image, before.metadata);
}

/** A start may fail for a reason that is gone a moment later: it is tried twice, and no more. */
async function startAgain(context: PathContext, target: Target, expectation: Expectation): Promise<void> {
  const start = () => startServer(context, target, { ...expectation, resetLimit: true });
  try {
    await start();
  } catch (error) {
    if (asProblem(error).code !== "START_FAILED") throw error;
    await start();
  }
}

function begunRunning(entries: readonly Entry[]): boolean {
  const [begun] = entries;
  return begun?.kind === "begun" && begun.wasRunning;
}

function startByHand(target: Target): ByHand | null {
  const line = target.service.startLine;
  return line === null ? null : { do: "start", line };
}

async function whereCredentialsAre(
  target: Target,
  entries: readonly Entry[],
): Promise<"none" | "written" | "parked"> {
  if (!has(entries, "exchanged")) return "none";
  if (has(entries, "written")) return "written";
  const writing = last(entries, "writing");
  const standing = await target.store.readImage().catch(() => null);
  return writing !== undefined && standing?.image.sha256 === writing.to ? "written" : "parked";
}
