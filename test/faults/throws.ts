import type { World } from "../../src/world/world.ts";
import { type Effect, faultFor, watchedWorld } from "../support/faulty-world.ts";
import { type Command, demandTruth, forEveryEffect, labelled, type System, sceneOf } from "./every-effect.ts";
import { waysOutOf } from "./way-out.ts";

/**
 * Plays a command as often as it has effects, and lets each of them fail once: the run ends truthfully, and there
 * are ways out of whatever it left. Effects that change something also fail once after they were carried out.
 */
export async function everyEffectThrows(command: Command, system?: System): Promise<void> {
  const scene = await sceneOf(command, system);
  const demandWaysOut = waysOutOf(scene);
  const play = async (world: World) => {
    const { result } = await scene.perform(world);
    demandTruth(scene, result);
    await demandWaysOut();
  };
  await forEveryEffect(scene, async ({ index, name }) => {
    const fault = (effect: Effect) => {
      if (effect.index === index) throw faultFor(effect.name);
    };
    await play(watchedWorld(scene.machine.world, fault));
    if (!CHANGING.test(name)) return;
    scene.machine.restore(scene.start);
    await labelled("carried out, but said to have failed", () =>
      play(watchedWorld(scene.machine.world, () => undefined, fault)),
    );
  });
}

const CHANGING =
  /^(?:folder\.(?:rename|makeFolder|remove|removeFolder|sync)|file\.(?:write|append|sync|chmod|chown)|registry\.(?:setValue|deleteValue|createKey|flush)|windowsProcesses\.(?:closeWindows|start)|run|http\.\w+)$/;
