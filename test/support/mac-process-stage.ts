import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import { demandBuilt } from "./built-program.ts";
import { demandNoSecret, demandPrivate, keepSecret } from "./canary.ts";
import { type From, type Mac, openMac } from "./mac.ts";
import { COMPILE_CACHE, type MacProcesses, openMacProcesses, PROGRAM_ON_MAC } from "./mac-process.ts";
import type { MacServer } from "./mac-server.ts";
import { MacStage, type MacStageOptions } from "./mac-stage.ts";
import { type Ended, eventually, hastyClock, Performance, PROJECT, quoted } from "./stage.ts";

/** How the program is called. */
export interface MacProcessCall {
  /** Default: the account whose server it is. Root is somebody who has typed `sudo` in the same window. */
  readonly user?: string;
  readonly from?: From;
  /** More environment; null takes one away. */
  readonly env?: Readonly<Record<string, string | null>>;
  /** What stands on its standard input; nothing, and the end of it, by default. */
  readonly stdin?: string;
  /** Its own waits and deadlines pass so many times as fast. */
  readonly haste?: number;
}

/**
 * Lays out a stand-in Mac for real processes with a server, and a stand-in plex.tv; lets `play` work with them, and
 * removes everything. At the end it looks for secrets in all that was called and left behind.
 */
export async function onMacProcesses(
  options: MacStageOptions,
  play: (stage: MacProcessStage) => Promise<void>,
): Promise<void> {
  await demandBuilt(PROJECT);
  const plexTv = await startPlexTv();
  let mac: Mac | null = null;
  let stage: MacProcessStage | null = null;
  try {
    mac = await openMac({ ...options, switches: { writesFile: "soon", ...options.switches } });
    const server = await mac.installServer({
      plexTv,
      decoy: true,
      ...options.server,
      behaviour: { startMs: 50, stopMs: 50, ...options.server?.behaviour },
    });
    stage = new MacProcessStage(mac, server, plexTv, await openMacProcesses(mac));
    keepSecret(await server.token());
    if (options.running !== false) await stage.startServer();
    await play(stage);
    await stage.demandNothingLeft();
  } finally {
    await stage?.endAll();
    await mac?.close();
    await stage?.processes.close();
    await plexTv.close();
  }
}

/** The built program as a real process, on a stand-in Mac that is its root. */
export class MacProcessStage {
  readonly mac: Mac;
  readonly server: MacServer;
  readonly plexTv: PlexTv;
  readonly processes: MacProcesses;
  /** Looks at the same Mac from outside. */
  readonly outside: MacStage;
  readonly #performances: Performance[] = [];
  #holds = 0;

  constructor(mac: Mac, server: MacServer, plexTv: PlexTv, processes: MacProcesses) {
    this.mac = mac;
    this.server = server;
    this.plexTv = plexTv;
    this.processes = processes;
    this.outside = new MacStage(mac, server, plexTv);
  }

  /** Runs the program to its end, with an environment made from nothing. */
  run(args: readonly string[], options: MacProcessCall = {}): Promise<Ended> {
    return this.begin(args, options).end();
  }

  /** The same with `--json`. */
  json(args: readonly string[], options: MacProcessCall = {}): Promise<Ended> {
    return this.run([...args, "--json"], options);
  }

  /** Types a line into a shell of the Mac. */
  type(line: string, options: MacProcessCall = {}): Promise<Ended> {
    return this.#begin(["/bin/sh", "-c", line], options).end();
  }

  /** Starts the program; it may be watched and met by signals while it runs. */
  begin(args: readonly string[], options: MacProcessCall = {}): Performance {
    return this.#begin([process.execPath, PROGRAM_ON_MAC, ...args], options);
  }

