import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { win32 } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inBothLanguages } from "../../support/both-languages.ts";
import { dword, sz } from "../../support/reg-text.ts";
import { demandEnd, type Ended, noteOf, notesOf } from "../../support/stage.ts";
import { treeOf } from "../../support/tree.ts";
import type { WineMachine } from "../../support/wine.ts";
import {
  onWineStage,
  openWineHouse,
  playInWine,
  type WineCall,
  type WineStage,
  type WineStageOptions,
  whyNoWineStage,
} from "../../support/wine-stage.ts";

const missing = whyNoWineStage();
let machine: WineMachine;

const onStage = (options: WineStageOptions, play: (stage: WineStage) => Promise<void>) =>
  onWineStage(machine, options, play);

const ODD = {
  Binary: "hex:00,ff,10",
  Expanded: "hex(2):25,00,41,00,25,00,00,00",
  'Жанна & "Ко" \\ 🎬': sz("a name with everything"),
  List: "hex(7):61,00,00,00,62,00,00,00,00,00",
  Quad: "hex(b):01,02,03,04,05,06,07,08",
  Number: dword(0xffff_fffe),
  Long: sz("длинно ".repeat(500)),
  "": sz("default"),
};

async function reset(stage: WineStage): Promise<Ended> {
  const ended = await stage.json(["reset", "--yes"]);
  demandEnd(ended, 0, "SIGNED_OUT");
  return ended;
}

async function withCode(stage: WineStage, command: "reset" | "claim" = "reset"): Promise<Ended> {
  const ended = await stage.json([command, "--yes", "--claim-code-file", await stage.codeFile()]);
  demandEnd(ended, 0, "OK");
  return ended;
}

async function backUp(stage: WineStage, options: WineCall = {}): Promise<string> {
  const ended = await stage.json(["backup", "create"], options);
  demandEnd(ended, 0, "OK");
  return String(ended.result["backup"]);
}

/** Its owner gives the server another name. */
async function rename(stage: WineStage, name: string): Promise<void> {
  const headers = { "X-Plex-Token": (await stage.server.token()) ?? "" };
  const answer = await fetch(`${stage.server.url}/:/prefs?FriendlyName=${name}`, { method: "PUT", headers });
  expect(answer.status).toBe(200);
  await stage.server.close();
  await stage.server.start();
  expect((await stage.others()).get("FriendlyName")).toBe(sz(name));
}

