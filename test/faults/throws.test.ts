import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { reset } from "../../src/commands/reset.ts";
import { undo } from "../../src/commands/undo.ts";
import type { Result } from "../../src/model/event.ts";
import { otherAttributes, parsePreferences } from "../../src/stores/preferences-xml.ts";
import type { World } from "../../src/world/world.ts";
import { type Effect, faultFor, watchedWorld } from "../support/faulty-world.ts";
import { optionsFor, recordedSession } from "../support/recorded-session.ts";
import { CODE, DEVICE_ID, OLD_TOKEN, PREFERENCES, SimulatedMachine } from "../support/simulated-world.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A locked-out server that runs. */
function lockedOut(): SimulatedMachine {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-faults-"));
  folders.push(folder);
  const machine = new SimulatedMachine(folder, PREFERENCES);
  machine.codes.set(CODE, "jane");
  machine.start();
  return machine;
}

type Command = "reset" | "reset with a code" | "undo";

async function perform(machine: SimulatedMachine, world: World, command: Command) {
  const { session, end, printed } = recordedSession(world);
  const options = optionsFor(machine, command === "reset with a code" ? { code: CODE } : {});
  const work = () =>
    command === "undo"
      ? undo(session, undefined, { ...options, oldSignIn: false })
      : reset(session, "reset", options);
  const result = await end(command, work);
  return { result, printed: printed.join("") };
}

/** What a run on `command` starts from; an undo needs something to undo. */
async function prepared(command: Command): Promise<SimulatedMachine> {
  const machine = lockedOut();
  if (command === "undo") {
    const { result } = await perform(machine, machine.world, "reset");
    expect(result.outcome).toMatchObject({ ok: true, code: "SIGNED_OUT" });
  }
  return machine;
}

async function effectsOf(command: Command): Promise<Effect[]> {
  const machine = await prepared(command);
  const effects: Effect[] = [];
  await perform(
    machine,
    watchedWorld(machine.world, (effect) => effects.push(effect)),
    command,
  );
  return effects;
}

/** Every byte outside the four values and the counter that the server itself changes. */
function others(preferences: string): Record<string, string> {
  const attributes = new Map(otherAttributes(Buffer.from(preferences)));
  attributes.delete("PubSubServerPing");
  return Object.fromEntries(attributes);
}

function tokenOf(preferences: string): string | null {
  return parsePreferences(Buffer.from(preferences), "").credentials.token?.reveal() ?? null;
}

function parkedToken(machine: SimulatedMachine): string | null {
  try {
    const text = readFileSync(join(machine.folder, "state", "parked", `${DEVICE_ID}.json`), "utf8");
    return (JSON.parse(text) as { token: string }).token;
  } catch {
    return null;
  }
}

/** All that we leave behind, backups and parked credentials apart: no secret may stand in it. */
function journals(machine: SimulatedMachine): string {
  const runs = join(machine.folder, "state", "runs");
  try {
    return readdirSync(runs)
      .map((run) => readFileSync(join(runs, run, "journal.jsonl"), "utf8"))
      .join("");
  } catch {
    return "";
  }
}

function secretsIn(machine: SimulatedMachine, text: string): string[] {
  return [OLD_TOKEN, CODE, ...machine.valid.keys()].filter((secret) => text.includes(secret));
}

function demandTrue(machine: SimulatedMachine, command: Command, before: string | null, result: Result) {
  const standing = machine.preferences;
  const token = tokenOf(standing);
  const fresh = [...machine.valid.keys()].at(-1) ?? null;
  const exchanged = command === "reset with a code" && fresh !== null;
  expect(others(standing)).toEqual(others(PREFERENCES));
  expect(machine.running, "the server runs, as it was found").toBe(true);
  expect(statSync(machine.settingsPath).mode & 0o7777).toBe(0o600);
  const after = command === "undo" ? OLD_TOKEN : command === "reset" ? null : fresh;
  switch (result.exitCode) {
    case 0:
      expect(token).toBe(after);
      break;
    case 3:
      expect(token, "exit 3: nothing was changed").toBe(before);
      break;
    case 4:
    case 130:
      if (exchanged) expect([token, parkedToken(machine)], "new credentials are never lost").toContain(fresh);
      else expect(token, "exit 4: put back").toBe(before);
      break;
    case 6:
      expect(token, "exit 6: the change is done").toBe(after);
      break;
    default:
      expect.fail(`exit ${result.exitCode} ${JSON.stringify(result.outcome)}`);
  }
  const { outcome } = result;
  if (!outcome.ok && outcome.aftermath.kind === "put-back") {
    const { credentials } = outcome.aftermath;
    if (credentials === "written") expect(token).toBe(fresh);
    if (credentials === "parked") expect(parkedToken(machine)).toBe(fresh);
    if (credentials === "none") expect(token).toBe(before);
  }
}

for (const command of ["reset", "reset with a code", "undo"] as const) {
  test(`${command}: whichever effect fails once, the server ends as found or as wanted, and the exit code is true`, async () => {
    const effects = await effectsOf(command);
    expect(effects.length).toBeGreaterThan(80);
    for (const { index, name } of effects) {
      const machine = await prepared(command);
      const before = tokenOf(machine.preferences);
      const stopsBefore = machine.stops;
      const faulty = watchedWorld(machine.world, (effect) => {
        if (effect.index === index) throw faultFor(effect.name);
      });
      const { result, printed } = await perform(machine, faulty, command);
      try {
        demandTrue(machine, command, before, result);
        if (result.exitCode === 3) expect(machine.stops, "never stopped").toBe(stopsBefore);
        expect(secretsIn(machine, printed + journals(machine))).toEqual([]);
        await demandNextRunHeals(machine, command);
      } catch (error) {
        throw new Error(
          `effect ${index} of ${effects.length} (${name}): exit ${result.exitCode} ${JSON.stringify(result.outcome)}`,
          {
            cause: error,
          },
        );
      }
    }
  });
}

/** Whatever a run left, the next one goes through: nothing is stuck, and parked credentials are used. */
async function demandNextRunHeals(machine: SimulatedMachine, command: Command) {
  machine.releaseLocks();
  if (command === "undo") {
    const { result } = await perform(machine, machine.world, "undo");
    expect(result.exitCode, JSON.stringify(result.outcome)).toSatisfy((code) => code === 0 || code === 6);
    expect(tokenOf(machine.preferences)).toBe(OLD_TOKEN);
    return;
  }
  if (![...machine.codes.keys()].includes(CODE)) machine.codes.set("claim-anotherAnotherAnoth", "jane");
  const { session, end } = recordedSession(machine.world);
  const code = machine.codes.has(CODE) ? CODE : "claim-anotherAnotherAnoth";
  const result = await end("reset", () => reset(session, "reset", optionsFor(machine, { code })));
  const sentBefore = !result.outcome.ok && result.outcome.problem.code === "CLAIM_CODE_ALREADY_SENT";
  if (sentBefore) return;
  expect(result.exitCode, JSON.stringify(result.outcome)).toBe(0);
  expect(machine.valid.has(tokenOf(machine.preferences) ?? "")).toBe(true);
}
