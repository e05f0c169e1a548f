import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parsePreferences } from "../../src/standins/preferences.ts";
import { BEHAVIOUR_FILE } from "../../src/standins/server-behaviour.ts";
import { inBothLanguages, playInBothLanguages, playInWords } from "../support/both-languages.ts";
import { demandEnd, type Ended, noteOf, notesOf, onStage, quoted, type Stage } from "../support/stage.ts";

/** What stands in the settings but for the counter that the server moves by itself. */
function steady(settings: string): string {
  return settings.replace(/PubSubServerPing="\d+"/, "");
}

function identityIn(settings: string): unknown[] {
  const all = parsePreferences(Buffer.from(settings));
  return ["MachineIdentifier", "ProcessedMachineIdentifier", "FriendlyName"].map((name) => all?.get(name));
}

/** A start command that fails the first time it is run. */
function failsOnce(stage: Stage): Record<string, string> {
  const flag = quoted(join(stage.folder, "it-failed-once"));
  const command = `if [ -e ${flag} ]; then ${stage.server.startLine} else : >${flag}; exit 1; fi`;
  return { PLEX_RECLAIM_START_COMMAND: command };
}

/** A start command that fails as long as a file is there. */
function failsWhileBroken(stage: Stage): { env: Record<string, string>; repair(): void } {
  const broken = join(stage.folder, "broken");
  writeFileSync(broken, "");
  const command = `[ ! -e ${quoted(broken)} ] || exit 1; ${stage.server.startLine}`;
  return { env: { PLEX_RECLAIM_START_COMMAND: command }, repair: () => rmSync(broken) };
}

/** The first start of the server goes by another behaviour than the later ones. */
function behavesOddlyOnce(stage: Stage, odd: object): Record<string, string> {
  const { server } = stage;
  const behaviour = join(server.supportFolder, BEHAVIOUR_FILE);
  const [flag, oddly, normally] = ["started", "oddly", "normally"].map((name) => join(stage.folder, name));
  const usual = JSON.parse(readFileSync(behaviour, "utf8")) as object;
  writeFileSync(normally ?? "", JSON.stringify(usual));
  writeFileSync(oddly ?? "", JSON.stringify({ ...usual, ...odd }));
  const choose = `if [ -e ${flag} ]; then how=${normally}; else : >${flag}; how=${oddly}; fi`;
  return { PLEX_RECLAIM_START_COMMAND: `${choose}; cp "$how" ${quoted(behaviour)}; ${server.startLine}` };
}

const RESET = ["reset", "--yes"];

async function withCode(stage: Stage): Promise<string[]> {
  return [...RESET, "--claim-code-file", await stage.codeFile()];
}

async function demandUsesParked(stage: Stage): Promise<void> {
  const next = await stage.json(RESET);
  demandEnd(next, 0, "OK");
  expect(noteOf(next, "CREDENTIALS_FROM_PARKED")["username"]).toBe("jane");
  expect(await stage.exchanges()).toBe(1);
  expect(await stage.isHealed()).toBe(true);
}

type Hand = { readonly do: string; readonly line?: string; readonly from?: string; readonly to?: string };

function byHand(ended: Ended): Hand[] {
  return ended.result["byHand"] as Hand[];
}

