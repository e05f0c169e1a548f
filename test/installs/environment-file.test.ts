import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseEnvironmentFile } from "../../src/installs/environment-file.ts";

describe("an environment file", () => {
  it.each([
    ["bare, with white space round it", "A = b c \t\n", "b c"],
    ["in double quotes", 'A="b  c"\n', "b  c"],
    ["in single quotes, where nothing is escaped", "A='b\\$c'\n", "b\\$c"],
    ["with escapes in double quotes", String.raw`A="\"\\\$\a"`, String.raw`"\$\a`],
    ["over several lines", "A=b\\\nc\n", "bc"],
    ["in quotes over several lines", 'A="b\nc"\n', "b\nc"],
    ["in parts", `A="b"'c'd\n`, "bcd"],
    ["with a quote in the middle, which stays", 'A=b"c"\n', 'b"c"'],
    ["with a comment sign, which is none there", "A=b #c\n", "b #c"],
    ["given twice", "A=b\nA=c\n", "c"],
    ["empty", "A=\n", ""],
    ["after a comment and an empty line", "#A=x\n;A=y\n\n A=b\n", "b"],
    ["with Windows line ends", "A=b\r\nB=c\r\n", "b"],
    ["without a last line end", "A=b", "b"],
    ["in quotes that never end", 'A="b', "b"],
  ])("gives a value %s", (_what, text, value) => {
    expect(parseEnvironmentFile(text).get("A")).toBe(value);
  });

  it("passes over what is no assignment", () => {
    expect([...parseEnvironmentFile("export A=b\nA\n=c\n1A=d\nA-B=e\nC=f\n")]).toEqual([["C", "f"]]);
  });

  it("of any content comes to an end", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
        expect(parseEnvironmentFile(text).size).toBeLessThanOrEqual(text.length);
      }),
    );
  });

  it("brings any value back that was quoted as systemd.exec(5) says", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 30 }), (value) => {
        const quoted = value.replace(/["\\`$]/gu, (char) => `\\${char}`);
        expect(parseEnvironmentFile(`A="${quoted}"\n`).get("A")).toBe(value);
      }),
      { numRuns: 500 },
    );
  });
});
