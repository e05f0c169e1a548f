import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { reset } from "../../src/commands/reset.ts";
import type { World } from "../../src/world/world.ts";
import { optionsFor, recordedSession } from "../support/recorded-session.ts";
import { CODE, DEVICE_ID, OLD_TOKEN, PREFERENCES, SimulatedMachine } from "../support/simulated-world.ts";

/** A locked-out server that runs, and does this to its settings when it is stopped. */
function changingAtStop(change: (preferences: string) => string, preferences = PREFERENCES) {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-plan-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const machine = new SimulatedMachine(folder, preferences);
  machine.codes.set(CODE, "jane");
  machine.start();
  const run: World["run"] = async (file, args, options) => {
    const running = machine.running;
    const result = await machine.world.run(file, args, options);
    if (running && !machine.running) {
      const changed = change(machine.preferences);
      expect(changed).not.toBe(machine.preferences);
      writeFileSync(machine.settingsPath, changed);
    }
    return result;
  };
  return { machine, world: { ...machine.world, run } };
}

async function resetOn(machine: SimulatedMachine, world: World, code?: string) {
  const { session, end } = recordedSession(world);
  return end("reset", () => reset(session, "reset", optionsFor(machine, code === undefined ? {} : { code })));
}

test.each([
  ["PlexOnlineToken", (text: string) => text.replace("oldTokenOldTokenOldT", "anotherToken")],
  ["PlexOnlineToken", (text: string) => text.replace(/PlexOnlineToken="oldToken[^"]*" /, "")],
  [
    "PlexOnlineUsername",
    (text: string) => text.replace('PlexOnlineUsername="jane"', 'PlexOnlineUsername="joe"'),
  ],
  ["PlexOnlineMail", (text: string) => text.replace("jane@example.com", "joe@example.com")],
  ["PlexOnlineHome", (text: string) => text.replace('PlexOnlineHome="1" ', "")],
  ["MachineIdentifier", (text: string) => text.replace("000000000001", "000000000009")],
  ["AnonymousMachineIdentifier", (text: string) => text.replace("000000000002", "000000000009")],
  ["CertificateUUID", (text: string) => text.replace(/CertificateUUID="\w+" /, "")],
])(
  "another %s after the stop than in the plan ends the run: nothing is edited, the server runs again",
  async (name, change) => {
    const { machine, world } = changingAtStop(change);
    const result = await resetOn(machine, world);
    expect(result.outcome).toMatchObject({
      ok: false,
      problem: { code: "PLAN_CHANGED", names: name },
      aftermath: { kind: "put-back", credentials: "none" },
    });
    expect(result.exitCode).toBe(4);
    expect(machine.running).toBe(true);
    expect(machine.stops).toBe(1);
    expect(change(machine.preferences), "what the server wrote stays").toBe(machine.preferences);
    expect(readdirSync(join(machine.folder, "state", "backups"))).toEqual([]);
  },
);

test("a server that became another one meanwhile is not edited either, and is not said to be as it was", async () => {
  const { machine, world } = changingAtStop((text) => text.replace(DEVICE_ID, "f".repeat(40)));
  const result = await resetOn(machine, world);
  expect(result.outcome).toMatchObject({
    problem: { code: "PLAN_CHANGED", names: "ProcessedMachineIdentifier" },
    aftermath: { kind: "not-put-back" },
  });
  expect(machine.running).toBe(true);
  expect(machine.preferences).toContain(OLD_TOKEN);
});

test.each([
  ["AnonymousMachineIdentifier", /AnonymousMachineIdentifier="[^"]*" /],
  ["CertificateUUID", /CertificateUUID="[^"]*" /],
])("%s may come while the server stops, if it was absent", async (_, pattern) => {
  const value = pattern.exec(PREFERENCES)?.[0] ?? "";
  const { machine, world } = changingAtStop(
    (text) => text.replace("FriendlyName", `${value}FriendlyName`),
    PREFERENCES.replace(value, ""),
  );
  const result = await resetOn(machine, world);
  expect(result.outcome).toEqual({ ok: true, code: "SIGNED_OUT" });
  expect(machine.preferences).toContain(value);
});

test("settings outside the plan may change while the server stops, and stay changed", async () => {
  const { machine, world } = changingAtStop((text) =>
    text.replace('secureConnections="0"', 'secureConnections="1"'),
  );
  const result = await resetOn(machine, world);
  expect(result.outcome).toEqual({ ok: true, code: "SIGNED_OUT" });
  expect(machine.preferences).toContain('secureConnections="1"');
});

test("settings that are gone after the stop are told as such, and the server is started again", async () => {
  const { machine, world } = changingAtStop((text) => text.replace('PlexOnlineHome="1" ', ""));
  const vanishing: World["run"] = async (file, args, options) => {
    const result = await world.run(file, args, options);
    if (!machine.running) rmSync(machine.settingsPath);
    return result;
  };
  const starts: World["run"] = (file, args, options) => {
    if (args.join().includes("simulated-start")) writeFileSync(machine.settingsPath, PREFERENCES);
    return vanishing(file, args, options);
  };
  const result = await resetOn(machine, { ...world, run: starts });
  expect(result.outcome).toMatchObject({
    problem: { code: "SETTINGS_MISSING" },
    aftermath: { kind: "put-back" },
  });
  expect(machine.running).toBe(true);
});

test("a plan that changed after an exchange keeps the new credentials for the next run, which needs no new code", async () => {
  const { machine, world } = changingAtStop((text) => text.replace("jane@example.com", "joe@example.com"));
  const result = await resetOn(machine, world, CODE);
  expect(result.exitCode).toBe(4);
  expect(result.outcome).toMatchObject({
    problem: { code: "PLAN_CHANGED", names: "PlexOnlineMail" },
    aftermath: { kind: "put-back", credentials: "parked" },
  });
  const next = await resetOn(machine, machine.world);
  expect(next.outcome).toEqual({ ok: true, code: "OK" });
  expect(
    [...machine.valid.keys()].some((token) => readFileSync(machine.settingsPath, "utf8").includes(token)),
  ).toBe(true);
});
