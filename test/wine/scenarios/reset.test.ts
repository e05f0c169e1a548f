import { readdirSync, readFileSync, statSync } from "node:fs";
import { win32 } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inBothLanguages } from "../../support/both-languages.ts";
import { demandNoSecret } from "../../support/canary.ts";
import { dword, sz } from "../../support/reg-text.ts";
import { demandEnd, type Ended, eventually, noteOf, notesOf } from "../../support/stage.ts";
import { treeOf } from "../../support/tree.ts";
import type { WineMachine } from "../../support/wine.ts";
import {
  FOUR,
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

/** Values of every type, as no server has them and none may lose them. */
const ODD = {
  Binary: "hex:00,ff,10",
  Expanded: "hex(2):25,00,41,00,25,00,00,00",
  'Жанна & "Ко" \\ 🎬': sz("a name with everything"),
  Lines: "hex(1):61,00,0d,00,0a,00,62,00,00,00",
  List: "hex(7):61,00,00,00,62,00,00,00,00,00",
  Quad: "hex(b):01,02,03,04,05,06,07,08",
  Number: dword(0xffff_fffe),
  "Odd bytes": "hex(1):61,00,62",
  "": sz("default"),
};

const MET = ["met", "met", "met"];

function criteriaOf(ended: Ended): string[] {
  return (ended.result["criteria"] as { result: string }[]).map(({ result }) => result);
}

function waysOf(ended: Ended): { way: string; path?: string; line?: string; url?: string }[] {
  return ended.result["signInWays"] as { way: string; path?: string; line?: string; url?: string }[];
}

async function reset() {
  return { args: ["reset", "--yes"] };
}

async function resetWithCode(stage: WineStage) {
  return { args: ["reset", "--yes", "--claim-code-file", await stage.codeFile()] };
}

async function claimWithCode(stage: WineStage) {
  return { args: ["claim", "--yes", "--claim-code-file", await stage.codeFile()] };
}

describe.skipIf(missing !== null)(`on Windows ${missing ?? ""}`, () => {
  beforeAll(async () => {
    machine = await openWineHouse();
  });

  afterAll(async () => {
    await machine?.close();
  });

  test.each([
    ["locked-out", { state: "locked-out", reason: "TOKEN_REVOKED", account: "jane" }],
    ["signed-in", { state: "signed-in", reason: "TOKEN_ACCEPTED", account: "jane" }],
    ["signed-out", { state: "signed-out", reason: "NO_TOKEN", account: null }],
    ["empty-token", { state: "signed-out", reason: "EMPTY_TOKEN", account: null }],
  ] as const)("status tells a server that is %s, and changes nothing", async (state, expected) => {
    await onStage({ state }, async (stage) => {
      const before = await stage.standing();
      const seen = await (state === "locked-out"
        ? inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" })
        : stage.json(["status"]));
      expect(seen.result["servers"]).toMatchObject([
        { ...expected, running: true, settings: stage.server.key, install: "windows-tray", service: "tray" },
      ]);
      expect(notesOf(seen)).toEqual([]);
      expect(await stage.standing()).toEqual(before);
      expect(stage.inState()).toEqual([]);
    });
  });

  test("status finds no server where none is", async () => {
    await onStage({ running: false }, async (stage) => {
      await stage.tools.importReg(new Map([[`-${stage.server.key}`, new Map()]]));
      const seen = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" });
      expect(seen.result["servers"]).toEqual([]);
      demandEnd(await stage.json(["reset", "--yes"]), 3, "NO_SERVER");
    });
  });

  describe("a locked-out server", () => {
    test("is signed out by reset without a code: it runs, and every way to sign in is told", async () => {
      await playInWine(machine, {
        stage: { home: true },
        call: reset,
        ending: { exitCode: 0, code: "SIGNED_OUT" },
        async after(stage, ended) {
          const { dataFolder } = stage.server;
          expect(await stage.signIn()).toEqual({});
          expect(await stage.server.answers()).toBe(true);
          const paths = [".claimURL", "Setup Plex.html"].map((name) => win32.join(dataFolder, name));
          for (const path of paths) expect(ended.stdout).toContain(escapedFor(ended, path));
          expect(ended.stdout).not.toContain("/web");
          if (ended.lines.length === 0) return;
          expect(waysOf(ended).map(({ way }) => way)).toEqual([
            "claim-command",
            "claim-url-file",
            "setup-page",
          ]);
        },
      });
    });

    test("keeps every other value with its type, the keys below, its files, and its start at login", async () => {
      await onStage({ home: true, values: ODD }, async (stage) => {
        const { server, tools } = stage;
        const below = `${server.key}\\Below`;
        await tools.importReg(new Map([[below, new Map([["PlexOnlineToken", sz("of another key")]])]]));
        const [others, entry] = [await stage.others(), await server.runEntry()];
        for (const name of Object.keys(ODD)) expect(others.has(name), name).toBe(true);
        const entries = readdirSync(machine.hostPath(server.dataFolder)).sort();
        demandEnd(await stage.json((await resetWithCode(stage)).args), 0, "OK");
        expect(await stage.others()).toEqual(others);
        expect(await stage.isHealed()).toBe(true);
        expect(await stage.signIn()).not.toHaveProperty("PlexOnlineHome");
        expect((await tools.valuesOf(below)).get("PlexOnlineToken")).toBe(sz("of another key"));
        expect(await server.runEntry()).toBe(entry);
        expect(entry).toContain(server.executable);
        expect(readdirSync(machine.hostPath(server.dataFolder)).sort()).toEqual(entries);
      });
    });

    test.each([true, false])(
      "is healed by a code of a file, and judged by three criteria (home: %s)",
      async (home) => {
        await playInWine(machine, {
          languages: home ? ["en", "ru"] : [],
          stage: { home },
          call: resetWithCode,
          ending: { exitCode: 0, code: "OK" },
          async after(stage, ended) {
            expect(await stage.isHealed()).toBe(true);
            expect(await stage.server.answers()).toBe(true);
            expect(await stage.signIn()).toEqual({
              PlexOnlineToken: sz((await stage.server.token()) ?? ""),
              PlexOnlineUsername: sz("jane"),
              PlexOnlineMail: sz("jane@example.com"),
            });
            expect(stage.inState()).toEqual(["backups", "exchanges.jsonl", "parked", "runs"]);
            expect(stage.inState("parked")).toEqual([]);
            if (ended.lines.length > 0) expect(criteriaOf(ended)).toEqual(MET);
          },
        });
      },
    );

    test.each(["reset", "claim"])(
      "is dealt with by %s with a code in PLEX_CLAIM, which nobody else gets to see",
      async (command) => {
        await onStage({ state: command === "reset" ? "locked-out" : "signed-out" }, async (stage) => {
          const run = stage.begin([command, "--yes", "--json"], { env: { PLEX_CLAIM: await stage.code() } });
          let over = false;
          const ended = run.end().finally(() => {
            over = true;
          });
          // Every line of arguments that was there at any look, that of the started server at the least.
          const seen = new Set<string>();
          await eventually(() => {
            for (const line of commandLines()) seen.add(line);
            return over;
          }, "the end");
          demandEnd(await ended, 0, "OK");
          expect(criteriaOf(await ended)).toEqual(MET);
          expect(notesOf(await ended)).toContain("CLAIM_CODE_FROM_ENVIRONMENT");
          expect(await stage.isHealed()).toBe(true);
          const lines = [...seen];
          expect(lines.some((line) => line.includes("plex-reclaim.js"))).toBe(true);
          expect(lines.some((line) => line.includes(stage.server.executable))).toBe(true);
          demandNoSecret(lines.join("\n"), "a line of arguments");
        });
      },
    );

    test("is healed by a code on standard input", async () => {
      await onStage({}, async (stage) => {
        const stdin = `\uFEFF  ${await stage.code()}\r\n`;
        const ended = await stage.json(["reset", "--yes", "--claim-code-file", "-"], { stdin });
        demandEnd(ended, 0, "OK");
        expect(criteriaOf(ended)).toEqual(MET);
        expect(await stage.isHealed()).toBe(true);
      });
    });

    test("is healed for an owner whose name and address hold any character", async () => {
      const owner = {
        username: `O'Hara "<&>" \\ %PATH% Ünï 名 ${"\u{1F600}"}`,
        email: 'o\'hara+"x"&y@example.com',
      };
      await onStage({ owner }, async (stage) => {
        demandEnd(await stage.json((await resetWithCode(stage)).args), 0, "OK");
        expect(await stage.signIn()).toMatchObject({
          PlexOnlineUsername: sz(owner.username),
          PlexOnlineMail: sz(owner.email),
        });
        expect(await stage.isHealed()).toBe(true);
        await stage.server.close();
        await stage.server.start();
        expect(await stage.isHealed()).toBe(true);
      });
    });

    test("is not for claim, which names reset", async () => {
      await onStage({}, async (stage) => {
        const before = await stage.standing();
        demandEnd(await stage.json((await claimWithCode(stage)).args), 3, "LOCKED_OUT_NEEDS_RESET");
        expect(await stage.standing()).toEqual(before);
        expect(await stage.exchanges()).toBe(0);
      });
    });

    test("of an old version is told of the local page as well", async () => {
      await onStage({ behaviour: { version: "1.32.1.6999-91e1e2e2c" } }, async (stage) => {
        const ended = await stage.json(["reset", "--yes"]);
        demandEnd(ended, 0, "SIGNED_OUT");
        expect(waysOf(ended).at(-1)).toMatchObject({ way: "local-browser", url: `${stage.server.url}/web` });
      });
    });
  });

  test.each(["signed-out", "empty-token"] as const)(
    "a server that is %s is signed in by claim",
    async (state) => {
      await playInWine(machine, {
        languages: state === "signed-out" ? ["ru"] : [],
        stage: { state },
        call: claimWithCode,
        ending: { exitCode: 0, code: "OK" },
        async after(stage, ended) {
          expect(await stage.isHealed()).toBe(true);
          expect(await stage.signIn()).not.toHaveProperty("PlexOnlineHome");
          expect(await stage.server.answers()).toBe(true);
          if (ended.lines.length > 0) expect(criteriaOf(ended)).toEqual(MET);
        },
      });
    },
  );

  test("--dry-run of every command shows the plan, and changes nothing at all", async () => {
    await onStage({ home: true, values: ODD }, async (stage) => {
      const code = await stage.codeFile();
      const folders = [stage.server.dataFolder, stage.folder].map((path) => machine.hostPath(path));
      const look = async () => ({ ...(await stage.standing()), files: folders.map(treeOf) });
      const before = await look();
      const ended = await inBothLanguages(stage, ["reset", "--dry-run", "--claim-code-file", code], {
        exitCode: 0,
        code: "DRY_RUN",
      });
      expect(ended.lines.find((line) => line["type"] === "plan")?.["plan"]).toMatchObject({
        settingsPath: stage.server.key,
        change: "replace",
        present: FOUR,
        stopLine: expect.stringContaining("Plex Media Server.exe"),
        startLine: expect.stringContaining(stage.server.executable),
        backupFolder: `${stage.stateDirectory}\\backups`,
      });
      demandEnd(await stage.json(["undo", "--dry-run"]), 0, "NOTHING_TO_DO");
      demandEnd(await stage.json(["backup", "list"]), 0, "OK");
      demandEnd(await stage.json(["verify"]), 6, "CRITERIA_NOT_MET");
      expect(await look()).toEqual(before);
      expect(await stage.exchanges()).toBe(0);
    });
  });

  test("a server whose data was moved is found where it is, with its files and its log", async () => {
    await onStage({ movedTo: "C:\\Другой диск\\Plex & Co" }, async (stage) => {
      const without = await stage.json(["reset", "--yes"]);
      demandEnd(without, 0, "SIGNED_OUT");
      expect(waysOf(without).map(({ path }) => path)).toContain(
        "C:\\Другой диск\\Plex & Co\\Plex Media Server\\.claimURL",
      );
      const ended = await stage.json((await claimWithCode(stage)).args);
      demandEnd(ended, 0, "OK");
      expect(criteriaOf(ended)).toEqual(MET);
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test("a stray Preferences.xml is told of and left alone", async () => {
    await onStage({ strayPreferences: true }, async (stage) => {
      const path = win32.join(stage.server.dataFolder, "Preferences.xml");
      const bytes = readFileSync(machine.hostPath(path));
      const seen = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" });
      expect(noteOf(seen, "STRAY_PREFERENCES")["path"]).toBe(path);
      const ended = await stage.json((await resetWithCode(stage)).args);
      demandEnd(ended, 0, "OK");
      expect(noteOf(ended, "STRAY_PREFERENCES")["path"]).toBe(path);
      expect(await stage.isHealed()).toBe(true);
      expect(readFileSync(machine.hostPath(path))).toEqual(bytes);
    });
  });

  test.each([
    ["a code", resetWithCode],
    ["no code", reset],
  ] as const)("a server found stopped is edited with %s and left stopped", async (_, call) => {
    await playInWine(machine, {
      languages: call === reset ? [] : ["ru"],
      stage: { running: false },
      call,
      ending: { exitCode: 0, code: "EDITED_WHILE_STOPPED" },
      async after(stage, ended) {
        const { server } = stage;
        expect(await server.isRunning()).toBe(false);
        if (ended.lines.length === 0) {
          expect(ended.stderr).toContain(server.executable);
          return;
        }
        expect(criteriaOf(ended)).toEqual(["cannot-tell", "cannot-tell", "cannot-tell"]);
        expect(noteOf(ended, "FOUND_STOPPED")["line"]).toContain(server.executable);
        await server.start();
        if (call !== reset) await stage.demandUsable();
        else demandEnd(await stage.json(["verify"]), 6, "CRITERIA_NOT_MET");
      },
    });
  });

  test("--keep-stopped leaves a server stopped that ran, and says how to start it", async () => {
    await playInWine(machine, {
      languages: [],
      stage: {},
      async call(stage) {
        const { args } = await resetWithCode(stage);
        return { args: [...args, "--keep-stopped"] };
      },
      ending: { exitCode: 0, code: "EDITED_WHILE_STOPPED" },
      async after(stage, ended) {
        expect(await stage.server.isRunning()).toBe(false);
        expect(await stage.isHealed()).toBe(true);
        if (ended.lines.length > 0)
          expect(noteOf(ended, "KEPT_STOPPED")["line"]).toContain(stage.server.executable);
        await stage.server.start();
        await stage.demandUsable();
      },
    });
  });

  // Wine runs every service as its one account: what a running one is, it cannot show.
  test("a stopped service of the system is edited in the system's own hive", async () => {
    const hive = {
      sid: "S-1-5-18",
      localAppData: "C:\\windows\\system32\\config\\systemprofile\\AppData\\Local",
    };
    const service = { service: "PlexService", serviceAccount: "LocalSystem", hive };
    await onStage({ ...service, running: false, home: true }, async (stage) => {
      const [others, before] = [await stage.others(), await stage.standing()];
      demandEnd(await stage.json((await resetWithCode(stage)).args), 0, "EDITED_WHILE_STOPPED");
      expect(await stage.isHealed()).toBe(true);
      expect(await stage.others()).toEqual(others);
      demandEnd(await stage.json(["undo", "--old-sign-in", "--yes"]), 0, "EDITED_WHILE_STOPPED");
      expect(await stage.standing()).toEqual(before);
    });
  });

  test.each([
    ["PlexOnlineToken", "hex(2):61,00,00,00"],
    ["PlexOnlineUsername", dword(7)],
    ["PlexOnlineMail", "hex(7):61,00,00,00,00,00"],
    ["PlexOnlineHome", sz("1")],
  ])("a server whose %s is of another type is refused as it is", async (name, value) => {
    await onStage({ values: { [name]: value } }, async (stage) => {
      const before = await stage.standing();
      const { args } = await resetWithCode(stage);
      const ended = await inBothLanguages(stage, args, { exitCode: 3, code: "UNEXPECTED_TYPE" });
      expect(ended.result["problem"]).toMatchObject({ name });
      const seen = await stage.json(["status"]);
      expect(seen.result["servers"]).toMatchObject([{ state: "unknown", reason: "UNEXPECTED_TYPE" }]);
      expect(await stage.standing()).toEqual(before);
      expect(await stage.exchanges()).toBe(0);
    });
  });

  test("a code of another account than the expected one changes nothing", async () => {
    await onStage({}, async (stage) => {
      await stage.plexTv.addAccount("bob", "bob@example.com");
      const before = await stage.standing();
      const { args } = await resetWithCode(stage);
      demandEnd(await stage.json([...args, "--expect-account", "bob"]), 4, "WRONG_ACCOUNT");
      expect(await stage.standing()).toEqual(before);
    });
  });

  test("keeps its records in the account's own folder where nothing else was said, for nobody else", async () => {
    await onStage({}, async (stage) => {
      const env = { PLEX_RECLAIM_STATE_DIR: null };
      const { args } = await resetWithCode(stage);
      demandEnd(await stage.json(args, { env }), 0, "OK");
      const path = machine.hostPath("C:\\users\\root\\AppData\\Local\\plex-reclaim");
      expect(readdirSync(path).sort()).toEqual(["backups", "exchanges.jsonl", "parked", "runs"]);
      // Of an access list Wine shows this much on this side, and hands nothing of it down.
      expect(statSync(path).mode & 0o007).toBe(0);
      demandEnd(await stage.json(["undo", "--yes"], { env }), 0, "OK");
    });
  });

  test("keeps its records at a path of more than 300 characters, in any script", async () => {
    const folders = Array.from({ length: 5 }, (_, index) => `${index} ${"Папка ".repeat(11)}x`);
    await onStage({}, async (stage) => {
      const deep = win32.join(stage.folder, ...folders);
      expect(deep.length).toBeGreaterThan(300);
      const env = { PLEX_RECLAIM_STATE_DIR: deep };
      const before = await stage.others();
      const { args } = await resetWithCode(stage);
      demandEnd(await stage.json(args, { env }), 0, "OK");
      expect(await stage.isHealed()).toBe(true);
      demandEnd(await stage.json(["backup", "verify"], { env }), 0, "OK");
      demandEnd(await stage.json(["undo", "--yes"], { env }), 0, "OK");
      expect(await stage.others()).toEqual(before);
    });
  });
});

/** Text is broken into lines, JSON doubles backslashes. */
function escapedFor({ lines }: Ended, path: string): string {
  return lines.length > 0 ? JSON.stringify(path).slice(1, -1) : path;
}

/** What every process of this system was called with, but for those of the bench that hand its environment over. */
function commandLines(): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return /^(?:nsenter|setpriv|env) /.test(line) ? [] : [line];
    } catch {
      return [];
    }
  });
}
