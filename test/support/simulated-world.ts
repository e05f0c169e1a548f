import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../../src/model/secret.ts";
import { editPreferences, parsePreferences } from "../../src/stores/preferences-xml.ts";
import { realWorld } from "../../src/world/real.ts";
import {
  type HttpAnswer,
  HttpFailure,
  type HttpRequest,
  type OpenFile,
  type ProcessInfo,
  type RunOptions,
  type RunResult,
  SystemError,
  type World,
} from "../../src/world/world.ts";
import { digestOf, type FolderImage, imageOfFolder, restoreFolder } from "./folder-image.ts";

/** All of a machine at one moment, our own process apart. */
export interface MachineState {
  readonly folder: FolderImage;
  /** What of the settings is no file. */
  readonly home: string;
  readonly running: boolean;
  readonly memory: Uint8Array;
  readonly valid: ReadonlyMap<string, string>;
  readonly codes: ReadonlyMap<string, string>;
  readonly counts: {
    readonly stops: number;
    readonly starts: number;
    readonly nowMs: number;
    readonly ticks: number;
    readonly tokens: number;
    readonly randoms: number;
  };
}

/** Equal for states between which nothing can tell. */
export function digestOfState({ folder, memory, valid, codes, ...rest }: MachineState): string {
  const hash = createHash("sha256").update(digestOf(folder)).update(memory);
  return hash.update(JSON.stringify([...valid, "", ...codes, rest])).digest("hex");
}

/** Where a server keeps its settings, in terms of the text of a `Preferences.xml`, and what else its system is like. */
export interface SettingsHome {
  /** As the options and the server's report name them. */
  readonly settingsPath: string;
  /** Where the server's log is, when that is not in its data folder. */
  readonly logFolder?: string;
  /** What the server's data folder holds after a run. */
  readonly tidy: readonly string[];
  read(): string;
  write(preferences: string): void;
  /** What of them is no file, to come back to. */
  save(): string;
  restore(saved: string): void;
  /** What only such settings have and nobody may change: their mode, say. Throws when somebody did. */
  demandKept(): void;
  /** What the system does with them by itself, meanwhile. */
  timePasses?(): void;
  /** Files of ours that a run which came to its end has left somewhere, where the system has such a place. */
  leftBehind?(): readonly string[];
  /** What of the machine is another on such a system. */
  readonly world: Partial<World>;
}

/**
 * A machine with one Plex Media Server and a plex.tv, for runs in their thousands: the files are real, in a
 * folder of the test; the server, its stop and start commands, plex.tv and the clock are simulated, so that a
 * whole run takes milliseconds, no time passes by itself, and the same run is the same to the last byte. What the
 * server does to its settings is what the stand-in does: it keeps them in memory, and rewrites the file when it
 * stops. The settings have an extended attribute, which the (simulated) tools show and copy.
 */
export class SimulatedMachine {
  readonly folder: string;
  readonly dataFolder: string;
  readonly home: SettingsHome;
  readonly world: World;
  /** Tokens that plex.tv accepts. */
  readonly valid = new Map<string, string>();
  readonly codes = new Map<string, string>();
  running = false;
  stops = 0;
  starts = 0;
  failStarts = 0;
  /** A busy machine wakes nobody earlier: fewer looks are taken in the same time. */
  shortestSleepMs = 0;
  #memory: Uint8Array = new Uint8Array();
  #nowMs = Date.UTC(2026, 10, 22);
  #ticks = 100;
  #tokens = 0;
  #randoms = 0;
  readonly #held = new Set<string>();
  /** New files that the attribute was copied to. */
  readonly #copiedTo = new WeakSet<OpenFile>();

  constructor(
    folder: string,
    preferences: string,
    homeOf: (machine: SimulatedMachine) => SettingsHome = homeInFile,
  ) {
    this.folder = folder;
    this.dataFolder = join(folder, "Plex Media Server");
    mkdirSync(join(this.dataFolder, "Logs"), { recursive: true });
    this.home = homeOf(this);
    this.preferences = preferences;
    this.world = this.#world();
  }

  get settingsPath(): string {
    return this.home.settingsPath;
  }

  /** The settings as they are kept, as a `Preferences.xml`. */
  get preferences(): string {
    return this.home.read();
  }

  set preferences(text: string) {
    this.home.write(text);
  }

  get startTicks(): number {
    return this.#ticks;
  }

