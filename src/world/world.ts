import type { Secret } from "../model/secret.ts";
import type { WindowsSystem } from "./windows-system.ts";

/**
 * The one door to the operating system. Everything that reads or changes the world outside this process goes
 * through here, so that a dry run, fault injection and tests of one platform on another are wrappers of it.
 *
 * Calls throw `SystemError` for what the system refused; `HttpFailure` for a request without a whole answer.
 */
export interface World {
  readonly platform: "linux" | "darwin" | "win32";
  readonly user: WorldUser;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly files: Files;
  readonly processes: Processes;
  readonly http: Http;
  /** There on Windows, and on no other system. */
  readonly windows?: WindowsSystem;
  /** Cryptographically strong random bytes as hex. */
  randomHex(bytes: number): string;
  /**
   * Runs a program to its end. A mere name is looked for in the folders of the system alone, in no PATH. See
   * `RunOptions`; output is capped at 1 MiB a stream.
   */
  run(file: string, args: readonly string[], options: RunOptions): Promise<RunResult>;
  /**
   * Takes a lock on a name for this whole machine, whatever account or state directory the holder has; freed
   * by the kernel when the process ends. Answers null when somebody else holds it.
   */
  lock(name: string): Promise<{ release(): Promise<void> } | null>;
}

export interface WorldUser {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly home: string;
}

export interface Clock {
  /** Wall clock, milliseconds since 1970; for names and reports only. */
  now(): number;
  /** Never jumps; for deadlines. Milliseconds. */
  monotonicMs(): number;
  /** Resolves after the time, or at once when the signal is (or becomes) aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface RunOptions {
  readonly timeoutMs: number;
  /** Aborted, it ends the program as the deadline would; that counts as `timedOut`, too. */
  readonly signal?: AbortSignal;
  /** The whole environment of the child besides a fixed PATH and LANG=C; never a secret. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array;
  /** Run in a shell of its own process group (a user's own command). */
  readonly shell?: boolean;
  /** Files passed as descriptors 3, 4, … Not on Windows. */
  readonly pass?: readonly OpenFile[];
  /**
   * At the deadline it is left running, its output going nowhere, and counts as `timedOut`. On Windows alone: a
   * script of the shell does the same elsewhere.
   */
  readonly leaveRunning?: boolean;
}

export interface RunResult {
  /** Exit status, or null when it was ended by a signal, by its deadline or by who called it. */
  readonly status: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** A refused system call, narrowed once: `code` is the POSIX name (`ENOENT`, `EACCES`, …). */
export class SystemError extends Error {
  readonly code: string;
  readonly call: string;
  readonly path: string;