describe.concurrent("a start that fails", () => {
  test("is put back: the old settings, and the server runs", async () => {
    await playInBothLanguages({
      stage: { settings: { home: true } },
      async call(stage) {
        writeFileSync(join(stage.folder, "before"), steady(stage.settings));
        return { args: RESET, options: { env: failsOnce(stage) } };
      },
      ending: { exitCode: 4, code: "START_FAILED" },
      async after(stage, ended) {
        expect(steady(stage.settings)).toBe(readFileSync(join(stage.folder, "before"), "utf8"));
        expect(await stage.server.answers()).toBe(true);
        if (ended.lines.length > 0)
          expect(ended.result).toMatchObject({ state: "put-back", credentials: "none" });
        demandEnd(await stage.json(["undo", "--yes"]), 0, "NOTHING_TO_DO");
      },
    });
  });

  test("after an exchange keeps the new sign-in, and the server runs with it", async () => {
    await playInWords({
      stage: {},
      async call(stage) {
        return { args: await withCode(stage), options: { env: failsOnce(stage) } };
      },
      ending: { exitCode: 4, code: "START_FAILED" },
      async after(stage, ended) {
        if (ended.lines.length > 0)
          expect(ended.result).toMatchObject({ state: "put-back", credentials: "written" });
        expect(await stage.isHealed()).toBe(true);
        demandEnd(await stage.json(["verify"]), 0, "OK");
      },
    });
  });

  test("for ever ends with 5 and lines to type, which work when they are typed", async () => {
    await onStage({}, async (stage) => {
      const before = steady(stage.settings);
      const { env, repair } = failsWhileBroken(stage);
      const ended = await stage.json(RESET, { env });
      demandEnd(ended, 5, "START_FAILED");
      expect(byHand(ended).map((hand) => hand.do)).toEqual(["start", "undo"]);
      expect(steady(stage.settings)).toBe(before);
      repair();
      for (const { line } of byHand(ended)) {
        const typed = await stage.type(line?.includes(" undo ") ? `${line} --yes --json` : `${line}`);
        expect([0, 6], typed.stdout + typed.stderr).toContain(typed.exitCode);
      }
      await stage.serverAnswers();
      expect(steady(stage.settings)).toBe(before);
      expect(notesOf(await stage.json(["status"]))).not.toContain("UNSETTLED_RUN");
    });
  });

  test.each(["en", "ru"])("for ever says so in words, with the lines (%s)", async (language) => {
    await onStage({}, async (stage) => {
      const { env, repair } = failsWhileBroken(stage);
      const ended = await stage.run([...RESET, "--lang", language], { env });
      demandEnd(ended, 5);
      const lines = ended.stderr.split("\n").map((line) => line.trim());
      expect(lines).toContain(env["PLEX_RECLAIM_START_COMMAND"]);
      const undo = lines.find((line) => / undo \d{8}-/.test(line)) ?? "";
      repair();
      const typed = await stage.type(`${undo} --yes`);
      expect([0, 6], typed.stderr).toContain(typed.exitCode);
      expect(await stage.server.answers()).toBe(true);
    });
  });

  test("for ever after an exchange keeps the new sign-in for when it starts again", async () => {
    await onStage({}, async (stage) => {
      const { env, repair } = failsWhileBroken(stage);
      const ended = await stage.json(await withCode(stage), { env });
      demandEnd(ended, 5, "START_FAILED");
      expect(await stage.isHealed()).toBe(true);
      repair();
      const start = byHand(ended).find((hand) => hand.do === "start");
      demandEnd(await stage.type(`${start?.line}`), 0);
      await stage.serverAnswers();
      demandEnd(await stage.json(["verify"]), 0, "OK");
    });
  });
});

describe.concurrent("a server that comes up with another identity", () => {
  test("is put back to its own", async () => {
    await onStage({}, async (stage) => {
      const before = steady(stage.settings);
      const ended = await stage.json(RESET, { env: behavesOddlyOnce(stage, { newIdentity: true }) });
      demandEnd(ended, 4, "IDENTITY_CHANGED");
      expect(steady(stage.settings)).toBe(before);
      expect(await stage.server.answers()).toBe(true);
    });
  });

  test("after an exchange is put back to its own, with the new sign-in kept", async () => {
    await onStage({}, async (stage) => {
      const before = identityIn(stage.settings);
      const env = behavesOddlyOnce(stage, { newIdentity: true });
      const ended = await stage.json(await withCode(stage), { env });
      demandEnd(ended, 4, "IDENTITY_CHANGED");
      expect(identityIn(stage.settings)).toEqual(before);
      expect(await stage.isHealed()).toBe(true);
      await stage.server.stop();
      expect(identityIn(stage.settings)).toEqual(before);
    });
  });
});

