import { type Aftermath, type ByHand, ProblemError } from "../model/problem.ts";
import { uidOf } from "../model/server.ts";
import { identity } from "../plex/server.ts";
import { processesOf } from "../services/processes.ts";
import { backupSettingsPath, readBackup } from "../state/backups.ts";
import { type Entry, has, type Journal, last } from "../state/journal.ts";
import { parkedCredentials } from "../state/parked-credentials.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import type { StoredImage } from "../stores/store.ts";
import { stopServer, waitOutStop } from "./5-stop.ts";
import { backUp, readable } from "./6-back-up.ts";
import { startServer } from "./8-start.ts";
import { asProblem } from "./as-problem.ts";
import { note, type PathContext, type Target, uninterruptible, WAITS } from "./context.ts";
import { finished, halfWriteOf } from "./half-write.ts";

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
  const failures: (ByHand | "undo")[] = [];
  const attempt = (byHand: ByHand | "undo" | null, task: () => Promise<void>) =>
    attempted(work, failures, byHand, task);

  await attempt(null, () => journal.note({ kind: "putting-back" }));
  let killedByManager = false;
  await attempt(null, async () => {
    killedByManager = await waitOutStop(work, target, has(entries, "stopped") ? 0 : patience.stopMs);
  });
  if (has(entries, "starting") && !has(entries, "started")) {
    await attempt(null, () => waitOutStart(work, target, patience.startMs));
  }
  let movedOn = false;
  if (has(entries, "writing")) {
    await attempt(settingsByHand(context, state, target, entries), async () => {
      movedOn = has(entries, "exchanged")
        ? await goForward(work, state, target, entries, expectation)
        : await restoreBefore(work, state, target, journal, expectation, later);
    });
  }
  if (begunRunning(entries)) {
    await attempt(startByHand(target), () => startAgain(work, target, expectation));
  }
  work.emit({ type: "step", step: "roll-back", phase: "end" });
  const aftermath: Aftermath =
    failures.length > 0
      ? { kind: "not-put-back", byHand: failures.filter((way) => way !== "undo") }
      : { kind: "put-back", credentials: await whereCredentialsAre(state, target, entries) };
  return { aftermath, movedOn, killedByManager };
}

/** `byHand`: what is left to do when it fails; the line that undoes stands with it in any case. Null: nothing. */
async function attempted(
  context: PathContext,
  failures: (ByHand | "undo")[],
  byHand: ByHand | "undo" | null,
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
 * The settings as they were before the write. What stands there now may be that already, or what we wrote (or half of
 * it), or what the server made of it since: then the server must not run while it is put back, and what only it or its
 * owner has is backed up first, or stays.
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
  const standing = await target.store.readImage();
  if (writing === undefined || (standing?.image.sha256 ?? null) === writing.from) return false;
  const half = await halfWriteOf(state, target, journal.entries);
  const isOurs = (stored: StoredImage | null) =>
    stored?.image.sha256 === writing.to || half?.isIn(stored) === true;
  // Over nothing: whole settings that are there now are better than none.
  if (backup === undefined && half?.isIn(standing) !== true) return false;
  if (later === "leave" && !isOurs(standing)) return true;
  await stopStarted(context, target, expectation.machineIdentifier);
  const now = await target.store.readImage();
  if (later === "leave" && !sameSignIn(target, standing, now)) return true;
  if (half?.isIn(now) === true) {
    await target.store.write(now.image, half.takenBack(now));
    return false;
  }
  if (backup === undefined) return false;
  const before = await readBackup(state, backup.backup);
  if (now?.image.sha256 === before.image.sha256) return false;
  if (now !== null && !isOurs(now)) await backUp(context, state, target, now, journal.id);
  await target.store.write(now?.image ?? null, before.image, before.metadata);
  return false;
}

/**
 * After an exchange what was written stays, and half of it is finished. Answers false: nothing has moved on that would
 * have to be left alone.
 */
async function goForward(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  entries: readonly Entry[],
  expectation: Expectation,
): Promise<boolean> {
  const backup = last(entries, "backed-up");
  if (backup === undefined) return false;
  const half = await halfWriteOf(state, target, entries);
  if (half?.isIn(await target.store.readImage()) !== true) {
    await restoreIdentity(context, state, target, backup.backup, expectation);
    return false;
  }
  await stopStarted(context, target, expectation.machineIdentifier);
  const now = await target.store.readImage();
  if (!half.isIn(now)) return false;
  const { manifest } = await readBackup(state, backup.backup);
  const image = await finished(state, target, now, manifest.deviceId);
  if (image.sha256 !== now.image.sha256) await target.store.write(now.image, image);
  return false;
}

/**
 * What a person can do with the backup. A registry file brings values back and takes none away (so may a property list
 * that is imported into its domain), so it is of use only where values were removed; and never after an exchange, for
 * the sign-in in it is dead. Nor can another account read a backup of root's. `undo`: that line is all.
 */
function settingsByHand(
  { world }: PathContext,
  state: StateDirectory,
  { store, server }: Target,
  entries: readonly Entry[],
): ByHand | "undo" {
  const backup = last(entries, "backed-up");
  if (backup === undefined) return "undo";
  const [from, to] = [backupSettingsPath(state, backup.backup, store.kind), store.location];
  if (store.kind === "xml" || store.kind === "plist") return { do: "copy", from, to };
  if (store.kind === "defaults" && uidOf(server) !== world.user.uid) return "undo";
  const parts = last(entries, "writing")?.parts ?? [];
  const onlyRemoves = !has(entries, "exchanged") && parts.every((part) => part.to === null);
  return onlyRemoves ? { do: "import", from, to } : "undo";
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
  await demandSupervised(target);
}

/** A service that was stopped, and whose server went on without it, looks after nothing any more. */
async function demandSupervised({ server, service }: Target): Promise<void> {
  if (server.service.kind !== "windows-service" || (await service.condition()) !== "inactive") return;
  throw new ProblemError({ code: "START_FAILED", command: service.startLine ?? "", detail: "inactive" });
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
  state: StateDirectory,
  target: Target,
  entries: readonly Entry[],
): Promise<"none" | "written" | "parked"> {
  if (!has(entries, "exchanged")) return "none";
  if (has(entries, "written")) return "written";
  const standing = await target.store.readImage().catch(() => null);
  if (standing !== null && standing.image.sha256 === last(entries, "writing")?.to) return "written";
  const settings = standing === null ? null : readable(target.store, standing.image);
  if (settings === null) return "parked";
  const parked = await parkedCredentials(state, settings.identity.processedMachineIdentifier);
  const token = settings.credentials.token?.reveal();
  return parked !== null && parked.credentials.token.reveal() === token ? "written" : "parked";
}
