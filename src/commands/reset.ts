import type { PlanView, ResultData } from "../model/event.ts";
import { ProblemError } from "../model/problem.ts";
import type { Secret } from "../model/secret.ts";
import { hasToken, type NewCredentials, type Settings } from "../model/settings.ts";
import type { PlexTv } from "../plex/account.ts";
import { demandReady, type Found, readTarget } from "../stages/2-preflight.ts";
import { makePlan } from "../stages/3-plan.ts";
import { changesOwner, type ObtainOptions, obtainByClaimCode, obtainFromParked } from "../stages/4-obtain.ts";
import { signInWays } from "../stages/9-sign-in.ts";
import { note, step, type Target } from "../stages/context.ts";
import { judgeState } from "../stages/judge-state.ts";
import { type Change, type Changed, runChange } from "../stages/run.ts";
import { surroundings } from "../stages/surroundings.ts";
import type { Journal } from "../state/journal.ts";
import { type StateDirectory, stateDirectoryPath } from "../state/state-directory.ts";
import type { Image } from "../stores/store.ts";
import { acceptPlan, afterChange, type Finished } from "./change.ts";
import { claimCode, wantsClaimCode } from "./claim-code.ts";
import { type Ending, ending } from "./ending.ts";
import type { ChangeOptions, CredentialOptions, TargetOptions } from "./invocation.ts";
import { alone, locateOne, settledFirst, settleFirst, withTarget } from "./locate.ts";
import { ownLine } from "./privileged-line.ts";
import { demandAssent, plexTvOf, type Session, say, withExistingState, withState } from "./session.ts";

export type ResetOptions = TargetOptions & ChangeOptions & CredentialOptions;

/**
 * `reset` and `claim`: the same path. They differ in which servers they take: `reset` any but one that is signed
 * out with no new credentials at hand, `claim` only one that is signed out.
 */
export async function reset(
  session: Session,
  command: "reset" | "claim",
  options: ResetOptions,
): Promise<Ending> {
  if (!options.dryRun) demandAssent(session, options);
  const server = await locateOne(session, options);
  return withTarget(session, server, { readOnly: options.dryRun }, (target) =>
    alone(session, target, options, () => {
      if (options.dryRun)
        return withExistingState(session, options, (state) =>
          dryRun(session, command, options, target, state),
        );
      return withState(session, options, (state) =>
        settledFirst(session, state, target, options, () => change(session, command, options, target, state)),
      );
    }),
  );
}

/** Every read and the plan; nothing is made, not even the state directory. */
async function dryRun(
  session: Session,
  command: "reset" | "claim",
  options: ResetOptions,
  target: Target,
  state: StateDirectory | null,
): Promise<Ending> {
  if (state !== null) await settleFirst(session, state, target, options);
  const plexTv = plexTvOf(session, options);
  const found = await preflight(session, target);
  const parked = state === null ? null : await fromParked(session, state, found.settings, plexTv, options);
  const willHaveCode = parked !== null || wantsClaimCode(options);
  const nothing = await nothingToDo(session, command, options, target, found, plexTv, willHaveCode);
  if (nothing !== null) return nothing;
  session.context.emit({
    type: "plan",
    plan: planOf(
      command,
      options,
      target,
      found,
      stateDirectoryPath(session.world, options.stateDir),
      willHaveCode,
    ),
  });
  say(session, { code: "DRY_RUN" });
  return ending("DRY_RUN", { server: target.server.id });
}

async function change(
  session: Session,
  command: "reset" | "claim",
  options: ResetOptions,
  target: Target,
  state: StateDirectory,
): Promise<Ending> {
  const { context } = session;
  const plexTv = plexTvOf(session, options);
  const found = await preflight(session, target);
  const parked = await fromParked(session, state, found.settings, plexTv, options);
  const given = parked !== null || wantsClaimCode(options);
  const nothing = await nothingToDo(session, command, options, target, found, plexTv, given);
  if (nothing !== null) return nothing;
  await demandReady(context, state, target, { running: found.running, sizeBytes: roomFor(found) });
  // That these settings can be edited, and a second reader agrees to it, is known before a code is spent.
  await nextImage(target, found.stored.image, null);
  if (parked !== null && wantsClaimCode(options)) say(session, { code: "CLAIM_CODE_NOT_NEEDED" });
  const code = parked === null ? await claimCode(session, options) : null;
  const replaces = parked !== null || code !== null;
  if (!replaces) {
    const without = await withoutCredentials(session, command, options, target, found);
    if (without !== null) return without;
  }
  await acceptPlan(session, options, planOf(command, options, target, found, state.path, replaces));
  const obtained: ObtainOptions = {
    settings: found.settings,
    plexTv,
    ...(options.expectAccount === undefined ? {} : { expectAccount: options.expectAccount }),
    acceptOwner: async (from, to) =>
      options.yes || (await session.questions.confirm("prompt.owner", { from, to })),
  };
  const changed = await runChange(context, state, target, {
    command,
    wasRunning: found.running,
    keepStopped: options.keepStopped,
    endsRunning: found.running && !options.keepStopped,
    undoLine: (run) => ownLine(session, "undo", options, run),
    expectation: found.expectation,
    planned: found.settings,
    obtain: obtaining(session, state, obtained, parked, code),
    target: async (now, credentials) => ({
      image: await nextImage(target, now?.image ?? null, credentials),
    }),
  });
  return afterChange(session, options, target, state, plexTv, finished(command, found, changed));
}

