import { readFileSync } from "node:fs";
import { chown, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { signal, until } from "../../src/standins/server-process.ts";
import { type RunOptions, type RunResult, SystemError, type World } from "../../src/world/world.ts";
import { APPLICATION, DEFAULT_APPLICATION, type MacApplication } from "./mac-application.ts";
import { macFiles } from "./mac-files.ts";
import { layOutServer } from "./mac-layout.ts";
import type { MacServer, ServerOnMac } from "./mac-server.ts";
import { DEFAULT_SWITCHES, type MacSwitches } from "./mac-switches.ts";
import { type MacFault, MacFaults, ProcessDied, runTool, toolOf } from "./mac-tools.ts";
import type { MacValue, MacValues } from "./mac-values.ts";

export interface MacUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly realName: string;
}

export interface MacOptions {
  /** Default: jane (501). The first is logged in at the desktop; `desktop` says otherwise. */
  readonly users?: readonly (Pick<MacUser, "name"> & Partial<MacUser> & { readonly desktop?: boolean })[];
  readonly switches?: Partial<MacSwitches>;
}

/** From where a program is started: a window of the desktop, or a session over the network. */
export type From = "desktop" | "ssh";

/**
 * A Mac in a folder of the test: its disk, its accounts, its preference daemon and its tools, which are programs in
 * `test/mac/tools`. Nothing of it touches the machine that the test runs on. `close` it.
 */
