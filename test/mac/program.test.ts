import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { demandLanguage, demandText, inBothLanguages } from "../support/both-languages.ts";
import { APPLICATION } from "../support/mac-application.ts";
import { whyNoMacProcesses } from "../support/mac-process.ts";
import { type MacProcessStage, onMacProcesses } from "../support/mac-process-stage.ts";
import { integer, string } from "../support/mac-values.ts";
import { demandEnd } from "../support/stage.ts";

const whyNot = whyNoMacProcesses();

/** What nobody may have touched. */
async function standing(stage: MacProcessStage) {
  return { ...(await stage.outside.settings()), processes: await stage.server.processes() };
}

/** Owners and modes of a folder and all that is in it, each kind once: `folder 501:20 700`. */
function ownersBelow(stage: MacProcessStage, folder: string): string[] {
  const kinds = ["", ...stage.outside.pathsBelow(folder)].map((path) => {
    const stat = statSync(join(stage.mac.real(folder), path));
    const kind = stat.isDirectory() ? "folder" : "file";
    return `${kind} ${stat.uid}:${stat.gid} ${(stat.mode & 0o7777).toString(8)}`;
  });
  return [...new Set(kinds)].sort();
}

describe.skipIf(whyNot !== null).concurrent(`the built program as a process of a Mac ${whyNot ?? ""}`, () => {
  test("what only looks changes nothing, and makes nothing: in English, Russian and JSON", async () => {
    await onMacProcesses({ server: { home: true } }, async (stage) => {
      const files = stage.outside.pathsBelow("/Users");
      const before = await standing(stage);
      const { version } = JSON.parse(
        readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
      ) as { version: string };
      const told = await stage.run(["--version"]);
      expect(told).toMatchObject({ exitCode: 0, stdout: `${version}\n`, stderr: "" });
      const script = await stage.run(["completion", "zsh"]);
      expect(script).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/^#compdef plex-reclaim\n/),
      });
      // The language is that of the account where nobody names one.
      const help = await stage.run(["--help"], { env: { LANG: "ru_RU.UTF-8" } });
      demandEnd(help, 0);
      demandLanguage(help.stdout, "ru");
      const demo = { exitCode: 3, code: "DEMO_NOT_HERE" };
      for (const language of ["en", "ru"] as const)
        demandText(await stage.run(["demo", "--lang", language]), demo, language);

      const seen = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" });
      expect(seen.result["servers"]).toEqual([
        expect.objectContaining({
          state: "locked-out",
          reason: "TOKEN_REVOKED",
          running: true,
          settings: stage.server.plist,
          install: "mac-application",
          account: "jane",
        }),
      ]);
      const dry = await inBothLanguages(stage, ["reset", "--dry-run"], { exitCode: 0, code: "DRY_RUN" });
      expect(dry.lines.map((line) => line["type"])).toContain("plan");

      expect(await standing(stage)).toEqual(before);
      expect(stage.outside.pathsBelow("/Users")).toEqual(files);
    });
  });

  test.each([
    ["pretty", "en", { LANG: "en_US.UTF-8" }, []],
    ["plain", "ru", { LANG: "ru_RU.UTF-8" }, ["--accessible"]],
  ] as const)(
    "at a terminal a code that is typed hidden and a yes heal the server (%s, %s)",
    async (_, language, env, more) => {
      await onMacProcesses({ server: { home: true } }, async (stage) => {
        const before = await standing(stage);
        const words = WORDS[language];
        const run = stage.atTerminal(["reset", ...more], { env });
        await run.printed(words.code);
        run.type(`${await stage.plexTv.issueClaimCode(stage.server.owner.username)}\r`);
        await run.printed(words.plan);
        expect(await standing(stage)).toEqual(before);
        run.type(more.length > 0 ? `${words.yes}\r` : "y");
        const ended = await run.end();
        demandEnd(ended, 0);
        demandLanguage(ended.stdout, language);
        const after = await standing(stage);
        expect(after.others).toBe(before.others);
        expect(after.processes).toHaveLength(1);
        expect(after.processes).not.toEqual(before.processes);
        expect(await stage.server.answers()).toBe(true);
        expect(await stage.outside.isHealed()).toBe(true);
      });
    },
  );

  test("undo and restore bring the domain back as it was, and all that is kept is the owner's alone", async () => {
    await onMacProcesses({ server: { home: true } }, async (stage) => {
      const before = await stage.outside.settings();
      const token = await stage.server.token();
      const made = await stage.json(["backup", "create"]);
      demandEnd(made, 0, "OK");
      const id = String(made.result["backup"]);
      demandEnd(await stage.json(["backup", "verify", id]), 0, "OK");

      demandEnd(await stage.json(["reset", "--yes"]), 0, "SIGNED_OUT");
      expect(await stage.outside.settings()).toEqual({ four: [], others: before.others });
      expect(await stage.server.answers()).toBe(true);
      demandEnd(await stage.json(["undo", "--yes"]), 6, "NOT_USABLE");
      expect(await stage.outside.settings()).toEqual(before);
      expect(await stage.server.token()).toBe(token);

      await stage.server.close();
      const changes = { PlexOnlineToken: null, FriendlyName: string("Bedroom"), Added: integer(1) };
      await stage.mac.setValues("jane", APPLICATION.bundleId, changes);
      demandEnd(await stage.json(["backup", "restore", id, "--yes"]), 0, "EDITED_WHILE_STOPPED");
      expect(await stage.outside.settings()).toEqual(before);
      expect(await stage.server.token()).toBe(token);

      const state = stage.outside.stateDirectory();
      expect(state).toBe("/Users/jane/Library/Application Support/plex-reclaim");
      expect(ownersBelow(stage, state)).toEqual(["file 501:20 600", "folder 501:20 700"]);
      expect(stage.outside.pathsBelow("/Library/Application Support")).toEqual([]);
      // No right is used but the account's own.
      expect(new Set((await stage.calls()).map(({ uid }) => uid))).toEqual(new Set([501]));
    });
  });

  test("the code comes in on standard input, and a second run at the same time is refused, root's too", async () => {
    await onMacProcesses({ server: { home: true } }, async (stage) => {
      const code = await stage.plexTv.issueClaimCode(stage.server.owner.username);
      const write = await stage.hold("defaults", `import ${APPLICATION.bundleId}`);
      const run = stage.begin(["reset", "--yes", "--json", "--claim-code-file", "-"], { stdin: `${code}\n` });
      const call = await write.seen();
      expect(call).toMatchObject({ parent: run.pid, uid: 501 });
      for (const user of ["jane", "root"])
        demandEnd(await stage.json(["reset", "--yes"], { user }), 3, "RUN_IN_PROGRESS");
      await write.letGo();
      demandEnd(await run.end(), 0, "OK");
      expect(await stage.outside.isHealed()).toBe(true);
      // The settings came through a pipe: nothing of them stands in a list of processes.
      const imports = (await stage.calls()).filter(({ args }) => args[0] === "import");
      expect(new Set(imports.map(({ args }) => args.at(-1)))).toEqual(new Set(["-"]));
      expect(imports.filter(({ args }) => args[1] === APPLICATION.bundleId)).toHaveLength(1);
    });
  });

  test("by SSH the line for root is told; typed, it changes the domain of the owner as the owner", async () => {
    await onMacProcesses({ server: { home: true } }, async (stage) => {
      const before = await standing(stage);
      const args = ["reset", "--yes", "--json", "--claim-code-file", await stage.codeFile()];
      const refused = await stage.run(args, { from: "ssh" });
      demandEnd(refused, 3, "DESKTOP_OUT_OF_REACH");
      expect(await standing(stage)).toEqual(before);
      const { line } = refused.result["problem"] as { line: string };
      expect(line).toMatch(/^sudo /);

      const state = stage.outside.stateDirectory("root");
      expect(state).toBe("/Library/Application Support/plex-reclaim");
      demandEnd(await stage.type(line.replace(/^sudo /, ""), { user: "root", from: "ssh" }), 0, "OK");
      expect(await stage.outside.isHealed()).toBe(true);
      expect((await stage.outside.settings()).others).toBe(before.others);
      expect((await stage.mac.values("root", APPLICATION.bundleId)).size).toBe(0);
      const [server = 0] = await stage.server.processes();
      expect(accountOf(server)).toBe(501);
      // Nothing of root's, of sudo's or of the program's own.
      expect(await stage.server.environment()).toEqual({
        ...{ HOME: "/Users/jane", USER: "jane", LOGNAME: "jane", SHELL: "/bin/zsh" },
        ...{ PATH: "/usr/bin:/bin:/usr/sbin:/sbin", TMPDIR: "/var/folders/zz/501/T/" },
      });
      const asOwner = (await stage.calls()).filter(({ tool }) => OWNERS_TOOLS.includes(tool));
      expect(new Set(asOwner.map(({ uid, session }) => `${uid} ${session}`))).toEqual(AS_OWNER);

      expect(ownersBelow(stage, state)).toEqual(["file 0:0 600", "folder 0:0 700"]);
      expect(ownersBelow(stage, "/Users/jane").filter((each) => !each.includes(" 501:20 "))).toEqual([]);
      // What root has done root takes back; the person's own records know nothing of it.
      demandEnd(await stage.json(["undo", "--yes"]), 0, "NOTHING_TO_DO");
      demandEnd(await stage.json(["undo", "--yes"], { user: "root" }), 0, "OK");
    });
  });
});

const OWNERS_TOOLS: readonly string[] = ["defaults", "mktemp", "rm", "open", "osascript"];
const AS_OWNER = new Set(["501 user/501", "501 gui/501"]);

const WORDS = {
  en: { code: "Claim code:", plan: "Go ahead with this plan?", yes: "y" },
  ru: { code: "Код привязки:", plan: "Выполнить этот план?", yes: "да" },
};

/** Of a process, as the kernel has it. */
function accountOf(pid: number): number {
  return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}
