import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * The processes that run this executable; one that has ended but was not collected yet (a zombie) is none. Where
 * the system does not tell: the process with the number in the pid file, if there is one.
 */
export function processesOf(executable: string, pidFile: string): number[] {
  if (process.platform === "linux") {
    const numbers = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    return numbers.map(Number).filter((pid) => linkTarget(`/proc/${pid}/exe`) === executable);
  }
  const pid = Number(readText(pidFile) ?? 0);
  return pid > 0 && exists(pid) ? [pid] : [];
}

/** Waits for a state, looking every few milliseconds; rejects with the given code at the deadline. */
export async function until(
  reached: () => boolean | Promise<boolean>,
  deadlineMs: number,
  code: string,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await reached())) {
    if (performance.now() > end) throw new Error(code);
    await sleep(10);
  }
}

/** Ends a process that may have ended by itself. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has.
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function linkTarget(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
