import { describe, expect, test } from "vitest";
import { helpText } from "../../src/commands/help.ts";
import { COMMANDS, EVERYWHERE, optionsOf } from "../../src/commands/options.ts";
import { loadWords } from "../../src/words/words.ts";

const narrow = { colour: false, symbols: true, columns: 60 };

describe.each(["en", "ru"] as const)("help in %s", (language) => {
  test("opens with five examples and lists every command and exit code", async () => {
    const words = await loadWords(language);
    const text = helpText(words, null, narrow);
    const examples = text.split("\n\n")[1] ?? "";
    expect(examples.match(/^ {2}plex-reclaim /gm)).toHaveLength(5);
    for (const { name } of COMMANDS) expect(text).toContain(`\n  ${name}`);
    for (const code of [0, 1, 2, 3, 4, 5, 6, 130]) expect(text).toContain(`\n  ${code}: `);
    expect(text).toContain("PLEX_CLAIM");
  });

  test("of a command opens with examples and lists its options, and no other's", async () => {
    const words = await loadWords(language);
    for (const command of COMMANDS) {
      const text = helpText(words, command.name, narrow);
      expect(text.startsWith(`${words.say("help.examples")}\n  plex-reclaim ${command.examples[0]}`)).toBe(
        true,
      );
      const listed = [...text.matchAll(/^ {2}(?:-h, )?--([a-z-]+)/gm)].map((match) => match[1]);
      expect(listed.toSorted()).toEqual([...optionsOf(command)].sort());
    }
    expect(helpText(words, "backup", narrow)).toContain("backup restore ID");
  });

  test("fits 60 columns", async () => {
    const words = await loadWords(language);
    for (const topic of [null, "backup", ...COMMANDS.map(({ name }) => name)] as const) {
      const wide = helpText(words, topic, narrow)
        .split("\n")
        .filter((line) => line.length > 60 && !line.includes("completion "));
      expect(wide).toEqual([]);
    }
  });
});

test("help in plain ASCII where the terminal knows nothing else", async () => {
  const words = await loadWords("en");
  const ascii = { colour: false, symbols: false, columns: 80 };
  for (const { name } of COMMANDS) expect(helpText(words, name, ascii)).toMatch(/^[\n\x20-\x7e]*$/);
  expect(helpText(words, null, ascii)).toMatch(/^[\n\x20-\x7e]*$/);
  expect(EVERYWHERE).toContain("help");
});
