/**
 * A long random campaign against the reader and editor of `Preferences.xml`, with `saxes` as the judge.
 *
 * Generated documents must be read as their model says and be edited byte for byte; damaged ones must be
 * refused with a `ProblemError`, or read as the judge reads them. Prints the seed; `--first N --count 1`
 * repeats one case. Exit 1 at the first case that fails.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { ProblemError } from "../../src/model/problem.ts";
import { Secret } from "../../src/model/secret.ts";
import type { CredentialChange } from "../../src/model/settings.ts";
import { editPreferences, isCredentialName, parsePreferences } from "../../src/stores/preferences-xml.ts";
import { scanXml } from "../../src/stores/xml-scan.ts";
import {
  type AttributeModel,
  DECLARATIONS,
  type DocumentModel,
  ENDINGS,
  EQUALS,
  latin1,
  MISC,
  meanings,
  PIECES,
  renderDocument,
  SPACES,
} from "../support/preferences-document.ts";
import { saxesReading } from "../support/xml-readers.ts";

const { values } = parseArgs({
  options: { count: { type: "string" }, seed: { type: "string" }, first: { type: "string" } },
});
const count = Number(values.count ?? 1_000_000);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const first = Number(values.first ?? 0);

const NAMES = [
  "PlexOnlineToken",
  "PlexOnlineUsername",
  "PlexOnlineMail",
  "PlexOnlineHome",
  "FriendlyName",
  "xPlexOnlineToken",
  "CertificateUUID",
  "AcceptedEULA",
  "__proto__",
  "a:b",
];
const TROUBLE = [
  "<",
  ">",
  "&",
  '"',
  "'",
  "/",
  "=",
  " ",
  "\0",
  "/>",
  "<!--",
  "-->",
  "<?",
  "?>",
  "<a/>",
  "&#",
  ";",
  "é",
];
const FIXTURES = ["pms-1.28.xml", "pms-1.40.xml", "hand-edited.xml", "identity-wiped.xml"].map(
  (name) => new Uint8Array(readFileSync(new URL(`../fixtures/preferences/${name}`, import.meta.url))),
);
const REMOVE: CredentialChange = { kind: "remove" };

type Random = (below: number) => number;

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

function pick<T>(random: Random, from: readonly T[]): T {
  return from[random(from.length)] as T;
}

function attribute(random: Random, name: string, filled: boolean): AttributeModel {
  const pieces = Array.from({ length: random(6) }, () => pick(random, PIECES));
  return {
    space: pick(random, SPACES),
    name,
    equals: pick(random, EQUALS),
    quote: pick(random, ['"', "'"] as const),
    pieces: filled ? [{ raw: "id", means: "id" }, ...pieces] : pieces,
  };
}

function documentFrom(random: Random): DocumentModel {
  const attributes = NAMES.filter(() => random(2) === 0).map((name) => attribute(random, name, false));
  for (const name of ["MachineIdentifier", "ProcessedMachineIdentifier"]) {
    attributes.splice(random(attributes.length + 1), 0, attribute(random, name, true));
  }
  return {
    byteOrderMark: random(4) === 0,
    declaration: pick(random, DECLARATIONS),
    before: pick(random, MISC),
    attributes,
    ending: pick(random, ENDINGS),
    after: pick(random, MISC),
  };
}

function replacementFrom(random: Random): CredentialChange & { kind: "replace" } {
  const text = () => Array.from({ length: random(5) }, () => pick(random, PIECES).means).join("");
  const token = new Secret(`t${text()}`);
  return { kind: "replace", credentials: { token, username: text(), mail: text() } };
}

function damaged(random: Random, bytes: Uint8Array): Uint8Array {
  let all = Buffer.from(bytes);
  for (let left = 1 + random(4); left > 0; left--) {
    const at = random(all.length + 1);
    const rest = all.subarray(Math.min(all.length, at + random(12)));
    const kind = random(5);
    if (kind === 0 && at < all.length) all[at] = random(256);
    else if (kind === 1) all = Buffer.concat([all.subarray(0, at), rest]);
    else if (kind === 2) all = all.subarray(0, at);
    else if (kind === 3)
      all = Buffer.concat([all.subarray(0, at), Buffer.from(pick(random, TROUBLE)), all.subarray(at)]);
    else all = Buffer.concat([all.subarray(0, at), all.subarray(random(all.length + 1))]);
  }
  return new Uint8Array(all);
}

class Failure extends Error {}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Failure(what);
}

function same(
  one: readonly (readonly string[])[] | undefined,
  other: readonly (readonly string[])[],
): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

const tally = { generated: 0, damagedButWellFormed: 0, refused: 0, stricterThanJudge: 0 };
const stricterReasons = new Map<string, number>();
const slowest = { micros: 0, index: 0, bytes: 0 };

/** Our answer to the bytes: the attributes, or the problem; the time is kept. */
function ourAnswer(bytes: Uint8Array, index: number): [string, string][] | ProblemError {
  const start = performance.now();
  try {
    const { attributes } = scanXml(bytes, "Preferences", "");
    return [...attributes.values()].map(({ name, value }) => [name, value]);
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  } finally {
    const micros = (performance.now() - start) * 1000;
    if (micros > slowest.micros) Object.assign(slowest, { micros, index, bytes: bytes.length });
  }
}

