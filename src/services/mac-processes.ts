import { ProblemError } from "../model/problem.ts";
import { type Server, type ServerProcess, uidOf } from "../model/server.ts";
import type { World } from "../world/world.ts";
import { loadedJobs } from "./mac-agents.ts";
import type { ProcessWorld } from "./processes.ts";
import { runProgram } from "./program.ts";

/** A live process as `ps` shows it. */
export interface MacProcess extends ServerProcess {
  readonly parent: number;
  readonly uid: number;
  /** What it was started as, for an application its whole path; in parentheses where that cannot be read any more. */
  readonly path: string;
}

/**
 * The processes of this one server: the executable of its application (or the one that was named), under its account,
 * since a domain belongs to an account. Nobody but the person who named it knows what uses a mere file: then only the
 * named executable counts. Zombies do not. `"unknown"` where `ps` does not show everything.
 */
export async function macProcessesOf(
  world: Pick<World, "run">,
  server: Server,
): Promise<readonly ServerProcess[] | "unknown"> {
  return processesIn(await listMacProcesses(world), server);
}

/**
 * The same, or a problem with the reason: `sudo` would not help, since `ps` shows everybody everything. Throws
 * `SYSTEM_CALL_FAILED`.
 */
export async function demandMacProcesses(
  world: Pick<World, "run">,
  server: Server,
): Promise<readonly ServerProcess[]> {
  const listed = await askPs(world);
  const found = typeof listed === "string" ? "unknown" : processesIn(listed, server);
  if (found !== "unknown") return found;
  const reason = typeof listed === "string" ? listed : "PATH_HIDDEN";
  throw new ProblemError({ code: "SYSTEM_CALL_FAILED", what: "ps", path: PS, reason });
}

/** The same, out of a list that is there already. */
export function processesIn(
  all: readonly MacProcess[] | "unknown",
  server: Server,
): readonly ServerProcess[] | "unknown" {
  const candidates = candidatesIn(all, server);
  if (candidates === "unknown" || candidates.some(({ path }) => isHidden(path))) return "unknown";
  return candidates.map(({ pid, startTicks }) => ({ pid, startTicks }));
}

/**
 * Whether somebody may be there who starts the server again when it ends by itself: a living process that started it,
 * or a job of launchd that it is, or that launches it. launchd is the parent of every application, so that alone says
 * nothing; a Login Item starts it once. True where it cannot be seen.
 */
export async function isSupervisedOnMac(world: ProcessWorld, server: Server): Promise<boolean> {
  const all = await listMacProcesses(world);
  const own = candidatesIn(all, server);
  if (all === "unknown" || own === "unknown" || own.length === 0) return true;
  if (server.service.kind !== "mac-application") return true;
  const pids = new Set(own.map(({ pid }) => pid));
  const started = own.filter(({ parent }) => parent !== LAUNCHD && !pids.has(parent));
  if (started.some(({ parent }) => all.some(({ pid }) => pid === parent))) return true;
  const jobs = await loadedJobs(world, server, pids);
  return jobs === "unknown" || jobs.length > 0;
}

/**
 * Every live process, or `"unknown"` where not even the first one is shown, or a line about a server is not understood. One moment of
 * its start is told in seconds; UTC and the C locale keep that the same whoever asks, and wherever the Mac travels to.
 *
 * `comm` is the last column: only there it is never cut to 16 characters (Apple's ps/print.c). Another account's
 * processes are shown with their paths, as `ps` runs as root.
 */
export async function listMacProcesses(
  world: Pick<World, "run">,
): Promise<readonly MacProcess[] | "unknown"> {
  const listed = await askPs(world);
  return typeof listed === "string" ? "unknown" : listed;
}