  /** Starts the program at a terminal of its own, where somebody types. */
  atTerminal(args: readonly string[], options: MacProcessCall = {}): Performance {
    const { file, args: words } = this.#enter([process.execPath, PROGRAM_ON_MAC, ...args], options);
    const line = `stty cols 100 rows 50; exec ${[file, ...words].map(quoted).join(" ")}`;
    const env = { TERM: "xterm-256color", ...this.#env(options), SHELL: "/bin/sh" };
    const terminal = ["-q", "-e", "-f", "-c", line, "/dev/null"];
    return this.#watch(spawn("script", terminal, { env, cwd: "/", stdio: "pipe", detached: true }));
  }

  /** Opens the server's application as its user would, and waits until it answers. */
  async startServer(): Promise<void> {
    const env = Object.fromEntries(Object.keys(this.#env({})).map((name) => [name, null]));
    await this.#begin(["/usr/bin/open", "-g", "-a", this.server.application], { env }).end();
    await eventually(() => this.server.answers(), "a server that answers", DEADLINE_MS);
  }

  /** Where an account's journal and backups are: a path of this system. */
  stateDirectory(user = this.server.user.name): string {
    return this.mac.real(this.outside.stateDirectory(user));
  }

  /** The journals of an account's runs, the oldest first. */
  journals(user?: string): string[] {
    const runs = `${this.outside.stateDirectory(user)}/runs`;
    const paths = this.outside.pathsBelow(runs).filter((path) => path.endsWith("journal.jsonl"));
    return paths.map((path) => readFileSync(this.mac.real(`${runs}/${path}`), "utf8"));
  }

  /** A file (0600) with a fresh claim code, in the home of its account: a path of the Mac. */
  codeFile(user?: string): Promise<string> {
    return this.outside.codeFile(user);
  }

  /**
   * Lets the next call of a tool that has a text among its arguments wait before it does anything, and none after it.
   * Answers who waits, when it does; `letGo` lets it do its work.
   */
  async hold(tool: string, word: string): Promise<Held> {
    this.#holds += 1;
    const path = this.mac.state(`held-${this.#holds}.json`);
    const part = this.mac.state("hold.json.part");
    await writeFile(part, JSON.stringify({ tool, word, number: this.#holds }));
    await rename(part, this.mac.state("hold.json"));
    const seen = async () => {
      await eventually(() => existsSync(path), `a call of ${tool} with ${word}`, DEADLINE_MS);
      return JSON.parse(readFileSync(path, "utf8")) as HeldCall;
    };
    return { seen, letGo: () => rm(path, { force: true }) };
  }

  /** All calls of tools so far, with their environments. */
  async calls(): Promise<MacCallSeen[]> {
    return (await this.mac.calledWith()) as MacCallSeen[];
  }

  /** Of secrets in calls and their environments, and of files that were to go. */
  async demandNothingLeft(): Promise<void> {
    for (const { name } of this.mac.users) demandPrivate(this.stateDirectory(name));
    for (const call of await this.calls()) {
      demandNoSecret(JSON.stringify(call), `a call of ${call.tool}`);
      const strange = Object.keys(call.env ?? {}).filter((name) => !HANDED_ON.includes(name));
      if (strange.length > 0) throw new Error(`${call.tool} was handed ${strange.join(", ")}`);
    }
    for (const folder of ["/private/var/folders", "/private/tmp", "/private/var/tmp"]) {
      const left = this.outside.pathsBelow(folder).filter((path) => path.includes("plex-reclaim"));
      if (left.length > 0) throw new Error(`left in ${folder}: ${left.join(", ")}`);
    }
  }

  async endAll(): Promise<void> {
    for (let number = 1; number <= this.#holds; number += 1)
      await rm(this.mac.state(`held-${number}.json`), { force: true });
    for (const performance of this.#performances) performance.kill("SIGKILL");
    await Promise.all(this.#performances.map((performance) => performance.end().catch(() => null)));
  }

  #begin(command: readonly string[], options: MacProcessCall): Performance {
    const { file, args: words } = this.#enter(command, options);
    const env = this.#env(options);
    const child = spawn(file, words, { env, cwd: "/", stdio: "pipe", detached: true });
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.stdin ?? "");
    return this.#watch(child);
  }

  #enter(command: readonly string[], { user, from = "desktop" }: MacProcessCall) {
    return this.processes.enter(this.mac.userNamed(user ?? this.server.user.name), from, command);
  }

  /** That of a window of Terminal; `sudo` keeps the home of who typed it (sudoers of macOS). */
  #env({ user, env: more = {}, haste }: MacProcessCall): Record<string, string> {
    const person = this.server.user;
    const preloads = [PRELOAD, ...(haste === undefined ? [] : [hastyClock(haste)])];
    const env: Record<string, string> = {
      PATH: "/usr/bin:/bin:/usr/sbin:/sbin",
      HOME: person.home,
      USER: user ?? person.name,
      LOGNAME: user ?? person.name,
      SHELL: "/bin/zsh",
      LANG: "en_US.UTF-8",
      TMPDIR: `/var/folders/zz/${person.uid}/T/`,
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      NODE_OPTIONS: preloads.map((path) => `--import=${path}`).join(" "),
      PLEX_RECLAIM_PLEXTV_URL: this.plexTv.url,
      PLEX_RECLAIM_SERVER_URL: this.server.url,
      ...(user === "root" ? { SUDO_USER: person.name, SUDO_UID: String(person.uid) } : {}),
    };
    for (const [name, value] of Object.entries(more)) {
      if (value === null) delete env[name];
      else env[name] = value;
    }
    return env;
  }

  #watch(child: ChildProcessWithoutNullStreams): Performance {
    const performance = new Performance(child, DEADLINE_MS);
    this.#performances.push(performance);
    return performance;
  }
}

export interface Held {
  /** Waits until it is there. */
  seen(): Promise<HeldCall>;
  letGo(): Promise<void>;
}

/** What the kernel says of a call that waits. */
interface HeldCall {
  readonly pid: number;
  readonly parent: number;
  /** The process that leads its session (setsid(2)). */
  readonly session: number;
  readonly uid: number;
}

export interface MacCallSeen {
  readonly uid: number;
  readonly session: string;
  readonly tool: string;
  readonly args: string[];
  /** Missing for calls that the test made from outside. */
  readonly env?: Readonly<Record<string, string>>;
}

const PRELOAD = fileURLToPath(new URL("../mac/process/preload.ts", import.meta.url));
/** What a tool may have of an environment: of that of the program nothing. */
const HANDED_ON: readonly string[] = [
  ...["PATH", "LANG", "LC_ALL", "TZ", "HOME", "USER", "LOGNAME"],
  // By `sudo`.
  ...["SUDO_USER", "SUDO_UID", "SUDO_GID", "SUDO_COMMAND"],
];
/** Every call of a tool is a Python that starts: a busy machine takes its time. */
const DEADLINE_MS = 240_000;
