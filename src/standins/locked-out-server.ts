import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdir, realpath, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { layOutDataFolder, type Owner, type SettingsOptions, usedPreferences } from "./data-folder.ts";
import { placeExecutable } from "./place.ts";
import type { PlexTvControl } from "./plex-tv-control.ts";
import { randomDeviceId } from "./plex-tv-records.ts";
import { BEHAVIOUR_FILE, FAILED_STARTS_FILE, type ServerBehaviour } from "./server-behaviour.ts";
import { LOG_FILE } from "./server-log.ts";
import { processesOf, signal, until } from "./server-process.ts";

export interface LockedOutServerOptions extends Pick<SettingsOptions, "home" | "decoy" | "others"> {
  readonly plexTv: PlexTvControl;
  /** Made at plex.tv when it is not there. Default: jane. */
  readonly owner?: Owner;
  /** What it is to begin with. Default: locked-out. */
  readonly state?: "locked-out" | "signed-in" | "signed-out" | "empty-token";
  readonly behaviour?: Partial<ServerBehaviour>;
}

/**
 * Lays out a stand-in Plex Media Server in a folder, by default one whose token plex.tv has revoked. It is not
 * started. All it makes is below that folder; its port was free and stays the same.
 */
export async function createLockedOutServer(
  folder: string,
  options: LockedOutServerOptions,
): Promise<LockedOutServer> {
  const { plexTv, owner = JANE, state = "locked-out", behaviour = {} } = options;
  await mkdir(folder, { recursive: true });
  const root = await realpath(folder);
  const executable = await placeExecutable(join(root, "usr", "lib", "plexmediaserver"));
  const supportFolder = join(root, "Library", "Application Support");
  const deviceId = randomDeviceId();
  await plexTv.addAccount(owner.username, owner.email);
  const token = await firstToken(state, () => plexTv.issueServerToken(owner.username, deviceId));
  const dataFolder = await layOutDataFolder(
    supportFolder,
    usedPreferences({ ...options, deviceId, token, owner }),
  );
  const port = behaviour.port ?? (await freePort());
  const server = new LockedOutServer({
    root,
    executable,
    dataFolder,
    supportFolder,
    deviceId,
    port,
    plexTv,
    owner,
  });
  await server.configure(behaviour);
  if (state === "locked-out") await server.lockOut();
  return server;
}

interface Parts {
  readonly root: string;
  readonly executable: string;
  readonly supportFolder: string;
  readonly dataFolder: string;
  readonly deviceId: string;
  readonly port: number;
  readonly plexTv: PlexTvControl;
  readonly owner: Owner;
}

/** A stand-in server in a folder. Its process has nothing in its environment but the name of its data folder. */
export class LockedOutServer {
  readonly folder: string;
  /** What must be gone after a stop. */
  readonly executable: string;
  /** The parent of the data folder, as PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR names it. */
  readonly supportFolder: string;
  readonly dataFolder: string;
  readonly settingsPath: string;
  readonly logPath: string;
  readonly pidPath: string;
  /** `ProcessedMachineIdentifier`. */
  readonly deviceId: string;
  readonly owner: Owner;
  /** Without a trailing slash. */
  readonly url: string;
  /** Command lines for a shell: the first returns while the server is starting, the second while it stops. */
  readonly startLine: string;
  readonly stopLine: string;
  readonly #plexTv: PlexTvControl;
  readonly #port: number;
  #behaviour: Partial<ServerBehaviour> = {};

  constructor(parts: Parts) {
    this.folder = parts.root;
    this.executable = parts.executable;
    this.supportFolder = parts.supportFolder;
    this.dataFolder = parts.dataFolder;
    this.settingsPath = join(parts.dataFolder, "Preferences.xml");
    this.logPath = join(parts.dataFolder, "Logs", LOG_FILE);
    this.pidPath = join(parts.dataFolder, "plexmediaserver.pid");
    this.deviceId = parts.deviceId;
    this.owner = parts.owner;
    this.url = `http://127.0.0.1:${parts.port}`;
    this.#plexTv = parts.plexTv;
    this.#port = parts.port;
    const variable = quote(`${SUPPORT_VARIABLE}=${parts.supportFolder}`);
    const program = `${quote(parts.executable)} ${quote(PROGRAM)}`;
    this.startLine = `setsid env -i ${variable} ${program} </dev/null >/dev/null 2>&1 &`;
    this.stopLine = `kill "$(cat ${quote(this.pidPath)})"`;
  }

