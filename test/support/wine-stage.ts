import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join, win32 } from "node:path";
import { expect } from "vitest";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import { demandText, type Ending, type Language } from "./both-languages.ts";
import { demandNoSecret } from "./canary.ts";
import { demandSchema } from "./output-schema.ts";
import type { RegValues } from "./reg-text.ts";
import { demandEnd, type Ended, eventually, hastyClock, jsonLines } from "./stage.ts";
import { whyNoWindowsStandIns } from "./windows-stand-ins.ts";
import {
  NODE_IN_WINE,
  openWine,
  PROGRAM_IN_WINE,
  type WineMachine,
  type WineOptions,
  type WineProcess,
} from "./wine.ts";
import { whyNoWine } from "./wine-launch.ts";
import { installServer, SERVER_EXECUTABLE, type ServerInMachine, type WineServer } from "./wine-server.ts";
import type { WineTerminal } from "./wine-terminal.ts";
import { WineTools } from "./wine-tools.ts";

export interface WineStageOptions extends Partial<Omit<ServerInMachine, "plexTv">> {
  /** Whether the server runs at first. Default: yes. */
  readonly running?: boolean;
}

/** How the program is called. */
export interface WineCall {
  /** More environment, or other twins; null takes one away. */
  readonly env?: Readonly<Record<string, string | null>>;
  /** What stands on its standard input; nothing, and the end of it, by default. */
  readonly stdin?: string;
  /** Its own waits and deadlines pass so many times as fast; below 1, more slowly. */
  readonly haste?: number;
  /** When it has printed this to its standard output it is gone, as if killed, and does nothing more. */
  readonly diesAt?: string;
}

/** Where somebody types, nothing stands on the standard input. */
type AtTerminal = Omit<WineCall, "stdin">;

/** Why these scenarios cannot be played here, or null; under `CI=true` that is an error instead. */
export function whyNoWineStage(): string | null {
  return whyNoWine() ?? whyNoWindowsStandIns();
}

/** A machine for the scenarios of a file, which are played in it one after the other. */
export async function openWineHouse(options: WineOptions = {}): Promise<WineMachine> {
  const dist = process.env["PLEX_RECLAIM_TEST_DIST"];
  return await openWine({ ...options, ...(dist === undefined ? {} : { dist }) });
}

/**
 * Installs a stand-in server in a machine and lays out a stand-in plex.tv on this side, lets `play` work with them,
 * and removes everything. At the end it looks for secrets in all that the program said and left behind.
 */
export async function onWineStage(
  machine: WineMachine,
  options: WineStageOptions,
  play: (stage: WineStage) => Promise<void>,
): Promise<void> {
  const plexTv = await startPlexTv();
  let stage: WineStage | null = null;
  let played = false;
  try {
    const { running = true, ...server } = options;
    const behaviour = { startMs: 50, stopMs: 50, ...server.behaviour };
    stage = new WineStage(
      machine,
      plexTv,
      await installServer(machine, { plexTv, decoy: true, ...server, behaviour }),
    );
    if (running) await stage.server.start();
    await play(stage);
    stage.demandNothingLeaked();
    played = true;
  } finally {
    // What is amiss afterwards must not hide what was amiss before.
    await stage?.clear().catch((error: unknown) => {
      if (played) throw error;
    });
    await plexTv.close();
  }
}

/** A server of Windows, a plex.tv, and the program between them. */
export class WineStage {
  readonly machine: WineMachine;
  readonly plexTv: PlexTv;
  readonly server: WineServer;
  /** A folder of the machine for this scenario alone, as Windows names it. */
  readonly folder: string;
  readonly stateDirectory: string;
  readonly tools: WineTools;
  readonly #performances: WinePerformance[] = [];
  readonly #terminals: WineTerminal[] = [];
  readonly #more: WineServer[] = [];

