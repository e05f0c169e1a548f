import { readFileSync, writeFileSync } from "node:fs";
import { join, win32 } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { demandLanguage } from "../../support/both-languages.ts";
import { dword, sz } from "../../support/reg-text.ts";
import { demandEnd, type Ended, eventually, exists, noteOf, notesOf } from "../../support/stage.ts";
import { NODE_IN_WINE, PROGRAM_IN_WINE, type WineMachine } from "../../support/wine.ts";
import {
  onWineStage,
  openWineHouse,
  stepLine,
  type WineStage,
  type WineStageOptions,
  whyNoWineStage,
} from "../../support/wine-stage.ts";

const missing = whyNoWineStage();
let machine: WineMachine;

const onStage = (options: WineStageOptions, play: (stage: WineStage) => Promise<void>) =>
  onWineStage(machine, options, play);

const RESET = ["reset", "--yes"];
/** A server that goes on until the test lets it close. */
const HELD = { host: { closes: false } };

const WORDS = {
  en: {
    code: "Claim code:",
    plan: "Go ahead with this plan?",
    yes: "y",
    stop: "Stopping the server politely",
    start: "Starting the server and waiting",
    seen: "You asked to stop.",
  },
  ru: {
    code: "Код привязки:",
    plan: "Выполнить этот план?",
    yes: "д",
    stop: "Остановка сервера",
    start: "Запуск сервера и ожидание",
    seen: "Запрос на прерывание получен.",
  },
} as const;

async function withCode(stage: WineStage): Promise<string[]> {
  return [...RESET, "--claim-code-file", await stage.codeFile()];
}

/** The server closes after all. */
async function letGo(stage: WineStage): Promise<void> {
  await stage.server.setHost({ closes: true });
  await stage.server.askToClose();
}

function journal(stage: WineStage): string {
  const [run = ""] = stage.inState("runs");
  const made = stage.inState("runs", run).includes("journal.jsonl");
  return made ? stage.readState("runs", run, "journal.jsonl").toString() : "";
}

/** The new sign-in that is kept beside the settings; null where there is none. */
function parked(stage: WineStage): string | null {
  const [name] = stage.inState("parked");
  if (name === undefined) return null;
  return (JSON.parse(stage.readState("parked", name).toString()) as { token: string }).token;
}

async function unsettled(stage: WineStage): Promise<Ended> {
  const seen = await stage.json(["status"]);
  demandEnd(seen, 0, "OK");
  expect(notesOf(seen)).toContain("UNSETTLED_RUN");
  return seen;
}

