import { win32 } from "node:path";
import type { Server, ServerProcess } from "../model/server.ts";
import type { WindowsProcess, WindowsProcessDetails, WindowsSystem } from "../world/windows-system.ts";

/**
 * The processes of this one server: its executable (or what has its name), run by the account whose registry holds
 * the settings; of a server without a known account, its executable alone. What another account runs is another
 * server, whatever it is called.
 *
 * `"unknown"` when a process could be one of them and this account may not see enough of it to tell.
 */
export async function windowsProcessesOf(
  windows: WindowsSystem,
  server: Server,
): Promise<readonly ServerProcess[] | "unknown"> {
  const processes: ServerProcess[] = [];
  for (const process of await serverCandidates(windows, server.executable)) {
    const verdict = verdictOn(windows, server, process);
    const { pid, startedMs } = process;
    if (verdict === "unknown" || (verdict === "ours" && startedMs === null)) return "unknown";
    if (verdict === "ours" && startedMs !== null) processes.push({ pid, startTicks: startedMs });
  }
  return processes;
}

/**
 * Whether somebody may be there who starts the server again when it ends by itself: the living process that started
 * it, unless that is the desktop (`explorer.exe`, `userinit.exe` at sign-in) or we ourselves. A scheduled task is
 * started by `svchost.exe` and can be set to start again, so that one counts. True where it cannot be seen.
 */
export async function isSupervisedOnWindows(windows: WindowsSystem, server: Server): Promise<boolean> {
  const processes = await windowsProcessesOf(windows, server);
  if (processes === "unknown" || processes.length === 0) return true;
  const pids = new Set([windows.processes.ownPid, ...processes.map(({ pid }) => pid)]);
  const list = await windows.processes.list();
  for (const { pid, startTicks } of processes) {
    const entry = list.find((process) => process.pid === pid);
    if (entry === undefined) continue;
    const parent = await parentOf(windows, list, { ...entry, startedMs: startTicks });
    if (parent !== null && !pids.has(parent.pid) && !isNamed(parent, DESKTOP)) return true;
  }
  return false;
}

/** The file name of the executable on Windows. Source: ChuckPa's DBRepair for Windows. */
export const EXECUTABLE_NAME = "Plex Media Server.exe";

/** A process, and what this account may see of it. */
export interface SeenProcess extends WindowsProcess, WindowsProcessDetails {}

/** Every process that is called as the server is, or that runs (or may run) the executable. */
export async function serverCandidates(windows: WindowsSystem, executable?: string): Promise<SeenProcess[]> {
  const names = [EXECUTABLE_NAME, ...(executable === undefined ? [] : [win32.basename(executable)])];
  const candidates: SeenProcess[] = [];
  for (const process of await windows.processes.list()) {
    if (process.pid === windows.processes.ownPid || !isNamed(process, names)) continue;
    const details = await windows.processes.details(process.pid);
    if (details === null) continue;
    const other = details.executable !== null && !runs({ ...process, ...details }, executable);
    if (other && !isNamed(process, [EXECUTABLE_NAME])) continue;
    candidates.push({ ...process, ...details });
  }
  return candidates;
}

/** What of a process is known when its parent is looked for. */
export type Child = WindowsProcess & Pick<WindowsProcessDetails, "startedMs">;

/**
 * The living process that started another, or null. Numbers are used again: one that began later than the child is
 * somebody else. Where the times may not be seen the number is believed.
 */
export async function parentOf(
  windows: WindowsSystem,
  list: readonly WindowsProcess[],
  child: Child,
): Promise<Child | null> {
  const entry = list.find(({ pid }) => pid === child.parent);
  if (entry === undefined || entry.pid === child.pid) return null;
  const details = await windows.processes.details(entry.pid);
  if (details === null) return null;
  const { startedMs } = details;
  if (startedMs !== null && child.startedMs !== null && startedMs > child.startedMs) return null;
  return { ...entry, startedMs };
}

/** Whether the process has one of the file names. */
export function isNamed({ name }: Pick<WindowsProcess, "name">, names: readonly string[]): boolean {
  return names.some((each) => each.toLowerCase() === name.toLowerCase());
}

/** Programs from which a person, or signing in, starts others, and which look after none of them. */
const DESKTOP = ["explorer.exe", "userinit.exe"];

type Verdict = "ours" | "not-ours" | "unknown";

function verdictOn(windows: WindowsSystem, server: Server, process: SeenProcess): Verdict {
  const { owner, executable } = process;
  const sid = sidOf(server);
  if (sid === undefined) {
    if (server.executable === undefined) return "not-ours";
    return executable === null ? "unknown" : verdict(runs(process, server.executable));
  }
  if (owner === "another") return sid === windows.self.sid ? "not-ours" : "unknown";
  if (owner === "hidden") return "unknown";
  if (owner.sid !== sid) return "not-ours";
  if (isNamed(process, [EXECUTABLE_NAME]) || runs(process, server.executable)) return "ours";
  return executable === null ? "unknown" : "not-ours";
}

function verdict(ours: boolean): Verdict {
  return ours ? "ours" : "not-ours";
}

function runs(
  { executable }: Pick<WindowsProcessDetails, "executable">,
  wanted: string | undefined,
): boolean {
  if (executable === null || wanted === undefined) return false;
  return win32.normalize(executable).toLowerCase() === win32.normalize(wanted).toLowerCase();
}

/** The SID of the account a server runs under, where it is known. */
export function sidOf({ account }: Pick<Server, "account">): string | undefined {
  return account !== undefined && "sid" in account ? account.sid : undefined;
}
