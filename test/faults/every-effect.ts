import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { backupCreate, backupRestore } from "../../src/commands/backup.ts";
import type { Ending } from "../../src/commands/ending.ts";
import { reset } from "../../src/commands/reset.ts";
import type { Session } from "../../src/commands/session.ts";
import { undo } from "../../src/commands/undo.ts";
import type { Event, Result } from "../../src/model/event.ts";
import { otherAttributes, parsePreferences } from "../../src/stores/preferences-xml.ts";
import type { World } from "../../src/world/world.ts";
import { demandNoSecret, keepSecret } from "../support/canary.ts";
import { type Effect, watchedWorld } from "../support/faulty-world.ts";
import { optionsFor, recordedSession } from "../support/recorded-session.ts";
import { homeInDomain } from "../support/simulated-mac-home.ts";
import { homeInRegistry } from "../support/simulated-registry-home.ts";
import {
  CODE,
  DEVICE_ID,
  type MachineState,
  OLD_TOKEN,
  PREFERENCES,
  SimulatedMachine,
  signedOut,
} from "../support/simulated-world.ts";

/** The commands that change something, each from a state in which it has something to do. */
export const COMMANDS = ["reset", "reset with a code", "claim", "undo", "backup restore"] as const;
export type Command = (typeof COMMANDS)[number];

/** Only ends a hang: thousands of runs take a while on a machine that has other things to do. */
export const HANG_MS = 900_000;

/** Never spent by what is tested: for the run after it. */
export const NEXT_CODE = "claim-anotherAnotherAnoth";

/** The four values; null: absent. */
export interface Values {
  readonly token: string | null;
  readonly username: string | null;
  readonly mail: string | null;
  readonly home: string | null;
}

export interface Performed {
  readonly result: Result;
  readonly events: readonly Event[];
}

/** A machine on which one command is about to run, and what that command does when nothing disturbs it. */
export interface Scene {
  readonly command: Command;
  readonly machine: SimulatedMachine;
  readonly start: MachineState;
  readonly before: Values;
  readonly after: Values;
  readonly undisturbed: Result;
  readonly effects: readonly Effect[];
  /** Carries the command out; no secret was in anything that it said. */
  perform(world: World, interrupt?: AbortSignal): Promise<Performed>;
}

/** Lays a scene out, and plays the command once to see what there is to disturb. Removed when the test ends. */
export async function sceneOf(command: Command, system: System = "linux"): Promise<Scene> {
  const machine = emptyStage(system);
  const work = await prepare(machine, command);
  machine.releaseLocks();
  const start = machine.save();
  const before = valuesIn(machine.preferences);
  const perform = (world: World, interrupt?: AbortSignal) =>
    performed(machine, world, command, work, interrupt);
  const effects: Effect[] = [];
  const { result } = await perform(watchedWorld(machine.world, (effect) => effects.push(effect)));
  expect(result.exitCode, JSON.stringify(result.outcome)).toBe(command === "undo" ? 6 : 0);
  expect(effects.length).toBeGreaterThan(80);
  const after = valuesIn(machine.preferences);
  expect(after).not.toEqual(before);
  machine.restore(start);
  return { command, machine, start, before, after, undisturbed: result, effects, perform };
}

/** What the machine of a scene runs. */
export type System = "linux" | "windows" | "mac";

function emptyStage(system: System): SimulatedMachine {
  const folder = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "plex-reclaim-faults-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const secret of [OLD_TOKEN, CODE, NEXT_CODE]) keepSecret(secret);
  const machine = new SimulatedMachine(folder, PREFERENCES, HOMES[system]);
  machine.shortestSleepMs = 3_000;
  machine.codes.set(CODE, "jane");
  machine.codes.set(NEXT_CODE, "jane");
  return machine;
}

const HOMES = { linux: undefined, windows: homeInRegistry, mac: homeInDomain } as const;

/** Files that no disk is waited for: only the order of the effects matters here, and there are a million of them. */
const MEMORY = "/dev/shm";

type Work = (session: Session) => Promise<Ending>;

async function prepare(machine: SimulatedMachine, command: Command): Promise<Work> {
  const options = optionsFor(machine);
  switch (command) {
    case "reset":
      machine.start();
      return (session) => reset(session, "reset", options);
    case "reset with a code":
      machine.start();
      return (session) => reset(session, "reset", optionsFor(machine, { code: CODE }));
    case "claim":
      machine.preferences = signedOut(PREFERENCES);
      machine.start();
      return (session) => reset(session, "claim", optionsFor(machine, { code: CODE }));
    case "undo": {
      machine.start();
      const { result } = await performed(machine, machine.world, "reset", (session) =>
        reset(session, "reset", options),
      );
      expect(result.outcome).toMatchObject({ ok: true, code: "SIGNED_OUT" });
      return (session) => undo(session, undefined, { ...options, oldSignIn: false });
    }
    case "backup restore": {
      machine.valid.set(OLD_TOKEN, "jane");
      const { result } = await performed(machine, machine.world, "backup create", (session) =>
        backupCreate(session, options),
      );
      const id = result.data.backup ?? "";
      machine.preferences = signedOut(PREFERENCES);
      machine.start();
      return (session) => backupRestore(session, id, options);
    }
  }
}

