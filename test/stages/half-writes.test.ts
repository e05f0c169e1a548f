import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { RegistryValue } from "../../src/world/windows-system.ts";
import { SystemError, type World } from "../../src/world/world.ts";
import { valuesIn } from "../faults/every-effect.ts";
import { MemoryRegistry } from "../support/memory-registry.ts";
import { SimulatedServer } from "../support/simulated-server.ts";
import { CODE, OLD_TOKEN, type SimulatedMachine } from "../support/simulated-world.ts";

/** On Windows a write is several operations: what half of one is, and what is none. */

function windowsOf({ world }: SimulatedMachine): NonNullable<World["windows"]> {
  return world.windows ?? expect.unreachable("no Windows");
}

function registryOf(machine: SimulatedMachine): MemoryRegistry {
  const { registry } = windowsOf(machine);
  return registry instanceof MemoryRegistry ? registry : expect.unreachable("another registry");
}

/** Adds an attribute where the last one ends. */
function withAttribute(preferences: string, attribute: string): string {
  const end = preferences.lastIndexOf("/>");
  return `${preferences.slice(0, end)} ${attribute}${preferences.slice(end)}`;
}

/** The server changes its settings while it runs. */
function serverWrites(machine: SimulatedMachine, edit: (preferences: string) => string): void {
  machine.kill();
  machine.preferences = edit(machine.preferences);
  machine.start();
}

/** Does something right after the first start of the server in a run. */
function afterFirstStart(machine: SimulatedMachine, then: () => void): World {
  const windows = windowsOf(machine);
  let first = true;
  const start = async (executable: string) => {
    await windows.processes.start(executable);
    if (first) then();
    first = false;
  };
  return { ...machine.world, windows: { ...windows, processes: { ...windows.processes, start } } };
}

const HOME = 'PlexOnlineHome="1"';
const NOBODY_TO_ASK = { interactive: false } as const;

test("a server that has fetched PlexOnlineHome again is no half of a write, and is not stopped for one", async () => {
  const server = new SimulatedServer("locked-out", "windows");
  const { machine } = server;
  machine.codes.set(CODE, "jane");
  const person = new AbortController();
  let stopsAtStart = -1;
  const world = afterFirstStart(machine, () => {
    serverWrites(machine, (text) => withAttribute(text, HOME));
    stopsAtStart = machine.stops;
    person.abort("SIGINT");
  });
  const { result } = await server.reset({ code: CODE }, NOBODY_TO_ASK, { world, interrupt: person.signal });
  expect(result.outcome).toMatchObject({ aftermath: { kind: "put-back", credentials: "written" } });
  expect(machine.stops).toBe(stopsAtStart);
  expect(valuesIn(machine.preferences)).toMatchObject({ home: "1", username: "jane" });
});

test("a server that came up as another one, and fetched PlexOnlineHome, gets its identity back", async () => {
  const server = new SimulatedServer("locked-out", "windows");
  const { machine } = server;
  machine.codes.set(CODE, "jane");
  const identity = () => /ProcessedMachineIdentifier="[^"]*"/.exec(machine.preferences)?.[0];
  const before = identity();
  const world = afterFirstStart(machine, () => {
    serverWrites(machine, (text) => withAttribute(text, HOME));
    machine.kill();
    machine.loseIdentity();
    machine.start();
  });
  await server.reset({ code: CODE }, NOBODY_TO_ASK, { world });
  expect(before).toBeDefined();
  expect(identity()).toBe(before);
});

