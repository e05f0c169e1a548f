import * as fc from "fast-check";
import { expect, test } from "vitest";
import { printable, printableJson } from "../../src/model/printable.ts";

const samples: readonly (readonly [name: string, text: string])[] = [
  ["colour", "\u001b[31mred"],
  ["clear screen", "\u001b[2J"],
  ["title", "\u001b]0;title\u0007"],
  ["hyperlink", "\u001b]8;;http://evil.example\u001b\\text"],
  ["DCS", "\u001bPq#0\u001b\\"],
  ["APC", "\u001b_payload\u001b\\"],
  ["carriage return", "good\rbad"],
  ["backspace", "abc\b\b\bxyz"],
  ["bell", "\u0007"],
  ["line feed", "one\ntwo"],
  ["NUL", "a\0b"],
  ["DEL", "a\u007fb"],
  ["shift out", "\u000e"],
  ["C1 CSI", "\u009b31m"],
  ["C1 OSC", "\u009d0;title\u009c"],
  ["NEL", "a\u0085b"],
  ["line separator", "a\u2028b"],
  ["paragraph separator", "a\u2029b"],
  ["right-to-left override", "\u202egnp.exe"],
  ["isolate", "\u2066abc\u2069"],
  ["zero width", "a\u200bb\u200db\ufeff"],
  ["tags", "a\u{e0041}\u{e0042}"],
  ["lone surrogate", "a\ud800b"],
];

/** Anything that is not plainly visible; the same in other words than the code's. */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}]/u;

test.each(samples)("shows %s instead of doing it", (_, text) => {
  const shown = printable(text);
  expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
  expect(shown).toMatch(/\\u\{[0-9a-f]+\}/);
});

test("leaves ordinary text in any script as it is", () => {
  for (const text of [
    "Müller & Söhne",
    "Сервер «Дом»",
    "日本語サーバー",
    "C:\\Plex",
    "❤️ films",
    "a  b\u00a0c",
  ]) {
    expect(printable(text)).toBe(text);
  }
});

test("cuts at 200 characters and says so", () => {
  expect(printable("я".repeat(200))).toBe("я".repeat(200));
  expect(printable("я".repeat(201))).toBe(`${"я".repeat(200)}…`);
  expect(printable("𝒳".repeat(201))).toBe(`${"𝒳".repeat(200)}…`);
});

test("no text whatever gets a control or invisible character through", () => {
  const unassigned = /\p{Cn}|\p{Co}/u;
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
      const bad = [...printable(text)].filter((each) => INVISIBLE.test(each) && !unassigned.test(each));
      expect(bad).toEqual([]);
    }),
    { numRuns: 1000 },
  );
});

test("in JSON the same characters are escapes, and the data stay what they are", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 100 }), (text) => {
      const json = printableJson(JSON.stringify({ text }));
      expect(JSON.parse(json)).toEqual({ text });
      expect(json).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    }),
    { numRuns: 1000 },
  );
});
