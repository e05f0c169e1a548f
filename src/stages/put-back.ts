import { type Aftermath, type ByHand, ProblemError } from "../model/problem.ts";
import { type Entry, has, type Journal, last } from "../state/journal.ts";
import { parkedCredentials } from "../state/parked-credentials.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import { waitOutStop } from "./5-stop.ts";
import { readable } from "./6-back-up.ts";
import { startServer } from "./8-start.ts";
import { asProblem } from "./as-problem.ts";
import { note, type PathContext, type Target, uninterruptible, WAITS } from "./context.ts";
import {
  type Expectation,
  goForward,
  type Later,
  mayRun,
  restoreBefore,
  settingsByHand,
} from "./put-settings-back.ts";

/** How long what the run asked for, and did not see through, may still be under way: milliseconds. */
export interface Patience {
  readonly stopMs: number;
  readonly startMs: number;
}

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

/** A server that is only about to show itself would read the settings while they are put back, or write its own. */
async function waitOutStart(context: PathContext, target: Target, patienceMs: number): Promise<void> {
  const { clock } = context.world;
  const startedMs = clock.monotonicMs();
  while (clock.monotonicMs() - startedMs < patienceMs && !(await mayRun(context, target))) {
    await clock.sleep(WAITS.pollMs);
  }
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
