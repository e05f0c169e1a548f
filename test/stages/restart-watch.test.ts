import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { reset } from "../../src/commands/reset.ts";
import { WAITS } from "../../src/stages/context.ts";
import type { ProcessInfo, World } from "../../src/world/world.ts";
import { optionsFor, recordedSession } from "../support/recorded-session.ts";
import { CODE, PREFERENCES, SimulatedMachine } from "../support/simulated-world.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A locked-out server that runs, with a wish: what its process looks like, and what happens while we sleep. */
function machineWith(look: Partial<ProcessInfo>, whileAsleep: (machine: SimulatedMachine) => void) {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-restart-"));
  folders.push(folder);
  const machine = new SimulatedMachine(folder, PREFERENCES);
  machine.codes.set(CODE, "jane");
  machine.start();
  const { processes, clock } = machine.world;
  const world: World = {
    ...machine.world,
    processes: {
      ...processes,
      plexMediaServers: async (also) =>
        (await processes.plexMediaServers(also)).map((process) => ({ ...process, ...look })),
    },
    clock: {
      ...clock,
      sleep: async (ms) => {
        await clock.sleep(ms);
        whileAsleep(machine);
      },
    },
  };
  return { machine, world };
}

/** Runs `reset` with a code; how long the server was away, by the simulated clock. */
async function resetOn(machine: SimulatedMachine, world: World) {
  const { session, events, end } = recordedSession(world);
  let stoppedMs: number | null = null;
  let awayMs = 0;
  const run: World["run"] = async (file, args, options) => {
    const before = machine.running;
    const result = await world.run(file, args, options);
    const nowMs = world.clock.monotonicMs();
    if (before && !machine.running) stoppedMs = nowMs;
    if (!before && machine.running && stoppedMs !== null) awayMs = nowMs - stoppedMs;
    return result;
  };
  const watched = { ...world, run };
  const context = { ...session.context, world: watched };
  const result = await end("reset", () =>
    reset({ ...session, world: watched, context }, "reset", optionsFor(machine, { code: CODE })),
  );
  return { result, events, awayMs };
}

const restarts = (machine: SimulatedMachine) => {
  if (!machine.running && machine.stops === 1) machine.start();
};
const nothing = () => undefined;
const WRAPPED: Partial<ProcessInfo> = { parent: 4000 };
const IN_A_UNIT: Partial<ProcessInfo> = { parent: 1, cgroup: "0::/system.slice/mediabox.service\n" };

test.each([
  ["a wrapper", WRAPPED],
  ["the manager of the system", IN_A_UNIT],
])("a server that %s starts again by itself is noticed with nothing changed", async (_who, look) => {
  const { machine, world } = machineWith(look, restarts);
  const { result } = await resetOn(machine, world);
  expect(result).toMatchObject({ exitCode: 4, outcome: { problem: { code: "RESTARTED_BY_ITSELF" } } });
  expect(machine.running).toBe(true);
});

test.each([
  ["has a living parent", WRAPPED, WAITS.restartWatchMs],
  ["is in a unit of the system", IN_A_UNIT, WAITS.restartWatchMs],
])("a server that %s is watched for a while after it was stopped", async (_what, look, leastMs) => {
  const { machine, world } = machineWith(look, nothing);
  const { result, awayMs } = await resetOn(machine, world);
  expect(result.exitCode).toBe(0);
  expect(awayMs).toBeGreaterThanOrEqual(leastMs);
});

test("nobody is waited for where nobody is left to start the server again", async () => {
  const { machine, world } = machineWith({ parent: 1, cgroup: "0::/user.slice/session-3.scope\n" }, nothing);
  const { result, awayMs } = await resetOn(machine, world);
  expect(result.exitCode).toBe(0);
  expect(awayMs).toBeLessThan(WAITS.restartWatchMs);
});

test("a child of the server's own is no wrapper of it", async () => {
  const { machine, world } = machineWith({ parent: 1 }, nothing);
  const { processes } = world;
  const twins: World = {
    ...world,
    processes: {
      ...processes,
      plexMediaServers: async (also) =>
        (await processes.plexMediaServers(also)).flatMap((process) => [
          process,
          { ...process, pid: process.pid + 1, parent: process.pid },
        ]),
    },
  };
  const { result, awayMs } = await resetOn(machine, twins);
  expect(result.exitCode).toBe(0);
  expect(awayMs).toBeLessThan(WAITS.restartWatchMs);
});

test("a server that comes back although nobody seemed to be there is noticed before anything is written", async () => {
  const { machine, world } = machineWith({ parent: 1 }, nothing);
  const { processes } = world;
  let looks = 0;
  const late: World = {
    ...world,
    processes: {
      ...processes,
      plexMediaServers: async (also) => {
        // The first look that finds nothing is the proof of the stop; it is back at the second.
        if (!machine.running && machine.stops === 1) looks += 1;
        if (looks === 2) restarts(machine);
        return processes.plexMediaServers(also);
      },
    },
  };
  const before = machine.preferences;
  const { result } = await resetOn(machine, late);
  expect(result).toMatchObject({ exitCode: 4, outcome: { problem: { code: "RESTARTED_BY_ITSELF" } } });
  expect(machine.preferences.replace(/PubSubServerPing="\d+"/, "")).toBe(
    before.replace(/PubSubServerPing="\d+"/, ""),
  );
});
