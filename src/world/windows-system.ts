/**
 * What only Windows has, behind the one door (`World.windows`): the registry, its accounts, its processes with their
 * windows, its services, and who may enter a folder. Primitives alone; what they mean for a server is decided in
 * `stores/`, `services/` and `installs/`.
 *
 * Every refusal is a `SystemError`, told by its number and never by a (localised) message: `ENOENT` (2, 3, 1060),
 * `EACCES` (5), `EPERM` (1314: a privilege that this account does not hold), `ESTALE` (1018: the hive was unloaded
 * meanwhile), `EBUSY` (32), `ESRCH` (87 of a process that is gone), else `WIN32_<number>`.
 */
export interface WindowsSystem {
  /** The account that this process acts as. */
  readonly self: WindowsSelf;
  readonly machine: WindowsMachine;
  readonly registry: Registry;
  readonly accounts: WindowsAccounts;
  readonly processes: WindowsProcesses;
  readonly services: WindowsServices;
  readonly folders: FolderAccess;
}

export interface WindowsSelf {
  /** `S-1-5-21-…`, the user of our own token. */
  readonly sid: string;
  /** Whether we hold an administrator's full rights. */
  readonly elevated: boolean;
  /** Elevated by a consent (UAC): the same account has a token without those rights too, its desktop's. */
  readonly split: boolean;
  /** 0 is that of services; people have others. */
  readonly session: number;
}

/**
 * Where the system keeps folders, by its own account. Our environment says it, too, but may hold whatever anything that
 * runs as our account has written there (`HKEY_CURRENT_USER\Environment`), with fewer rights than we have.
 */
export interface WindowsMachine {
  /** `C:\Windows\system32` */
  readonly systemFolder: string;
  /** `C:\ProgramData` */
  readonly programData: string;
}

/** A key; `HKEY_CURRENT_USER` is never used: it is another one when somebody else runs us. */
export interface RegistryKey {
  readonly root: "HKEY_USERS" | "HKEY_LOCAL_MACHINE";
  /** Without the root, separated by single backslashes. */
  readonly path: string;
  /** Of HKEY_LOCAL_MACHINE\SOFTWARE: 64 is the default; 32 is what old installers wrote. */
  readonly view?: "64" | "32";
}

/** A value as it is kept: its type's number (`REG_SZ` is 1, `REG_DWORD` 4, …) and its bytes, a text's NUL included. */
export interface RegistryValue {
  /** Empty for the default value. */
  readonly name: string;
  readonly type: number;
  readonly bytes: Uint8Array;
}

export interface Registry {
  /** All values of a key in the registry's own order, or null when there is no such key. */
  values(key: RegistryKey): Promise<readonly RegistryValue[] | null>;
  /** The names of the keys in it, or null when there is no such key. */
  subkeys(key: RegistryKey): Promise<readonly string[] | null>;
  /** Whether this account may set values in the key; `ENOENT` when there is none. Changes nothing. */
  mayWrite(key: RegistryKey): Promise<boolean>;
  /** Makes the key and its parents; a key that is there stays as it is. */
  createKey(key: RegistryKey): Promise<void>;
  setValue(key: RegistryKey, value: RegistryValue): Promise<void>;
  /** A value that is not there is no error. */
  deleteValue(key: RegistryKey, name: string): Promise<void>;
  /** Makes the whole hive of the key durable (`RegFlushKey`): the registry writes lazily otherwise. */
  flush(key: RegistryKey): Promise<void>;
  /** Hangs a hive file (`NTUSER.DAT`) below HKEY_USERS; `EPERM` without the backup and restore privileges. */
  loadHive(mount: string, file: string): Promise<void>;
  unloadHive(mount: string): Promise<void>;
}

export interface WindowsAccounts {
  /** `DOMAIN\name`, or null when nobody has the SID. */
  nameOf(sid: string): Promise<string | null>;
  /** Of `name`, `.\name`, `DOMAIN\name`, `NT SERVICE\name`, `LocalSystem`; null when there is none. */
  sidOf(name: string): Promise<string | null>;
}

export interface WindowsProcess {
  readonly pid: number;
  /** The pid of who started it; that process may be gone, and the number somebody else's. */
  readonly parent: number;
  /** The file name of its executable. */
  readonly name: string;
}

