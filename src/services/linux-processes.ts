import { basename, join } from "node:path";
import { type Server, type ServerProcess, uidOf } from "../model/server.ts";
import { type ProcessInfo, SystemError, type World } from "../world/world.ts";
import { inControlGroup, systemUnitOf } from "./control-group.ts";
import { dataFoldersOf, resolved, SETTINGS_NAME } from "./data-folder.ts";
import { ownersOf, owns, type SettingsOwners } from "./settings-owners.ts";
import { showUnits } from "./systemctl.ts";

type ProcessWorld = Pick<World, "processes" | "files" | "run" | "user">;

/**
 * The processes of this one server: its executable, in our process namespace, with its data folder. What only
 * mentions it (`tail -f` on a log, an editor, this tool), a zombie, another server on the host and a server in a
 * container do not count, nor does what an account runs that has nothing to do with the settings.
 *
 * `"unknown"` when a process could be one of them and this account may not see enough of it to tell.
 */
export async function linuxProcessesOf(
  world: ProcessWorld,
  server: Server,
): Promise<readonly ServerProcess[] | "unknown"> {
  const candidates = await serverProcesses(world, server.executable);
  return (await sortedOut(world, server, candidates)).processes;
}

/**
 * Whether somebody may be there who starts the server again when it ends by itself: the process that started it
 * (a wrapper, a supervisor), or the manager of the system, when it runs in a unit. A process whose parent has
 * ended is given to the first one, which only collects it (prctl(2), PR_SET_CHILD_SUBREAPER).
 *
 * True where it cannot be seen. In a container the first process may itself be a supervisor: that is not noticed.
 */
export async function isSupervisedOnLinux(world: ProcessWorld, server: Server): Promise<boolean> {
  const candidates = await serverProcesses(world, server.executable);
  const { processes } = await sortedOut(world, server, candidates);
  if (processes === "unknown" || processes.length === 0) return true;
  const pids = new Set(processes.map(({ pid }) => pid));
  return candidates
    .filter(({ pid }) => pids.has(pid))
    .some((process) => (process.parent !== 1 && !pids.has(process.parent)) || systemUnitOf(process) !== null);
}

/** The processes of a server among the candidates, and those of which this account cannot tell. */
export async function sortedOut(
  world: ProcessWorld,
  server: Server,
  candidates: readonly ProcessInfo[],
): Promise<{ readonly processes: readonly ServerProcess[] | "unknown"; readonly unseen: readonly string[] }> {
  const verdicts = await judge(world, server, candidates);
  const of = (wanted: Verdict) =>
    verdicts.filter(({ verdict }) => verdict === wanted).map(({ process }) => process);
  const unseen = of("unknown").map(({ pid }) => `/proc/${pid}/environ`);
  const ours = of("ours").map(({ pid, startTicks }) => ({ pid, startTicks }));
  if (ours.length === 0 && (await othersAreHidden(world, server))) {
    return { processes: "unknown", unseen: [...unseen, "/proc"] };
  }
  return { processes: unseen.length > 0 ? "unknown" : ours, unseen };
}

/** A system can hide the processes of other accounts altogether (`hidepid=`, proc(5)). */
async function othersAreHidden(world: ProcessWorld, server: Server): Promise<boolean> {
  const { uid } = world.user;
  if (uid === 0 || uidOf(server) === uid) return false;
  try {
    await world.files.read("/proc/1/stat", 65_536);
    return false;
  } catch (error) {
    if (error instanceof SystemError) return true;
    throw error;
  }
}

/** Every process that is, or may be, a Plex Media Server (or runs the executable), dead ones left out. */
export async function serverProcesses(
  world: Pick<World, "processes">,
  executable?: string,
): Promise<ProcessInfo[]> {
  const candidates = await world.processes.plexMediaServers(executable);
  return candidates.filter(
    (process) =>
      process.pid !== world.processes.ownPid &&
      process.state !== "Z" &&
      process.state !== "X" &&
      !isEnding(process) &&
      (process.executable === null ||
        process.executable === executable ||
        basename(process.executable) === EXECUTABLE_NAME),
  );
}