function generatedCase(random: Random, index: number): Uint8Array {
  const document = documentFrom(random);
  const bytes = renderDocument(document);
  const attributes = meanings(document);
  const answer = ourAnswer(bytes, index);
  must(Array.isArray(answer) && same(answer, attributes), "our reading");
  must(same(saxesReading(bytes)?.attributes, attributes), "the judge's reading");
  const others = document.attributes.filter(({ name }) => !isCredentialName(name));
  const signedOut = latin1(renderDocument({ ...document, attributes: others }));
  must(latin1(editPreferences(bytes, REMOVE)) === signedOut, "remove");
  const change = replacementFrom(random);
  const after = editPreferences(bytes, change);
  must(latin1(editPreferences(after, REMOVE)) === signedOut, "replace, then remove");
  const seen = new Map(saxesReading(after)?.attributes);
  const { token, username, mail } = change.credentials;
  const asAsked =
    seen.get("PlexOnlineToken") === token.reveal() &&
    seen.get("PlexOnlineUsername") === username &&
    seen.get("PlexOnlineMail") === mail &&
    !seen.has("PlexOnlineHome");
  must(asAsked, "replace");
  tally.generated += 1;
  return bytes;
}

function damagedCase(bytes: Uint8Array, index: number): void {
  const answer = ourAnswer(bytes, index);
  const judged = saxesReading(bytes);
  if (answer instanceof ProblemError) {
    tally.refused += 1;
    if (judged === null) return;
    tally.stricterThanJudge += 1;
    const { problem } = answer;
    const reason = "reason" in problem ? String(problem.reason) : problem.code;
    stricterReasons.set(reason, (stricterReasons.get(reason) ?? 0) + 1);
    return;
  }
  tally.damagedButWellFormed += 1;
  must(judged?.root === "Preferences" && same(judged.attributes, answer), "damaged, and accepted");
  try {
    const after = saxesReading(editPreferences(bytes, REMOVE));
    must(
      same(
        after?.attributes,
        answer.filter(([name]) => !isCredentialName(name)),
      ),
      "damaged, and edited",
    );
  } catch (error) {
    if (!(error instanceof ProblemError) || error.problem.code !== "IDENTITY_LOST") throw error;
  }
}

function oneCase(index: number): void {
  const random = randomFrom(seed + Math.imul(index, 0x632be5ab));
  let bytes: Uint8Array = new Uint8Array();
  try {
    const kind = random(8);
    bytes = kind === 0 ? pick(random, FIXTURES) : renderDocument(documentFrom(random));
    if (kind < 5) {
      bytes = damaged(random, bytes);
      damagedCase(bytes, index);
    } else bytes = generatedCase(random, index);
  } catch (error) {
    console.error(`case ${index} of seed ${seed} failed:`, error);
    console.error(Buffer.from(bytes).toString("base64"));
    process.exit(1);
  }
}

/** The editor, the reader and the judge on one typical file of 3.3 KB: median microseconds of many runs. */
function measure(): void {
  const [, typical] = FIXTURES;
  const extra = Array.from({ length: 90 }, (_, n) => ` SettingNumber${n}="a value"`).join("");
  const text = Buffer.from(typical ?? [])
    .toString()
    .replace("/>\n", `${extra}/>\n`);
  const bytes = new Uint8Array(Buffer.from(text));
  const work = {
    read: () => parsePreferences(bytes, ""),
    edit: () => editPreferences(bytes, REMOVE),
    judge: () => saxesReading(bytes),
  };
  const median = (run: () => unknown): number => {
    const times = Array.from({ length: 4000 }, () => {
      const start = performance.now();
      run();
      return (performance.now() - start) * 1000;
    }).slice(2000);
    return times.sort((a, b) => a - b)[1000] ?? 0;
  };
  const [read, edit, judge] = [median(work.read), median(work.edit), median(work.judge)];
  console.log(
    `${bytes.length} bytes: read ${read.toFixed(1)} us, edit with its self-check ${edit.toFixed(1)} us, saxes ${judge.toFixed(1)} us`,
  );
  console.log(`ratio to saxes: read ${(read / judge).toFixed(2)}, edit ${(edit / judge).toFixed(2)}`);
}

console.log(`seed ${seed}, ${count} cases from ${first}`);
const start = performance.now();
for (let index = first; index < first + count; index++) oneCase(index);
const seconds = (performance.now() - start) / 1000;
console.log(`${Math.round(count / seconds)} cases/s in ${seconds.toFixed(1)} s: ${JSON.stringify(tally)}`);
console.log(`refused although saxes accepts: ${JSON.stringify([...stricterReasons])}`);
console.log(`slowest: ${slowest.micros.toFixed(0)} us (case ${slowest.index}, ${slowest.bytes} bytes)`);
console.log(`peak memory: ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`);
measure();