export async function openMac(options: MacOptions = {}): Promise<Mac> {
  const { users = [{ name: "jane" }] } = options;
  const folder = await mkdtemp(join(tmpdir(), "stand-in-mac-"));
  const people = users.map((user, place) => ({
    uid: 501 + place,
    gid: 20,
    home: `/Users/${user.name}`,
    realName: user.name,
    ...user,
  }));
  const desktops = people.filter((user, place) => user.desktop ?? place === 0).map(({ uid }) => uid);
  const mac = new Mac(folder, [ROOT, ...people], desktops, { ...DEFAULT_SWITCHES, ...options.switches });
  try {
    await mac.lay();
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return mac;
}

export class Mac {
  /** Where its disk really is; `real` tells where one of its paths is. */
  readonly disk: string;
  readonly users: readonly MacUser[];
  readonly #folder: string;
  readonly #owners = new Map<string, { uid: number; gid: number }>();
  readonly #servers = new Map<number, object>();
  readonly #loginItems = new Map<number, object[]>();
  readonly #faults = new MacFaults();
  #desktops: readonly number[];
  #switches: MacSwitches;
  #application: MacApplication = DEFAULT_APPLICATION;

  constructor(folder: string, users: readonly MacUser[], desktops: readonly number[], switches: MacSwitches) {
    this.#folder = folder;
    this.disk = join(folder, "disk");
    this.users = users;
    this.#desktops = desktops;
    this.#switches = switches;
  }

  get switches(): MacSwitches {
    return this.#switches;
  }

  /** Makes the disk and what every Mac has on it. */
  async lay(): Promise<void> {
    for (const name of ["processes", "cfprefsd", "jobs", "servers"])
      await mkdir(join(this.#folder, "state", name), { recursive: true });
    const everywhere = ["/Applications", "/Library/LaunchAgents", "/Library/LaunchDaemons", "/Users/Shared"];
    for (const path of [...everywhere, "/private/tmp", "/private/var/folders", "/private/var/root"])
      await mkdir(this.real(path), { recursive: true });
    for (const name of ["tmp", "var"]) await symlink(`private/${name}`, this.real(`/${name}`));
    for (const user of this.users) {
      for (const name of ["Preferences", "LaunchAgents", "Logs", "Caches", "Application Support"])
        await mkdir(this.real(`${user.home}/Library/${name}`), { recursive: true, mode: 0o700 });
      await this.own(user.home, user);
      await this.own(`${user.home}/Library`, user);
    }
    await this.#write();
  }

  /** Where a path of the Mac really is. */
  real(path: string): string {
    return join(this.disk, path);
  }

  /** A path of its state that is not on its disk. */
  state(...parts: readonly string[]): string {
    return join(this.#folder, "state", ...parts);
  }

  userNamed(name: string): MacUser {
    const found = this.users.find((user) => user.name === name);
    if (found === undefined) throw new Error("NO_SUCH_USER");
    return found;
  }

  /** Gives a path to an account, where the test may do that. */
  async own(path: string, user: MacUser): Promise<void> {
    if (process.geteuid?.() === 0) await chown(this.real(path), user.uid, user.gid);
  }

  async setSwitches(switches: Partial<MacSwitches>): Promise<void> {
    this.#switches = { ...this.#switches, ...switches };
    await this.#write();
  }

  async setApplication(application: Partial<MacApplication>): Promise<void> {
    this.#application = { ...this.#application, ...application };
    await this.#write();
  }

  /** Who is logged in at the desktop; the first one sits there. */
  async setDesktops(names: readonly string[]): Promise<void> {
    this.#desktops = names.map((name) => this.userNamed(name).uid);
    await this.#write();
  }

  /** Installs the server for an account, with its settings in that account's domain; it is not started. */
  async installServer(options: ServerOnMac): Promise<MacServer> {
    const user = this.userNamed(options.user ?? this.users[1]?.name ?? "");
    const { server, description, loginItems } = await layOutServer(this, user, options);
    this.#servers.set(user.uid, description);
    this.#loginItems.set(user.uid, loginItems);
    await this.setApplication(options.application ?? {});
    await server.lay();
    return server;
  }

  /**
   * Runs a tool as a test does: no fault strikes, and it does not count. Root is in the session of the desktop, as
   * after `sudo` in a window; a user in its own.
   */
  async run(
    user: string,
    tool: string,
    args: readonly string[],
    options: { readonly stdin?: string; readonly from?: From; readonly timeoutMs?: number } = {},
  ): Promise<RunResult> {
    const { timeoutMs = TIMEOUT_MS, stdin, from } = options;
    const program = toolOf(tool);
    if (program === null) throw new SystemError("ENOENT", "spawn", tool);
    return await this.#tool(user, from, program, args, {
      timeoutMs,
      ...(stdin === undefined ? {} : { stdin }),
    });
  }

  /**
   * The parts of a world that are this Mac, for one process of an account: its files at `/`, its tools by their paths
   * or names, and nothing else. The process dies of a fault that says so: every later call throws `ProcessDied`.
   */
  world(
    name: string,
    options: { readonly from?: From } = {},
  ): Pick<World, "platform" | "user" | "env" | "files" | "run"> {
    const user = this.userNamed(name);
    const life = { dead: false };
    const demandAlive = () => {
      if (life.dead) throw new ProcessDied();
    };
    const view = {
      disk: this.disk,
      uid: user.uid,
      users: this.users,
      owners: this.#owners,
      closed: () => this.#switches.closed,
      demandAlive,
    };
    return {
      platform: "darwin",
      user: { uid: user.uid, gid: user.gid, name: user.name, home: user.home },
      env: { HOME: user.home, USER: user.name, TMPDIR: "/tmp/" },
      files: macFiles(view),
      run: async (file, args, runOptions) => {
        demandAlive();
        const tool = toolOf(file);
        if (tool === null || runOptions.shell) throw new SystemError("ENOENT", "spawn", file);
        const call = () => this.#tool(name, options.from, tool, args, runOptions);
        return await this.#faults.around(tool, call, life);
      },
    };
  }

  /** Lets a call of a tool, counted from now, fail, hang or be the last one of its process. One at a time. */
  fault(fault: MacFault | null): void {
    this.#faults.set(fault);
  }

  /** How many tool calls the worlds have made. */
  get calls(): number {
    return this.#faults.count;
  }

  /** Everything that was called, worlds and tests alike, and what `sudo` and `launchctl asuser` called for them. */
  async calledWith(): Promise<{ uid: number; session: string; tool: string; args: string[] }[]> {
    const text = await readFile(this.state("calls.jsonl"), "utf8").catch(() => "");
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  /** What the daemon says of a domain, in its order; its memory stays as it is. */
  async values(user: string, domain: string): Promise<MacValues> {
    return new Map((await this.control(user, { do: "read", domain })).values);
  }

  /** What stands in the file of a property list. Rejects when there is none. */
  async fileValues(path: string): Promise<MacValues> {
    return new Map((await this.control("root", { do: "read_file", path })).values);
  }

  /** Changes a domain through the daemon, as an application does; null deletes. */
  async setValues(
    user: string,
    domain: string,
    values: Readonly<Record<string, MacValue | null>>,
  ): Promise<void> {
    await this.control(user, { do: "write", domain, replace: false, values: Object.entries(values) });
  }

  /** The daemon writes all that it has not written yet. */
  async flush(): Promise<void> {
    await this.control("root", { do: "flush" });
  }

  /** The daemon forgets everything, unwritten changes too: a power cut. */
  async forget(): Promise<void> {
    await this.control("root", { do: "forget" });
  }

  /** Changes a property list's file and tells nobody; null deletes a key. */
  async editFileBehindItsBack(
    path: string,
    values: Readonly<Record<string, MacValue | null>>,
  ): Promise<void> {
    await this.control("root", { do: "edit_file", path, values: Object.entries(values) });
  }

  /** What the test asks of the Mac past its tools; see `control.py`. Rejects with `MAC_CONTROL_FAILED` and why. */
  async control(user: string, request: object): Promise<ControlAnswer> {
    const options = { timeoutMs: TIMEOUT_MS, stdin: JSON.stringify(request) };
    const result = await runTool(this.#environment(user, undefined), "control.py", [], options);
    if (result.status !== 0) throw new Error(`MAC_CONTROL_FAILED ${result.stderr}`);
    return JSON.parse(result.stdout) as ControlAnswer;
  }

  /** Ends everything that runs on it, and removes it. */
  async close(): Promise<void> {
    for (const name of ["jobs", "hidden-jobs"]) await rm(this.state(name), { recursive: true, force: true });
    const ended = async () => {
      const { applications = [] } = await this.control("root", { do: "applications" });
      for (const { pid } of applications) signal(pid, "SIGKILL");
      return applications.length === 0;
    };
    await until(ended, TIMEOUT_MS, "STANDIN_DID_NOT_STOP");
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  async #tool(
    user: string,
    from: From | undefined,
    tool: string,
    args: readonly string[],
    options: RunOptions,
  ): Promise<RunResult> {
    return await runTool(this.#environment(user, from), tool, args, options);
  }

  #environment(name: string, from: From = "desktop"): Record<string, string> {
    const { uid } = this.userNamed(name);
    const seat = uid === 0 ? this.#desktops[0] : this.#desktops.find((each) => each === uid);
    const outside = uid === 0 ? "system" : `user/${uid}`;
    const session = from === "desktop" && seat !== undefined ? `gui/${seat}` : outside;
    return { MAC_STANDIN: this.#folder, MAC_UID: String(uid), MAC_SESSION: session };
  }

  /** All at once: a tool that starts in this moment reads the old one or the new one. */
  async #write(): Promise<void> {
    const about = {
      users: this.users,
      desktops: this.#desktops,
      switches: this.#switches,
      application: { ...APPLICATION, ...this.#application },
      servers: Object.fromEntries(this.#servers),
      loginItems: Object.fromEntries(this.#loginItems),
      node: process.execPath,
      program: PROGRAM,
      owner: { pid: process.pid, ticks: startOfThisProcess() },
    };
    const part = join(this.#folder, `mac.json.${process.hrtime.bigint()}`);
    await writeFile(part, JSON.stringify(about));
    await rename(part, join(this.#folder, "mac.json"));
  }
}

export interface ControlAnswer {
  readonly values?: readonly (readonly [string, MacValue])[];
  readonly applications?: readonly {
    readonly pid: number;
    readonly uid: number;
    readonly job: string | null;
  }[];
}

const ROOT: MacUser = { name: "root", uid: 0, gid: 0, home: "/var/root", realName: "System Administrator" };
const TIMEOUT_MS = 60_000;
const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const PROGRAM = join(PROJECT, "src/standins/plex-media-server.ts");

function startOfThisProcess(): number {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ").at(-1)?.split(" ");
  return Number(fields?.[19]);
}
