import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, openSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** Where the project stands, read-only, on a booted host. */
export const PROJECT_ON_HOST = "/opt/plex-reclaim";
export const NODE_ON_HOST = "/usr/local/bin/node";
/** The same Node under the name of the server: `/proc/PID/exe` of a stand-in is this path. */
export const SERVER_ON_HOST = "/usr/lib/plexmediaserver/Plex Media Server";

export interface RunOnHost {
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Ends a hang; default two minutes. */
  readonly timeoutMs?: number;
}

export interface HostAnswer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A Debian with a real systemd as its init, and a network and process space of its own. */
export interface Host {
  /** Runs a line in `/bin/sh`, as root unless said otherwise; does not throw for its exit status. */
  run(line: string, options?: RunOnHost): Promise<HostAnswer>;
  /** As `run`, and throws with the output when the line does not answer 0. */
  succeed(line: string, options?: RunOnHost): Promise<string>;
  /** The program and arguments that run a line there, for who needs a terminal or a signal in between. */
  command(line: string, options?: Pick<RunOnHost, "user">): { file: string; args: string[] };
  write(path: string, content: string, options?: { owner?: string; mode?: string }): Promise<void>;
  read(path: string): Promise<string>;
  /** Ends it at once; nothing of it is left. */
  stop(): Promise<void>;
}

/**
 * Why no systemd can be booted on this machine, or null. Under `CI=true` nothing may be skipped, so a missing
 * part is an error there.
 */
export function whyNoSystemd(): string | null {
  const tools = ["mmdebstrap", "systemd-nspawn", "nsenter", "setpriv", "pgrep"];
  const missing = tools.filter((tool) => !FOLDERS.some((folder) => existsSync(join(folder, tool))));
  const reason =
    process.getuid?.() !== 0
      ? "booting a systemd needs root"
      : missing.length > 0
        ? `booting a systemd needs ${missing.join(", ")}`
        : null;
  if (reason !== null && process.env["CI"] === "true") throw new Error(reason);
  return reason;
}

/**
 * Boots the root that `scripts/build-systemd-root.sh` keeps, with all changes in memory: several can run at once.
 * It dies with this process, whatever way this process dies.
 */
