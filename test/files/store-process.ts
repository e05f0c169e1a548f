import { readFileSync } from "node:fs";
import { ProblemError } from "../../src/model/problem.ts";
import { imageOf, openPreferencesFile } from "../../src/stores/preferences-file.ts";
import { realWorld } from "../../src/world/real.ts";
import { watchedWorld } from "./watched-world.ts";

/**
 * One use of the store in a process of its own, which is killed right before call number `killAt` of that use
 * (-1: never). Arguments: `read`, `prove` or `write`, the settings, a file with the new bytes, the number.
 * Prints one JSON object: how many calls there were, and the problem, if any.
 */
const [use = "", path = "", newBytes = "", killAt = "-1"] = process.argv.slice(2);
let counting = false;
let calls = 0;
const world = watchedWorld(realWorld(), {
  before: () => {
    if (!counting) return;
    if (calls === Number(killAt)) process.kill(process.pid, "SIGKILL");
    calls += 1;
  },
});
try {
  const store = await openPreferencesFile(world, path);
  const stood = await store.readImage();
  counting = true;
  if (use === "prove") await store.proveWritable(9_000);
  if (use === "write") await store.write(stood?.image ?? null, imageOf(readFileSync(newBytes)));
  console.log(JSON.stringify({ calls }));
} catch (error) {
  if (!(error instanceof ProblemError)) throw error;
  console.log(JSON.stringify({ calls, problem: error.problem }));
}
