import type { SeenProcess } from "../services/windows-processes.ts";
import type { RegistryKey, RegistryValue, WindowsService, WindowsSystem } from "../world/windows-system.ts";
import { type Files, SystemError } from "../world/world.ts";
import { defaultDataFolder } from "./windows-data-folder.ts";
import { isPerson, isSid, type Machine } from "./windows-machine.ts";
import { keyOf, SERVER_KEY, settingsKeyOf, subkeysOf, valuesOf } from "./windows-registry.ts";
import type { Supervision } from "./windows-services.ts";

/** An account that has a server. */
export interface ServerOwner {
  readonly sid: string;
  /** The service that keeps its server running, if one does. */
  readonly service?: WindowsService;
  /** Its own, as far as they can be seen. */
  readonly processes: readonly SeenProcess[];
}

export interface ServerOwners {
  readonly owners: readonly ServerOwner[];
  /** What may belong to further ones and could not be seen. */
  readonly unseen: readonly string[];
}

/**
 * The accounts that have a server: those with settings in a loaded hive, those that run one or that a service runs
 * one as, and those that are not here now (nothing of them runs, their hive is not loaded) and have its data folder.
 *
 * A service does not always run the server as itself: the process tells.
 */
export async function serverOwners(
  world: { readonly windows: WindowsSystem; readonly files: Files },
  machine: Machine,
  processes: readonly SeenProcess[],
  supervision: Supervision,
): Promise<ServerOwners> {
  const { windows, files } = world;
  const services = await servicesByAccount(windows, processes, supervision);
  const sids = new Set(services.keys());
  for (const { owner } of processes) if (typeof owner === "object") sids.add(owner.sid);
  const loaded = await loadedAccounts(windows, sids);
  const absent = await absentAccounts(files, machine, loaded.all);
  for (const sid of [...loaded.withSettings, ...absent.withData]) sids.add(sid);
  const owners = [...sids].map((sid) => ownerOf(sid, processes, supervision, services.get(sid) ?? []));
  const unseen = [...loaded.unseen, ...absent.unseen, ...hiddenProcesses(processes, owners, supervision)];
  return { owners, unseen: [...supervision.unseen, ...unseen] };
}

/** Whether it cannot be told whose process it is. */
export function isHidden({ owner }: SeenProcess): boolean {
  return typeof owner !== "object";
}

/** A process where a path is wanted. */
export function labelOf({ executable, name, pid }: SeenProcess): string {
  return `${executable ?? name} (${pid})`;
}

function ownerOf(
  sid: string,
  processes: readonly SeenProcess[],
  { running }: Pick<Supervision, "running">,
  configured: readonly WindowsService[],
): ServerOwner {
  const own = processes.filter(({ owner }) => typeof owner === "object" && owner.sid === sid);
  const above = own.map(({ pid }) => running.get(pid)).find((service) => service !== undefined);
  // What runs beside a service that does not is no work of that service's.
  const beside = configured.filter(({ state }) => own.length === 0 || state !== "stopped");
  const service = above ?? beside[0];
  return { sid, processes: own, ...(service !== undefined && { service }) };
}

/** What services are set up to run a server as which account, those left out whose server runs as another. */
async function servicesByAccount(
  { accounts }: WindowsSystem,
  processes: readonly SeenProcess[],
  { running, configured }: Supervision,
): Promise<Map<string, WindowsService[]>> {
  const elsewhere = new Set<string>();
  const unclear: WindowsService[] = [];
  for (const { pid, owner } of processes) {
    const service = running.get(pid);
    if (service === undefined) continue;
    if (typeof owner === "object") elsewhere.add(service.name);
    else unclear.push(service);
  }
  const services = [...unclear, ...configured].filter(({ name }) => !elsewhere.has(name));
  const byAccount = new Map<string, WindowsService[]>();
  for (const service of new Set(services)) {
    const sid = await sidOfName(accounts, service.account);
    if (sid !== null) byAccount.set(sid, [...(byAccount.get(sid) ?? []), service]);
  }
  return byAccount;
}

async function sidOfName(accounts: WindowsSystem["accounts"], name: string): Promise<string | null> {
  try {
    return await accounts.sidOf(name);
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

/** The accounts whose hives are loaded. `known`: those that have a server whatever their hive says. */
async function loadedAccounts(
  windows: WindowsSystem,
  known: ReadonlySet<string>,
): Promise<{ all: ReadonlySet<string>; withSettings: string[]; unseen: string[] }> {
  const names = await subkeysOf(windows, ALL_USERS);
  if (names === null || names === "unseen") {
    return { all: new Set(), withSettings: [], unseen: [ALL_USERS.root] };
  }
  const sids = names.filter(isSid).map((sid) => sid.toUpperCase());
  const withSettings: string[] = [];
  const unseen: string[] = [];
  for (const sid of sids) {
    const values = await valuesOf(windows, keyOf(sid, SERVER_KEY));
    if (values === "unseen") {
      // Windows' own and services' accounts are closed to people everywhere: only what names one makes it suspect.
      if (isPerson(sid) && !known.has(sid)) unseen.push(settingsKeyOf(sid));
    } else if (values?.some(isOfServer)) withSettings.push(sid);
  }
  return { all: new Set(sids), withSettings, unseen };
}

const ALL_USERS: RegistryKey = { root: "HKEY_USERS", path: "" };

/** The installer and the updater write these for accounts that never ran the server. Source: DBRepair, PmsService. */
function isOfServer({ name }: RegistryValue): boolean {
  return name !== "" && !OF_THE_INSTALLER.includes(name.toLowerCase());
}

const OF_THE_INSTALLER = ["installfolder", "firstrun", "localappdatapath"];

/** Accounts whose hive is not loaded: of what is in it nothing can be read, not even that the data is elsewhere. */
async function absentAccounts(
  files: Files,
  { profiles }: Machine,
  loaded: ReadonlySet<string>,
): Promise<{ withData: string[]; unseen: string[] }> {
  const withData: string[] = [];
  const unseen: string[] = [];
  for (const [sid, profile] of profiles) {
    if (loaded.has(sid)) continue;
    const folder = defaultDataFolder(profile);
    try {
      await files.lstat(folder);
      withData.push(sid);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      const denied = error.code === "EACCES" || error.code === "EPERM";
      if (denied && isPerson(sid)) unseen.push(folder);
    }
  }
  return { withData, unseen };
}

/** Running servers of unknown accounts; one in a service that was found, or that can be one's own, needs no telling. */
function hiddenProcesses(
  processes: readonly SeenProcess[],
  owners: readonly ServerOwner[],
  { running }: Supervision,
): string[] {
  const hidden = processes.filter((process) => isHidden(process) && !running.has(process.pid));
  const started = new Set([...running.values()].map(({ name }) => name));
  const waiting = owners.filter(
    ({ service, processes: own }) =>
      service !== undefined && service.state !== "stopped" && own.length === 0 && !started.has(service.name),
  );
  return hidden.slice(waiting.length).map(labelOf);
}
