import type {
  WindowsProcess,
  WindowsProcessDetails,
  WindowsProcesses,
  WindowsSelf,
} from "../windows-system.ts";
import { SystemError } from "../world.ts";
import { refusal, WIN32 } from "./errors.ts";
import {
  demand,
  type Handle,
  lastError,
  lastRefusal,
  systemLibrary,
  wideText,
  withHandle,
} from "./native.ts";
import { sessionsOfAll } from "./process-sessions.ts";
import { startDetached, startWithTokenOf } from "./start-process.ts";
import { TOKEN_QUERY, tokenFacts, withPrivileges, withTokenOf } from "./token.ts";
import { closeWindowsOf } from "./top-windows.ts";

/** The processes of this machine, by the system's own calls. */
export function nativeProcesses(self: () => WindowsSelf, ownPid: number): WindowsProcesses {
  return {
    ownPid,
    list: async () => listed(),
    details: async (pid) => detailsOf(pid, self()),
    closeWindows: async (pid) => closeWindowsOf(pid),
    start: async (executable) => startDetached(executable),
    startLike: async (pid, sid, executable) => {
      const done = withProcess(pid, self(), (process) => {
        startWithTokenOf(process, pid, { sid, session: self().session }, executable);
        return true;
      });
      if (done === null) throw new SystemError("ESRCH", "OpenProcess", String(pid));
      if (done === "denied") throw new SystemError("EACCES", "OpenProcess", String(pid));
    },
  };
}

const SNAP_PROCESSES = 0x2;
const INVALID_HANDLE = -1n;
/** `PROCESSENTRY32W`. */
const ENTRY_SIZE = 568;
const SYNCHRONIZE = 0x100000;
const QUERY_LIMITED = 0x1000;
const STILL_ACTIVE = 259;
const WAIT_OBJECT_0 = 0;
const LONGEST_PATH = 32_768;
const SERVICES_SESSION = 0;

const kernel32 = systemLibrary("kernel32.dll");
const createSnapshot = kernel32("CreateToolhelp32Snapshot", "handle", "uint32", "uint32");
const firstProcess = kernel32("Process32FirstW", "int32", "handle", "memory");
const nextProcess = kernel32("Process32NextW", "int32", "handle", "memory");
const openProcess = kernel32("OpenProcess", "handle", "uint32", "int32", "uint32");
const waitForObject = kernel32("WaitForSingleObject", "uint32", "handle", "uint32");
const getExitCode = kernel32("GetExitCodeProcess", "int32", "handle", "memory");
const getTimes = kernel32("GetProcessTimes", "int32", "handle", "memory", "memory", "memory", "memory");
const queryImageName = kernel32(
  "QueryFullProcessImageNameW",
  "int32",
  "handle",
  "uint32",
  "memory",
  "memory",
);
const processIdToSessionId = kernel32("ProcessIdToSessionId", "int32", "uint32", "memory");

function listed(): WindowsProcess[] {
  const snapshot = createSnapshot(SNAP_PROCESSES, 0);
  if (snapshot === INVALID_HANDLE) throw lastRefusal("CreateToolhelp32Snapshot", "");
  return withHandle(snapshot, () => {
    const found: WindowsProcess[] = [];
    const entry = Buffer.alloc(ENTRY_SIZE);
    entry.writeUInt32LE(ENTRY_SIZE);
    for (let more = firstProcess(snapshot, entry); more !== 0; more = nextProcess(snapshot, entry)) {
      found.push({
        pid: entry.readUInt32LE(8),
        parent: entry.readUInt32LE(32),
        name: wideText(entry.subarray(44, 44 + 2 * 260)),
      });
    }
    const number = lastError();
    if (number !== WIN32.NO_MORE_FILES) throw refusal(number, "Process32NextW", "");
    return found;
  });
}

