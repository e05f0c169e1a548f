import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { demandLanguage } from "../support/both-languages.ts";
import { APPLICATION } from "../support/mac-application.ts";
import { whyNoMacProcesses } from "../support/mac-process.ts";
import { type MacProcessStage, onMacProcesses } from "../support/mac-process-stage.ts";
import { demandEnd, eventually, notesOf } from "../support/stage.ts";

const whyNot = whyNoMacProcesses();

const PATIENCE_MS = 240_000;
/** Into the live domain; others are tried out in one of our own. */
const WRITE = `import ${APPLICATION.bundleId}`;

type Fate = "goes through all the same" | "dies with it";

/** The server answers, nothing of a run is open, and nothing has come in two. */
async function demandSettled(stage: MacProcessStage): Promise<void> {
  for (const journal of stage.journals()) expect(journal).toContain('{"kind":"settled"');
  await eventually(() => stage.server.answers(), "a server that answers");
  expect(await stage.server.processes()).toHaveLength(1);
  expect(notesOf(await stage.json(["status"]))).toEqual([]);
}

describe.skipIf(whyNot !== null).concurrent(`a process of a Mac that is cut off ${whyNot ?? ""}`, () => {
  test.each([
    ["osascript", "to quit", "while the server is asked to stop", "en"],
    ["defaults", "delete", "in the middle of the write", "ru"],
    ["open", "-g", "while the server is started", "en"],
  ] as const)(
    "Ctrl-C at the terminal does not reach %s, and what was there before is back",
    async (tool, word, _, language) => {
      await onMacProcesses({ server: { home: true } }, async (stage) => {
        const before = await stage.outside.settings();
        const token = await stage.server.token();
        const hold = await stage.hold(tool, word);
        const run = stage.atTerminal(["reset", "--yes", "--lang", language]);
        const call = await hold.seen();
        expect(call.session).toBe(call.pid);
        run.type("\u0003");
        await run.printed(WORDS[language].seen);
        expect(existsSync(`/proc/${call.pid}`)).toBe(true);
        await hold.letGo();
        const ended = await run.end();
        demandEnd(ended, 130);
        demandLanguage(ended.stdout, language);
        expect(ended.stdout).toContain("(INTERRUPTED)");
        expect(await stage.outside.settings()).toEqual(before);
        expect(await stage.server.token()).toBe(token);
        await demandSettled(stage);
      });
    },
  );

  test.each(["en", "ru"] as const)(
    "Ctrl-C ends a question for consent that stands on the screen, and nothing was changed (%s)",
    async (language) => {
      await onMacProcesses({ switches: { consent: "asked" }, server: { home: true } }, async (stage) => {
        const before = { ...(await stage.outside.settings()), processes: await stage.server.processes() };
        const args = ["reset", "--yes", "--lang", language, "--claim-code-file", await stage.codeFile()];
        const run = stage.atTerminal(args);
        await run.printed(WORDS[language].asked);
        const isAsked = async () => (await stage.calls()).some(({ tool }) => tool === "osascript");
        await eventually(isAsked, "a question");
        const beganMs = performance.now();
        run.type("\u0003");
        const ended = await run.end();
        // The question itself stays for a minute.
        expect(performance.now() - beganMs).toBeLessThan(30_000);
        demandEnd(ended, 130);
        demandLanguage(ended.stdout, language);
        expect(ended.stdout).toContain("(INTERRUPTED)");
        const after = { ...(await stage.outside.settings()), processes: await stage.server.processes() };
        expect(after).toEqual(before);
        expect(await stage.outside.exchanges()).toBe(0);
        await stage.mac.setSwitches({ consent: "granted" });
        await demandSettled(stage);
      });
    },
  );

  test("a terminal that goes away while the server stops leaves a server that runs as before", async () => {
    await onMacProcesses({}, async (stage) => {
      const before = await stage.outside.settings();
      const hold = await stage.hold("osascript", "to quit");
      const run = stage.atTerminal(["reset", "--yes", "--lang", "en"]);
      await hold.seen();
      run.kill("SIGKILL");
      await run.end();
      await hold.letGo();
      const isSettled = () => stage.journals().every((text) => text.includes('{"kind":"settled"'));
      await eventually(isSettled, "a settled run", PATIENCE_MS);
      expect(await stage.outside.settings()).toEqual(before);
      await demandSettled(stage);
    });
  });

  async function killedAt(
    stage: MacProcessStage,
    args: readonly string[],
    word: string,
    fate: Fate,
    env = {},
  ) {
    const hold = await stage.hold("defaults", word);
    const run = stage.begin([...args, "--json"], { env });
    const call = await hold.seen();
    run.kill("SIGKILL");
    await run.end();
    if (fate === "dies with it") process.kill(call.pid, "SIGKILL");
    await hold.letGo();
    await eventually(() => !existsSync(`/proc/${call.pid}`), "the end of a call");
    const seen = await stage.json(["status"]);
    demandEnd(seen, 0, "OK");
    expect(notesOf(seen)).toContain("UNSETTLED_RUN");
  }

  test.each([
    ["PlexOnlineMail", "goes through all the same"],
    ["PlexOnlineToken", "dies with it"],
  ] as const)("killed at the removal of %s, which %s: undo settles it", async (word, fate) => {
    await onMacProcesses({ server: { home: true } }, async (stage) => {
      const before = await stage.outside.settings();
      const token = await stage.server.token();
      await killedAt(stage, ["reset", "--yes"], word, fate);
      const undone = await stage.json(["undo", "--yes"]);
      expect([0, 6]).toContain(undone.exitCode);
      expect(await stage.outside.settings()).toEqual(before);
      expect(await stage.server.token()).toBe(token);
      await demandSettled(stage);
      demandEnd(await stage.json(["undo", "--yes"]), 0, "NOTHING_TO_DO");
    });
  });

  test("killed while the new sign-in is written, which goes through all the same: it stays, and no code is needed", async () => {
    await onMacProcesses({ server: { home: true } }, async (stage) => {
      const before = await stage.outside.settings();
      const code = await stage.plexTv.issueClaimCode(stage.server.owner.username);
      await killedAt(stage, ["reset", "--yes"], WRITE, "goes through all the same", { PLEX_CLAIM: code });
      const next = await stage.json(["reset", "--yes"]);
      expect(notesOf(next)).toContain("RUN_SETTLED");
      demandEnd(next, 4, "NOT_LOCKED_OUT");
      expect(await stage.outside.isHealed()).toBe(true);
      expect(await stage.outside.exchanges()).toBe(1);
      expect((await stage.outside.settings()).others).toBe(before.others);
      await demandSettled(stage);
    });
  });

  test("killed while the settings are read: the next change removes the copy, and none that is in use", async () => {
    await onMacProcesses({}, async (stage) => {
      const killing = await stage.hold("defaults", "export");
      const killed = stage.begin(["status", "--json"]);
      await killing.seen();
      killed.kill("SIGKILL");
      await killed.end();
      await killing.letGo();
      await eventually(() => copiesOf(stage).some((path) => path.endsWith(".plist")), "a copy that stays");
      expect(copiesOf(stage)).toHaveLength(2);

      const hold = await stage.hold("defaults", "export");
      const reading = stage.begin(["status", "--json"]);
      await hold.seen();
      demandEnd(await stage.json(["reset", "--yes"]), 0, "SIGNED_OUT");
      const inUse = copiesOf(stage);
      expect(inUse).toHaveLength(1);
      expect(inUse[0]).toContain(`-${reading.pid}.`);
      await hold.letGo();
      demandEnd(await reading.end(), 0, "OK");
      await demandSettled(stage);
    });
  });
});

/** Folders for exported settings, and what is in them. */
function copiesOf(stage: MacProcessStage): string[] {
  return stage.outside.pathsBelow("/private/var/folders").filter((path) => path.includes("plex-reclaim"));
}

const WORDS = {
  en: { seen: "You asked to stop.", asked: "If macOS asks now" },
  ru: { seen: "Запрос на прерывание получен.", asked: "Если macOS сейчас спросит" },
};
