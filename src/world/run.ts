import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { attempt, narrowed } from "./attempt.ts";
import { collect, drained, type End, feed, ignore, letGo, UNKILLABLE_MS, whenOver } from "./child.ts";
import { type RunOptions, type RunResult, SystemError } from "./world.ts";

/**
 * Runs a program to its end, in a session of its own: the Ctrl-C and the hang-up of our terminal do not reach
 * it. It starts in `/` with a fixed PATH, the C locale and `options.env`, and nothing of our environment.
 *
 * A `file` that is a mere name is looked for in the system's own folders, which only root writes to, and never in
 * a PATH: a root run must not start the copy that somebody put into `/usr/local`.
 *
 * With `options.shell`, `file` is a command line for `/bin/sh`, and `args` are its `$1`, `$2`, …
 *
 * At the deadline, and when `options.signal` is aborted, its whole process group is asked to end (SIGTERM) and after two seconds made to (SIGKILL).
 * It is over when the program itself has ended: what it left in the background (`server &`) is not waited
 * for, and lives on.
 *
 * @throws SystemError with call `spawn` when the program cannot be started (`ENOENT`, `EACCES`, …)
 */
export async function run(file: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const program = options.shell ? "/bin/sh" : systemProgram(file);
  const words = options.shell ? ["-c", file, "sh", ...args] : args;
  const child = attempt("spawn", program, () =>
    spawn(program, words, {
      detached: true,
      cwd: "/",
      env: { ...FIXED_ENVIRONMENT, ...options.env },
      stdio: stdioOf(options),
    }),
  );
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  feed(child, options.stdin);
  const end = await ended(child, program, options);
  await drained(child);
  if (options.shell && !end.timedOut) keepDraining(child);
  letGo(child);
  return { ...end, stdout: stdout(), stderr: stderr() };
}

const FIXED_ENVIRONMENT = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C",
  LC_ALL: "C",
};
/** The last one is NixOS's, which has no programs in the others. */
const SYSTEM_FOLDERS = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/run/current-system/sw/bin"];
const GRACE_MS = 2_000;

function systemProgram(file: string): string {
  if (/[/\0]/.test(file)) return file;
  const path = SYSTEM_FOLDERS.map((folder) => `${folder}/${file}`).find(isExecutable);
  if (path === undefined) throw new SystemError("ENOENT", "spawn", file);
  return path;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function stdioOf(options: RunOptions): StdioOptions {
  const input = options.stdin === undefined ? "ignore" : "pipe";
  return [input, "pipe", "pipe", ...(options.pass ?? []).map((file) => file.fd)];
}

function ended(child: ChildProcess, program: string, options: RunOptions): Promise<End> {
  return new Promise((resolve, reject) => {
    let timedOut = false;
    let timer: NodeJS.Timeout | undefined;
    const callOff = whenOver(options, () => {
      timedOut = true;
      killGroup(child, "SIGTERM");
      timer = setTimeout(() => {
        killGroup(child, "SIGKILL");
        timer = setTimeout(() => resolve({ status: null, signal: null, timedOut }), UNKILLABLE_MS);
      }, GRACE_MS);
    });
    child.once("error", (error) => {
      callOff();
      clearTimeout(timer);
      reject(narrowed(error, "spawn", program));
    });
    child.once("exit", (status, signal) => {
      callOff();
      clearTimeout(timer);
      // It ended in time for the grace, but those it started in its group may not have.
      if (timedOut) killGroup(child, "SIGKILL");
      resolve({ status: timedOut ? null : status, signal, timedOut });
    });
  });
}

function killGroup(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Nobody is left in the group.
  }
}

/**
 * A server that a user's command left behind still has our pipe as its output, and would die of it (SIGPIPE)
 * at its next line. A detached `cat` takes over our end and lives as long as the server does.
 */
function keepDraining(child: ChildProcess): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null || stream.closed) continue;
    stream.pause();
    const keeper = spawn("cat", [], {
      detached: true,
      cwd: "/",
      env: { ...FIXED_ENVIRONMENT, PATH: SYSTEM_FOLDERS.join(":") },
      stdio: [stream, "ignore", "ignore"],
    });
    keeper.once("error", ignore);
    keeper.unref();
  }
}
