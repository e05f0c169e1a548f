import { win32 } from "node:path";
import { SystemError } from "../world.ts";
import { addressOf, demand, type Handle, lastRefusal, systemLibrary, wide, withHandle } from "./native.ts";
import {
  TOKEN_DUPLICATE,
  TOKEN_QUERY,
  type TokenFacts,
  tokenFacts,
  withPrivileges,
  withTokenOf,
} from "./token.ts";

/**
 * Starts a program with our account and rights. It is no part of us: no handle, console or job of ours, so that no
 * Ctrl-C, no closed window and no end of ours reaches it. It has our environment, but for our own variables.
 */
export function startDetached(executable: string): void {
  const program = programOf(executable);
  const environment = environmentBlock(process.env);
  const create = (flags: number) =>
    createProcess(
      program.path,
      program.line,
      null,
      null,
      0,
      DETACHED_PROCESS | UNICODE_ENVIRONMENT | flags,
      environment,
      program.folder,
      startupInfo(null),
      program.made,
    );
  // A job that we are in may forbid to leave it. The refusal is the same as for a file that may not be run.
  if (create(BREAKAWAY_FROM_JOB) === 0) {
    const failure = lastRefusal("CreateProcessW", executable);
    if (failure.code !== "EACCES") throw failure;
    demand(create(0), "CreateProcessW", executable);
  }
  closeMade(program.made);
}

/**
 * Starts a program with the account, the rights and the own environment of a process, on the desktop where people work.
 * Its profile is not loaded for that: the process that runs has it already.
 *
 * The number of a process that has ended goes to another one: whose token it is, and with what rights, is asked of the
 * token itself, before anything is made of it.
 *
 * @param wanted the account, and our own session
 * @throws SystemError `ESRCH` when the token is another account's, or has an administrator's full rights; `EPERM` when
 *   the process is in another session than ours (Windows would start the program in ours), or our account may not act
 *   for others; `EACCES` when its token may not be copied
 */
export function startWithTokenOf(
  running: Handle,
  pid: number,
  wanted: Pick<TokenFacts, "sid" | "session">,
  executable: string,
): void {
  const started = withTokenOf(running, TOKEN_QUERY | TOKEN_DUPLICATE, (token) => {
    const { sid, elevated, session } = tokenFacts(token);
    if (sid !== wanted.sid || elevated) throw new SystemError("ESRCH", "OpenProcessToken", String(pid));
    if (session !== wanted.session) throw new SystemError("EPERM", "CreateProcessWithTokenW", executable);
    withHandle(primaryOf(token, pid), (primary) =>
      withEnvironmentOf(primary, (environment) => createLike(primary, environment, executable)),
    );
    return true;
  });
  if (started === null) throw new SystemError("EACCES", "OpenProcessToken", String(pid));
}

const DETACHED_PROCESS = 0x8;
const UNICODE_ENVIRONMENT = 0x400;
const BREAKAWAY_FROM_JOB = 0x1000000;
const DESKTOP = "winsta0\\default";
const SECURITY_IMPERSONATION = 2;
const TOKEN_PRIMARY = 1;
/** Assign, duplicate, query, and the two adjustments that the call makes for the new process. */
const TOKEN_TO_START = 0x1 | TOKEN_DUPLICATE | TOKEN_QUERY | 0x80 | 0x100;

const kernel32 = systemLibrary("kernel32.dll");
const createProcess = kernel32(
  "CreateProcessW",
  "int32",
  "memory",
  "memory",
  "memory",
  "memory",
  "int32",
  "uint32",
  "memory",
  "memory",
  "memory",
  "memory",
);
const closeHandle = kernel32("CloseHandle", "int32", "handle");
const advapi32 = systemLibrary("advapi32.dll");
const duplicateToken = advapi32(
  "DuplicateTokenEx",
  "int32",
  "handle",
  "uint32",
  "memory",
  "int32",
  "int32",
  "memory",
);
const createProcessWithToken = advapi32(
  "CreateProcessWithTokenW",
  "int32",
  "handle",
  "uint32",
  "memory",
  "memory",
  "uint32",
  "handle",
  "memory",
  "memory",
  "memory",
);
const userenv = systemLibrary("userenv.dll");
const createEnvironment = userenv("CreateEnvironmentBlock", "int32", "memory", "handle", "int32");
const destroyEnvironment = userenv("DestroyEnvironmentBlock", "int32", "handle");

interface Program {
  readonly path: Buffer;
  /** Quoted; Windows may write into it. */
  readonly line: Buffer;
  readonly folder: Buffer;
  /** `PROCESS_INFORMATION`: handles of the process and its thread, then their numbers. */
  readonly made: Buffer;
}

function programOf(executable: string): Program {
  if (!win32.isAbsolute(executable) || executable.includes('"')) {
    throw new SystemError("EINVAL", "CreateProcessW", executable);
  }
  return {
    path: wide(executable),
    line: wide(`"${executable}"`),
    folder: wide(win32.dirname(executable)),
    made: Buffer.alloc(24),
  };
}

/** `STARTUPINFOW`: its size, and at 16 the address of the desktop's name; without one it is our own. */
function startupInfo(desktop: Buffer | null): Buffer {
  const info = Buffer.alloc(104);
  info.writeUInt32LE(info.length);
  if (desktop !== null) info.writeBigInt64LE(addressOf(desktop), 16);
  return info;
}

function closeMade(made: Buffer): void {
  closeHandle(made.readBigInt64LE(0));
  closeHandle(made.readBigInt64LE(8));
}

/** `NAME=value` one after the other, sorted, closed by an empty one. Nothing of what people tell us (claim codes). */
function environmentBlock(environment: NodeJS.ProcessEnv): Buffer {
  const names = Object.keys(environment).filter((name) => !/^(PLEX_CLAIM$|PLEX_RECLAIM_)/i.test(name));
  const upper = (name: string) => name.toUpperCase();
  names.sort((one, other) => (upper(one) < upper(other) ? -1 : 1));
  const entries = names.map((name) => wide(`${name}=${environment[name] ?? ""}`));
  return Buffer.concat([...entries, Buffer.alloc(entries.length === 0 ? 4 : 2)]);
}

function primaryOf(token: Handle, pid: number): Handle {
  const out = Buffer.alloc(8);
  const done = duplicateToken(token, TOKEN_TO_START, null, SECURITY_IMPERSONATION, TOKEN_PRIMARY, out);
  demand(done, "DuplicateTokenEx", String(pid));
  return out.readBigInt64LE();
}

function withEnvironmentOf(token: Handle, body: (environment: Handle) => void): void {
  const out = Buffer.alloc(8);
  demand(createEnvironment(out, token, 0), "CreateEnvironmentBlock", "");
  try {
    body(out.readBigInt64LE());
  } finally {
    destroyEnvironment(out.readBigInt64LE());
  }
}

function createLike(token: Handle, environment: Handle, executable: string): void {
  const program = programOf(executable);
  const desktop = wide(DESKTOP);
  withPrivileges(["SeImpersonatePrivilege"], () => {
    const done = createProcessWithToken(
      token,
      0,
      program.path,
      program.line,
      UNICODE_ENVIRONMENT,
      environment,
      program.folder,
      startupInfo(desktop),
      program.made,
    );
    demand(done, "CreateProcessWithTokenW", executable);
  });
  closeMade(program.made);
}
