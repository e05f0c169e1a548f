import { writeFileSync } from "node:fs";
import { win32 } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inBothLanguages } from "../../support/both-languages.ts";
import { dword, sz } from "../../support/reg-text.ts";
import { demandEnd, type Ended, eventually, hastyClock, noteOf, notesOf } from "../../support/stage.ts";
import type { WineMachine } from "../../support/wine.ts";
import {
  onWineStage,
  openWineHouse,
  playInWine,
  type WineStage,
  type WineStageOptions,
  whyNoWineStage,
} from "../../support/wine-stage.ts";

const missing = whyNoWineStage();
let machine: WineMachine;

const onStage = (options: WineStageOptions, play: (stage: WineStage) => Promise<void>) =>
  onWineStage(machine, options, play);

const RESET = ["reset", "--yes"];
const SERVICE = "PlexService";

async function withCode(stage: WineStage): Promise<string[]> {
  return [...RESET, "--claim-code-file", await stage.codeFile()];
}

interface Hand {
  readonly do: string;
  readonly line?: string;
}

function byHand(ended: Ended): Hand[] {
  return ended.result["byHand"] as Hand[];
}

/** Types a line into `cmd`, as a person would. */
async function typed(stage: WineStage, line: string): Promise<number | null> {
  const script = win32.join(stage.folder, "typed.cmd");
  writeFileSync(machine.hostPath(script), `@${line}\r\n`);
  const env = {
    PLEX_RECLAIM_PLEXTV_URL: stage.plexTv.url,
    NODE_OPTIONS: `--import=${hastyClock(10)}`,
  };
  return (await machine.run("cmd.exe", ["/c", script], { env })).status;
}

/** What an earlier run obtained is used, and no code is asked for again. */
async function demandUsesParked(stage: WineStage): Promise<void> {
  expect(notesOf(await stage.json(["status"]))).toContain("PARKED_CREDENTIALS");
  const next = await stage.json(RESET);
  demandEnd(next, 0, "OK");
  expect(noteOf(next, "CREDENTIALS_FROM_PARKED")["username"]).toBe("jane");
  expect(await stage.exchanges()).toBe(1);
  expect(await stage.isHealed()).toBe(true);
}

