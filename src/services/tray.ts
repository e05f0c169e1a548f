import { win32 } from "node:path";
import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import type { WindowsSystem } from "../world/windows-system.ts";
import { SystemError } from "../world/world.ts";
import type { Service } from "./service.ts";
import {
  EXECUTABLE_NAME,
  isNamed,
  type SeenProcess,
  serverCandidates,
  sidOf,
  windowsProcessesOf,
} from "./windows-processes.ts";

/**
 * The server as the application in the notification area: it is asked to close as the desktop would ask it, and
 * started again as the same account and without an administrator's rights. It is never ended by force.
 *
 * Its line for a start is there only where it would do just that when it is typed here: not beside an administrator's
 * rights by consent, as another account, or where nobody has a desktop.
 *
 * It can be worked on from its own session alone: windows of another cannot be reached, and nothing can be started
 * there. Source of the stop: ChuckPa's DBRepair for Windows (`taskkill` without `/f`).
 */
export function trayService(windows: WindowsSystem, server: Server): Service {
  const { executable } = server;
  const stopLine = `taskkill /im "${executable === undefined ? EXECUTABLE_NAME : win32.basename(executable)}"`;
  const startLine = executable !== undefined && isOurs(windows, server) ? lineThatStarts(executable) : null;
  return {
    stopLine,
    startLine,
    demandControl: (settings) => demandControl(windows, server, settings),
    stopDeadlineMs: async () => STOP_MS,
    requestStop: () => requestStop(windows, server, stopLine),
    condition: async () => "unknown",
    queuedStopMs: async () => 0,
    killedByForce: async () => false,
    start: async () => {
      if (executable === undefined) throw noStartCommand();
      await start(windows, server, executable, startLine ?? "");
    },
  };
}

/**
 * Whether a running server has an administrator's full rights and would be started again without them. That is
 * worth a note, and no reason to refuse: a server needs no such rights.
 */
export async function losesElevation(windows: WindowsSystem, server: Server): Promise<boolean> {
  const elevated = (await visibleProcesses(windows, server)).some(
    ({ owner }) => typeof owner === "object" && owner.elevated,
  );
  return elevated && (await wayToStart(windows, server))?.as === "desktop";
}

/** DBRepair waits 30 s for it on Windows and 60 s elsewhere; a large library takes its time to close. */
const STOP_MS = 60_000;

async function demandControl(windows: WindowsSystem, server: Server, settings: string): Promise<void> {
  const { executable } = server;
  if (executable === undefined) throw noStartCommand();
  const needsPrivilege = new ProblemError({ code: "NEEDS_PRIVILEGE", path: settings, line: "" });
  if ((await windowsProcessesOf(windows, server)) === "unknown") throw needsPrivilege;
  const { self } = windows;
  for (const { pid, session, owner } of await visibleProcesses(windows, server)) {
    if (session === null) throw needsPrivilege;
    const account = server.account?.name ?? "";
    if (session !== self.session) throw new ProblemError({ code: "OTHER_SESSION", pid, account });
    if (typeof owner === "object" && owner.elevated && !self.elevated) throw needsPrivilege;
  }
  if ((await wayToStart(windows, server)) !== null) return;
  const account = server.account?.name ?? "";
  throw new ProblemError({ code: "NO_DESKTOP_TO_START_ON", account, line: lineThatStarts(executable) });
}

/** The server's processes with what is seen of them; empty when it cannot be told which are its own. */
async function visibleProcesses(windows: WindowsSystem, server: Server): Promise<SeenProcess[]> {
  const processes = await windowsProcessesOf(windows, server);
  if (processes === "unknown") return [];
  const pids = new Set(processes.map(({ pid }) => pid));
  return (await serverCandidates(windows, server.executable)).filter(({ pid }) => pids.has(pid));
}

async function requestStop(windows: WindowsSystem, server: Server, stopLine: string): Promise<void> {
  const failed = (detail: string) => new ProblemError({ code: "STOP_FAILED", command: stopLine, detail });
  const processes = await windowsProcessesOf(windows, server);
  if (processes === "unknown") throw failed("EACCES");
  let asked = 0;
  try {
    for (const { pid } of processes) asked += await closeWindows(windows, pid);
  } catch (error) {
    if (error instanceof SystemError) throw failed(error.code);
    throw error;
  }
  // One that ended in this moment had no window left to ask.
  const left = asked > 0 ? [] : await windowsProcessesOf(windows, server);
  if (left === "unknown" || left.length > 0) throw failed("no-window");
}

async function closeWindows(windows: WindowsSystem, pid: number): Promise<number> {
  try {
    return await windows.processes.closeWindows(pid);
  } catch (error) {
    if (error instanceof SystemError && error.code === "ESRCH") return 0;
    throw error;
  }
}

async function start(
  windows: WindowsSystem,
  server: Server,
  executable: string,
  command: string,
): Promise<void> {
  const failed = (detail: string) => new ProblemError({ code: "START_FAILED", command, detail });
  const way = await wayToStart(windows, server);
  if (way === null) throw failed("no-desktop");
  try {
    if (way.as === "self") await windows.processes.start(executable);
    else await windows.processes.startLike(way.pid, way.sid, executable);
  } catch (error) {
    if (error instanceof SystemError) throw failed(error.code);
    throw error;
  }
}

/** With our own rights, or with those of an account's desktop, told by the pid of its `explorer.exe`. */
type WayToStart =
  | { readonly as: "self" }
  | { readonly as: "desktop"; readonly pid: number; readonly sid: string };

/**
 * How the server can be started as its own account and no more: by us, where we are that account with the rights
 * it always has; else as the desktop which that account has in our session without an administrator's rights.
 */
async function wayToStart(windows: WindowsSystem, server: Server): Promise<WayToStart | null> {
  const { self, processes } = windows;
  const sid = sidOf(server);
  if (sid === undefined) return null;
  if (isOurs(windows, server)) return { as: "self" };
  for (const process of await processes.list()) {
    if (!isNamed(process, ["explorer.exe"])) continue;
    const details = await processes.details(process.pid);
    if (details === null || details.session !== self.session || typeof details.owner !== "object") continue;
    const { owner } = details;
    if (owner.sid === sid && !owner.elevated) return { as: "desktop", pid: process.pid, sid };
  }
  return null;
}

/**
 * Whether what we start is as its desktop would start it. The session of services has no desktop of anybody: who is
 * there came by SSH, say, or is a task, and a notification area is not to be seen.
 */
function isOurs({ self }: WindowsSystem, server: Server): boolean {
  return sidOf(server) === self.sid && !(self.elevated && self.split) && self.session !== SERVICES_SESSION;
}

const SERVICES_SESSION = 0;

function lineThatStarts(executable: string): string {
  return `start "" "${executable}"`;
}

function noStartCommand(): ProblemError {
  return new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-start-command" });
}
