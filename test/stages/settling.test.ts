import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Secret } from "../../src/model/secret.ts";
import { editPreferences } from "../../src/stores/preferences-xml.ts";
import { SimulatedServer } from "../support/simulated-server.ts";
import { CODE, OLD_TOKEN } from "../support/simulated-world.ts";

const ANOTHER = "claim-anotherAnotherAnoth";

/** The owner signs the running server in by the web, and renames it. */
function signInByWeb(server: SimulatedServer, token: string): void {
  const { machine } = server;
  machine.stop();
  const bytes = editPreferences(readFileSync(machine.settingsPath), {
    kind: "replace",
    credentials: { token: new Secret(token), username: "jane", mail: "jane@example.com" },
  });
  const renamed = Buffer.from(bytes)
    .toString("utf8")
    .replace(/FriendlyName="[^"]*"/, 'FriendlyName="Attic"');
  writeFileSync(machine.settingsPath, renamed);
  machine.valid.set(token, "jane");
  machine.start();
}

test("a run that was cut off long ago takes nothing back that came after it", async () => {
  const server = new SimulatedServer();
  const { result } = await server.reset();
  server.cutOff(result.data.run, "written");
  signInByWeb(server, "signedInByTheWebToken");

  const claimed = await server.claim();
  expect(claimed.code).toBe("NOTHING_TO_DO");
  expect(claimed.notes).toEqual(
    expect.arrayContaining(["UNSETTLED_RUN", "RUN_SETTLED", "ALREADY_SIGNED_IN"]),
  );
  expect(server.token).toBe("signedInByTheWebToken");
  expect(server.machine.preferences).toContain('FriendlyName="Attic"');
  expect(server.machine.running).toBe(true);
  expect((await server.status()).notes).not.toContain("UNSETTLED_RUN");
});

test("what a server has made of its settings since our write is backed up before they are put back", async () => {
  const server = new SimulatedServer();
  const { result } = await server.reset();
  server.cutOff(result.data.run, "written");
  const before = server.backups.length;
  const undone = await server.undo();
  expect(undone.code).toBe("OK");
  expect(server.token).toBe(OLD_TOKEN);
  // The running server wrote its settings once more when it was stopped for this.
  expect(server.backups.length).toBe(before + 1);
});

test("a refusal after a run was settled does not say that nothing was changed", async () => {
  const server = new SimulatedServer();
  const { result } = await server.reset();
  server.cutOff(result.data.run, "stopping");
  server.machine.stop();
  const refused = await server.claim({ code: CODE });
  // Settling started the server again; signed out as it is, the claim itself then fails at plex.tv.
  expect(server.machine.running).toBe(true);
  expect(refused.code).toBe("CLAIM_CODE_REFUSED");
  expect(refused.result.exitCode).toBe(4);
  expect(refused.result.outcome).toMatchObject({ aftermath: { kind: "put-back" } });
});

test("a run that was cut off after its code was sent says that the code may be spent", async () => {
  const server = new SimulatedServer();
  server.machine.codes.set(CODE, "jane");
  const { result } = await server.reset({ code: CODE });
  server.cutOff(result.data.run, "sending-code");
  server.machine.codes.set(ANOTHER, "jane");
  const next = await server.reset({ code: ANOTHER });
  expect(next.notes).toContain("EXCHANGE_UNANSWERED");
  expect(next.result.exitCode).toBe(0);
});

test("a journal that cannot be read is told, and blocks nothing else", async () => {
  const server = new SimulatedServer();
  const { result } = await server.reset();
  const path = join(server.machine.folder, "state", "runs", result.data.run ?? "", "journal.jsonl");
  writeFileSync(path, `{"kind":"from the future"}\n${readFileSync(path, "utf8")}`);
  expect((await server.status()).notes).toContain("RUN_UNREADABLE");
  server.machine.codes.set(CODE, "jane");
  const claimed = await server.claim({ code: CODE });
  expect(claimed.notes).toContain("RUN_UNREADABLE");
  expect(claimed.code).toBe("OK");
  expect((await server.undo(result.data.run)).code).toBe("JOURNAL_DAMAGED");
});
