import type { Criterion, CriterionName, PlanView, ResultData, SuccessCode } from "../model/event.ts";
import { ProblemError } from "../model/problem.ts";
import type { Settings } from "../model/settings.ts";
import type { PlexTv } from "../plex/account.ts";
import { readTarget } from "../stages/2-preflight.ts";
import { signInWays } from "../stages/9-sign-in.ts";
import { verify } from "../stages/10-verify.ts";
import { asProblem } from "../stages/as-problem.ts";
import { step, type Target } from "../stages/context.ts";
import type { Changed } from "../stages/run.ts";
import { unsettledRuns } from "../stages/settle.ts";
import { tidyBackups } from "../state/backups.ts";
import { last } from "../state/journal.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import { type Ending, ending } from "./ending.ts";
import type { ChangeOptions, TargetOptions } from "./invocation.ts";
import { ownLine } from "./privileged-line.ts";
import { type Session, say, withPrivilegedLine } from "./session.ts";

/** Shows the plan and gets a yes for it: from a person, or from `--yes`. Throws `DECLINED`. */
export async function acceptPlan(
  session: Session,
  options: Pick<ChangeOptions, "yes">,
  plan: PlanView,
): Promise<void> {
  session.context.emit({ type: "plan", plan });
  if (options.yes || (await session.questions.confirm("prompt.plan"))) return;
  throw new ProblemError({ code: "DECLINED" });
}

/** A change that went through, and what it started from. */
export interface Finished {
  readonly command: "reset" | "claim" | "undo" | "restore";
  readonly changed: Changed;
  readonly wasRunning: boolean;
  readonly ownerChanged?: boolean;
}

/**
 * After the change: looks whether the server is usable, or says what is left for the person to do, and tidies
 * old backups. Never undoes anything: the change is done.
 */
export async function afterChange(
  session: Session,
  options: TargetOptions & ChangeOptions,
  target: Target,
  state: StateDirectory,
  plexTv: PlexTv,
  finished: Finished,
): Promise<Ending> {
  const data = baseData(session, options, target, finished);
  try {
    await tidy(session, state);
    return await looked(session, options, target, plexTv, finished, data);
  } catch (error) {
    const problem = withPrivilegedLine(session, asProblem(error));
    return { problem, aftermath: { kind: "changed" }, data };
  }
}

async function looked(
  session: Session,
  options: TargetOptions & ChangeOptions,
  target: Target,
  plexTv: PlexTv,
  finished: Finished,
  data: ResultData,
): Promise<Ending> {
  const { changed } = finished;
  if (changed.server === "maintenance") {
    return {
      problem: { code: "STILL_STARTING", url: target.server.url },
      aftermath: { kind: "changed" },
      data,
    };
  }
  if (changed.server === "stopped") return leftStopped(session, options, target, finished, data);
  const now = await readTarget(session.context, target);
  const signsIn = changed.credentials !== null || now.settings.credentials.token !== undefined;
  if (!signsIn) return signedOut(session, options, target, data);
  const criteria = await verified(session, target, plexTv, finished, now.settings);
  return judged({ ...data, criteria }, criteria);
}

function baseData(session: Session, options: TargetOptions, target: Target, finished: Finished): ResultData {
  const { changed, command } = finished;
  return {
    server: target.server.id,
    run: changed.run,
    ...(changed.backup === null ? {} : { backup: changed.backup }),
    ...(finished.ownerChanged === undefined ? {} : { ownerChanged: finished.ownerChanged }),
    ...(command === "undo" ? {} : { undoLine: ownLine(session, "undo", options, changed.run) }),
  };
}

function leftStopped(
  session: Session,
  options: ChangeOptions,
  target: Target,
  finished: Finished,
  data: ResultData,
): Ending {
  const { service, server } = target;
  const criteria = CRITERIA.map(
    (name): Criterion => ({ name, result: "cannot-tell", evidence: { code: "NOT_RUNNING" } }),
  );
  if (server.service.kind === "none") {
    say(session, { code: "FILE_ONLY", path: target.store.location });
    return ending("FILE_EDITED", { ...data, criteria });
  }
  const line = service.startLine ?? "";
  say(session, { code: finished.wasRunning && options.keepStopped ? "KEPT_STOPPED" : "FOUND_STOPPED", line });
  return ending("EDITED_WHILE_STOPPED", { ...data, criteria });
}

const CRITERIA: readonly CriterionName[] = ["reachable", "account", "logs"];

async function signedOut(
  session: Session,
  options: TargetOptions,
  target: Target,
  data: ResultData,
): Promise<Ending> {
  const claimLine = ownLine(session, "claim", options);
  const ways = await signInWays(session.world, target.server, claimLine);
  return ending("SIGNED_OUT", { ...data, signInWays: ways });
}

async function verified(
  session: Session,
  target: Target,
  plexTv: PlexTv,
  finished: Finished,
  settings: Settings,
): Promise<Criterion[]> {
  const { credentials } = finished.changed;
  return step(session.context, "verify", () =>
    verify(
      { world: session.world, plexTv, signal: session.context.interrupt },
      {
        server: target.server,
        settings,
        running: true,
        patienceMs: VERIFY_PATIENCE_MS,
        startedAt: finished.changed.beganAt,
        ...(credentials === null ? {} : { expectAccount: credentials.username }),
      },
    ),
  );
}

/** A server signs in at plex.tv some seconds after its start. */
const VERIFY_PATIENCE_MS = 45_000;

/** `cannot tell` is not "not usable": only what was seen to fail counts against the change. */
function judged(data: ResultData, criteria: readonly Criterion[]): Ending {
  const failed = criteria.some((criterion) => criterion.result === "not-met");
  const code: SuccessCode = "OK";
  if (!failed) return ending(code, data);
  return { problem: { code: "NOT_USABLE" }, aftermath: { kind: "changed" }, data };
}

/** Retention; a failure here must not hide that the change went through. */
async function tidy(session: Session, state: StateDirectory): Promise<void> {
  try {
    const open = await unsettledRuns(state);
    const inUse = open.flatMap((run) => last(run.entries, "backed-up")?.backup ?? []);
    const count = await tidyBackups(session.world, state, new Set(inUse));
    if (count > 0) say(session, { code: "BACKUPS_TIDIED", count });
  } catch (error) {
    say(session, { code: "ROLL_BACK_PROBLEM", problem: asProblem(error) });
  }
}