/**
 * What may be seen of a process that runs. Where something may not, `owner` tells whether it could be ours:
 *
 * - Windows shows a process to its own account and to the logon that it runs in. It shows an elevated process of the
 *   own logon too, but not its token: `hidden`.
 * - One that may not be opened at all is `another` in the session of somebody else. In our own session, and in that of
 *   the services, it could be ours with more rights (a task "with highest privileges", a service): `hidden`.
 * - An elevated account sees all but what Windows protects for itself, which is no server: `another`.
 */
function detailsOf(pid: number, self: WindowsSelf): WindowsProcessDetails | null {
  const seen = withProcess(pid, self, (process) => ({
    startedMs: startOf(process),
    executable: imageOf(process),
    session: sessionOf(pid),
    owner: withTokenOf(process, TOKEN_QUERY, tokenFacts),
  }));
  if (seen === "denied") {
    const session = sessionOf(pid) ?? sessionsOfAll().get(pid) ?? null;
    return { startedMs: null, executable: null, session, owner: strangerIn(session, self) };
  }
  if (seen === null) return null;
  const { owner, ...rest } = seen;
  if (owner === null) return { ...rest, owner: self.elevated ? strangerIn(rest.session, self) : "hidden" };
  return { ...rest, owner: { sid: owner.sid, elevated: owner.elevated } };
}

function strangerIn(session: number | null, self: WindowsSelf): "another" | "hidden" {
  if (self.elevated) return "another";
  return session === null || session === SERVICES_SESSION || session === self.session ? "hidden" : "another";
}

/**
 * Runs the body with a process that runs. Null: it has ended. An elevated account may look at the processes of all
 * others only with the privilege to debug, which it holds; it is on for the opening alone.
 */
function withProcess<T>(pid: number, self: WindowsSelf, body: (process: Handle) => T): T | "denied" | null {
  let found = openedProcess(pid);
  if (found === "denied" && self.elevated) found = withDebugPrivilege(() => openedProcess(pid));
  if (found === "denied" || found === null) return found;
  return withHandle(found, (process) => (hasEnded(process) ? null : body(process)));
}

function openedProcess(pid: number): Handle | "denied" | null {
  const process = openProcess(QUERY_LIMITED | SYNCHRONIZE, 0, pid);
  if (process !== 0n) return process;
  const number = lastError();
  if (number === WIN32.INVALID_PARAMETER) return null;
  if (number !== WIN32.ACCESS_DENIED) throw refusal(number, "OpenProcess", String(pid));
  const limited = openProcess(QUERY_LIMITED, 0, pid);
  return limited === 0n ? "denied" : limited;
}

/** Policy may keep the privilege from administrators: then there is less to be seen. */
function withDebugPrivilege<T>(body: () => T): T {
  try {
    return withPrivileges(["SeDebugPrivilege"], body);
  } catch (error) {
    if (error instanceof SystemError && error.code === "EPERM") return body();
    throw error;
  }
}

/** A process is there as long as somebody has a handle of it, ended or not; without SYNCHRONIZE its exit code tells. */
function hasEnded(process: Handle): boolean {
  if (waitForObject(process, 0) === WAIT_OBJECT_0) return true;
  const code = Buffer.alloc(4);
  demand(getExitCode(process, code), "GetExitCodeProcess", "");
  return code.readUInt32LE() !== STILL_ACTIVE;
}

const FILETIME_PER_MS = 10_000n;

function startOf(process: Handle): number {
  const [started, unused] = [Buffer.alloc(8), Buffer.alloc(8)];
  demand(getTimes(process, started, unused, unused, unused), "GetProcessTimes", "");
  return Number(started.readBigUInt64LE() / FILETIME_PER_MS);
}

function imageOf(process: Handle): string | null {
  const [path, length] = [Buffer.alloc(2 * LONGEST_PATH), Buffer.alloc(4)];
  length.writeUInt32LE(LONGEST_PATH);
  return queryImageName(process, 0, path, length) === 0 ? null : wideText(path);
}

function sessionOf(pid: number): number | null {
  const session = Buffer.alloc(4);
  return processIdToSessionId(pid, session) === 0 ? null : session.readUInt32LE();
}
