import { type FoundServers, findServers } from "../installs/find-servers.ts";
import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import { chooseServer } from "../stages/1-detect.ts";
import { closeTarget, openTarget } from "../stages/2-preflight.ts";
import { step, type Target } from "../stages/context.ts";
import { cutOffAt, settleRuns, unsettledRuns } from "../stages/settle.ts";
import { release } from "../state/durable.ts";
import { listRuns } from "../state/journal.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import type { ChangeOptions, TargetOptions } from "./invocation.ts";
import { type Session, say } from "./session.ts";

/** Every server on this machine, or the one that the options describe. */
export async function locateAll(session: Session, options: TargetOptions): Promise<FoundServers> {
  return findServers(session.world, options);
}

/** The one server that is meant. Throws `NO_SERVER`, `SEVERAL_SERVERS`, `SERVER_NOT_FOUND`. */
export async function locateOne(session: Session, options: TargetOptions): Promise<Server> {
  return step(session.context, "detect", async () => {
    const found = await locateAll(session, options);
    return chooseServer(
      found.servers.map((each) => each.server),
      options.server,
    );
  });
}

/** Works with the settings and the service of a server, and frees them afterwards; see `openTarget`. */
export async function withTarget<T>(
  session: Session,
  server: Server,
  options: { readonly readOnly: boolean },
  work: (target: Target) => Promise<T>,
): Promise<T> {
  const target = await openTarget(session.context, server, options);
  try {
    const { followedFrom, location } = target.store;
    if (followedFrom !== undefined) {
      say(session, { code: "SETTINGS_LINK_FOLLOWED", path: followedFrom, target: location });
    }
    return await work(target);
  } finally {
    await closeTarget(target);
  }
}

/**
 * Works on a server alone: two runs on the same settings never work at once, whoever starts them and wherever
 * their state directories are. Throws `RUN_IN_PROGRESS`. A dry run changes nothing and needs no lock.
 */
export async function alone<T>(
  session: Session,
  target: Target,
  options: { readonly dryRun: boolean },
  work: () => Promise<T>,
): Promise<T> {
  if (options.dryRun) return work();
  const lock = await session.world.lock(target.store.lockName);
  if (lock === null) throw new ProblemError({ code: "RUN_IN_PROGRESS" });
  try {
    // What this account may not read it may not change either: that is said before anything is made for it. A hive that
    // an earlier run has left loaded goes by this as well, and so under the lock: another run may be at work in it.
    await target.store.readImage();
    return await work();
  } finally {
    await release(() => lock.release());
  }
}

/**
 * As `settleFirst`, and then the work. When settling has changed something, a refusal that follows is no longer one
 * "before anything was changed": everything is as that earlier run found it.
 */
export async function settledFirst<T>(
  session: Session,
  state: StateDirectory,
  target: Target,
  options: Pick<ChangeOptions, "yes" | "dryRun">,
  work: () => Promise<T>,
): Promise<T> {
  const changed = await settleFirst(session, state, target, options);
  try {
    return await work();
  } catch (error) {
    const refused = error instanceof ProblemError && error.aftermath.kind === "nothing-changed";
    if (!changed || !refused) throw error;
    const aftermath = { kind: "put-back", credentials: "none" } as const;
    throw new ProblemError(error.problem, { aftermath, cause: error });
  }
}

/**
 * A changing command settles first what an earlier run left open: after a yes at the terminal, or with `--yes`.
 * A dry run only reports it. Answers whether anything was changed by it.
 */
export async function settleFirst(
  session: Session,
  state: StateDirectory,
  target: Target,
  options: Pick<ChangeOptions, "yes" | "dryRun">,
): Promise<boolean> {
  for (const run of (await listRuns(state)).damaged) say(session, { code: "RUN_UNREADABLE", run });
  const open = await unsettledRuns(state, target.server);
  for (const run of open) say(session, { code: "UNSETTLED_RUN", run: run.id, step: cutOffAt(run) });
  if (open.length === 0 || options.dryRun) return false;
  if (!options.yes && !(await session.questions.confirm("prompt.settle"))) {
    throw new ProblemError({ code: "DECLINED" });
  }
  return step(session.context, "settle", () => settleRuns(session.context, state, target));
}
