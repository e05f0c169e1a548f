import { expect, test } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { SimulatedServer } from "../support/simulated-server.ts";
import { CODE, OLD_TOKEN } from "../support/simulated-world.ts";

const BOBS = "claim-bobsCodeBobsCode00";

function ownedByJane(state: "locked-out" | "signed-in" = "signed-in"): SimulatedServer {
  const server = new SimulatedServer(state);
  server.machine.codes.set(CODE, "jane").set(BOBS, "bob");
  return server;
}

test("a code of the wrong account is refused, its device signed out, and the server's own sign-in lives on", async () => {
  const server = ownedByJane();
  const { result, code } = await server.reset({ code: BOBS, expectAccount: "jane" });
  expect([code, result.exitCode]).toEqual(["WRONG_ACCOUNT", 4]);
  expect(result.outcome).toMatchObject({
    problem: { signedOut: "yes", kept: "no" },
    aftermath: { kind: "nothing-changed" },
  });
  expect([...server.machine.valid]).toEqual([[OLD_TOKEN, "jane"]]);
  expect([server.token, server.parkedToken]).toEqual([OLD_TOKEN, null]);
  expect(server.machine.stops).toBe(0);
});

test("a code of the owner where another account was expected costs the server nothing: the new sign-in is kept and written next", async () => {
  const server = ownedByJane();
  const { result, code } = await server.reset({ code: CODE, expectAccount: "bob" });
  expect([code, result.exitCode]).toEqual(["WRONG_ACCOUNT", 4]);
  expect(result.outcome).toMatchObject({
    problem: { kept: "yes" },
    aftermath: { kind: "put-back", credentials: "parked" },
  });
  expect(server.machine.valid.get(server.parkedToken ?? "")).toBe("jane");

  const next = await server.reset();
  expect([next.code, next.result.exitCode]).toEqual(["OK", 0]);
  expect(server.machine.valid.get(server.token ?? "")).toBe("jane");
  expect(server.parkedToken).toBe(null);
});

test("what is parked for the owner does not stand in the way of a code of the account that is expected", async () => {
  const server = ownedByJane();
  await server.reset({ code: CODE, expectAccount: "bob" });
  const { code, result } = await server.reset({ code: BOBS, expectAccount: "bob" });
  expect([code, result.data.ownerChanged]).toEqual(["OK", true]);
  expect(server.machine.valid.get(server.token ?? "")).toBe("bob");
});

test("an interruption at the question about the owner is a no, and nothing of the other account is left", async () => {
  const server = ownedByJane();
  const interrupted = await server.reset(
    { code: BOBS, yes: false },
    {
      interactive: true,
      confirm: async (key: string) => {
        if (key !== "prompt.owner") return true;
        throw new ProblemError({ code: "INTERRUPTED", signal: "SIGINT" });
      },
    },
  );
  expect([interrupted.code, interrupted.result.exitCode]).toEqual(["INTERRUPTED", 130]);
  expect(server.parkedToken).toBe(null);
  expect([...server.machine.valid]).toEqual([[OLD_TOKEN, "jane"]]);

  // A working server, and no new credentials: the next run has nothing to go on.
  const next = await server.reset();
  expect([next.code, next.result.exitCode]).toEqual(["NOT_LOCKED_OUT", 3]);
  expect(server.token).toBe(OLD_TOKEN);
});

test("a change of owner that was agreed to is written by the next run when this one fails", async () => {
  const server = ownedByJane("locked-out");
  server.machine.failStarts = 99;
  const failed = await server.reset({ code: BOBS });
  expect(failed.result.exitCode).toBe(5);
  server.machine.failStarts = 0;
  const next = await server.reset({ code: CODE });
  expect(next.result.exitCode).toBe(0);
  expect(server.machine.running).toBe(true);
});

test("a failed run names itself, its server and its backup", async () => {
  const server = ownedByJane("locked-out");
  server.machine.failStarts = 1;
  const { result } = await server.reset();
  expect(result.exitCode).toBe(4);
  expect(result.data).toMatchObject({ run: expect.stringMatching(/^\d{8}-/), server: expect.any(String) });
  expect(server.backups).toEqual([result.data.backup]);
});
