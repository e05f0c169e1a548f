import { win32 } from "node:path";
import type {
  FolderAccess,
  RegistryValue,
  WindowsAccounts,
  WindowsMachine,
  WindowsProcess,
  WindowsProcessDetails,
  WindowsProcesses,
  WindowsSelf,
  WindowsService,
  WindowsServices,
  WindowsSystem,
} from "../../src/world/windows-system.ts";
import { type FileStat, type Files, SystemError } from "../../src/world/world.ts";
import { fileAccessOnHost } from "./file-access-on-host.ts";
import { MemoryRegistry, textValue } from "./memory-registry.ts";

export const PMS = "Plex Media Server.exe";
export const PROGRAM_FOLDER = "C:\\Program Files\\Plex\\Plex Media Server";
export const EXECUTABLE = `${PROGRAM_FOLDER}\\${PMS}`;
export const LOCAL_SYSTEM = "S-1-5-18";
export const JANE = "S-1-5-21-1-2-3-1001";
export const BOB = "S-1-5-21-1-2-3-1002";
const SERVER_KEY = "Software\\Plex, Inc.\\Plex Media Server";
const WINDOWS_NT = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";

/** A running program. What this account may see of it is told by `details`, as Windows would. */
export interface SimulatedProcess {
  readonly pid: number;
  readonly parent: number;
  readonly executable: string;
  readonly sid: string;
  readonly elevated: boolean;
  readonly session: number;
  readonly startedMs: number;
  /** Top-level windows. */
  readonly windows: number;
  /** More looks until it is gone, once it was asked to close; null: it does not close. */
  readonly looksToClose: number | null;
  /** Nothing of it may be seen, whatever this account is. */
  readonly hidden: boolean;
}

/** A service; with `server` it starts one, and again whenever that ends without it. */
export interface SimulatedService {
  readonly name: string;
  readonly command: string;
  readonly account: string;
  readonly server?: { readonly executable: string; readonly sid: string };
  /** Looks that a start or a stop takes. */
  readonly looks: number;
  readonly mayControl: boolean;
}

interface RunningService extends SimulatedService {
  state: WindowsService["state"];
  pid: number;
  serverPid: number;
  looksLeft: number;
}

interface Ending {
  process: SimulatedProcess;
  looksLeft: number | null;
}

/**
 * A Windows in memory. Time passes by looks: each list of processes and each query of a service is one. A server
 * that was asked to close is there for some looks more; a service is pending for some; one that supervises a server
 * starts it again at the look after that ended by itself. Faults are refusals of calls by name (`services.stop`).
 */
export class SimulatedWindows implements WindowsSystem {
  self: WindowsSelf = { sid: JANE, elevated: false, split: false, session: 1 };
  machine: WindowsMachine = { systemFolder: "C:\\Windows\\system32", programData: "C:\\ProgramData" };
  readonly registry = new MemoryRegistry();
  readonly accounts: WindowsAccounts;
  readonly processes: WindowsProcesses;
  readonly services: WindowsServices;
  readonly folders: FolderAccess;
  readonly files: Files;
  /** Calls that changed something, in order: `close 104`, `start C:\…`, `startLike 100 C:\…`, `services.stop x`. */
  readonly changes: string[] = [];
  /** Codes with which calls are refused, by name. */
  readonly refusals = new Map<string, string>();
  /** Runs when a server begins or ends, whoever did that. */
  onServer: (what: "began" | "ended", process: SimulatedProcess) => void = () => undefined;
  readonly #names = new Map<string, string>();
  readonly #running = new Map<number, Ending>();
  readonly #services = new Map<string, RunningService>();
  readonly #entries = new Map<string, Entry>();
  readonly #privateFolders = new Set<string>();
  #nextPid = 104;
  #nowMs = 13_400_000_000_000;

