import * as fc from "fast-check";
import { expect, test } from "vitest";
import { asciiStreams, openStreams } from "../../src/output-streams.ts";

function captured() {
  const lines: string[] = [];
  const stream = { write: (text: string) => void lines.push(text), isTTY: false, columns: 80 };
  return { lines, streams: { env: {}, out: stream, err: stream } };
}

test("JSON in ASCII alone holds the same data, whatever is in it", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 2 }), fc.string({ unit: "binary" }), (data, text) => {
      const { lines, streams } = captured();
      asciiStreams(streams).out.write(`${JSON.stringify({ data, text })}\n`);
      expect(lines.join("")).toMatch(/^[\0-\x7f]*\n$/);
      expect(JSON.parse(lines.join(""))).toEqual(JSON.parse(JSON.stringify({ data, text })));
    }),
    { numRuns: 500 },
  );
});

test("what is for a person goes out as it is", () => {
  const { lines, streams } = captured();
  asciiStreams(streams).err.write("Сервер запущен.\n");
  expect(lines).toEqual(["Сервер запущен.\n"]);
});

test("no other system than Windows has a code page in between", async () => {
  const { out, err } = await openStreams("linux", {});
  expect([out.anyEncoding, err.anyEncoding]).toEqual([false, false]);
});
