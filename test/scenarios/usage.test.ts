import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { demandLanguage, inBothLanguages } from "../support/both-languages.ts";
import { demandEnd, exists, onStage, PROJECT } from "../support/stage.ts";

const COMMANDS = ["status", "reset", "claim", "verify", "undo", "backup", "demo", "completion"];
const NOT_BUILT = {
  commands: ["doctor", "signout", "redact", "bundle", "guide", "web"],
  options: [
    "--link",
    "--all",
    "--all-settings",
    "--with-database",
    "--list",
    "--format",
    "--for",
    "--short",
    "-o",
  ],
};
const SHELLS = ["bash", "zsh", "fish", "powershell"];

describe.concurrent("commands and options that are not built yet", () => {
  test("are refused as unknown, with nothing looked at", async () => {
    await onStage({ running: false }, async (stage) => {
      for (const command of NOT_BUILT.commands) demandEnd(await stage.json([command]), 2, "UNKNOWN_COMMAND");
      for (const option of NOT_BUILT.options)
        demandEnd(await stage.json(["reset", option]), 2, "UNKNOWN_OPTION");
      expect(exists(stage.stateDirectory)).toBe(false);
    });
  });

  test("are absent from help and completion", async () => {
    await onStage({ running: false }, async (stage) => {
      const calls = [
        ["help"],
        ...COMMANDS.map((command) => ["help", command]),
        ...SHELLS.map((shell) => ["completion", shell]),
      ];
      for (const args of calls) {
        const { stdout, exitCode } = await stage.run(args);
        expect(exitCode).toBe(0);
        for (const option of NOT_BUILT.options.filter((each) => each.startsWith("--")))
          expect(stdout, args.join(" ")).not.toMatch(new RegExp(`${option}(?![\\w-])`));
        for (const command of NOT_BUILT.commands)
          expect(stdout, args.join(" ")).not.toMatch(new RegExp(`(?:plex-reclaim |^ +)${command}\\b`, "m"));
      }
    });
  });
});

describe.concurrent("wrong usage ends with 2, a problem in four parts and a JSON result", () => {
  const WRONG: [string[], string][] = [
    [["rest"], "UNKNOWN_COMMAND"],
    [["backup", "lst"], "UNKNOWN_COMMAND"],
    [["reset", "--yess"], "UNKNOWN_OPTION"],
    [["status", "--yes"], "UNKNOWN_OPTION"],
    [["reset", "--settings"], "MISSING_VALUE"],
    [["status", "--server", "xyz"], "BAD_VALUE"],
    [["status", "--lang", "de"], "BAD_VALUE"],
    [["status", "--server-url", "ftp://x"], "BAD_VALUE"],
    [["backup", "show"], "MISSING_ARGUMENT"],
    [["completion"], "MISSING_ARGUMENT"],
    [["completion", "tcsh"], "BAD_VALUE"],
    [["status", "more"], "EXCESS_ARGUMENT"],
    [["backup", "show", "../../etc/passwd"], "BAD_VALUE"],
  ];

  test("as JSON", async () => {
    await onStage({ running: false }, async (stage) => {
      for (const [args, code] of WRONG) {
        const ended = await stage.run(["--json", ...args]);
        demandEnd(ended, 2, code);
        expect(ended.lines).toHaveLength(1);
        expect(ended.result).toMatchObject({ type: "result", state: "nothing-changed" });
      }
    });
  });

  test("in words", async () => {
    await onStage({ running: false }, async (stage) => {
      for (const [args, code] of WRONG.filter(([words]) => !words.includes("--lang")))
        await inBothLanguages(stage, args, { exitCode: 2, code });
    });
  });

  test("a stand-in address for plex.tv that is not on this machine", async () => {
    await onStage({ running: false }, async (stage) => {
      const env = { PLEX_RECLAIM_PLEXTV_URL: "https://plex.example.com" };
      await inBothLanguages(stage, ["status"], { exitCode: 2, code: "PLEXTV_URL_NOT_LOOPBACK" }, { env });
    });
  });

  test.each(["en", "ru"] as const)("no command at all, with the help (%s)", async (language) => {
    await onStage({ running: false }, async (stage) => {
      const ended = await stage.run(["--lang", language]);
      demandEnd(ended, 2);
      demandLanguage(ended.stdout + ended.stderr, language);
      for (const command of COMMANDS) expect(ended.stderr).toContain(` ${command}`);
      demandEnd(await stage.json([]), 2, "NO_COMMAND");
    });
  });
});

