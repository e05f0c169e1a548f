import type { Note } from "../model/event.ts";
import { type Problem, ProblemError } from "../model/problem.ts";
import { type PlexTv, plexTv } from "../plex/account.ts";
import { note, type PathContext } from "../stages/context.ts";
import {
  closeStateDirectory,
  existingStateDirectory,
  openStateDirectory,
  type StateDirectory,
  stateDirectoryPath,
} from "../state/state-directory.ts";
import type { World } from "../world/world.ts";
import type { CommonOptions } from "./invocation.ts";
import { type Program, privilegedLine } from "./privileged-line.ts";
import type { Questions } from "./questions.ts";

/** What a command works with: the world, the person (if one is there), and how we were called. */
export interface Session {
  readonly world: World;
  readonly context: PathContext;
  readonly questions: Questions;
  readonly program: Program;
  /** The claim code that comes in on standard input. Throws `INTERRUPTED`, `CLAIM_CODE_UNREADABLE`. */
  readStandardInput(capBytes: number): Promise<string>;
}

export function say(session: Session, what: Note): void {
  note(session.context, what);
}

export function plexTvOf(session: Session, options: CommonOptions): PlexTv {
  return plexTv(session.world, {
    baseUrl: options.plextvUrl ?? "https://plex.tv",
    offline: options.offline,
    platform: session.world.platform,
  });
}

/** Works with the state directory, making it if need be. */
export async function withState<T>(
  session: Session,
  options: CommonOptions,
  work: (state: StateDirectory) => Promise<T>,
): Promise<T> {
  const path = stateDirectoryPath(session.world, options.stateDir);
  const state = await openStateDirectory(session.world, path);
  try {
    return await work(state);
  } finally {
    await closeStateDirectory(state);
  }
}

/** Works with the state directory if there is one; makes none. */
export async function withExistingState<T>(
  session: Session,
  options: CommonOptions,
  work: (state: StateDirectory | null) => Promise<T>,
): Promise<T> {
  const path = stateDirectoryPath(session.world, options.stateDir);
  const state = await existingStateDirectory(session.world, path);
  try {
    return await work(state);
  } finally {
    if (state !== null) await closeStateDirectory(state);
  }
}

/** Fills in the line to type where a problem says that this account may not do it, or not from here. */
export function withPrivilegedLine(session: Session, problem: Problem): Problem {
  const isOurs = problem.code === "NEEDS_PRIVILEGE" || problem.code === "DESKTOP_OUT_OF_REACH";
  if (!isOurs || problem.line !== "") return problem;
  return { ...problem, line: privilegedLine(session.program, session.world) };
}

/** A change needs a yes: from a person at a terminal, or from `--yes`. */
export function demandAssent(session: Session, options: { readonly yes: boolean }): void {
  if (options.yes || session.questions.interactive) return;
  throw new ProblemError({ code: "NO_TERMINAL", option: "--yes" });
}
