import { faultFor, watchedWorld } from "../support/faulty-world.ts";
import { type Command, demandTruth, forEveryEffect, sceneOf } from "./every-effect.ts";
import { waysOutOf } from "./way-out.ts";

/**
 * Plays a command as often as it has effects, and lets each of them fail once: the run ends truthfully, and there
 * are ways out of whatever it left.
 */
export async function everyEffectThrows(command: Command): Promise<void> {
  const scene = await sceneOf(command);
  const demandWaysOut = waysOutOf(scene);
  await forEveryEffect(scene, async ({ index }) => {
    const faulty = watchedWorld(scene.machine.world, (effect) => {
      if (effect.index === index) throw faultFor(effect.name);
    });
    const { result } = await scene.perform(faulty);
    demandTruth(scene, result);
    await demandWaysOut();
  });
}
