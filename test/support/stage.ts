import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { SettingsOptions } from "../../src/standins/data-folder.ts";
import type { LockedOutServer, LockedOutServerOptions } from "../../src/standins/locked-out-server.ts";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import { demandBuilt } from "./built-program.ts";
import { demandNoSecret, demandPrivate, keepSecret } from "./canary.ts";
import { demandSchema, type JsonLine } from "./output-schema.ts";

export const PROJECT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const PROGRAM = join(PROJECT, "bin", "plex-reclaim.js");

export interface StageOptions {
  readonly state?: LockedOutServerOptions["state"];
  readonly owner?: LockedOutServerOptions["owner"];
  readonly behaviour?: LockedOutServerOptions["behaviour"];
  readonly settings?: Pick<SettingsOptions, "home" | "decoy" | "others">;
  /** Whether the server runs at first. Default: yes. */
  readonly running?: boolean;
}

/** How the program is called. */
export interface CallOptions {
  /** More environment, or other twins; null takes one away. */
  readonly env?: Readonly<Record<string, string | null>>;
  /** What stands on its standard input; nothing, and the end of it, by default. */
  readonly stdin?: string;
  /** The account that runs it, when it is not ours. */
  readonly uid?: number;
  /** Words before the program's own, as of `nsenter`. */
  readonly through?: readonly string[];
  /** Its own waits and deadlines pass so many times as fast. */
  readonly haste?: number;
}

/** One run of the program that has ended. */
export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** With `--json`: its lines, each of which was held against the schema. */
  readonly lines: readonly JsonLine[];
  /** The last line; an empty object without `--json`. */
  readonly result: JsonLine;
}

/**
 * Lays out a stand-in server and a stand-in plex.tv, lets `play` work with them, and removes everything. At the
 * end it looks for secrets in all that the program said and left behind.
 */
