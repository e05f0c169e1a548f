import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  type Entry,
  has,
  isSettled,
  Journal,
  last,
  listRuns,
  noteUndone,
  type RunRecord,
  readRun,
} from "../../src/state/journal.ts";
import type { StateDirectory } from "../../src/state/state-directory.ts";
import { faultFor, watchedWorld } from "../support/faulty-world.ts";
import { NOW, problemOf, SERVER, stateIn, worldAt } from "./state-of-test.ts";

const HASH = "ab".repeat(32);
const BEGUN = {
  kind: "begun",
  version: 1,
  command: "reset",
  server: SERVER,
  wasRunning: true,
  keepStopped: false,
} as const;
const STEPS: readonly Entry[] = [
  { kind: "sending-code" },
  { kind: "exchanged" },
  { kind: "stopping" },
  { kind: "stopped" },
  { kind: "backed-up", backup: "20261122-031501-1a2b", sha256: HASH },
  { kind: "writing", from: HASH, to: "cd".repeat(32) },
  { kind: "written" },
  { kind: "starting" },
  { kind: "started" },
  { kind: "settled", how: "done" },
];

async function written(state: StateDirectory, steps: readonly Entry[] = STEPS, clock = { ms: NOW }) {
  const journal = await Journal.begin(worldAt(clock), state, BEGUN);
  for (const step of steps) await journal.note(step);
  await journal.close();
  return { id: journal.id, path: join(state.path, "runs", journal.id, "journal.jsonl") };
}

async function run(state: StateDirectory, id: string): Promise<RunRecord> {
  const found = await readRun(state, id);
  if (found === null) return expect.unreachable(`no run ${id}`);
  return found;
}

test("what was noted is read back, in its order, under a name that tells the time", async () => {
  const state = await stateIn(worldAt());
  const { id, path } = await written(state);
  expect(id).toMatch(/^20261122-031500-[0-9a-f]{4}$/);
  const { begun, entries } = await run(state, id);
  expect(begun).toEqual({ ...BEGUN, at: NOW });
  expect(entries).toEqual([begun, ...STEPS]);
  expect(readFileSync(path, "utf8").endsWith("}\n")).toBe(true);
});

test("entries are found by their kind, the last one where there are several", () => {
  const entries: Entry[] = [...STEPS, { kind: "writing", from: null, to: HASH }];
  expect(last(entries, "writing")).toEqual({ kind: "writing", from: null, to: HASH });
  expect(last(entries, "putting-back")).toBeUndefined();
  expect(has(entries, "stopped")).toBe(true);
  expect(has(entries, "undone")).toBe(false);
});

test("wherever a crash cuts the file off, the lines before are read and the cut one is as if not begun", async () => {
  const state = await stateIn(worldAt());
  const { id, path } = await written(state);
  const whole = readFileSync(path);
  const all = (await run(state, id)).entries;
  for (let length = 0; length <= whole.length; length += 1) {
    const left = whole.subarray(0, length);
    writeFileSync(path, left);
    const lines = left.filter((byte) => byte === 0x0a).length;
    expect((await readRun(state, id))?.entries ?? [], `${length} bytes`).toEqual(all.slice(0, lines));
  }
});

test("a run that is taken up again has its file whole, and goes on in it", async () => {
  const state = await stateIn(worldAt());
  const { id, path } = await written(state, STEPS.slice(0, 3));
  const whole = readFileSync(path, "utf8");
  const cuts = fc.record({ kept: fc.nat({ max: 3 }), torn: fc.nat({ max: 18 }) });
  await fc.assert(
    fc.asyncProperty(cuts, async ({ kept, torn }) => {
      const lines = whole.split("\n").slice(0, kept + 1);
      const text = `${lines.join("\n")}\n`;
      writeFileSync(path, text + (whole.slice(text.length) || '{"kind":"stopped"}').slice(0, torn));
      const journal = await Journal.resume(state, await run(state, id));
      const resumed = readFileSync(path, "utf8");
      expect(parsed(resumed)).toEqual(parsed(text));
      await journal.note({ kind: "putting-back" });
      await journal.close();
      expect(readFileSync(path, "utf8")).toBe(`${resumed}{"kind":"putting-back"}\n`);
      expect((await run(state, id)).entries).toEqual(journal.entries);
      expect(readdirSync(join(path, ".."))).toEqual(["journal.jsonl"]);
    }),
    { numRuns: 100 },
  );
});

/** The lines of a journal, every one of them whole. */
function parsed(text: string): unknown[] {
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
}

test("a damaged line that is not the cut one is named, and nothing of its run is guessed", async () => {
  const state = await stateIn(worldAt());
  const { id, path } = await written(state);
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const older = await written(state, STEPS, { ms: NOW - 1000 });
  const other = await run(state, older.id);
  const damages = [
    "",
    "garbage",
    "{}",
    '{"kind":"dancing"}',
    "[]",
    '{"kind":"writing","from":null,"to":"short"}',
  ];
  for (const index of lines.keys()) {
    for (const damage of damages) {
      writeFileSync(path, `${lines.with(index, damage).join("\n")}\n`);
      const problem = { code: "JOURNAL_DAMAGED", path };
      expect(await problemOf(readRun(state, id)), `line ${index}: ${damage}`).toEqual(problem);
      expect(await listRuns(state)).toEqual({ runs: [other], damaged: [id] });
    }
  }
  writeFileSync(path, `${lines.slice(1).join("\n")}\n`);
  expect(await problemOf(readRun(state, id)), "without its beginning").toMatchObject({
    code: "JOURNAL_DAMAGED",
  });
});