describe.skipIf(missing !== null)(`on Windows ${missing ?? ""}`, () => {
  beforeAll(async () => {
    machine = await openWineHouse();
  });

  afterAll(async () => {
    await machine?.close();
  });

  describe("undo", () => {
    test("brings back what a reset removed, types and all, and a second time changes nothing", async () => {
      await onStage({ home: true, values: ODD }, async (stage) => {
        const before = await stage.steady();
        await reset(stage);
        // The sign-in that came back is a dead one: the server is as locked out as it was.
        demandEnd(await stage.json(["undo", "--yes"]), 6, "NOT_USABLE");
        expect(await stage.steady()).toEqual(before);
        expect(before.get("PlexOnlineHome")).toBe(dword(1));
        expect(await stage.server.answers()).toBe(true);
        const once = await stage.standing();
        const twice = await stage.json(["undo", "--yes"]);
        demandEnd(twice, 0, "NOTHING_TO_DO");
        expect(notesOf(twice)).toContain("ALREADY_UNDONE");
        expect(await stage.standing()).toEqual(once);
      });
    });

    test("after an exchange keeps the new sign-in", async () => {
      await playInWine(machine, {
        languages: ["ru"],
        stage: { state: "signed-in" },
        async call(stage) {
          await withCode(stage);
          return { args: ["undo", "--yes"] };
        },
        ending: { exitCode: 0, code: "OK" },
        async after(stage) {
          expect(await stage.isHealed()).toBe(true);
          expect(await stage.server.answers()).toBe(true);
        },
      });
    });

    test("after an exchange brings back everything but the old sign-in, which is dead", async () => {
      await onStage({ home: true }, async (stage) => {
        const [old, before] = [await stage.server.token(), await stage.others()];
        await withCode(stage);
        const fresh = await stage.server.token();
        await rename(stage, "Bedroom");
        demandEnd(await stage.json(["undo", "--yes"]), 0, "OK");
        expect(await stage.others()).toEqual(before);
        expect(await stage.server.token()).toBe(fresh);
        expect(fresh).not.toBe(old);
        expect(await stage.signIn()).not.toHaveProperty("PlexOnlineHome");
        expect(await stage.isHealed()).toBe(true);
      });
    });

    test("--old-sign-in brings that back as well, after a warning", async () => {
      await onStage({ home: true }, async (stage) => {
        const before = await stage.steady();
        await withCode(stage);
        const ended = await stage.json(["undo", "--old-sign-in", "--yes"]);
        demandEnd(ended, 6, "NOT_USABLE");
        expect(notesOf(ended)).toContain("OLD_SIGN_IN_IS_DEAD");
        expect(await stage.steady()).toEqual(before);
      });
    });

    test.each(["signed-out", "empty-token"] as const)(
      "of a claim (%s) keeps the sign-in, and with --old-sign-in takes away again what was added",
      async (state) => {
        await onStage({ state }, async (stage) => {
          await withCode(stage, "claim");
          demandEnd(await stage.json(["undo", "--yes"]), 0, "OK");
          expect(await stage.isHealed()).toBe(true);
          demandEnd(await stage.json(["undo", "--yes"]), 0, "NOTHING_TO_DO");
        });
        await onStage({ state }, async (stage) => {
          const before = await stage.steady();
          await withCode(stage, "claim");
          const ended = await stage.json(["undo", "--old-sign-in", "--yes"]);
          expect([0, 6]).toContain(ended.exitCode);
          expect(await stage.steady()).toEqual(before);
          expect(await stage.server.answers()).toBe(true);
        });
      },
    );

    test("--old-sign-in is asked for at a terminal", async () => {
      await onStage({}, async (stage) => {
        await withCode(stage);
        const before = await stage.standing();
        const terminal = await stage.atTerminal(["undo", "--old-sign-in", "--accessible", "--lang", "en"]);
        await terminal.shows("Bring it back all the same?");
        await terminal.press("Enter");
        expect((await stage.endOf(terminal)).status).toBe(3);
        expect(await stage.standing()).toEqual(before);
      });
    });

    test("takes a run by its name; another name is refused, and no run at all is nothing to do", async () => {
      await onStage({}, async (stage) => {
        const none = await stage.json(["undo", "--yes"]);
        demandEnd(none, 0, "NOTHING_TO_DO");
        expect(notesOf(none)).toContain("NO_RUN_TO_UNDO");
        const before = await stage.steady();
        const { result } = await reset(stage);
        const unknown = ["undo", "20200101-000000-0000", "--yes"];
        demandEnd(await stage.json(unknown), 3, "RUN_NOT_FOUND");
        demandEnd(await stage.json(["undo", "..\\..\\windows", "--yes"]), 2, "BAD_VALUE");
        demandEnd(await stage.json(["undo", String(result["run"]), "--yes"]), 6);
        expect(await stage.steady()).toEqual(before);
      });
    });

    test("needs nothing but the journal: not even where the server answers", async () => {
      await onStage({}, async (stage) => {
        const before = await stage.steady();
        await reset(stage);
        demandEnd(await stage.json(["undo", "--yes"], { env: { PLEX_RECLAIM_SERVER_URL: null } }), 6);
        expect(await stage.steady()).toEqual(before);
        expect(await stage.server.answers()).toBe(true);
      });
    });

    test("of a run on a stopped server leaves it stopped", async () => {
      await onStage({ running: false, home: true }, async (stage) => {
        const before = await stage.standing();
        demandEnd(await stage.json(["reset", "--yes"]), 0, "EDITED_WHILE_STOPPED");
        expect(await stage.signIn()).toEqual({});
        demandEnd(await stage.json(["undo", "--yes"]), 0, "EDITED_WHILE_STOPPED");
        expect(await stage.standing()).toEqual(before);
      });
    });
  });

  describe("a backup", () => {
    test("is made while the server goes on, listed, shown, verified, and deleted", async () => {
      await onStage({ state: "signed-in" }, async (stage) => {
        const found = await stage.standing();
        const none = await stage.json(["backup", "list"]);
        demandEnd(none, 0, "OK");
        expect(none.result["backups"]).toEqual([]);
        const id = await backUp(stage);
        const folder = `${stage.stateDirectory}\\backups\\${id}`;
        expect(stage.inState("backups", id)).toEqual(["manifest.json", "settings.reg"]);
        const listed = await inBothLanguages(stage, ["backup", "list"], { exitCode: 0, code: "OK" });
        expect(listed.result["backups"]).toMatchObject([
          { id, run: null, signIn: "present", deadSignIn: false, settings: stage.server.key, folder },
        ]);
        await inBothLanguages(stage, ["backup", "show", id], { exitCode: 0, code: "OK" });
        demandEnd(await stage.json(["backup", "verify"]), 0, "OK");
        demandEnd(await stage.json(["backup", "delete", id]), 3, "NO_TERMINAL");
        demandEnd(await stage.json(["backup", "delete", id, "--dry-run"]), 0, "DRY_RUN");
        demandEnd(await stage.json(["backup", "delete", id, "--yes"]), 0, "OK");
        demandEnd(await stage.json(["backup", "show", id]), 3, "BACKUP_NOT_FOUND");
        demandEnd(await stage.json(["backup", "restore", id, "--yes"]), 3, "BACKUP_NOT_FOUND");
        expect(stage.inState("backups")).toEqual([]);
        expect(await stage.standing()).toEqual(found);
      });
    });

    test("is a file that Windows' own reg.exe brings back, value for value", async () => {
      await onStage({ home: true, values: ODD }, async (stage) => {
        const { server, tools, stateDirectory } = stage;
        demandEnd(await stage.json(["reset", "--yes", "--keep-stopped"]), 0, "EDITED_WHILE_STOPPED");
        const listed = await stage.json(["backup", "list"]);
        const [{ id = "" } = {}] = listed.result["backups"] as { id: string }[];
        const after = await server.values();
        await tools.succeed("reg.exe", ["import", `${stateDirectory}\\backups\\${id}\\settings.reg`]);
        const restored = await stage.standing();
        expect(await stage.signIn()).toMatchObject({
          PlexOnlineHome: dword(1),
          PlexOnlineUsername: sz("jane"),
        });
        for (const [name, value] of after) expect(restored.values.get(name), name).toBe(value);
        // The same from nothing at all.
        await tools.importReg(new Map([[`-${server.key}`, new Map()]]));
        expect((await server.values()).size).toBe(0);
        await tools.succeed("reg.exe", ["import", `${stateDirectory}\\backups\\${id}\\settings.reg`]);
        expect(await stage.standing()).toEqual(restored);
      });
    });

    test("is restored whole: the server is stopped, the values come back, it is started and verified", async () => {
      await playInWine(machine, {
        languages: ["en"],
        stage: { state: "signed-in" },
        async call(stage) {
          const id = await backUp(stage);
          await rename(stage, "Bedroom");
          await stage.server.close();
          await stage.server.setValues({ Added: sz("later"), secureConnections: sz("of another type") });
          await stage.server.start();
          return { args: ["backup", "restore", id, "--yes"] };
        },
        ending: { exitCode: 0, code: "OK" },
        async after(stage) {
          const others = await stage.others();
          expect(others.get("FriendlyName")).not.toBe(sz("Bedroom"));
          expect(others.has("Added")).toBe(false);
          expect(others.get("secureConnections")).toBe(dword(0));
          expect(await stage.isHealed()).toBe(true);
          expect(await stage.server.answers()).toBe(true);
        },
      });
    });

    test("that is older than the last exchange is announced as holding a dead sign-in", async () => {
      await onStage({}, async (stage) => {
        const id = await backUp(stage);
        await withCode(stage);
        const dry = ["backup", "restore", id, "--dry-run"];
        const planned = await stage.json(dry);
        demandEnd(planned, 0, "DRY_RUN");
        expect(notesOf(planned)).toContain("OLD_SIGN_IN_IS_DEAD");
        demandEnd(await stage.json(["backup", "restore", id, "--yes"]), 6);
        expect(await stage.isHealed()).toBe(false);
        // The one made just before the restore brings the good sign-in back.
        demandEnd(await stage.json(["undo", "--yes"]), 0, "OK");
        expect(await stage.isHealed()).toBe(true);
      });
    });

    test("of another account's server is refused, and which of the two is meant is never guessed", async () => {
      await onStage({ state: "signed-in", running: false }, async (stage) => {
        const other = await stage.another({
          state: "signed-in",
          owner: { username: "bob", email: "bob@example.com" },
          hive: { sid: "S-1-5-21-7-7-7-1001", localAppData: "C:\\users\\bob\\AppData\\Local" },
          installFolder: "C:\\Bob\\Plex",
        });
        await inBothLanguages(stage, ["reset", "--yes"], { exitCode: 3, code: "SEVERAL_SERVERS" });
        const id = await backUp(stage, { env: { PLEX_RECLAIM_SETTINGS: other.key } });
        const before = [await stage.standing(), await other.values()];
        const own = { env: { PLEX_RECLAIM_SETTINGS: stage.server.key } };
        demandEnd(await stage.json(["backup", "restore", id, "--yes"], own), 3, "BACKUP_OF_ANOTHER_SERVER");
        demandEnd(await stage.json(["reset", "--yes", "--claim-code-file", await stage.codeFile()], own), 0);
        expect(await other.values()).toEqual(before[1]);
        expect(await stage.isHealed()).toBe(true);
      });
    });

    test.each(["settings.reg", "manifest.json"])(
      "with one byte of %s flipped is found, and never restored",
      async (file) => {
        await onStage({ running: false }, async (stage) => {
          const whole = await backUp(stage);
          const id = await backUp(stage);
          const path = machine.hostPath(`${stage.stateDirectory}\\backups\\${id}\\${file}`);
          const bytes = readFileSync(path);
          const mark =
            file === "manifest.json" ? Buffer.from('"version"') : Buffer.from("FriendlyName", "utf16le");
          const at = bytes.indexOf(mark) + 2;
          bytes[at] = (bytes[at] ?? 0) ^ 0x01;
          writeFileSync(path, bytes);
          const before = await stage.standing();
          demandEnd(await stage.json(["backup", "verify"]), 3, "BACKUP_DAMAGED");
          demandEnd(await stage.json(["backup", "restore", id, "--yes"]), 3, "BACKUP_DAMAGED");
          expect(await stage.standing()).toEqual(before);
          demandEnd(await stage.json(["backup", "verify", whole]), 0, "OK");
          const listed = await stage.json(["backup", "list"]);
          if (file === "manifest.json") expect(noteOf(listed, "BACKUP_UNREADABLE")["id"]).toBe(id);
          demandEnd(await stage.json(["backup", "delete", id, "--yes"]), 0, "OK");
          demandEnd(await stage.json(["backup", "verify"]), 0, "OK");
        });
      },
    );
  });

  describe("settings that have lost the server's identity", () => {
    test.each([
      ["without an identifier", ["ProcessedMachineIdentifier"], "IDENTIFIERS_MISSING"],
      ["with nothing but a name", null, "SETTINGS_STUB"],
    ] as const)("(%s) are for a restore, not for a reset", async (_, names, reason) => {
      await onStage({ state: "signed-in", running: false }, async (stage) => {
        const { server } = stage;
        const whole = await stage.standing();
        const id = await backUp(stage);
        const gone = names ?? [...whole.values.keys()].filter((name) => name !== "FriendlyName");
        await server.setValues(Object.fromEntries(gone.map((name) => [name, "-"])));
        const spoilt = await stage.standing();
        const seen = await stage.json(["status"]);
        demandEnd(seen, 0, "OK");
        expect(seen.result["servers"]).toMatchObject([{ state: "identity-lost", reason }]);
        demandEnd(await stage.json(["reset", "--yes"]), 3, "IDENTITY_LOST");
        expect(await stage.standing()).toEqual(spoilt);
        demandEnd(await stage.json(["backup", "restore", id, "--yes"]), 0, "EDITED_WHILE_STOPPED");
        expect(await stage.standing()).toEqual(whole);
      });
    });

    test("or are missing: they come back to where a person says", async () => {
      await onStage({ state: "signed-in", running: false }, async (stage) => {
        const { server, tools } = stage;
        const whole = await stage.standing();
        const id = await backUp(stage);
        await tools.importReg(new Map([[`-${server.key}`, new Map()]]));
        const named = ["--settings", "HKEY_CURRENT_USER\\Software\\Plex, Inc.\\Plex Media Server"];
        await inBothLanguages(stage, ["reset", "--yes", ...named], { exitCode: 3, code: "SETTINGS_MISSING" });
        const restored = await stage.json(["backup", "restore", id, "--yes", ...named]);
        expect(restored.exitCode, restored.stdout).toBe(0);
        expect(await stage.standing()).toEqual(whole);
        await server.start();
        expect(await server.answers()).toBe(true);
      });
    });
  });

  test("--dry-run of undo and restore changes nothing at all", async () => {
    await onStage({}, async (stage) => {
      const { result } = await reset(stage);
      const folder = machine.hostPath(stage.folder);
      const [files, found] = [treeOf(folder), await stage.server.values()];
      demandEnd(await stage.json(["undo", "--dry-run"]), 0, "DRY_RUN");
      const restore = ["backup", "restore", String(result["backup"]), "--dry-run"];
      demandEnd(await stage.json(restore), 0, "DRY_RUN");
      expect(treeOf(folder)).toEqual(files);
      expect(await stage.server.values()).toEqual(found);
    });
  });

  test("a state directory that others can look into is refused, and nothing is changed", async () => {
    await onStage({}, async (stage) => {
      const before = await stage.standing();
      const open = win32.join(stage.folder, "open");
      await stage.tools.succeed("cmd.exe", ["/c", "mkdir", open]);
      chmodSync(machine.hostPath(open), 0o777);
      const args = ["reset", "--yes", "--state-dir", open];
      const ended = await inBothLanguages(stage, args, { exitCode: 3, code: "STATE_DIRECTORY_UNUSABLE" });
      expect(ended.result["problem"]).toMatchObject({ reason: "mode" });
      expect(await stage.standing()).toEqual(before);
    });
  });
});
