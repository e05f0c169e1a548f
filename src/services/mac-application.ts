import { ProblemError } from "../model/problem.ts";
import type { Server, ServerProcess } from "../model/server.ts";
import { shellWord } from "../model/shell-word.ts";
import { type RunOptions, SystemError, type World } from "../world/world.ts";
import { loadedJobs, userOf } from "./mac-agents.ts";
import { attemptAs, type MacAttempt, NOT_RUNNING } from "./mac-attempt.ts";
import { launch } from "./mac-launch.ts";
import { demandMacProcesses, macProcessesOf } from "./mac-processes.ts";
import { ASK_CONSENT, IS_RUNNING, NO_CONSENT, NOT_UNDERSTOOD, QUIT, STOP } from "./mac-scripts.ts";
import type { MacUser } from "./mac-user.ts";
import { runProgram } from "./program.ts";
import type { Company, Service, ServiceWorld } from "./service.ts";

/** Without its files, what keeps the server alive is not looked for. */
export type MacServiceWorld = ServiceWorld & Partial<Pick<World, "files">>;

/**
 * The server as an application of a Mac: asked to quit by an Apple event and launched again, both as its own account
 * and on that account's desktop, as a person would. It is never ended by force, and no job of launchd is unloaded.
 * Whether it has ended, or has begun, is told by its processes alone.
 *
 * Errors of `osascript` and `open` are known by their number: their texts are in the language of the account.
 *
 * `demandControl` also throws `KEPT_ALIVE_BY_AGENT`, `DESKTOP_OUT_OF_REACH` (its `line` is empty as well),
 * `AUTOMATION_REFUSED`, `SYSTEM_CALL_FAILED` where `ps` tells nothing, and `STOP_FAILED` where no event can be sent at
 * all; `requestStop` throws `STOP_FAILED` (its
 * `detail` is the number, or how the tool ended) and `AUTOMATION_REFUSED`. The first of them lets macOS ask for the
 * consent, while nothing has been changed yet; of a server that does not run it asks nothing, for it is only started.
 */
export function macApplication(world: MacServiceWorld, server: Server, application: string): Service {
  const user = userOf(server);
  const typed = (words: readonly string[]) => lineFor(world, user, words);
  const mac: MacServer = {
    world,
    server,
    application,
    stopLine: typed(["osascript", "-e", STOP]),
    startLine: typed(["open", "-g", application]),
  };
  return {
    stopLine: mac.stopLine,
    startLine: mac.startLine,
    demandControl: (settings, company) => demandControl(mac, user, settings, company),
    stopDeadlineMs: async () => STOP_MS,
    requestStop: () => requestStop(mac, demandUser(user)),
    condition: async () => "unknown",
    queuedStopMs: async () => 0,
    killedByForce: async () => false,
    start: () => launch(world, server, demandUser(user), { application, startLine: mac.startLine }),
  };
}

interface MacServer {
  readonly world: MacServiceWorld;
  readonly server: Server;
  readonly application: string;
  readonly stopLine: string;
  readonly startLine: string;
}

/** DBRepair waits so long for it; a large library takes its time to close. */
const STOP_MS = 60_000;
/** Somebody must read the question and click. */
const CONSENT_MS = 60_000;
/** The question was asked before: this is for one that was withdrawn since. */
const QUIT_MS = 30_000;
const TOOL_MS = 15_000;

const CONNECTION_BROKE = "-609";
const NAME = "Plex Media Server";

/** A line for the shell in which we were called: of who came by `sudo`, the shell is that person's. */
function lineFor({ user, env }: MacServiceWorld, account: MacUser | null, words: readonly string[]): string {
  const shellOwner = (user.uid === 0 ? env["SUDO_UID"] : undefined) ?? String(user.uid);
  const own = account === null || shellOwner === String(account.uid);
  const before = own ? [] : ["sudo", "launchctl", "asuser", String(account.uid), "sudo", "-u", account.name];
  return [...before, ...words].map(shellWord).join(" ");
}

function demandUser(user: MacUser | null): MacUser {
  if (user === null) throw new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-service" });
  return user;
}

async function demandControl(
  mac: MacServer,
  account: MacUser | null,
  settings: string,
  company: Company | undefined,
): Promise<void> {
  const { world, server } = mac;
  const user = demandUser(account);
  if (world.user.uid !== 0 && world.user.uid !== user.uid)
    throw new ProblemError({ code: "NEEDS_PRIVILEGE", path: settings, line: "" });
  const processes = await demandMacProcesses(world, server);
  await demandNotKeptAlive(mac, processes);
  await demandDesktop(mac, user);
  await demandApplication(mac);
  if (processes.length > 0) await demandReach(mac, user, processes, company);
}

