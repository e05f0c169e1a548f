import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Owner } from "../../src/standins/data-folder.ts";
import type { PlexTvControl } from "../../src/standins/plex-tv-control.ts";
import {
  BEHAVIOUR_FILE,
  FAILED_STARTS_FILE,
  type ServerBehaviour,
} from "../../src/standins/server-behaviour.ts";
import { signal, until } from "../../src/standins/server-process.ts";
import type { Mac, MacUser } from "./mac.ts";
import { APPLICATION, type MacApplication } from "./mac-application.ts";
import { type MacValue, type MacValues, settingsOf } from "./mac-values.ts";

export interface ServerOnMac {
  readonly plexTv: PlexTvControl;
  /** Default: the first account. */
  readonly user?: string;
  /** What it is to begin with; it is not started. Default: locked-out. */
  readonly state?: "locked-out" | "signed-in" | "signed-out" | "empty-token";
  /** Made at plex.tv when it is not there. Default: jane. */
  readonly owner?: Owner;
  readonly port?: number;
  /** `PlexOnlineHome` is there. */
  readonly home?: boolean;
  /** The FriendlyName reads like one of the four values. */
  readonly decoy?: boolean;
  /** Values of the domain besides the usual ones, or instead of them; null: not there. */
  readonly values?: Readonly<Record<string, MacValue | null>>;
  readonly behaviour?: Partial<ServerBehaviour>;
  readonly application?: Partial<MacApplication>;
  /**
   * What starts it at login, and maybe again: a Login Item (once), a LaunchAgent with KeepAlive, one that starts it
   * with `open` at login alone, or something that is in no list and starts it after every end.
   */
  readonly startedBy?: "nobody" | "login-item" | "keep-alive-agent" | "unknown";
  /** The data folder's parent, when it was moved (`LocalAppDataPath` in the domain, as on Windows: UNVERIFIED). */
  readonly movedTo?: string;
}

/** A stand-in server of a Mac, as a test sees it: with none of the program's code. */
export class MacServer {
  readonly user: MacUser;
  readonly owner: Owner;
  /** `ProcessedMachineIdentifier`. */
  readonly deviceId: string;
  /** Where it answers, without a trailing slash. */
  readonly url: string;
  readonly domain: string = APPLICATION.bundleId;
  /** Its bundle, and what of that is run: paths of the Mac. */
  readonly application: string;
  readonly executable: string;
  /** Paths of the Mac. */
  readonly plist: string;
  readonly dataFolder: string;
  readonly logFolder: string;
  readonly cacheFolder: string;
  readonly agent: string;
  readonly #mac: Mac;
  readonly #options: ServerOnMac;
  readonly #parts: ServerParts;
  #behaviour: Partial<ServerBehaviour>;

  constructor(mac: Mac, user: MacUser, options: ServerOnMac, parts: ServerParts) {
    this.#mac = mac;
    this.#options = options;
    this.#parts = parts;
    this.user = user;
    this.owner = parts.owner;
    const { path, executable } = { ...APPLICATION, ...options.application };
    this.application = path;
    this.executable = executable;
    this.deviceId = parts.deviceId;
    this.url = `http://127.0.0.1:${parts.port}`;
    const library = `${user.home}/Library`;
    this.plist = `${library}/Preferences/${APPLICATION.bundleId}.plist`;
    this.dataFolder = `${options.movedTo ?? `${library}/Application Support`}/${APPLICATION.name}`;
    this.logFolder = `${library}/Logs/${APPLICATION.name}`;
    this.cacheFolder = `${library}/Caches/PlexMediaServer`;
    this.agent = `${library}/LaunchAgents/${AGENT}.plist`;
    this.#behaviour = { plexTvUrl: options.plexTv.url, ...options.behaviour };
  }

