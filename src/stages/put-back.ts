import { type Aftermath, type ByHand, ProblemError } from "../model/problem.ts";
import { identity } from "../plex/server.ts";
import { processesOf } from "../services/processes.ts";
import { backupSettingsPath, readBackup } from "../state/backups.ts";
import { type Entry, has, type Journal, last } from "../state/journal.ts";
import { parkedCredentials } from "../state/parked-credentials.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import type { Image, StoredImage } from "../stores/store.ts";
import { stopServer, waitOutStop } from "./5-stop.ts";
import { backUp, readable } from "./6-back-up.ts";
import { startServer } from "./8-start.ts";
import { asProblem } from "./as-problem.ts";
import { note, type PathContext, type Target, uninterruptible, WAITS } from "./context.ts";

/** What putting back needs to know of a server besides its target. */
export interface Expectation {
  readonly machineIdentifier: string | null;
  /** Who it is to be after the change, where that is somebody else: a restore gives a lost identity back. */
  readonly startsAs?: string;
  /** Whether the port answered as this server before (or nobody did). */
  readonly portIsOurs: boolean;
}

/** How long what the run asked for, and did not see through, may still be under way: milliseconds. */
export interface Patience {
  readonly stopMs: number;
  readonly startMs: number;
}

/** What to do with settings that somebody has changed since our write: of a crash, nobody knows how long ago. */
export type Later = "restore" | "leave";

