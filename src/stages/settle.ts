import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import { identity } from "../plex/server.ts";
import { processesOf } from "../services/processes.ts";
import { serviceOf } from "../services/service-of.ts";
import { has, isSettled, Journal, listRuns, type RunRecord } from "../state/journal.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import { readable } from "./6-back-up.ts";
import { startServer } from "./8-start.ts";
import { note, type PathContext, type Target, WAITS } from "./context.ts";
import { type Patience, putBack } from "./put-back.ts";
import type { Expectation } from "./put-settings-back.ts";

/** Runs on this server that were cut off, newest first. */
export async function unsettledRuns(state: StateDirectory, server?: Server): Promise<RunRecord[]> {
  const { runs } = await listRuns(state);
  return runs.filter((run) => !isSettled(run) && (server === undefined || run.begun.server.id === server.id));
}

/** The step a run was cut off at, for people. */
export function cutOffAt(run: RunRecord): string {
  return run.entries.at(-1)?.kind ?? "begun";
}

/**
 * Settles every run on this server that was cut off. One that had started the server with its change is done:
 * it goes forward. Any other is put back as found, but for credentials it obtained, which stay parked or written.
 *
 * Answers whether that changed anything. Throws when something could not be put back; the run then stays open for
 * another try.
 */
export async function settleRuns(
  context: PathContext,
  state: StateDirectory,
  target: Target,
): Promise<boolean> {
  let changed = false;
  for (const run of await unsettledRuns(state, target.server)) {
    const journal = await Journal.resume(state, run);
    try {
      const how = await settleOne(context, state, asTheRunKnewIt(context, target, run), run, journal);
      note(context, { code: "RUN_SETTLED", run: run.id, how });
      changed ||= how !== "nothing";
    } finally {
      await journal.close();
    }
  }
  return changed;
}

/** A stopped server may hide what a running one shows: where its executable is, which its start needs. */
function asTheRunKnewIt({ world }: PathContext, target: Target, { begun }: RunRecord): Target {
  const { executable } = begun.server;
  if (target.server.executable !== undefined || executable === undefined) return target;
  const server = { ...target.server, executable };
  return { ...target, server, service: serviceOf(world, server) };
}

async function settleOne(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  run: RunRecord,
  journal: Journal,
): Promise<"forward" | "back" | "nothing"> {
  const expectation = await expectationNow(context, target);
  if (has(run.entries, "started") && !has(run.entries, "putting-back")) {
    await ensureRunning(context, target, run, expectation);
    await journal.note({ kind: "settled", how: "done" });
    return "forward";
  }
  const patience = await patienceWith(context, target, run);
  if (
    has(run.entries, "sending-code") &&
    !has(run.entries, "exchanged") &&
    !has(run.entries, "not-exchanged")
  ) {
    note(context, { code: "EXCHANGE_UNANSWERED" });
  }
  const { aftermath, movedOn } = await putBack(
    context,
    state,
    target,
    journal,
    expectation,
    patience,
    "leave",
  );
  if (aftermath.kind === "not-put-back") {
    throw new ProblemError({ code: "RUN_NOT_SETTLED", run: run.id }, { aftermath });
  }
  if (movedOn) {
    await journal.note({ kind: "settled", how: "done" });
    return "forward";
  }
  const changed = has(run.entries, "stopping") || has(run.entries, "writing");
  await journal.note({ kind: "settled", how: changed ? "put-back" : "nothing-changed" });
  return changed ? "back" : "nothing";
}

/** A run that was cut off a moment ago may have asked for a stop or a start that is still under way. */
async function patienceWith(context: PathContext, target: Target, run: RunRecord): Promise<Patience> {
  const stopMs = await target.service.stopDeadlineMs().catch(() => WAITS.failedStopMs);
  const ageMs = Math.max(0, context.world.clock.now() - run.begun.at);
  const leftMs = Math.max(0, WAITS.beforeStopMs + stopMs - ageMs);
  return { stopMs: leftMs, startMs: Math.min(leftMs, WAITS.noProcessMs) };
}

async function ensureRunning(
  context: PathContext,
  target: Target,
  run: RunRecord,
  expectation: Expectation,
): Promise<void> {
  const { wasRunning, keepStopped, endsRunning = wasRunning && !keepStopped } = run.begun;
  if (!endsRunning) return;
  const running = await processesOf(context.world, target.server);
  if (running === "unknown" || running.length > 0) return;
  await startServer(context, target, { ...expectation, resetLimit: true });
}

/** What to expect after a crash: the identity that the settings have now, and whoever has the port now. */
async function expectationNow(context: PathContext, target: Target): Promise<Expectation> {
  const stored = await target.store.readImage();
  const settings = stored === null ? null : readable(target.store, stored.image);
  const machineIdentifier = settings?.identity.processedMachineIdentifier ?? null;
  return { machineIdentifier, portIsOurs: await portIsOurs(context, target.server.url, machineIdentifier) };
}

/** Whether nobody else answers at the address of a server. */
export async function portIsOurs(
  context: PathContext,
  url: string,
  machineIdentifier: string | null,
): Promise<boolean> {
  const answer = await identity(context.world, url);
  return (
    answer.kind !== "answers" || machineIdentifier === null || answer.machineIdentifier === machineIdentifier
  );
}
