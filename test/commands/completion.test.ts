import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { completionScript } from "../../src/commands/completion.ts";
import { COMMANDS, OPTIONS, SHELLS } from "../../src/commands/options.ts";
import { loadWords } from "../../src/words/words.ts";

const words = { en: await loadWords("en"), ru: await loadWords("ru") };

function installed(shell: string): boolean {
  return spawnSync(shell, ["--version"]).status === 0;
}

/** What bash offers for the last of these words. */
function offered(...typed: readonly string[]): string[] {
  const harness = `${completionScript("bash", words.en)}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_plex_reclaim
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync(
    "bash",
    ["--norc", "-c", harness, "bash", "plex-reclaim", ...typed],
    {
      encoding: "utf8",
      env: { PATH: process.env["PATH"] },
      cwd: "/",
    },
  );
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return stdout.split("\n").filter((line) => line !== "");
}

describe("bash", () => {
  test("offers commands, then their own words, options and choices", () => {
    expect(offered("re")).toEqual(["reset"]);
    expect(offered("")).toContain("status");
    expect(offered("backup", "")).toEqual(
      expect.arrayContaining(["list", "create", "show", "verify", "restore", "delete"]),
    );
    expect(offered("backup", "re")).toEqual(["restore"]);
    expect(offered("--json", "backup", "list", "--se")).toEqual(["--server"]);
    expect(offered("reset", "--cl")).toEqual(["--claim-code-file"]);
    expect(offered("status", "--cl")).toEqual([]);
    expect(offered("status", "--lang", "")).toEqual(["en", "ru"]);
    expect(offered("status", "--lang", "=", "r")).toEqual(["ru"]);
    expect(offered("completion", "")).toEqual(expect.arrayContaining(["bash", "zsh", "fish", "powershell"]));
    expect(offered("help", "ver")).toEqual(["verify"]);
  });

  test("takes the value of an option for no command", () => {
    expect(offered("--server", "reset", "--cl")).toEqual([]);
    expect(offered("--server", "1a2b3c4d", "reset", "--cl")).toEqual(["--claim-code-file"]);
    expect(offered("--lang", "=", "ru", "reset", "--cl")).toEqual(["--claim-code-file"]);
    expect(offered("reset", "--expect-account", "")).toEqual([]);
  });

  test("offers files where a file is meant, also with a space in the name", () => {
    expect(offered("reset", "--claim-code-file", "/et")).toEqual(["/etc"]);
    expect(offered("status", "--state-dir", "/et")).toEqual(["/etc"]);
  });

  test.each(["en", "ru"] as const)("finds no fault in the script (%s)", (language) => {
    const { status, stderr } = spawnSync("bash", ["-n"], {
      input: completionScript("bash", words[language]),
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });
});

describe.each(["en", "ru"] as const)("the scripts in %s", (language) => {
  test.each(SHELLS)("for %s name every command and option, and nothing that does not exist", (shell) => {
    const script = completionScript(shell, words[language]);
    for (const { name } of COMMANDS) for (const word of name.split(" ")) expect(script).toContain(word);
    for (const { name } of OPTIONS)
      expect(script).toMatch(new RegExp(shell === "fish" ? `-l ${name}\\b` : `--${name}\\b`));
    expect(script).not.toMatch(/doctor|signout|redact|bundle|guide|--all|--link|with-database/);
  });

  test("quote every explanation as their shell wants it", () => {
    for (const line of completionScript("fish", words[language]).split("\n")) {
      expect(line.replace(/\\'/g, "").split("'").length % 2, line).toBe(1);
    }
    const powershell = completionScript("powershell", words[language]);
    for (const line of powershell.split("\n")) expect(line.split(/['‘’‚‛]/).length % 2, line).toBe(1);
    expect(powershell.split("{").length).toBe(powershell.split("}").length);
    expect(powershell.split("(").length).toBe(powershell.split(")").length);
  });

  // Neither shell comes with a plain Linux: where one is absent, only its brackets and keywords can be counted.
  test("zsh finds no fault in its script", () => {
    const script = completionScript("zsh", words[language]);
    if (installed("zsh")) expect(spawnSync("zsh", ["-f", "-n", "-c", script]).status).toBe(0);
    expect(count(script, /^ *case /gm)).toBe(count(script, /^ *esac$/gm));
    expect(count(script, /; do$/gm)).toBe(count(script, /^ *done$/gm));
    expect(script).toMatch(/^#compdef plex-reclaim\n/);
  });

  test("fish finds no fault in its script", () => {
    const script = completionScript("fish", words[language]);
    if (installed("fish")) expect(faultsFish(script)).toBe(0);
    for (const line of script.trim().split("\n").slice(1)) expect(line).toMatch(/^complete -c plex-reclaim /);
  });
});

/** fish reads no socket, which is what a child's standard input is here: it gets a file. */
function faultsFish(script: string): number | null {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-fish-"));
  try {
    writeFileSync(join(folder, "plex-reclaim.fish"), script);
    return spawnSync("fish", ["--no-execute", join(folder, "plex-reclaim.fish")]).status;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}
