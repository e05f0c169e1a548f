import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nearest } from "../../src/commands/nearest.ts";
import {
  COMMANDS,
  type CommandSpec,
  OPTIONS,
  optionSpec,
  optionsOf,
  twinOf,
} from "../../src/commands/options.ts";
import { outputOptions, parse } from "../../src/commands/parse.ts";
import { exitCodeOf, type Problem, ProblemError } from "../../src/model/problem.ts";

const CODE = "claim-4t5QdVVpVxKEqYVmBLRV";

function problemOf(argv: readonly string[], env: Record<string, string> = {}): Problem {
  try {
    parse(argv, env);
  } catch (error) {
    if (error instanceof ProblemError) {
      expect(exitCodeOf(error.problem, error.aftermath)).toBe(2);
      return error.problem;
    }
    throw error;
  }
  return expect.unreachable(`${argv.join(" ")} was accepted`);
}

const OUTPUT = { json: false, noColor: false, accessible: false, verbose: false };
const COMMON = { ...OUTPUT, offline: false };
const CHANGE = { dryRun: false, yes: false, keepStopped: false };

describe("a command", () => {
  test.each([
    [["status"], { kind: "status", options: COMMON }],
    [["--json", "status"], { kind: "status", options: { ...COMMON, json: true } }],
    [["reset"], { kind: "reset", options: { ...COMMON, ...CHANGE } }],
    [
      ["reset", "--yes", "--claim-code-file=-", "--expect-account", "anna@example.org", "--keep-stopped"],
      {
        kind: "reset",
        options: {
          ...COMMON,
          ...CHANGE,
          yes: true,
          keepStopped: true,
          claimCodeFile: "-",
          expectAccount: "anna@example.org",
        },
      },
    ],
    [
      ["--dry-run", "claim", "--settings", "/srv/x y.xml", "--server-url", "http://127.0.0.1:32401/"],
      {
        kind: "claim",
        options: {
          ...COMMON,
          ...CHANGE,
          dryRun: true,
          settings: "/srv/x y.xml",
          serverUrl: "http://127.0.0.1:32401",
        },
      },
    ],
    [["verify", "--server", "1A2B3C4D"], { kind: "verify", options: { ...COMMON, server: "1a2b3c4d" } }],
    [["undo"], { kind: "undo", options: { ...COMMON, ...CHANGE, oldSignIn: false } }],
    [
      ["undo", "20261122-031500-1a2b", "--old-sign-in"],
      { kind: "undo", run: "20261122-031500-1a2b", options: { ...COMMON, ...CHANGE, oldSignIn: true } },
    ],
    [["backup", "list"], { kind: "backup list", options: COMMON }],
    [
      ["backup", "--json", "show", "b1"],
      { kind: "backup show", id: "b1", options: { ...COMMON, json: true } },
    ],
    [["backup", "verify"], { kind: "backup verify", options: COMMON }],
    [
      ["backup", "restore", "b1", "--yes"],
      { kind: "backup restore", id: "b1", options: { ...COMMON, ...CHANGE, yes: true } },
    ],
    [
      ["backup", "delete", "b1"],
      { kind: "backup delete", id: "b1", options: { ...COMMON, dryRun: false, yes: false } },
    ],
    [["demo", "--keep"], { kind: "demo", keep: true, options: COMMON }],
    [["completion", "fish"], { kind: "completion", shell: "fish", options: OUTPUT }],
    [["help"], { kind: "help", topic: null, options: OUTPUT }],
    [["--help"], { kind: "help", topic: null, options: OUTPUT }],
    [["-h", "reset"], { kind: "help", topic: "reset", options: OUTPUT }],
    [["help", "backup", "restore"], { kind: "help", topic: "backup restore", options: OUTPUT }],
    [["backup", "--help"], { kind: "help", topic: "backup", options: OUTPUT }],
    [["reset", "--bogus", "--help"], { kind: "help", topic: "reset", options: OUTPUT }],
    [["--version", "--lang", "ru"], { kind: "version", options: { ...OUTPUT, lang: "ru" } }],
  ] as const)("%j is understood", (argv, invocation) => {
    expect(parse(argv, {})).toEqual(invocation);
  });

  test("every command of the table is understood with each of its options", () => {
    for (const command of COMMANDS) {
      const words = command.name.split(" ");
      const spec: CommandSpec = command;
      const argument = spec.argument === undefined ? [] : [spec.argument.choices?.[0] ?? "status"];
      for (const name of optionsOf(command)) {
        const value = optionSpec(name).value;
        const sample = {
          text: "x",
          path: "/x",
          folder: "/x",
          id: "00000000",
          url: "http://[::1]:1",
          choice: "ru",
        };
        const given = value === undefined ? [`--${name}`] : [`--${name}`, sample[value.shape]];
        expect(() => parse([...words, ...argument, ...given], {})).not.toThrow();
      }
    }
  });

  test.each(["doctor", "signout", "redact", "bundle", "guide", "web"])("%s does not exist", (word) => {
    expect(problemOf([word])).toMatchObject({ code: "UNKNOWN_COMMAND", given: word });
  });

  test.each(["--link", "--all", "--all-settings"])("reset %s does not exist", (option) => {
    expect(problemOf(["reset", option])).toMatchObject({ code: "UNKNOWN_OPTION", option });
  });

  test("backup create has no --with-database", () => {
    expect(problemOf(["backup", "create", "--with-database"])).toMatchObject({ code: "UNKNOWN_OPTION" });
  });
});

