import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ownLine, privilegedLine } from "../../src/commands/privileged-line.ts";

const CODE = "claim-ABCDEFGHIJKLMNOPQRST";
const PROGRAM = { command: ["/usr/bin/node", "/opt/plex reclaim/bin.js"], args: ["reset", "--yes"] };

/** A folder of commands that tell what they were given: each word, and what came in. */
let echoes = "";
beforeAll(() => {
  echoes = mkdtempSync(join(tmpdir(), "plex-reclaim-lines-"));
  for (const name of ["sudo", "plex-reclaim"]) {
    writeFileSync(join(echoes, name), `#!/bin/sh\nprintf '%s\\0' "\${0##*/}" "$@"; printf '\\001'; cat\n`);
    chmodSync(join(echoes, name), 0o755);
  }
});
afterAll(() => rmSync(echoes, { recursive: true, force: true }));

/** What a person's shell makes of a line. */
function typed(line: string, env: Readonly<Record<string, string>> = {}): { words: string[]; input: string } {
  const output = execFileSync("/bin/sh", ["-c", line], {
    input: "",
    encoding: "utf8",
    env: { ...env, PATH: `${echoes}:/usr/bin:/bin` },
  });
  const [words = "", input = ""] = output.split("\u0001");
  return { words: words.split("\0").slice(0, -1), input };
}

/** Any text that can be a word of a command line, spiced with what shells care about. */
const word = fc
  .array(
    fc.oneof(
      fc.string({ maxLength: 6 }),
      fc.string({ unit: "grapheme", maxLength: 4 }),
      fc.constantFrom(
        "'",
        '"',
        "\\",
        "$HOME",
        "$(id)",
        "`id`",
        "*",
        "~",
        "\n",
        " ",
        ";",
        "|",
        "&",
        "#",
        "!",
        "=",
        "-",
      ),
    ),
    { maxLength: 5 },
  )
  .map((parts) => parts.join("").replaceAll(/[\0\u0001]/g, ""))
  .filter((text) => !text.includes("claim-"));

test("whatever its words are, a shell gives exactly them to sudo", () => {
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (args) => {
      const program = { ...PROGRAM, args: ["status", ...args] };
      expect(typed(privilegedLine(program, { env: {} })).words).toEqual([
        "sudo",
        ...program.command,
        "status",
        ...args,
      ]);
    }),
    { numRuns: 200 },
  );
});

test("options that came from the environment, which sudo drops, are handed over as they are", () => {
  fc.assert(
    fc.property(word, word, (stateDir, stop) => {
      const env = {
        PLEX_RECLAIM_STATE_DIR: stateDir,
        PLEX_RECLAIM_STOP_COMMAND: stop,
        PLEX_RECLAIM_SECRET: "not an option",
        PLEX_RECLAIM_PLEXTV_URL: undefined,
        HOME: "/root",
      };
      const { words } = typed(privilegedLine(PROGRAM, { env }));
      const handed = words.slice(2, -PROGRAM.command.length - 2);
      expect(words.slice(0, 2)).toEqual(["sudo", "env"]);
      expect(handed.sort()).toEqual(
        [`PLEX_RECLAIM_STATE_DIR=${stateDir}`, `PLEX_RECLAIM_STOP_COMMAND=${stop}`].sort(),
      );
      expect(words.slice(-4)).toEqual([...PROGRAM.command, ...PROGRAM.args]);
    }),
    { numRuns: 100 },
  );
});

test.each(["reset", "claim"])(
  "a claim code in the environment goes to %s by its standard input, and stands in no word",
  (command) => {
    const env = { PLEX_CLAIM: CODE };
    const line = privilegedLine({ ...PROGRAM, args: [command] }, { env });
    expect(line).not.toContain(CODE);
    const { words, input } = typed(line, env);
    expect(words).toEqual(["sudo", ...PROGRAM.command, command, "--claim-code-file", "-"]);
    expect(input).toBe(CODE);
  },
);

test("whatever else it holds stands in no word either: it may be a code that was mistyped", () => {
  for (const value of ["claim-short", "ABCDEFGHIJKLMNOPQRST", "my password"]) {
    const line = privilegedLine(PROGRAM, { env: { PLEX_CLAIM: value, PLEX_RECLAIM_LANG: "ru" } });
    expect(line).not.toContain(value);
    expect(typed(line, { PLEX_CLAIM: value }).input).toBe(value);
  }
});

test("it is left alone where it is not asked for, or where another way was named", () => {
  const env = { PLEX_CLAIM: CODE };
  for (const args of [
    ["status"],
    ["undo", "--yes"],
    ["reset", "--claim-code-file", "/f"],
    ["reset", "--claim-code-file=/f"],
  ]) {
    const line = privilegedLine({ ...PROGRAM, args }, { env });
    expect(line).not.toContain("PLEX_CLAIM");
    expect(typed(line, env)).toEqual({ words: ["sudo", ...PROGRAM.command, ...args], input: "" });
  }
  const twin = privilegedLine(PROGRAM, { env: { ...env, PLEX_RECLAIM_CLAIM_CODE_FILE: "/f" } });
  expect(typed(twin, env).words).toEqual([
    "sudo",
    "env",
    "PLEX_RECLAIM_CLAIM_CODE_FILE=/f",
    ...PROGRAM.command,
    ...PROGRAM.args,
  ]);
});

test("a code that stands where it does not belong is not repeated", () => {
  const env = { PLEX_CLAIM: CODE, PLEX_RECLAIM_STATE_DIR: CODE, PLEX_RECLAIM_EXPECT_ACCOUNT: `x ${CODE}` };
  expect(privilegedLine(PROGRAM, { env })).not.toContain(CODE);
});

test("the line of another command means the same wherever it is typed", () => {
  const user = { uid: 1000, gid: 1000, name: "jane", home: "/home/jane" };
  const program = { command: ["plex-reclaim"], args: [] };
  fc.assert(
    fc.property(word, word, fc.boolean(), (settings, stop, root) => {
      const world = { user: root ? { ...user, uid: 0 } : user, env: {} };
      const options = { settings, stopCommand: stop, serverUrl: "http://127.0.0.1:32400" };
      const line = ownLine({ program, world }, "claim", options);
      expect(typed(line).words).toEqual([
        ...(root ? [] : ["sudo"]),
        "plex-reclaim",
        "claim",
        ...["--settings", settings, "--stop-command", stop, "--server-url", "http://127.0.0.1:32400"],
      ]);
      const undo = ownLine(
        { program, world },
        "undo",
        { ...options, stateDir: `/x/${stop}` },
        "20261122-031500-1a2b",
      );
      expect(typed(undo).words).toEqual([
        "plex-reclaim",
        "undo",
        "20261122-031500-1a2b",
        "--state-dir",
        `/x/${stop}`,
      ]);
    }),
    { numRuns: 100 },
  );
});
