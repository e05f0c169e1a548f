import { basename, dirname, join } from "node:path";
import { inControlGroup, systemUnitOf } from "../services/control-group.ts";
import { SUPPORT_FOLDER_VARIABLE } from "../services/data-folder.ts";
import { EXECUTABLE_NAME } from "../services/linux-processes.ts";
import { showUnits, splitWords, systemctl, type UnitProperties } from "../services/systemctl.ts";
import { type ProcessInfo, SystemError, type World } from "../world/world.ts";
import { parseEnvironmentFile } from "./environment-file.ts";

/** A unit of the system's manager that runs, or would run, a Plex Media Server. */
export interface ServerUnit {
  /** Its real name: an alias leads to the same. */
  readonly id: string;
  /** The unit file; empty where there is none. */
  readonly file: string;
  /** `User=` and `Group=` as they stand; empty where they do not. */
  readonly user: string;
  readonly group: string;
  /** The server's executable, where the unit names it. */
  readonly executable?: string;
  /** Whether the unit's own program is the server (and so runs under the account of the unit). */
  readonly direct: boolean;
  /** The parent folder by environment files or `Environment=`. */
  readonly supportFolder?: string;
  /** Environment files that this account may not read. */
  readonly unseen: readonly string[];
  /** Servers that run in it now. */
  readonly running: readonly ProcessInfo[];
}

/**
 * The names of the units of the known packages: deb, rpm and Arch; NixOS; Gentoo's overlay. Sources: plexinc's
 * deb package, nixpkgs `services.plex`, comio/plex-overlay.
 */
export const PACKAGED_UNITS: readonly string[] = [
  "plexmediaserver.service",
  "plex.service",
  "plex-media-server.service",
];

type UnitWorld = Pick<World, "run" | "files">;

/** The units of servers, whatever they are called; none where systemd is not at work. */
export async function serverUnits(
  world: UnitWorld,
  processes: readonly ProcessInfo[],
): Promise<ServerUnit[]> {
  const named = await namedLikePlex(world);
  if (named === null) return [];
  const ofProcesses = processes.flatMap((process) => systemUnitOf(process) ?? []);
  const names = [...new Set([...PACKAGED_UNITS, ...named, ...ofProcesses])];
  const shown = (await showUnits(world, names, PROPERTIES)) ?? [];
  const byId = new Map(shown.map((unit) => [unit.one("Id"), unit]));
  const units: ServerUnit[] = [];
  for (const unit of byId.values()) {
    const server = await serverUnit(world, unit, processes);
    if (server !== null) units.push(server);
  }
  return units;
}

const PROPERTIES = [
  "LoadState",
  "MainPID",
  "User",
  "Group",
  "FragmentPath",
  "ControlGroup",
  "Environment",
  "EnvironmentFiles",
  "ExecStart",
] as const;

/** Null where systemd does not answer. A unit may be loaded without a file, and have a file without being loaded. */
async function namedLikePlex(world: UnitWorld): Promise<string[] | null> {
  const plain = ["--no-legend", "--full", "--plain", "*[Pp][Ll][Ee][Xx]*.service"];
  const loaded = await systemctl(world, ["list-units", "--all", ...plain]);
  if (loaded?.status !== 0) return null;
  // Answers 1 when nothing matches.
  const files = await systemctl(world, ["list-unit-files", ...plain]);
  const words = `${loaded.stdout}\n${files?.stdout ?? ""}`.split(/\s+/u);
  return words.filter((word) => word.endsWith(".service") && !word.endsWith("@.service"));
}

