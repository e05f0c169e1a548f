/**
 * Watches a server from a process of its own: asks `/identity` every five milliseconds and prints a JSON line
 * whenever it begins or ceases to answer 200. Times are milliseconds of the system's monotonic clock, the same
 * in every process of this machine. `observer.ts URL`; it runs until it is ended.
 */
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** What the observer prints. */
export interface Sighting {
  readonly atMs: number;
  readonly up: boolean;
}

const EVERY_MS = 5;
const ANSWER_MS = 1_000;

if (import.meta.main) await watch(`${process.argv[2]}/identity`);

async function watch(url: string): Promise<void> {
  let before: boolean | null = null;
  for (;;) {
    const atMs = nowMs();
    const up = await answers(url);
    // An answer counts from its end, a refusal from the question that met it.
    const sighting: Sighting = { atMs: up ? nowMs() : atMs, up };
    if (up !== before) process.stdout.write(`${JSON.stringify(sighting)}\n`);
    before = up;
    await sleep(EVERY_MS);
  }
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(url, { agent: false, timeout: ANSWER_MS });
    asked.once("response", (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode === 200));
      response.once("error", () => resolve(false));
    });
    asked.once("timeout", () => asked.destroy(new Error("late")));
    asked.once("error", () => resolve(false));
    asked.end();
  });
}

/** Milliseconds of the monotonic clock. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