/** Carries a command out as `main` does, and looks for secrets in all that it said and left. */
export async function performed(
  machine: SimulatedMachine,
  world: World,
  command: string,
  work: Work,
  interrupt?: AbortSignal,
): Promise<Performed> {
  const { session, end, events, printed } = recordedSession(world, interrupt);
  const result = await end(command, () => work(session));
  for (const token of machine.valid.keys()) keepSecret(token);
  demandNoSecret(JSON.stringify({ events, result }), "events and result");
  demandNoSecret(printed.join(""), "the output");
  demandNoSecret(recordsOf(machine), "the state directory");
  return { result, events };
}

/** All that we leave behind, backups and parked credentials apart. */
function recordsOf(machine: SimulatedMachine): string {
  const { folder } = machine.save();
  return [...folder]
    .filter(([path]) => path.startsWith("state/") && !MAY_HOLD_SECRETS.test(path))
    .map(([path, { bytes }]) => `${path}\n${Buffer.from(bytes ?? []).toString("utf8")}`)
    .join("\n");
}

const MAY_HOLD_SECRETS =
  /^state\/(?:backups\/[^/]+\/\.?(?:settings\.(?:xml|reg|plist)|original-[^/]+)|parked\/[^/]+\.json)(?:\.new)?$/;

export function valuesIn(preferences: string): Values {
  const { token, username, mail, home } = parsePreferences(Buffer.from(preferences), "").credentials;
  return {
    token: token?.reveal() ?? null,
    username: username ?? null,
    mail: mail ?? null,
    home: home ?? null,
  };
}

/** The newest token that plex.tv gave out for a claim code since the scene began; null: none. */
export function freshToken({ machine, start }: Scene): string | null {
  return [...machine.valid.keys()].filter((token) => !start.valid.has(token)).at(-1) ?? null;
}

export function parkedToken(machine: SimulatedMachine): string | null {
  try {
    const text = readFileSync(join(machine.folder, "state", "parked", `${DEVICE_ID}.json`), "utf8");
    return (JSON.parse(text) as { token: string }).token;
  } catch {
    return null;
  }
}

/** Plays the scene once for each of its effects; a failure says which one it was and how the run ended. */
export async function forEveryEffect(scene: Scene, play: (effect: Effect) => Promise<void>): Promise<void> {
  for (const effect of scene.effects) {
    scene.machine.restore(scene.start);
    await labelled(`effect ${effect.index} of ${scene.effects.length} (${effect.name})`, () => play(effect));
  }
}

/** What is thrown says where it was. */
export async function labelled<T>(label: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${label}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/**
 * What holds however a run ended: the settings are whole, exactly as before or exactly as wanted, the server
 * runs as it was found, new credentials are not lost, and the exit code says which of it is so.
 */
export function demandTruth(scene: Scene, result: Result): void {
  const { machine, before, after, start, undisturbed } = scene;
  const standing = valuesIn(machine.preferences);
  const fresh = freshToken(scene);
  demandUntouched(machine);
  demandTidy(machine);
  expect(machine.home.leftBehind?.() ?? [], "nothing is left in a place for a while").toEqual([]);
  expect(machine.running, "the server runs, as it was found").toBe(true);
  switch (result.exitCode) {
    case 0:
    case 6:
      expect(result.exitCode, "as without a disturbance").toSatisfy(
        (code) => code === undisturbed.exitCode || code === 6,
      );
      expect(standing, "the change is done").toEqual(after);
      break;
    case 3:
      expect(standing, "nothing was changed").toEqual(before);
      expect(machine.stops, "never stopped").toBe(start.counts.stops);
      break;
    case 4:
    case 130:
      if (fresh === null) expect(standing, "put back").toEqual(before);
      else demandKept(scene, fresh);
      break;
    default:
      expect.fail(`exit ${result.exitCode}`);
  }
  const { outcome } = result;
  if (outcome.ok || outcome.aftermath.kind !== "put-back") return;
  const { credentials } = outcome.aftermath;
  if (credentials === "written") expect(standing.token).toBe(fresh);
  if (credentials === "parked") expect(parkedToken(machine)).toBe(fresh);
  if (credentials === "none") expect(standing).toEqual(before);
}

/** New credentials stand whole in the settings, or they are parked and the settings are as before. */
function demandKept({ machine, before, after }: Scene, fresh: string): void {
  const standing = valuesIn(machine.preferences);
  if (standing.token === fresh) expect(standing).toEqual(after);
  else {
    expect(standing, "but for the credentials put back").toEqual(before);
    expect(parkedToken(machine), "new credentials are never lost").toBe(fresh);
  }
}

/** Everything outside the four values, but for the counter that the server itself changes. */
export function demandUntouched(machine: SimulatedMachine): void {
  expect(others(machine.preferences)).toEqual(others(PREFERENCES));
  machine.home.demandKept();
}

/** Nothing of ours is left in Plex's folder. */
export function demandTidy(machine: SimulatedMachine): void {
  expect(readdirSync(machine.dataFolder).sort()).toEqual([...machine.home.tidy]);
}

function others(preferences: string): Record<string, string> {
  const attributes = new Map(otherAttributes(Buffer.from(preferences)));
  attributes.delete("PubSubServerPing");
  return Object.fromEntries(attributes);
}
