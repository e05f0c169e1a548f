import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, win32 } from "node:path";
import { fileURLToPath } from "node:url";
import { layOutDataFolder, type Owner, usedPreferences } from "../../src/standins/data-folder.ts";
import { freePort } from "../../src/standins/locked-out-server.ts";
import type { PlexTvControl } from "../../src/standins/plex-tv-control.ts";
import { randomDeviceId } from "../../src/standins/plex-tv-records.ts";
import {
  BEHAVIOUR_FILE,
  FAILED_STARTS_FILE,
  type ServerBehaviour,
} from "../../src/standins/server-behaviour.ts";
import { until } from "../../src/standins/server-process.ts";
import { dword, type RegValues, sz, textOf } from "./reg-text.ts";
import { windowsStandIns } from "./windows-stand-ins.ts";
import { NODE_IN_WINE, type WineMachine } from "./wine.ts";
import { sidOfWine, WineTools } from "./wine-tools.ts";

export interface ServerInMachine {
  readonly plexTv: PlexTvControl;
  /** What it is to begin with; it is not started. Default: locked-out. */
  readonly state?: "locked-out" | "signed-in" | "signed-out" | "empty-token";
  /** Made at plex.tv when it is not there. Default: jane. */
  readonly owner?: Owner;
  /** `PlexOnlineHome` is there. */
  readonly home?: boolean;
  /** The FriendlyName reads like one of the four values. */
  readonly decoy?: boolean;
  /** Values of the key besides the usual ones, or instead of them, as in a `.reg` file: `hex:00,ff`. */
  readonly values?: Readonly<Record<string, string>>;
  readonly behaviour?: Partial<ServerBehaviour>;
  readonly host?: HostBehaviour;
  /** The name of a service that starts it and starts it again; none: a person does. */
  readonly service?: string;
  /** Whom the service runs as, in the service manager's words; Wine keeps them and runs all as one. Default: `.\root`. */
  readonly serviceAccount?: string;
  /** The SID whose hive holds its settings, and `localAppData` of that account. Default: those of Wine's one account. */
  readonly hive?: { readonly sid: string; readonly localAppData: string };
  /** `LocalAppDataPath`: the parent of a data folder that was moved. */
  readonly movedTo?: string;
  /** A `Preferences.xml` lies in the data folder, which the server of Windows does not read. */
  readonly strayPreferences?: boolean;
  /** Where it is installed. Two servers of one machine need two folders. */
  readonly installFolder?: string;
  /** Which home of `InstallFolder` names that folder; default: the machine's, 64 bits. */
  readonly installFolderIn?: "machine" | "machine-32" | "account" | "nowhere";
  /** In the account's `Run` key. Default: yes for a server without a service. */
  readonly startsAtLogin?: boolean;
}

/** What the windowed program and its service do; changed at any time by `setHost`. */
export interface HostBehaviour {
  /** False: its process is there and comes no further, until this is changed. It has no window yet. */
  readonly starts?: boolean;
  /** False: a dialog is open, and WM_CLOSE has no effect. */
  readonly closes?: boolean;
  /** Ends at once with that code. */
  readonly diesAtStart?: number;
  /** A stop of the service: `never` leaves it running, `for-ever` leaves it in STOP_PENDING. */
  readonly serviceStops?: "politely" | "never" | "for-ever";
  /** How long the service leaves the server to close before it ends it. Default: a minute. */
  readonly serviceStopMs?: number;
  /** How long after its end the service starts the server again. Default: 200. */
  readonly serviceRestartMs?: number;
}

/**
 * Installs a stand-in server in a machine, with its settings in the registry; it is not started. Several can be
 * there, one after the other (`remove`), or at once with install folders and hives of their own; the machine's
 * `InstallFolder` is then that of the last.
 */