describe("wrong usage", () => {
  test.each([
    [[], { code: "NO_COMMAND" }],
    [["rest"], { code: "UNKNOWN_COMMAND", given: "rest", nearest: "reset" }],
    [["stauts"], { code: "UNKNOWN_COMMAND", given: "stauts", nearest: "status" }],
    [["xyzzy"], { code: "UNKNOWN_COMMAND", given: "xyzzy", nearest: "" }],
    [["S3cret"], { code: "UNKNOWN_COMMAND", given: "…", nearest: "" }],
    [["averyveryverylongword"], { code: "UNKNOWN_COMMAND", given: "…", nearest: "" }],
    [
      ["backup"],
      { code: "MISSING_ARGUMENT", argument: "list|create|show|verify|restore|delete", command: "backup" },
    ],
    [["backup", "lst"], { code: "UNKNOWN_COMMAND", given: "backup lst", nearest: "backup list" }],
    [["backup", "show"], { code: "MISSING_ARGUMENT", argument: "ID", command: "backup show" }],
    [["backup", "show", "../../etc"], { code: "BAD_VALUE", option: "ID", allowed: "name" }],
    [["status", "extra"], { code: "EXCESS_ARGUMENT", command: "status" }],
    [["undo", "a", "b"], { code: "EXCESS_ARGUMENT", command: "undo" }],
    [["completion"], { code: "MISSING_ARGUMENT", argument: "SHELL", command: "completion" }],
    [["completion", "tcsh"], { code: "BAD_VALUE", option: "SHELL", allowed: "bash, zsh, fish, powershell" }],
    [["reset", "--yess"], { code: "UNKNOWN_OPTION", option: "--yess", nearest: "--yes" }],
    [
      ["reset", "--claim-code-flie", "x"],
      { code: "UNKNOWN_OPTION", option: "--claim-code-flie", nearest: "--claim-code-file" },
    ],
    [["reset", "--Passw0rd=x"], { code: "UNKNOWN_OPTION", option: "--…", nearest: "" }],
    [["reset", "-x"], { code: "UNKNOWN_OPTION", option: "--x", nearest: "" }],
    [["status", "--yes"], { code: "UNKNOWN_OPTION", option: "--yes", nearest: "" }],
    [["status", "--settings"], { code: "MISSING_VALUE", option: "--settings" }],
    [["status", "--settings", "--json"], { code: "MISSING_VALUE", option: "--settings" }],
    [["status", "--settings="], { code: "MISSING_VALUE", option: "--settings" }],
    [["status", "--json=yes"], { code: "BAD_VALUE", option: "--json", allowed: "no-value" }],
    [["status", "--lang", "de"], { code: "BAD_VALUE", option: "--lang", allowed: "en, ru" }],
    [["status", "--server", "attic"], { code: "BAD_VALUE", option: "--server", allowed: "id" }],
    [
      ["status", "--server-url", "127.0.0.1:32400"],
      { code: "BAD_VALUE", option: "--server-url", allowed: "url" },
    ],
    [
      ["status", "--server-url", "http://me:pw@127.0.0.1"],
      { code: "BAD_VALUE", option: "--server-url", allowed: "url" },
    ],
    [
      ["status", "--server-url", "http://127.0.0.1/?t=x"],
      { code: "BAD_VALUE", option: "--server-url", allowed: "url" },
    ],
    [["help", "doctor"], { code: "UNKNOWN_COMMAND", given: "doctor", nearest: "" }],
  ] as const)("%j is named", (argv, problem) => {
    expect(problemOf(argv)).toEqual(problem);
  });
});

