import { execFileSync, spawn } from "node:child_process";
import { appendFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunOptions, RunResult } from "../../src/world/world.ts";

/** Strikes one call of a tool that a world makes. */
export interface MacFault {
  /** The how-manieth call from now; 1 is the next one. */
  readonly at: number;
  /** Counts the calls of this tool alone. */
  readonly tool?: string;
  /**
   * `fails`: nothing is done, exit 1. `fails-after`: it is done, and the tool says exit 1. `hangs`: nothing is done, and
   * the deadline passes. `dies-before`, `dies-after`: the process that called is dead from then on.
   */
  readonly kind: "fails" | "fails-after" | "hangs" | "dies-before" | "dies-after";
}

/** Thrown into a process that a fault has killed, at every further effect. */
export class ProcessDied extends Error {
  constructor() {
    super("PROCESS_DIED");
    this.name = "ProcessDied";
  }
}

export class MacFaults {
  count = 0;
  #fault: MacFault | null = null;
  #left = 0;

  set(fault: MacFault | null): void {
    this.#fault = fault;
    this.#left = fault?.at ?? 0;
  }

  async around(tool: string, call: () => Promise<RunResult>, life: { dead: boolean }): Promise<RunResult> {
    this.count += 1;
    const kind = this.#strikes(tool);
    switch (kind) {
      case null:
        return await call();
      case "fails":
        return { ...NOTHING, status: 1, stderr: "stand-in: failed\n" };
      case "hangs":
        return { ...NOTHING, timedOut: true };
      case "fails-after":
        return { ...(await call()), status: 1, stderr: "stand-in: failed after all\n" };
      case "dies-before":
      case "dies-after":
        if (kind === "dies-after") await call();
        life.dead = true;
        throw new ProcessDied();
    }
  }

  #strikes(tool: string): MacFault["kind"] | null {
    const fault = this.#fault;
    if (fault === null || (fault.tool ?? tool) !== tool) return null;
    this.#left -= 1;
    return this.#left === 0 ? fault.kind : null;
  }
}

/** A tool by its path, or by its mere name, which is looked for in the folders of the system; null: there is none. */
export function toolOf(file: string): string | null {
  return TOOLS[file] ?? (Object.values(TOOLS).includes(file) ? file : null);
}

/** Runs one of the programs in `test/mac/tools` to its end, or to its deadline; what it has started lives on. */
export async function runTool(
  environment: Readonly<Record<string, string>>,
  tool: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  const { MAC_STANDIN: folder = "", MAC_UID: uid, MAC_SESSION: session } = environment;
  const line = JSON.stringify({ uid: Number(uid), session, tool, args });
  if (tool !== "control.py") await appendFile(join(folder, "state", "calls.jsonl"), `${line}\n`);
  const child = spawn(python(), [...PYTHON_OPTIONS, join(FOLDER, tool), ...args], {
    cwd: "/",
    detached: true,
    env: { PATH: "/usr/bin:/bin", LANG: "C", LC_ALL: "C", ...options.env, ...environment },
    stdio: ["pipe", "pipe", "pipe", ...(options.pass ?? []).map(({ fd }) => fd)],
  });
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(options.stdin ?? "");
  const stdout = gathered(child.stdout);
  const stderr = gathered(child.stderr);
  let timedOut = false;
  const end = () => {
    timedOut = true;
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  };
  const timer = setTimeout(end, options.timeoutMs);
  if (options.signal?.aborted) end();
  else options.signal?.addEventListener("abort", end);
  const [status, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, name) => resolve([code, name]));
  });
  clearTimeout(timer);
  options.signal?.removeEventListener("abort", end);
  return { status: timedOut ? null : status, signal, timedOut, stdout: stdout(), stderr: stderr() };
}

const FOLDER = join(dirname(dirname(fileURLToPath(import.meta.url))), "mac", "tools");
const PYTHON_OPTIONS = ["-B", "-S", "-E", "-s"];
const NOTHING: RunResult = { status: null, signal: null, timedOut: false, stdout: "", stderr: "" };

function gathered(stream: NodeJS.ReadableStream | null): () => string {
  const parts: Buffer[] = [];
  stream?.on("data", (part: Buffer) => parts.push(part));
  return () => Buffer.concat(parts).toString("utf8");
}

const TOOLS: Readonly<Record<string, string>> = Object.fromEntries(
  ["/bin/kill", "/bin/launchctl", "/bin/ls", "/bin/ps", "/bin/rm"]
    .concat(
      [
        "defaults",
        "dscl",
        "env",
        "id",
        "killall",
        "mktemp",
        "open",
        "osascript",
        "plutil",
        "stat",
        "sudo",
        "sw_vers",
        "xattr",
      ].map((name) => `/usr/bin/${name}`),
    )
    .map((path) => [path, path.slice(path.lastIndexOf("/") + 1)]),
);

let foundPython: string | undefined;

function python(): string {
  foundPython ??= execFileSync("python3", ["-c", "import sys; print(sys.executable)"], {
    encoding: "utf8",
  }).trim();
  return foundPython;
}
