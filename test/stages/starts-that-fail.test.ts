import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { reset } from "../../src/commands/reset.ts";
import { undo } from "../../src/commands/undo.ts";
import { optionsFor, recordedSession } from "../support/recorded-session.ts";
import { PREFERENCES, SimulatedMachine } from "../support/simulated-world.ts";

/** A `reset` on a server of which so many starts fail. */
async function resetWithFailing(failStarts: number) {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-starts-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const machine = new SimulatedMachine(folder, PREFERENCES);
  machine.start();
  machine.failStarts = failStarts;
  const { session, events, end } = recordedSession(machine.world);
  const result = await end("reset", () => reset(session, "reset", optionsFor(machine)));
  return { machine, result, events };
}

test.each([1, 2])(
  "with %i failing starts the roll-back tries again until the server runs with its old settings",
  async (count) => {
    const { machine, result } = await resetWithFailing(count);
    expect(result.exitCode).toBe(4);
    expect(result.outcome).toMatchObject({
      problem: { code: "START_FAILED" },
      aftermath: { kind: "put-back" },
    });
    expect(machine.running).toBe(true);
    expect(machine.preferences).toBe(PREFERENCES.replace('"106"', '"107"'));
  },
);

test("when none works, the first error stays the first, and it says how to start the server by hand", async () => {
  const { machine, result, events } = await resetWithFailing(3);
  expect(result.exitCode).toBe(5);
  expect(result.outcome).toMatchObject({
    problem: { code: "START_FAILED" },
    aftermath: { kind: "not-put-back", byHand: [{ do: "start", line: "simulated-start" }, { do: "undo" }] },
  });
  expect(events).toContainEqual({
    type: "note",
    note: { code: "ROLL_BACK_PROBLEM", problem: expect.objectContaining({ code: "START_FAILED" }) },
  });
  expect(machine.running).toBe(false);
  expect(machine.preferences, "but the settings are back").toBe(PREFERENCES.replace('"106"', '"107"'));

  const { session, end } = recordedSession(machine.world);
  const settled = await end("undo", () =>
    undo(session, undefined, { ...optionsFor(machine), oldSignIn: false }),
  );
  expect(settled.outcome).toEqual({ ok: true, code: "OK" });
  expect(machine.running, "once its cause is gone, undo settles it").toBe(true);
});