describe("a claim code in an argument", () => {
  test.each([
    ["--claim-code", CODE],
    [`--claim-code=${CODE}`],
    ["--claim", CODE],
    ["--claim-code"],
    ["--token", "abcdef"],
    ["--claim-token=x"],
    ["--plex-claim", CODE],
    ["--x-plex-token=abc"],
    ["--CLAIM-CODE", CODE],
    ["-claim", CODE],
    ["—claim-code", CODE],
    [CODE],
    [CODE.toUpperCase()],
    [`"${CODE}"`],
    ["claim-abc"],
    [`PLEX_CLAIM=${CODE}`],
    ["token=abc"],
    ["--claim-code-file", CODE],
    [`--claim-code-file=${CODE}`],
    ["--expect-account", CODE],
    ["--stop-command", `curl https://plex.tv/api/claim/exchange?token=${CODE}`],
    ["--settings", `/tmp/${CODE}`],
    [`--${CODE}`],
    ["--json", "--", CODE],
    ["--help", CODE],
  ])("%s %s is refused before anything else", (...argv) => {
    expect(problemOf(["reset", ...argv])).toEqual({ code: "CODE_IN_ARGUMENT" });
    expect(problemOf([...argv, "nonsense", "--what"])).toEqual({ code: "CODE_IN_ARGUMENT" });
  });

  test.each([
    ["--claim-code-file=/tmp/claim-code.txt"],
    ["--claim-code-file", "claim-code.txt"],
    ["--claim-code-file", "./claim-code"],
    ["--claim-code-file", "/home/anna/claim-codes/today"],
    ["--settings", "/srv/claim-server-backups-old/Preferences.xml"],
    ["--expect-account", "claimant"],
  ])("%s %s is none", (...argv) => {
    expect(parse(["reset", ...argv], {}).kind).toBe("reset");
  });

  const codeCharacters = fc.constantFrom(
    ..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
  );
  const code = fc
    .array(codeCharacters, { minLength: 20, maxLength: 20 })
    .map((letters) => letters.join(""))
    .filter((letters) => /[0-9A-Z]/.test(letters));
  const option = fc.constantFrom(...OPTIONS.map(({ name }) => `--${name}`));

  test("is never echoed, wherever it stands", () => {
    const holder = fc.oneof(
      fc.constant((text: string) => [text]),
      option.map((name) => (text: string) => [name, text]),
      option.map((name) => (text: string) => [`${name}=${text}`]),
      fc.constantFrom("--claim-code", "--claim", "--token").map((name) => (text: string) => [name, text]),
      fc
        .constantFrom("/tmp/", "x=", "https://plex.tv/?token=", " ", "'")
        .map((before) => (text: string) => [before + text]),
    );
    const around = fc.array(fc.oneof(option, fc.constantFrom("reset", "claim", "status", "backup", "list")), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(around, holder, code, around, (before, hold, secret, after) => {
        const problem = problemOf([...before, ...hold(`claim-${secret}`), ...after]);
        expect(JSON.stringify(problem)).not.toContain(secret);
        expect(problem).toEqual({ code: "CODE_IN_ARGUMENT" });
      }),
      { numRuns: 1000 },
    );
  });

  test("no usage problem repeats any value", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(option, fc.string({ minLength: 17 }), fc.constantFrom("reset", "undo")), {
          maxLength: 5,
        }),
        (argv) => {
          try {
            parse(argv, {});
          } catch (error) {
            if (!(error instanceof ProblemError)) throw error;
            const said = JSON.stringify(error.problem);
            for (const argument of argv) {
              if (argument.length >= 17 && !argument.startsWith("--")) expect(said).not.toContain(argument);
            }
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("the environment", () => {
  test("has a twin for every option", () => {
    expect(twinOf("claim-code-file")).toBe("PLEX_RECLAIM_CLAIM_CODE_FILE");
    const env = {
      PLEX_RECLAIM_JSON: "1",
      PLEX_RECLAIM_VERBOSE: "TRUE",
      PLEX_RECLAIM_YES: "true",
      PLEX_RECLAIM_DRY_RUN: "0",
      PLEX_RECLAIM_OFFLINE: "false",
      PLEX_RECLAIM_ACCESSIBLE: "",
      PLEX_RECLAIM_LANG: "ru",
      PLEX_RECLAIM_SERVER: "1a2b3c4d",
      PLEX_RECLAIM_STATE_DIR: "/var/lib/x",
      PLEX_RECLAIM_SETTINGS: "/srv/x.xml",
      PLEX_RECLAIM_CLAIM_CODE_FILE: "/run/code",
      PLEX_RECLAIM_PLEXTV_URL: "http://127.0.0.1:8000/",
    };
    expect(parse(["reset"], env)).toEqual({
      kind: "reset",
      options: {
        ...COMMON,
        ...CHANGE,
        json: true,
        verbose: true,
        yes: true,
        lang: "ru",
        server: "1a2b3c4d",
        stateDir: "/var/lib/x",
        settings: "/srv/x.xml",
        claimCodeFile: "/run/code",
        plextvUrl: "http://127.0.0.1:8000",
      },
    });
    expect(parse(["status"], { PLEX_RECLAIM_HELP: "1" }).kind).toBe("help");
  });

  test("is overruled by the option, even where its value is bad", () => {
    expect(parse(["status", "--lang", "en"], { PLEX_RECLAIM_LANG: "xx" })).toMatchObject({
      options: { lang: "en" },
    });
    expect(parse(["status", "--json"], { PLEX_RECLAIM_JSON: "maybe" })).toMatchObject({
      options: { json: true },
    });
  });

  test("with a bad value is named by its own name", () => {
    expect(problemOf(["status"], { PLEX_RECLAIM_JSON: "yes" })).toEqual({
      code: "BAD_VALUE",
      option: "PLEX_RECLAIM_JSON",
      allowed: "1, true, 0, false",
    });
    expect(problemOf(["status"], { PLEX_RECLAIM_LANG: "de" })).toMatchObject({ option: "PLEX_RECLAIM_LANG" });
    expect(problemOf(["reset"], { PLEX_RECLAIM_CLAIM_CODE_FILE: CODE })).toEqual({
      code: "BAD_VALUE",
      option: "PLEX_RECLAIM_CLAIM_CODE_FILE",
      allowed: "no-code",
    });
  });

  test("does not disturb commands that lack the option", () => {
    expect(parse(["status"], { PLEX_RECLAIM_YES: "1", PLEX_RECLAIM_KEEP: "x" }).kind).toBe("status");
  });

  test("brings the claim code in PLEX_CLAIM as a secret", () => {
    const invocation = parse(["claim"], { PLEX_CLAIM: ` ${CODE}\n` });
    expect(JSON.stringify(invocation)).not.toContain(CODE);
    expect(invocation.kind === "claim" && invocation.options.claimCodeInEnvironment?.reveal()).toBe(CODE);
    expect(parse(["claim"], { PLEX_CLAIM: " " })).toEqual({
      kind: "claim",
      options: { ...COMMON, ...CHANGE },
    });
  });

  test.each(["http://127.0.0.1:8000", "https://localhost", "http://[::1]:9", "http://127.9.9.9/x"])(
    "PLEX_RECLAIM_PLEXTV_URL may be %s",
    (url) => {
      expect(parse(["status"], { PLEX_RECLAIM_PLEXTV_URL: url })).toMatchObject({
        options: { plextvUrl: url },
      });
    },
  );

  test.each([
    "https://plex.tv",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1@evil.example",
    "http://localhost.evil.example",
    "http://10.0.0.1",
    "http://0.0.0.0",
    "ftp://127.0.0.1",
    "//127.0.0.1",
    "nonsense",
  ])("PLEX_RECLAIM_PLEXTV_URL may not be %s", (url) => {
    expect(problemOf(["status"], { PLEX_RECLAIM_PLEXTV_URL: url })).toEqual({
      code: "PLEXTV_URL_NOT_LOOPBACK",
    });
  });
});

describe("how to say that the usage is wrong", () => {
  test("is read from arguments that are wrong otherwise", () => {
    expect(outputOptions(["--json", "--lang", "ru", "nonsense", "--bogus"], {})).toEqual({
      ...OUTPUT,
      json: true,
      lang: "ru",
    });
    expect(outputOptions(["--lang"], { PLEX_RECLAIM_JSON: "1", PLEX_RECLAIM_VERBOSE: "maybe" })).toEqual({
      ...OUTPUT,
      json: true,
    });
    expect(outputOptions(["--", "--json"], {})).toEqual(OUTPUT);
  });

  test("never fails", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.constantFrom("--lang", "--json", "--", "--lang=", "--server="))),
        (argv) => {
          expect(() => outputOptions(argv, {})).not.toThrow();
        },
      ),
    );
  });
});