export async function onStage(options: StageOptions, play: (stage: Stage) => Promise<void>): Promise<void> {
  const createLockedOutServer = await standIn();
  const folder = await mkdtemp(join(tmpdir(), "plex-reclaim-scenario-"));
  const plexTv = await startPlexTv();
  let stage: Stage | null = null;
  try {
    const server = await createLockedOutServer(join(folder, "server"), {
      plexTv,
      decoy: true,
      ...options.settings,
      ...(options.state === undefined ? {} : { state: options.state }),
      ...(options.owner === undefined ? {} : { owner: options.owner }),
      behaviour: { startMs: 50, stopMs: 50, ...options.behaviour },
    });
    stage = new Stage(folder, plexTv, server);
    keepSecret(tokenIn(stage.settings));
    if (options.running !== false) await server.start();
    await play(stage);
    stage.demandNothingLeaked();
  } finally {
    await stage?.endAll();
    await plexTv.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A server, a plex.tv, and the program between them. */
export class Stage {
  readonly folder: string;
  readonly plexTv: PlexTv;
  readonly server: LockedOutServer;
  readonly stateDirectory: string;
  readonly #performances: Performance[] = [];
  readonly #more: LockedOutServer[] = [];

  constructor(folder: string, plexTv: PlexTv, server: LockedOutServer) {
    this.folder = folder;
    this.plexTv = plexTv;
    this.server = server;
    this.stateDirectory = join(folder, "state");
  }

  /** The options that describe the server, as their twins. */
  get twins(): Record<string, string> {
    return twinsOf(this.server, this.stateDirectory, this.plexTv.url);
  }

  /** Runs the program to its end, with an environment made from nothing. */
  run(args: readonly string[], options: CallOptions = {}): Promise<Ended> {
    return this.begin(args, options).end();
  }

  /** The same with `--json`. */
  json(args: readonly string[], options: CallOptions = {}): Promise<Ended> {
    return this.run([...args, "--json"], options);
  }

  /** Types a line into a shell: with the environment of a call, and none of the twins but plex.tv's address. */
  type(line: string, more: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const env = { ...PLAIN, PLEX_RECLAIM_PLEXTV_URL: this.plexTv.url, ...more };
    return this.#watch(
      spawn("/bin/sh", ["-c", line], { env, cwd: "/", stdio: "pipe", detached: true }),
    ).end();
  }

  /** Starts the program; it may be watched and met by signals while it runs. */
  begin(args: readonly string[], options: CallOptions = {}): Performance {
    const [file = "", ...rest] = this.#command(args, options);
    const child = spawn(file, rest, { env: this.#env(options), cwd: "/", stdio: "pipe", detached: true });
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.stdin ?? "");
    return this.#watch(child);
  }

  /** Starts the program at a terminal of its own, where somebody types. */
  atTerminal(args: readonly string[], options: CallOptions = {}): Performance {
    const line = `stty cols 100 rows 50; exec ${this.#command(args, options).map(quoted).join(" ")}`;
    const env = { ...this.#env(options), TERM: options.env?.["TERM"] ?? "xterm", SHELL: "/bin/sh" };
    const terminal = ["-q", "-e", "-f", "-c", line, "/dev/null"];
    return this.#watch(spawn("script", terminal, { env, cwd: "/", stdio: "pipe", detached: true }));
  }

  #command(args: readonly string[], options: CallOptions): string[] {
    const { uid, through = [] } = options;
    const as = uid === undefined ? [] : ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
    return [...through, ...as, process.execPath, PROGRAM, ...args];
  }

  #env(options: CallOptions): Record<string, string> {
    const env: Record<string, string> = { ...PLAIN, HOME: join(this.folder, "home"), ...this.twins };
    if (options.haste !== undefined) env["NODE_OPTIONS"] = `--import=${hastyClock(options.haste)}`;
    for (const [name, value] of Object.entries(options.env ?? {})) {
      if (value === null) delete env[name];
      else env[name] = value;
    }
    return env;
  }

  #watch(child: ChildProcessWithoutNullStreams): Performance {
    const performance = new Performance(child);
    this.#performances.push(performance);
    return performance;
  }

  /** Another server beside the first, with the same plex.tv. */
  async another(name: string, options: Partial<LockedOutServerOptions> = {}): Promise<LockedOutServer> {
    const server = await (await standIn())(join(this.folder, name), {
      plexTv: this.plexTv,
      ...options,
      behaviour: { startMs: 50, stopMs: 50, ...options.behaviour },
    });
    this.#more.push(server);
    keepSecret(tokenIn(readFileSync(server.settingsPath, "utf8")));
    return server;
  }

  /** A file (0600) with a fresh claim code of an account, by default the server's owner. */
  async codeFile(username = this.server.owner.username): Promise<string> {
    const code = await this.plexTv.issueClaimCode(username);
    const path = join(this.folder, `code-${Math.random().toString(36).slice(2)}`);
    await writeFile(path, `${code}\n`, { mode: 0o600 });
    await chmod(path, 0o600);
    return path;
  }

  get settings(): string {
    return readFileSync(this.server.settingsPath, "utf8");
  }

  get token(): string | null {
    return tokenIn(this.settings);
  }

  /** Whether plex.tv takes the token that stands in the settings. */
  async isHealed(): Promise<boolean> {
    const { token } = this;
    return token !== null && (await this.plexTv.isTokenValid(token));
  }

  /** The server's process, as the system names it for ever; null while it does not run. */
  get process(): string | null {
    const [pid] = this.server.processes();
    if (pid === undefined) return null;
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const startTicks = stat.slice(stat.lastIndexOf(")")).split(" ")[20];
    return `${pid}/${startTicks}`;
  }

  /** Waits until the server answers. */
  async serverAnswers(): Promise<void> {
    await eventually(() => this.server.answers(), "a server that answers");
  }

  /** Waits until the server has heard from plex.tv that its sign-in is dead. */
  async noticed(): Promise<void> {
    const headers = { "X-Plex-Token": this.token ?? "" };
    const refuses = async () =>
      (await fetch(`${this.server.url}/library/sections`, { headers })).status === 401;
    await eventually(refuses, "a server that refuses its own sign-in");
  }

  /** How often a claim code was sent to plex.tv. */
  async exchanges(): Promise<number> {
    const seen = await this.plexTv.requests();
    return seen.filter(({ path }) => path === "/api/claim/exchange").length;
  }

  demandNothingLeaked(): void {
    demandPrivate(this.stateDirectory);
  }

  async endAll(): Promise<void> {
    for (const performance of this.#performances) performance.kill("SIGKILL");
    for (const server of [this.server, ...this.#more]) {
      // A start command of a killed run may still be on its way.
      for (let quiet = 0; quiet < 2; quiet += server.running ? 0 : 1) {
        await server.kill();
        await sleep(20);
      }
    }
  }
}

/** A run of the program that goes on. */
export class Performance {
  readonly pid: number;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<number | null>;
  readonly #deadlineMs: number;
  #stdout = "";
  #stderr = "";
  #over = false;

  /** `deadlineMs` only ends a hang. */
  constructor(child: ChildProcessWithoutNullStreams, deadlineMs = DEADLINE_MS) {
    this.#child = child;
    this.#deadlineMs = deadlineMs;
    this.pid = child.pid ?? 0;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.#ended = new Promise((fulfil, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        this.#over = true;
        fulfil(signal === null ? code : null);
      });
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Waits until the program has printed that a step begins or ends (`--json`). */
  async reached(step: string, phase: "begin" | "end" = "begin"): Promise<void> {
    await this.printed(`"type":"step","step":"${step}","phase":"${phase}"`);
  }

  /** Waits until a text was printed on either stream. */
  async printed(text: string): Promise<void> {
    await eventually(
      () => {
        if (this.#stdout.includes(text) || this.#stderr.includes(text)) return true;
        if (this.#over) throw new Error(`ended without ${text}:\n${this.#stdout}${this.#stderr}`);
        return false;
      },
      text,
      this.#deadlineMs,
    );
  }

  /** Types keys at its terminal. */
  type(keys: string): void {
    this.#child.stdin.write(keys);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Nobody reads its output any more. */
  closeOutput(): void {
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
  }

  async end(): Promise<Ended> {
    const timer = setTimeout(() => this.kill("SIGKILL"), this.#deadlineMs);
    const exitCode = await this.#ended;
    clearTimeout(timer);
    demandNoSecret(this.#stdout + this.#stderr, "the output");
    const lines = jsonLines(this.#stdout);
    for (const line of lines) demandSchema(line);
    return {
      exitCode,
      stdout: this.#stdout,
      stderr: this.#stderr,
      lines,
      result: lines.at(-1) ?? {},
    };
  }
}

/** The stand-in server as it is built: it starts in half the time that its source needs. */
async function standIn(): Promise<
  typeof import("../../src/standins/locked-out-server.ts")["createLockedOutServer"]
> {
  await demandBuilt(PROJECT);
  const path = join(PROJECT, "dist", "standins", "locked-out-server.js");
  const built = (await import(path)) as typeof import("../../src/standins/locked-out-server.ts");
  return built.createLockedOutServer;
}

/** A module that Node loads first: one second of the program takes so much less. */
export function hastyClock(times: number): string {
  const source = [
    "const { setTimeout: later, performance } = globalThis;",
    "const now = performance.now.bind(performance);",
    `performance.now = () => now() * ${times};`,
    `globalThis.setTimeout = (done, ms, ...args) => later(done, ms / ${times}, ...args);`,
  ];
  return `data:text/javascript;base64,${Buffer.from(source.join("\n")).toString("base64")}`;
}

/** Waits for a state, with a deadline that only ends a hang. */
export async function eventually(
  reached: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await reached())) {
    if (performance.now() > end) throw new Error(`never came: ${what}`);
    await sleep(5);
  }
}

/** What plex-reclaim has to be told about a stand-in server. */
export function twinsOf(server: LockedOutServer, stateDirectory: string, plexTvUrl: string) {
  return {
    PLEX_RECLAIM_SETTINGS: server.settingsPath,
    PLEX_RECLAIM_SERVER_URL: server.url,
    PLEX_RECLAIM_PROCESS_MATCH: server.executable,
    PLEX_RECLAIM_STOP_COMMAND: server.stopLine,
    PLEX_RECLAIM_START_COMMAND: server.startLine,
    PLEX_RECLAIM_STATE_DIR: stateDirectory,
    PLEX_RECLAIM_PLEXTV_URL: plexTvUrl,
  };
}

/** The lines of `--json`; none of any other text. */
export function jsonLines(stdout: string): JsonLine[] {
  if (!stdout.startsWith('{"schema"')) return [];
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as JsonLine);
}

/** Whether what only root can set up can be: a check of CI must not do without it. */
export function isRoot(): boolean {
  if (process.getuid?.() === 0) return true;
  if (process.env["CI"] === "true") throw new Error("these scenarios need root");
  return false;
}

/** How a run ended, for `expect`: what is wrong shows the whole output. */
export function demandEnd(ended: Ended, exitCode: number, code?: string): void {
  const seen = { exitCode: ended.exitCode, ...(code === undefined ? {} : { code: ended.result["code"] }) };
  const wanted = { exitCode, ...(code === undefined ? {} : { code }) };
  expect(seen, `${ended.stdout}\n${ended.stderr}`).toEqual(wanted);
}

/** The notes that were told, by their codes. */
export function notesOf(ended: Ended): string[] {
  return ended.lines.flatMap((line) =>
    line["type"] === "note" ? [String((line["note"] as JsonLine)["code"])] : [],
  );
}

/** One note by its code; an empty object where it was not told. */
export function noteOf(ended: Ended, code: string): JsonLine {
  const notes = ended.lines.flatMap((line) => (line["type"] === "note" ? [line["note"] as JsonLine] : []));
  return notes.find((note) => note["code"] === code) ?? {};
}

export function tokenIn(settings: string): string | null {
  return (
    / PlexOnlineToken=(?:"([^"]*)"|'([^']*)')/
      .exec(settings)
      ?.slice(1)
      .find((value) => value !== undefined) ?? null
  );
}

/** A word for a POSIX shell. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

export function exists(path: string): boolean {
  return existsSync(path);
}

/** The cache holds compiled code alone: the many starts of the program here need not compile it each time. */
const PLAIN = {
  PATH: "/usr/bin:/bin",
  LANG: "C.UTF-8",
  NODE_COMPILE_CACHE: join(PROJECT, "node_modules", ".cache", "scenarios"),
};
const DEADLINE_MS = 60_000;
