import type { Event, Result } from "../model/event.ts";

/** Shows what happens and how it ended, to a person or to a script. */
export interface Reporter {
  event(event: Event): void;
  /** Once, last. */
  result(result: Result): void;
}

/** Where a reporter writes; each text is whole lines. */
export interface Output {
  /** Standard output. */
  out(text: string): void;
  /** Standard error. */
  err(text: string): void;
}
