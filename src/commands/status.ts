import { posix, win32 } from "node:path";
import type { FoundServer } from "../installs/find-servers.ts";
import type { ServerReport } from "../model/event.ts";
import { type Problem, ProblemError } from "../model/problem.ts";
import type { Server, ServerState, StateReason } from "../model/server.ts";
import type { PlexTv } from "../plex/account.ts";
import { closeTarget, openTarget } from "../stages/2-preflight.ts";
import { judgeState } from "../stages/judge-state.ts";
import { cutOffAt, unsettledRuns } from "../stages/settle.ts";
import { surroundings } from "../stages/surroundings.ts";
import { listRuns } from "../state/journal.ts";
import { parkedCredentials } from "../state/parked-credentials.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import { type Ending, ending } from "./ending.ts";
import type { TargetOptions } from "./invocation.ts";
import { locateAll } from "./locate.ts";
import { privilegedLine } from "./privileged-line.ts";
import { plexTvOf, type Session, say, withExistingState } from "./session.ts";

/** Every server found, what state it is in and why. Changes nothing; none found is an empty list and no failure. */
export async function status(session: Session, options: TargetOptions): Promise<Ending> {
  const found = await locateAll(session, options);
  const line = privilegedLine(session.program, session.world);
  for (const path of found.unseen) say(session, { code: "SERVER_UNREADABLE", path, line });
  const wanted = found.servers.filter(
    ({ server }) => options.server === undefined || server.id === options.server,
  );
  if (options.server !== undefined && wanted.length === 0) {
    const ids = found.servers.map(({ server }) => server.id);
    throw new ProblemError({ code: "SERVER_NOT_FOUND", id: options.server, ids });
  }
  const servers: ServerReport[] = [];
  await withExistingState(session, options, async (state) => {
    const plexTv = plexTvOf(session, options);
    for (const each of wanted) servers.push(await report(session, plexTv, state, each));
    if (state !== null) await reportUnsettled(session, state);
  });
  return ending("OK", { servers });
}

async function reportUnsettled(session: Session, state: StateDirectory): Promise<void> {
  for (const run of (await listRuns(state)).damaged) say(session, { code: "RUN_UNREADABLE", run });
  for (const run of await unsettledRuns(state)) {
    say(session, { code: "UNSETTLED_RUN", run: run.id, step: cutOffAt(run) });
  }
}

async function report(
  session: Session,
  plexTv: PlexTv,
  state: StateDirectory | null,
  found: FoundServer,
): Promise<ServerReport> {
  const { server, processes } = found;
  const running = processes === "unknown" ? "unknown" : processes.length > 0;
  const base = {
    id: server.id,
    running,
    settings: server.settingsPath,
    ...foldersOf(session, server),
    install: server.install,
    service: serviceName(server),
    ...runsAs(server),
  } as const;
  try {
    for (const what of await surroundings(session.world, server)) say(session, what);
    const target = await openTarget(session.context, server, { readOnly: true });
    try {
      const stored = await target.store.readImage();
      if (stored === null) return { ...base, state: "unknown", reason: "SETTINGS_MISSING", ...NOBODY };
      const settings = target.store.parse(stored.image);
      const judged = await judgeState({ world: session.world, plexTv }, server, settings, running);
      if (state !== null)
        await reportParked(session, state, server, settings.identity.processedMachineIdentifier);
      return {
        ...base,
        ...judged,
        account: settings.credentials.username ?? null,
        friendlyName: settings.friendlyName ?? null,
      };
    } finally {
      await closeTarget(target);
    }
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return { ...base, ...unreadable(session, error.problem), ...NOBODY };
  }
}

const NOBODY = { account: null, friendlyName: null } as const;

async function reportParked(
  session: Session,
  state: StateDirectory,
  server: Server,
  deviceId: string,
): Promise<void> {
  const parked = await parkedCredentials(state, deviceId);
  if (parked !== null) say(session, { code: "PARKED_CREDENTIALS", server: server.id });
}

/** Settings that cannot be worked with, as a state. What is no such problem is thrown on. */
function unreadable(
  session: Session,
  problem: Problem,
): { state: ServerState; reason: StateReason; detail?: string; line?: string } {
  switch (problem.code) {
    case "IDENTITY_LOST":
      return { state: "identity-lost", reason: IDENTITY_REASONS[problem.reason] };
    case "SETTINGS_MALFORMED":
      return { state: "unknown", reason: "SETTINGS_MALFORMED", detail: problem.reason };
    case "SETTINGS_UNSAFE":
      return { state: "unknown", reason: "SETTINGS_UNSAFE", detail: problem.reason };
    case "SETTINGS_MISSING":
      return { state: "unknown", reason: "SETTINGS_MISSING" };
    case "NEEDS_PRIVILEGE":
      return {
        state: "unknown",
        reason: "NEEDS_PRIVILEGE",
        line: privilegedLine(session.program, session.world),
      };
    case "PRIVACY_PROTECTED":
      return { state: "unknown", reason: "PRIVACY_PROTECTED" };
    case "SYSTEM_CALL_FAILED":
      return { state: "unknown", reason: "SETTINGS_UNREADABLE", detail: problem.reason };
    case "UNEXPECTED_TYPE":
      return { state: "unknown", reason: "UNEXPECTED_TYPE", detail: `${problem.name}: ${problem.type}` };
    case "HIVE_UNAVAILABLE":
      return problem.reason === "not-loaded"
        ? { state: "unknown", reason: "HIVE_NOT_LOADED" }
        : { state: "unknown", reason: "SETTINGS_UNREADABLE", detail: problem.reason };
    case "SETTINGS_CHANGED_MEANWHILE":
      return { state: "unknown", reason: "SETTINGS_UNREADABLE", detail: "changing" };
    default:
      throw new ProblemError(problem);
  }
}

const IDENTITY_REASONS = {
  empty: "SETTINGS_EMPTY",
  stub: "SETTINGS_STUB",
  "identifiers-missing": "IDENTIFIERS_MISSING",
} as const satisfies Record<string, StateReason>;

function foldersOf(
  { world }: Session,
  { dataFolder, logFolder, certificateFolder }: Server,
): Pick<ServerReport, "dataFolder" | "logFolder" | "certificateFolder"> {
  const { join } = world.windows === undefined ? posix : win32;
  return {
    dataFolder,
    logFolder: logFolder ?? join(dataFolder, "Logs"),
    certificateFolder: certificateFolder ?? join(dataFolder, "Cache"),
  };
}

function runsAs({ account, store }: Server): Pick<ServerReport, "runsAs"> {
  const isOfAccount = store === "registry" || store === "defaults";
  return isOfAccount && account !== undefined ? { runsAs: account.name } : {};
}

function serviceName(server: Server): string {
  const { service } = server;
  if (service.kind === "systemd") return service.unit;
  return service.kind === "windows-service" ? service.name : service.kind;
}
