import * as fc from "fast-check";
import { expect, test } from "vitest";
import { markedText } from "../../src/model/marked-text.ts";

function read(pieces: readonly Uint8Array[]): string {
  const decoder = markedText();
  const texts = pieces.map((piece) => decoder.add(piece));
  return [...texts, decoder.end()].join("");
}

/** The bytes, cut at any places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

const text = fc.string({ unit: "grapheme" }).filter((each) => !each.startsWith("\ufeff"));

test("a text comes back whole in UTF-8 and in UTF-16, with a mark or without, however it is cut", () => {
  fc.assert(
    fc.property(text, fc.array(fc.nat()), (original, places) => {
      for (const bytes of [
        Buffer.from(original, "utf8"),
        Buffer.from(`\ufeff${original}`, "utf8"),
        Buffer.from(`\ufeff${original}`, "utf16le"),
      ]) {
        expect(read(cut(bytes, places))).toBe(original);
      }
    }),
    { numRuns: 300 },
  );
});

test("nothing at all is an empty text, and bytes that are no text harm nobody", () => {
  expect(read([])).toBe("");
  expect(read([Uint8Array.of(0x41)])).toBe("A");
  expect(read([Uint8Array.of(0xff, 0x41)])).toBe("\ufffdA");
});
