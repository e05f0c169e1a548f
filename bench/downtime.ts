/**
 * Measures how long a server is away during `reset` with a claim code and during a bare stop and start, in turn;
 * prints `Downtimes` as JSON. `downtime.ts "own commands"|systemd ROUNDS`
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { PROGRAM, PROJECT, succeed } from "./program.ts";
import type { Sighting } from "./sighting.ts";
import { answering, openStage, type Stage, type Way } from "./stage.ts";

/** One value a round. */
export interface Downtimes {
  /** Milliseconds without an answer. */
  readonly ours: number[];
  readonly bare: number[];
  /** Of `reset`, in MB. */
  readonly peakMb: number[];
}

const [way = "", rounds = ""] = process.argv.slice(2);
console.log(JSON.stringify(await measure(way as Way, Number(rounds))));

async function measure(way: Way, rounds: number): Promise<Downtimes> {
  const stage = await openStage(way);
  const observer = spawn(process.execPath, [join(PROJECT, "bench", "observer.ts"), stage.server.url], {
    env: {},
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    return await measureOn(stage, sightingsOf(observer), rounds);
  } finally {
    observer.kill();
    await stage.end();
  }
}

async function measureOn(stage: Stage, sightings: readonly Sighting[], rounds: number): Promise<Downtimes> {
  const times: Downtimes = { ours: [], bare: [], peakMb: [] };
  const bare = async () => {
    times.bare.push(await outage(stage, sightings, () => stage.bareRestart()));
  };
  const ours = async () => {
    const code = await stage.lockedOutWithCode();
    const args = [PROGRAM, "reset", "--yes", "--json", "--claim-code-file", code];
    const reset = async () => {
      const { peakMb } = await succeed(process.execPath, args, { env: stage.env, watchMemory: true });
      times.peakMb.push(peakMb);
    };
    times.ours.push(await outage(stage, sightings, reset));
  };
  for (let round = 0; round < rounds; round += 1) {
    // What comes first may find other caches than what comes second.
    for (const side of round % 2 === 0 ? [bare, ours] : [ours, bare]) await side();
  }
  return times;
}

/** How long the server was away while something was done to it: once, or the measurement is void. */
async function outage(
  stage: Stage,
  sightings: readonly Sighting[],
  work: () => Promise<void>,
): Promise<number> {
  while (sightings.at(-1)?.up !== true) await sleep(20);
  const seen = sightings.length;
  await work();
  await answering(stage.server);
  while (sightings.length < seen + 2 || sightings.at(-1)?.up !== true) await sleep(20);
  const [down, up, ...more] = sightings.slice(seen);
  if (down === undefined || up === undefined || more.length > 0) throw new Error("the server came and went");
  return up.atMs - down.atMs;
}

function sightingsOf(observer: ChildProcess): readonly Sighting[] {
  const sightings: Sighting[] = [];
  if (observer.stdout !== null) {
    createInterface({ input: observer.stdout }).on("line", (line) => {
      sightings.push(JSON.parse(line) as Sighting);
    });
  }
  return sightings;
}
