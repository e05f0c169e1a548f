import { stripVTControlCharacters } from "node:util";
import { Ajv2020 } from "ajv/dist/2020.js";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import schema from "../../schema/output.schema.json" with { type: "json" };
import type { Event, Result, ResultData } from "../../src/model/event.ts";
import { type Aftermath, exitCodeOf, type Problem } from "../../src/model/problem.ts";
import { Secret } from "../../src/model/secret.ts";
import { jsonReporter } from "../../src/words/report-json.ts";
import type { Reporter } from "../../src/words/reporter.ts";
import { reporterFor } from "../../src/words/reporter-for.ts";
import { loadWords } from "../../src/words/words.ts";
import { anyOf } from "./model-samples.ts";
import { schemaOfModel } from "./schema-of-model.ts";

const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true });
const validate = ajv.compile(schema);

interface Captured {
  readonly reporter: Reporter;
  readonly out: string[];
  readonly err: string[];
}

async function textAt(
  language: "en" | "ru",
  env: Record<string, string> = { LANG: "en_US.UTF-8" },
  options: { columns?: number; isTTY?: boolean; verbose?: boolean } = {},
): Promise<Captured> {
  const { columns = 60, isTTY = false, verbose = false } = options;
  const out: string[] = [];
  const err: string[] = [];
  const words = await loadWords(language);
  const reporter = reporterFor(
    words,
    { json: false, noColor: false, verbose },
    {
      env,
      out: { write: (text) => out.push(text), isTTY, columns },
      err: { write: (text) => err.push(text), isTTY, columns },
    },
  );
  return { reporter, out, err };
}

function jsonLines(): { reporter: Reporter; lines: string[] } {
  const lines: string[] = [];
  const out = (text: string) => lines.push(text);
  return { reporter: jsonReporter({ out, err: () => expect.unreachable() }), lines };
}

function failed(
  problem: Problem,
  aftermath: Aftermath = { kind: "nothing-changed" },
  data: ResultData = {},
): Result {
  return {
    command: "reset",
    exitCode: exitCodeOf(problem, aftermath),
    outcome: { ok: false, problem, aftermath },
    data,
  };
}

function succeeded(command: string, data: ResultData): Result {
  return { command, exitCode: 0, outcome: { ok: true, code: "OK" }, data };
}