test.concurrent("the help, of everything and of each command, is in the language that is asked for", async () => {
  await onStage({ running: false }, async (stage) => {
    for (const topic of ["", ...COMMANDS]) {
      for (const language of ["en", "ru"] as const) {
        const words = topic === "" ? ["help"] : ["help", topic];
        const { stdout, stderr, exitCode } = await stage.run([...words, "--lang", language]);
        expect(exitCode).toBe(0);
        expect(stderr).toBe("");
        demandLanguage(stdout, language);
      }
    }
    const asked = await stage.run(["reset", "--help", "--lang", "en"]);
    expect(asked.stdout).toBe((await stage.run(["help", "reset", "--lang", "en"])).stdout);
  });
});

test.concurrent("the locale chooses the language, and --lang goes before it", async () => {
  await onStage({ running: false }, async (stage) => {
    const russian = { env: { LANG: "ru_RU.UTF-8" } };
    demandLanguage((await stage.run(["help"], russian)).stdout, "ru");
    expect((await stage.run(["help"], russian)).stdout).toMatch(/[а-я]{5}/);
    demandLanguage((await stage.run(["help", "--lang", "en"], russian)).stdout, "en");
    const twin = { env: { PLEX_RECLAIM_LANG: "ru" } };
    expect((await stage.run(["help"], twin)).stdout).toMatch(/[а-я]{5}/);
  });
});

test.concurrent("every option has a twin in the environment, and the option wins", async () => {
  await onStage({ running: false }, async (stage) => {
    const none = Object.fromEntries(Object.keys(stage.twins).map((name) => [name, null]));
    const settings = stage.server.settingsPath;
    const byOption = await stage.json(["status", "--settings", settings, "--offline"], { env: none });
    const env = {
      ...none,
      PLEX_RECLAIM_SETTINGS: settings,
      PLEX_RECLAIM_OFFLINE: "true",
      PLEX_RECLAIM_JSON: "1",
    };
    const byTwin = await stage.run(["status"], { env });
    expect(byTwin.result["servers"]).toEqual(byOption.result["servers"]);
    const over = await stage.json(["status", "--settings", settings], {
      env: { ...none, PLEX_RECLAIM_SETTINGS: join(stage.folder, "elsewhere.xml"), PLEX_RECLAIM_OFFLINE: "1" },
    });
    expect(over.result["servers"]).toEqual(byOption.result["servers"]);
    for (const value of ["maybe", "yes"])
      demandEnd(await stage.json(["reset"], { env: { PLEX_RECLAIM_YES: value } }), 2, "BAD_VALUE");
    demandEnd(await stage.json(["reset"], { env: { PLEX_RECLAIM_YES: "0" } }), 3, "NO_TERMINAL");
  });
});

test.concurrent("the version is printed alone", async () => {
  const { version } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as { version: string };
  await onStage({ running: false }, async (stage) => {
    for (const args of [["--version"], ["status", "--version"]]) {
      const { stdout, stderr, exitCode } = await stage.run(args);
      expect([stdout, stderr, exitCode]).toEqual([`${version}\n`, "", 0]);
    }
  });
});

test.concurrent("a runtime that is too old is refused with one sentence", async () => {
  await onStage({ running: false }, async (stage) => {
    const pretend =
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.19.0' } })";
    const NODE_OPTIONS = `--import=data:text/javascript;base64,${Buffer.from(pretend).toString("base64")}`;
    const english = await stage.run(["status"], { env: { NODE_OPTIONS } });
    demandEnd(english, 2);
    expect(english.stderr.trim().split("\n")).toHaveLength(1);
    expect(english.stderr).toContain("20.19.0");
    const russian = await stage.run(["status"], { env: { NODE_OPTIONS, LANG: "ru_RU.UTF-8" } });
    demandEnd(russian, 2);
    demandLanguage(russian.stderr, "ru");
    expect(russian.stderr).toMatch(/[а-я]{5}/);
  });
});
