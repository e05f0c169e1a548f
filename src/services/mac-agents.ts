import { posix } from "node:path";
import type { Server } from "../model/server.ts";
import { shellWord } from "../model/shell-word.ts";
import { SystemError, type World } from "../world/world.ts";
import { type JobFile, namesServer, readJob, TOOL_MS, tool } from "./mac-job.ts";
import { type MacUser, runAs } from "./mac-user.ts";

/** A job of launchd that has to do with the server, and is loaded. */
export interface MacJob {
  readonly label: string;
  /** It starts the server after every end; otherwise it may, or did once. */
  readonly keepsAlive: boolean;
  /** Unloads it, and loads it again; empty where its file was not found. */
  readonly line: string;
  readonly backLine: string;
  /** Shows it, with where its file is. */
  readonly showLine: string;
}

export type JobWorld = Pick<World, "run" | "user" | "files">;

/**
 * The jobs of launchd that start this server again and again, or may, and are loaded now: those whose file names the
 * application (with `KeepAlive`, a timetable or something else that starts them), and those that one of the processes
 * itself is. `"unknown"` where none was found and not every file could be read.
 *
 * What launches the application unseen (a script, another application) is in no list of launchd.
 */
export async function loadedJobs(
  world: JobWorld,
  server: Server,
  pids: ReadonlySet<number>,
): Promise<readonly MacJob[] | "unknown"> {
  const user = userOf(server);
  if (user === null) return "unknown";
  const looked: (readonly MacJob[] | "unseen")[] = [await jobsOfProcesses(world, user, pids)];
  const whose = { user, server };
  for (const folder of foldersOf(user)) looked.push(...(await jobsInFolder(world, whose, folder)));
  const jobs = new Map<string, MacJob>();
  // Of a job that is seen both ways, the one with its lines stands.
  for (const job of looked.flatMap((each) => (each === "unseen" ? [] : each))) jobs.set(job.label, job);
  return jobs.size === 0 && looked.includes("unseen") ? "unknown" : [...jobs.values()];
}

/** A line that shows the jobs of launchd that may keep a process of this server: those that are known, else what to look through. */
export async function lineAboutJobs(world: JobWorld, server: Server, pid: number): Promise<string> {
  const jobs = await loadedJobs(world, server, new Set([pid]));
  if (jobs !== "unknown" && jobs.length > 0) return jobs.map(({ showLine }) => showLine).join("; ");
  const user = userOf(server);
  const all = ["launchctl", ...(user === null ? ["list"] : ["print", `gui/${user.uid}`])].join(" ");
  return `${all} | grep -i -e plex -e ${pid}`;
}

/** The account of a server of a Mac as programs are run as it; null where that is not known. */
export function userOf({ account, settingsPath }: Server): MacUser | null {
  if (account === undefined || !("uid" in account)) return null;
  return { ...account, home: posix.dirname(posix.dirname(posix.dirname(settingsPath))) };
}

/**
 * Where jobs are kept, and in which domains of launchd each may be: an agent is on the desktop, or (a `Background` one)
 * with the account alone. Source: launchd.plist(5), launchctl(1).
 */
interface JobFolder {
  readonly path: string;
  readonly domains: readonly string[];
  readonly sudo: string;
}

function foldersOf({ home, uid }: MacUser): readonly JobFolder[] {
  const domains = [`gui/${uid}`, `user/${uid}`];
  return [
    { path: posix.join(home, "Library", "LaunchAgents"), domains, sudo: "" },
    { path: "/Library/LaunchAgents", domains, sudo: "" },
    { path: "/Library/LaunchDaemons", domains: ["system"], sudo: "sudo " },
  ];
}

function jobIn(
  { sudo, domain }: JobFolder & { readonly domain: string },
  path: string,
  { label, keepAlive }: JobFile,
): MacJob {
  const target = shellWord(`${domain}/${label}`);
  return {
    label,
    keepsAlive: keepAlive === "always",
    line: `${sudo}launchctl bootout ${target}`,
    backLine: `${sudo}launchctl bootstrap ${domain} ${shellWord(path)}`,
    showLine: `launchctl print ${target}`,
  };
}

async function filesIn({ files }: JobWorld, folder: string): Promise<string[] | "unseen"> {
  try {
    const names = await files.list(folder);
    return names
      .filter((name) => name.endsWith(".plist"))
      .sort()
      .map((name) => posix.join(folder, name));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return error.code === "ENOENT" || error.code === "ENOTDIR" ? [] : "unseen";
  }
}

interface Whose {
  readonly user: MacUser;
  readonly server: Server;
}

async function jobsInFolder(
  world: JobWorld,
  whose: Whose,
  folder: JobFolder,
): Promise<(readonly MacJob[] | "unseen")[]> {
  const paths = await filesIn(world, folder.path);
  if (paths === "unseen") return [paths];
  const found: (readonly MacJob[] | "unseen")[] = [];
  for (const path of paths) found.push(await jobOfFile(world, whose, folder, path));
  return found;
}

/** None where the file is no job of this server, or not loaded. */
async function jobOfFile(
  world: JobWorld,
  { user, server }: Whose,
  folder: JobFolder,
  path: string,
): Promise<readonly MacJob[] | "unseen"> {
  const job = await readJob(world, user, path);
  if (job === "unseen") return job;
  if (job === null || !namesServer(job, server) || job.keepAlive === "never") return [];
  const domain = await domainOf(world, folder, job);
  if (domain === "unseen") return domain;
  return domain === null ? [] : [jobIn({ ...folder, domain }, path, job)];
}

/** The domain in which a job of that folder is loaded; null: in none; `unseen`: that is not told. */
async function domainOf(world: JobWorld, { domains }: JobFolder, { label }: JobFile): Promise<string | null> {
  let unseen = false;
  for (const domain of domains) {
    const loaded = await isLoaded(world, `${domain}/${label}`);
    if (loaded === true) return domain;
    if (loaded === "unseen") unseen = true;
  }
  return unseen ? "unseen" : null;
}

/** 113: no such job; 112 and 125: not even its domain (the two are told by different versions). */
async function isLoaded(world: JobWorld, target: string): Promise<boolean | "unseen"> {
  const answer = await tool(() => world.run("/bin/launchctl", ["print", target], { timeoutMs: TOOL_MS }));
  if (answer?.status === 0) return true;
  return NOT_LOADED.has(answer?.status ?? 0) ? false : "unseen";
}

const NOT_LOADED: ReadonlySet<number> = new Set([112, 113, 125]);

/**
 * Jobs that a process of the server itself is. An application that was launched is in that list as well, by a name
 * that launchd gives it (Homebrew's abstract_uninstall.rb), and is not started again.
 */
async function jobsOfProcesses(
  world: JobWorld,
  user: MacUser,
  pids: ReadonlySet<number>,
): Promise<MacJob[] | "unseen"> {
  const answer = await tool(() => runAs(world, user, "/bin/launchctl", ["list"], { timeoutMs: TOOL_MS }));
  if (answer?.status !== 0) return "unseen";
  return answer.stdout.split("\n").flatMap((row) => {
    const [pid, , label] = row.split("\t");
    if (label === undefined || !pids.has(Number(pid)) || label.startsWith("application.")) return [];
    const showLine = `launchctl print ${shellWord(`gui/${user.uid}/${label}`)}`;
    return [{ label, keepsAlive: false, line: "", backLine: "", showLine }];
  });
}
