import { expect, test } from "vitest";
import { COMMANDS, freshToken, parkedToken, sceneOf, valuesIn } from "../faults/every-effect.ts";
import { type Effect, watchedWorld } from "../support/faulty-world.ts";
import { CODE } from "../support/simulated-world.ts";

/** What must stand last in the journal, on the disk, when a step is taken. */
const STEPS: readonly { what: string; is(effect: Effect): boolean; after: readonly string[] }[] = [
  { what: "the exchange", is: isExchange, after: ["sending-code"] },
  { what: "the stop", is: (effect) => runs(effect, "simulated-stop"), after: ["stopping"] },
  { what: "the swap of the settings", is: isSwap, after: ["writing"] },
  { what: "the start", is: (effect) => runs(effect, "simulated-start"), after: ["starting"] },
];

test.each(COMMANDS)(
  "%s: before each step is taken, its line in the journal has been fsynced",
  async (command) => {
    const scene = await sceneOf(command);
    const taken: string[] = [];
    const amiss: string[] = [];
    let last = "";
    /** Files with bytes, and folders with names, that a power cut would take. */
    const unsafe = new Set<string>();
    const world = watchedWorld(scene.machine.world, (effect) => {
      const { name, of, args } = effect;
      const at = "path" in of ? String(of.path) : "";
      if (at.startsWith(`${scene.machine.folder}/state`)) {
        if (/^folder\.(?:createFile|makeFolder|rename)/.test(name)) unsafe.add(at);
        if (name === "folder.sync") unsafe.delete(at);
      }
      if (name === "file.append" || name === "file.write") unsafe.add("a file");
      if (name === "file.append") last = kindIn(args[0]) ?? last;
      if (name === "file.sync") unsafe.delete("a file");
      for (const step of STEPS) {
        if (!step.is(effect)) continue;
        taken.push(step.what);
        if (!step.after.includes(last)) amiss.push(`${step.what} came after ${last}`);
        if (unsafe.size > 0) amiss.push(`${step.what} came before ${[...unsafe].join()} was safe`);
      }
    });
    await scene.perform(world);
    expect(amiss).toEqual([]);
    const wanted = STEPS.map(({ what }) => what).filter(
      (what) => what !== "the exchange" || spendsCode(command),
    );
    expect(taken).toEqual(wanted);
  },
);

test.each(["reset with a code", "claim"] as const)(
  "%s: nothing is done after the exchange before its answer is parked",
  async (command) => {
    const scene = await sceneOf(command);
    const { machine } = scene;
    const between: string[] = [];
    let exchanged = false;
    const world = watchedWorld(machine.world, (effect) => {
      const fresh = freshToken(scene);
      if (!exchanged && fresh === null) return;
      exchanged = true;
      if (parkedToken(machine) === fresh || valuesIn(machine.preferences).token === fresh) return;
      const { name, of } = effect;
      const at = "path" in of ? String(of.path).replace(machine.folder, "") : "";
      between.push(`${name} ${at}`.trim());
    });
    await scene.perform(world);
    expect(exchanged).toBe(true);
    expect(between).toEqual([
      "folder.remove /state/parked",
      "folder.createFile /state/parked",
      "file.write",
      "file.sync",
      "file.close",
      "folder.rename /state/parked",
    ]);
  },
);

function spendsCode(command: string): boolean {
  return command === "reset with a code" || command === "claim";
}

function isExchange({ name, args }: Effect): boolean {
  return name === "http.remote" && JSON.stringify(args).includes("/api/claim/exchange");
}

function runs({ name, args }: Effect, command: string): boolean {
  return name === "run" && JSON.stringify(args).includes(command);
}

function isSwap({ name, args }: Effect): boolean {
  return name === "folder.rename" && args[1] === "Preferences.xml";
}

/** The kind of a line of the journal; other files of ours have lines too. */
function kindIn(bytes: unknown): string | undefined {
  const text = Buffer.from(bytes as Uint8Array).toString("utf8");
  expect(text).not.toContain(CODE);
  return (JSON.parse(text) as { kind?: string }).kind;
}
