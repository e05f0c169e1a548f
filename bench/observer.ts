/**
 * Watches a server from a process of its own: asks `/identity` every five milliseconds and prints a `Sighting`
 * as a JSON line whenever it begins or ceases to answer 200. `observer.ts URL`; it runs until it is ended.
 */
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { nowMs, type Sighting } from "./sighting.ts";

const EVERY_MS = 5;
const ANSWER_MS = 1_000;

await watch(`${process.argv[2]}/identity`);

async function watch(url: string): Promise<void> {
  let before: boolean | null = null;
  for (;;) {
    const askedMs = nowMs();
    const up = await answers(url);
    // An answer counts from its end, a refusal from the question that met it.
    const sighting: Sighting = { atMs: up ? nowMs() : askedMs, up };
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
