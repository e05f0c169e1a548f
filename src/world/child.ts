import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import type { RunOptions, RunResult } from "./world.ts";

/** How a program ended. */
export type End = Pick<RunResult, "status" | "signal" | "timedOut">;

/** A process that the kernel cannot end now (stuck in a system call) is given up after this. */
export const UNKILLABLE_MS = 5_000;

const OUTPUT_CAP_BYTES = 1024 * 1024;
const DRAIN_MS = 250;

/** Keeps the first part of a stream and reads the rest away, so that the writer never blocks. */
export function collect(stream: Readable | null): () => string {
  const chunks: Buffer[] = [];
  let room = OUTPUT_CAP_BYTES;
  stream?.on("data", (chunk: Buffer) => {
    if (room === 0) return;
    const kept = chunk.subarray(0, room);
    room -= kept.length;
    chunks.push(kept);
  });
  stream?.on("error", ignore);
  return () => Buffer.concat(chunks).toString("utf8");
}

/** Gives a program its input. */
export function feed(child: ChildProcess, input: string | Uint8Array | undefined): void {
  if (input === undefined) return;
  // A program need not read its input: a broken pipe is no failure of ours.
  child.stdin?.on("error", ignore);
  child.stdin?.end(input);
}

/** Calls once: at the deadline, or when the signal is (or becomes) aborted. Answers what calls it off. */
export function whenOver(
  { timeoutMs, signal }: Pick<RunOptions, "timeoutMs" | "signal">,
  call: () => void,
): () => void {
  const callOff = () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", over);
  };
  const over = () => {
    callOff();
    call();
  };
  const timer = setTimeout(over, signal?.aborted ? 0 : timeoutMs);
  signal?.addEventListener("abort", over);
  return callOff;
}

/** Waits a moment for the last output; a background process may hold the pipes open for ever. */
export function drained(child: ChildProcess): Promise<void> {
  const closed = [child.stdout, child.stderr].every((stream) => stream === null || stream.closed);
  if (closed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, DRAIN_MS);
    child.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Nothing of the child keeps this process alive any longer. */
export function letGo(child: ChildProcess): void {
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
  child.unref();
}

/** Named, so that each use reads as a decision. */
export function ignore(): void {
  // What happened changes nothing for us.
}
