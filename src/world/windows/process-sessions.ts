import { SystemError } from "../world.ts";
import { systemLibrary } from "./native.ts";

/**
 * The session of every process by its pid: the one list that also has those which this account may not open
 * (`SYSTEM_PROCESS_INFORMATION`, "NtQuerySystemInformation function", 64-bit).
 */
export function sessionsOfAll(): ReadonlyMap<number, number> {
  const list = processList();
  const sessions = new Map<number, number>();
  let offset = 0;
  while (offset + ENTRY_SIZE <= list.length) {
    sessions.set(Number(list.readBigUInt64LE(offset + PID_AT)), list.readUInt32LE(offset + SESSION_AT));
    const next = list.readUInt32LE(offset);
    if (next === 0) break;
    offset += next;
  }
  return sessions;
}

const SYSTEM_PROCESS_INFORMATION = 5;
const ENTRY_SIZE = 256;
const PID_AT = 80;
const SESSION_AT = 100;
const LENGTH_MISMATCH = 0xc0000004;
const FIRST_ROOM = 512 * 1024;
/** New processes may make it longer between two calls. */
const MARGIN = 64 * 1024;
const MOST_ATTEMPTS = 5;

const ntdll = systemLibrary("ntdll.dll");
const querySystemInformation = ntdll(
  "NtQuerySystemInformation",
  "uint32",
  "uint32",
  "memory",
  "uint32",
  "memory",
);

function processList(): Buffer {
  let list = Buffer.alloc(FIRST_ROOM);
  const needed = Buffer.alloc(4);
  for (let attempts = 0; attempts < MOST_ATTEMPTS; attempts += 1) {
    const status = querySystemInformation(SYSTEM_PROCESS_INFORMATION, list, list.length, needed);
    if (status === 0) return list.subarray(0, needed.readUInt32LE() || list.length);
    if (status !== LENGTH_MISMATCH)
      throw new SystemError(`NT_${status.toString(16)}`, "NtQuerySystemInformation", "");
    list = Buffer.alloc(Math.max(needed.readUInt32LE(), list.length) + MARGIN);
  }
  throw new SystemError("EBUSY", "NtQuerySystemInformation", "");
}