  start(): void {
    this.#memory = Buffer.from(this.preferences);
    this.running = true;
    this.starts += 1;
    this.#ticks += 1;
    const token = parsePreferences(this.#memory, this.settingsPath).credentials.token?.reveal() ?? "";
    const status = this.valid.has(token) ? 200 : 401;
    const lines = [
      "Plex Media Server v1.43.4.10903-e5521bd8c - simulated - build: linux-x86_64 debian - GMT 00:00",
      `[HttpClient/HCl#1] HTTP/1.1 (0.0s) ${status} response from GET https://plex.tv/api/v2/server/users/features (reused)`,
    ];
    const at = "Nov 22, 2026 23:59:59.000 [1] ";
    writeFileSync(
      join(this.home.logFolder ?? join(this.dataFolder, "Logs"), "Plex Media Server.log"),
      `${at}INFO - ${lines[0]}\n${at}DEBUG - ${lines[1]}\n`,
    );
  }

  /** As after a lost settings file: the server has made itself another identity. */
  loseIdentity(): void {
    this.preferences = this.preferences.replace(DEVICE_ID, DEVICE_ID.split("").reverse().join(""));
  }

  /** Ends it as a power cut would: nothing is rewritten. */
  kill(): void {
    this.running = false;
  }

  stop(): void {
    if (!this.running) return;
    this.running = false;
    this.stops += 1;
    const text = Buffer.from(this.#memory).toString("utf8");
    this.preferences = text.replace(
      /PubSubServerPing="(\d+)"/,
      (_, ping: string) => `PubSubServerPing="${Number(ping) + 1}"`,
    );
  }

  /** Locks that a process which died would have given back. */
  releaseLocks(): void {
    this.#held.clear();
  }

  /** The machine as it is, to come back to. */
  save(): MachineState {
    return {
      folder: imageOfFolder(this.folder),
      home: this.home.save(),
      running: this.running,
      memory: this.#memory,
      valid: new Map(this.valid),
      codes: new Map(this.codes),
      counts: {
        stops: this.stops,
        starts: this.starts,
        nowMs: this.#nowMs,
        ticks: this.#ticks,
        tokens: this.#tokens,
        randoms: this.#randoms,
      },
    };
  }

  /** Makes it as it was then. Whoever worked on it since is dead: their locks are free. */
  restore(state: MachineState): void {
    restoreFolder(this.folder, state.folder);
    this.home.restore(state.home);
    this.running = state.running;
    this.#memory = state.memory;
    replaceAll(this.valid, state.valid);
    replaceAll(this.codes, state.codes);
    this.stops = state.counts.stops;
    this.starts = state.counts.starts;
    this.#nowMs = state.counts.nowMs;
    this.#ticks = state.counts.ticks;
    this.#tokens = state.counts.tokens;
    this.#randoms = state.counts.randoms;
    this.releaseLocks();
  }

  #world(): World {
    const real = realWorld();
    return {
      ...real,
      env: {},
      randomHex: (bytes) => {
        this.#randoms += 1;
        return createHash("shake256", { outputLength: bytes }).update(String(this.#randoms)).digest("hex");
      },
      clock: {
        now: () => this.#nowMs,
        monotonicMs: () => this.#nowMs,
        sleep: async (ms) => {
          this.#nowMs += Math.max(ms, this.shortestSleepMs);
          this.home.timePasses?.();
        },
      },
      processes: {
        ownPid: real.processes.ownPid,
        plexMediaServers: async () => (this.running ? [this.#process()] : []),
      },
      http: {
        local: async (request) => this.#local(request),
        remote: async (request) => this.#remote(request),
      },
      run: async (file, args, options) =>
        options.shell === true ? this.#shell(file, args) : this.#tool(file, args, options),
      lock: async (name) => {
        if (this.#held.has(name)) return null;
        this.#held.add(name);
        return { release: async () => void this.#held.delete(name) };
      },
      ...this.home.world,
    };
  }

  #process(): ProcessInfo {
    return {
      pid: 4242,
      parent: 1,
      startTicks: this.#ticks,
      uid: 0,
      state: "S",
      shortName: "Plex Media Serv",
      args: ["/usr/lib/plexmediaserver/Plex Media Server"],
      executable: "/usr/lib/plexmediaserver/Plex Media Server",
      sameNamespace: true,
      env: { PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR: this.folder },
      cgroup: "",
    };
  }

  /** As `getfattr` and GNU `cp` answer for a file with one attribute; there are no other programs here. */
  #tool(file: string, args: readonly string[], { pass }: RunOptions): RunResult {
    const to = pass?.[1];
    if (to === undefined) throw new SystemError("ENOENT", "spawn", file);
    if (file === "getfattr") {
      const files = ["/proc/self/fd/3", ...(this.#copiedTo.has(to) ? ["/proc/self/fd/4"] : [])];
      const stdout = files.map((name) => `# file: ${name}\nuser.simulated=0x31\n\n`).join("");
      return { ...DONE, status: 0, stdout };
    }
    if (file !== "cp" || !args.includes("--attributes-only")) throw new SystemError("ENOENT", "spawn", file);
    this.#copiedTo.add(to);
    return { ...DONE, status: 0 };
  }

  #shell(file: string, args: readonly string[]): RunResult {
    const line = [file, ...args].join(" ");
    if (line.includes("simulated-stop")) this.stop();
    else if (line.includes("simulated-start")) {
      if (this.failStarts > 0) {
        this.failStarts -= 1;
        return { ...DONE, status: 1 };
      }
      if (!this.running) this.start();
    } else return { ...DONE, status: 127 };
    return { ...DONE, status: 0 };
  }

  #local(request: HttpRequest): HttpAnswer {
    if (!this.running) throw new HttpFailure("no", "ECONNREFUSED");
    const settings = parsePreferences(this.#memory, this.settingsPath);
    const { identity, credentials } = settings;
    const { pathname } = new URL(request.url);
    const token = credentials.token?.reveal() ?? "";
    const given = request.headers["X-Plex-Token"];
    const shown = given instanceof Secret ? given.reveal() : given;
    const json = (MediaContainer: object): HttpAnswer => ({
      status: 200,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ MediaContainer }),
    });
    if (pathname === "/identity") {
      const machineIdentifier = identity.processedMachineIdentifier;
      return json({ size: 0, claimed: token !== "", machineIdentifier, version: "1.43.4.10903" });
    }
    if (token === "" || shown !== token || !this.valid.has(token)) {
      return { status: 401, headers: {}, body: "<html><body><h1>401 Unauthorized</h1></body></html>" };
    }
    if (pathname === "/library/sections") return json({ size: 1, Directory: [{ key: "1", title: "Films" }] });
    const body = `<MyPlex username="${this.valid.get(token)}" signInState="ok" mappingState="mapped"/>`;
    return { status: 200, headers: { "content-type": "text/xml" }, body };
  }

  #remote(request: HttpRequest): HttpAnswer {
    const { pathname } = new URL(request.url);
    const header = request.headers["X-Plex-Token"];
    const token = header instanceof Secret ? header.reveal() : (header ?? "");
    const reply = (status: number, body = ""): HttpAnswer => ({ status, headers: {}, body });
    if (pathname === "/api/v2/ping") return reply(200, '{"pong":true}');
    if (pathname === "/api/v2/user") {
      const username = this.valid.get(token);
      if (username === undefined) return reply(401, '{"errors":[{"code":1001}]}');
      return reply(200, JSON.stringify({ username, email: `${username}@example.com`, title: username }));
    }
    if (pathname === "/api/v2/users/signout") {
      this.valid.delete(token);
      return reply(204);
    }
    if (pathname !== "/api/claim/exchange") return reply(404);
    const given = request.query?.["token"];
    const code = given instanceof Secret ? given.reveal() : (given ?? "");
    const username = this.codes.get(code);
    if (username === undefined) return reply(401);
    this.codes.delete(code);
    for (const [old, owner] of this.valid) if (owner === username) this.valid.delete(old);
    this.#tokens += 1;
    const fresh = `simulatedToken${String(this.#tokens).padStart(6, "0")}`;
    this.valid.set(fresh, username);
    return reply(
      200,
      `<?xml version="1.0"?><user><username>${username}</username><email>${username}@example.com</email><authentication-token>${fresh}</authentication-token></user>`,
    );
  }
}

/** Linux: a file, with a mode of its own. */
function homeInFile({ dataFolder }: SimulatedMachine): SettingsHome {
  const settingsPath = join(dataFolder, "Preferences.xml");
  return {
    settingsPath,
    tidy: ["Logs", "Preferences.xml"],
    read: () => readFileSync(settingsPath, "utf8"),
    write: (preferences) => writeFileSync(settingsPath, preferences, { mode: 0o600 }),
    save: () => "",
    restore: () => undefined,
    demandKept: () => {
      const mode = statSync(settingsPath).mode & 0o7777;
      if (mode !== 0o600) throw new Error(`the mode of the settings is ${mode.toString(8)}`);
    },
    world: {},
  };
}

const DONE = { signal: null, timedOut: false, stdout: "", stderr: "" } as const;

function replaceAll(map: Map<string, string>, by: ReadonlyMap<string, string>): void {
  map.clear();
  for (const [key, value] of by) map.set(key, value);
}

export const OLD_TOKEN = "oldTokenOldTokenOldT";
export const CODE = "claim-simulatedSimulated00";
export const DEVICE_ID = "0123456789abcdef0123456789abcdef01234567";

/** Settings as a used server has them, with a value that trips careless editors. */
export const PREFERENCES = `<?xml version="1.0" encoding="utf-8"?>
<Preferences OldestPreviousVersion="1.28.2" MachineIdentifier="6c2c8f5e-0000-4000-8000-000000000001" ProcessedMachineIdentifier="${DEVICE_ID}" AnonymousMachineIdentifier="6c2c8f5e-0000-4000-8000-000000000002" FriendlyName="a &quot;PlexOnlineToken=&quot; /> b" PlexOnlineToken="${OLD_TOKEN}" PlexOnlineUsername="jane" PlexOnlineMail="jane@example.com" PlexOnlineHome="1" CertificateUUID="abcdefabcdefabcdefabcdefabcdefab" PubSubServerPing="106" secureConnections="0"/>
`;

/** The same without the four values. */
export function signedOut(preferences: string): string {
  return Buffer.from(editPreferences(Buffer.from(preferences), { kind: "remove" })).toString("utf8");
}
