import type { Note } from "../model/event.ts";
import type { World } from "../world/world.ts";

/** Who is there while somebody may have to answer a question of the system. */
export interface Company {
  /** As `interrupt` of a run: its reason is the signal's name. */
  readonly interrupt: AbortSignal;
  tell(what: Note): void;
}

/** How a server is stopped and started. One file a mechanism beside this one. */
export interface Service {
  /** The line a person would type; null where there is none. */
  readonly stopLine: string | null;
  /** As typed here; null also where it would start the server as somebody else, or with other rights. */
  readonly startLine: string | null;
  /**
   * That this account could stop the server *and* start it again, from here. Changes nothing. Throws `NEEDS_PRIVILEGE`
   * (its `line` is empty: the command layer knows it), `NO_WAY_TO_STOP`, `OTHER_SESSION`, `NO_DESKTOP_TO_START_ON`.
   * `settings`: where the settings are, for that problem.
   *
   * The system may put a question to its person meanwhile: `company` is told before, and can call it off
   * (`INTERRUPTED`).
   */
  demandControl(settings: string, company?: Company): Promise<void>;
  /** How long a polite stop may take: below the manager's own kill. Milliseconds. */
  stopDeadlineMs(): Promise<number>;
  /** Asks it to stop and returns when the request is taken; does not wait, and never kills. */
  requestStop(): Promise<void>;
  /** What the manager says now. `stopping`: a stop is still queued there. */
  condition(): Promise<"active" | "stopping" | "inactive" | "failed" | "unknown">;
  /** How long a queued stop may still take until the manager ends it by force; milliseconds. */
  queuedStopMs(): Promise<number>;
  /** Whether the manager ended the last run by force. */
  killedByForce(): Promise<boolean>;
  /** Starts it; throws `START_FAILED`. `resetLimit`: forget earlier failures first (systemd's start limit). */
  start(options: { resetLimit: boolean }): Promise<void>;
}

export type ServiceWorld = Pick<World, "run" | "clock" | "env" | "user" | "windows">;