export interface WindowsProcessDetails {
  /** Milliseconds since 1601 (`FILETIME`); with the pid it names one process for ever. Null: may not be seen. */
  readonly startedMs: number | null;
  /** Whole path of the executable; null: may not be seen. */
  readonly executable: string | null;
  readonly session: number | null;
  /**
   * Whose it is. `another`: not ours, and this account may not see whose. `hidden`: it could be ours, with more
   * rights than we hold.
   */
  readonly owner: { readonly sid: string; readonly elevated: boolean } | "another" | "hidden";
}

export interface WindowsProcesses {
  readonly ownPid: number;
  /** Every process of the machine. */
  list(): Promise<readonly WindowsProcess[]>;
  /** Null when it has ended. */
  details(pid: number): Promise<WindowsProcessDetails | null>;
  /**
   * Asks every top-level window of a process to close (`WM_CLOSE`), as `taskkill` without `/f` does, and returns at
   * once with the number of windows asked: 0 when it has none on our desktop. `EACCES` when it runs with more rights.
   */
  closeWindows(pid: number): Promise<number>;
  /** Starts a program of our own account, with our rights, detached from us and our console. */
  start(executable: string): Promise<void>;
  /**
   * Starts a program as the account, with the rights and on the desktop, of a running process. What that process is
   * may be another one by now than was seen before: it counts by the very token that is used. `ESRCH`, and nothing is
   * started, when there is none with the number, or it is not the account's or has an administrator's full rights.
   */
  startLike(pid: number, sid: string, executable: string): Promise<void>;
}

export interface WindowsService {
  readonly name: string;
  readonly state: "stopped" | "start-pending" | "stop-pending" | "running" | "paused";
  /** 0 while it does not run. */
  readonly pid: number;
  /** Its command line, quotes included. */
  readonly command: string;
  /** `LocalSystem`, `NT AUTHORITY\LocalService`, `NT SERVICE\name`, `.\name`, `DOMAIN\name`. */
  readonly account: string;
}

export interface WindowsServices {
  /** Every service with a process of its own; those whose configuration may not be seen are left out. */
  list(): Promise<readonly WindowsService[]>;
  /** Null when there is none of the name. */
  query(name: string): Promise<WindowsService | null>;
  /** Whether this account may stop and start it; `ENOENT`. Changes nothing. */
  mayControl(name: string): Promise<boolean>;
  /** Asks it to stop and returns when the request is taken; nothing to do for one that is stopped. */
  stop(name: string): Promise<void>;
  /** Asks for its start and returns when the request is taken; nothing to do for one that runs. */
  start(name: string): Promise<void>;
}

/** A file by its name, and which one it was seen to be (`FileStat`): where the name means another one now, `ESTALE`. */
export interface KnownFile {
  readonly path: string;
  readonly dev: string;
  readonly ino: string;
}

/** Who may enter a folder and use a file, and what that has to do with replacing one. No call follows a link. */
export interface FolderAccess {
  /**
   * Makes a folder that its owner (our account; the administrators where we are elevated), the system and the
   * administrators may enter, nobody else; what is made in it inherits that. `EEXIST` when anything has the name.
   */
  makePrivate(path: string): Promise<void>;
  /** The owner's SID, and the SIDs that are allowed anything there. */
  accessOf(path: string): Promise<{ readonly owner: string; readonly allowed: readonly string[] }>;
  /**
   * Gives a file what another one has beside its bytes: access list (to the letter, with its marks), owner, group,
   * integrity label, and whether it is hidden, the system's, indexed. Answers what differs when that is done, read back
   * from both: `owner`, `group`, `dacl`, `label`, `attributes`, and what is never carried, `encryption` and every
   * further stream (`:name`). Where files have no access lists, those do not count.
   */
  copyAccess(from: KnownFile, to: KnownFile): Promise<readonly string[]>;
  /**
   * Whether the file could be replaced: `EPERM` for one that is marked read-only, `EACCES`, `EBUSY` while somebody
   * holds it who does not share that. Changes nothing.
   */
  demandReplaceable(file: KnownFile): Promise<void>;
  /**
   * Gives a file of ours another name, through to the disk: at once or not at all. `EEXIST` when the name is taken
   * and not to be replaced; `EBUSY` while anybody at all, ourselves too, holds the file that is to be replaced.
   */
  rename(file: KnownFile, to: string, replacing: boolean): Promise<void>;
}
