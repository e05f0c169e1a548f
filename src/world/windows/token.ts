import type { WindowsSelf } from "../windows-system.ts";
import { refusal, WIN32 } from "./errors.ts";
import {
  copyOf,
  demand,
  type Handle,
  lastError,
  lastRefusal,
  systemLibrary,
  wide,
  withHandle,
} from "./native.ts";
import { LONGEST_SID, sidLength, sidText } from "./sid.ts";

/** Whose a token is, and with what rights. */
export interface TokenFacts {
  readonly sid: string;
  readonly elevated: boolean;
  readonly session: number;
}

/** The account that this process acts as. */
export function ownAccount(): WindowsSelf {
  return withOwnToken(TOKEN_QUERY, (token) => ({
    ...tokenFacts(token),
    // TokenElevationTypeFull: the same account has a limited token beside this one.
    split: numberOf(token, TOKEN_ELEVATION_TYPE) === 2,
  }));
}

/** @throws SystemError `EACCES` without TOKEN_QUERY */
export function tokenFacts(token: Handle): TokenFacts {
  return {
    sid: userOf(token),
    elevated: numberOf(token, TOKEN_ELEVATION) !== 0,
    session: numberOf(token, TOKEN_SESSION_ID),
  };
}

/** Runs the body with the token of a process. Answers null where the token may not be opened with that access. */
export function withTokenOf<T>(process: Handle, access: number, body: (token: Handle) => T): T | null {
  const out = Buffer.alloc(8);
  if (openProcessToken(process, access, out) === 0) {
    if (lastError() === WIN32.ACCESS_DENIED) return null;
    throw lastRefusal("OpenProcessToken", "");
  }
  return withHandle(out.readBigInt64LE(), body);
}

/** The address of a SID that Windows gave us, as text. */
export function sidTextAt(address: Handle): string {
  return sidText(copyOf(address, sidLength(copyOf(address, 8))));
}

/**
 * Runs the body with privileges (`SeBackupPrivilege`, …) that the account holds and that are switched off until then;
 * they are as before when it is over. The body must not wait: the whole process has them meanwhile.
 *
 * @throws SystemError `EPERM` when the account does not hold one of them
 */
export function withPrivileges<T>(names: readonly string[], body: () => T): T {
  return withOwnToken(TOKEN_QUERY | TOKEN_ADJUST_PRIVILEGES, (token) => {
    const before = adjusted(token, privilegesOf(names), names.join());
    try {
      // The call succeeds all the same, and leaves this number, when not all of them are held.
      if (before.number === WIN32.NOT_ALL_ASSIGNED)
        throw refusal(before.number, "AdjustTokenPrivileges", names.join());
      return body();
    } finally {
      adjusted(token, before.state, names.join());
    }
  });
}

export const TOKEN_DUPLICATE = 0x2;
export const TOKEN_QUERY = 0x8;

const TOKEN_ADJUST_PRIVILEGES = 0x20;
const TOKEN_USER = 1;
const TOKEN_SESSION_ID = 12;
const TOKEN_ELEVATION_TYPE = 18;
const TOKEN_ELEVATION = 20;
const SE_PRIVILEGE_ENABLED = 2;
/** `GetCurrentProcess()`. */
const OWN_PROCESS = -1n;

const advapi32 = systemLibrary("advapi32.dll");
const openProcessToken = advapi32("OpenProcessToken", "int32", "handle", "uint32", "memory");
const getTokenInformation = advapi32(
  "GetTokenInformation",
  "int32",
  "handle",
  "uint32",
  "memory",
  "uint32",
  "memory",
);
const lookupPrivilegeValue = advapi32("LookupPrivilegeValueW", "int32", "memory", "memory", "memory");
const adjustTokenPrivileges = advapi32(
  "AdjustTokenPrivileges",
  "int32",
  "handle",
  "int32",
  "memory",
  "uint32",
  "memory",
  "memory",
);

function withOwnToken<T>(access: number, body: (token: Handle) => T): T {
  const out = Buffer.alloc(8);
  demand(openProcessToken(OWN_PROCESS, access, out), "OpenProcessToken", "");
  return withHandle(out.readBigInt64LE(), body);
}

/** TOKEN_USER: the address of the SID, which stands in the same buffer, and attributes. */
function userOf(token: Handle): string {
  const bytes = Buffer.alloc(16 + LONGEST_SID);
  demand(
    getTokenInformation(token, TOKEN_USER, bytes, bytes.length, Buffer.alloc(4)),
    "GetTokenInformation",
    "TokenUser",
  );
  return sidTextAt(bytes.readBigInt64LE());
}

function numberOf(token: Handle, kind: number): number {
  const bytes = Buffer.alloc(4);
  demand(getTokenInformation(token, kind, bytes, 4, Buffer.alloc(4)), "GetTokenInformation", String(kind));
  return bytes.readUInt32LE();
}

/** TOKEN_PRIVILEGES: how many, then for each its number on this machine (LUID) and what it is to be. */
function privilegesOf(names: readonly string[]): Buffer {
  const bytes = Buffer.alloc(4 + 12 * names.length);
  bytes.writeUInt32LE(names.length);
  names.forEach((name, index) => {
    const at = 4 + 12 * index;
    demand(lookupPrivilegeValue(null, wide(name), bytes.subarray(at)), "LookupPrivilegeValueW", name);
    bytes.writeUInt32LE(SE_PRIVILEGE_ENABLED, at + 8);
  });
  return bytes;
}

function adjusted(
  token: Handle,
  state: Buffer,
  path: string,
): { readonly state: Buffer; readonly number: number } {
  const before = Buffer.alloc(Math.max(state.length, 4));
  demand(
    adjustTokenPrivileges(token, 0, state, before.length, before, Buffer.alloc(4)),
    "AdjustTokenPrivileges",
    path,
  );
  return { state: before, number: lastError() };
}
