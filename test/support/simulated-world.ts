import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../../src/model/secret.ts";
import { editPreferences, parsePreferences } from "../../src/stores/preferences-xml.ts";
import { realWorld } from "../../src/world/real.ts";
import {
  type HttpAnswer,
  HttpFailure,
  type HttpRequest,
  type ProcessInfo,
  type RunResult,
  type World,
} from "../../src/world/world.ts";

/**
 * A machine with one Plex Media Server and a plex.tv, for runs in their thousands: the files are real, in a
 * folder of the test; the server, its stop and start commands, plex.tv and the clock are simulated, so that a
 * whole run takes milliseconds and no time passes by itself. What the server does to its settings is what the
 * stand-in does: it keeps them in memory, and rewrites the file when it stops.
 */
export class SimulatedMachine {
  readonly folder: string;
  readonly dataFolder: string;
  readonly settingsPath: string;
  readonly world: World;
  /** Tokens that plex.tv accepts. */
  readonly valid = new Map<string, string>();
  readonly codes = new Map<string, string>();
  running = false;
  stops = 0;
  starts = 0;
  failStarts = 0;
  #memory: Uint8Array = new Uint8Array();
  #nowMs = Date.UTC(2026, 10, 22);
  #ticks = 100;
  #tokens = 0;
  readonly #held = new Set<string>();

  constructor(folder: string, preferences: string) {
    this.folder = folder;
    this.dataFolder = join(folder, "Plex Media Server");
    this.settingsPath = join(this.dataFolder, "Preferences.xml");
    mkdirSync(join(this.dataFolder, "Logs"), { recursive: true });
    writeFileSync(this.settingsPath, preferences, { mode: 0o600 });
    this.world = this.#world();
  }

  /** The file as it is on disk. */
  get preferences(): string {
    return readFileSync(this.settingsPath, "utf8");
  }

  start(): void {
    this.#memory = readFileSync(this.settingsPath);
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
      join(this.dataFolder, "Logs", "Plex Media Server.log"),
      `${at}INFO - ${lines[0]}\n${at}DEBUG - ${lines[1]}\n`,
    );
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
    writeFileSync(
      this.settingsPath,
      text.replace(/PubSubServerPing="(\d+)"/, (_, ping: string) => `PubSubServerPing="${Number(ping) + 1}"`),
    );
  }

  /** Locks that a process which died would have given back. */
  releaseLocks(): void {
    this.#held.clear();
  }

  #world(): World {
    const real = realWorld();
    return {
      ...real,
      env: {},
      clock: {
        now: () => this.#nowMs,
        monotonicMs: () => this.#nowMs,
        sleep: async (ms) => {
          this.#nowMs += ms;
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
        options.shell === true ? this.#shell(file, args) : real.run(file, args, options),
      lock: async (name) => {
        if (this.#held.has(name)) return null;
        this.#held.add(name);
        return { release: async () => void this.#held.delete(name) };
      },
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

  #shell(file: string, args: readonly string[]): RunResult {
    const line = [file, ...args].join(" ");
    const done = { signal: null, timedOut: false, stdout: "", stderr: "" };
    if (line.includes("simulated-stop")) this.stop();
    else if (line.includes("simulated-start")) {
      if (this.failStarts > 0) {
        this.failStarts -= 1;
        return { status: 1, ...done };
      }
      if (!this.running) this.start();
    } else return { status: 127, ...done };
    return { status: 0, ...done };
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