test("runs are listed newest first, those of one second too", async () => {
  const state = await stateIn(worldAt());
  const times = fc.shuffledSubarray([0, 1, 2, 250, 999, 1000, 61_000, 3_600_000], { minLength: 8 });
  const [order = []] = fc.sample(times, { numRuns: 1, seed: 7 });
  const named = new Map<number, string>();
  for (const ms of order) named.set(ms, (await written(state, [], { ms: NOW + ms })).id);
  const listed = (await listRuns(state)).runs;
  const newestFirst = [...named].sort(([a], [b]) => b - a).map(([, id]) => id);
  expect(listed.map(({ id }) => id)).toEqual(newestFirst);
});

test("what is no run, or not even begun, is not listed", async () => {
  const state = await stateIn(worldAt());
  await state.runs.makeFolder("20261122-031500-0000", 0o700);
  await state.runs.makeFolder("lost+found", 0o700);
  await state.runs.makeFolder("20261122-031501-0000", 0o700);
  writeFileSync(join(state.path, "runs", "20261122-031501-0000", "journal.jsonl"), '{"kind":"beg');
  expect(await listRuns(state)).toEqual({ runs: [], damaged: [] });
  expect(await readRun(state, "20261122-031501-0000")).toBeNull();
});

test("a name leads nowhere else", async () => {
  const state = await stateIn(worldAt());
  const { id } = await written(state);
  for (const name of [
    "",
    ".",
    "..",
    `../runs/${id}`,
    `${id}/`,
    `./${id}`,
    `${id}\n`,
    "20261122-031500-ffff",
  ]) {
    expect(await readRun(state, name), JSON.stringify(name)).toBeNull();
  }
});

test("a finished run can be marked as undone, and stays settled", async () => {
  const state = await stateIn(worldAt());
  const { id } = await written(state);
  await noteUndone(state, await run(state, id), "20261122-031600-9999");
  const marked = await run(state, id);
  expect(last(marked.entries, "undone")).toEqual({ kind: "undone", by: "20261122-031600-9999" });
  expect(isSettled(marked)).toBe(true);
});

test("a journal of a newer version with more fields is read; of a version it does not know, it is not", async () => {
  const state = await stateIn(worldAt());
  const { id, path } = await written(state);
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace('{"kind":"stopping"}', '{"kind":"stopping","politely":true}'));
  expect((await run(state, id)).entries).toHaveLength(STEPS.length + 1);
  writeFileSync(path, text.replace('"version":1', '"version":2'));
  expect(await problemOf(readRun(state, id))).toMatchObject({ code: "JOURNAL_DAMAGED" });
});

/** Written by the first version; whatever is changed since, they must be understood for ever. */
test.each([
  ["reset-with-a-code", 12, { command: "reset", wasRunning: true }, true],
  ["reset-cut-off", 7, { command: "reset", wasRunning: true }, false],
  ["undo-of-a-file", 6, { command: "undo", wasRunning: false }, true],
  ["restore-put-back", 10, { command: "restore", wasRunning: true }, true],
  ["claim-refused", 4, { command: "claim", wasRunning: true }, true],
] as const)("the journal of version 1 in %s stays readable", async (name, lines, begun, settled) => {
  const state = await stateIn(worldAt());
  const fixture = readFileSync(new URL(`../fixtures/journals/v1-${name}.jsonl`, import.meta.url));
  const id = "20261122-031500-1a2b";
  await state.runs.makeFolder(id, 0o700);
  writeFileSync(join(state.path, "runs", id, "journal.jsonl"), fixture);
  const read = await run(state, id);
  expect(read.begun).toMatchObject(begun);
  expect(isSettled(read)).toBe(settled);
  const raw = fixture.toString("utf8").trimEnd().split("\n");
  expect(raw).toHaveLength(lines);
  expect(read.entries).toEqual(raw.map((line) => JSON.parse(line) as unknown));
});

test("a line that could not be written counts as not noted, and its half does not stay in the file", async () => {
  const state = await stateIn(worldAt());
  const { id, path } = await written(state, []);
  const begun = await run(state, id);
  let refusals = 1;
  const world = watchedWorld(worldAt(), ({ name }) => {
    if (name !== "file.append" || refusals === 0) return;
    refusals -= 1;
    appendFileSync(path, '{"kind":"stopp');
    throw faultFor(name);
  });
  const journal = await Journal.resume(await stateIn(world, state.path), begun);
  await expect(journal.note({ kind: "stopping" })).rejects.toThrow("EIO");
  expect(journal.entries).toEqual(begun.entries);
  await journal.note({ kind: "putting-back" });
  await journal.close();
  expect(parsed(readFileSync(path, "utf8"))).toEqual([...begun.entries, { kind: "putting-back" }]);
});

test("what has happened already counts although it could not be written, and the next line brings it along", async () => {
  const state = await stateIn(worldAt());
  const { id, path } = await written(state, []);
  const begun = await run(state, id);
  let refusals = 1;
  const world = watchedWorld(worldAt(), ({ name }) => {
    if (name === "file.append" && refusals-- > 0) throw faultFor(name);
  });
  const journal = await Journal.resume(await stateIn(world, state.path), begun);
  await expect(journal.noteDone({ kind: "exchanged" })).rejects.toThrow("EIO");
  expect(has(journal.entries, "exchanged")).toBe(true);
  await journal.note({ kind: "stopping" });
  await journal.close();
  expect(parsed(readFileSync(path, "utf8"))).toEqual(journal.entries);
});
