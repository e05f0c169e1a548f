/**
 * A long random campaign against the reader and writer of registry files, with a second reader as the judge.
 *
 * Generated files must be read as what they were made from; damaged ones must be refused with a `ProblemError`, or
 * read as the judge reads them, and be the same when they are written canonically and read again. The allow-list must
 * let nothing through that names another key or a deletion. Steps are counted, not timed. Prints the seed;
 * `--first N --count 1` repeats one case. Exit 1 at the first case that fails.
 */
import { parseArgs } from "node:util";
import { ProblemError } from "../../src/model/problem.ts";
import {
  type RegistryFile,
  readOwnKey,
  readRegistryFile,
  writeRegistryFile,
} from "../../src/stores/registry-file.ts";
import type { RegistryValue } from "../../src/world/windows-system.ts";
import {
  bytesOf,
  damaged,
  documentFrom,
  type MeantKey,
  OWN_KEY,
  ownDocumentFrom,
  type Random,
  valuesFrom,
} from "../support/registry-file-document.ts";
import { asksForMore, meaningOf, plain, referenceReading } from "../support/registry-file-reference.ts";
import { countSteps, STEPS_PER_UNIT } from "../support/registry-file-steps.ts";

const { values } = parseArgs({
  options: { count: { type: "string" }, seed: { type: "string" }, first: { type: "string" } },
});
const count = Number(values.count ?? 1_000_000);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const first = Number(values.first ?? 0);

/** Small, fast and the same everywhere (a mixing counter). */
function randomFrom(start: number): Random {
  let state = start | 0;
  return (below) => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % below;
  };
}

class Failure extends Error {}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Failure(what);
}

function answer<T>(of: () => T): T | ProblemError {
  try {
    return of();
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  }
}

const tally = {
  generated: 0,
  written: 0,
  damagedButRead: 0,
  letThrough: 0,
  refused: 0,
  stricterThanJudge: 0,
};
const reasons = new Map<string, number>();
const worst = { stepsPerUnit: 0, index: 0 };

/** Looks at each unit a bounded number of times, and keeps no more than the file had. */
function bounded(bytes: Uint8Array, index: number): void {
  const counted = countSteps(bytes);
  if (counted === null) return;
  const { steps, units } = counted;
  must(steps <= STEPS_PER_UNIT * (units + 1), `steps: ${steps} for ${units} units`);
  const stepsPerUnit = steps / (units + 1);
  if (stepsPerUnit > worst.stepsPerUnit) Object.assign(worst, { stepsPerUnit, index });
}

function keptIsBounded(file: RegistryFile, bytes: Uint8Array): boolean {
  const entries = file.keys.flatMap((key) => key.entries);
  const kept = entries.reduce((sum, entry) => sum + (entry.kind === "set" ? entry.value.bytes.length : 0), 0);
  return kept <= 2 * bytes.length && entries.length <= bytes.length / 5;
}

/** Written canonically it reads the same, and is the same when it is written once more. */
function survivesWriting(set: readonly RegistryValue[]): boolean {
  const written = writeRegistryFile(OWN_KEY, set);
  const again = readOwnKey(written, "", OWN_KEY);
  const byName = (list: readonly RegistryValue[]) =>
    plain(list.toSorted((one, other) => (one.name < other.name ? -1 : 1)));
  return (
    byName(again) === byName(set) &&
    Buffer.compare(writeRegistryFile(OWN_KEY, again.toReversed()), written) === 0
  );
}

function setOf(key: MeantKey): RegistryValue[] {
  return key.entries.flatMap((entry) => (entry.kind === "set" ? [entry.value] : []));
}

function allowListHolds(bytes: Uint8Array): void {
  const own = answer(() => readOwnKey(bytes, "", OWN_KEY));
  if (own instanceof ProblemError) return;
  tally.letThrough += 1;
  must(!asksForMore(bytes, OWN_KEY), "asks for more than values of the own key, and let through");
  must(survivesWriting(own), "let through, and written");
}

function generatedCase(random: Random, index: number): Uint8Array {
  const own = random(2) === 0;
  const document = own ? ownDocumentFrom(random) : documentFrom(random);
  const bytes = bytesOf(document);
  bounded(bytes, index);
  const file = answer(() => readRegistryFile(bytes, ""));
  must(!(file instanceof ProblemError) && plain(meaningOf(file)) === plain(document.meaning), "our reading");
  must(plain(referenceReading(bytes)) === plain(document.meaning), "the judge's reading");
  if (own) must(!(answer(() => readOwnKey(bytes, "", OWN_KEY)) instanceof ProblemError), "the own key");
  allowListHolds(bytes);
  tally.generated += 1;
  return bytes;
}

function writtenCase(random: Random, index: number): Uint8Array {
  const set = valuesFrom(random, 12);
  must(survivesWriting(set), "written");
  const bytes = writeRegistryFile(OWN_KEY, set);
  bounded(bytes, index);
  must(plain(referenceReading(bytes)?.map(setOf)) === plain([readOwnKey(bytes, "", OWN_KEY)]), "judged");
  tally.written += 1;
  return bytes;
}

function damagedCase(bytes: Uint8Array, index: number): void {
  bounded(bytes, index);
  allowListHolds(bytes);
  const file = answer(() => readRegistryFile(bytes, ""));
  const judged = referenceReading(bytes);
  if (file instanceof ProblemError) {
    tally.refused += 1;
    must(file.problem.code === "SETTINGS_MALFORMED", file.problem.code);
    if (judged === null) return;
    tally.stricterThanJudge += 1;
    const reason = "reason" in file.problem ? String(file.problem.reason) : "";
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    return;
  }
  tally.damagedButRead += 1;
  must(keptIsBounded(file, bytes), "kept more than the file had");
  must(plain(meaningOf(file)) === plain(judged), "damaged, and read");
  for (const key of meaningOf(file)) must(survivesWriting(setOf(key)), "damaged, and written");
}

function oneCase(index: number): void {
  const random = randomFrom(seed + Math.imul(index, 0x632be5ab));
  let bytes: Uint8Array = new Uint8Array();
  try {
    const kind = random(8);
    if (kind < 5) {
      const made = [documentFrom, ownDocumentFrom][random(2)] ?? documentFrom;
      bytes = kind === 0 ? writeRegistryFile(OWN_KEY, valuesFrom(random)) : bytesOf(made(random));
      bytes = damaged(random, bytes);
      damagedCase(bytes, index);
    } else bytes = kind === 5 ? writtenCase(random, index) : generatedCase(random, index);
  } catch (error) {
    console.error(`case ${index} of seed ${seed} failed:`, error);
    console.error(Buffer.from(bytes).toString("base64"));
    process.exit(1);
  }
}

console.log(`seed ${seed}, ${count} cases from ${first}`);
const start = performance.now();
for (let index = first; index < first + count; index++) oneCase(index);
const seconds = (performance.now() - start) / 1000;
console.log(`${Math.round(count / seconds)} cases/s in ${seconds.toFixed(1)} s: ${JSON.stringify(tally)}`);
console.log(`refused although the judge reads it: ${JSON.stringify([...reasons])}`);
console.log(`most steps per unit: ${worst.stepsPerUnit.toFixed(2)} (case ${worst.index})`);
console.log(`peak memory: ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`);
