import type { WindowsAccounts } from "../windows-system.ts";
import { refusal, WIN32 } from "./errors.ts";
import { demand, lastError, systemLibrary, wide, wideText } from "./native.ts";
import { LONGEST_SID, sidBytes, sidText } from "./sid.ts";

/**
 * Names of accounts by the system's own look-up. Null also where nobody can be asked who would know (a domain that
 * does not answer): for us that is the same as an account without a name.
 */
export const nativeAccounts: WindowsAccounts = {
  nameOf: async (sid) => nameOf(sid),
  sidOf: async (name) => sidOf(name),
};

/**
 * As services name the accounts of the system, in every language of Windows; the look-up itself knows the names of
 * its own language only.
 */
const SYSTEM_ACCOUNTS: ReadonlyMap<string, string> = new Map([
  ["localsystem", "S-1-5-18"],
  [".\\localsystem", "S-1-5-18"],
  ["nt authority\\system", "S-1-5-18"],
  ["nt authority\\localservice", "S-1-5-19"],
  ["nt authority\\local service", "S-1-5-19"],
  ["nt authority\\networkservice", "S-1-5-20"],
  ["nt authority\\network service", "S-1-5-20"],
]);

/** NONE_MAPPED; no such domain, no trust to it, its controller or the way there is missing. */
const NOBODY_KNOWS: ReadonlySet<number> = new Set([
  WIN32.NONE_MAPPED,
  1311,
  1355,
  1722,
  1786,
  1787,
  1788,
  1789,
  1792,
]);
/** Units, NUL included; a domain's DNS name has up to 255. */
const LONGEST_NAME = 1_024;
const SID_TYPE_DOMAIN = 3;

const advapi32 = systemLibrary("advapi32.dll");
const lookupAccountSid = advapi32(
  "LookupAccountSidW",
  "int32",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
);
const lookupAccountName = advapi32(
  "LookupAccountNameW",
  "int32",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
);
const kernel32 = systemLibrary("kernel32.dll");
const getComputerName = kernel32("GetComputerNameW", "int32", "memory", "memory");

function nameOf(sid: string): string | null {
  const bytes = sidBytes(sid);
  if (bytes === null) return null;
  const [name, nameSize] = textRoom();
  const [domain, domainSize] = textRoom();
  const found = lookupAccountSid(null, bytes, name, nameSize, domain, domainSize, Buffer.alloc(4));
  if (found === 0) return nobody("LookupAccountSidW", sid);
  return [wideText(domain), wideText(name)].filter((part) => part !== "").join("\\");
}

function sidOf(name: string): string | null {
  const known = SYSTEM_ACCOUNTS.get(name.toLowerCase());
  if (known !== undefined) return known;
  if (name === "") return null;
  if (name.startsWith(".\\")) return lookedUp(ofThisComputer(name.slice(2)))?.sid ?? null;
  const found = lookedUp(name);
  // A person may be called as the computer is, and that is found first.
  if (found?.kind === SID_TYPE_DOMAIN) return lookedUp(ofThisComputer(name))?.sid ?? null;
  return found?.sid ?? null;
}

function lookedUp(name: string): { readonly sid: string; readonly kind: number } | null {
  const [sid, sidSize, kind] = [Buffer.alloc(LONGEST_SID), size(LONGEST_SID), Buffer.alloc(4)];
  const [domain, domainSize] = textRoom();
  const found = lookupAccountName(null, wide(name), sid, sidSize, domain, domainSize, kind);
  if (found === 0) return nobody("LookupAccountNameW", name);
  return { sid: sidText(sid), kind: kind.readUInt32LE() };
}

function nobody(call: string, path: string): null {
  const number = lastError();
  if (NOBODY_KNOWS.has(number)) return null;
  throw refusal(number, call, path);
}

function ofThisComputer(name: string): string {
  const [computer, length] = textRoom();
  demand(getComputerName(computer, length), "GetComputerNameW", "");
  return `${wideText(computer)}\\${name}`;
}

function textRoom(): readonly [Buffer, Buffer] {
  return [Buffer.alloc(2 * LONGEST_NAME), size(LONGEST_NAME)];
}

function size(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