function preflight({ context }: Session, target: Target): Promise<Found> {
  return step(context, "preflight", async () => {
    const found = await readTarget(context, target);
    for (const what of await surroundings(context.world, target.server)) note(context, what);
    return found;
  });
}

function fromParked(
  session: Session,
  state: StateDirectory,
  settings: Settings,
  plexTv: PlexTv,
  { expectAccount, dryRun }: ResetOptions,
): Promise<NewCredentials | null> {
  const expected = expectAccount === undefined ? {} : { expectAccount };
  return obtainFromParked(session.context, state, { settings, plexTv, ...expected, readOnly: dryRun });
}

/** The code is exchanged, or what an earlier run parked is taken, before anything is stopped. */
function obtaining(
  session: Session,
  state: StateDirectory,
  options: ObtainOptions,
  parked: NewCredentials | null,
  code: Secret | null,
): Change["obtain"] {
  if (parked !== null) {
    return async (journal: Journal) => {
      await journal.note({ kind: "exchanged" });
      return parked;
    };
  }
  if (code === null) return null;
  return (journal) => obtainByClaimCode(session.context, state, journal, code, options);
}

function nextImage(
  target: Target,
  now: Image | null,
  credentials: NewCredentials | null,
): ReturnType<Target["store"]["preview"]> {
  if (now === null) throw new ProblemError({ code: "SETTINGS_MISSING", path: target.store.location });
  return target.store.preview(
    now,
    credentials === null ? { kind: "remove" } : { kind: "replace", credentials },
  );
}

/**
 * The rows of the contract's table that end before a change. Null: go on.
 * `given`: new credentials are at hand, or a way to get them was named.
 */
async function nothingToDo(
  session: Session,
  command: "reset" | "claim",
  options: ResetOptions,
  target: Target,
  found: Found,
  plexTv: PlexTv,
  given: boolean,
): Promise<Ending | null> {
  const { state, reason } = await judgeState(
    { world: session.world, plexTv },
    target.server,
    found.settings,
    found.running,
  );
  const data: ResultData = { server: target.server.id };
  if (command === "claim") {
    if (state === "signed-in") {
      say(session, { code: "ALREADY_SIGNED_IN" });
      return ending("NOTHING_TO_DO", data);
    }
    if (state === "locked-out") throw new ProblemError({ code: "LOCKED_OUT_NEEDS_RESET" });
    if (state === "unknown") throw cannotTell(reason);
    return null;
  }
  const nobodyToAsk = options.yes || options.dryRun || !session.questions.interactive;
  if (state === "signed-out" && !given && nobodyToAsk) return alreadySignedOut(session, options, target);
  if (state === "signed-in" && !given) await demandHealthyReset(session, options);
  // Without plex.tv nobody could sign in afterwards: only who says --offline knows that and wants it.
  if (state === "unknown" && !options.offline) throw cannotTell(reason);
  return null;
}

function cannotTell(reason: string): ProblemError {
  return new ProblemError({ code: "PLEXTV_UNREACHABLE", reason });
}

async function demandHealthyReset(session: Session, options: ResetOptions): Promise<void> {
  if (options.dryRun) return;
  if (options.yes) throw new ProblemError({ code: "NOT_LOCKED_OUT" });
  if (!(await session.questions.confirm("prompt.healthy"))) throw new ProblemError({ code: "DECLINED" });
}

/** Nobody gave a code, and nobody was there to ask, or they pressed Enter. Null: the four values only go. */
async function withoutCredentials(
  session: Session,
  command: "reset" | "claim",
  options: ResetOptions,
  target: Target,
  found: Found,
): Promise<Ending | null> {
  if (command === "claim") {
    if (options.yes || !session.questions.interactive) {
      throw new ProblemError({ code: "NO_TERMINAL", option: "--claim-code-file" });
    }
  } else if (hasToken(found.settings)) return null;
  return alreadySignedOut(session, options, target);
}

async function alreadySignedOut(session: Session, options: ResetOptions, target: Target): Promise<Ending> {
  say(session, { code: "ALREADY_SIGNED_OUT" });
  const claimLine = ownLine(session, "claim", options);
  const ways = await signInWays(session.world, target.server, claimLine);
  return ending("NOTHING_TO_DO", { server: target.server.id, signInWays: ways });
}

function planOf(
  command: "reset" | "claim",
  options: ResetOptions,
  target: Target,
  found: Found,
  stateDirectory: string,
  replaces: boolean,
): PlanView {
  return makePlan(target, found.settings, {
    command,
    change: replaces ? "replace" : "remove",
    running: found.running,
    keepStopped: options.keepStopped,
    stateDirectory,
  });
}

/** The new values may be longer than the old ones: a token of 4 KiB, a name and an address of 1 KiB each, escaped. */
function roomFor(found: Found): number {
  return found.stored.image.bytes.length + 16 * 1024;
}

function finished(command: "reset" | "claim", found: Found, changed: Changed): Finished {
  const { credentials } = changed;
  return {
    command,
    changed,
    wasRunning: found.running,
    ownerChanged: credentials !== null && changesOwner(found.settings, credentials),
  };
}