const anyProblem = anyOf("Problem") as fc.Arbitrary<Problem>;
const anyAftermath = fc.oneof(
  fc.constantFrom<Aftermath>({ kind: "nothing-changed" }, { kind: "changed" }),
  fc
    .constantFrom("none", "written", "parked")
    .map((credentials): Aftermath => ({ kind: "put-back", credentials: credentials as "none" })),
  fc
    .array(anyOf("ByHand"), { maxLength: 3 })
    .map((byHand): Aftermath => ({ kind: "not-put-back", byHand: byHand as [] })),
);
const anyData = fc.record(
  {
    servers: fc.array(anyOf("ServerReport"), { maxLength: 2 }),
    backups: fc.array(anyOf("BackupReport"), { maxLength: 2 }),
    criteria: fc.array(anyOf("Criterion"), { maxLength: 3 }),
    signInWays: fc.array(anyOf("SignInWay"), { maxLength: 3 }),
    run: fc.string(),
    server: fc.string({ unit: "binary" }),
    backup: fc.string(),
    ownerChanged: fc.boolean(),
    undoLine: fc.string(),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<ResultData>;
const anyResult: fc.Arbitrary<Result> = fc.oneof(
  fc
    .tuple(anyProblem, anyAftermath, anyData)
    .map(([problem, aftermath, data]) => failed(problem, aftermath, data)),
  fc.tuple(fc.constantFrom("reset", "claim", "undo", "demo"), anyOf("SuccessCode"), anyData).map(
    ([command, code, data]): Result => ({
      command,
      exitCode: 0,
      outcome: { ok: true, code: code as "OK" },
      data,
    }),
  ),
);
const anyEvent = fc
  .constantFrom("event-step", "event-plan", "event-note", "event-criterion", "event-demo")
  .chain((name) => anyOf(name))
  .map((line) => {
    const { schema: _, ...event } = line as { schema: 1 };
    return event as unknown as Event;
  });

/** Besides the line breaks of our own. */
const STEERING = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

describe("JSON", () => {
  test("the shipped schema is the one that the model's types make", () => {
    expect(JSON.parse(JSON.stringify(schemaOfModel()))).toEqual(schema);
  });

  test("every line of any event or result fits the schema, is one line and steers no terminal", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 4 }), anyResult, (events, result) => {
        const { reporter, lines } = jsonLines();
        for (const event of events) reporter.event(event);
        reporter.result(result);
        for (const line of lines) {
          expect(line.indexOf("\n")).toBe(line.length - 1);
          expect(line).not.toMatch(STEERING);
          expect(validate(JSON.parse(line)), ajv.errorsText(validate.errors)).toBe(true);
        }
        const last = JSON.parse(lines.at(-1) ?? "");
        expect(last).toMatchObject({ schema: 1, type: "result", exitCode: result.exitCode });
      }),
      { numRuns: 600 },
    );
  });

  test("a problem carries its data and the state of the server beside its code", () => {
    const { reporter, lines } = jsonLines();
    reporter.result(
      failed(
        { code: "START_TIMEOUT", seconds: 60, url: "http://127.0.0.1:32400" },
        { kind: "put-back", credentials: "parked" },
      ),
    );
    expect(JSON.parse(lines[0] ?? "")).toEqual({
      schema: 1,
      type: "result",
      command: "reset",
      code: "START_TIMEOUT",
      exitCode: 4,
      problem: { code: "START_TIMEOUT", seconds: 60, url: "http://127.0.0.1:32400" },
      state: "put-back",
      credentials: "parked",
    });
  });

  test("a status without its servers, or a success with a problem, does not fit the schema", () => {
    const base = { schema: 1, type: "result", command: "status", code: "OK", exitCode: 0 };
    expect(validate({ ...base, servers: [] })).toBe(true);
    expect(validate(base)).toBe(false);
    expect(validate({ ...base, servers: [], problem: { code: "NO_COMMAND" } })).toBe(false);
    expect(validate({ ...base, code: "NO_COMMAND", exitCode: 2, problem: { code: "NO_COMMAND" } })).toBe(
      false,
    );
  });

  test("a secret that got into the data shows as its mask", async () => {
    const secret = new Secret("claim-abcdefghij0123456789");
    const data = { run: secret, undoLine: secret } as unknown as ResultData;
    const { reporter, lines } = jsonLines();
    reporter.result(succeeded("reset", data));
    const text = await textAt("en");
    text.reporter.result(succeeded("reset", data));
    expect(lines.join("") + text.out.join("") + text.err.join("")).not.toContain("abcdefghij");
  });
});

describe.each(["en", "ru"] as const)("text in %s", (language) => {
  test("any event or result renders: no raw key, no unfilled place, nothing that steers a terminal", async () => {
    const words = await loadWords(language);
    fc.assert(
      fc.property(
        fc.array(anyEvent, { maxLength: 4 }),
        anyResult,
        fc.boolean(),
        (events, result, verbose) => {
          const written: string[] = [];
          const stream = { write: (text: string) => written.push(text), isTTY: false, columns: 60 };
          const options = { json: false, noColor: false, verbose };
          const reporter = reporterFor(words, options, {
            env: { LANG: "C.UTF-8" },
            out: stream,
            err: stream,
          });
          for (const event of events) reporter.event(event);
          reporter.result(result);
          const text = written.join("");
          expect(text).not.toMatch(STEERING);
          expect(text).not.toMatch(
            /^(?:problem|note|evidence|step|state|plan|status|success|demo)\.[A-Za-z]/m,
          );
          expect(text).not.toContain("undefined");
          expect(text).not.toContain("[object");
        },
      ),
      { numRuns: 600 },
    );
  });

  test("prose is no wider than 60 columns, where its words are not", async () => {
    const { reporter, out, err } = await textAt(language);
    for (const code of [
      "NO_TERMINAL",
      "IDENTITY_LOST",
      "EXCHANGE_OUTCOME_UNKNOWN",
      "WRONG_ACCOUNT",
    ] as const) {
      reporter.result(failed({ ...PROBLEM_SAMPLE, code } as unknown as Problem));
    }
    const tooWide = [...out, ...err]
      .join("")
      .split("\n")
      .filter((line) => line.length > 60 && !line.startsWith("    ") && line.trim().includes(" "));
    expect(tooWide).toEqual([]);
  });
});

