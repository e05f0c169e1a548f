import { win32 } from "node:path";
import type { WindowsSystem } from "../world/windows-system.ts";
import { machineKey, subkeysOf, textAt } from "./windows-registry.ts";

/**
 * Where Windows keeps its folders, from the machine's own registry: in our environment anybody who runs as our
 * account can have written something else.
 */
export interface Machine {
  /** `C:\Windows` */
  readonly systemRoot: string;
  /** `C:\Program Files` and `C:\Program Files (x86)`, where there are any. */
  readonly programFolders: readonly string[];
  /** Folder of an account, by SID: those that have been here. */
  readonly profiles: ReadonlyMap<string, string>;
}

export async function machineOf(windows: WindowsSystem): Promise<Machine> {
  const systemRoot = absolute(await textAt(windows, machineKey(WINDOWS_NT), "SystemRoot")) ?? "C:\\Windows";
  const programFolders: string[] = [];
  for (const name of ["ProgramFilesDir", "ProgramFilesDir (x86)"]) {
    const folder = absolute(expanded(systemRoot, await textAt(windows, machineKey(WINDOWS), name)));
    if (folder !== null) programFolders.push(folder);
  }
  const profiles = new Map<string, string>();
  const sids = await subkeysOf(windows, machineKey(PROFILES));
  for (const sid of sids === null || sids === "unseen" ? [] : sids.filter(isSid)) {
    const text = await textAt(windows, machineKey(`${PROFILES}\\${sid}`), "ProfileImagePath");
    const folder = absolute(expanded(systemRoot, text));
    if (folder !== null) profiles.set(sid.toUpperCase(), folder);
  }
  return { systemRoot, programFolders, profiles };
}

/**
 * The folder of an account. One that has none yet is given it where Windows would make it: that of a service's own
 * account is called as the service.
 */
export function profileOf(
  machine: Machine,
  account: { readonly name: string; readonly sid: string },
): string {
  const known = machine.profiles.get(account.sid);
  if (known !== undefined) return known;
  const { systemRoot } = machine;
  if (account.sid === LOCAL_SYSTEM) return win32.join(systemRoot, "System32", "config", "systemprofile");
  const name = SERVICE_FOLDERS.get(account.sid) ?? account.name.split("\\").at(-1) ?? account.name;
  const isPersons = isPerson(account.sid);
  return isPersons
    ? win32.join(win32.parse(systemRoot).root, "Users", name)
    : win32.join(systemRoot, "ServiceProfiles", name);
}

/** Whether it is written as an account: `_Classes`, `.DEFAULT` and hives that we have hung there are none. */
export function isSid(text: string): boolean {
  return /^S-1(?:-\d+){2,}$/iu.test(text);
}

/** Whether a person can sign in with it: of this machine or a domain, or of the cloud (Entra ID). */
export function isPerson(sid: string): boolean {
  return /^S-1-(?:5-21|12-1)-/u.test(sid);
}

/** A path as it is, when it is one from a drive or a share on; `REG_EXPAND_SZ` must be expanded before. */
export function absolute(path: string | null | undefined): string | null {
  if (path === null || path === undefined || !/^(?:[A-Za-z]:[\\/]|\\\\[^\\/?.])/u.test(path)) return null;
  return win32.normalize(path);
}

/** With the variables that stand in paths of the system; one that is not known stays as it is written. */
export function expanded(systemRoot: string, text: string | null): string | null {
  const drive = win32.parse(systemRoot).root.replace(/\\$/u, "");
  return (
    text?.replace(/%(SystemRoot|windir|SystemDrive)%/giu, (_, name: string) =>
      name.toLowerCase() === "systemdrive" ? drive : systemRoot,
    ) ?? null
  );
}

const WINDOWS = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion";
const WINDOWS_NT = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
const PROFILES = `${WINDOWS_NT}\\ProfileList`;

const LOCAL_SYSTEM = "S-1-5-18";

/** Source: Microsoft's list of well-known SIDs; their `ProfileImagePath` on any Windows. */
const SERVICE_FOLDERS: ReadonlyMap<string, string> = new Map([
  ["S-1-5-19", "LocalService"],
  ["S-1-5-20", "NetworkService"],
]);
