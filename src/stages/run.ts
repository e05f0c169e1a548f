import type { Aftermath, Problem } from "../model/problem.ts";
import { ProblemError } from "../model/problem.ts";
import type { NewCredentials, Settings } from "../model/settings.ts";
import type { Manifest } from "../state/backups.ts";
import { type Begun, has, Journal, last } from "../state/journal.ts";
import { removeParked } from "../state/parked-credentials.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import type { FileMetadata, Image, StoredImage } from "../stores/store.ts";
import { stopServer } from "./5-stop.ts";
import { backUp } from "./6-back-up.ts";
import { demandAsPlanned, edit } from "./7-edit.ts";
import { startServer } from "./8-start.ts";
import { asProblem } from "./as-problem.ts";
import { heedInterrupt, note, type PathContext, step, type Target, WAITS } from "./context.ts";
import { type Patience, type PutBack, putBack } from "./put-back.ts";
import type { Expectation } from "./put-settings-back.ts";

/** One change to a server, as the driver needs it. */
export interface Change {
  readonly command: Begun["command"];
  readonly undoes?: string;
  readonly wasRunning: boolean;
  readonly keepStopped: boolean;
  /** Whether the server is to run in the end. */
  readonly endsRunning: boolean;
  /** What to type to undo a run of this name. */
  undoLine(run: string): string;
  readonly expectation: Expectation;
  /** What the plan was over; null when the settings of now do not matter (a restore over broken ones). */
  readonly planned: Settings | null;
  /** Gets new credentials before anything is stopped; null when none are wanted. */
  obtain: ((journal: Journal) => Promise<NewCredentials>) | null;
  /** What is to stand in the settings, made from what stands there after the stop. */
  target(now: StoredImage | null, credentials: NewCredentials | null): Promise<Wanted>;
}

interface Wanted {
  readonly image: Image;
  readonly metadata?: FileMetadata | null;
}

export interface Changed {
  readonly run: string;
  /** Milliseconds since 1970: what a log says of an earlier start does not count. */
  readonly beganAt: number;
  /** Null when there was nothing to back up (the settings were missing). */
  readonly backup: string | null;
  readonly credentials: NewCredentials | null;
  /** `stopped`: found so, or kept so. */
  readonly server: "started" | "maintenance" | "stopped";
}

/**
 * The path of every change, in its fixed order: obtain → stop → back up → edit → start. Each step is journalled
 * before it is taken; any failure on the way puts everything back (`putBack`) and is thrown as a `ProblemError`
 * that says what state the server is in.
 */
export async function runChange(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  change: Change,
): Promise<Changed> {
  const journal = await Journal.begin(context.world, state, {
    kind: "begun",
    version: 1,
    command: change.command,
    server: target.server,
    wasRunning: change.wasRunning,
    keepStopped: change.keepStopped,
    endsRunning: change.endsRunning,
    ...(change.undoes === undefined ? {} : { undoes: change.undoes }),
  });
  try {
    const changed = await steps(context, state, target, change, journal);
    await settle(context, journal, "done");
    return changed;
  } catch (error) {
    throw await failure(context, state, target, change, journal, error);
  } finally {
    await journal.close();
  }
}

async function steps(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  change: Change,
  journal: Journal,
): Promise<Changed> {
  const { obtain } = change;
  const beganAt = context.world.clock.now();
  const credentials = obtain === null ? null : await step(context, "obtain", () => obtain(journal));
  heedInterrupt(context);
  if (change.wasRunning) await step(context, "stop", () => stop(context, target, change, journal));
  heedInterrupt(context);
  const now = await target.store.readImage();
  if (change.planned !== null) demandAsPlanned(change.planned, parseOrNothing(target, now));
  const backup =
    now === null ? null : await step(context, "back-up", () => save(context, state, target, now, journal));
  heedInterrupt(context);
  const wanted = await change.target(now, credentials);
  await step(context, "edit", () =>
    edit(context, target, journal, {
      from: now?.image ?? null,
      to: wanted.image,
      ...(wanted.metadata === undefined ? {} : { metadata: wanted.metadata }),
    }),
  );
  const server = change.endsRunning ? await start(context, target, change, journal) : "stopped";
  if (credentials !== null) await forgetParked(context, state, target, change);
  return { run: journal.id, beganAt, backup: backup?.id ?? null, credentials, server };
}

async function stop(context: PathContext, target: Target, change: Change, journal: Journal): Promise<void> {
  await journal.note({ kind: "stopping" });
  await stopServer(context, target, change.expectation.machineIdentifier);
  await journal.note({ kind: "stopped" });
}

async function save(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  now: StoredImage,
  journal: Journal,
): Promise<Manifest> {
  const manifest = await backUp(context, state, target, now, journal.id);
  await journal.note({ kind: "backed-up", backup: manifest.id, sha256: manifest.sha256 });
  return manifest;
}

