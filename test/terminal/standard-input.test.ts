import { PassThrough, Readable } from "node:stream";
import { expect, test } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { firstLine } from "../../src/terminal/standard-input.ts";

const CODE = "claim-AbCdEfGhIjKlMnOpQrSt";
const patient = { capBytes: 4096, timeoutMs: 60_000, interrupt: new AbortController().signal };

async function problemOf(reading: Promise<string>) {
  const error = await reading.then(
    () => expect.unreachable("it came to an end"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ProblemError);
  return (error as ProblemError).problem;
}

/** A stream with these chunks, which its writer keeps open. */
function open(...chunks: readonly string[]): PassThrough {
  const stream = new PassThrough();
  for (const chunk of chunks) stream.write(chunk);
  return stream;
}

test("a line is taken as soon as it is there, though nobody closes the stream", async () => {
  expect(await firstLine(open(`${CODE}\nmore`), patient)).toBe(CODE);
  expect(await firstLine(open(CODE.slice(0, 9), CODE.slice(9), "\r\n"), patient)).toBe(`${CODE}\r`);
  expect(await firstLine(open("\n", " \n\n", `${CODE}\n`), patient)).toBe(CODE);
});

test("the end of the stream ends a line, too", async () => {
  expect(await firstLine(Readable.from([CODE]), patient)).toBe(CODE);
  expect(await firstLine(Readable.from([]), patient)).toBe("");
});

test("what is far too long is not waited for", async () => {
  expect((await firstLine(open("x".repeat(5_000)), patient)).length).toBe(5_000);
});

test("silence has an end", async () => {
  expect(await problemOf(firstLine(open(CODE), { ...patient, timeoutMs: 1 }))).toEqual({
    code: "CLAIM_CODE_UNREADABLE",
    path: "-",
    reason: "ETIMEDOUT",
  });
});

test("an interruption ends the wait, one that came before it, too", async () => {
  const controller = new AbortController();
  const reading = problemOf(firstLine(open(), { ...patient, interrupt: controller.signal }));
  controller.abort("SIGTERM");
  expect(await reading).toEqual({ code: "INTERRUPTED", signal: "SIGTERM" });
  const { signal: interrupt } = controller;
  expect((await problemOf(firstLine(open(), { ...patient, interrupt }))).code).toBe("INTERRUPTED");
});

test("a stream that cannot be read is said with the system's reason", async () => {
  const stream = open();
  const reading = problemOf(firstLine(stream, patient));
  stream.destroy(Object.assign(new Error("read"), { code: "EISDIR" }));
  expect(await reading).toEqual({ code: "CLAIM_CODE_UNREADABLE", path: "-", reason: "EISDIR" });
});
