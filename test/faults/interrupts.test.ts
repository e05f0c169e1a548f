import { expect, test } from "vitest";
import { watchedWorld } from "../support/faulty-world.ts";
import { COMMANDS, demandTruth, forEveryEffect, HANG_MS, sceneOf } from "./every-effect.ts";
import { waysOutOf } from "./way-out.ts";

const SCENES = COMMANDS.flatMap((command) =>
  (["linux", "windows", "mac"] as const).map((system) => ({ command, system })),
);

for (const { command, system } of SCENES) {
  test(
    `${command} on ${system}: whenever somebody presses Ctrl-C, the run ends put back with 130, or it is done`,
    async () => {
      const scene = await sceneOf(command, system);
      const demandWaysOut = waysOutOf(scene);
      const ends = new Set<number>();
      await forEveryEffect(scene, async ({ index }) => {
        const person = new AbortController();
        const world = watchedWorld(scene.machine.world, (effect) => {
          if (effect.index === index) person.abort("SIGINT");
        });
        const { result } = await scene.perform(world, person.signal);
        ends.add(result.exitCode);
        if (result.exitCode === 130) {
          expect(result.outcome).toMatchObject({ problem: { code: "INTERRUPTED", signal: "SIGINT" } });
        } else expect(result.exitCode).toBe(scene.undisturbed.exitCode);
        demandTruth(scene, result);
        await demandWaysOut();
      });
      expect(ends).toEqual(new Set([130, scene.undisturbed.exitCode]));
    },
    HANG_MS,
  );
}
