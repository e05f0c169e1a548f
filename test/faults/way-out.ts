import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import { reset } from "../../src/commands/reset.ts";
import { status } from "../../src/commands/status.ts";
import { undo } from "../../src/commands/undo.ts";
import type { Result } from "../../src/model/event.ts";
import { digestOf, imageOfFolder } from "../support/folder-image.ts";
import { optionsFor } from "../support/recorded-session.ts";
import { CODE, digestOfState, type SimulatedMachine } from "../support/simulated-world.ts";
import {
  demandTidy,
  demandUntouched,
  freshToken,
  labelled,
  NEXT_CODE,
  parkedToken,
  performed,
  type Scene,
  valuesIn,
} from "./every-effect.ts";

/**
 * Whatever a run of the scene left behind, nobody is stuck: `status` reports it, `undo` puts back what was there
 * before, and a new `reset` heals. Answers a function that demands this of the machine as it stands, and leaves it
 * so; a state that was seen before is not tried again, for nothing else decides what follows.
 */
export function waysOutOf(scene: Scene): () => Promise<void> {
  const seen = new Set<string>();
  return async () => {
    const { machine } = scene;
    const left = machine.save();
    const digest = digestOfState(left);
    if (seen.has(digest)) return;
    seen.add(digest);
    machine.restore(left);
    await labelled("status", () => demandReported(scene));
    machine.restore(left);
    await labelled("undo", () => demandUndone(scene));
    machine.restore(left);
    await labelled("the same code again", () => demandNotSentAgain(scene));
    machine.restore(left);
    await labelled("the next reset", () => demandHealed(scene));
    machine.restore(left);
  };
}

async function demandReported({ machine }: Scene): Promise<void> {
  const before = digestOf(machine.save().folder);
  const { result, events } = await performed(machine, machine.world, "status", (session) =>
    status(session, optionsFor(machine)),
  );
  expect(result.outcome).toEqual({ ok: true, code: "OK" });
  expect(result.data.servers).toMatchObject([{ running: machine.running }]);
  const notes = events.flatMap((event) => (event.type === "note" ? [event.note] : []));
  const reported = notes.flatMap((note) => (note.code === "UNSETTLED_RUN" ? [note.run] : []));
  expect(reported.sort()).toEqual(unsettledRuns(machine));
  expect(notes.some(({ code }) => code === "PARKED_CREDENTIALS")).toBe(parkedToken(machine) !== null);
  expect(digestOf(machine.save().folder), "status changes nothing").toBe(before);
}

async function demandUndone(scene: Scene): Promise<void> {
  const { machine } = scene;
  const fresh = keptToken(scene);
  const once = await undone(machine);
  expectUsableOrNot(machine, once);
  const standing = valuesIn(machine.preferences);
  const wanted = scene.command === "undo" ? scene.after : scene.before;
  if (fresh !== null && standing.token === fresh) expect(standing).toEqual(scene.after);
  else {
    expect(standing).toEqual(wanted);
    expect(parkedToken(machine), "parked credentials stay").toBe(fresh);
  }
  demandSettled(machine);
  const { stops } = machine;
  const twice = await undone(machine);
  expect(twice.outcome, "the second time").toEqual({ ok: true, code: "NOTHING_TO_DO" });
  expect(valuesIn(machine.preferences)).toEqual(standing);
  expect(machine.stops, "nothing was stopped the second time").toBe(stops);
  demandSettled(machine);
}

/** `undo --yes`. */
export async function undone(machine: SimulatedMachine, world = machine.world): Promise<Result> {
  const { result } = await performed(machine, world, "undo", (session) =>
    undo(session, undefined, { ...optionsFor(machine), oldSignIn: false }),
  );
  return result;
}

/** 6 only where what came back is a sign-in that is dead. */
function expectUsableOrNot(machine: SimulatedMachine, result: Result): void {
  const { token } = valuesIn(machine.preferences);
  const dead = token !== null && !machine.valid.has(token);
  const allowed = dead && !result.outcome.ok && result.outcome.problem.code === "NOT_USABLE" ? 6 : 0;
  expect(result.exitCode, JSON.stringify(result.outcome)).toBe(allowed);
}

/** A code that plex.tv has taken is not sent again, although its answer was lost. */
async function demandNotSentAgain(scene: Scene): Promise<void> {
  const { machine, start } = scene;
  const lost = start.codes.has(CODE) && !machine.codes.has(CODE) && keptToken(scene) === null;
  if (!lost) return;
  const { result } = await performed(machine, machine.world, "reset", (session) =>
    reset(session, "reset", optionsFor(machine, { code: CODE })),
  );
  expect(result.outcome).toMatchObject({ problem: { code: "CLAIM_CODE_ALREADY_SENT" } });
  expect(result.exitCode).toBe(3);
  expect(valuesIn(machine.preferences)).toEqual(scene.before);
}

async function demandHealed(scene: Scene): Promise<void> {
  const { machine } = scene;
  const fresh = keptToken(scene);
  const standing = valuesIn(machine.preferences);
  // Half a write is finished with what was parked, before the new code has its turn.
  const half = ![scene.before, scene.after].some((whole) => isDeepStrictEqual(whole, standing));
  const needed = standing.token !== fresh && fresh !== null && !half;
  const { result } = await performed(machine, machine.world, "reset", (session) =>
    reset(session, "reset", optionsFor(machine, { code: NEXT_CODE })),
  );
  expect(result.outcome).toEqual({ ok: true, code: "OK" });
  expect(result.data.criteria?.map((criterion) => criterion.result)).toEqual(["met", "met", "met"]);
  const { token } = valuesIn(machine.preferences);
  expect(machine.valid.has(token ?? ""), "signed in").toBe(true);
  if (needed) expect(token, "what was parked is used").toBe(fresh);
  expect(parkedToken(machine)).toBeNull();
  demandSettled(machine);
  demandTidy(machine);
  expect(machine.home.leftBehind?.() ?? [], "what the dead have left in a place for a while").toEqual([]);
}

/** The new sign-in of the scene's run, where it was put into the settings or parked before the run ended. */
function keptToken(scene: Scene): string | null {
  const fresh = freshToken(scene);
  const { machine } = scene;
  const kept = [parkedToken(machine), valuesIn(machine.preferences).token].includes(fresh);
  return kept ? fresh : null;
}

function demandSettled(machine: SimulatedMachine): void {
  demandUntouched(machine);
  expect(machine.running, "the server runs").toBe(true);
  expect(unsettledRuns(machine)).toEqual([]);
}

/** Runs whose journal says how they began and not how they ended, in the order of their names. */
function unsettledRuns(machine: SimulatedMachine): string[] {
  const runs: string[] = [];
  for (const [path, { bytes }] of imageOfFolder(join(machine.folder, "state"))) {
    const [, id] = /^runs\/([^/]+)\/journal\.jsonl$/.exec(path) ?? [];
    if (id === undefined || bytes === null) continue;
    const whole = Buffer.from(bytes).toString("utf8").split("\n").slice(0, -1);
    const kinds = whole.map((line) => (JSON.parse(line) as { kind: string }).kind);
    if (kinds.includes("begun") && !kinds.includes("settled")) runs.push(id);
  }
  return runs.sort();
}
