import type { Event, Note, Step } from "../model/event.ts";
import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import type { Service } from "../services/service.ts";
import type { SettingsStore } from "../stores/store.ts";
import type { World } from "../world/world.ts";

/** What every stage needs: the world, somebody to tell, and whether a person has asked us to stop. */
export interface PathContext {
  readonly world: World;
  emit(event: Event): void;
  /** Aborted by Ctrl-C, a hang-up, termination or a closed output; its reason is the signal's name. */
  readonly interrupt: AbortSignal;
}

/** One server with its settings and its service at hand: what a changing command works on. */
export interface Target {
  readonly server: Server;
  readonly store: SettingsStore;
  readonly service: Service;
}

/** Waits of the path, in milliseconds. Every wait has one of these as its end. */
export const WAITS = {
  /** Between two looks at a server that is stopping: what it wastes is time in which nobody can watch anything. */
  stopPollMs: 20,
  /** Between two looks at anything else. */
  pollMs: 50,
  /** A stop command that failed may have reached the server all the same. */
  failedStopMs: 5_000,
  /** An application that has not closed in its time is given this more, before it counts as running on. */
  secondStopMs: 30_000,
  /** Before such a command is tried again. */
  stopAgainMs: 2_000,
  /** From the beginning of a run until its stop is asked for, at most: an exchange with its pauses. */
  beforeStopMs: 120_000,
  /** A started server that answers nothing at all. */
  startMs: 120_000,
  /** A started server that says it is in maintenance (HTTP 503): hours are possible after a migration. */
  maintenanceMs: 600_000,
  /** A started server of which neither a process nor an answer was seen. */
  noProcessMs: 15_000,
  /** After a user's own stop command: a supervisor that brings the server back does so in this time. */
  restartWatchMs: 1_500,
  /** Between two looks in that time: each costs a walk through all processes, and none shortens it. */
  restartPollMs: 250,
  /** A daemon that keeps settings in memory writes them to the disk within seconds, if it can at all. */
  durableMs: 15_000,
  durablePollMs: 500,
} as const;

export function note(context: PathContext, what: Note): void {
  context.emit({ type: "note", note: what });
}

/** Runs one step between its two events. */
export async function step<T>(context: PathContext, name: Step, work: () => Promise<T>): Promise<T> {
  context.emit({ type: "step", step: name, phase: "begin" });
  const result = await work();
  context.emit({ type: "step", step: name, phase: "end" });
  return result;
}

/** Throws `INTERRUPTED` once somebody asked us to stop. */
export function heedInterrupt(context: PathContext): void {
  if (!context.interrupt.aborted) return;
  const reason: unknown = context.interrupt.reason;
  throw new ProblemError({ code: "INTERRUPTED", signal: typeof reason === "string" ? reason : "SIGINT" });
}

/** The same context for work that must be finished whatever anybody asks: putting things back. */
export function uninterruptible(context: PathContext): PathContext {
  return { ...context, emit: (event) => context.emit(event), interrupt: new AbortController().signal };
}