  /** Puts its settings into the domain; the daemon has written its file, and has it in memory. */
  async lay(): Promise<void> {
    await this.configure({});
    const values = settingsOf(this.#parts.preferences);
    if (this.#options.movedTo !== undefined)
      values.set("LocalAppDataPath", { type: "string", value: this.#options.movedTo });
    for (const [name, value] of Object.entries(this.#options.values ?? {})) {
      values.delete(name);
      if (value !== null) values.set(name, value);
    }
    await this.#mac.control(this.user.name, {
      do: "write",
      domain: this.domain,
      replace: true,
      values: [...values],
    });
    await this.#mac.flush();
    if ((this.#options.state ?? "locked-out") === "locked-out") await this.lockOut();
  }

  /** Changes what the server does from its next start on; failed starts are counted anew. */
  async configure(behaviour: Partial<ServerBehaviour>): Promise<void> {
    this.#behaviour = { ...this.#behaviour, ...behaviour, port: this.#parts.port };
    await rm(join(this.#parts.support, FAILED_STARTS_FILE), { force: true });
    await writeFile(join(this.#parts.support, BEHAVIOUR_FILE), JSON.stringify(this.#behaviour));
  }

  /**
   * Starts it the way its user would, or lets what starts it at login do so, and waits until `/identity` answers 200
   * (or for its process). Rejects with `STANDIN_DID_NOT_START`.
   */
  async start(waitFor: "answer" | "process" = "answer"): Promise<void> {
    const { startedBy } = this.#options;
    if (startedBy === "unknown") await this.#mac.control(this.user.name, { do: "bring_back" });
    else if (startedBy === "keep-alive-agent")
      await this.#mac.run(this.user.name, "launchctl", ["bootstrap", `gui/${this.user.uid}`, this.agent]);
    else await this.#mac.run(this.user.name, "open", ["-g", "-a", this.application]);
    const { startMs = 0, maintenanceMs = 0 } = this.#behaviour;
    const reached = async () => (waitFor === "answer" ? await this.answers() : await this.isRunning());
    await until(reached, startMs + maintenanceMs + DEADLINE_MS, "STANDIN_DID_NOT_START");
  }

  /** The numbers of its processes; one or none. */
  async processes(): Promise<number[]> {
    const { applications = [] } = await this.#mac.control("root", { do: "applications" });
    return applications.filter(({ uid }) => uid === this.user.uid).map(({ pid }) => pid);
  }

  /** What its one process was started with as an environment. */
  async environment(): Promise<Readonly<Record<string, string>>> {
    const [pid] = await this.processes();
    const record = await readFile(this.#mac.state("processes", `${pid}.json`), "utf8");
    return (JSON.parse(record) as { environment: Record<string, string> }).environment;
  }

  async isRunning(): Promise<boolean> {
    return (await this.processes()).length > 0;
  }

  /** Whether `/identity` answers 200. */
  async answers(): Promise<boolean> {
    try {
      const response = await fetch(`${this.url}/identity`, { signal: AbortSignal.timeout(DEADLINE_MS) });
      await response.arrayBuffer();
      return response.status === 200;
    } catch {
      return false;
    }
  }

  /** Ends it politely, and waits until it is gone; what would bring it back is unloaded first. */
  async close(): Promise<void> {
    for (const name of ["jobs", "hidden-jobs"])
      await rm(this.#mac.state(name, String(this.user.uid)), { recursive: true, force: true });
    for (const pid of await this.processes()) signal(pid, "SIGTERM");
    await until(
      async () => !(await this.isRunning()),
      (this.#behaviour.stopMs ?? 0) + DEADLINE_MS,
      "STANDIN_DID_NOT_STOP",
    );
  }

  /** Ends its process as it is: nothing of its settings is put back. */
  async kill(): Promise<void> {
    const before = await this.processes();
    for (const pid of before) signal(pid, "SIGKILL");
    const gone = async () => !(await this.processes()).some((pid) => before.includes(pid));
    await until(gone, DEADLINE_MS, "STANDIN_DID_NOT_STOP");
  }

  /** What the daemon says of its domain. */
  async values(): Promise<MacValues> {
    return await this.#mac.values(this.user.name, this.domain);
  }

  /** What stands in the file. */
  async fileValues(): Promise<MacValues> {
    return await this.#mac.fileValues(this.plist);
  }

  /** `PlexOnlineToken` in the domain; null when it is not there, or no text. */
  async token(): Promise<string | null> {
    const found = (await this.values()).get("PlexOnlineToken");
    return found?.type === "string" ? found.value : null;
  }

  /** Signs a running, signed-out server in, as its owner would. Rejects with `STANDIN_NOT_CLAIMED`. */
  async signIn(): Promise<void> {
    const code = await this.#options.plexTv.issueClaimCode(this.owner.username);
    const response = await fetch(`${this.url}/myplex/claim?token=${code}`, { method: "POST" });
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error("STANDIN_NOT_CLAIMED");
  }

  /** Locks it out: its owner signs out everywhere. A running server notices within a second of being asked. */
  async lockOut(): Promise<void> {
    await this.#options.plexTv.revokeAll(this.owner.username);
  }
}

/** What laying out has made up for it. */
export interface ServerParts {
  readonly owner: Owner;
  readonly deviceId: string;
  readonly port: number;
  /** Where the server keeps what no Mac has: its private `Preferences.xml`, and what it is told to do. */
  readonly support: string;
  readonly preferences: ReadonlyMap<string, string>;
}

/** Of the agent that may start it: nobody's in particular, since Plex brings none (Homebrew's cask). */
export const AGENT = "com.example.start-plex";

const DEADLINE_MS = 30_000;
