import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { win32 } from "node:path";
import { attempt, narrowed } from "./attempt.ts";
import { collect, drained, type End, feed, letGo, UNKILLABLE_MS, whenOver } from "./child.ts";
import { type RunOptions, type RunResult, SystemError } from "./world.ts";

/**
 * Runs a program of Windows to its end, at a hidden console of its own: the Ctrl-C of ours does not reach it. It
 * starts in the system folder, with a fixed PATH and `options.env` and what Windows itself needs, and nothing else of
 * our environment. Its output is read as UTF-8 as far as it is that; nothing may be decided by it.
 *
 * A `file` that is a mere name is looked for in the system folder, and never in a PATH. That folder is given,
 * and never taken from our environment.
 *
 * With `options.shell`, `file` is a command line for `cmd`; it takes no `args`.
 *
 * At the deadline, and when `options.signal` is aborted, it is ended with everything that it has started, by force: Windows knows no polite way for a program
 * without a window. With `options.leaveRunning` it lives on instead.
 *
 * @throws SystemError with call `spawn` when the program cannot be started (`ENOENT`, `EACCES`, …), `EINVAL` for what
 * is asked of other systems only
 */
export async function runOnWindows(
  systemFolder: string,
  file: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  const { shell = false, pass = [], leaveRunning = false } = options;
  if (pass.length > 0 || (shell && args.length > 0)) throw new SystemError("EINVAL", "spawn", file);
  const program = shell ? win32.join(systemFolder, "cmd.exe") : programIn(systemFolder, file);
  const output = leaveRunning ? "ignore" : "pipe";
  const child = attempt("spawn", program, () =>
    // `cmd /s` takes away the first and the last quotation mark and leaves those between as they are.
    spawn(program, shell ? ["/d", "/s", "/c", `"${file}"`] : args, {
      windowsVerbatimArguments: shell,
      windowsHide: true,
      // Any other child is in a job that the system ends with us.
      detached: leaveRunning,
      cwd: systemFolder,
      env: environment(systemFolder, options.env ?? {}),
      stdio: [options.stdin === undefined ? "ignore" : "pipe", output, output],
    }),
  );
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  feed(child, options.stdin);
  const end = await ended(child, program, options, leaveRunning ? null : systemFolder);
  await drained(child);
  letGo(child);
  return { ...end, stdout: stdout(), stderr: stderr() };
}

function programIn(folder: string, file: string): string {
  if (/[\\/\0]/.test(file)) return file;
  const path = win32.join(folder, win32.extname(file) === "" ? `${file}.exe` : file);
  if (!existsSync(path)) throw new SystemError("ENOENT", "spawn", file);
  return path;
}

/** Names differ by more than case, and the later ones win. */
function environment(folder: string, own: Readonly<Record<string, string>>): Record<string, string> {
  const root = win32.dirname(folder);
  const fixed = {
    SystemRoot: root,
    windir: root,
    ComSpec: win32.join(folder, "cmd.exe"),
    PATH: [folder, root, win32.join(folder, "Wbem"), win32.join(folder, "WindowsPowerShell", "v1.0")].join(
      ";",
    ),
    PATHEXT: ".COM;.EXE;.BAT;.CMD",
    TEMP: process.env["TEMP"] ?? win32.join(root, "Temp"),
  };
  const named = new Map<string, [name: string, value: string]>();
  for (const entry of [...Object.entries(fixed), ...Object.entries(own)])
    named.set(entry[0].toUpperCase(), entry);
  return Object.fromEntries(named.values());
}

/** `endBy`: the folder of the program that ends others; null: the child is not ended. */
function ended(
  child: ChildProcess,
  program: string,
  options: RunOptions,
  endBy: string | null,
): Promise<End> {
  return new Promise((resolve, reject) => {
    let timedOut = false;
    let timer: NodeJS.Timeout | undefined;
    const callOff = whenOver(options, () => {
      timedOut = true;
      if (endBy === null) return resolve({ status: null, signal: null, timedOut });
      endTree(child, endBy);
      timer = setTimeout(() => resolve({ status: null, signal: null, timedOut }), UNKILLABLE_MS);
    });
    child.once("error", (error) => {
      callOff();
      clearTimeout(timer);
      reject(narrowed(error, "spawn", program));
    });
    child.once("exit", (status) => {
      callOff();
      clearTimeout(timer);
      resolve({ status: timedOut ? null : status, signal: null, timedOut });
    });
  });
}

/** While the child still lives, nobody else can have its number. */
function endTree(child: ChildProcess, folder: string): void {
  if (child.pid === undefined || child.exitCode !== null) return;
  const ender = spawn(win32.join(folder, "taskkill.exe"), ["/PID", String(child.pid), "/T", "/F"], {
    windowsHide: true,
    cwd: folder,
    env: environment(folder, {}),
    stdio: "ignore",
  });
  ender.once("error", () => child.kill());
  ender.once("exit", (status) => {
    if (status !== 0) child.kill();
  });
  ender.unref();
}
