import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { attempt } from "./attempt.ts";
import type { Processes, ProcessInfo } from "./world.ts";

/**
 * Processes as Linux shows them under `/proc`. What this account may not see is `null` in the answer; a
 * process that ends while it is looked at is left out. Neither throws.
 *
 * @throws SystemError when `/proc` itself cannot be listed
 */
export function linuxProcesses(ownPid: number, proc = "/proc"): Processes {
  return {
    ownPid,
    plexMediaServers: async (alsoExecutable) => {
      const own = namespaceOf(`${proc}/self`);
      const pids = attempt("readdir", proc, () => readdirSync(proc)).filter((name) => /^\d+$/.test(name));
      return pids.flatMap((pid) => candidate(`${proc}/${pid}`, Number(pid), own, alsoExecutable) ?? []);
    },
  };
}

const EXECUTABLE = "Plex Media Server";
/** The kernel keeps 15 bytes of a name. */
const SHORT_NAME = EXECUTABLE.slice(0, 15);
/** The kernel's mark behind the path of an executable that was replaced, as by an update. */
const DELETED = " (deleted)";

type Stat = Pick<ProcessInfo, "shortName" | "state" | "parent" | "startTicks">;

function candidate(folder: string, pid: number, own: Namespace, also?: string): ProcessInfo | null {
  const stat = readStat(folder);
  if (stat === null) return null;
  const executable = readExecutable(folder);
  const args = strings(read(folder, "cmdline") ?? "");
  // A main thread may rename itself (Node's does), and other accounts may not see the executable: then what
  // the program was called by is the best that there is.
  const called = executable ?? args[0] ?? "";
  const bearsName = stat.shortName.startsWith(SHORT_NAME) || basename(called) === EXECUTABLE;
  if (!bearsName && (also === undefined || called !== also)) return null;
  const uid = readUid(folder);
  const info = {
    ...stat,
    pid,
    uid: uid ?? -1,
    args,
    executable,
    sameNamespace: sameNamespace(namespaceOf(folder), own),
    env: readEnvironment(folder),
    cgroup: read(folder, "cgroup") ?? "",
  };
  // The number may have passed to another process since the first look.
  const again = readStat(folder);
  if (again === null || uid === null || again.startTicks !== stat.startTicks) return null;
  return { ...info, state: again.state };
}

/**
 * `PID (NAME) STATE PPID … STARTTIME …`, proc_pid_stat(5): the name may hold spaces and parentheses, so fields
 * are counted from the last closing one. The start time is field 22, the state field 3.
 */
function readStat(folder: string): Stat | null {
  const text = read(folder, "stat");
  if (text === null) return null;
  const opening = text.indexOf("(");
  const closing = text.lastIndexOf(")");
  const fields = text.slice(closing + 2).split(" ");
  const [state, parent] = fields;
  const startTicks = Number(fields[19]);
  if (opening < 0 || closing < opening || state === undefined || !Number.isSafeInteger(startTicks))
    return null;
  return { shortName: text.slice(opening + 1, closing), state, parent: Number(parent), startTicks };
}

function readExecutable(folder: string): string | null {
  const path = link(`${folder}/exe`);
  return path?.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;
}

/** The effective user: second of the four numbers of the `Uid:` line. */
function readUid(folder: string): number | null {
  const line = /^Uid:\s+\d+\s+(\d+)/m.exec(read(folder, "status") ?? "");
  return line === null ? null : Number(line[1]);
}

function readEnvironment(folder: string): Record<string, string> | null {
  const text = read(folder, "environ");
  if (text === null) return null;
  const env = new Map<string, string>();
  for (const entry of strings(text)) {
    const equals = entry.indexOf("=");
    const name = entry.slice(0, equals);
    // As getenv(3): the first of a name counts.
    if (equals > 0 && !env.has(name)) env.set(name, entry.slice(equals + 1));
  }
  return Object.fromEntries(env);
}

interface Namespace {
  /** What identifies it, or null where this account may not see that of another account's process. */
  readonly id: string | null;
  /** How many process namespaces see the process, from that of `/proc` downwards; readable by everybody. */
  readonly depth: number | null;
}

function namespaceOf(folder: string): Namespace {
  const pids = /^NSpid:\s+(.*)$/m.exec(read(folder, "status") ?? "")?.[1];
  return { id: link(`${folder}/ns/pid`), depth: pids === undefined ? null : pids.trim().split(/\s+/).length };
}

function sameNamespace(one: Namespace, own: Namespace): boolean | null {
  if (one.id !== null && own.id !== null) return one.id === own.id;
  if (one.depth === null || own.depth === null) return null;
  if (one.depth !== own.depth) return false;
  // Both at the top: the same. Deeper down there may be several of equal depth.
  return one.depth === 1 ? true : null;
}

/** Strings that each end with a NUL byte. */
function strings(text: string): string[] {
  return text === "" ? [] : text.replace(/\0$/, "").split("\0");
}

function read(folder: string, name: string): string | null {
  return orNull(() => readFileSync(`${folder}/${name}`, "utf8"));
}

function link(path: string): string | null {
  return orNull(() => readlinkSync(path));
}

/** Null for what is gone or may not be seen. */
function orNull<T>(body: () => T): T | null {
  try {
    return body();
  } catch {
    return null;
  }
}