  constructor(machine: WineMachine, plexTv: PlexTv, server: WineServer) {
    this.machine = machine;
    this.plexTv = plexTv;
    this.server = server;
    this.folder = `C:\\scenarios\\${new URL(server.url).port}`;
    this.stateDirectory = win32.join(this.folder, "state");
    mkdirSync(machine.hostPath(this.folder), { recursive: true });
    this.tools = new WineTools(machine, this.folder);
  }

  /** What the program has to be told: where plex.tv and the server answer, and where to keep its records. */
  get twins(): Record<string, string> {
    return {
      PLEX_RECLAIM_PLEXTV_URL: this.plexTv.url,
      PLEX_RECLAIM_SERVER_URL: this.server.url,
      PLEX_RECLAIM_STATE_DIR: this.stateDirectory,
    };
  }

  /** Runs the program to its end. */
  run(args: readonly string[], options: WineCall = {}): Promise<Ended> {
    return this.begin(args, options).end();
  }

  /** The same with `--json`. */
  json(args: readonly string[], options: WineCall = {}): Promise<Ended> {
    return this.run([...args, "--json"], options);
  }

  /** The same in a language, and the words are held against it. */
  async words(
    args: readonly string[],
    language: Language,
    ending: Ending,
    options: WineCall = {},
  ): Promise<Ended> {
    const ended = await this.run([...args, "--lang", language], options);
    demandText(ended, ending, language);
    return ended;
  }

  /** Starts the program; it may be watched and killed while it runs. */
  begin(args: readonly string[], options: WineCall = {}): WinePerformance {
    const { stdin } = options;
    const performance = new WinePerformance(
      this.machine.spawn(NODE_IN_WINE, [PROGRAM_IN_WINE, ...args], {
        env: this.#env(options),
        ...(stdin === undefined ? {} : { stdin }),
      }),
    );
    this.#performances.push(performance);
    return performance;
  }

  /** Starts the program at a terminal, where somebody types. */
  async atTerminal(args: readonly string[], options: AtTerminal = {}): Promise<WineTerminal> {
    return await this.typeInto(NODE_IN_WINE, [PROGRAM_IN_WINE, ...args], options);
  }