test("half of a removal is taken back, and what was changed since stays", async () => {
  const server = new SimulatedServer("locked-out", "windows");
  const { machine } = server;
  const { result } = await server.reset();
  expect(result.exitCode).toBe(0);
  server.cutOff(result.data.run, "writing");
  // The token goes last, so it still stands there; the server has run since, and its owner has renamed it.
  serverWrites(machine, (text) =>
    withAttribute(text, `PlexOnlineToken="${OLD_TOKEN}"`).replace(
      /FriendlyName="[^"]*"/,
      'FriendlyName="Renamed since"',
    ),
  );
  expect(valuesIn(machine.preferences)).toMatchObject({ token: OLD_TOKEN, mail: null });
  const undone = await server.undo();
  expect(undone.notes).toContain("RUN_SETTLED");
  expect(valuesIn(machine.preferences)).toEqual({
    token: OLD_TOKEN,
    username: "jane",
    mail: "jane@example.com",
    home: "1",
  });
  expect(machine.preferences).toContain("Renamed since");
  expect(machine.running).toBe(true);
});

/** A server whose key is gone, and a backup of it. */
async function wiped(): Promise<{ server: SimulatedServer; id: string; key: string }> {
  const server = new SimulatedServer("signed-in", "windows");
  const made = await server.backUp();
  server.machine.kill();
  const key = server.machine.settingsPath;
  registryOf(server.machine).removeKey(key);
  return { server, id: made.result.data.backup ?? "", key };
}

test("a restore over nothing that breaks half-way, and cannot be taken back, is not called put back", async () => {
  const { server, id } = await wiped();
  const registry = registryOf(server.machine);
  let sets = 0;
  registry.beforeCall = ({ call, path }) => {
    if (call === "setValue") sets += 1;
    if ((call === "setValue" && sets > 4) || call === "deleteValue") throw new SystemError("EIO", call, path);
  };
  const { result } = await server.restore(id);
  expect(result.exitCode).toBe(5);
  expect(result.outcome).toMatchObject({
    problem: { code: "REGISTRY_WRITE_FAILED" },
    aftermath: { kind: "not-put-back", byHand: [{ do: "undo" }] },
  });
});

test("a restore over nothing whose process died half-way leaves nothing after it is settled", async () => {
  const { server, id, key } = await wiped();
  const { machine } = server;
  const restored = await server.restore(id);
  expect(restored.result.exitCode).toBe(0);
  server.cutOff(restored.result.data.run, "writing");
  const registry = registryOf(machine);
  const whole = registry.valuesAt(key) ?? [];
  // The first operations of the write, in the order that its journal tells.
  const parts = server.partsOf(restored.result.data.run);
  const done = new Set(parts.slice(0, 2));
  registry.setKey(
    key,
    whole.filter(({ name }: RegistryValue) => done.has(name)),
  );
  await server.undo();
  expect(registry.valuesAt(key)).toEqual([]);
});

test("an application that closes only after its time is started again", async () => {
  const server = new SimulatedServer("locked-out", "windows");
  const { machine } = server;
  const windows = windowsOf(machine);
  const { clock } = machine.world;
  let askedAt = Number.POSITIVE_INFINITY;
  const closeWindows = async () => {
    askedAt = clock.monotonicMs();
    return 1;
  };
  const list = async () => {
    if (clock.monotonicMs() - askedAt > 75_000) machine.stop();
    return windows.processes.list();
  };
  machine.shortestSleepMs = 3_000;
  const processes = { ...windows.processes, closeWindows, list };
  const world = { ...machine.world, windows: { ...windows, processes } };
  const { result } = await server.reset({}, NOBODY_TO_ASK, { world });
  expect(result.outcome).toMatchObject({
    problem: { code: "STILL_RUNNING" },
    aftermath: { kind: "put-back" },
  });
  expect(machine.stops).toBe(1);
  expect(machine.running).toBe(true);
});

test("a cut-off run whose settings have moved on is settled without its backup", async () => {
  const server = new SimulatedServer();
  const { result } = await server.reset();
  server.cutOff(result.data.run, "written");
  serverWrites(server.machine, (text) => withAttribute(text, 'PlexOnlineToken="fromTheWeb"'));
  server.machine.valid.set("fromTheWeb", "jane");
  rmSync(join(server.machine.folder, "state", "backups", result.data.backup ?? "", "settings.xml"));
  const next = await server.claim();
  expect(next.code).toBe("NOTHING_TO_DO");
});