/** The processes, or a machine word for why they are not known. */
async function askPs(world: Pick<World, "run">): Promise<readonly MacProcess[] | string> {
  const env = { LANG: "C", LC_ALL: "C", TZ: "UTC0" };
  const answer = await runProgram(world, PS, PS_WORDS, { timeoutMs: PS_MS, env });
  if (answer === null) return "ENOENT";
  if (answer.timedOut) return "ETIMEDOUT";
  if (answer.status !== 0) return answer.signal ?? `EXIT_${answer.status}`;
  const lines = answer.stdout.split("\n");
  // What was cut off in the middle does not end with a line break.
  if (lines.pop() !== "") return "CUT_OFF";
  const found: MacProcess[] = [];
  for (const line of lines.filter((each) => each.trim() !== "")) {
    const process = processIn(line);
    if (process === null && MENTIONS_SERVER.test(line)) return "NOT_UNDERSTOOD";
    if (process !== null && process !== "zombie") found.push(process);
  }
  return found.some(({ pid }) => pid === LAUNCHD) ? found : "INCOMPLETE";
}

/** Whether a path is that of the server's executable, in whatever bundle; this file system does not mind case. */
export function isServerExecutable(path: string): boolean {
  return SERVER_EXECUTABLE.test(path);
}

const PS = "/bin/ps";
const PS_WORDS = ["-axww", "-o", "pid=,ppid=,uid=,state=,lstart=,comm="];
const PS_MS = 15_000;
const LAUNCHD = 1;
/**
 * Source: Homebrew's cask, ChuckPa's DBRepair. The bundle may have any name (the Finder's for a second one is `Plex
 * Media Server 2.app`); a shell inside it starts the server by a relative path.
 */
const SERVER_EXECUTABLE = /(?:\/[^/]+\.app\/Contents\/MacOS\/|^(?:[^/]+\/)*)Plex Media Server$/iu;

function candidatesIn(
  all: readonly MacProcess[] | "unknown",
  server: Server,
): readonly MacProcess[] | "unknown" {
  if (all === "unknown") return "unknown";
  const uid = uidOf(server);
  const { executable, store } = server;
  return all.filter(
    (process) =>
      (uid === undefined || process.uid === uid) &&
      (process.path === executable ||
        (store === "defaults" && (isServerExecutable(process.path) || isHidden(process.path)))),
  );
}

const MENTIONS_SERVER = /Plex Media Ser/iu;

/** Its arguments cannot be read; then `ps` shows the kernel's name in parentheses, 16 characters of it at most. */
function isHidden(path: string): boolean {
  return /^\(Plex Media Ser[^/]*\)$/u.test(path);
}

function processIn(line: string): MacProcess | "zombie" | null {
  const found = LINE.exec(line);
  if (found === null) return null;
  const [, pid, parent, uid, state = "", month = "", day, hour, minute, second, year, path = ""] = found;
  const days = daysSince1970(Number(year), MONTHS.indexOf(month) + 1, Number(day));
  if (!MONTHS.includes(month)) return null;
  if (state.startsWith("Z")) return "zombie";
  const seconds = (Number(hour) * 60 + Number(minute)) * 60 + Number(second);
  const startTicks = days * 86_400 + seconds;
  return { pid: Number(pid), parent: Number(parent), uid: Number(uid), startTicks, path };
}

/** `pid ppid uid state Sat Nov 22 06:42:00 2025 comm`: `lstart` is `%c` of the C locale (strftime(3)). */
const LINE =
  /^\s*(\d+)\s+(\d+)\s+(-?\d+)\s+(\S+)\s+[A-Z][a-z]{2} ([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})(?:\s+(\S.*?))?\s*$/u;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** In the calendar of today; years are taken to begin in March, so that a leap day is the last one of its year. */
function daysSince1970(year: number, month: number, day: number): number {
  const began = month > 2 ? year : year - 1;
  const monthsSinceMarch = (month + 9) % 12;
  const days = Math.floor((153 * monthsSinceMarch + 2) / 5) + day - 1;
  return (
    365 * began + Math.floor(began / 4) - Math.floor(began / 100) + Math.floor(began / 400) + days - 719_468
  );
}
