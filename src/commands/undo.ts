import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import { hasToken, type NewCredentials, type Settings } from "../model/settings.ts";
import type { PlexTv } from "../plex/account.ts";
import { demandReady, isRunning } from "../stages/2-preflight.ts";
import { obtainFromParked } from "../stages/4-obtain.ts";
import { readable } from "../stages/6-back-up.ts";
import { asProblem } from "../stages/as-problem.ts";
import { step, type Target } from "../stages/context.ts";
import { cutOffAt, settleRuns, unsettledRuns } from "../stages/settle.ts";
import { type Backup, holdsDeadSignIn, readBackup } from "../state/backups.ts";
import { has, isSettled, last, listRuns, noteUndone, type RunRecord, readRun } from "../state/journal.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import type { Image, StoredImage } from "../stores/store.ts";
import { acceptPlan, afterChange } from "./change.ts";
import { type Ending, ending } from "./ending.ts";
import type { TargetOptions, UndoOptions } from "./invocation.ts";
import { alone, withTarget } from "./locate.ts";
import { planToPutBack, putBackupBack, type Returning, standing } from "./put-backup-back.ts";
import { demandAssent, plexTvOf, type Session, say, withExistingState, withState } from "./session.ts";

type Options = TargetOptions & UndoOptions;

/**
 * Puts back what was there before a run: the one named, else the newest that is not settled, else the newest.
 * A run that was cut off is settled by that; undoing twice is undoing once. After a run that exchanged a claim
 * code everything comes back but the old sign-in, which is dead; with `--old-sign-in` that too.
 *
 * Works from the journal alone: the server need not be found again.
 */
export async function undo(session: Session, runId: string | undefined, options: Options): Promise<Ending> {
  if (!options.dryRun) demandAssent(session, options);
  const withDirectory = options.dryRun ? withExistingState : withState;
  return withDirectory(session, options, async (state: StateDirectory | null) => {
    const run = state === null ? null : await chooseRun(state, runId, options.server);
    if (state === null || run === null) {
      if (runId !== undefined) throw new ProblemError({ code: "RUN_NOT_FOUND", id: runId });
      say(session, { code: "NO_RUN_TO_UNDO" });
      return ending("NOTHING_TO_DO");
    }
    const server = asGiven(run.begun.server, options);
    return withTarget(session, server, { readOnly: options.dryRun }, (target) =>
      alone(session, target, options, () => undoRun(session, options, state, target, run)),
    );
  });
}

/** The server as the run knew it, but for what the options say anew: a start command, say, that was wrong. */
function asGiven(server: Server, options: TargetOptions): Server {
  const { stopCommand, startCommand, serverUrl, processMatch } = options;
  const known = server.service.kind === "command" ? server.service : { kind: "command" as const };
  const service =
    stopCommand === undefined && startCommand === undefined
      ? server.service
      : {
          ...known,
          ...(stopCommand === undefined ? {} : { stop: stopCommand }),
          ...(startCommand === undefined ? {} : { start: startCommand }),
        };
  return {
    ...server,
    service,
    ...(serverUrl === undefined ? {} : { url: serverUrl }),
    ...(processMatch === undefined ? {} : { executable: processMatch }),
  };
}

async function chooseRun(
  state: StateDirectory,
  id: string | undefined,
  server: string | undefined,
): Promise<RunRecord | null> {
  if (id !== undefined) return readRun(state, id);
  const runs = (await listRuns(state)).runs.filter(
    (run) => server === undefined || run.begun.server.id === server,
  );
  const cutOff = runs.find((run) => !isSettled(run));
  // An undo is not itself undone by the next one: undoing twice is undoing once.
  return cutOff ?? runs.find((run) => run.begun.command !== "undo") ?? null;
}

async function undoRun(
  session: Session,
  options: Options,
  state: StateDirectory,
  target: Target,
  run: RunRecord,
): Promise<Ending> {
  const { context } = session;
  const wasOpen = !isSettled(run);
  if (options.dryRun) {
    if (wasOpen) say(session, { code: "UNSETTLED_RUN", run: run.id, step: cutOffAt(run) });
  } else if ((await unsettledRuns(state, target.server)).length > 0) {
    // Another one that was cut off would take back this undo when it is settled later.
    await step(context, "settle", () => settleRuns(context, state, target));
  }
  const settled = options.dryRun ? run : await afterSettling(state, run, wasOpen);
  const data = { server: target.server.id, run: settled.id };
  if (options.dryRun && wasOpen) {
    say(session, { code: "DRY_RUN" });
    return ending("DRY_RUN", data);
  }
  if (changedSomething(settled) && !has(settled.entries, "undone")) {
    return bringBack(session, options, state, target, settled);
  }
  // What settling did has been told.
  if (wasOpen) return ending("OK", data);
  say(session, { code: "ALREADY_UNDONE", run: run.id });
  return ending("NOTHING_TO_DO", data);
}