  /** Changes its behaviour from the next start on; failed starts are counted anew. */
  async configure(behaviour: Partial<ServerBehaviour>): Promise<void> {
    this.#behaviour = { plexTvUrl: this.#plexTv.url, ...this.#behaviour, ...behaviour, port: this.#port };
    await rm(join(this.supportFolder, FAILED_STARTS_FILE), { force: true });
    await writeFile(join(this.supportFolder, BEHAVIOUR_FILE), JSON.stringify(this.#behaviour));
  }

  /** The numbers of its processes; normally one or none. */
  processes(): number[] {
    return processesOf(this.executable, this.pidPath);
  }

  get running(): boolean {
    return this.processes().length > 0;
  }

  /** Starts it by hand, and waits until `/identity` answers 200 (or for the process alone). */
  async start(waitFor: "answer" | "process" = "answer"): Promise<void> {
    const child = spawn(this.executable, [PROGRAM], {
      detached: true,
      env: { [SUPPORT_VARIABLE]: this.supportFolder },
      stdio: "ignore",
    });
    child.unref();
    let ended = false;
    child.once("exit", () => {
      ended = true;
    });
    child.once("error", () => {
      ended = true;
    });
    const { startMs = 0, maintenanceMs = 0 } = this.#behaviour;
    const reached = async () => {
      if (ended) throw new Error("STANDIN_ENDED");
      return waitFor === "process" ? this.running : await this.answers();
    };
    await until(reached, startMs + maintenanceMs + DEADLINE_MS, "STANDIN_DID_NOT_START");
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

  /** Stops it politely and waits until its process is gone. */
  async stop(): Promise<void> {
    for (const pid of this.processes()) signal(pid, "SIGTERM");
    await until(() => !this.running, (this.#behaviour.stopMs ?? 0) + DEADLINE_MS, "STANDIN_DID_NOT_STOP");
  }

  /** Ends its process as it is: the settings are not rewritten. */
  async kill(): Promise<void> {
    for (const pid of this.processes()) signal(pid, "SIGKILL");
    await until(() => !this.running, DEADLINE_MS, "STANDIN_DID_NOT_STOP");
  }

  /** Signs a running, signed-out server in, as its owner would. Rejects with `STANDIN_NOT_CLAIMED`. */
  async signIn(): Promise<void> {
    const code = await this.#plexTv.issueClaimCode(this.owner.username);
    const response = await fetch(`${this.url}/myplex/claim?token=${code}`, { method: "POST" });
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error("STANDIN_NOT_CLAIMED");
  }

  /** Locks it out: its owner signs out everywhere. A running server notices within a second of being asked. */
  async lockOut(): Promise<void> {
    await this.#plexTv.revokeAll(this.owner.username);
  }

  /** Ends its process, if need be, and removes its folder. */
  async remove(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A port below the range that the system hands out by itself, so that no other connection takes it between two starts. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error("NO_FREE_PORT");
}

const JANE: Owner = { username: "jane", email: "jane@example.com" };

const SUPPORT_VARIABLE = "PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR";

/** Beside this file, in the same form: TypeScript in the tests, JavaScript in the package. */
const PROGRAM = fileURLToPath(new URL(`./plex-media-server${extname(import.meta.url)}`, import.meta.url));

const DEADLINE_MS = 15_000;

async function firstToken(
  state: NonNullable<LockedOutServerOptions["state"]>,
  issue: () => Promise<string>,
): Promise<string | null> {
  if (state === "signed-out") return null;
  return state === "empty-token" ? "" : issue();
}

function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