/** Unloading it for a while would be ours to undo after a crash as well; a person does that better. */
async function demandNotKeptAlive(
  { world, server }: MacServer,
  own: readonly ServerProcess[],
): Promise<void> {
  const { files } = world;
  if (files === undefined) return;
  const jobs = await loadedJobs({ ...world, files }, server, new Set(own.map(({ pid }) => pid)));
  const keeper = jobs === "unknown" ? undefined : jobs.find(({ keepsAlive }) => keepsAlive);
  if (keeper === undefined) return;
  const { label, line, backLine } = keeper;
  throw new ProblemError({ code: "KEPT_ALIVE_BY_AGENT", label, line, backLine });
}

/**
 * Applications live on their account's desktop. Root reaches it from anywhere (`launchctl asuser`); anybody else only
 * from within: whether events and launches get there from a session over the network is not known for sure.
 */
async function demandDesktop(mac: MacServer, user: MacUser): Promise<void> {
  const { world, startLine: line } = mac;
  const desktop = await runProgram(world, LAUNCHCTL, ["print", `gui/${user.uid}`], { timeoutMs: TOOL_MS });
  if (desktop?.status !== 0) {
    throw new ProblemError({ code: "NO_DESKTOP_TO_START_ON", account: user.name, line });
  }
  if (world.user.uid === 0) return;
  const manager = await runProgram(world, LAUNCHCTL, ["managername"], { timeoutMs: TOOL_MS });
  if (manager?.status !== 0 || manager.stdout.trim() === "Aqua") return;
  throw new ProblemError({ code: "DESKTOP_OUT_OF_REACH", account: user.name, line: "" });
}

const LAUNCHCTL = "/bin/launchctl";

async function demandApplication({ world, application }: MacServer): Promise<void> {
  try {
    await world.files?.stat(application);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code !== "ENOENT" && error.code !== "ENOTDIR") return;
    throw new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-start-command" }, { cause: error });
  }
}

/** One that runs and is on no desktop that our events reach was not launched there: by SSH, or as a daemon. */
async function demandReach(
  mac: MacServer,
  user: MacUser,
  own: readonly ServerProcess[],
  company: Company | undefined,
): Promise<void> {
  let asked = await askConsent(mac, user, company);
  // Only the last event to come is sure to be understood then, and that it may be sent.
  if (NOT_UNDERSTOOD.has(asked.failure ?? ""))
    asked = await script(mac, user, IS_RUNNING, { timeoutMs: TOOL_MS });
  if (asked.failure !== null) throw refusalOf(mac, asked.failure);
  if (asked.stdout.trim() === "true") return;
  // It may just have ended.
  const left = await macProcessesOf(mac.world, mac.server);
  const [first] = left === "unknown" ? own : left;
  if (first !== undefined)
    throw new ProblemError({ code: "OTHER_SESSION", pid: first.pid, account: user.name });
}

/** Whoever does not want to be asked calls it off; whether the question then goes from the screen is UNVERIFIED. */
async function askConsent(mac: MacServer, user: MacUser, company: Company | undefined): Promise<MacAttempt> {
  demandUninterrupted(company);
  company?.tell({ code: "CONSENT_MAY_BE_ASKED", application: NAME });
  const signal = company === undefined ? {} : { signal: company.interrupt };
  const asked = await script(mac, user, ASK_CONSENT, { timeoutMs: CONSENT_MS, ...signal });
  demandUninterrupted(company);
  return asked;
}

function demandUninterrupted(company: Company | undefined): void {
  if (company === undefined || !company.interrupt.aborted) return;
  const reason: unknown = company.interrupt.reason;
  throw new ProblemError({ code: "INTERRUPTED", signal: typeof reason === "string" ? reason : "SIGINT" });
}

async function requestStop(mac: MacServer, user: MacUser): Promise<void> {
  if (await isGone(mac)) return;
  const { failure } = await script(mac, user, QUIT, { timeoutMs: QUIT_MS });
  if (failure === null || failure === NOT_RUNNING || failure === CONNECTION_BROKE) return;
  if (await isGone(mac)) return;
  throw refusalOf(mac, failure);
}

async function isGone({ world, server }: MacServer): Promise<boolean> {
  const processes = await macProcessesOf(world, server);
  return processes !== "unknown" && processes.length === 0;
}

/** Who is being asked for the consent, and does not answer, keeps the event waiting. */
function refusalOf({ stopLine }: MacServer, failure: string): ProblemError {
  return failure === "timeout" || NO_CONSENT.has(failure)
    ? new ProblemError({ code: "AUTOMATION_REFUSED", application: NAME })
    : new ProblemError({ code: "STOP_FAILED", command: stopLine, detail: failure });
}

function script(
  { world }: MacServer,
  user: MacUser,
  lines: readonly string[],
  options: RunOptions,
): Promise<MacAttempt> {
  const words = lines.flatMap((line) => ["-e", line]);
  return attemptAs(world, user, "/usr/bin/osascript", words, options);
}