/** The run again, as it is now; an undo that was cut off leads on to the run that it was to undo. */
async function afterSettling(state: StateDirectory, run: RunRecord, wasOpen: boolean): Promise<RunRecord> {
  return (await readRun(state, wasOpen ? (run.begun.undoes ?? run.id) : run.id)) ?? run;
}

/** A run that was put back, or never got to its write, has nothing to undo. */
function changedSomething(run: RunRecord): boolean {
  const settled = last(run.entries, "settled");
  return has(run.entries, "writing") && has(run.entries, "backed-up") && settled?.how === "done";
}

async function bringBack(
  session: Session,
  options: Options,
  state: StateDirectory,
  target: Target,
  run: RunRecord,
): Promise<Ending> {
  const { context } = session;
  const backup = await readBackup(state, last(run.entries, "backed-up")?.backup ?? "");
  const now = await standing(target);
  const deviceId = now.settings?.identity.processedMachineIdentifier ?? null;
  const running = await isRunning(context, target, deviceId);
  // As it was before the run; a server that somebody stopped since then stays stopped only if it was found so.
  const endsRunning = (running || run.begun.wasRunning) && !options.keepStopped;
  const returning: Returning = { command: "undo", undoes: run.id, backup, ...now, running, endsRunning };
  const dead = has(run.entries, "exchanged") || (await holdsDeadSignIn(state, backup.manifest));
  const keepSignIn = dead && !options.oldSignIn;
  if (dead && options.oldSignIn) say(session, { code: "OLD_SIGN_IN_IS_DEAD" });
  const sign = { deadSignIn: dead && options.oldSignIn, keepsSignIn: keepSignIn };
  const plan = planToPutBack(target, options, state, returning, sign);
  if (options.dryRun) {
    context.emit({ type: "plan", plan });
    say(session, { code: "DRY_RUN" });
    return ending("DRY_RUN", { server: target.server.id, run: run.id });
  }
  await demandReady(context, state, target, {
    running: running || endsRunning,
    sizeBytes: backup.image.bytes.length + 16 * 1024,
  });
  if (dead && options.oldSignIn && !options.yes && !(await session.questions.confirm("prompt.old-sign-in"))) {
    throw new ProblemError({ code: "DECLINED" });
  }
  await acceptPlan(session, options, plan);
  const plexTv = plexTvOf(session, options);
  const changed = await putBackupBack(session, options, state, target, returning, async (image) =>
    keepSignIn ? withSignInOfNow(session, state, target, image, backup, plexTv) : backup.image,
  );
  await markUndone(session, state, run, changed.run);
  return afterChange(session, options, target, state, plexTv, {
    command: "undo",
    changed,
    wasRunning: running,
  });
}

/** The settings are back; a mark that is missing costs no more than doing it once again. */
async function markUndone(
  session: Session,
  state: StateDirectory,
  run: RunRecord,
  by: string,
): Promise<void> {
  try {
    await noteUndone(state, run, by);
  } catch (error) {
    say(session, { code: "ROLL_BACK_PROBLEM", problem: asProblem(error) });
  }
}

/** The backup's sign-in is dead: with the one that works now (or none). */
async function withSignInOfNow(
  session: Session,
  state: StateDirectory,
  target: Target,
  now: StoredImage | null,
  backup: Backup,
  plexTv: PlexTv,
): Promise<Image> {
  const settings = now === null ? null : readable(target.store, now.image);
  const parked =
    settings === null
      ? null
      : await obtainFromParked(session.context, state, { settings, plexTv, readOnly: true });
  const credentials = parked ?? currentCredentials(settings);
  return target.store.preview(
    backup.image,
    credentials === null ? { kind: "remove" } : { kind: "replace", credentials },
  );
}

function currentCredentials(settings: Settings | null): NewCredentials | null {
  const token = settings?.credentials.token;
  if (settings === null || token === undefined || !hasToken(settings)) return null;
  const { username, mail } = settings.credentials;
  return { token, username: username ?? "", mail: mail ?? "" };
}
