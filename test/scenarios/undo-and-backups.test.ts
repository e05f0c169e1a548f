import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { inBothLanguages, playInBothLanguages } from "../support/both-languages.ts";
import {
  demandEnd,
  type Ended,
  eventually,
  noteOf,
  notesOf,
  onStage,
  type Stage,
  twinsOf,
} from "../support/stage.ts";
import { treeOf } from "../support/tree.ts";

/** What stands in the settings but for the counter that the server moves by itself. */
function steady(settings: string): string {
  return settings.replace(/PubSubServerPing="\d+"/, "");
}

async function reset(stage: Stage): Promise<Ended> {
  const ended = await stage.json(["reset", "--yes"]);
  demandEnd(ended, 0, "SIGNED_OUT");
  return ended;
}

async function resetWithCode(stage: Stage): Promise<Ended> {
  const ended = await stage.json(["reset", "--yes", "--claim-code-file", await stage.codeFile()]);
  demandEnd(ended, 0, "OK");
  return ended;
}

async function backUp(stage: Stage, env: Record<string, string> = {}): Promise<string> {
  const ended = await stage.json(["backup", "create"], { env });
  demandEnd(ended, 0, "OK");
  return String(ended.result["backup"]);
}

describe.concurrent("undo", () => {
  test("brings back what a reset removed, and a second time changes nothing", async () => {
    await onStage({ settings: { home: true } }, async (stage) => {
      const before = steady(stage.settings);
      await reset(stage);
      // The sign-in that came back is a dead one: the server is as locked out as it was.
      demandEnd(await stage.json(["undo", "--yes"]), 6);
      expect(steady(stage.settings)).toBe(before);
      expect(statSync(stage.server.settingsPath).mode & 0o7777).toBe(0o600);
      expect(await stage.server.answers()).toBe(true);

      const once = { settings: stage.settings, process: stage.process };
      const twice = await inBothLanguages(stage, ["undo", "--yes"], { exitCode: 0, code: "NOTHING_TO_DO" });
      expect(notesOf(twice)).toContain("ALREADY_UNDONE");
      expect({ settings: stage.settings, process: stage.process }).toEqual(once);
    });
  });

  test("in both languages", async () => {
    await playInBothLanguages({
      stage: { state: "signed-in" },
      async call(stage) {
        await resetWithCode(stage);
        return { args: ["undo", "--yes"] };
      },
      ending: { exitCode: 0, code: "OK" },
      async after(stage) {
        expect(await stage.isHealed()).toBe(true);
      },
    });
  });

  test("takes a run by its name; another name is refused, and no run at all is nothing to do", async () => {
    await onStage({}, async (stage) => {
      const none = await inBothLanguages(stage, ["undo", "--yes"], { exitCode: 0, code: "NOTHING_TO_DO" });
      expect(notesOf(none)).toContain("NO_RUN_TO_UNDO");
      const before = steady(stage.settings);
      const { result } = await reset(stage);
      const unknown = ["undo", "20200101-000000-0000", "--yes"];
      await inBothLanguages(stage, unknown, { exitCode: 3, code: "RUN_NOT_FOUND" });
      demandEnd(await stage.json(["undo", "../../etc", "--yes"]), 2, "BAD_VALUE");
      demandEnd(await stage.json(["undo", String(result["run"]), "--yes"]), 6);
      expect(steady(stage.settings)).toBe(before);
    });
  });

  test("after an exchange brings back everything but the old sign-in, which is dead", async () => {
    await onStage({}, async (stage) => {
      const old = stage.token;
      await resetWithCode(stage);
      const fresh = stage.token;
      await rename(stage, "Bedroom");
      demandEnd(await stage.json(["undo", "--yes"]), 0, "OK");
      expect(stage.settings).not.toContain("Bedroom");
      expect(stage.token).toBe(fresh);
      expect(stage.token).not.toBe(old);
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test("--old-sign-in brings that back as well, after a warning", async () => {
    await onStage({}, async (stage) => {
      const before = steady(stage.settings);
      await resetWithCode(stage);
      const ended = await stage.json(["undo", "--old-sign-in", "--yes"]);
      demandEnd(ended, 6);
      expect(notesOf(ended)).toContain("OLD_SIGN_IN_IS_DEAD");
      expect(steady(stage.settings)).toBe(before);
    });
  });

  test("--old-sign-in is asked for at a terminal", async () => {
    await onStage({}, async (stage) => {
      await resetWithCode(stage);
      const before = { settings: stage.settings, process: stage.process };
      const run = stage.atTerminal(["undo", "--old-sign-in", "--accessible", "--lang", "en"]);
      await run.printed("Bring it back all the same?");
      run.type("\r");
      demandEnd(await run.end(), 3);
      expect({ settings: stage.settings, process: stage.process }).toEqual(before);
    });
  });

  test("of a claim leaves the server signed in", async () => {
    await onStage({ state: "signed-out" }, async (stage) => {
      demandEnd(await stage.json(["claim", "--yes", "--claim-code-file", await stage.codeFile()]), 0, "OK");
      demandEnd(await stage.json(["undo", "--yes"]), 0, "OK");
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test("needs nothing but the journal: no option names the server", async () => {
    await onStage({}, async (stage) => {
      const before = steady(stage.settings);
      await reset(stage);
      const { PLEX_RECLAIM_STATE_DIR: _state, PLEX_RECLAIM_PLEXTV_URL: _url, ...others } = stage.twins;
      const env = Object.fromEntries(Object.keys(others).map((name) => [name, null]));
      demandEnd(await stage.json(["undo", "--yes"], { env }), 6);
      expect(steady(stage.settings)).toBe(before);
    });
  });
});

/** Its owner gives the server another name. */
async function rename(stage: Stage, name: string): Promise<void> {
  const headers = { "X-Plex-Token": stage.token ?? "" };
  const answer = await fetch(`${stage.server.url}/:/prefs?FriendlyName=${name}`, { method: "PUT", headers });
  expect(answer.status).toBe(200);
  await stage.server.stop();
  await stage.server.start();
  expect(stage.settings).toContain(name);
}

describe.concurrent("a backup", () => {
  test("is made while the server goes on, listed, shown, verified, and deleted", async () => {
    await onStage({ state: "signed-in" }, async (stage) => {
      const found = stage.process;
      const none = await inBothLanguages(stage, ["backup", "list"], { exitCode: 0, code: "OK" });
      expect(none.result["backups"]).toEqual([]);
      const bytes = stage.settings;
      const id = await backUp(stage);
      expect(stage.process).toBe(found);
      expect(readFileSync(join(stage.stateDirectory, "backups", id, "settings.xml"), "utf8")).toBe(bytes);

      const listed = await inBothLanguages(stage, ["backup", "list"], { exitCode: 0, code: "OK" });
      expect(listed.result["backups"]).toMatchObject([
        { id, run: null, signIn: "present", deadSignIn: false },
      ]);
      await inBothLanguages(stage, ["backup", "show", id], { exitCode: 0, code: "OK" });
      await inBothLanguages(stage, ["backup", "verify"], { exitCode: 0, code: "OK" });
      demandEnd(await stage.json(["backup", "delete", id]), 3, "NO_TERMINAL");
      await inBothLanguages(stage, ["backup", "delete", id, "--dry-run"], { exitCode: 0, code: "DRY_RUN" });
      demandEnd(await stage.json(["backup", "delete", id, "--yes"]), 0, "OK");
      for (const command of ["show", "verify", "restore", "delete"])
        demandEnd(
          await stage.json(["backup", command, id, ...(AGREED[command] ?? [])]),
          3,
          "BACKUP_NOT_FOUND",
        );
      await inBothLanguages(stage, ["backup", "show", id], { exitCode: 3, code: "BACKUP_NOT_FOUND" });
      expect(readdirSync(join(stage.stateDirectory, "backups"))).toEqual([]);
      expect(stage.process).toBe(found);
    });
  });

  test("is restored whole: the server is stopped, the bytes come back, it is started and verified", async () => {
    await playInBothLanguages({
      stage: { state: "signed-in" },
      async call(stage) {
        const id = await backUp(stage);
        await rename(stage, "Bedroom");
        return { args: ["backup", "restore", id, "--yes"] };
      },
      ending: { exitCode: 0, code: "OK" },
      async after(stage) {
        expect(stage.settings).not.toContain("Bedroom");
        expect(await stage.isHealed()).toBe(true);
        expect(await stage.server.answers()).toBe(true);
      },
    });
  });

  test("that is older than the last exchange is announced as holding a dead sign-in", async () => {
    await onStage({}, async (stage) => {
      const id = await backUp(stage);
      await resetWithCode(stage);
      const listed = await inBothLanguages(stage, ["backup", "list"], { exitCode: 0, code: "OK" });
      const backups = listed.result["backups"] as { id: string; deadSignIn: boolean }[];
      expect(backups.find((backup) => backup.id === id)?.deadSignIn).toBe(true);
      const dry = ["backup", "restore", id, "--dry-run"];
      const planned = await inBothLanguages(stage, dry, { exitCode: 0, code: "DRY_RUN" });
      expect(notesOf(planned)).toContain("OLD_SIGN_IN_IS_DEAD");
      expect(planned.lines.find((line) => line["type"] === "plan")?.["plan"]).toMatchObject({
        deadSignIn: true,
      });
      demandEnd(await stage.json(["backup", "restore", id, "--yes"]), 6);
      expect(await stage.isHealed()).toBe(false);
      // The one made just before the restore brings the good sign-in back.
      demandEnd(await stage.json(["undo", "--yes"]), 0, "OK");
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test("of another server is refused", async () => {
    await onStage({ state: "signed-in", running: false }, async (stage) => {
      const other = await stage.another("other", {
        state: "signed-in",
        owner: { username: "bob", email: "bob@example.com" },
      });
      const id = await backUp(stage, twinsOf(other, stage.stateDirectory, stage.plexTv.url));
      const before = stage.settings;
      const args = ["backup", "restore", id, "--yes"];
      await inBothLanguages(stage, args, { exitCode: 3, code: "BACKUP_OF_ANOTHER_SERVER" });
      expect(stage.settings).toBe(before);
    });
  });

  test.each(["settings.xml", "manifest.json"])(
    "with one byte of %s flipped is found, and never restored",
    async (file) => {
      await onStage({ running: false }, async (stage) => {
        const whole = await backUp(stage);
        const id = await backUp(stage);
        const path = join(stage.stateDirectory, "backups", id, file);
        const bytes = readFileSync(path);
        const at = bytes.indexOf(file === "manifest.json" ? '"version"' : "FriendlyName") + 1;
        bytes[at] = (bytes[at] ?? 0) ^ 0x01;
        writeFileSync(path, bytes);
        const before = stage.settings;
        await inBothLanguages(stage, ["backup", "verify"], { exitCode: 3, code: "BACKUP_DAMAGED" });
        const args = ["backup", "restore", id, "--yes"];
        await inBothLanguages(stage, args, { exitCode: 3, code: "BACKUP_DAMAGED" });
        expect(stage.settings).toBe(before);
        demandEnd(await stage.json(["backup", "verify", whole]), 0, "OK");
        const listed = await stage.json(["backup", "list"]);
        demandEnd(listed, 0, "OK");
        if (file === "manifest.json") expect(noteOf(listed, "BACKUP_UNREADABLE")["id"]).toBe(id);
        demandEnd(await stage.json(["backup", "delete", id, "--yes"]), 0, "OK");
        demandEnd(await stage.json(["backup", "verify"]), 0, "OK");
      });
    },
  );
});

const AGREED: Record<string, string[]> = { show: [], verify: [], restore: ["--yes"], delete: ["--yes"] };

describe.concurrent("settings that have lost the server's identity", () => {
  /** What stands in their place, and how that is called. */
  const SPOILT: [string, (whole: string) => string, string, string][] = [
    ["empty", () => "", "SETTINGS_EMPTY", "empty"],
    ["a stub", () => '<?xml version="1.0" encoding="utf-8"?>\n<Preferences/>\n', "SETTINGS_STUB", "stub"],
    [
      "without an identifier",
      (whole) => whole.replace(/ ProcessedMachineIdentifier="[^"]*"/, ""),
      "IDENTIFIERS_MISSING",
      "identifiers-missing",
    ],
  ];

  test.each(SPOILT)("(%s) are for a restore, not for a reset", async (_, spoil, reason, lost) => {
    await onStage({ state: "signed-in", running: false }, async (stage) => {
      const whole = stage.settings;
      const id = await backUp(stage);
      const text = spoil(whole);
      writeFileSync(stage.server.settingsPath, text);
      const seen = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" });
      expect(seen.result["servers"]).toMatchObject([{ state: "identity-lost", reason }]);
      const refused = await inBothLanguages(stage, ["reset", "--yes"], {
        exitCode: 3,
        code: "IDENTITY_LOST",
      });
      expect(refused.result["problem"]).toMatchObject({ reason: lost });
      expect(stage.settings).toBe(text);
      demandEnd(await stage.json(["backup", "restore", id, "--yes"]), 0, "EDITED_WHILE_STOPPED");
      expect(stage.settings).toBe(whole);
    });
  });

  test("or are garbage under a server that runs: the restore brings them and the server back", async () => {
    await onStage({ state: "signed-in" }, async (stage) => {
      const id = await backUp(stage);
      const whole = steady(stage.settings);
      await stage.server.kill();
      writeFileSync(stage.server.settingsPath, "garbage <<<");
      const seen = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" });
      expect(seen.result["servers"]).toMatchObject([{ state: "unknown", reason: "SETTINGS_MALFORMED" }]);
      await inBothLanguages(stage, ["reset", "--yes"], { exitCode: 3, code: "SETTINGS_MALFORMED" });
      // Started like this, the server makes itself a new identity.
      await stage.server.start();
      demandEnd(await stage.json(["backup", "restore", id, "--yes"]), 0, "OK");
      expect(steady(stage.settings)).toBe(whole);
      expect(await stage.server.answers()).toBe(true);
    });
  });

  test("or are missing", async () => {
    await onStage({ state: "signed-in", running: false }, async (stage) => {
      const id = await backUp(stage);
      const whole = stage.settings;
      rmSync(stage.server.settingsPath);
      const seen = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" });
      expect(seen.result["servers"]).toMatchObject([{ state: "unknown", reason: "SETTINGS_MISSING" }]);
      await inBothLanguages(stage, ["reset", "--yes"], { exitCode: 3, code: "SETTINGS_MISSING" });
      demandEnd(await stage.json(["backup", "restore", id, "--yes"]), 0, "EDITED_WHILE_STOPPED");
      expect(stage.settings).toBe(whole);
      expect(statSync(stage.server.settingsPath).mode & 0o7777).toBe(0o600);
    });
  });
});

describe.concurrent("--dry-run shows the plan and changes nothing at all", () => {
  test("reset and claim: not even a state directory is made", async () => {
    await onStage({}, async (stage) => {
      const code = await stage.codeFile();
      const [before, found] = [treeOf(stage.folder), stage.process];
      const args = ["reset", "--dry-run", "--claim-code-file", code];
      const ended = await inBothLanguages(stage, args, { exitCode: 0, code: "DRY_RUN" });
      expect(ended.lines.find((line) => line["type"] === "plan")?.["plan"]).toMatchObject({
        change: "replace",
        present: ["PlexOnlineToken", "PlexOnlineUsername", "PlexOnlineMail"],
        stopLine: stage.server.stopLine,
        startLine: stage.server.startLine,
        backupFolder: join(stage.stateDirectory, "backups"),
      });
      demandEnd(await stage.json(["undo", "--dry-run"]), 0, "NOTHING_TO_DO");
      demandEnd(await stage.json(["backup", "list"]), 0, "OK");
      expect(treeOf(stage.folder)).toEqual(before);
      expect([stage.process, await stage.exchanges()]).toEqual([found, 0]);
    });
  });

  test("undo and restore", async () => {
    await onStage({}, async (stage) => {
      const { result } = await reset(stage);
      const [before, found] = [treeOf(stage.folder), stage.process];
      await inBothLanguages(stage, ["undo", "--dry-run"], { exitCode: 0, code: "DRY_RUN" });
      const restore = ["backup", "restore", String(result["backup"]), "--dry-run"];
      await inBothLanguages(stage, restore, { exitCode: 0, code: "DRY_RUN" });
      expect(treeOf(stage.folder)).toEqual(before);
      expect(stage.process).toBe(found);
    });
  });

  test("of a run that was cut off: it is reported, and stays as it is", async () => {
    await onStage({ behaviour: { stopMs: 100 } }, async (stage) => {
      const run = stage.begin(["reset", "--yes", "--json"]);
      await run.reached("edit");
      run.kill("SIGKILL");
      await run.end();
      await eventually(() => !stage.server.running || stage.process !== null, "quiet");
      const before = treeOf(stage.stateDirectory);
      for (const args of [["undo", "--dry-run"], ["reset", "--dry-run"], ["status"], ["backup", "list"]])
        await stage.json(args);
      expect(treeOf(stage.stateDirectory)).toEqual(before);
      expect(notesOf(await stage.json(["reset", "--dry-run"]))).toContain("UNSETTLED_RUN");
    });
  });
});

test.concurrent("a state directory that others can look into is refused, and nothing is changed", async () => {
  await onStage({}, async (stage) => {
    const before = { settings: stage.settings, process: stage.process };
    const open = join(stage.folder, "open");
    mkdirSync(open, { mode: 0o755 });
    const args = ["reset", "--yes", "--state-dir", open];
    const ended = await inBothLanguages(stage, args, { exitCode: 3, code: "STATE_DIRECTORY_UNUSABLE" });
    expect(ended.result["problem"]).toMatchObject({ reason: "mode" });
    expect({ settings: stage.settings, process: stage.process }).toEqual(before);
    expect(readdirSync(open)).toEqual([]);
  });
});