async function start(
  context: PathContext,
  target: Target,
  change: Change,
  journal: Journal,
): Promise<"started" | "maintenance"> {
  return step(context, "start", async () => {
    await journal.note({ kind: "starting" });
    const how = await startServer(context, target, {
      portIsOurs: change.expectation.portIsOurs,
      machineIdentifier: change.expectation.startsAs ?? change.expectation.machineIdentifier,
      resetLimit: false,
    });
    await journal.note({ kind: "started" });
    return how;
  });
}

/**
 * The settings hold the credentials and were read back: the parked copy is not needed any more, once they are sure to
 * survive a power cut. Until then it stays; a later change finds both and removes it.
 */
async function forgetParked(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  change: Change,
): Promise<void> {
  const deviceId = change.planned?.identity.processedMachineIdentifier;
  if (deviceId === undefined) return;
  if (!(await becomesDurable(context, target))) {
    note(context, { code: "PARKED_KEPT_FOR_NOW" });
    return;
  }
  try {
    await removeParked(state, deviceId);
  } catch (error) {
    // A copy too many does no harm: the next run sees that the settings hold it and removes it.
    note(context, { code: "ROLL_BACK_PROBLEM", problem: asProblem(error) });
  }
}

async function becomesDurable(
  { world: { clock }, interrupt }: PathContext,
  target: Target,
): Promise<boolean> {
  const startedMs = clock.monotonicMs();
  for (;;) {
    if (await target.store.isDurable()) return true;
    if (interrupt.aborted || clock.monotonicMs() - startedMs > WAITS.durableMs) return false;
    await clock.sleep(WAITS.durablePollMs, interrupt).catch(() => undefined);
  }
}

function parseOrNothing(target: Target, now: StoredImage | null): Settings {
  if (now === null) throw new ProblemError({ code: "SETTINGS_MISSING", path: target.store.location });
  return target.store.parse(now.image);
}

/**
 * The last line of a journal. When it cannot be written the change itself still stands (or is undone): the next
 * changing command finds the run open, looks, and settles it.
 */
async function settle(context: PathContext, journal: Journal, how: "done" | "put-back" | "nothing-changed") {
  try {
    await journal.note({ kind: "settled", how });
  } catch (error) {
    note(context, { code: "ROLL_BACK_PROBLEM", problem: asProblem(error) });
  }
}

async function failure(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  change: Change,
  journal: Journal,
  error: unknown,
): Promise<ProblemError> {
  const first = asProblem(error);
  const { aftermath, killedByManager }: PutBack =
    first.code === "WRONG_ACCOUNT"
      ? { aftermath: afterWrongAccount(first), movedOn: false, killedByManager: false }
      : await putBack(
          context,
          state,
          target,
          journal,
          change.expectation,
          await patienceAfter(target, first),
          "restore",
        );
  if (aftermath.kind === "put-back" || aftermath.kind === "nothing-changed") {
    await settle(context, journal, aftermath.kind);
  }
  const problem: Problem =
    first.code === "STOP_TIMEOUT" && killedByManager ? { ...first, killed: "yes" } : first;
  const written = has(journal.entries, "writing");
  const told = written ? withUndo(aftermath, change.undoLine(journal.id)) : aftermath;
  const backup = last(journal.entries, "backed-up")?.backup;
  const facts = { server: target.server.id, run: journal.id, ...(backup === undefined ? {} : { backup }) };
  return new ProblemError(problem, { aftermath: told, cause: error, facts });
}

/**
 * An interrupted stop or start was asked for and not waited out. After other failures of a stop the server is gone, or
 * was given all its time, or something less foreseen happened; after those of a start nothing is to come any more.
 */
async function patienceAfter(target: Target, { code }: Problem): Promise<Patience> {
  const { kind } = target.server.service;
  // An application that was asked to close may still do so, when what it is busy with is done.
  if (code === "STILL_RUNNING" && (kind === "tray" || kind === "mac-application")) {
    return { stopMs: WAITS.secondStopMs, startMs: 0 };
  }
  if (code === "STILL_RUNNING" || code === "STILL_ANSWERING" || code === "RESTARTED_BY_ITSELF") return NONE;
  if (code !== "INTERRUPTED") return { stopMs: WAITS.failedStopMs, startMs: 0 };
  const stopMs = await target.service.stopDeadlineMs().catch(() => WAITS.failedStopMs);
  return { stopMs, startMs: WAITS.noProcessMs };
}

const NONE: Patience = { stopMs: 0, startMs: 0 };

/**
 * Credentials of another account are gone again, and the server's own sign-in was never touched; those of its own
 * account, where another was expected, have replaced it and stay parked.
 */
function afterWrongAccount(problem: Extract<Problem, { code: "WRONG_ACCOUNT" }>): Aftermath {
  return problem.kept === "yes" ? { kind: "put-back", credentials: "parked" } : { kind: "nothing-changed" };
}

/** Whatever else is to be done by hand, `undo` can be tried again once its cause is gone. */
function withUndo(aftermath: Aftermath, line: string): Aftermath {
  if (aftermath.kind !== "not-put-back") return aftermath;
  return { ...aftermath, byHand: [...aftermath.byHand, { do: "undo", line }] };
}
