import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { demandLanguage, inBothLanguages } from "../support/both-languages.ts";
import { demandNoSecret, keepSecret } from "../support/canary.ts";
import { demandEnd, isRoot, noteOf, notesOf, onStage, quoted, type Stage } from "../support/stage.ts";

const USER = "jane";

function standing(stage: Stage) {
  return { settings: stage.settings, process: stage.process };
}

describe.concurrent("a claim code may come", () => {
  test("from standard input", async () => {
    await onStage({}, async (stage) => {
      const stdin = `  ${await stage.plexTv.issueClaimCode(USER)}\r\n`;
      const ended = await stage.json(["reset", "--yes", "--claim-code-file", "-"], { stdin });
      demandEnd(ended, 0, "OK");
      expect(await stage.isHealed()).toBe(true);
      expect(notesOf(ended)).not.toContain("CLAIM_CODE_FROM_ENVIRONMENT");
    });
  });

  test.each(["en", "ru"])("from PLEX_CLAIM, and the output says so (%s)", async (language) => {
    await onStage({}, async (stage) => {
      const env = { PLEX_CLAIM: await stage.plexTv.issueClaimCode(USER) };
      const ended = await stage.run(["reset", "--yes", "--lang", language], { env });
      demandEnd(ended, 0);
      expect(ended.stderr).toContain("PLEX_CLAIM");
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test("from a file, which goes before PLEX_CLAIM; one that others can read is warned of", async () => {
    await onStage({}, async (stage) => {
      const file = await stage.codeFile();
      chmodSync(file, 0o644);
      const env = { PLEX_CLAIM: "claim-notThisOneNotThisOne" };
      const ended = await stage.json(["reset", "--yes", "--claim-code-file", file], { env });
      demandEnd(ended, 0, "OK");
      expect(noteOf(ended, "CLAIM_CODE_FILE_READABLE_BY_OTHERS")["path"]).toBe(file);
    });
  });
});

test.concurrent("what is no claim code is refused before anything is sent, and never repeated", async () => {
  await onStage({}, async (stage) => {
    const before = standing(stage);
    const file = join(stage.folder, "no-code");
    const folder = join(stage.folder, "folder");
    mkdirSync(folder);
    writeFileSync(file, "hunter2-the-password\n", { mode: 0o600 });
    const fileArgs = ["reset", "--yes", "--claim-code-file", file];
    const refused = await inBothLanguages(stage, fileArgs, { exitCode: 3, code: "CLAIM_CODE_MALFORMED" });
    expect(refused.stdout + refused.stderr).not.toContain("hunter2");
    for (const [path, code] of [
      ["-", "CLAIM_CODE_MALFORMED"],
      [join(stage.folder, "not-there"), "CLAIM_CODE_UNREADABLE"],
      [folder, "CLAIM_CODE_UNREADABLE"],
    ] as const)
      demandEnd(await stage.json(["reset", "--yes", "--claim-code-file", path]), 3, code);
    const env = { PLEX_CLAIM: "hunter2" };
    demandEnd(await stage.json(["reset", "--yes"], { env }), 3, "CLAIM_CODE_MALFORMED");
    expect(await stage.exchanges()).toBe(0);
    expect(standing(stage)).toEqual(before);
  });
});

test.concurrent("a code given as an argument is refused in any spelling, and never echoed", async () => {
  await onStage({}, async (stage) => {
    const before = standing(stage);
    const code = await stage.plexTv.issueClaimCode(USER);
    const spellings = [
      ["reset", "--yes", code],
      ["reset", "--yes", "--claim", code],
      ["reset", "--yes", `--claim-code=${code}`],
      ["claim", "--yes", `--token=${code}`],
      ["reset", "--yes", `PLEX_CLAIM=${code}`],
      ["reset", "--yes", "--claim-code-file", code],
      ["reset", "--yes", `--claim-code-file=${code}`],
      ["reset", "--yes", `\u2014code=${code}`],
      ["reset", "--yes", "-c", code],
      [code],
      ["help", code],
      ["undo", code],
      ["reset", "--yes", "--", code.toUpperCase()],
      ["reset", "--verbose", "--help", code],
    ];
    for (const args of spellings) {
      const ended = await stage.run(["--json", ...args]);
      demandEnd(ended, 2, "CODE_IN_ARGUMENT");
      expect(ended.stdout.toLowerCase()).not.toContain(code.slice(6).toLowerCase());
    }
    await inBothLanguages(stage, ["reset", "--yes", code], { exitCode: 2, code: "CODE_IN_ARGUMENT" });
    expect(await stage.exchanges()).toBe(0);
    expect(standing(stage)).toEqual(before);
  });
});

describe.concurrent("at a terminal", () => {
  test.each([
    ["pretty", "en", []],
    ["pretty", "ru", []],
    ["plain", "en", ["--accessible"]],
    ["plain", "ru", ["--accessible"]],
  ] as const)(
    "a hidden prompt explains, asks for the code, and shows nothing of it (%s, %s)",
    async (_, language, more) => {
      await onStage({}, async (stage) => {
        const words = WORDS[language];
        const run = stage.atTerminal(["reset", "--lang", language, ...more]);
        await run.printed("https://plex.tv/claim");
        await run.printed(words.code);
        run.type(`${await stage.plexTv.issueClaimCode(USER)}\r`);
        await run.printed(words.plan);
        run.type(more.length > 0 ? `${words.yes}\r` : "y");
        const ended = await run.end();
        demandEnd(ended, 0);
        demandLanguage(ended.stdout, language);
        expect(await stage.isHealed()).toBe(true);
        // Nothing that was said is drawn over for a screen reader.
        if (more.length > 0) expect(ended.stdout).not.toMatch(/\u001b\[(?:\d*A|\?25)/);
      });
    },
  );

  test("Enter alone goes on without a code, and no to the plan changes nothing", async () => {
    await onStage({}, async (stage) => {
      const before = standing(stage);
      const run = stage.atTerminal(["reset", "--accessible", "--lang", "en"]);
      await run.printed(WORDS.en.code);
      run.type("\r");
      await run.printed(WORDS.en.plan);
      run.type("\r");
      const ended = await run.end();
      demandEnd(ended, 3);
      expect(ended.stdout).toContain("DECLINED");
      expect(standing(stage)).toEqual(before);
    });
  });

  test.each([[[]], [["--accessible"]]])(
    "Ctrl-C at the prompt ends it, with nothing changed %j",
    async (more) => {
      await onStage({}, async (stage) => {
        const before = standing(stage);
        const run = stage.atTerminal(["reset", "--lang", "en", ...more]);
        await run.printed(WORDS.en.code);
        run.type("\u0003");
        const ended = await run.end();
        demandEnd(ended, 130);
        expect(ended.stdout).toContain("INTERRUPTED");
        expect(standing(stage)).toEqual(before);
      });
    },
  );

  test("a reset of a server that works is asked for first", async () => {
    await onStage({ state: "signed-in" }, async (stage) => {
      const before = standing(stage);
      const run = stage.atTerminal(["reset", "--accessible", "--lang", "en"]);
      await run.printed("This server works.");
      run.type("n\r");
      demandEnd(await run.end(), 3);
      expect(standing(stage)).toEqual(before);
    });
  });

  test("a change of owner is asked for, and a no signs the new device out again", async () => {
    await onStage({}, async (stage) => {
      await stage.plexTv.addAccount("bob", "bob@example.com");
      const before = standing(stage);
      const run = stage.atTerminal([
        "reset",
        "--accessible",
        "--lang",
        "en",
        "--claim-code-file",
        await stage.codeFile("bob"),
      ]);
      await run.printed(WORDS.en.plan);
      run.type("y\r");
      await run.printed("Change the owner?");
      run.type("n\r");
      const ended = await run.end();
      demandEnd(ended, 4);
      expect(ended.stdout).toContain("WRONG_ACCOUNT");
      expect(standing(stage)).toEqual(before);
    });
  });

  test("with --json nothing is asked", async () => {
    await onStage({}, async (stage) => {
      const ended = await stage.atTerminal(["reset", "--json"]).end();
      demandEnd(ended, 3);
      expect(ended.stdout).toContain('"code":"NO_TERMINAL"');
    });
  });
});

const WORDS = {
  en: { code: "Claim code:", plan: "Go ahead with this plan?", yes: "y" },
  ru: { code: "Код привязки:", plan: catalogue("ru", "prompt.plan"), yes: "да" },
};

function catalogue(language: string, key: string): string {
  const path = new URL(`../../src/words/${language}.json`, import.meta.url);
  return (JSON.parse(readFileSync(path, "utf8")) as Record<string, string>)[key] ?? "";
}

test("a secret is found in whatever shape it got away", () => {
  const secret = "claim-Ab1_-Zz9xY8wV7uT6sR5";
  keepSecret(secret);
  const bytes = Buffer.from(`token=${secret}&`);
  for (const text of [
    `x${secret}x`,
    secret.slice(6, 16),
    bytes.toString("base64"),
    bytes.subarray(1).toString("base64"),
    bytes.subarray(2).toString("base64url"),
    bytes.toString("hex"),
    bytes.toString("hex").toUpperCase(),
    [...secret].reverse().join(""),
  ])
    expect(() => demandNoSecret(text, "a text")).toThrow("a text");
  expect(() => demandNoSecret("claim-something else", "a text")).not.toThrow();
});

test.concurrent("no child process gets a secret in its arguments or its environment", async () => {
  await onStage({}, async (stage) => {
    const seen = join(stage.folder, "seen");
    // The program itself is the parent of the shell; PLEX_CLAIM in its own environment was put there by its caller.
    const look = `{ env; tr '\\0' ' ' </proc/$$/cmdline; tr '\\0' ' ' </proc/$PPID/cmdline; } >>${quoted(seen)}; `;
    const ended = await stage.json(["reset", "--yes"], {
      env: {
        PLEX_CLAIM: await stage.plexTv.issueClaimCode(USER),
        PLEX_RECLAIM_STOP_COMMAND: look + stage.server.stopLine,
        PLEX_RECLAIM_START_COMMAND: look + stage.server.startLine,
      },
    });
    demandEnd(ended, 0, "OK");
    const text = readFileSync(seen, "utf8");
    expect(text).toContain("plex-reclaim.js reset --yes");
    expect(text).not.toContain("PLEX_CLAIM");
    demandNoSecret(text, "what a child process can see");
  });
});

describe.runIf(isRoot())("for an account that may not read the settings", { concurrent: true }, () => {
  const NOBODY = 65_534;

  function openForAll(stage: Stage): void {
    chmodSync(stage.folder, 0o755);
  }

  test("status says so, with the exact line to type", async () => {
    await onStage({}, async (stage) => {
      openForAll(stage);
      const ended = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" }, { uid: NOBODY });
      const [server] = ended.result["servers"] as Record<string, string>[];
      expect(server).toMatchObject({ state: "unknown", reason: "NEEDS_PRIVILEGE" });
      const typed = await typedAsRoot(stage, server?.["line"] ?? "");
      const [seen] = typed.result["servers"] as Record<string, string>[];
      expect(seen).toMatchObject({ state: "locked-out" });
    });
  });

  test("reset is refused with a line that works when it is typed, the code from PLEX_CLAIM included", async () => {
    await onStage({}, async (stage) => {
      const before = standing(stage);
      const code = await stage.plexTv.issueClaimCode(USER);
      openForAll(stage);
      const options = { env: { PLEX_CLAIM: code }, uid: NOBODY };
      const ended = await inBothLanguages(
        stage,
        ["reset", "--yes"],
        { exitCode: 3, code: "NEEDS_PRIVILEGE" },
        options,
      );
      expect(standing(stage)).toEqual(before);
      const { line } = ended.result["problem"] as { line: string };
      expect(line).toMatch(/^printf %s "\$PLEX_CLAIM" \| sudo env PLEX_RECLAIM_\S+.* --claim-code-file -$/s);
      const typed = await typedAsRoot(stage, line, { PLEX_CLAIM: code });
      expect(typed.exitCode, typed.stdout).toBe(0);
      expect(await stage.isHealed()).toBe(true);
    });
  });

  /** Types a line where `sudo` is one that drops the environment, as the real one does. */
  async function typedAsRoot(stage: Stage, line: string, env: Record<string, string> = {}) {
    const programs = join(stage.folder, "programs");
    mkdirSync(programs, { recursive: true });
    writeFileSync(join(programs, "sudo"), '#!/bin/sh\nexec env -i PATH=/usr/bin:/bin "$@"\n', {
      mode: 0o755,
    });
    return stage.type(line, { ...env, PATH: `${programs}:/usr/bin:/bin` });
  }
});
