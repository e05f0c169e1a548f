import { existsSync, readdirSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { type Ending, endingOf, resultOf } from "../../src/commands/ending.ts";
import { parse } from "../../src/commands/parse.ts";
import { type Performable, perform } from "../../src/commands/perform.ts";
import { type Session, withPrivilegedLine } from "../../src/commands/session.ts";
import type { Event } from "../../src/model/event.ts";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import type { Reporter } from "../../src/words/reporter.ts";
import { reporterFor } from "../../src/words/reporter-for.ts";
import { loadWords } from "../../src/words/words.ts";
import { realHttp } from "../../src/world/http.ts";
import { realWorld } from "../../src/world/real.ts";
import { type Clock, SystemError, type World } from "../../src/world/world.ts";
import { demandText, type Ending as Wanted } from "./both-languages.ts";
import { demandNoSecret, demandPrivate, keepSecret } from "./canary.ts";
import { type From, type Mac, type MacOptions, openMac } from "./mac.ts";
import type { MacServer, ServerOnMac } from "./mac-server.ts";
import { demandSchema } from "./output-schema.ts";
import { demandEnd, type Ended, jsonLines } from "./stage.ts";

export interface MacStageOptions extends MacOptions {
  readonly server?: Partial<ServerOnMac>;
  /** Whether the server runs at first. Default: yes. */
  readonly running?: boolean;
}

export interface MacCall {
  /** Default: the account whose server it is. */
  readonly user?: string;
  readonly from?: From;
  /** More environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Waits and deadlines of the program pass so many times as fast. */
  readonly haste?: number;
  /** Told of every event, when it happens. */
  readonly onEvent?: (event: Event) => void;
}

/**
 * Lays out a stand-in Mac with a server, and a stand-in plex.tv; lets `play` work with them, and removes everything.
 * At the end it looks for secrets in all that was called and left behind.
 */
export async function onMac(
  options: MacStageOptions,
  play: (stage: MacStage) => Promise<void>,
): Promise<void> {
  const plexTv = await startPlexTv();
  let mac: Mac | null = null;
  try {
    mac = await openMac({ ...options, switches: { writesFile: "soon", ...options.switches } });
    const server = await mac.installServer({ plexTv, decoy: true, ...options.server });
    keepSecret(await server.token());
    if (options.running !== false) await server.start();
    const stage = new MacStage(mac, server, plexTv);
    await play(stage);
    await stage.demandNothingLeaked();
  } finally {
    await mac?.close();
    await plexTv.close();
  }
}

/** A Mac, a server of it, a plex.tv, and the program between them. */
export class MacStage {
  readonly mac: Mac;
  readonly server: MacServer;
  readonly plexTv: PlexTv;
  readonly #locks = new Set<string>();

  constructor(mac: Mac, server: MacServer, plexTv: PlexTv) {
    this.mac = mac;
    this.server = server;
    this.plexTv = plexTv;
  }

  /** Where an account's journal and backups are: a path of the Mac. */
  stateDirectory(user = this.server.user.name): string {
    const home = user === "root" ? "" : this.mac.userNamed(user).home;
    return `${home}/Library/Application Support/plex-reclaim`;
  }

  /**
   * Carries a command out as `main` does, and tells it as JSON and as text in both languages at once: it ends as it
   * must, each text is in one language, and no secret is in any of it. Answers the JSON.
   */
  async call(args: readonly string[], wanted: Wanted, options: MacCall = {}): Promise<Ended> {
    const { world, env } = this.#world(options);
    const json = await reporterOf("json");
    const texts = { en: await reporterOf("en"), ru: await reporterOf("ru") };
    const all = [json, texts.en, texts.ru];
    const session: Session = {
      world,
      context: {
        world,
        interrupt: new AbortController().signal,
        emit: (event) => {
          options.onEvent?.(event);
          for (const { reporter } of all) reporter.event(event);
        },
      },
      questions: { interactive: false, confirm: async () => false, hidden: async () => null },
      program: { command: ["plex-reclaim"], args },
      readStandardInput: async () => "",
    };
    const invocation = parse(args, env) as Performable;
    const end = await ended(() => perform(session, invocation));
    const asMain = "problem" in end ? { ...end, problem: withPrivilegedLine(session, end.problem) } : end;
    const result = resultOf(invocation.kind, asMain);
    for (const { reporter } of all) reporter.result(result);
    for (const language of ["en", "ru"] as const)
      demandText(endedAs(texts[language], result.exitCode), wanted, language);
    const told = endedAs(json, result.exitCode);
    for (const line of told.lines) demandSchema(line);
    demandEnd(told, wanted.exitCode, wanted.code);
    return told;
  }

  /** A file (0600) with a fresh claim code, in the home of who calls: a path of the Mac. */
  async codeFile(user = this.server.user.name): Promise<string> {
    const code = await this.plexTv.issueClaimCode(this.server.owner.username);
    const { home } = this.mac.userNamed(user);
    const path = `${home}/code-${Math.random().toString(36).slice(2)}`;
    await mkdir(this.mac.real(home), { recursive: true });
    await writeFile(this.mac.real(path), `${code}\n`, { mode: 0o600 });
    await this.mac.own(path, this.mac.userNamed(user));
    return path;
  }

  /** Whether plex.tv takes the token that the domain has. */
  async isHealed(server = this.server): Promise<boolean> {
    const token = await server.token();
    return token !== null && (await this.plexTv.isTokenValid(token));
  }

  /** The names of the four values that are in the domain, with all others and what they are, as text. */
  async settings(server = this.server): Promise<{ four: string[]; others: string }> {
    const values = [...(await server.values())].sort(([one], [other]) => (one < other ? -1 : 1));
    const isOurs = (name: string) => FOUR.includes(name);
    return {
      four: values.map(([name]) => name).filter(isOurs),
      others: JSON.stringify(values.filter(([name]) => !isOurs(name) && !CHANGED_BY_SERVER.includes(name))),
    };
  }

  async exchanges(): Promise<number> {
    const seen = await this.plexTv.requests();
    return seen.filter(({ path }) => path === "/api/claim/exchange").length;
  }

  /** Every path below a folder of the Mac, ours and others'. */
  pathsBelow(folder: string): string[] {
    const real = this.mac.real(folder);
    if (!existsSync(real)) return [];
    return (readdirSync(real, { recursive: true }) as string[]).sort();
  }

  async demandNothingLeaked(): Promise<void> {
    for (const { name } of this.mac.users) demandPrivate(this.mac.real(this.stateDirectory(name)));
    for (const call of await this.mac.calledWith())
      demandNoSecret(JSON.stringify(call), `a call of ${call.tool}`);
    for (const folder of ["/private/var/folders", "/private/tmp"]) {
      const left = this.pathsBelow(folder).filter((path) => path.includes("plex-reclaim"));
      if (left.length > 0) throw new Error(`left in ${folder}: ${left.join(", ")}`);
    }
  }

  #world({ user = this.server.user.name, from, env: more, haste = 1 }: MacCall): {
    world: World;
    env: Record<string, string | undefined>;
  } {
    const mac = this.mac.world(user, from === undefined ? {} : { from });
    const twins = { PLEX_RECLAIM_PLEXTV_URL: this.plexTv.url, PLEX_RECLAIM_SERVER_URL: this.server.url };
    const env = { ...mac.env, ...twins, ...more };
    const real = realWorld();
    const world: World = {
      ...real,
      ...mac,
      env,
      clock: hasty(real.clock, haste),
      http: realHttp({}),
      processes: {
        ownPid: process.pid,
        plexMediaServers: async () => {
          throw new SystemError("ENOSYS", "readdir", "/proc");
        },
      },
      lock: async (name) => {
        if (this.#locks.has(name)) return null;
        this.#locks.add(name);
        return { release: async () => void this.#locks.delete(name) };
      },
    };
    return { world, env };
  }
}

const FOUR: readonly string[] = ["PlexOnlineToken", "PlexOnlineUsername", "PlexOnlineMail", "PlexOnlineHome"];
/** What the stand-in server itself writes anew while it runs. */
const CHANGED_BY_SERVER: readonly string[] = ["PubSubServerPing", "PubSubServer", "PubSubServerRegion"];

function hasty(clock: Clock, haste: number): Clock {
  return {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs() * haste,
    sleep: (ms, signal) => clock.sleep(ms / haste, signal),
  };
}

async function ended(work: () => Promise<Ending>): Promise<Ending> {
  try {
    return await work();
  } catch (error) {
    return endingOf(error);
  }
}

interface Told {
  readonly reporter: Reporter;
  readonly out: string[];
  readonly err: string[];
}

async function reporterOf(kind: "json" | "en" | "ru"): Promise<Told> {
  const [out, err]: [string[], string[]] = [[], []];
  const stream = (texts: string[]) => ({ write: (text: string) => void texts.push(text), isTTY: false });
  const words = await loadWords(kind === "json" ? "en" : kind);
  const options = { json: kind === "json", noColor: true, verbose: false };
  return { reporter: reporterFor(words, options, { env: {}, out: stream(out), err: stream(err) }), out, err };
}

function endedAs({ out, err }: Told, exitCode: number): Ended {
  const [stdout, stderr] = [out.join(""), err.join("")];
  demandNoSecret(stdout + stderr, "the output");
  const lines = jsonLines(stdout);
  return { exitCode, stdout, stderr, lines, result: lines.at(-1) ?? {} };
}
