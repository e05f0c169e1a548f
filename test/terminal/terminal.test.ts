import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";

const asker = fileURLToPath(new URL("./ask.ts", import.meta.url));

interface Asked {
  /** All that the terminal showed. */
  readonly screen: string;
  readonly status: number | null;
}

/**
 * Asks at a real terminal, made by `script` of util-linux, and types when the prompt is there. Standard output
 * and standard error are both the terminal.
 */
async function atTerminal(
  args: readonly string[],
  keys: string | readonly string[],
  env: Record<string, string> = {},
  input = "",
): Promise<Asked> {
  const call = [process.execPath, asker, ...args].map((word) => `'${word}'`).join(" ");
  const line = `stty cols 80 rows 24; ${input} ${call}`;
  const child = spawn("script", ["-qec", line, "/dev/null"], {
    env: { PATH: process.env["PATH"], TERM: "xterm-256color", LANG: "C.UTF-8", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let screen = "";
  const strokes = typeof keys === "string" ? [keys] : [...keys];
  let asked = 0;
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (chunk: string) => {
    screen += chunk;
    const prompts = stripVTControlCharacters(screen).match(PROMPT)?.length ?? 0;
    if (prompts <= asked) return;
    child.stdin.write(strokes[asked] ?? "");
    asked += 1;
  });
  // A question that nobody recognises would wait for ever.
  const deadline = setTimeout(() => child.kill(), 30_000);
  const status = await new Promise<number | null>((resolve) => {
    child.on("exit", resolve);
  });
  clearTimeout(deadline);
  child.stdin.end();
  return { screen, status };
}

/** The last words of each prompt, in either language. */
const PROMPT = /Claim code:|Код привязки:|\[y\/N\]|\[д\/Н\]|Yes \/ /g;

function answerOn(screen: string): string | undefined {
  return /<(\w+ [^>]+)>/.exec(stripVTControlCharacters(screen))?.[1];
}

const SECRET = "claim-4t5QdVVpVxKEqYVmBLRV";

describe.each([["pretty"], ["plain", "accessible"]] as const)(
  "at a %s terminal, with standard input taken",
  (_, ...options) => {
    test("a question is answered at the terminal itself", async () => {
      const input = "printf 'no terminal' |";
      const { screen } = await atTerminal(["confirm", "input-taken", ...options], "y\r", {}, input);
      expect(answerOn(screen)).toBe("true true");
    });

    test("nothing is asked where nobody said that it is taken", async () => {
      const { screen } = await atTerminal(["confirm", ...options], "y\r", {}, "printf y |");
      expect(answerOn(screen)).toBe("false false");
    });
  },
);

describe.each([
  ["pretty", []],
  ["plain", ["accessible"]],
  ["without colour", ["no-color"]],
] as const)("at a %s terminal", (_, options) => {
  test("a hidden answer is taken and never shown", async () => {
    const { screen } = await atTerminal(["hidden", ...options], ` ${SECRET} \r`);
    expect(answerOn(screen)).toBe(`true secret of ${SECRET.length}`);
    expect(screen).not.toContain("4t5Q");
    expect(stripVTControlCharacters(screen).replaceAll(/\s+/g, " ")).toContain("lives four minutes at most");
    expect(screen).toContain("https://plex.tv/claim");
  });

  test("Enter alone goes on without a code", async () => {
    const { screen } = await atTerminal(["hidden", ...options], "\r");
    expect(answerOn(screen)).toBe("true null");
  });

  test("Enter alone is no", async () => {
    const { screen } = await atTerminal(["confirm", ...options], "\r");
    expect(answerOn(screen)).toBe("true false");
  });

  test("y is yes", async () => {
    const { screen } = await atTerminal(["confirm", ...options], "y\r");
    expect(answerOn(screen)).toBe("true true");
  });

  test.each(["confirm", "hidden"])("Ctrl-C ends the question (%s)", async (kind) => {
    const { screen } = await atTerminal([kind, ...options], "\u0003");
    expect(answerOn(screen)).toBe("true interrupted");
  });

  test.each(["confirm", "hidden"])("a signal to the program ends the question (%s)", async (kind) => {
    const { screen } = await atTerminal([kind, "abort", ...options], "");
    expect(answerOn(screen)).toBe("true interrupted");
  });
});

describe("at a plain terminal", () => {
  test.each(["y", "YES", "д", "Да"])("%s is yes in both languages", async (word) => {
    for (const language of ["en", "ru"]) {
      const { screen } = await atTerminal(["confirm", "accessible", language], `${word}\r`);
      expect(answerOn(screen)).toBe("true true");
    }
  });

  test("an answer that is neither is asked again, and the end of the input ends it", async () => {
    const again = await atTerminal(["confirm", "accessible", "ru"], ["может быть\r", "нет\r"]);
    expect(again.screen).toContain("Ответьте");
    expect(answerOn(again.screen)).toBe("true false");
    const ended = await atTerminal(["confirm", "accessible"], "\u0004");
    expect(answerOn(ended.screen)).toBe("true interrupted");
    const endedHidden = await atTerminal(["hidden", "accessible"], "\u0004");
    expect(answerOn(endedHidden.screen)).toBe("true interrupted");
  });

  test("a terminal without abilities gets no escape sequence but those that readline needs to edit a line", async () => {
    const { screen } = await atTerminal(["hidden"], "\r", { TERM: "dumb" });
    expect(answerOn(screen)).toBe("true null");
    expect(screen).not.toContain("\u001b");
  });
});

test("without a terminal, or with --json, nothing is asked and the answer is no", async () => {
  const piped = spawnSync(process.execPath, [asker, "confirm"], { input: "y\n", encoding: "utf8" });
  expect(answerOn(piped.stdout)).toBe("false false");
  expect(piped.stderr).not.toContain("plan?");
  const { screen } = await atTerminal(["confirm", "json"], "");
  expect(answerOn(screen)).toBe("false false");
});