export async function bootRoot(): Promise<Host> {
  const root = execFileSync(join(PROJECT, "scripts/build-systemd-root.sh"), {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
  await sweep();
  const name = `plex-reclaim-${randomBytes(4).toString("hex")}`;
  const log = join(tmpdir(), `${name}.log`);
  const machine = new Machine(name, launch(root, name, log));
  try {
    await machine.boot();
  } catch (error) {
    const said = readFileSync(log, "utf8");
    await machine.stop();
    throw new Error(`systemd did not boot: ${said}`, { cause: error });
  }
  return machine;
}

const FOLDERS = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const ENVIRONMENT = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LANG: "C.UTF-8",
};
/** The control group trees in which an init keeps its services: the old named one, the unified one. */
const GROUP_TREES = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
const BOOT_MS = 60_000;

/**
 * Each machine gets a control group of its own: two that shared one would end each other's services of the same
 * name. (Seen: two nspawns under one group both keep their units in its `payload`.)
 *
 * When its owner dies, nspawn is told so and kills the machine. Killed itself, it would leave the machine's init
 * behind, running (seen, systemd 252).
 */
const LAUNCH = `
for tree in ${GROUP_TREES.join(" ")}; do
  [ -w "$tree/cgroup.procs" ] || continue
  mkdir -p "$tree/$1" && echo $$ >"$tree/$1/cgroup.procs" || true
done
shift
exec setpriv --pdeathsig TERM systemd-nspawn --kill-signal=SIGKILL "$@"
`;

function launch(root: string, name: string, log: string): ChildProcess {
  const node = process.execPath;
  const nspawn = [
    ...["--quiet", "--boot", `--directory=${root}`, `--machine=${name}`, `--hostname=${name}`],
    ...["--volatile=overlay", "--private-network", "--register=no", "--keep-unit", "--link-journal=no"],
    ...["--console=passive", `--bind-ro=${PROJECT}:${PROJECT_ON_HOST}`, `--bind-ro=${node}:${NODE_ON_HOST}`],
    `--bind-ro=${node}:${SERVER_ON_HOST}`,
  ];
  const output = openSync(log, "w");
  return spawn("/bin/sh", ["-c", LAUNCH, "sh", name, ...nspawn], {
    env: ENVIRONMENT,
    stdio: ["ignore", output, output],
    detached: true,
  });
}

class Machine implements Host {
  readonly #name: string;
  readonly #nspawn: ChildProcess;
  readonly #ended: Promise<void>;
  #leader = 0;
  #running = true;

  constructor(name: string, nspawn: ChildProcess) {
    this.#name = name;
    this.#nspawn = nspawn;
    this.#ended = new Promise((resolve) => {
      nspawn.once("exit", () => {
        this.#running = false;
        resolve();
      });
    });
  }

  async boot(): Promise<void> {
    const deadline = performance.now() + BOOT_MS;
    let state = "";
    while (this.#running && performance.now() < deadline) {
      this.#leader = leaderOf(this.#nspawn.pid ?? 0);
      if (this.#leader > 0) state = (await this.run("systemctl is-system-running")).stdout.trim();
      if (state === "running" || state === "degraded") return;
      await sleep(50);
    }
    throw new Error(`state ${state}`);
  }

  command(line: string, options: Pick<RunOnHost, "user"> = {}): { file: string; args: string[] } {
    const user = options.user === undefined ? [] : ["runuser", "-u", options.user, "--"];
    const args = ["--target", String(this.#leader), "--all", ...user, "/bin/sh", "-c", line];
    return { file: "nsenter", args };
  }

  async run(line: string, options: RunOnHost = {}): Promise<HostAnswer> {
    const { file, args } = this.command(line, options);
    const child = spawn(file, args, {
      env: { ...ENVIRONMENT, ...options.env },
      timeout: options.timeoutMs ?? 120_000,
      killSignal: "SIGKILL",
    });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    return { status, stdout: stdout(), stderr: stderr() };
  }

  async succeed(line: string, options: RunOnHost = {}): Promise<string> {
    const { status, stdout, stderr } = await this.run(line, options);
    if (status !== 0) throw new Error(`status ${status}: ${line}\n${stdout}${stderr}`);
    return stdout;
  }

  async write(path: string, content: string, options: { owner?: string; mode?: string } = {}): Promise<void> {
    const to = quoted(path);
    const owner = options.owner === undefined ? "" : `&& chown ${options.owner} ${to}`;
    const mode = options.mode === undefined ? "" : `&& chmod ${options.mode} ${to}`;
    await this.succeed(`mkdir -p ${quoted(dirname(path))} && cat >${to} ${owner} ${mode}`, {
      input: content,
    });
  }

  async read(path: string): Promise<string> {
    return await this.succeed(`cat ${quoted(path)}`);
  }

  async stop(): Promise<void> {
    // The kernel ends everything in its process space with its init; there is nothing worth a shutdown.
    kill(this.#leader);
    if (this.#leader === 0) kill(this.#nspawn.pid ?? 0, "SIGTERM");
    const late = setTimeout(() => kill(this.#nspawn.pid ?? 0), 10_000);
    await this.#ended;
    clearTimeout(late);
    await clear(this.#name);
  }
}

/** A word for `/bin/sh`. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString("utf8");
}

/** The init of the machine: the child of nspawn that is called so. */
function leaderOf(nspawn: number): number {
  try {
    return Number(
      execFileSync("pgrep", ["-P", String(nspawn), "-x", "systemd"], { encoding: "utf8" }).trim(),
    );
  } catch {
    return 0;
  }
}

function kill(pid: number, signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): void {
  if (pid <= 1) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone already.
  }
}

/**
 * What machines left whose owner was killed: empty folders and a log, of which the kernel frees nobody. A machine
 * that is about to start has its name in the arguments of a process before it has a folder.
 */
async function sweep(): Promise<void> {
  const folders = [...GROUP_TREES, PROPAGATE].filter((folder) => existsSync(folder));
  const names = folders.flatMap((folder) => readdirSync(folder)).filter((name) => NAME.test(name));
  const running = names.length === 0 ? "" : execFileSync("ps", ["-eo", "args"], { encoding: "utf8" });
  for (const name of new Set(names)) if (!running.includes(`--machine=${name}`)) await clear(name, 1);
}

const NAME = /^plex-reclaim-[0-9a-f]{8}$/u;
const PROPAGATE = "/run/systemd/nspawn/propagate";

async function clear(name: string, attempts = 40): Promise<void> {
  for (const tree of [...GROUP_TREES, PROPAGATE]) await removeGroup(join(tree, name), attempts);
  rmSync(join(tmpdir(), `${name}.log`), { force: true });
}

/** Empty groups of a machine that has ended; the kernel lets go of the last members a moment later. */
async function removeGroup(path: string, attempts: number): Promise<void> {
  for (let attempt = 0; attempt < attempts && existsSync(path); attempt += 1) {
    try {
      removeEmpty(path);
    } catch {
      await sleep(50);
    }
  }
}

function removeEmpty(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeEmpty(join(path, entry.name));
  }
  rmdirSync(path);
}
