import fc from "fast-check";
import { expect, test } from "vitest";
import { formatPreferences, freshPreferences, parsePreferences } from "../../src/standins/preferences.ts";

const HEADER = '<?xml version="1.0" encoding="utf-8"?>\n';

function parse(text: string) {
  const found = parsePreferences(Buffer.from(text));
  return found === null ? null : [...found];
}

test.each([
  ["the shape of the real file", `${HEADER}<Preferences A="1" B="2"/>\n`],
  ["single quotes", `<Preferences A='1' B="2"/>`],
  ["attributes over several lines, white space round =", `${HEADER}<Preferences\n  A = "1"\r\n\tB= "2"\n/>`],
  ["an end tag of its own", `<Preferences A="1" B="2"></Preferences>`],
  ["a byte order mark and comments around", `\uFEFF<!-- a -->\n<Preferences A="1" B="2"/><!-- b -->\n`],
])("reads %s", (_, text) => {
  expect(parse(text)).toEqual([
    ["A", "1"],
    ["B", "2"],
  ]);
});

test("resolves entities, and is not taken in by a value that looks like an attribute", () => {
  expect(parse(`<Preferences N="&quot;PlexOnlineToken=&quot;/>&#x41;&amp;" T='"'/>`)).toEqual([
    ["N", '"PlexOnlineToken="/>A&'],
    ["T", '"'],
  ]);
});

test.each([
  ["nothing", ""],
  ["half a file", `${HEADER}<Preferences A="1" B="2`],
  ["another root", `<Settings A="1"/>`],
  ["two roots", `<Preferences/><Preferences/>`],
  ["the same attribute twice", `<Preferences A="1" A="2"/>`],
])("takes %s for unreadable", (_, text) => {
  expect(parse(text)).toBeNull();
});

test("takes bytes that are not UTF-8 for unreadable", () => {
  expect(parsePreferences(Buffer.from(`<Preferences A="1"/>`, "utf16le"))).toBeNull();
  expect(parsePreferences(Buffer.from([0x3c, 0xff]))).toBeNull();
});

test("what is written is read again, in its order", () => {
  const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,8}$/);
  const value = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key }), (entries) => {
      const bytes = Buffer.from(formatPreferences(new Map(entries)));
      expect([...(parsePreferences(bytes) ?? [])]).toEqual(entries);
    }),
    { numRuns: 300 },
  );
});

test("every fresh identity is another one", () => {
  const [a, b] = [freshPreferences("1"), freshPreferences("1")];
  expect(a.get("ProcessedMachineIdentifier")).toMatch(/^[0-9a-f]{40}$/);
  expect(a.get("ProcessedMachineIdentifier")).not.toBe(b.get("ProcessedMachineIdentifier"));
});
