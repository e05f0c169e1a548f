import { createHash } from "node:crypto";
import type { Server, ServiceDescription } from "../model/server.ts";
import { accountOf, groupIdOf } from "../services/accounts.ts";
import { resolved } from "../services/data-folder.ts";
import { serverProcesses, sortedOut } from "../services/linux-processes.ts";
import { ownersOf, owns } from "../services/settings-owners.ts";
import { isPlistName } from "../stores/settings-format.ts";
import type { ProcessInfo, World } from "../world/world.ts";
import {
  addressFor,
  commandsFor,
  type FindOptions,
  type FoundServer,
  type FoundServers,
} from "./find-servers.ts";
import { namedSite, type Site, sitesOf } from "./sites.ts";
import type { ServerUnit } from "./systemd-units.ts";

type FindWorld = Pick<World, "run" | "files" | "processes" | "user">;

/**
 * Every Plex Media Server of this host: running ones, those of systemd units, and those at the packages' known
 * places; each set of settings once, whatever links lead to it. With `settings` only that one, found or not.
 *
 * A server in a container is not one of this host. A package that was installed and never run is none yet. Never
 * throws for what it may not see: `unseen` names it.
 */
export async function findServersOnLinux(world: FindWorld, options: FindOptions): Promise<FoundServers> {
  const { processMatch } = options;
  const executable = processMatch === undefined ? undefined : await resolved(world.files, processMatch);
  const processes = await serverProcesses(world, executable);
  const sites = await sitesOf(world, processes);
  const wanted =
    options.settings === undefined ? sites.found : [await namedSite(world, sites.possible, options.settings)];
  const servers: FoundServer[] = [];
  for (const site of wanted) {
    servers.push(await foundServer(world, site, processes, { ...options, ...present({ executable }) }));
  }
  servers.sort((one, other) => (one.server.settingsPath < other.server.settingsPath ? -1 : 1));
  return { servers, unseen: options.settings === undefined ? sites.unseen : [] };
}

async function foundServer(
  world: FindWorld,
  site: Site,
  processes: readonly ProcessInfo[],
  options: FindOptions & { readonly executable?: string },
): Promise<FoundServer> {
  const { settingsPath, dataFolder, install, unit, process } = site;
  const executable = options.executable ?? process?.executable ?? unit?.executable;
  const account = await accountOfSite(world, site);
  const server: Server = {
    id: await idOf(world, settingsPath),
    install,
    store: isPlistName(settingsPath) ? "plist" : "xml",
    settingsPath,
    dataFolder,
    ...present({ executable }),
    ...present({ account }),
    service: serviceFor(options, unit),
    url: addressFor(options),
  };
  const seen = await sortedOut(world, server, processes);
  return { server, processes: seen.processes, unseen: [...new Set([...site.unseen, ...seen.unseen])] };
}

/** Eight hex digits of the SHA-256 of the settings' real path. */
async function idOf(world: FindWorld, settingsPath: string): Promise<string> {
  const path = await resolved(world.files, settingsPath);
  return createHash("sha256").update(path).digest("hex").slice(0, 8);
}

function serviceFor(options: FindOptions, unit: ServerUnit | undefined): ServiceDescription {
  const commands = commandsFor(options);
  if (commands !== null) return commands;
  return unit === undefined ? { kind: "none" } : { kind: "systemd", unit: unit.id };
}

/**
 * Whom the server runs as: seen on its process where that one owns the settings, else told by its unit. A unit without `User=` that starts the
 * server by a script may change the account there (`su`, `runuser`): then it is not known.
 */
async function accountOfSite(
  world: FindWorld,
  { process, unit, settingsPath }: Site,
): Promise<Server["account"]> {
  const seen = process !== undefined && owns(await ownersOf(world.files, settingsPath), process.uid);
  const key = seen ? String(process.uid) : accountOfUnit(unit);
  const account = key === null ? null : await accountOf(world, key);
  if (account === null) return undefined;
  const { name, uid, gid } = account;
  const group = unit === undefined || unit.group === "" ? null : await groupIdOf(world, unit.group);
  return { name, uid, gid: group ?? gid };
}

function accountOfUnit(unit: ServerUnit | undefined): string | null {
  if (unit === undefined) return null;
  if (unit.user !== "") return unit.user;
  return unit.direct ? "root" : null;
}

/** Leaves out what is not there: an optional property is absent, never `undefined`. */
function present<Name extends string, Value>(
  one: Record<Name, Value>,
): Partial<Record<Name, NonNullable<Value>>> {
  const entries = Object.entries(one).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(entries) as Partial<Record<Name, NonNullable<Value>>>;
}
