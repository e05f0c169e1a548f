import { readlinkSync } from "node:fs";
import { relative } from "node:path";
import { expect } from "vitest";
import type { World } from "../../src/world/world.ts";
import { type Effect, watchedWorld } from "../support/faulty-world.ts";
import { withMoreBytes } from "../support/folder-image.ts";
import { digestOfState, type MachineState, type SimulatedMachine } from "../support/simulated-world.ts";
import { type Command, labelled, type System, sceneOf } from "./every-effect.ts";
import { undone, waysOutOf } from "./way-out.ts";

/**
 * A process that dies before an effect leaves exactly what a process that lives has at that moment: nothing of it
 * acts any more, its locks are free. So one run is watched, and what stood before each of its effects is kept;
 * and for each write what stands when half of the bytes were taken.
 */
interface Death {
  readonly at: string;
  readonly left: MachineState;
}

async function deathsIn(
  machine: SimulatedMachine,
  play: (world: World) => Promise<unknown>,
): Promise<Death[]> {
  const deaths = new Map<string, Death>();
  const keep = (at: string, left: MachineState) => {
    const digest = digestOfState(left);
    if (!deaths.has(digest)) deaths.set(digest, { at, left });
  };
  const world = watchedWorld(machine.world, (effect) => {
    const at = `effect ${effect.index} (${effect.name})`;
    const left = machine.save();
    keep(`before ${at}`, left);
    const half = halfWritten(machine, left, effect);
    if (half !== null) keep(`in the middle of ${at}`, half);
  });
  await play(world);
  keep("after the last effect", machine.save());
  return [...deaths.values()];
}

/** Null: no effect that can be done by half. */
function halfWritten(
  machine: SimulatedMachine,
  left: MachineState,
  { name, of, args }: Effect,
): MachineState | null {
  const [bytes] = args;
  if (!["file.write", "file.append"].includes(name) || !(bytes instanceof Uint8Array)) return null;
  if (!("fd" in of) || typeof of.fd !== "number") throw new Error("an open file has a descriptor");
  const path = relative(machine.folder, readlinkSync(`/proc/self/fd/${of.fd}`));
  const half = bytes.subarray(0, Math.ceil(bytes.length / 2));
  return { ...left, folder: withMoreBytes(left.folder, path, half) };
}

/** Lets the process die at each of its effects: whatever it left, there are ways out. */
export async function everyDeath(command: Command, system?: System): Promise<void> {
  const scene = await sceneOf(command, system);
  const deaths = await deathsIn(scene.machine, (world) => scene.perform(world));
  expect(deaths.length).toBeGreaterThan(30);
  const demandWaysOut = waysOutOf(scene);
  for (const { at, left } of deaths) {
    scene.machine.restore(left);
    await labelled(`died ${at}`, demandWaysOut);
    scene.machine.kill();
    scene.machine.start();
    await labelled(`the machine was started again after a death ${at}`, demandWaysOut);
    if (!wasStopping(left)) continue;
    scene.machine.restore(left);
    scene.machine.kill();
    await labelled(`the server is down after a death ${at}`, demandWaysOut);
  }
}

/** The process that settles a cut-off run dies as well, at each of its effects. */
export async function everyDeathOfTheSettler(command: Command, system?: System): Promise<void> {
  const scene = await sceneOf(command, system);
  const { machine } = scene;
  const first = await deathsIn(machine, (world) => scene.perform(world));
  const demandWaysOut = waysOutOf(scene);
  const byLastLine = new Map(first.map((death) => [lastLineOf(death.left), death]));
  for (const kind of ["stopping", "writing", "written", "started"]) {
    const death = byLastLine.get(kind) ?? expect.unreachable(`no death after ${kind}`);
    machine.restore(death.left);
    const second = await deathsIn(machine, (world) => undone(machine, world));
    for (const { at, left } of second) {
      machine.restore(left);
      await labelled(`died ${death.at}, and undo ${at}`, demandWaysOut);
    }
  }
}

/** Whether a run was cut off that had asked for a stop: from there on it is for us to start the server again. */
function wasStopping({ folder }: MachineState): boolean {
  const journals = [...folder].filter(([path]) => path.endsWith("/journal.jsonl"));
  const texts = journals.map(([, { bytes }]) => Buffer.from(bytes ?? []).toString("utf8"));
  return texts.some((text) => text.includes('{"kind":"stopping"}\n') && !/"kind":"settled".*\n/.test(text));
}

/** The kind of the last whole line in the only journal there is; null: no journal, or half a line. */
function lastLineOf({ folder }: MachineState): string | null {
  const [journal] = [...folder].filter(([path]) => path.endsWith("/journal.jsonl"));
  const lines = Buffer.from(journal?.[1].bytes ?? [])
    .toString("utf8")
    .split("\n");
  return lines.at(-1) === "" && lines.length > 1
    ? (JSON.parse(lines.at(-2) ?? "") as { kind: string }).kind
    : null;
}
