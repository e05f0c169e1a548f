import { readdirSync, renameSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { imageOf } from "../../src/stores/preferences-file.ts";
import { realWorld } from "../../src/world/real.ts";
import { contentOf, needs, STRANGER, tool } from "./sandbox.ts";
import { NEW, OLD, storeAt } from "./settings-of-test.ts";
import { type EvilOwner, evilOwner } from "./stranger.ts";
import { watchedWorld } from "./watched-world.ts";

/** Root writes once; right before call number `at` the owner of the folder does something. */
async function attacked(
  evil: EvilOwner,
  at: number,
  attack: () => void,
): Promise<{ calls: number; problem?: string }> {
  let calls = 0;
  let writing = false;
  const world = watchedWorld(realWorld(), {
    before: () => {
      if (!writing) return;
      if (calls === at) attack();
      calls += 1;
    },
  });
  const store = await storeAt(evil.settings, { world, expectedOwner: { uid: STRANGER } });
  writing = true;
  try {
    await store.write(imageOf(Buffer.from(OLD)), imageOf(Buffer.from(NEW)));
    return { calls };
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return { calls, problem: error.problem.code };
  } finally {
    writing = false;
  }
}

describe("root, writing in a folder whose owner plays tricks at any call,", () => {
  const tricks: Record<string, { play: (evil: EvilOwner) => void; outcomes: string[] }> = {
    "puts links in the place of the new file": {
      play: (evil) => evil.swapTemporaries(),
      outcomes: ["SETTINGS_UNSAFE", "WRITE_FAILED", "done"],
    },
    "puts a link in the place of the settings": {
      play: (evil) => evil.swapForLink(evil.settings),
      outcomes: ["SETTINGS_CHANGED_MEANWHILE", "SETTINGS_UNSAFE", "done"],
    },
    "puts a link in the place of the folder": {
      play: (evil) => {
        renameSync(evil.folder, `${evil.folder}.away`);
        symlinkSync(dirname(evil.victim), evil.folder);
      },
      outcomes: ["done"],
    },
    "gives second names to all files": {
      play: (evil) => evil.linkEverything(),
      outcomes: ["SETTINGS_UNSAFE", "done"],
    },
  };

  it.for(Object.entries(tricks))(
    "touches nothing of root's when the owner %s",
    async ([, trick], context) => {
      needs(context);
      const { calls } = await attacked(evilOwner(), -1, () => undefined);
      const outcomes = new Set<string>();
      for (let at = 0; at < calls; at += 1) {
        const evil = evilOwner();
        const before = evil.victimState();
        const { problem } = await attacked(evil, at, () => trick.play(evil));
        expect(evil.victimState(), `at call ${at}`).toBe(before);
        expect(contentOf(evil.victim)).toBe("root's own");
        expect(readdirSync(dirname(evil.victim))).toEqual(["victim"]);
        outcomes.add(problem ?? "done");
      }
      expect([...outcomes].sort()).toEqual(trick.outcomes);
    },
  );

  it("finds its new file swapped, says so and leaves the settings as they were", async (context) => {
    needs(context);
    const evil = evilOwner();
    let swapped = false;
    const world = watchedWorld(realWorld(), {
      before: ({ name }) => {
        if (name !== "file.chown" || swapped) return;
        swapped = true;
        evil.swapTemporaries();
      },
    });
    const store = await storeAt(evil.settings, { world, expectedOwner: { uid: STRANGER } });
    const write = store.write(imageOf(Buffer.from(OLD)), imageOf(Buffer.from(NEW)));
    await expect(write).rejects.toMatchObject({ problem: { code: "WRITE_FAILED", reason: "ESTALE" } });
    expect(swapped).toBe(true);
    expect(contentOf(evil.settings)).toBe(OLD);
    expect(tool("stat", "--format=%u", evil.settings).trim()).toBe(String(STRANGER));
  });

  it("never lets anybody but root read the new file before it is complete", async (context) => {
    needs(context);
    const evil = evilOwner();
    const seen: string[] = [];
    const world = watchedWorld(realWorld(), {
      before: ({ name }) => {
        const temporary = readdirSync(evil.folder).find((each) => each.startsWith(".plex-reclaim-"));
        if (temporary === undefined) return;
        seen.push(`${name} ${tool("stat", "--format=%u %a", join(evil.folder, temporary)).trim()}`);
      },
    });
    const store = await storeAt(evil.settings, { world, expectedOwner: { uid: STRANGER } });
    await store.write(imageOf(Buffer.from(OLD)), imageOf(Buffer.from(NEW)));
    expect(seen.length).toBeGreaterThan(5);
    const untilOwned = seen.slice(0, seen.findIndex((each) => each.startsWith("file.chown")) + 1);
    expect(untilOwned.length).toBeGreaterThan(3);
    for (const each of untilOwned) expect(each).toMatch(/ 0 600$/);
    for (const each of seen) expect(each).toMatch(/ 600$/);
  });
});