  /** Starts any program at a terminal, with the environment that ours gets. */
  async typeInto(file: string, args: readonly string[], options: AtTerminal = {}): Promise<WineTerminal> {
    const terminal = await this.machine.terminal(file, args, { env: this.#env(options) });
    this.#terminals.push(terminal);
    return terminal;
  }

  /** The program's end at a terminal; what it showed is looked through for secrets. */
  async endOf(terminal: WineTerminal): Promise<{ readonly status: number | null; readonly screen: string }> {
    const ended = await terminal.ended(DEADLINE_MS);
    demandNoSecret(ended.screen, "the screen");
    return ended;
  }

  /** Another server beside the first, with the same plex.tv. */
  async another(options: Partial<ServerInMachine>): Promise<WineServer> {
    const behaviour = { startMs: 50, stopMs: 50, ...options.behaviour };
    const server = await installServer(this.machine, { plexTv: this.plexTv, ...options, behaviour });
    this.#more.push(server);
    return server;
  }

  /** A file of the machine with a fresh claim code of an account, by default the server's owner. */
  async codeFile(username = this.server.owner.username): Promise<string> {
    const path = win32.join(this.folder, `code-${Math.random().toString(36).slice(2)}`);
    writeFileSync(this.machine.hostPath(path), `${await this.code(username)}\r\n`);
    return path;
  }

  code(username = this.server.owner.username): Promise<string> {
    return this.plexTv.issueClaimCode(username);
  }

  /** Whether plex.tv takes the token that stands in the registry. */
  async isHealed(): Promise<boolean> {
    const token = await this.server.token();
    return token !== null && (await this.plexTv.isTokenValid(token));
  }

  /**
   * All values of the key and the server's processes, to be found the same later on. A server counts its exits in one
   * of the values: one that is the same was not stopped meanwhile.
   */
  async standing(): Promise<{ readonly values: RegValues; readonly pids: readonly number[] }> {
    return { values: sorted(await this.server.values()), pids: await this.server.processes() };
  }

  /** All values but the counter that the server moves by itself. */
  async steady(): Promise<RegValues> {
    return without(sorted(await this.server.values()), ["PubSubServerPing"]);
  }

  /** All values but that counter and the four. */
  async others(): Promise<RegValues> {
    return without(await this.steady(), FOUR);
  }

  /** The four as they stand, and nothing else. */
  async signIn(): Promise<Record<string, string>> {
    const values = await this.server.values();
    return Object.fromEntries([...values].filter(([name]) => FOUR.includes(name)));
  }

  /** How often a claim code was sent to plex.tv. */
  async exchanges(): Promise<number> {
    const seen = await this.plexTv.requests();
    return seen.filter(({ path }) => path === "/api/claim/exchange").length;
  }

  /** Waits until the server answers. */
  async serverAnswers(): Promise<void> {
    await eventually(() => this.server.answers(), "a server that answers");
  }

  /** Waits until `verify` finds nothing amiss: on a busy machine a server may not answer in time at first. */
  async demandUsable(): Promise<void> {
    await eventually(async () => (await this.json(["verify"])).exitCode === 0, "a server in order");
  }

  /** What lies in a folder of the state directory; nothing where there is none. */
  inState(...names: readonly string[]): string[] {
    try {
      return readdirSync(this.#hostState(...names)).sort();
    } catch {
      return [];
    }
  }

  readState(...names: readonly string[]): Buffer {
    return readFileSync(this.#hostState(...names));
  }

  /** Throws when a run is left open, or the server does not answer. */
  async demandSettled(): Promise<void> {
    for (const run of this.inState("runs"))
      expect(this.readState("runs", run, "journal.jsonl").toString()).toContain('{"kind":"settled"');
    expect(await this.server.answers()).toBe(true);
  }

  /** Throws when the state directory holds a secret elsewhere than it may. */
  demandNothingLeaked(): void {
    const root = this.#hostState();
    for (const entry of ["", ...this.#everythingIn(root)]) {
      const path = join(root, entry);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat === undefined) continue;
      if (stat.isDirectory() || MAY_HOLD_SECRETS.test(entry)) continue;
      const bytes = readFileSync(path);
      for (const encoding of ["latin1", "utf16le"] as const) demandNoSecret(bytes.toString(encoding), path);
    }
  }

  /** Ends all of it and takes it away. */
  async clear(): Promise<void> {
    for (const terminal of this.#terminals) await terminal.close().catch(() => undefined);
    for (const performance of this.#performances) await performance.kill().catch(() => undefined);
    for (const server of [...this.#more, this.server]) await server.remove();
    await this.#endStrays();
    await rm(this.machine.hostPath(this.folder), { recursive: true, force: true, maxRetries: 5 });
  }

  /**
   * A process of a server that `remove` knows nothing of (the pid it left is another's) would be taken for one of the
   * next scenario's server.
   *
   * @throws Error when there was one that did not end by itself, as a second one of an account does
   */
  async #endStrays(): Promise<void> {
    const strays = () => this.tools.processesCalled(SERVER_EXECUTABLE);
    try {
      await eventually(async () => (await strays()).length === 0, "the end of every server");
    } finally {
      for (const pid of await strays()) await this.machine.run("taskkill.exe", ["/f", "/pid", String(pid)]);
    }
  }

  #hostState(...names: readonly string[]): string {
    return join(this.machine.hostPath(this.stateDirectory), ...names);
  }

  #everythingIn(root: string): string[] {
    try {
      return readdirSync(root, { recursive: true }) as string[];
    } catch {
      return [];
    }
  }

  #env(options: WineCall): Record<string, string> {
    const env: Record<string, string> = this.twins;
    const loaded = [
      ...(options.haste === undefined ? [] : [hastyClock(options.haste)]),
      ...(options.diesAt === undefined ? [] : [deathAt(options.diesAt)]),
    ];
    if (loaded.length > 0) env["NODE_OPTIONS"] = loaded.map((url) => `--import=${url}`).join(" ");
    for (const [name, value] of Object.entries(options.env ?? {})) {
      if (value === null) delete env[name];
      else env[name] = value;
    }
    return env;
  }
}

/** A run of the program that goes on. */
export class WinePerformance {
  readonly #process: WineProcess;

  constructor(process: WineProcess) {
    this.#process = process;
  }

  /** Waits until the program has printed that a step begins or ends (`--json`). */
  async reached(step: string, phase: "begin" | "end" = "begin"): Promise<void> {
    await this.printed(stepLine(step, phase));
  }

  async printed(text: string): Promise<void> {
    await this.#process.prints(text);
  }

  /** As power taken from this one process; answers when it is gone, with what it had printed. */
  async kill(): Promise<Ended> {
    this.#process.kill();
    return await this.end();
  }

  async end(): Promise<Ended> {
    const { status: exitCode, stdout, stderr } = await this.#process.exit;
    demandNoSecret(stdout + stderr, "the output");
    const lines = jsonLines(stdout);
    for (const line of lines) demandSchema(line);
    // Whatever a console makes of other characters, JSON is whole.
    if (lines.length > 0) expect(stdout).toMatch(/^[\0-\x7f]*$/);
    return { exitCode, stdout, stderr, lines, result: lines.at(-1) ?? {} };
  }
}

/** Plays a scenario that changes something: in words in each language, and as JSON, each on a stage of its own. */
export async function playInWine(
  machine: WineMachine,
  scenario: {
    readonly stage: WineStageOptions;
    /** Prepares the stage; answers what to call. */
    call(stage: WineStage): Promise<{ readonly args: readonly string[]; readonly options?: WineCall }>;
    readonly ending: Ending;
    /** Both, where nothing else is said. */
    readonly languages?: readonly Language[];
    /** Looks at the world afterwards. */
    after(stage: WineStage, ended: Ended): Promise<void>;
  },
): Promise<void> {
  const { ending, languages = ["en", "ru"] } = scenario;
  for (const language of [...languages, null]) {
    await onWineStage(machine, scenario.stage, async (stage) => {
      const { args, options } = await scenario.call(stage);
      const words = language === null ? ["--json"] : ["--lang", language];
      const ended = await stage.run([...args, ...words], options);
      if (language === null) demandEnd(ended, ending.exitCode, ending.code);
      else demandText(ended, ending, language);
      await scenario.after(stage, ended);
    });
  }
}

/** What the program prints of a step with `--json`. */
export function stepLine(step: string, phase: "begin" | "end"): string {
  return `"type":"step","step":"${step}","phase":"${phase}"`;
}

export const FOUR = ["PlexOnlineToken", "PlexOnlineUsername", "PlexOnlineMail", "PlexOnlineHome"];

const DEADLINE_MS = 90_000;
/** A run that was killed may leave one of them unfinished, under a name with a dot. */
const MAY_HOLD_SECRETS =
  /^(?:backups\/[^/]+\/(?:settings\.reg|\.settings\.reg\.new)|parked\/(?:[^/.]+\.json|\.[^/.]+\.json\.new))$/;

/** A module, to be loaded before the program, that ends the process after a text was printed. */
function deathAt(text: string): string {
  const source = [
    "const write = process.stdout.write.bind(process.stdout);",
    "process.stdout.write = (chunk, ...more) => {",
    "  const done = write(chunk, ...more);",
    `  if (Buffer.from(chunk).includes(${JSON.stringify(text)})) process.kill(process.pid, "SIGKILL");`,
    "  return done;",
    "};",
  ];
  return `data:text/javascript;base64,${Buffer.from(source.join("\n")).toString("base64")}`;
}

/** The registry's own order says nothing. */
function sorted(values: RegValues): RegValues {
  return new Map([...values].sort(([one], [other]) => (one < other ? -1 : 1)));
}

function without(values: RegValues, names: readonly string[]): RegValues {
  return new Map([...values].filter(([name]) => !names.includes(name)));
}