export async function installServer(machine: WineMachine, options: ServerInMachine): Promise<WineServer> {
  const {
    plexTv,
    owner = JANE,
    state = "locked-out",
    service,
    startsAtLogin = service === undefined,
  } = options;
  const deviceId = randomDeviceId();
  await plexTv.addAccount(owner.username, owner.email);
  const token = { "signed-out": null, "empty-token": "" }[state as string];
  const preferences = usedPreferences({
    ...options,
    deviceId,
    owner,
    token: token === undefined ? await plexTv.issueServerToken(owner.username, deviceId) : token,
  });
  const sid = options.hive?.sid ?? (await sidOfWine(machine));
  const port = options.behaviour?.port ?? (await freePort());
  const server = new WineServer(machine, options, { sid, port, deviceId, owner });
  const values = new Map([...preferences].map(([name, text]) => [name, registryValue(name, text)]));
  if (options.movedTo !== undefined) values.set("LocalAppDataPath", sz(options.movedTo));
  for (const [name, value] of Object.entries(options.values ?? {})) values.set(name, value);

  const parent = machine.hostPath(win32.dirname(server.dataFolder));
  await mkdir(parent, { recursive: true });
  await layOutDataFolder(parent, preferences);
  if (!options.strayPreferences) await rm(join(parent, "Plex Media Server", "Preferences.xml"));
  await server.lay(values, startsAtLogin);
  if (state === "locked-out") await server.lockOut();
  return server;
}

/** A stand-in server of Windows, as a test sees it: with Wine's own tools, and none of the program's code. */
export class WineServer {
  readonly owner: Owner;
  /** `ProcessedMachineIdentifier`. */
  readonly deviceId: string;
  /** Where it answers, without a trailing slash; the same from in there and from here. */
  readonly url: string;
  /** `HKEY_USERS\<SID>\Software\Plex, Inc.\Plex Media Server`. */
  readonly key: string;
  readonly sid: string;
  /** Paths of Windows. */
  readonly installFolder: string;
  readonly executable: string;
  readonly dataFolder: string;
  readonly #machine: WineMachine;
  readonly #options: ServerInMachine;
  readonly #port: number;
  readonly #work: string;
  readonly #tools: WineTools;
  #host: HostBehaviour;
  #behaviour: Partial<ServerBehaviour>;

  constructor(
    machine: WineMachine,
    options: ServerInMachine,
    parts: { readonly sid: string; readonly port: number; readonly deviceId: string; readonly owner: Owner },
  ) {
    this.owner = parts.owner;
    this.deviceId = parts.deviceId;
    this.url = `http://127.0.0.1:${parts.port}`;
    this.sid = parts.sid;
    this.key = `HKEY_USERS\\${parts.sid}\\${KEY}`;
    this.installFolder = options.installFolder ?? INSTALL_FOLDER;
    this.executable = win32.join(this.installFolder, SERVER_EXECUTABLE);
    const parent = options.movedTo ?? options.hive?.localAppData ?? LOCAL_APP_DATA;
    this.dataFolder = win32.join(parent, "Plex Media Server");
    this.#machine = machine;
    this.#options = options;
    this.#port = parts.port;
    this.#work = `C:\\stand-in\\${parts.port}`;
    this.#tools = new WineTools(machine, this.#work);
    this.#host = options.host ?? {};
    this.#behaviour = { plexTvUrl: options.plexTv.url, ...options.behaviour };
  }

