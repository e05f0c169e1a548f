import { expect, test } from "vitest";
import { SimulatedServer } from "../support/simulated-server.ts";
import { CODE, OLD_TOKEN } from "../support/simulated-world.ts";

test("undo of a run before the last exchange keeps the sign-in of now, and says so in its plan", async () => {
  const server = new SimulatedServer("locked-out");
  server.machine.codes.set(CODE, "jane");
  const first = await server.reset();
  await server.claim({ code: CODE });
  const fresh = server.token;
  const undone = await server.undo(first.result.data.run);
  expect(undone.code).toBe("OK");
  expect(undone.events.find((event) => event.type === "plan")).toMatchObject({ plan: { keepsSignIn: true } });
  expect(server.token).toBe(fresh);
});

test("--old-sign-in brings the dead one back too, after saying so", async () => {
  const server = new SimulatedServer("locked-out");
  server.machine.codes.set(CODE, "jane");
  const { result } = await server.reset({ code: CODE });
  const undone = await server.undo(result.data.run, { oldSignIn: true });
  expect(undone.notes).toContain("OLD_SIGN_IN_IS_DEAD");
  expect(undone.events.find((event) => event.type === "plan")).toMatchObject({ plan: { deadSignIn: true } });
  expect(server.token).toBe(OLD_TOKEN);
  expect(undone.result.exitCode).toBe(6);
});

test("undo settles whatever else was cut off on the server, so that nothing takes it back later", async () => {
  const server = new SimulatedServer("signed-in");
  server.machine.valid.clear();
  const first = await server.reset();
  server.machine.codes.set(CODE, "jane");
  const second = await server.claim({ code: CODE });
  server.cutOff(second.result.data.run, "started");
  await server.undo(first.result.data.run);
  const after = server.machine.preferences;
  const { notes } = await server.status();
  expect(notes).not.toContain("UNSETTLED_RUN");
  expect((await server.claim()).code).toBe("NOTHING_TO_DO");
  expect(server.machine.preferences).toBe(after);
});

test("undo starts a server again that the run had kept stopped", async () => {
  const server = new SimulatedServer();
  const { code, result } = await server.reset({ keepStopped: true });
  expect([code, server.machine.running]).toEqual(["EDITED_WHILE_STOPPED", false]);
  await server.undo(result.data.run);
  expect(server.machine.running).toBe(true);
  expect(server.token).toBe(OLD_TOKEN);
});

test("undo leaves a server stopped that was found so", async () => {
  const server = new SimulatedServer();
  server.machine.stop();
  const { result } = await server.reset();
  await server.undo(result.data.run);
  expect(server.machine.running).toBe(false);
  expect(server.token).toBe(OLD_TOKEN);
});

test("a start command that was wrong can be corrected when undoing", async () => {
  const server = new SimulatedServer();
  const failed = await server.reset({ startCommand: "no-such-command" });
  expect(failed.result.exitCode).toBe(5);
  const again = await server.undo(undefined, { startCommand: "no-such-command" });
  expect(again.result.exitCode).toBe(5);
  const undone = await server.undo(undefined, { startCommand: "simulated-start" });
  expect(undone.code).toBe("OK");
  expect(server.machine.running).toBe(true);
  expect(server.token).toBe(OLD_TOKEN);
});

test("a dry run of an undo changes nothing and promises nothing", async () => {
  const server = new SimulatedServer();
  const { result } = await server.reset();
  const done = await server.undo(undefined, { dryRun: true });
  expect(done.code).toBe("DRY_RUN");
  server.cutOff(result.data.run, "written");
  const open = await server.undo(undefined, { dryRun: true });
  expect(open.code).toBe("DRY_RUN");
  expect(open.notes).toContain("UNSETTLED_RUN");
  expect(server.token).toBe(null);
});

test("undoing twice is undoing once", async () => {
  const server = new SimulatedServer();
  await server.reset();
  expect((await server.undo()).result.exitCode).toBe(6);
  const { stops } = server.machine;
  const again = await server.undo();
  expect([again.code, again.notes]).toEqual(["NOTHING_TO_DO", ["ALREADY_UNDONE"]]);
  expect(server.machine.stops).toBe(stops);
});

test("a backup returns at its place although the server there has made itself a new identity", async () => {
  const server = new SimulatedServer();
  const { result } = await server.reset();
  const { machine } = server;
  machine.stop();
  machine.loseIdentity();
  machine.start();
  const restored = await server.restore(result.data.backup ?? "");
  expect(restored.notes).toContain("IDENTITY_RETURNS");
  expect(restored.result.exitCode).toBe(6);
  expect(server.token).toBe(OLD_TOKEN);
  expect(machine.running).toBe(true);
});
