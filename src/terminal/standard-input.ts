import type { Readable } from "node:stream";
import { markedText } from "../model/marked-text.ts";
import { ProblemError } from "../model/problem.ts";

export interface LineOptions {
  readonly capBytes: number;
  readonly timeoutMs: number;
  readonly interrupt: AbortSignal;
}

/**
 * The first line of a stream that is not blank, or what there is of it at the end of the stream or past the cap.
 * The stream is left alone afterwards: who wrote to it may keep it open.
 *
 * Throws `INTERRUPTED`, and `CLAIM_CODE_UNREADABLE` with `ETIMEDOUT` or what the system said. No part of what was
 * read is in them.
 */
export function firstLine(input: Readable, options: LineOptions): Promise<string> {
  const { capBytes, timeoutMs, interrupt } = options;
  return new Promise((resolve, reject) => {
    let text = "";
    const decoder = markedText();
    const end = (settle: () => void) => {
      clearTimeout(timer);
      interrupt.removeEventListener("abort", interrupted);
      input.off("data", taken).off("end", finished).off("close", finished).off("error", failed);
      // A late error has nobody left to tell.
      input.on("error", () => undefined).pause();
      settle();
    };
    const finished = () => end(() => resolve(text + decoder.end()));
    const failed = (error: unknown) => end(() => reject(unreadable(codeOf(error))));
    const interrupted = () => end(() => reject(interruption(interrupt)));
    const taken = (chunk: string | Uint8Array) => {
      text = (text + (typeof chunk === "string" ? chunk : decoder.add(chunk))).replace(BLANK_LINES, "");
      if (text.includes("\n") || text.length > capBytes) end(() => resolve(text.split("\n", 1)[0] ?? ""));
    };
    const timer = setTimeout(() => end(() => reject(unreadable("ETIMEDOUT"))), timeoutMs);
    if (interrupt.aborted) return interrupted();
    interrupt.addEventListener("abort", interrupted);
    input.on("data", taken).on("end", finished).on("close", finished).on("error", failed);
  });
}

const BLANK_LINES = /^(?:[^\S\n]*\n)+/u;

function unreadable(reason: string): ProblemError {
  return new ProblemError({ code: "CLAIM_CODE_UNREADABLE", path: "-", reason });
}

function interruption({ reason }: AbortSignal): ProblemError {
  return new ProblemError({ code: "INTERRUPTED", signal: typeof reason === "string" ? reason : "SIGINT" });
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "EIO";
}
