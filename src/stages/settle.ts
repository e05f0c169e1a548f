import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import { identity } from "../plex/server.ts";
import { processesOf } from "../services/processes.ts";
import { has, isSettled, Journal, listRuns, type RunRecord } from "../state/journal.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import { readable } from "./6-back-up.ts";
import { startServer } from "./8-start.ts";
import { note, type PathContext, type Target } from "./context.ts";
import { type Expectation, putBack } from "./put-back.ts";

/** Runs on this server that were cut off, newest first. */
export async function unsettledRuns(state: StateDirectory, server?: Server): Promise<RunRecord[]> {
  const runs = await listRuns(state);
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
 * Throws when something could not be put back; the run then stays open for another try.
 */
export async function settleRuns(context: PathContext, state: StateDirectory, target: Target): Promise<void> {
  for (const run of await unsettledRuns(state, target.server)) {
    const journal = await Journal.resume(state, run);
    try {
      const how = await settleOne(context, state, target, run, journal);
      note(context, { code: "RUN_SETTLED", run: run.id, how });
    } finally {
      await journal.close();
    }
  }
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
  const { aftermath } = await putBack(context, state, target, journal, expectation);
  if (aftermath.kind === "not-put-back") {
    throw new ProblemError({ code: "RUN_NOT_SETTLED", run: run.id }, { aftermath });
  }
  const changed = has(run.entries, "stopping") || has(run.entries, "writing");
  await journal.note({ kind: "settled", how: changed ? "put-back" : "nothing-changed" });
  return changed ? "back" : "nothing";
}

async function ensureRunning(
  context: PathContext,
  target: Target,
  run: RunRecord,
  expectation: Expectation,
): Promise<void> {
  if (!run.begun.wasRunning || run.begun.keepStopped) return;
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