async function serverUnit(
  world: UnitWorld,
  unit: UnitProperties,
  processes: readonly ProcessInfo[],
): Promise<ServerUnit | null> {
  // What was stopped must start again: a masked unit does not, and a transient one is gone with its process.
  const file = unit.one("FragmentPath");
  if (unit.one("LoadState") !== "loaded" || file.startsWith("/run/systemd/transient/")) return null;
  const running = processes.filter((process) => runsIn(unit, process));
  const start = unit.all("ExecStart").join("\n");
  const program = /^\{ path=(.*?) ; argv\[\]=/u.exec(start)?.[1] ?? "";
  if (CONTAINER_PROGRAMS.has(basename(program)) && running.length === 0) return null;
  const { environment, unseen } = await environmentOf(world, unit);
  const supportFolder = environment.get(SUPPORT_FOLDER_VARIABLE);
  const isServer =
    running.length > 0 ||
    PACKAGED_UNITS.includes(unit.one("Id")) ||
    supportFolder !== undefined ||
    start.includes(EXECUTABLE_NAME);
  if (!isServer) return null;
  const executable = executableIn(start);
  return {
    id: unit.one("Id"),
    file,
    user: unit.one("User"),
    group: unit.one("Group"),
    direct: basename(program) === EXECUTABLE_NAME,
    unseen,
    running,
    ...(executable === null ? {} : { executable }),
    ...(supportFolder === undefined || supportFolder === "" ? {} : { supportFolder }),
  };
}

/**
 * Whether stopping the unit is a fit way to stop the process. A unit that only happened to start it (cron, a
 * supervisor, sshd) must not be stopped for it: the unit is the server's own when it starts it, or is named after
 * it, or is a local unit whose main process is the server's parent (a wrapper).
 */
function runsIn(unit: UnitProperties, process: ProcessInfo): boolean {
  const mainPid = Number(unit.one("MainPID"));
  if (mainPid > 0 && process.pid === mainPid) return true;
  const isChild = mainPid > 0 && process.parent === mainPid;
  if (inControlGroup(process, unit.one("ControlGroup")) === "no" && !isChild) return false;
  const start = unit.all("ExecStart").join("\n");
  const isLocal = unit.one("FragmentPath").startsWith("/etc/systemd/system/");
  return /plex/iu.test(unit.one("Id")) || start.includes(EXECUTABLE_NAME) || (isLocal && isChild);
}

/** A unit that only starts a container: the server in it is not one of this host. */
const CONTAINER_PROGRAMS: ReadonlySet<string> = new Set([
  "docker",
  "docker-compose",
  "podman",
  "nerdctl",
  "systemd-nspawn",
  "lxc-start",
  "machinectl",
]);

function executableIn(start: string): string | null {
  const path = new RegExp(`(?:^|["'\\s=])(/[^\\s"';$]+/${EXECUTABLE_NAME})(?=["'\\s]|$)`, "mu").exec(
    start,
  )?.[1];
  return path ?? null;
}

/**
 * What the unit gives its processes. `Environment` already has every drop-in in it, however it quotes; the
 * environment files are not in it, and win over it (systemd.exec(5); seen).
 */
async function environmentOf(
  world: UnitWorld,
  unit: UnitProperties,
): Promise<{ environment: ReadonlyMap<string, string>; unseen: string[] }> {
  const environment = new Map<string, string>();
  for (const word of splitWords(unit.one("Environment"))) {
    const equals = word.indexOf("=");
    if (equals > 0) environment.set(word.slice(0, equals), word.slice(equals + 1));
  }
  const unseen: string[] = [];
  for (const listed of unit.all("EnvironmentFiles")) {
    const pattern = listed.replace(/ \(ignore_errors=(?:yes|no)\)$/u, "");
    for (const path of await matching(world, pattern)) {
      const text = await textOf(world, path);
      if (text === null) unseen.push(path);
      else for (const [name, value] of parseEnvironmentFile(text)) environment.set(name, value);
    }
  }
  return { environment, unseen };
}

/** The text of an environment file; empty when there is none, null when this account may not read it. */
async function textOf(world: UnitWorld, path: string): Promise<string | null> {
  try {
    const { kind } = await world.files.stat(path);
    if (kind !== "file") return "";
    return new TextDecoder().decode(await world.files.read(path, 1_048_576));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return error.code === "EACCES" || error.code === "EPERM" ? null : "";
  }
}

/** The paths that a path with `*`, `?` and `[…]` stands for, in order; itself when it has none of them. */
async function matching(world: UnitWorld, pattern: string): Promise<string[]> {
  if (!/[*?[]/u.test(pattern)) return [pattern];
  const folders = dirname(pattern) === pattern ? [pattern] : await matching(world, dirname(pattern));
  const name = basename(pattern);
  const paths: string[] = [];
  for (const folder of folders) {
    if (!/[*?[]/u.test(name)) paths.push(join(folder, name));
    else paths.push(...(await entries(world, folder, name)));
  }
  return paths;
}

async function entries(world: UnitWorld, folder: string, name: string): Promise<string[]> {
  const shape = globShape(name);
  try {
    const all = await world.files.list(folder);
    const visible = all.filter(
      (entry) => shape.test(entry) && (name.startsWith(".") || !entry.startsWith(".")),
    );
    return visible.sort().map((entry) => join(folder, entry));
  } catch (error) {
    if (error instanceof SystemError) return [];
    throw error;
  }
}

function globShape(name: string): RegExp {
  const source = name.replace(/\[!?[^\]]+\]|[\\^$.*+?()[\]{}|]/gu, (part) => {
    if (part === "*") return ".*";
    if (part === "?") return ".";
    if (part.length === 1) return `\\${part}`;
    return `[${part.slice(1, -1).replace(/^!/u, "^").replaceAll("\\", "\\\\")}]`;
  });
  return new RegExp(`^${source}$`, "su");
}
