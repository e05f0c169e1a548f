import { posix } from "node:path";
import type { Server } from "../model/server.ts";
import { shellWord } from "../model/shell-word.ts";
import { SystemError, type World } from "../world/world.ts";
import { type MacUser, runAs } from "./mac-user.ts";
import { runProgram } from "./program.ts";

/** A job of launchd that has to do with the server, and is loaded. */
export interface MacJob {
  readonly label: string;
  /** It starts the server after every end; otherwise it may, or did once. */
  readonly keepsAlive: boolean;
  /** Unloads it, and loads it again; empty where its file was not found. */
  readonly line: string;
  readonly backLine: string;
}

export type JobWorld = Pick<World, "run" | "user" | "files">;

/**
 * The jobs of launchd that start this server again and again, or may, and are loaded now: those whose file names the
 * application (with `KeepAlive` or a timetable), and those that one of the processes itself is. `"unknown"` where that
 * cannot be seen.
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
  const found: MacJob[] = [];
  let unseen = false;
  for (const folder of foldersOf(user)) {
    for (const path of await filesIn(world, folder.path)) {
      const job = await readJob(world, user, path);
      if (job === null || !namesServer(job) || !startsAgain(job)) continue;
      const loaded = await isLoaded(world, `${folder.domain}/${job.label}`);
      if (loaded === "unknown") unseen = true;
      else if (loaded) found.push(jobIn(folder, path, job));
    }
  }
  const own = await jobsOfProcesses(world, user, pids);
  if (own === "unknown") unseen = true;
  else found.push(...own.filter(({ label }) => found.every((each) => each.label !== label)));
  return found.length === 0 && unseen ? "unknown" : found;
}

/** The account of a server of a Mac as programs are run as it; null where that is not known. */
export function userOf({ account, settingsPath }: Server): MacUser | null {
  if (account === undefined || !("uid" in account)) return null;
  return { ...account, home: posix.dirname(posix.dirname(posix.dirname(settingsPath))) };
}

/** Where jobs are kept, and in which domain of launchd each is. Source: launchd.plist(5), launchctl(1). */
interface JobFolder {
  readonly path: string;
  readonly domain: string;
  readonly sudo: string;
}

function foldersOf({ home, uid }: MacUser): readonly JobFolder[] {
  const domain = `gui/${uid}`;
  return [
    { path: posix.join(home, "Library", "LaunchAgents"), domain, sudo: "" },
    { path: "/Library/LaunchAgents", domain, sudo: "" },
    { path: "/Library/LaunchDaemons", domain: "system", sudo: "sudo " },
  ];
}

function jobIn(folder: JobFolder, path: string, { label, keepAlive }: JobFile): MacJob {
  const { sudo, domain } = folder;
  return {
    label,
    keepsAlive: keepAlive === "always",
    line: `${sudo}launchctl bootout ${shellWord(`${domain}/${label}`)}`,
    backLine: `${sudo}launchctl bootstrap ${domain} ${shellWord(path)}`,
  };
}

async function filesIn({ files }: JobWorld, folder: string): Promise<string[]> {
  try {
    const names = await files.list(folder);
    return names
      .filter((name) => name.endsWith(".plist"))
      .sort()
      .map((name) => posix.join(folder, name));
  } catch (error) {
    if (error instanceof SystemError) return [];
    throw error;
  }
}

interface JobFile {
  readonly label: string;
  readonly words: readonly string[];
  /** `sometimes`: under conditions, or by a timetable. */
  readonly keepAlive: "always" | "sometimes" | "never";
}

/** Read with the account's own rights: its folder may lead anywhere. Null for what cannot be read as a job. */
async function readJob(world: JobWorld, user: MacUser, path: string): Promise<JobFile | null> {
  const words = ["-convert", "json", "-o", "-", "--", path];
  const answer = await tool(() => runAs(world, user, "/usr/bin/plutil", words, { timeoutMs: TOOL_MS }));
  if (answer?.status !== 0) return null;
  const job = dictionaryOf(answer.stdout);
  const label = job?.["Label"];
  if (job === null || typeof label !== "string" || label === "") return null;
  return { label, words: textsOf(job), keepAlive: keepAliveOf(job) };
}

function dictionaryOf(json: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(json);
    return isDictionary(value) ? value : null;
  } catch {
    return null;
  }
}

function isDictionary(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textsOf(job: Readonly<Record<string, unknown>>): string[] {
  const listed: unknown = job["ProgramArguments"];
  const all: unknown[] = [job["Program"], ...(Array.isArray(listed) ? listed : [])];
  return all.filter((each) => typeof each === "string");
}

/** A dictionary names conditions: after a failure, say. Whether a server that was asked to quit counts so is not known. */
function keepAliveOf(job: Readonly<Record<string, unknown>>): JobFile["keepAlive"] {
  const keep = job["KeepAlive"];
  if (keep === true) return "always";
  const byTime = job["StartInterval"] !== undefined || job["StartCalendarInterval"] !== undefined;
  return isDictionary(keep) || byTime ? "sometimes" : "never";
}

function startsAgain({ keepAlive }: JobFile): boolean {
  return keepAlive !== "never";
}

/** Its bundle or its executable as a word, or what `open` is told. What only works on its data does not count. */
function namesServer({ words }: JobFile): boolean {
  const opens = words.some((word) => /(?:^|[\s/])open(?:\s|$)/u.test(word));
  return words.some((word) => BUNDLE.test(word) || (opens && OPENED.test(word)));
}

const BUNDLE = /Plex Media Server\.app(?:\/Contents\/MacOS\/Plex Media Server)?\/?["']?$/iu;
const OPENED = /(?:^|\s|["'])(?:Plex Media Server(?:\.app)?|com\.plexapp\.plexmediaserver)(?:$|\s|["'])/iu;

/** 113: no such job; 112 and 125: not even its domain (the two are told by different versions). */
async function isLoaded(world: JobWorld, target: string): Promise<boolean | "unknown"> {
  const answer = await runProgram(world, "/bin/launchctl", ["print", target], { timeoutMs: TOOL_MS });
  if (answer?.status === 0) return true;
  return NOT_LOADED.has(answer?.status ?? 0) ? false : "unknown";
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
): Promise<MacJob[] | "unknown"> {
  const answer = await tool(() => runAs(world, user, "/bin/launchctl", ["list"], { timeoutMs: TOOL_MS }));
  if (answer?.status !== 0) return "unknown";
  return answer.stdout.split("\n").flatMap((row) => {
    const [pid, , label] = row.split("\t");
    if (label === undefined || !pids.has(Number(pid)) || label.startsWith("application.")) return [];
    return [{ label, keepsAlive: false, line: "", backLine: "" }];
  });
}

const TOOL_MS = 15_000;

async function tool<T>(call: () => Promise<T>): Promise<T | null> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}
