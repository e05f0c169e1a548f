import { createHash } from "node:crypto";
import { win32 } from "node:path";
import type { Server, ServiceDescription } from "../model/server.ts";
import { type SeenProcess, serverCandidates, windowsProcessesOf } from "../services/windows-processes.ts";
import { isPlistName } from "../stores/settings-format.ts";
import type { WindowsSystem } from "../world/windows-system.ts";
import { SystemError, type World } from "../world/world.ts";
import {
  addressFor,
  commandsFor,
  type FindOptions,
  type FoundServer,
  type FoundServers,
} from "./find-servers.ts";
import { isHidden, labelOf, type ServerOwner, serverOwners } from "./windows-accounts.ts";
import { dataFolderOf } from "./windows-data-folder.ts";
import { installedExecutable } from "./windows-executable.ts";
import { type Machine, machineOf } from "./windows-machine.ts";
import { namedSettings } from "./windows-named.ts";
import { keyOf, SERVER_KEY, settingsKeyOf, valuesOf } from "./windows-registry.ts";
import { supervisionOf } from "./windows-services.ts";

export type WindowsFindWorld = Pick<World, "files" | "env"> & { readonly windows: WindowsSystem };

/**
 * Every Plex Media Server of this machine: one for each account that has one. With `settings` only that one, found or
 * not: a file is one alone, whoever uses it.
 *
 * Never throws for what it may not see: `unseen` names keys, folders, and processes (as `executable (pid)`). Throws
 * `BAD_VALUE` for a key that is no server's. An account whose hive is not loaded is listed by its default data folder:
 * what its registry says is not known.
 */
export async function findServersOnWindows(
  world: WindowsFindWorld,
  options: FindOptions,
): Promise<FoundServers> {
  const { windows } = world;
  const named = options.settings === undefined ? null : namedSettings(options.settings, windows.self.sid);
  const { processMatch } = options;
  const executable = processMatch === undefined ? undefined : await resolved(world, processMatch);
  const given: Given = { ...options, ...(executable !== undefined && { executable }) };
  if (named?.kind === "file") return { servers: [await ofFile(world, given, named.path)], unseen: [] };

  const machine = await machineOf(windows);
  const processes = await serverCandidates(windows, executable);
  const supervision = await supervisionOf(windows, processes);
  const { owners, unseen } = await serverOwners(world, machine, processes, supervision);
  if (named !== null) {
    const owner = owners.find(({ sid }) => sid === named.sid);
    const nobody: ServerOwner = { sid: named.sid, processes: [] };
    const way = wayToRun(given, owner ?? null);
    return { servers: [await ofOwner(world, machine, given, owner ?? nobody, way)], unseen: [] };
  }
  const servers: FoundServer[] = [];
  for (const owner of owners) {
    servers.push(await ofOwner(world, machine, given, owner, wayToRun(given, owner)));
  }
  servers.sort((one, other) => (one.server.settingsPath < other.server.settingsPath ? -1 : 1));
  return { servers, unseen };
}

/** What a person said, with the executable resolved. */
type Given = FindOptions & { readonly executable?: string };

async function ofOwner(
  world: WindowsFindWorld,
  machine: Machine,
  given: Given,
  owner: ServerOwner,
  way: Pick<Server, "install" | "service">,
): Promise<FoundServer> {
  const { windows } = world;
  const settingsPath = settingsKeyOf(owner.sid);
  const account = { name: await nameOf(windows, owner.sid), sid: owner.sid };
  const values = await valuesOf(windows, keyOf(owner.sid, SERVER_KEY));
  const settings = values === null || values === "unseen" ? [] : values;
  const executable =
    given.executable ?? firstSeen(owner.processes) ?? (await installedExecutable(world, machine, settings));
  const server: Server = {
    id: idOf(settingsPath),
    ...way,
    store: "registry",
    settingsPath,
    dataFolder: await dataFolderOf(world, machine, account, settings),
    ...(executable !== null && { executable }),
    account,
    url: addressFor(given),
  };
  return await withProcesses(windows, server, values === "unseen" ? [settingsPath] : []);
}

/** Null: an account that was named, and of which nothing says that it has a server: none is stopped or started. */
function wayToRun(given: Given, owner: ServerOwner | null): Pick<Server, "install" | "service"> {
  const way = (found: ServiceDescription) => commandsFor(given) ?? found;
  if (owner === null) return { install: "registry-key", service: way({ kind: "none" }) };
  const { service } = owner;
  if (service === undefined) return { install: "windows-tray", service: way({ kind: "tray" }) };
  return { install: "windows-service", service: way({ kind: "windows-service", name: service.name }) };
}

async function ofFile(world: WindowsFindWorld, given: Given, path: string): Promise<FoundServer> {
  const server: Server = {
    id: idOf(await resolved(world, path)),
    install: "settings-file",
    store: isPlistName(path) ? "plist" : "xml",
    settingsPath: path,
    dataFolder: win32.dirname(path),
    ...(given.executable !== undefined && { executable: given.executable }),
    service: commandsFor(given) ?? { kind: "none" },
    url: addressFor(given),
  };
  return await withProcesses(world.windows, server, []);
}

async function withProcesses(
  windows: WindowsSystem,
  server: Server,
  unseen: readonly string[],
): Promise<FoundServer> {
  const processes = await windowsProcessesOf(windows, server);
  if (processes !== "unknown") return { server, processes, unseen };
  const candidates = await serverCandidates(windows, server.executable);
  return { server, processes, unseen: [...unseen, ...candidates.filter(isHidden).map(labelOf)] };
}

/** Eight hex digits of the SHA-256 of where the settings are: case tells nothing apart here. */
function idOf(settings: string): string {
  return createHash("sha256").update(settings.toUpperCase()).digest("hex").slice(0, 8);
}

/** The executable of the process that began first: a later one may be on its way out again. */
function firstSeen(processes: readonly SeenProcess[]): string | null {
  const inOrder = processes.toSorted((one, other) => (one.startedMs ?? 0) - (other.startedMs ?? 0));
  return inOrder.find(({ executable }) => executable !== null)?.executable ?? null;
}

/** An account that was deleted, or that nobody can be asked about, goes by its SID. */
async function nameOf({ accounts }: WindowsSystem, sid: string): Promise<string> {
  try {
    return (await accounts.nameOf(sid)) ?? sid;
  } catch (error) {
    if (error instanceof SystemError) return sid;
    throw error;
  }
}

/** The path without links; as it is where that cannot be told. */
async function resolved({ files }: Pick<World, "files">, path: string): Promise<string> {
  try {
    return await files.realPath(path);
  } catch (error) {
    if (error instanceof SystemError) return win32.normalize(path);
    throw error;
  }
}