  /** Puts all of it in place, with these values of the key. */
  async lay(values: RegValues, startsAtLogin: boolean): Promise<void> {
    const machine = this.#machine;
    const standIns = await windowsStandIns();
    const folder = machine.hostPath(this.installFolder);
    for (const made of [folder, machine.hostPath(this.#work)]) await mkdir(made, { recursive: true });
    await copyFile(standIns.server, join(folder, SERVER_EXECUTABLE));
    await copyFile(standIns.service, join(folder, SERVICE_EXECUTABLE));
    await this.configure({});
    await this.setHost({});
    const keys = new Map([[this.key, values]]);
    const home = { ...INSTALL_HOMES, account: this.key, nowhere: undefined }[
      this.#options.installFolderIn ?? "machine"
    ];
    const named: [string, string] = ["InstallFolder", sz(`${this.installFolder}\\`)];
    if (home !== undefined) keys.set(home, new Map([...(keys.get(home) ?? []), named]));
    if (startsAtLogin) keys.set(this.#runKey, new Map([["Plex Media Server", sz(`"${this.executable}"`)]]));
    await this.#tools.importReg(keys);
    if (this.#service !== undefined) await this.#createService(this.#service);
  }

  /** Changes what the server does from its next start on; failed starts are counted anew. */
  async configure(behaviour: Partial<ServerBehaviour>): Promise<void> {
    this.#behaviour = { ...this.#behaviour, ...behaviour, port: this.#port };
    const folder = this.#machine.hostPath(this.#work);
    await rm(join(folder, FAILED_STARTS_FILE), { force: true });
    await writeFile(join(folder, BEHAVIOUR_FILE), JSON.stringify(this.#behaviour));
  }

  /** Changes what its window and its service do, at once. */
  async setHost(behaviour: HostBehaviour): Promise<void> {
    this.#host = { ...this.#host, ...behaviour };
    await this.#writeOptions();
  }

  /** What stand-in.ini means: see the sources that read it. */
  async #writeOptions(ofService: readonly string[] = []): Promise<void> {
    const { starts = true, closes = true, diesAtStart = 0, serviceStops = "politely" } = this.#host;
    const { serviceStopMs = 60_000, serviceRestartMs = 200 } = this.#host;
    const { hive } = this.#options;
    const lines = [
      "[server]",
      `node=${NODE_IN_WINE}`,
      `script=${this.#machine.windowsPath(SCRIPT)}`,
      `work=${this.#work}`,
      ...(hive === undefined ? [] : [`hive=${hive.sid}`, `localAppData=${hive.localAppData}`]),
      `starts=${Number(starts)}`,
      `closes=${Number(closes)}`,
      `diesAtStart=${diesAtStart}`,
      `[${this.#service ?? "no service"}]`,
      `server=${this.executable}`,
      `stops=${{ never: 0, politely: 1, "for-ever": 2 }[serviceStops]}`,
      `stopMs=${serviceStopMs}`,
      `restartMs=${serviceRestartMs}`,
      ...ofService,
    ];
    const path = join(this.#machine.hostPath(this.installFolder), "stand-in.ini");
    // Whoever reads it meanwhile reads it whole.
    await writeFile(`${path}.new`, Buffer.from(`\uFEFF${lines.join("\r\n")}\r\n`, "utf16le"));
    await rename(`${path}.new`, path);
  }

  /**
   * Starts it as its user would, or its service, and waits until `/identity` answers 200 (or for the process). Rejects
   * with `STANDIN_ENDED` when it ends before that.
   */
  async start(waitFor: "answer" | "process" = "answer"): Promise<void> {
    let ended = false;
    if (this.#service !== undefined) await this.#tools.succeed("sc.exe", ["start", this.#service]);
    else
      void this.#machine.spawn(this.executable, [], { timeoutMs: LONGEST_MS }).exit.finally(() => {
        ended = true;
      });
    const reached = async () => {
      if (ended) throw new Error("STANDIN_ENDED");
      return waitFor === "answer" ? await this.answers() : await this.isRunning();
    };
    const { startMs = 0, maintenanceMs = 0 } = this.#behaviour;
    await until(reached, startMs + maintenanceMs + DEADLINE_MS, "STANDIN_DID_NOT_START");
  }

  /** The number of its process; one or none. */
  async processes(): Promise<number[]> {
    const path = join(this.#machine.hostPath(this.#work), "host.pid");
    const own = existsSync(path) ? Number(await readFile(path, "utf8")) : 0;
    return (await this.#tools.processesCalled(SERVER_EXECUTABLE)).filter((pid) => pid === own);
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

  /** All values of its key as `reg.exe` exports them; none when there is no key. */
  async values(): Promise<RegValues> {
    return await this.#tools.valuesOf(this.key);
  }

  /** `PlexOnlineToken` in the registry; null when it is not there, or no text. */
  async token(): Promise<string | null> {
    return textOf((await this.values()).get("PlexOnlineToken"));
  }

  /** Sets values of its key as a `.reg` file does; `-` as the value removes one. */
  async setValues(values: Readonly<Record<string, string>>): Promise<void> {
    await this.#tools.importReg(new Map([[this.key, new Map(Object.entries(values))]]));
  }

  /** What starts it at login; null: nothing does. */
  async runEntry(): Promise<string | null> {
    return textOf((await this.#tools.valuesOf(this.#runKey)).get("Plex Media Server"));
  }

  /** Asks its windows to close, as far as they are on the desktop of a program that is started from here. */
  async askToClose(): Promise<void> {
    for (const pid of await this.processes()) await this.#machine.run("taskkill.exe", ["/pid", String(pid)]);
  }

  /** Ends it politely, by its service or by its windows, and waits until it is gone. */
  async close(): Promise<void> {
    if (this.#service === undefined) await this.askToClose();
    else await this.#tools.succeed("sc.exe", ["stop", this.#service]);
    const { stopMs = 0 } = this.#behaviour;
    const over = async () => !(await this.isRunning()) && (await this.serviceState()) !== "STOP_PENDING";
    await until(over, stopMs + DEADLINE_MS, "STANDIN_DID_NOT_STOP");
  }

  /** Ends the server's process as it is, and nothing else: a service will start it again. */
  async kill(): Promise<void> {
    for (const pid of await this.processes())
      await this.#machine.run("taskkill.exe", ["/f", "/pid", String(pid)]);
  }

  /** `RUNNING`, `STOPPED`, …; null when it has no service. */
  async serviceState(): Promise<string | null> {
    return this.#service === undefined ? null : await this.#tools.serviceState(this.#service);
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

  /** Ends it and its service, whatever they do, and removes all that was put in place. */
  async remove(): Promise<void> {
    const machine = this.#machine;
    if (this.#service !== undefined) await this.#removeService(this.#service);
    await this.kill();
    await until(async () => !(await this.isRunning()), DEADLINE_MS, "STANDIN_DID_NOT_STOP");
    await this.#tools.importReg(
      new Map([this.key, ...Object.values(INSTALL_HOMES)].map((key) => [`-${key}`, new Map()])),
    );
    await this.#tools.importReg(new Map([[this.#runKey, new Map([["Plex Media Server", "-"]])]]));
    for (const path of [this.installFolder, this.dataFolder, this.#work])
      await rm(machine.hostPath(path), { recursive: true, force: true });
  }

  get #service(): string | undefined {
    return this.#options.service;
  }

  get #runKey(): string {
    return `HKEY_USERS\\${this.sid}\\Software\\Microsoft\\Windows\\CurrentVersion\\Run`;
  }

  async #createService(name: string): Promise<void> {
    const line = `"${win32.join(this.installFolder, SERVICE_EXECUTABLE)}" ${name}`;
    const account = this.#options.serviceAccount ?? String.raw`.\root`;
    await this.#tools.succeed("sc.exe", ["create", name, "binPath=", line, "obj=", account]);
  }

  /** Wine says of a service whose process was killed that it runs, until it has run and stopped once more. */
  async #removeService(name: string): Promise<void> {
    await this.#writeOptions(["ends=1"]);
    const stopped = async () => {
      if ((await this.serviceState()) === "STOPPED") return true;
      const running = await this.#tools.processesCalled(SERVICE_EXECUTABLE);
      if (running.length === 0) await this.#machine.run("sc.exe", ["start", name]);
      return false;
    };
    await until(stopped, DEADLINE_MS, "STANDIN_DID_NOT_STOP");
    await this.#tools.succeed("sc.exe", ["delete", name]);
  }
}

const JANE: Owner = { username: "jane", email: "jane@example.com" };
const KEY = String.raw`Software\Plex, Inc.\Plex Media Server`;
export const SERVER_EXECUTABLE = "Plex Media Server.exe";
const SERVICE_EXECUTABLE = "plex-service.exe";
const INSTALL_FOLDER = String.raw`C:\Program Files\Plex\Plex Media Server`;
/** Of Wine's one account, as the machine makes it. */
const LOCAL_APP_DATA = String.raw`C:\users\root\AppData\Local`;
/** Since 1.40.2, and before that (DBRW, PMSSVC). */
const INSTALL_HOMES = {
  machine: String.raw`HKEY_LOCAL_MACHINE\SOFTWARE\Plex, Inc.\Plex Media Server`,
  "machine-32": String.raw`HKEY_LOCAL_MACHINE\SOFTWARE\Wow6432Node\Plex, Inc.\Plex Media Server`,
};
const SCRIPT = join(dirname(dirname(fileURLToPath(import.meta.url))), "wine/stand-in/windows-server.mjs");
const DEADLINE_MS = 60_000;
/** Longer than any test. */
const LONGEST_MS = 3_600_000;

/** Whole numbers as such, which a server of Windows keeps its switches in; what of the four is which: CPW. */
function registryValue(name: string, text: string): string {
  const isText = ["PlexOnlineToken", "PlexOnlineUsername", "PlexOnlineMail"].includes(name);
  return !isText && /^\d{1,9}$/.test(text) ? dword(Number(text)) : sz(text);
}