describe.concurrent("a stop command", () => {
  test("that fails changes nothing: the server was never stopped", async () => {
    await playInWords({
      stage: {},
      async call(stage) {
        writeFileSync(join(stage.folder, "found"), `${stage.settings}${stage.process}`);
        return { args: RESET, options: { env: { PLEX_RECLAIM_STOP_COMMAND: "exit 7" }, haste: 10 } };
      },
      ending: { exitCode: 4, code: "STOP_FAILED" },
      async after(stage) {
        expect(`${stage.settings}${stage.process}`).toBe(readFileSync(join(stage.folder, "found"), "utf8"));
      },
    });
  });

  test("that fails after an exchange parks the new sign-in, and the next command needs no code", async () => {
    await onStage({}, async (stage) => {
      const before = { settings: stage.settings, process: stage.process };
      const options = { env: { PLEX_RECLAIM_STOP_COMMAND: "exit 7" }, haste: 10 };
      const ended = await stage.json(await withCode(stage), options);
      demandEnd(ended, 4, "STOP_FAILED");
      expect(ended.result).toMatchObject({ state: "put-back", credentials: "parked" });
      expect({ settings: stage.settings, process: stage.process }).toEqual(before);
      expect(notesOf(await stage.json(["status"]))).toContain("PARKED_CREDENTIALS");
      await demandUsesParked(stage);
    });
  });

  test("that does not stop the server is found out", async () => {
    await onStage({}, async (stage) => {
      const before = { settings: stage.settings, process: stage.process };
      const ended = await stage.json(RESET, { env: { PLEX_RECLAIM_STOP_COMMAND: "true" }, haste: 40 });
      demandEnd(ended, 4, "STILL_RUNNING");
      expect(ended.result["problem"]).toMatchObject({ pids: stage.process?.split("/")[0] });
      expect({ settings: stage.settings, process: stage.process }).toEqual(before);
    });
  });

  test("after which a wrapper starts the server again is found out, with nothing written", async () => {
    await onStage({}, async (stage) => {
      const before = steady(stage.settings);
      const again = `(sleep 0.4; ${stage.server.startLine}) >/dev/null 2>&1 &`;
      const env = { PLEX_RECLAIM_STOP_COMMAND: `${stage.server.stopLine}; ${again}` };
      demandEnd(await stage.json(RESET, { env }), 4, "RESTARTED_BY_ITSELF");
      expect(steady(stage.settings)).toBe(before);
      expect(await stage.server.answers()).toBe(true);
      expect(readdirSync(join(stage.stateDirectory, "backups"))).toEqual([]);
    });
  });

  test("during which somebody changes the sign-in: the plan is not applied to other values", async () => {
    await onStage({}, async (stage) => {
      const { settingsPath, pidPath, stopLine } = stage.server;
      const wait = `while [ -e ${quoted(pidPath)} ]; do sleep 0.05; done`;
      const edit = `sed -i 's/PlexOnlineUsername="jane"/PlexOnlineUsername="bob"/' ${quoted(settingsPath)}`;
      const ended = await stage.json(RESET, {
        env: { PLEX_RECLAIM_STOP_COMMAND: `${stopLine}; ${wait}; ${edit}` },
      });
      demandEnd(ended, 4, "PLAN_CHANGED");
      expect(ended.result["problem"]).toMatchObject({ names: "PlexOnlineUsername" });
      expect(stage.settings).toContain(' PlexOnlineUsername="bob"');
      expect(await stage.server.answers()).toBe(true);
    });
  });
});

