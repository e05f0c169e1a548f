import { expect, test } from "vitest";
import { chooseAppearance, toned, withSymbols } from "../../src/words/appearance.ts";
import { chooseLanguage, speaksUtf8, withWindowsLocale } from "../../src/words/locale.ts";
import { wrap } from "../../src/words/wrap.ts";

test.each([
  [undefined, { LANG: "ru_RU.UTF-8" }, "ru"],
  [undefined, { LANG: "ru" }, "ru"],
  [undefined, { LANG: "ru.UTF-8" }, "ru"],
  [undefined, { LANG: "run_RU" }, "en"],
  [undefined, { LANG: "de_DE.UTF-8" }, "en"],
  [undefined, { LANG: "C" }, "en"],
  [undefined, { LC_ALL: "POSIX", LANG: "ru_RU.UTF-8" }, "en"],
  [undefined, { LC_ALL: "", LC_MESSAGES: "ru_RU", LANG: "en_US" }, "ru"],
  [undefined, { LC_MESSAGES: "en_US", LANG: "ru_RU" }, "en"],
  [undefined, {}, "en"],
  ["en", { LC_ALL: "ru_RU.UTF-8" }, "en"],
  ["ru", {}, "ru"],
] as const)("the option %s and the locale %o choose %s", (option, env, language) => {
  expect(chooseLanguage(option, env)).toBe(language);
});

test("a locale without UTF-8 gets ASCII symbols, and letters stay letters", () => {
  expect(speaksUtf8({ LANG: "en_US.UTF-8" })).toBe(true);
  expect(speaksUtf8({ LC_CTYPE: "ru_RU.utf8", LANG: "C" })).toBe(true);
  expect(speaksUtf8({ LC_ALL: "C", LANG: "en_US.UTF-8" })).toBe(false);
  const ascii = chooseAppearance({ isTTY: true }, { LANG: "C" }, false);
  expect(withSymbols("“Plex’s” — «Да»…", ascii)).toBe(`"Plex's" - "Да"...`);
});

test.each([
  ["the person's own, where no variable names one", "ru-RU", {}, "ru", false],
  ["the person's own, in another script", "ru-Cyrl-RU", { LANG: "" }, "ru", false],
  ["one without a catalogue", "de-DE", {}, "en", false],
  ["what a variable names", "ru-RU", { LANG: "en_US.UTF-8" }, "en", true],
  ["what a variable names, in a modern terminal", "en-US", { LC_ALL: "ru_RU", WT_SESSION: "1" }, "ru", false],
  ["the person's own, in Windows Terminal", "ru-RU", { WT_SESSION: "1d" }, "ru", true],
  ["the person's own, in an editor's terminal", "en-US", { TERM_PROGRAM: "vscode" }, "en", true],
  ["the person's own, with an empty mark", "en-US", { WT_SESSION: "" }, "en", false],
] as const)("on Windows the language is %s", (_, persons, env, language, symbols) => {
  const filled = withWindowsLocale(env, persons);
  expect(chooseLanguage(undefined, filled)).toBe(language);
  const appearance = chooseAppearance({ isTTY: true, columns: 80 }, filled, false);
  expect(appearance).toMatchObject({ symbols, colour: true });
  expect(withWindowsLocale({ ...env, TERM: "dumb" }, persons)).toMatchObject({ TERM: "dumb" });
});

test("what may be read in another encoding has no symbols, whatever the locale says", () => {
  const env = { LANG: "ru_RU.UTF-8" };
  expect(chooseAppearance({ isTTY: false, anyEncoding: true }, env, false).symbols).toBe(false);
  expect(chooseAppearance({ isTTY: false, anyEncoding: false }, env, false).symbols).toBe(true);
});

const terminal = { isTTY: true, columns: 80 };
const pipe = { isTTY: false };

test.each([
  ["a terminal", terminal, {}, false, true],
  ["a pipe", pipe, {}, false, false],
  ["--no-color", terminal, { FORCE_COLOR: "1" }, true, false],
  ["NO_COLOR", terminal, { NO_COLOR: "1" }, false, false],
  ["an empty NO_COLOR", terminal, { NO_COLOR: "" }, false, true],
  ["FORCE_COLOR on a pipe", pipe, { FORCE_COLOR: "1" }, false, true],
  ["FORCE_COLOR=0", terminal, { FORCE_COLOR: "0" }, false, false],
  ["TERM=dumb", terminal, { TERM: "dumb" }, false, false],
] as const)("colour with %s", (_, stream, env, noColor, expected) => {
  const appearance = chooseAppearance(stream, env, noColor);
  expect(appearance.colour).toBe(expected);
  expect(toned("word", "bad", appearance) === "word").toBe(!expected);
});

test("lines are broken at spaces, and lines to copy never", () => {
  const text =
    "One two three four five six seven.\n    a line that is for copying and longer than all the others";
  const lines = wrap(text, 20).split("\n");
  expect(lines.slice(0, -1).every((line) => line.length <= 20)).toBe(true);
  expect(lines.at(-1)).toBe("    a line that is for copying and longer than all the others");
});
