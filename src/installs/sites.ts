import { dirname, join, resolve } from "node:path";
import type { InstallKind } from "../model/server.ts";
import { accountOf } from "../services/accounts.ts";
import {
  dataFolderIn,
  dataFolderInHome,
  dataFoldersOf,
  presence,
  resolved,
  SETTINGS_NAME,
} from "../services/data-folder.ts";
import { ownersOf, owns } from "../services/settings-owners.ts";
import type { ProcessInfo, World } from "../world/world.ts";
import { PACKAGED_UNITS, type ServerUnit, serverUnits } from "./systemd-units.ts";

/** A place where a server's settings are, and who keeps it running. */
export interface Site {
  readonly settingsPath: string;
  readonly dataFolder: string;
  readonly install: InstallKind;
  readonly unit?: ServerUnit;
  readonly process?: ProcessInfo;
  readonly unseen: readonly string[];
}

type SiteWorld = Pick<World, "run" | "files" | "user">;

/** Known places, for a server of which neither a process nor a unit was found. Sources: DBRepair; nixpkgs. */
const KNOWN_FOLDERS = [
  { parent: "/var/lib/plexmediaserver/Library/Application Support", install: "linux-package" },
  { parent: "/var/lib/plex", install: "arch-package" },
] as const satisfies readonly { parent: string; install: InstallKind }[];

/** Places on this host, each set of settings once. */
export interface Sites {
  /** Those that have a server. */
  readonly found: readonly Site[];
  /** Those that could have one, too: a unit whose settings are not there. */
  readonly possible: readonly Site[];
  /** What may belong to further ones and could not be seen. */
  readonly unseen: readonly string[];
}

export async function sitesOf(world: SiteWorld, processes: readonly ProcessInfo[]): Promise<Sites> {
  const units = await serverUnits(
    world,
    processes.filter((process) => process.sameNamespace !== false),
  );
  const sites: Site[] = [];
  for (const unit of units) sites.push(...(await unitSites(world, unit)));
  const loose = processes.filter((process) => units.every((unit) => !unit.running.includes(process)));
  const unseen: string[] = [];
  for (const process of loose.filter(({ sameNamespace }) => sameNamespace !== false)) {
    const folder = await folderOfProcess(world, process);
    if (folder === null) unseen.push(`/proc/${process.pid}/environ`);
    else {
      const found = site(folder, "running-process", { process });
      if (await isRunByItsOwn(world, found)) sites.push(found);
    }
  }
  for (const { parent, install } of KNOWN_FOLDERS) sites.push(site(dataFolderIn(parent), install, {}));
  const kept = await listed(world, sites);
  const dropped = sites.filter((one) => kept.every(({ settingsPath }) => settingsPath !== one.settingsPath));
  for (const one of dropped) unseen.push(...one.unseen);
  return {
    found: await distinct(world, kept),
    possible: await distinct(world, sites),
    unseen: [...new Set(unseen)],
  };
}

/** A unit has one server, or one for each data folder that its processes use. */
async function unitSites(world: SiteWorld, unit: ServerUnit): Promise<Site[]> {
  const install = await installOf(world, unit);
  const folders = new Map<string, ProcessInfo>();
  for (const process of unit.running) {
    const folder = await folderOfProcess(world, process);
    if (folder !== null && !folders.has(folder)) folders.set(folder, process);
  }
  if (folders.size > 0) {
    return [...folders].map(([folder, process]) => site(folder, install, { unit, process }));
  }
  const [process] = unit.running;
  const unseen = unit.running.map(({ pid }) => `/proc/${pid}/environ`);
  const folder = await folderOfUnit(world, unit);
  return [site(folder, install, { unit, unseen: [...unit.unseen, ...unseen], ...(process && { process }) })];
}

function site(dataFolder: string, install: InstallKind, more: Partial<Site>): Site {
  return { unseen: [], ...more, dataFolder, install, settingsPath: join(dataFolder, SETTINGS_NAME) };
}

/** Of several places in question the first that has settings, else the likeliest; null when it cannot be told. */
async function folderOfProcess(world: SiteWorld, process: ProcessInfo): Promise<string | null> {
  const folders = (await dataFoldersOf(world, process)) ?? [];
  return (await firstWithSettings(world, folders)) ?? folders[0] ?? null;
}