describe.skipIf(missing !== null)(`on Windows ${missing ?? ""}`, () => {
  beforeAll(async () => {
    machine = await openWineHouse();
  });

  afterAll(async () => {
    await machine?.close();
  });

  describe("at a terminal", () => {
    test.each([
      ["pretty", "en", []],
      ["plain", "ru", ["--accessible"]],
    ] as const)(
      "a hidden prompt asks for the code, shows nothing of it, and all goes well (%s, %s)",
      async (_, language, more) => {
        await onStage({}, async (stage) => {
          const words = WORDS[language];
          const terminal = await stage.atTerminal(["reset", "--lang", language, ...more]);
          await terminal.shows(words.code);
          await terminal.type(await stage.code());
          await terminal.press("Enter");
          await terminal.shows(words.plan);
          await terminal.type(more.length > 0 ? words.yes : "y");
          if (more.length > 0) await terminal.press("Enter");
          const { status, screen } = await stage.endOf(terminal);
          expect(status, screen).toBe(0);
          demandLanguage(screen, language);
          expect(await stage.isHealed()).toBe(true);
        });
      },
    );

    test.each([[[]], [["--accessible"]]])(
      "Ctrl-C at the plan ends it with nothing changed %j",
      async (more) => {
        await onStage({}, async (stage) => {
          const before = await stage.standing();
          const code = await stage.codeFile();
          const terminal = await stage.atTerminal([
            "reset",
            "--lang",
            "en",
            "--claim-code-file",
            code,
            ...more,
          ]);
          await terminal.shows(WORDS.en.plan);
          await terminal.interrupt();
          const { status, screen } = await stage.endOf(terminal);
          expect(status, screen).toBe(130);
          expect(screen).toContain("INTERRUPTED");
          expect(await stage.standing()).toEqual(before);
          expect(await stage.exchanges()).toBe(0);
        });
      },
    );

    test("no to the plan changes nothing", async () => {
      await onStage({}, async (stage) => {
        const before = await stage.standing();
        const terminal = await stage.atTerminal(["reset", "--accessible", "--lang", "en"]);
        await terminal.shows(WORDS.en.code);
        await terminal.press("Enter");
        await terminal.shows(WORDS.en.plan);
        await terminal.press("Enter");
        const { status, screen } = await stage.endOf(terminal);
        expect(status, screen).toBe(3);
        expect(screen).toContain("DECLINED");
        expect(await stage.standing()).toEqual(before);
      });
    });

    test.each(["en", "ru"] as const)(
      "Ctrl-C while the server stops is answered at once, and the server is as it was found (%s)",
      async (language) => {
        await onStage({ ...HELD, home: true }, async (stage) => {
          const before = await stage.steady();
          const terminal = await stage.atTerminal([...RESET, "--lang", language]);
          await terminal.shows(WORDS[language].stop);
          await eventually(() => journal(stage).includes('"stopping"'), "a stop that was asked for");
          await terminal.interrupt();
          await terminal.shows(WORDS[language].seen);
          await letGo(stage);
          const { status, screen } = await stage.endOf(terminal);
          expect(status, screen).toBe(130);
          demandLanguage(screen, language);
          expect(await stage.steady()).toEqual(before);
          await stage.demandSettled();
        });
      },
    );

    test.each([
      ["no code", async () => RESET],
      ["a code", withCode],
    ] as const)("Ctrl-C while the server starts brings it back (%s)", async (what, call) => {
      await onStage({ home: true }, async (stage) => {
        const { server } = stage;
        const before = what === "a code" ? await stage.others() : await stage.steady();
        const args = await call(stage);
        await server.configure({ startMs: 600_000 });
        const terminal = await stage.atTerminal([...args, "--lang", "en"]);
        await terminal.shows(WORDS.en.start);
        // Each start begins a log of its own, once it knows how it is to go.
        const logs = machine.hostPath(win32.join(server.dataFolder, "Logs"));
        const log = (name: string) => join(logs, `Plex Media Server${name}.log`);
        const begun = () =>
          exists(log(".1")) && exists(log("")) && readFileSync(log(""), "utf8").includes("mapping state");
        await eventually(begun, "a start in the log");
        // Its next start is a quick one again.
        await server.configure({ startMs: 50 });
        await terminal.interrupt();
        await terminal.shows(WORDS.en.seen);
        // After an exchange a server that is on its way up is the wanted one: this one never arrives.
        if (what === "a code") await server.kill();
        const { status, screen } = await stage.endOf(terminal);
        expect(status, screen).toBe(130);
        if (what === "a code") {
          expect(await stage.others()).toEqual(before);
          expect(await stage.isHealed()).toBe(true);
        } else expect(await stage.steady()).toEqual(before);
        await stage.demandSettled();
      });
    });

    test("a window that is closed in the middle leaves a run that the next command settles", async () => {
      await onStage({ ...HELD, home: true }, async (stage) => {
        const before = await stage.steady();
        const terminal = await stage.atTerminal([...RESET, "--lang", "en"]);
        await terminal.shows(WORDS.en.stop);
        await eventually(() => journal(stage).includes('"stopping"'), "a stop that was asked for");
        await terminal.close();
        await letGo(stage);
        await unsettled(stage);
        const undone = await stage.json(["undo", "--yes"]);
        expect([0, 6], undone.stdout).toContain(undone.exitCode);
        expect(await stage.steady()).toEqual(before);
        await stage.demandSettled();
      });
    });
  });

  describe("a program that is killed", () => {
    // Each is held where it is killed: a kill that comes late must not fall into another step, and none may fall into
    // CreateProcessW. That makes the process suspended and lets it go at its end: killed in between (under Wine that
    // takes 10 ms or more) it leaves a server that never begins, has no window, and is there for ever.

    /** Kills a run that waits for a server which does not close. */
    async function killedAtStop(stage: WineStage, args: readonly string[]): Promise<void> {
      await stage.server.setHost({ closes: false });
      const run = stage.begin([...args, "--json"]);
      await eventually(() => journal(stage).includes('"kind":"stopping"'), "a stop that was asked for");
      await run.kill();
    }

    /** Has a run end as soon as it has said that it is at the beginning or the end of the edit. */
    async function killedAtEdit(
      stage: WineStage,
      args: readonly string[],
      phase: "begin" | "end",
    ): Promise<void> {
      const run = stage.begin([...args, "--json"], { diesAt: stepLine("edit", phase) });
      const { lines, result } = await run.end();
      expect(result, "its last words").toEqual({ schema: 1, type: "step", step: "edit", phase });
      expect(lines.length).toBeGreaterThan(1);
    }

    /** Kills a run that waits for the server it has started, which comes up only then. */
    async function killedAtStart(stage: WineStage, args: readonly string[]): Promise<void> {
      await stage.server.setHost({ starts: false });
      const run = stage.begin([...args, "--json"]);
      await run.reached("start");
      // Its own code runs, so nobody has to let it go any more.
      await eventually(() => stage.server.isRunning(), "a started server");
      await run.kill();
      await stage.server.setHost({ starts: true });
    }

    const KILLED = [
      ["at the beginning of the edit", (stage, args) => killedAtEdit(stage, args, "begin")],
      ["at the end of the edit", (stage, args) => killedAtEdit(stage, args, "end")],
      ["at the step start", killedAtStart],
    ] satisfies [string, typeof killedAtStart][];

    test("after it asked for the stop is told of by status, and settled by undo", async () => {
      await onStage({ home: true }, async (stage) => {
        const before = await stage.steady();
        await killedAtStop(stage, RESET);
        await letGo(stage);
        await eventually(async () => !(await stage.server.isRunning()), "a stopped server");
        const seen = await unsettled(stage);
        expect(noteOf(seen, "UNSETTLED_RUN")["step"]).toBe("stopping");
        await stage.words(["status"], "ru", { exitCode: 0, code: "OK" });
        expect(await stage.server.isRunning(), "status settles nothing").toBe(false);
        const undone = await stage.json(["undo", "--yes"]);
        expect([0, 6], undone.stdout).toContain(undone.exitCode);
        expect(notesOf(undone)).toContain("RUN_SETTLED");
        expect(await stage.steady()).toEqual(before);
        await stage.demandSettled();
      });
    });

    test("after an exchange is settled by the next reset, which needs no code", async () => {
      await onStage({}, async (stage) => {
        await killedAtStop(stage, await withCode(stage));
        await letGo(stage);
        const next = await stage.json(RESET);
        demandEnd(next, 0, "OK");
        expect(notesOf(next)).toEqual(expect.arrayContaining(["RUN_SETTLED", "CREDENTIALS_FROM_PARKED"]));
        expect(await stage.isHealed()).toBe(true);
        expect(await stage.exchanges()).toBe(1);
        expect(parked(stage)).toBeNull();
        await stage.demandSettled();
      });
    });

    test.each(KILLED)("%s is put back or seen through, without a code", async (at, kill) => {
      await onStage({ home: true }, async (stage) => {
        const before = await stage.steady();
        await kill(stage, RESET);
        // The stop that undo asks for needs a window, which a server on its way up has not got yet.
        if (at === "at the step start") await stage.serverAnswers();
        const undone = await stage.json(["undo", "--yes"]);
        expect([0, 6], undone.stdout).toContain(undone.exitCode);
        expect(notesOf(undone), undone.stdout).toContain("RUN_SETTLED");
        expect(await stage.steady()).toEqual(before);
        await stage.demandSettled();
        demandEnd(await stage.json(["undo", "--yes"]), 0, "NOTHING_TO_DO");
      });
    });

    test.each(KILLED)("%s after an exchange keeps the new sign-in", async (_, kill) => {
      await onStage({ home: true }, async (stage) => {
        const before = await stage.others();
        await kill(stage, await withCode(stage));
        const next = await stage.json(RESET);
        expect(notesOf(next), next.stdout).toContain("RUN_SETTLED");
        expect([next.exitCode, next.result["code"]], next.stdout).toBeOneOf([
          [0, "OK"],
          // The new sign-in had been written already, and the server has it.
          [4, "NOT_LOCKED_OUT"],
        ]);
        expect(await stage.others()).toEqual(before);
        expect(await stage.isHealed()).toBe(true);
        expect(await stage.exchanges()).toBe(1);
        expect(parked(stage)).toBeNull();
        await stage.demandSettled();
      });
    });

    /** Four values are not written in one operation: any of them may be there, and any not. */
    test.each([
      ["the first", ["PlexOnlineToken"]],
      ["the last", ["PlexOnlineHome"]],
      ["some", ["PlexOnlineMail", "PlexOnlineUsername"]],
    ])("between two values of a write (%s is done) gets all four back", async (_, done) => {
      await onStage({ home: true }, async (stage) => {
        const [before, signIn] = [await stage.steady(), await stage.signIn()];
        demandEnd(await stage.json([...RESET, "--keep-stopped"]), 0, "EDITED_WHILE_STOPPED");
        // What a run that died there leaves: its journal up to the write, and some of the values.
        const [run = ""] = stage.inState("runs");
        const lines = journal(stage).split("\n");
        const path = machine.hostPath(win32.join(stage.stateDirectory, "runs", run, "journal.jsonl"));
        const writing = lines.findIndex((line) => line.includes('"kind":"writing"'));
        expect(writing).toBeGreaterThan(0);
        const kept = lines
          .slice(0, writing + 1)
          .map((line) => line.replace('"keepStopped":true', '"keepStopped":false'));
        writeFileSync(path, `${kept.join("\n")}\n`);
        const left = Object.entries(signIn).filter(([name]) => !done.includes(name));
        await stage.server.setValues(Object.fromEntries(left));
        const seen = await unsettled(stage);
        expect(noteOf(seen, "UNSETTLED_RUN")["step"]).toBe("writing");
        const undone = await stage.json(["undo", "--yes"]);
        expect([0, 6], undone.stdout).toContain(undone.exitCode);
        expect(await stage.steady()).toEqual(before);
        expect((await stage.signIn())["PlexOnlineHome"]).toBe(dword(1));
        await stage.demandSettled();
      });
    });
  });

  describe("output to a file", () => {
    /** What the program writes into a file from a console with a code page. */
    async function written(stage: WineStage, page: string, args: readonly string[]): Promise<Buffer> {
      const [script, out] = ["run.cmd", "out.txt"].map((name) => win32.join(stage.folder, name));
      const line = `"${NODE_IN_WINE}" "${PROGRAM_IN_WINE}" ${args.join(" ")} >"${out}"`;
      writeFileSync(
        machine.hostPath(script ?? ""),
        `@chcp ${page} >nul\r\n@${line}\r\n@exit %errorlevel%\r\n`,
      );
      const terminal = await stage.typeInto("cmd.exe", ["/c", script ?? ""]);
      const { status, screen } = await stage.endOf(terminal);
      expect(status, screen).toBe(0);
      return readFileSync(machine.hostPath(out ?? ""));
    }

    test.each([
      ["866", "ibm866"],
      ["1251", "windows-1251"],
      ["65001", "utf-8"],
    ])("is in the code page of the console: %s", async (page, label) => {
      await onStage({ values: { FriendlyName: sz("Гостиная") } }, async (stage) => {
        const bytes = await written(stage, page, ["status", "--lang", "ru"]);
        const text = new TextDecoder(label, { fatal: true }).decode(bytes);
        expect(text).toContain("Гостиная");
        demandLanguage(text, "ru");
        expect(text).not.toContain("?");
      });
    });

    test("is ASCII alone with --json, and the same data", async () => {
      await onStage({ values: { FriendlyName: sz("Гостиная 🎬") } }, async (stage) => {
        const bytes = await written(stage, "437", ["status", "--json", "--lang", "ru"]);
        expect(bytes.every((byte) => byte < 0x80)).toBe(true);
        const result = JSON.parse(bytes.toString("latin1")) as { servers: { friendlyName: string }[] };
        expect(result.servers[0]?.friendlyName).toBe("Гостиная 🎬");
      });
    });
  });
});