  constructor() {
    this.registry.setKey(WINDOWS_NT, [textValue("SystemRoot", "C:\\Windows")]);
    this.registry.setKey("HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion", [
      textValue("ProgramFilesDir", "C:\\Program Files"),
      textValue("ProgramFilesDir (x86)", "C:\\Program Files (x86)"),
    ]);
    this.registry.setKey(`${WINDOWS_NT}\\ProfileList`);
    this.addAccount(LOCAL_SYSTEM, "NT AUTHORITY\\SYSTEM", "%systemroot%\\system32\\config\\systemprofile");
    this.registry.setKey("HKEY_USERS\\.DEFAULT");
    this.accounts = this.#accounts();
    this.processes = this.#processes();
    this.services = this.#serviceManager();
    this.folders = this.#folders();
    this.files = this.#files();
  }

  // What is on the machine.

  /** An account with a folder; its hive is loaded unless told otherwise. */
  addAccount(sid: string, name: string, profile: string, { loaded = true } = {}): void {
    this.#names.set(sid, name);
    this.registry.setKey(`${WINDOWS_NT}\\ProfileList\\${sid}`, [textValue("ProfileImagePath", profile, 2)]);
    if (loaded) this.registry.setKey(`HKEY_USERS\\${sid}`);
    if (loaded && sid.startsWith("S-1-5-21-")) this.registry.setKey(`HKEY_USERS\\${sid}_Classes`);
  }

  /** Settings in an account's hive. */
  addSettings(sid: string, values: readonly RegistryValue[] = [textValue("FriendlyName", "attic")]): void {
    this.registry.setKey(`HKEY_USERS\\${sid}\\${SERVER_KEY}`, values);
  }

  /** A file, or a link to somewhere else; the folders above it are there, too. */
  addFile(path: string, entry: Entry = { kind: "file" }): void {
    this.#entries.set(path.toLowerCase(), entry);
  }

  addFolder(path: string): void {
    this.addFile(path, { kind: "folder" });
  }

  addService(service: Partial<SimulatedService> & { name: string }, state: "running" | "stopped"): number {
    const given = { command: "", account: "LocalSystem", looks: 1, mayControl: true, ...service };
    const record: RunningService = { ...given, state: "stopped", pid: 0, serverPid: 0, looksLeft: 0 };
    this.#services.set(service.name.toLowerCase(), record);
    if (state === "running") this.#beginService(record);
    return record.pid;
  }

  /** Starts a program; one that is called as the server is has a window and closes at the second look. */
  addProcess(process: Partial<SimulatedProcess> = {}): number {
    const executable = process.executable ?? EXECUTABLE;
    const isServer = win32.basename(executable).toLowerCase() === PMS.toLowerCase();
    this.#nextPid += 4;
    this.#nowMs += 1000;
    const whole: SimulatedProcess = {
      pid: this.#nextPid,
      parent: 4,
      sid: this.self.sid,
      elevated: false,
      session: this.self.session,
      startedMs: this.#nowMs,
      windows: isServer ? 1 : 0,
      looksToClose: 2,
      hidden: false,
      ...process,
      executable,
    };
    this.#running.set(whole.pid, { process: whole, looksLeft: null });
    if (isServer) this.onServer("began", whole);
    return whole.pid;
  }