test("the nearest word is one that a slip of the finger explains", () => {
  const words = ["status", "reset", "claim", "verify", "undo", "backup", "demo"];
  expect(nearest("vreify", words)).toBe("verify");
  expect(nearest("backups", words)).toBe("backup");
  expect(nearest("doctor", words)).toBe("");
  expect(nearest("", words)).toBe("");
});

test("a relative path means the folder we are in, and nothing else later; - stays the standard input", () => {
  const invocation = parse(
    ["reset", "--settings", "Preferences.xml", "--state-dir", "./state", "--claim-code-file", "-"],
    { PLEX_RECLAIM_PROCESS_MATCH: "bin/server" },
  );
  expect(invocation).toMatchObject({
    options: {
      settings: join(process.cwd(), "Preferences.xml"),
      stateDir: join(process.cwd(), "state"),
      processMatch: join(process.cwd(), "bin/server"),
      claimCodeFile: "-",
    },
  });
});

describe("a registry key as the settings", () => {
  test.each([
    "HKEY_USERS\\S-1-5-21-1-2-3-1001\\Software\\Plex, Inc.\\Plex Media Server",
    "HKEY_CURRENT_USER\\Software\\Plex, Inc.\\Plex Media Server",
    "HKCU\\Software\\x",
    "hklm\\Software\\x",
    "HKU\\.DEFAULT",
    "HKEY_USERS",
    "Computer\\HKEY_USERS\\S-1-5-18",
    "Компьютер\\HKEY_USERS\\S-1-5-18",
  ])("%s is no path, and stays as it is typed", (settings) => {
    expect(parse(["status", "--settings", settings], {})).toMatchObject({ options: { settings } });
    expect(parse(["status"], { PLEX_RECLAIM_SETTINGS: settings })).toMatchObject({ options: { settings } });
  });

  test.each(["HKEY", "HKCUX\\x", "./HKCU\\x", "C:\\HKCU\\x", "a\\b\\HKCU\\x"])("%s is a path", (settings) => {
    expect(parse(["status", "--settings", settings], {})).toMatchObject({
      options: { settings: join(process.cwd(), settings) },
    });
  });
});
