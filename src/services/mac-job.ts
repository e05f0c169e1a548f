import { posix } from "node:path";
import type { Server } from "../model/server.ts";
import { SystemError, type World } from "../world/world.ts";
import { type MacUser, runAs } from "./mac-user.ts";

/** What a job's file says that matters here. */
export interface JobFile {
  readonly label: string;
  readonly words: readonly string[];
  /** `sometimes`: under conditions, by a timetable, or when something else happens. */
  readonly keepAlive: "always" | "sometimes" | "never";
}

/** Read with the account's own rights: its folder may lead anywhere. Null for what is no job. */
export async function readJob(
  world: Pick<World, "run" | "user">,
  user: MacUser,
  path: string,
): Promise<JobFile | "unseen" | null> {
  const words = ["-convert", "json", "-o", "-", "--", path];
  const answer = await tool(() => runAs(world, user, "/usr/bin/plutil", words, { timeoutMs: TOOL_MS }));
  // Closed to the account; or it has dates or data, which JSON has no form for.
  if (answer?.status !== 0) return "unseen";
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
  const conditions = keep !== undefined && keep !== false;
  return conditions || job["OnDemand"] === false || STARTS.some((key) => job[key] !== undefined)
    ? "sometimes"
    : "never";
}

/** What else starts a job that ended: launchd.plist(5), which also names `OnDemand` as the `KeepAlive` of Mac OS X 10.4. */
const STARTS = [
  "StartInterval",
  "StartCalendarInterval",
  "StartOnMount",
  "WatchPaths",
  "QueueDirectories",
  "LaunchEvents",
];

/** Its bundle or its executable as a word, or what `open` is told. What only works on its data does not count. */
export function namesServer(job: JobFile, { service }: Server): boolean {
  const words = job.words.map((word) => word.replaceAll("\\ ", " "));
  const opens = words.some((word) => /(?:^|[\s/])open(?:\s|$)/u.test(word));
  const name = service.kind === "mac-application" ? posix.basename(service.application) : null;
  const isNamed = (word: string) =>
    BUNDLE.test(word) || EXECUTABLE.test(word) || (name !== null && isBundle(word, name));
  return words.some((word) => isNamed(word) || (opens && (OPENED.test(word) || isOpened(word, name))));
}

/** Whether a word ends with a bundle of this name, whatever name its person has given it. */
function isBundle(word: string, name: string): boolean {
  return `/${word.toLowerCase()}`.replace(/\/?["']?$/u, "").endsWith(`/${name.toLowerCase()}`);
}

/** `open -a` takes the name without its ending as well. */
function isOpened(word: string, name: string | null): boolean {
  return name !== null && word.toLowerCase() === name.toLowerCase().replace(/\.app$/u, "");
}

/** `Plex Media Server 2.app` is the Finder's name for a second one. */
const BUNDLE = /Plex Media Server[^/]*\.app\/?["']?$/iu;
/** Anywhere in a line for the shell, in a bundle of any name. */
const EXECUTABLE = /\.app\/Contents\/MacOS\/Plex Media Server(?:$|[\s"'`;&|<>()])/iu;
const OPENED = /(?:^|\s|["'])(?:Plex Media Server(?:\.app)?|com\.plexapp\.plexmediaserver)(?:$|\s|["'])/iu;

/** Milliseconds. */
export const TOOL_MS = 15_000;

/** What a tool answers; null where it could not be run. */
export async function tool<T>(call: () => Promise<T>): Promise<T | null> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}
