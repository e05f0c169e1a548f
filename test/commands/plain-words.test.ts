import { expect, test } from "vitest";
import { completionScript } from "../../src/commands/completion.ts";
import { helpText } from "../../src/commands/help.ts";
import { COMMANDS, SHELLS } from "../../src/commands/options.ts";
import { loadPlainWords, loadWords } from "../../src/words/words.ts";

test.each(["en", "ru"] as const)(
  "help and completion in %s are the same without the formatter",
  async (language) => {
    const plain = await loadPlainWords(language);
    const full = await loadWords(language);
    const appearance = { colour: false, symbols: true, columns: 80 };
    for (const topic of [null, "backup" as const, ...COMMANDS.map(({ name }) => name)]) {
      expect(helpText(plain, topic, appearance)).toBe(helpText(full, topic, appearance));
    }
    for (const shell of SHELLS) expect(completionScript(shell, plain)).toBe(completionScript(shell, full));
  },
);

test("a place is filled without the formatter, too", async () => {
  const words = await loadPlainWords("en");
  expect(words.say("problem.INTERNAL.why", { detail: "RangeError" })).toMatch(/: RangeError$/);
});