describe.skipIf(missing !== null)(`on Windows ${missing ?? ""}`, () => {
  beforeAll(async () => {
    machine = await openWineHouse();
  });

  afterAll(async () => {
    await machine?.close();
  });

  describe("nothing is changed and the server is never stopped when plex.tv", () => {
    test.each([
      ["refuses the code", { kind: "refused" }, "CLAIM_CODE_REFUSED"],
      ["has its answer lost", { kind: "answer-lost" }, "EXCHANGE_OUTCOME_UNKNOWN"],
    ] as const)("%s; that code is never sent again", async (_, mode, code) => {
      await onStage({ home: true }, async (stage) => {
        const before = await stage.standing();
        await stage.plexTv.setMode(mode);
        const args = await withCode(stage);
        demandEnd(await stage.json(args), 3, code);
        expect(await stage.standing()).toEqual(before);
        for (const folder of ["backups", "parked"]) expect(stage.inState(folder)).toEqual([]);
        await stage.plexTv.setMode({ kind: "normal" });
        const sent = await stage.exchanges();
        demandEnd(await stage.json(args), 3, "CLAIM_CODE_ALREADY_SENT");
        expect(await stage.exchanges()).toBe(sent);
        demandEnd(await stage.json(await withCode(stage)), 0, "OK");
        expect(await stage.isHealed()).toBe(true);
      });
    });

    test("is down; the code is as good as before", async () => {
      await onStage({}, async (stage) => {
        const before = await stage.standing();
        const args = await withCode(stage);
        await stage.plexTv.down();
        demandEnd(await stage.json(args), 3, "PLEXTV_UNREACHABLE");
        expect(await stage.standing()).toEqual(before);
        await stage.plexTv.up();
        demandEnd(await stage.json(args), 0, "OK");
      });
    });
  });

  describe("a server with a dialog open, which does not close when it is asked to", () => {
    test("is left as it was found, in both languages", async () => {
      await playInWine(machine, {
        stage: { host: { closes: false } },
        call: async () => ({ args: RESET, options: { haste: 20 } }),
        ending: { exitCode: 4, code: "STILL_RUNNING" },
        async after(stage, ended) {
          expect((await stage.signIn())["PlexOnlineUsername"]).toBe(sz("jane"));
          expect((await stage.server.values()).get("PubSubServerPing"), "it did not exit").toBe(dword(106));
          expect(await stage.server.answers()).toBe(true);
          if (ended.lines.length === 0) return;
          const [pid] = await stage.server.processes();
          expect(ended.result["problem"]).toMatchObject({ pids: `${pid}` });
          expect(ended.result).toMatchObject({ state: "put-back", credentials: "none" });
        },
      });
    });

    test("leaves the new sign-in parked after an exchange, and the next command needs no code", async () => {
      await onStage({ host: { closes: false } }, async (stage) => {
        const before = await stage.standing();
        const ended = await stage.json(await withCode(stage), { haste: 20 });
        demandEnd(ended, 4, "STILL_RUNNING");
        expect(ended.result).toMatchObject({ state: "put-back", credentials: "parked" });
        expect(await stage.standing()).toEqual(before);
        await stage.server.setHost({ closes: true });
        await demandUsesParked(stage);
      });
    });
  });

  describe("a server that dies at its start", () => {
    test("once is put back, and runs", async () => {
      await playInWine(machine, {
        stage: { home: true },
        async call(stage) {
          await stage.server.configure({ failStart: 1 });
          return { args: RESET, options: { haste: 10 } };
        },
        languages: ["ru"],
        ending: { exitCode: 4, code: "START_FAILED" },
        async after(stage, ended) {
          expect(await stage.signIn()).toMatchObject({
            PlexOnlineUsername: sz("jane"),
            PlexOnlineMail: sz("jane@example.com"),
            PlexOnlineHome: dword(1),
          });
          expect(await stage.server.answers()).toBe(true);
          if (ended.lines.length > 0)
            expect(ended.result).toMatchObject({ state: "put-back", credentials: "none" });
          demandEnd(await stage.json(["undo", "--yes"]), 0, "NOTHING_TO_DO");
        },
      });
    });

    test("once after an exchange runs with the new sign-in", async () => {
      await onStage({ home: true }, async (stage) => {
        const before = await stage.others();
        await stage.server.configure({ failStart: 1 });
        const ended = await stage.json(await withCode(stage), { haste: 10 });
        demandEnd(ended, 4, "START_FAILED");
        expect(ended.result).toMatchObject({ state: "put-back", credentials: "written" });
        expect(await stage.isHealed()).toBe(true);
        expect(await stage.others()).toEqual(before);
        await stage.demandUsable();
      });
    });

    test("for ever ends with 5 and lines to type, which work when they are typed", async () => {
      await onStage({ home: true }, async (stage) => {
        const before = await stage.steady();
        await stage.server.configure({ failStart: "always" });
        const ended = await stage.json(RESET, { haste: 10 });
        demandEnd(ended, 5, "START_FAILED");
        expect(byHand(ended).map((hand) => hand.do)).toEqual(["start", "undo"]);
        expect(await stage.steady()).toEqual(before);
        await stage.server.configure({ failStart: 0 });
        for (const { line = "" } of byHand(ended))
          expect([0, 6]).toContain(await typed(stage, line.includes(" undo ") ? `${line} --yes` : line));
        await stage.serverAnswers();
        expect(await stage.steady()).toEqual(before);
        expect(notesOf(await stage.json(["status"]))).not.toContain("UNSETTLED_RUN");
      });
    });

    test("for ever says so in words, with the lines", async () => {
      await onStage({}, async (stage) => {
        await stage.server.configure({ failStart: "always" });
        const ending = { exitCode: 5, code: "START_FAILED" };
        const ended = await stage.words(RESET, "ru", ending, { haste: 10 });
        const lines = ended.stderr.split("\n").map((line) => line.trim());
        expect(lines.filter((line) => line.includes(stage.server.executable))).not.toEqual([]);
        const undo = lines.find((line) => / undo \d{8}-/.test(line)) ?? "";
        await stage.server.configure({ failStart: 0 });
        expect([0, 6]).toContain(await typed(stage, `${undo} --yes`));
        expect(await stage.server.answers()).toBe(true);
      });
    });
  });

  describe("a server that a service keeps running", () => {
    test("is healed by stopping and starting the service", async () => {
      await playInWine(machine, {
        stage: { service: SERVICE },
        call: async (stage) => ({ args: await withCode(stage) }),
        languages: ["en"],
        ending: { exitCode: 0, code: "OK" },
        async after(stage, ended) {
          expect(await stage.isHealed()).toBe(true);
          expect(await stage.server.serviceState()).toBe("RUNNING");
          expect(await stage.server.answers()).toBe(true);
          // Had the service seen its server end, it would have started it once more.
          expect((await stage.server.values()).get("PubSubServerPing")).toBe(dword(107));
          if (ended.lines.length === 0) return;
          expect(ended.lines.find(({ type }) => type === "plan")?.["plan"]).toMatchObject({
            stopLine: `net stop "${SERVICE}"`,
            startLine: `net start "${SERVICE}"`,
          });
          const seen = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" });
          expect(seen.result["servers"]).toMatchObject([
            { install: "windows-service", service: SERVICE, state: "signed-in" },
          ]);
        },
      });
    });

    test("and that dies at its start once is started again by the service, which is waited for", async () => {
      await onStage({ service: SERVICE }, async (stage) => {
        await stage.server.configure({ failStart: 1 });
        demandEnd(await stage.json(await withCode(stage)), 0, "OK");
        expect(await stage.isHealed()).toBe(true);
        expect(await stage.server.serviceState()).toBe("RUNNING");
      });
    });

    test("and that always dies at its start gets its settings back, and a person is told", async () => {
      await onStage({ service: SERVICE, home: true, host: { serviceRestartMs: 600_000 } }, async (stage) => {
        const before = await stage.steady();
        await stage.server.configure({ failStart: "always" });
        const ended = await stage.json(RESET, { haste: 10 });
        demandEnd(ended, 5, "START_FAILED");
        expect(byHand(ended).map((hand) => hand.do)).toEqual(["start", "undo"]);
        expect(await stage.steady()).toEqual(before);
      });
    });

    test("found stopped is edited and left stopped, with the line to start it", async () => {
      await onStage({ service: SERVICE, running: false }, async (stage) => {
        const ended = await stage.json(await withCode(stage));
        demandEnd(ended, 0, "EDITED_WHILE_STOPPED");
        const { line } = noteOf(ended, "FOUND_STOPPED");
        expect(line).toBe(`net start "${SERVICE}"`);
        expect(await stage.server.serviceState()).toBe("STOPPED");
        expect(await typed(stage, String(line))).toBe(0);
        await stage.serverAnswers();
        await stage.demandUsable();
      });
    });

    test("is left as it was found when the service does not stop", async () => {
      await playInWine(machine, {
        stage: { service: SERVICE, host: { serviceStops: "never" } },
        call: async () => ({ args: RESET, options: { haste: 40 } }),
        languages: ["ru"],
        ending: { exitCode: 4, code: "STOP_TIMEOUT" },
        async after(stage, ended) {
          expect((await stage.signIn())["PlexOnlineUsername"]).toBe(sz("jane"));
          expect((await stage.server.values()).get("PubSubServerPing")).toBe(dword(106));
          expect(await stage.server.serviceState()).toBe("RUNNING");
          expect(await stage.server.answers()).toBe(true);
          if (ended.lines.length > 0) expect(ended.result["state"]).toBe("put-back");
        },
      });
    });

    test("is told truly when the service goes on stopping for ever", async () => {
      await onStage({ service: SERVICE, host: { serviceStops: "for-ever" } }, async (stage) => {
        const before = await stage.standing();
        const ended = await stage.json(await withCode(stage), { haste: 40 });
        demandEnd(ended, 4, "STOP_TIMEOUT");
        expect(ended.result).toMatchObject({ state: "put-back", credentials: "parked" });
        expect(notesOf(ended)).toContain("STOP_STILL_QUEUED");
        expect(await stage.standing()).toEqual(before);
        expect(await stage.server.serviceState()).toBe("STOP_PENDING");
        expect(await stage.server.answers()).toBe(true);
        expect(notesOf(await stage.json(["status"]))).toContain("PARKED_CREDENTIALS");
      });
    });
  });

  describe("while the server is being stopped", () => {
    /** A run that is held at the stop until the test lets the server go, however long that takes: its clock is slow. */
    async function heldAtStop(stage: WineStage, args: readonly string[]) {
      const run = stage.begin([...args, "--json"], { haste: 0.1 });
      await run.reached("stop");
      return run;
    }

    test("a second run says that one is at work, whatever its state directory", async () => {
      await onStage({ host: { closes: false } }, async (stage) => {
        const first = await heldAtStop(stage, await withCode(stage));
        const found = await stage.standing();
        const env = { PLEX_RECLAIM_STATE_DIR: win32.join(stage.folder, "another-state") };
        const code = await stage.codeFile();
        await inBothLanguages(
          stage,
          [...RESET, "--claim-code-file", code],
          { exitCode: 3, code: "RUN_IN_PROGRESS" },
          { env },
        );
        for (const args of [
          ["undo", "--yes"],
          ["claim", "--yes", "--claim-code-file", code],
        ])
          demandEnd(await stage.json(args), 3, "RUN_IN_PROGRESS");
        demandEnd(await stage.json(["status"]), 0, "OK");
        expect(await stage.standing()).toEqual(found);
        await stage.server.setHost({ closes: true });
        await stage.server.askToClose();
        demandEnd(await first.end(), 0, "OK");
        expect(await stage.isHealed()).toBe(true);
        expect(await stage.exchanges()).toBe(1);
      });
    });

    test("a sign-in that somebody changes is not written over", async () => {
      await onStage({ host: { closes: false } }, async (stage) => {
        const run = await heldAtStop(stage, RESET);
        await stage.server.setValues({ PlexOnlineUsername: sz("bob") });
        await stage.server.kill();
        const ended = await run.end();
        demandEnd(ended, 4, "PLAN_CHANGED");
        expect(ended.result["problem"]).toMatchObject({ names: "PlexOnlineUsername" });
        expect((await stage.signIn())["PlexOnlineUsername"]).toBe(sz("bob"));
        expect(await stage.server.answers()).toBe(true);
      });
    });

    test("another value that somebody changes is kept", async () => {
      await onStage({ host: { closes: false } }, async (stage) => {
        const run = await heldAtStop(stage, await withCode(stage));
        await stage.server.setValues({
          FriendlyName: sz("Спальня"),
          Added: "hex(b):01,02,03,04,05,06,07,08",
        });
        await stage.server.kill();
        demandEnd(await run.end(), 0, "OK");
        const others = await stage.others();
        expect([others.get("FriendlyName"), others.get("Added")]).toEqual([
          sz("Спальня"),
          "hex(b):01,02,03,04,05,06,07,08",
        ]);
        expect(await stage.isHealed()).toBe(true);
      });
    });
  });

  test("a start that takes long is waited for", async () => {
    await onStage({}, async (stage) => {
      await stage.server.configure({ startMs: 3_000, maintenanceMs: 1_000 });
      const run = stage.begin([...(await withCode(stage)), "--json"]);
      await run.reached("start");
      await eventually(() => stage.server.isRunning(), "the process");
      demandEnd(await run.end(), 0, "OK");
      expect(await stage.isHealed()).toBe(true);
    });
  });
});