const PROBLEM_SAMPLE = {
  option: "--yes",
  path: "/srv/p.xml",
  reason: "stub",
  expected: "anna",
  signedOut: "no",
};

test("a problem says what happened, why, what to do and what state the server is in, on standard error", async () => {
  const { reporter, out, err } = await textAt("en");
  reporter.result(failed({ code: "CLAIM_CODE_REFUSED", status: 404 }));
  expect(out).toEqual([]);
  expect(err.join("")).toBe(
    [
      "FAIL  plex.tv did not accept the claim code (HTTP 404).",
      "    (CLAIM_CODE_REFUSED)",
      "",
      "Why: A code lives four minutes at most and works once; this",
      "one has most likely run out.",
      "What to do now: Get a fresh code at https://plex.tv/claim,",
      "with the account that owns the server, and run the command",
      "again at once.",
      "State of the server: Nothing was changed.",
      "",
    ].join("\n"),
  );
});

test("what could not be put back comes with lines to copy", async () => {
  const { reporter, err } = await textAt("en");
  reporter.result(
    failed(
      { code: "START_FAILED", command: "systemctl start plexmediaserver", detail: "failed" },
      {
        kind: "not-put-back",
        byHand: [
          {
            do: "copy",
            from: "/var/lib/plex-reclaim/backups/1/settings",
            to: "/srv/Plex Media Server/Preferences.xml",
          },
          { do: "start", line: "systemctl start plexmediaserver" },
        ],
      },
    ),
  );
  const text = err.join("");
  expect(text).toContain(
    "    cp -- /var/lib/plex-reclaim/backups/1/settings '/srv/Plex Media Server/Preferences.xml'\n",
  );
  expect(text).toContain("\n    systemctl start plexmediaserver\n");
  expect(text).toContain("the service manager says that it failed");
});

test("colour repeats what words say: without it the same text is left", async () => {
  const plain = await textAt("en");
  const colourful = await textAt("en", { LANG: "en_US.UTF-8" }, { isTTY: true });
  const result = failed({ code: "DECLINED" });
  plain.reporter.result(result);
  colourful.reporter.result(result);
  expect(colourful.err.join("")).toContain("\u001b[31mFAIL");
  expect(stripVTControlCharacters(colourful.err.join(""))).toBe(plain.err.join(""));
});

test("a locale without UTF-8 gets ASCII alone in English", async () => {
  const { reporter, out, err } = await textAt("en", { LANG: "C" });
  reporter.event({ type: "step", step: "stop", phase: "begin" });
  reporter.result(failed({ code: "UNKNOWN_COMMAND", given: "rest", nearest: "reset" }));
  expect([...out, ...err].join("")).toMatch(/^[\n\x20-\x7e]*$/);
});