test.concurrent("of two runs at once one works, and the other says so, whatever their state directories", async () => {
  await onStage({}, async (stage) => {
    const go = join(stage.folder, "go");
    const held = `while [ ! -e ${quoted(go)} ]; do sleep 0.05; done; ${stage.server.stopLine}`;
    const options = { env: { PLEX_RECLAIM_STOP_COMMAND: held } };
    const first = stage.begin([...(await withCode(stage)), "--json"], options);
    await first.reached("stop");
    const found = stage.settings;
    const env = { PLEX_RECLAIM_STATE_DIR: join(stage.folder, "another-state") };
    const code = await stage.codeFile();
    const ending = { exitCode: 3, code: "RUN_IN_PROGRESS" };
    await inBothLanguages(stage, [...RESET, "--claim-code-file", code], ending, { env });
    for (const args of [
      ["undo", "--yes"],
      ["claim", "--yes", "--claim-code-file", code],
    ])
      demandEnd(await stage.json(args), 3, "RUN_IN_PROGRESS");
    expect(stage.settings).toBe(found);
    writeFileSync(go, "");
    demandEnd(await first.end(), 0, "OK");
    expect(await stage.isHealed()).toBe(true);
    expect(await stage.exchanges()).toBe(1);
  });
});

describe.concurrent("a folder that cannot be written in", () => {
  /** Only some file systems know the mark; under CI there must be one that does. */
  function immutable(folder: string, on: boolean): boolean {
    try {
      execFileSync("chattr", [on ? "+i" : "-i", folder], { stdio: "ignore" });
      return true;
    } catch {
      if (process.env["CI"] === "true") throw new Error("chattr +i is needed here");
      return false;
    }
  }

  test("is found out before a claim code is spent", async ({ skip }) => {
    await onStage({}, async (stage) => {
      const before = { settings: stage.settings, process: stage.process };
      const args = await withCode(stage);
      if (!immutable(stage.server.dataFolder, true)) skip("chattr +i does not work on this file system");
      try {
        const ending = { exitCode: 3, code: "SETTINGS_NOT_WRITABLE" };
        const ended = await inBothLanguages(stage, args, ending);
        expect(ended.result["problem"]).toMatchObject({ reason: "immutable" });
      } finally {
        immutable(stage.server.dataFolder, false);
      }
      expect({ settings: stage.settings, process: stage.process }).toEqual(before);
      expect(await stage.exchanges()).toBe(0);
    });
  });

  test("from the start on: the backup is to be copied by hand, and that works", async ({ skip }) => {
    await onStage({}, async (stage) => {
      const { dataFolder, startLine } = stage.server;
      if (!immutable(dataFolder, true)) skip("chattr +i does not work on this file system");
      immutable(dataFolder, false);
      const before = steady(stage.settings);
      const flag = join(stage.folder, "no-more");
      const start = `[ -e ${flag} ] || { chattr +i ${quoted(dataFolder)}; exit 1; }; ${startLine}`;
      try {
        const ended = await stage.json(RESET, { env: { PLEX_RECLAIM_START_COMMAND: start } });
        demandEnd(ended, 5, "START_FAILED");
        expect(byHand(ended).map((hand) => hand.do)).toEqual(["copy", "start", "undo"]);
        expect(stage.token).toBeNull();
        immutable(dataFolder, false);
        writeFileSync(flag, "");
        const [copy, again] = byHand(ended);
        demandEnd(await stage.type(`cp -- ${quoted(copy?.from ?? "")} ${quoted(copy?.to ?? "")}`), 0);
        demandEnd(await stage.type(`${again?.line}`), 0);
        await stage.serverAnswers();
        expect(steady(stage.settings)).toBe(before);
        // The run is still open; the next command sees that all is as it was.
        const undone = await stage.json(["undo", "--yes"]);
        expect([0, 6], undone.stdout).toContain(undone.exitCode);
        expect(steady(stage.settings)).toBe(before);
      } finally {
        if (existsSync(dataFolder)) immutable(dataFolder, false);
      }
    });
  });
});