  /** Ends a program as a crash would. */
  end(pid: number): void {
    const ended = this.#running.get(pid)?.process;
    if (!this.#running.delete(pid) || ended === undefined) return;
    if (win32.basename(ended.executable) === PMS) this.onServer("ended", ended);
  }

  /** What runs under a name now. */
  running(name: string = PMS): SimulatedProcess[] {
    const all = [...this.#running.values()].map(({ process }) => process);
    return all.filter(({ executable }) => win32.basename(executable) === name);
  }

  #look(): void {
    for (const [pid, ending] of this.#running) {
      if (ending.looksLeft === null) continue;
      if (ending.looksLeft === 0) this.end(pid);
      else ending.looksLeft -= 1;
    }
    for (const service of this.#services.values()) this.#lookAt(service);
  }

  #lookAt(service: RunningService): void {
    if (service.looksLeft > 0) {
      service.looksLeft -= 1;
    } else if (service.state === "start-pending") {
      this.#beginService(service);
    } else if (service.state === "stop-pending") {
      for (const pid of [service.serverPid, service.pid]) this.end(pid);
      Object.assign(service, { state: "stopped", pid: 0, serverPid: 0 });
    } else if (service.state === "running" && !this.#running.has(service.serverPid)) {
      this.#beginServerOf(service);
    }
  }

  #beginService(service: RunningService): void {
    const sid = this.#sidOf(service.account) ?? LOCAL_SYSTEM;
    const [, quoted, plain] = /^(?:"([^"]+)"|(.+?\.exe)(?:\s|$))/iu.exec(service.command) ?? [];
    const executable = quoted ?? plain ?? "C:\\Windows\\System32\\service.exe";
    service.pid = this.addProcess({ executable, sid, session: 0, elevated: true, windows: 0 });
    service.state = "running";
    this.#beginServerOf(service);
  }

  #beginServerOf(service: RunningService): void {
    const { server, pid } = service;
    if (server === undefined) return;
    service.serverPid = this.addProcess({ ...server, parent: pid, session: 0, elevated: true, windows: 0 });
  }

  #refuse(call: string, path: string): void {
    const code = this.refusals.get(call);
    if (code !== undefined) throw new SystemError(code, call, path);
  }

  #sidOf(account: string): string | undefined {
    const plain = account.toLowerCase();
    if (plain === "localsystem") return LOCAL_SYSTEM;
    const [found] = [...this.#names].find(
      ([, name]) => name.toLowerCase() === plain || name.toLowerCase().endsWith(plain.replace(/^\./u, "")),
    ) ?? [undefined];
    return found;
  }

  // The port.

  #accounts(): WindowsAccounts {
    return {
      nameOf: async (sid) => this.#names.get(sid) ?? null,
      sidOf: async (name) => this.#sidOf(name) ?? null,
    };
  }

  #processes(): WindowsProcesses {
    return {
      ownPid: 8,
      list: async () => {
        this.#look();
        return [...this.#running.values()].map(({ process }): WindowsProcess => {
          const { pid, parent, executable } = process;
          return { pid, parent, name: win32.basename(executable) };
        });
      },
      details: async (pid) => {
        const process = this.#running.get(pid)?.process;
        return process === undefined ? null : this.#seen(process);
      },
      closeWindows: async (pid) => {
        this.#refuse("closeWindows", String(pid));
        const ending = this.#running.get(pid);
        if (ending === undefined) throw new SystemError("ESRCH", "closeWindows", String(pid));
        const { process } = ending;
        if (process.session !== this.self.session || process.windows === 0) return 0;
        if (process.elevated && !this.self.elevated)
          throw new SystemError("EACCES", "closeWindows", String(pid));
        this.changes.push(`close ${pid}`);
        ending.looksLeft = process.looksToClose;
        return process.windows;
      },
      start: async (executable) => {
        this.#refuse("start", executable);
        this.changes.push(`start ${executable}`);
        this.addProcess({ executable, elevated: this.self.elevated, parent: this.processes.ownPid });
      },
      startLike: async (pid, sid, executable) => {
        this.#refuse("startLike", executable);
        const like = this.#running.get(pid)?.process;
        if (like === undefined || like.sid !== sid || like.elevated) {
          throw new SystemError("ESRCH", "startLike", String(pid));
        }
        this.changes.push(`startLike ${pid} ${executable}`);
        this.addProcess({ executable, sid, elevated: false, session: like.session, parent: pid });
      },
    };
  }

  /** Who is not elevated sees little of others, and not whose an elevated process at the own desktop is. */
  #seen({ startedMs, executable, session, sid, elevated, hidden }: SimulatedProcess): WindowsProcessDetails {
    const { self } = this;
    const nothing = { startedMs: null, executable: null, session };
    if (hidden) return { ...nothing, owner: "hidden" };
    if (self.elevated || (sid === self.sid && !elevated)) {
      return { startedMs, executable, session, owner: { sid, elevated } };
    }
    if (sid === self.sid && session === self.session)
      return { startedMs, executable, session, owner: "hidden" };
    return { ...nothing, owner: session === 0 || session === self.session ? "hidden" : "another" };
  }

  #serviceManager(): WindowsServices {
    const find = (name: string) => this.#services.get(name.toLowerCase());
    const demand = (call: string, name: string) => {
      this.#refuse(call, name);
      const service = find(name);
      if (service === undefined) throw new SystemError("ENOENT", call, name);
      return service;
    };
    const controlled = (call: string, name: string) => {
      const service = demand(call, name);
      if (!service.mayControl) throw new SystemError("EACCES", call, name);
      this.changes.push(`${call} ${service.name}`);
      return service;
    };
    return {
      list: async () => {
        this.#refuse("services.list", "");
        return [...this.#services.values()].map(described);
      },
      query: async (name) => {
        this.#refuse("services.query", name);
        this.#look();
        const service = find(name);
        return service === undefined ? null : described(service);
      },
      mayControl: async (name) => demand("services.mayControl", name).mayControl,
      stop: async (name) => {
        const service = controlled("services.stop", name);
        if (service.state !== "stopped")
          Object.assign(service, { state: "stop-pending", looksLeft: service.looks });
      },
      start: async (name) => {
        const service = controlled("services.start", name);
        if (service.state === "stopped")
          Object.assign(service, { state: "start-pending", looksLeft: service.looks });
      },
    };
  }

  #folders(): FolderAccess {
    return {
      makePrivate: async (path) => {
        if (this.#privateFolders.has(path)) throw new SystemError("EEXIST", "makePrivate", path);
        this.#privateFolders.add(path);
      },
      accessOf: async (path) => {
        if (!this.#privateFolders.has(path)) throw new SystemError("ENOENT", "accessOf", path);
        return { owner: this.self.sid, allowed: [this.self.sid, LOCAL_SYSTEM, "S-1-5-32-544"] };
      },
      ...fileAccessOnHost(),
    };
  }

  /** Enough of the files for finding servers; anything else that is asked of them throws. */
  #files(): Files {
    const entryOf = (call: string, path: string): Entry => {
      const folded = path.toLowerCase();
      const entry = this.#entries.get(folded);
      if (entry?.kind === "closed") throw new SystemError("EACCES", call, path);
      if (entry !== undefined) return entry;
      const isAbove = [...this.#entries.keys()].some((each) => each.startsWith(`${folded}\\`));
      if (!isAbove) throw new SystemError("ENOENT", call, path);
      return { kind: "folder" };
    };
    const absent = async (path: string): Promise<never> => {
      throw new SystemError("ENOSYS", "simulated", path);
    };
    return {
      lstat: async (path) => ({ ...STAT, kind: kindOf(entryOf("lstat", path)) }),
      stat: async (path) => {
        const entry = entryOf("stat", path);
        return { ...STAT, kind: entry.kind === "link" ? "folder" : kindOf(entry) };
      },
      realPath: async (path) => {
        const above = [path, win32.dirname(path), win32.dirname(win32.dirname(path))];
        for (const each of above) {
          const entry = this.#entries.get(each.toLowerCase());
          if (entry?.kind === "link") return entry.to + path.slice(each.length);
        }
        entryOf("realpath", path);
        return path;
      },
      openFolder: absent,
      readLink: absent,
      list: absent,
      read: absent,
    };
  }
}

/** What is at a path. `closed`: this account may not look. */
export type Entry =
  | { readonly kind: "file" | "folder" | "closed" }
  | { readonly kind: "link"; readonly to: string };

const STAT = { dev: "1", ino: "1", links: 1, uid: 0, gid: 0, mode: 0o666, size: 1, mtimeNs: "0" };

function kindOf(entry: Entry): FileStat["kind"] {
  return entry.kind === "closed" ? "other" : entry.kind;
}

function described({ name, state, pid, command, account }: RunningService): WindowsService {
  return { name, state, pid, command, account };
}

/** The usual machine: Jane at her desktop, who runs the server that is installed for everybody. */
export function usualWindows(): { readonly windows: SimulatedWindows; readonly desktop: number } {
  const windows = new SimulatedWindows();
  windows.addAccount(JANE, "ATTIC\\jane", "%SystemDrive%\\Users\\jane");
  windows.addFile(EXECUTABLE);
  const desktop = windows.addProcess({ executable: "C:\\Windows\\explorer.exe", sid: JANE });
  return { windows, desktop };
}