  constructor(code: string, call: string, path: string, options?: { cause?: unknown }) {
    super(`${code}: ${call} ${path}`, options);
    this.name = "SystemError";
    this.code = code;
    this.call = call;
    this.path = path;
  }
}

export interface FileStat {
  readonly kind: "file" | "folder" | "link" | "other";
  /** Device and inode as decimal strings: they do not fit a double everywhere. */
  readonly dev: string;
  readonly ino: string;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits only (07777). */
  readonly mode: number;
  readonly size: number;
  /** Nanoseconds since 1970, decimal. */
  readonly mtimeNs: string;
}

export interface Files {
  /** Pins a folder by handle; its last part must not be a link (`ELOOP`/`ENOTDIR` otherwise). */
  openFolder(path: string): Promise<Folder>;
  /** Follows links. */
  stat(path: string): Promise<FileStat>;
  /** Does not follow a link in the last part. */
  lstat(path: string): Promise<FileStat>;
  readLink(path: string): Promise<string>;
  realPath(path: string): Promise<string>;
  list(path: string): Promise<string[]>;
  /** Reads a whole small file as bytes, following links; `EFBIG` past the cap. Only for files that root may trust. */
  read(path: string, capBytes: number): Promise<Uint8Array>;
}

/** A folder that stays the same one whatever happens to its name. */
export interface Folder {
  /** As it was opened, for messages. */
  readonly path: string;
  stat(): Promise<FileStat>;
  list(): Promise<string[]>;
  /** About an entry, not following a link. */
  lstat(name: string): Promise<FileStat>;
  /** Opens an entry: never follows a link (`ELOOP`), never blocks on a FIFO. */
  openFile(name: string, access: FileAccess): Promise<OpenFile>;
  /** Makes a new file: `EEXIST` when anything, even a dangling link, has the name. It may be appended to. */
  createFile(name: string, mode: number): Promise<OpenFile>;
  /** Opens a sub-folder, pinned, never through a link. */
  openFolder(name: string): Promise<Folder>;
  makeFolder(name: string, mode: number): Promise<void>;
  /** Replaces `to` atomically. */
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  removeFolder(name: string): Promise<void>;
  /** Makes the names in it durable. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** `read-write` allows to write anywhere, `append` (and to read) only at the end, as the file may itself demand. */
export type FileAccess = "read" | "read-write" | "append";

export interface OpenFile {
  readonly fd: number;
  stat(): Promise<FileStat>;
  /** The whole content; `EFBIG` past the cap. */
  read(capBytes: number): Promise<Uint8Array>;
  /** Up to `length` bytes from `position`; fewer at the end. */
  readAt(position: number, length: number): Promise<Uint8Array>;
  /** All bytes from the start, in a loop until every one is taken; the file must be empty. */
  write(bytes: Uint8Array): Promise<void>;
  /** Adds at the end, whoever else adds there at the same time; every byte or an error. Opened to `append` only. */
  append(bytes: Uint8Array): Promise<void>;
  chown(uid: number, gid: number): Promise<void>;
  chmod(mode: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  /** Clock ticks since boot. */
  readonly startTicks: number;
  readonly uid: number;
  /** R, S, D, Z …; a zombie (Z) or dead (X) process is not running any more. */
  readonly state: string;
  /** At most 15 bytes of the executable's name: readable by everybody. */
  readonly shortName: string;
  readonly args: readonly string[];
  /** Path of the executable (without a ` (deleted)` mark), or null where this account may not see it. */
  readonly executable: string | null;
  /** Whether the process lives in the same process namespace as we do; null: may not be seen. */
  readonly sameNamespace: boolean | null;
  /** The environment, or null where this account may not see it. */
  readonly env: Readonly<Record<string, string>> | null;
  /** Lines of its control group file; empty where there is none. */
  readonly cgroup: string;
}

export interface Processes {
  readonly ownPid: number;
  /**
   * Those whose short name or executable could be a Plex Media Server's (`Plex Media Serv…`), and those that run
   * `alsoExecutable` where that is given.
   */
  plexMediaServers(alsoExecutable?: string): Promise<ProcessInfo[]>;
}

export interface HttpRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly url: string;
  /** Added to the query string; the only place where a claim code may travel. */
  readonly query?: Readonly<Record<string, string | Secret>>;
  readonly headers: Readonly<Record<string, string | Secret>>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** At most 1 MiB. */
  readonly body: string;
}

/** No whole answer. `sent` tells whether the request may have reached the other side. */
export class HttpFailure extends Error {
  readonly sent: "no" | "maybe";
  /** A short machine word: `ECONNREFUSED`, `ENOTFOUND`, `TIMEOUT`, `CUT_OFF`, `CERT_HAS_EXPIRED`, … */
  readonly reason: string;

  constructor(sent: "no" | "maybe", reason: string, options?: { cause?: unknown }) {
    super(reason, options);
    this.name = "HttpFailure";
    this.sent = sent;
    this.reason = reason;
  }
}

export interface Http {
  /** To this machine, never through a proxy; follows no redirect. */
  local(request: HttpRequest): Promise<HttpAnswer>;
  /** To the internet, through the proxy that the environment names (loopback excepted); follows no redirect. */
  remote(request: HttpRequest): Promise<HttpAnswer>;
}