/**
 * A process that has given up its memory runs no code any more. For a moment, until it is a zombie, it has neither
 * an executable nor arguments, which everybody may see of a live one, and root cannot see its environment either.
 */
function isEnding({ executable, args }: ProcessInfo): boolean {
  return executable === null && args.length === 0;
}

/** How the executable is called on Linux. Source: the deb package; `pidof` in ChuckPa's DBRepair. */
export const EXECUTABLE_NAME = "Plex Media Server";

type Verdict = "ours" | "not-ours" | "unknown";

/** Tells of each process whether it belongs to the server. */
async function judge(
  world: ProcessWorld,
  server: Server,
  processes: readonly ProcessInfo[],
): Promise<{ readonly process: ProcessInfo; readonly verdict: Verdict }[]> {
  if (processes.length === 0) return [];
  const bench = await benchOf(world, server, processes);
  const verdicts = [];
  for (const process of processes)
    verdicts.push({ process, verdict: await verdictOn(world, bench, process) });
  return verdicts;
}

/** What processes are measured against, looked up once. */
interface Bench {
  readonly server: Server;
  readonly dataFolder: string;
  readonly settings: string;
  readonly owners: SettingsOwners;
  /** Of the server's unit; null where it has none, or where nothing depends on it. */
  readonly controlGroup: string | null;
}

async function benchOf(
  world: ProcessWorld,
  server: Server,
  processes: readonly ProcessInfo[],
): Promise<Bench> {
  const owners = await ownersOf(world.files, server.settingsPath);
  const plain = processes.every(
    (process) =>
      process.sameNamespace === true && process.env !== null && mayBe(world, { server, owners }, process),
  );
  return {
    owners,
    server,
    dataFolder: await resolved(world.files, server.dataFolder),
    settings: await resolved(world.files, server.settingsPath),
    controlGroup: plain ? null : await controlGroupOf(world, server),
  };
}

/** By its account: the server's own, else the owner of the settings; root; or, for who is not root, our own. */
function mayBe(
  { user }: ProcessWorld,
  { server, owners }: Pick<Bench, "server" | "owners">,
  { uid }: ProcessInfo,
): boolean {
  const account = uidOf(server);
  if (uid === 0 || uid === user.uid || uid === account) return true;
  return owners === null ? account === undefined : owns(owners, uid);
}

async function controlGroupOf(world: ProcessWorld, server: Server): Promise<string | null> {
  if (server.service.kind !== "systemd") return null;
  const [unit] = (await showUnits(world, [server.service.unit], ["ControlGroup"])) ?? [];
  return unit?.one("ControlGroup") || null;
}

async function verdictOn(world: ProcessWorld, bench: Bench, process: ProcessInfo): Promise<Verdict> {
  const inUnit = inControlGroup(process, bench.controlGroup);
  // Another namespace is a container, unless it is one that the server's own unit made (PrivatePIDs=).
  if (process.sameNamespace === false && inUnit === "no") return "not-ours";
  // What runs in the server's own unit was started by it, as whomever, and ends with it.
  if (inUnit === "no" && !mayBe(world, bench, process)) return "not-ours";
  const folders = await dataFoldersOf(world, process);
  if (folders !== null && process.sameNamespace !== null) return await byFolder(world, bench, folders);
  if (inUnit === "exactly" && process.sameNamespace !== false) return "ours";
  const account = uidOf(bench.server);
  if (account !== undefined && account !== process.uid) return "not-ours";
  return process.sameNamespace === false ? "not-ours" : "unknown";
}

async function byFolder(world: ProcessWorld, bench: Bench, folders: readonly string[]): Promise<Verdict> {
  if (folders.length === 0) return "unknown";
  for (const folder of folders) {
    if ((await resolved(world.files, folder)) === bench.dataFolder) return "ours";
    if ((await resolved(world.files, join(folder, SETTINGS_NAME))) === bench.settings) return "ours";
  }
  return "not-ours";
}