/** By the unit's environment, else the home of its account, else (for a package's unit) the known places. */
async function folderOfUnit(world: SiteWorld, unit: ServerUnit): Promise<string> {
  if (unit.supportFolder !== undefined) return dataFolderIn(unit.supportFolder);
  const account = await accountOf(world, unit.user === "" ? "root" : unit.user);
  const home = account === null ? [] : [dataFolderInHome(account.home)];
  const known = PACKAGED_UNITS.includes(unit.id)
    ? KNOWN_FOLDERS.map(({ parent }) => dataFolderIn(parent))
    : [];
  const folders = [...home, ...known];
  return (await firstWithSettings(world, folders)) ?? folders[0] ?? dataFolderIn(KNOWN_FOLDERS[0].parent);
}

async function firstWithSettings(world: SiteWorld, folders: readonly string[]): Promise<string | null> {
  for (const folder of folders) {
    if ((await presence(world.files, join(folder, SETTINGS_NAME))) === "there") return folder;
  }
  return null;
}

/** A unit file that somebody wrote here is not the package's, whatever it is called. */
async function installOf(world: SiteWorld, unit: ServerUnit): Promise<InstallKind> {
  const packaged = PACKAGED_UNITS.includes(unit.id) && /^(?:\/usr)?\/lib\/systemd\/system\//u.test(unit.file);
  if (!packaged) return "systemd-unit";
  const arch = (await presence(world.files, "/etc/arch-release")) === "there";
  return arch ? "arch-package" : "linux-package";
}

/** Those with settings, or with a process; where this account may not look, what is said says so. */
async function listed(world: SiteWorld, sites: readonly Site[]): Promise<Site[]> {
  const kept: Site[] = [];
  for (const one of sites) {
    const there = await presence(world.files, one.settingsPath);
    if (there === "unseen") kept.push({ ...one, unseen: [...one.unseen, one.settingsPath] });
    else if (there === "there" || one.process !== undefined) kept.push(one);
  }
  return kept;
}

/**
 * Whether the process at a place is run by an account that has to do with the settings there: their owner, root, or
 * we ourselves. Any account can start a program of the server's name that names another's folder.
 */
async function isRunByItsOwn(world: SiteWorld, { process, settingsPath }: Site): Promise<boolean> {
  if (process === undefined) return false;
  if (process.uid === 0 || process.uid === world.user.uid) return true;
  return owns(await ownersOf(world.files, settingsPath), process.uid);
}

/** The same settings once: the unit that runs them, else the process, else a unit, else the known place. */
async function distinct(world: SiteWorld, sites: readonly Site[]): Promise<Site[]> {
  const best = new Map<string, { readonly site: Site; readonly rank: number }>();
  for (const site of sites) {
    const key = await resolved(world.files, site.settingsPath);
    const rank = await rankOf(world, site);
    if (rank > (best.get(key)?.rank ?? -1)) best.set(key, { site, rank });
  }
  return [...best.values()].map(({ site }) => site);
}

/** A process of another unit (whatever account that has) does not go before the unit that starts the server. */
async function rankOf(world: SiteWorld, site: Site): Promise<number> {
  const { unit } = site;
  const runs = await isRunByItsOwn(world, site);
  return (runs ? 4 : 0) + (unit === undefined ? 0 : 2) + (isPackaged(unit) ? 1 : 0);
}

function isPackaged(unit: ServerUnit | undefined): boolean {
  return unit !== undefined && PACKAGED_UNITS.includes(unit.id);
}

/** The settings that a person named: one of the sites when a server uses that file, else the file alone. */
export async function namedSite(world: SiteWorld, sites: readonly Site[], named: string): Promise<Site> {
  const settingsPath = resolve(named);
  const key = await resolved(world.files, settingsPath);
  for (const one of sites) {
    if ((await resolved(world.files, one.settingsPath)) !== key) continue;
    // A known place alone, without a unit or a process, says no more than the path does.
    const known = one.unit !== undefined || one.process !== undefined;
    return { ...one, settingsPath, install: known ? one.install : "settings-file" };
  }
  return { settingsPath, dataFolder: dirname(settingsPath), install: "settings-file", unseen: [] };
}