test("a list of servers is told apart by words, one fact a line, with the next thing to do", async () => {
  const { reporter, out } = await textAt("en");
  const dataFolder = "/var/lib/plexmediaserver/Library/Application Support/Plex Media Server";
  const base = {
    running: true,
    settings: `${dataFolder}/Preferences.xml`,
    dataFolder,
    logFolder: `${dataFolder}/Logs`,
    certificateFolder: `${dataFolder}/Cache`,
    install: "linux-package",
    service: "plexmediaserver.service",
  } as const;
  reporter.result(
    succeeded("status", {
      servers: [
        {
          ...base,
          id: "1a2b3c4d",
          state: "locked-out",
          reason: "TOKEN_REVOKED",
          account: "anna",
          friendlyName: "Attic",
        },
        {
          ...base,
          id: "5e6f7a8b",
          state: "unknown",
          reason: "SETTINGS_MALFORMED",
          detail: "truncated",
          running: "unknown",
          account: null,
          friendlyName: null,
        },
        {
          ...base,
          id: "9c0d1e2f",
          state: "signed-in",
          reason: "TOKEN_ACCEPTED",
          settings: "/Users/jane/Library/Preferences/com.plexapp.plexmediaserver.plist",
          dataFolder: "/Volumes/Media/Plex Media Server",
          logFolder: "/Users/jane/Library/Logs/Plex Media Server",
          certificateFolder: "/Users/jane/Library/Caches/PlexMediaServer",
          runsAs: "jane",
          account: "jane",
          friendlyName: null,
        },
      ],
    }),
  );
  const text = out.join("");
  expect(text).toContain("FAIL  1a2b3c4d\n");
  expect(text).toContain("    plex-reclaim reset --server 1a2b3c4d\n");
  expect(text).toContain("UNKNOWN  5e6f7a8b\n");
  expect(text).toContain("Detail: The file breaks off in the middle");
  const [linux = "", other = "", mac = ""] = text.split("\n\n");
  for (const block of [linux, other]) expect(block).not.toMatch(/Data:|Logs:|Certificate:/);
  for (const line of [
    "Data:\n        /Volumes/Media/Plex Media Server\n",
    "Logs:\n        /Users/jane/Library/Logs/Plex Media Server\n",
    "Certificate:\n        /Users/jane/Library/Caches/PlexMediaServer\n",
    "Account of this machine: jane\n",
  ])
    expect(mac).toContain(line);
  expect(text).not.toContain("Done");
});

test("no server is a plain sentence", async () => {
  const { reporter, out } = await textAt("ru");
  reporter.result(succeeded("status", { servers: [] }));
  expect(out.join("")).toContain("не найден Plex Media Server");
});

test("the plan names the file, the values, both commands and the folder of the backup", async () => {
  const { reporter, out, err } = await textAt("en");
  reporter.event({
    type: "plan",
    plan: {
      command: "reset",
      server: "1a2b3c4d",
      settingsPath: "/srv/Preferences.xml",
      change: "remove",
      present: ["PlexOnlineToken", "PlexOnlineMail"],
      stopLine: "systemctl stop plexmediaserver",
      startLine: "systemctl start plexmediaserver",
      backupFolder: "/var/lib/plex-reclaim/backups",
    },
  });
  expect(out).toEqual([]);
  const text = err.join("").replaceAll(/\n +/g, " ");
  for (const part of [
    "/srv/Preferences.xml",
    "PlexOnlineToken, PlexOnlineMail",
    "systemctl stop plexmediaserver",
    "systemctl start plexmediaserver",
    "/var/lib/plex-reclaim/backups",
  ]) {
    expect(text).toContain(part);
  }
});

test("the three checks are listed with what was seen", async () => {
  const { reporter, out } = await textAt("en");
  reporter.result(
    succeeded("verify", {
      criteria: [
        { name: "reachable", result: "met", evidence: { code: "LIBRARIES_LISTED", count: 1 } },
        {
          name: "account",
          result: "not-met",
          evidence: { code: "SIGNED_IN_AS_ANOTHER", username: "a", expected: "b" },
        },
        { name: "logs", result: "cannot-tell", evidence: { code: "LOG_MISSING", path: "/x" } },
      ],
    }),
  );
  const text = out.join("").replaceAll(/\n {3,}/g, " ");
  expect(text).toContain("OK  reachable with its own sign-in: met (the server listed 1 library)");
  expect(text).toContain(
    "FAIL  signed in to the account, libraries listed: not met (signed in as a, expected b)",
  );
  expect(text).toContain("UNKNOWN  no sign-in error in the log since the last start: cannot tell");
});

test("progress is told, and only --verbose tells every step's end", async () => {
  const quiet = await textAt("en");
  const verbose = await textAt("en", { LANG: "C" }, { verbose: true });
  for (const { reporter } of [quiet, verbose]) {
    reporter.event({ type: "step", step: "detect", phase: "begin" });
    reporter.event({ type: "step", step: "detect", phase: "end" });
    reporter.event({ type: "step", step: "stop", phase: "end" });
  }
  expect(quiet.err).toHaveLength(2);
  expect(verbose.err).toHaveLength(3);
});