export interface PutBack {
  readonly aftermath: Aftermath;
  /** The settings had moved on since a crash, and were left as they are. */
  readonly movedOn: boolean;
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
  patience: Patience,
  later: Later,
): Promise<PutBack> {
  const entries = journal.entries;
  if (!has(entries, "stopping") && !has(entries, "writing")) {
    const aftermath: Aftermath = has(entries, "exchanged")
      ? { kind: "put-back", credentials: "parked" }
      : { kind: "nothing-changed" };
    return { aftermath, movedOn: false, killedByManager: false };
  }
  const work = uninterruptible(context);
  work.emit({ type: "step", step: "roll-back", phase: "begin" });
  const failures: ByHand[] = [];
  const attempt = (byHand: ByHand | null, task: () => Promise<void>) =>
    attempted(work, failures, byHand, task);

  await attempt(null, () => journal.note({ kind: "putting-back" }));
  let killedByManager = false;
  await attempt(null, async () => {
    killedByManager = await waitOutStop(work, target, has(entries, "stopped") ? 0 : patience.stopMs);
  });
  if (has(entries, "starting") && !has(entries, "started")) {
    await attempt(null, () => waitOutStart(work, target, patience.startMs));
  }
  const backup = last(entries, "backed-up");
  let movedOn = false;
  if (has(entries, "writing") && backup !== undefined) {
    await attempt(backupByHand(state, target, backup.backup), async () => {
      if (!has(entries, "exchanged")) {
        movedOn = await restoreBefore(work, state, target, journal, expectation, later);
      } else if (!(await finishHalfWrite(work, state, target, journal, expectation))) {
        await restoreIdentity(work, state, target, backup.backup, expectation);
      }
    });
  }
  if (begunRunning(entries)) {
    await attempt(startByHand(target), () => startAgain(work, target, expectation));
  }
  work.emit({ type: "step", step: "roll-back", phase: "end" });
  const aftermath: Aftermath =
    failures.length > 0
      ? { kind: "not-put-back", byHand: failures }
      : { kind: "put-back", credentials: await whereCredentialsAre(target, entries) };
  return { aftermath, movedOn, killedByManager };
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
 * what the server made of it since: in the last two cases the server must not run while it is put back, and what
 * only it or its owner has is backed up first.
 *
 * Answers true when the settings have moved on after a crash (the owner has signed in, say) and are to be left.
 */
async function restoreBefore(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  journal: Journal,
  expectation: Expectation,
  later: Later,
): Promise<boolean> {
  const writing = last(journal.entries, "writing");
  const backup = last(journal.entries, "backed-up");
  if (writing === undefined || backup === undefined) return false;
  const standing = await target.store.readImage();
  if (standing?.image.sha256 === writing.from) return false;
  const before = await readBackup(state, backup.backup);
  const isOurs = (stored: StoredImage | null) =>
    stored?.image.sha256 === writing.to || isHalfWritten(target, journal, stored, before.image);
  if (later === "leave" && !isOurs(standing)) return true;
  await stopStarted(context, target, expectation.machineIdentifier);
  const now = await target.store.readImage();
  if (later === "leave" && !sameSignIn(target, standing, now)) return true;
  if (now?.image.sha256 === before.image.sha256) return false;
  if (now !== null && !isOurs(now)) await backUp(context, state, target, now, journal.id);
  await target.store.write(now?.image ?? null, before.image, before.metadata);
  return false;
}

/** Whether a write of several operations that died in the middle left this. */
function isHalfWritten(
  target: Target,
  journal: Journal,
  standing: StoredImage | null,
  before: Image,
): boolean {
  const parts = last(journal.entries, "writing")?.parts;
  return (
    parts !== undefined && standing !== null && target.store.isHalfWritten(standing.image, before, parts)
  );
}

/**
 * A write of several operations that died in the middle, after an exchange: the old sign-in is dead, so it is not the
 * settings of before that come back, but those with the new sign-in. Answers whether there was such a half.
 */
async function finishHalfWrite(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  journal: Journal,
  { machineIdentifier }: Expectation,
): Promise<boolean> {
  const backup = last(journal.entries, "backed-up");
  const writing = last(journal.entries, "writing");
  const standing = await target.store.readImage();
  if (backup === undefined || writing === undefined || standing === null) return false;
  const { sha256 } = standing.image;
  if (sha256 === writing.from || sha256 === writing.to) return false;
  const before = await readBackup(state, backup.backup);
  if (!isHalfWritten(target, journal, standing, before.image)) return false;
  await stopStarted(context, target, machineIdentifier);
  const now = await target.store.readImage();
  if (now === null || !isHalfWritten(target, journal, now, before.image)) return false;
  const { deviceId } = before.manifest;
  const parked = deviceId === null ? null : await parkedCredentials(state, deviceId);
  // What the server has changed besides stays, where the new sign-in can be put into it.
  const image =
    parked === null
      ? before.image
      : await target.store.preview(now.image, { kind: "replace", credentials: parked.credentials });
  if (image.sha256 !== now.image.sha256) await target.store.write(now.image, image, before.metadata);
  return true;
}

function backupByHand(state: StateDirectory, target: Target, backup: string): ByHand {
  const from = backupSettingsPath(state, backup, target.store.kind);
  return { do: target.store.kind === "registry" ? "import" : "copy", from, to: target.store.location };
}

function sameSignIn(target: Target, one: StoredImage | null, other: StoredImage | null): boolean {
  const tokenOf = (stored: StoredImage | null) =>
    stored === null ? undefined : readable(target.store, stored.image)?.credentials.token?.reveal();
  return tokenOf(one) === tokenOf(other);
}

/**
 * After an exchange what was written stays, unless the server came up as another one: it would write its new identity
 * over ours when it ends. Then the settings of before come back, with the new sign-in.
 */
async function restoreIdentity(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  backup: string,
  { machineIdentifier, portIsOurs }: Expectation,
): Promise<void> {
  if (machineIdentifier === null || !portIsOurs) return;
  const answer = await identity(context.world, target.server.url);
  if (answer.kind !== "answers" || answer.machineIdentifier === machineIdentifier) return;
  await stopStarted(context, target, answer.machineIdentifier);
  const now = await target.store.readImage();
  const settings = now === null ? null : readable(target.store, now.image);
  if (settings?.identity.processedMachineIdentifier === machineIdentifier) return;
  const [before, parked] = [
    await readBackup(state, backup),
    await parkedCredentials(state, machineIdentifier),
  ];
  if (parked === null) throw new ProblemError({ code: "CREDENTIALS_NOT_KEPT" });
  const { credentials } = parked;
  const image = await target.store.preview(before.image, { kind: "replace", credentials });
  await target.store.write(now?.image ?? null, image, before.metadata);
}

/** A server that is only about to show itself would read the settings while they are put back, or write its own. */
async function waitOutStart(context: PathContext, target: Target, patienceMs: number): Promise<void> {
  const { clock } = context.world;
  const startedMs = clock.monotonicMs();
  while (clock.monotonicMs() - startedMs < patienceMs && !(await mayRun(context, target))) {
    await clock.sleep(WAITS.pollMs);
  }
}

/**
 * A server that was started a moment ago may not be ready to be stopped (its pid file, say, is still to come): a
 * stop that failed is asked for again, a few times and no more.
 */
async function stopStarted(
  context: PathContext,
  target: Target,
  machineIdentifier: string | null,
): Promise<void> {
  for (let tries = 1; await mayRun(context, target); tries += 1) {
    try {
      return await stopServer(context, target, machineIdentifier);
    } catch (error) {
      if (asProblem(error).code !== "STOP_FAILED" || tries === STOP_TRIES) throw error;
      await context.world.clock.sleep(WAITS.stopAgainMs);
    }
  }
}

const STOP_TRIES = 3;

async function mayRun(context: PathContext, target: Target): Promise<boolean> {
  const running = await processesOf(context.world, target.server);
  return running === "unknown" || running.length > 0;
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

function startByHand(target: Target): ByHand {
  const line = target.service.startLine;
  return line === null ? { do: "start-as-usual" } : { do: "start", line };
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
