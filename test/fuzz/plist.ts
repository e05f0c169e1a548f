/**
 * A long random campaign against the reader, writers and editor of property lists, with Python's plistlib as the judge.
 *
 * Generated trees must be read as what they are in both formats, whatever their layout and spelling, and be edited as
 * promised; damaged files must be refused with a `ProblemError`, or read the same after being written again, and as the
 * judge reads them where it accepts them. No file may cost more steps than its bytes allow. Prints the seed;
 * `--first N --count 1` repeats one case. Exit 1 at the first case that fails.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { ProblemError } from "../../src/model/problem.ts";
import { Secret } from "../../src/model/secret.ts";
import { CREDENTIAL_NAMES, type CredentialChange } from "../../src/model/settings.ts";
import { writeBinaryPlist } from "../../src/stores/plist-binary-writer.ts";
import { editPlist } from "../../src/stores/plist-settings.ts";
import {
  type Plist,
  type PlistDictionary,
  type PlistValue,
  samePlist,
  valueUnder,
} from "../../src/stores/plist-value.ts";
import { writeXmlPlist } from "../../src/stores/plist-xml-writer.ts";
import { binaryDocument } from "../support/plist-binary-document.ts";
import {
  hasPlistlib,
  isRefused,
  type Plain,
  plainOf,
  plistlibReadings,
  withoutUids,
} from "../support/plist-oracles.ts";
import { pick, type Random, randomFrom } from "../support/plist-random.ts";
import { readCounted } from "../support/plist-steps.ts";
import { ALL_BINARY, settingsTree, string } from "../support/plist-trees.ts";
import { utf8, xmlDocument, xmlText, xmlTextWithout } from "../support/plist-xml-document.ts";

const { values } = parseArgs({
  options: { count: { type: "string" }, seed: { type: "string" }, first: { type: "string" } },
});
const count = Number(values.count ?? 200_000);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const first = Number(values.first ?? 0);

/** So many files the judge reads in one process. */
const JUDGED_AT_ONCE = 2000;
const FOUR: readonly string[] = CREDENTIAL_NAMES;
const REMOVE: CredentialChange = { kind: "remove" };
const FIXTURES = ["plex-binary.plist", "plex-xml.plist"].map(
  (name) => new Uint8Array(readFileSync(new URL(`../fixtures/plist/${name}`, import.meta.url))),
);
const TROUBLE = [
  "<",
  ">",
  "&",
  "/",
  "<!--",
  "-->",
  "<?a",
  "?>",
  "<![CDATA[",
  "]]>",
  "&#",
  ";",
  "\0",
  "<dict>",
  "</dict>",
]
  .concat([
    "<key>",
    "<array>",
    "</array>",
    "<true/>",
    "<integer>",
    "<string/>",
    "<!DOCTYPE",
    "é",
    "\r",
    "bplist00",
  ])
  .concat([
    "\x5f\x10",
    "\x4f\x12\xff\xff\xff\xff",
    "\xa1\x00",
    "\xd1\x00\x00",
    "\x14",
    "\x33",
    "\x80",
    "\x0f",
  ]);

class Failure extends Error {}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Failure(what);
}

const tally = { generated: 0, damaged: 0, accepted: 0, edited: 0, refused: 0, judged: 0, judgeRefused: 0 };
const reasons = new Map<string, number>();
const most = { stepsPerByte: 0, index: 0, bytes: 0 };
const toJudge: { index: number; bytes: Uint8Array; plain: Plain }[] = [];

function read(bytes: Uint8Array, index: number): Plist | ProblemError {
  const { answer, steps, withinBounds } = readCounted(bytes);
  const stepsPerByte = steps / (bytes.length + 32);
  if (stepsPerByte > most.stepsPerByte) Object.assign(most, { stepsPerByte, index, bytes: bytes.length });
  must(withinBounds, "steps");
  return answer;
}

function mustRead(bytes: Uint8Array, index: number, what: string): Plist {
  const answer = read(bytes, index);
  if (answer instanceof ProblemError) throw new Failure(`${what}: ${JSON.stringify(answer.problem)}`);
  return answer;
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function replacementFrom(random: Random): CredentialChange & { kind: "replace" } {
  const token = new Secret(`t${string(random, { returns: true })}`);
  return { kind: "replace", credentials: { token, username: string(random), mail: string(random) } };
}

function others(root: PlistValue): PlistValue {
  must(root.kind === "dictionary", "a dictionary");
  const entries = root.kind === "dictionary" ? root.entries : [];
  return { kind: "dictionary", entries: entries.filter(([key]) => !FOUR.includes(key)) };
}

/** The edits of a file, by what its tree says; returns the file without the four. */
function editedCase(random: Random, bytes: Uint8Array, tree: PlistDictionary, index: number): Uint8Array {
  const removed = editPlist(bytes, REMOVE, "");
  must(samePlist(mustRead(removed, index, "removed").root, others(tree)), "remove");
  must(same(editPlist(removed, REMOVE, ""), removed), "remove twice");
  const change = replacementFrom(random);
  const replaced = editPlist(bytes, change, "");
  const { root } = mustRead(replaced, index, "replaced");
  must(samePlist(others(root), others(tree)), "replace keeps the others");
  const { token, username, mail } = change.credentials;
  const wanted = [token.reveal(), username, mail, undefined];
  const seen = FOUR.map((name) => (root.kind === "dictionary" ? valueUnder(root, name) : undefined));
  must(
    seen.every((value, n) => (value?.kind === "string" ? value.value : value?.kind) === wanted[n]),
    "replace",
  );
  must(same(editPlist(replaced, change, ""), replaced), "replace twice");
  must(same(editPlist(replaced, REMOVE, ""), removed), "replace, then remove");
  tally.edited += 1;
  return removed;
}

function binaryCase(random: Random, index: number): Uint8Array {
  // The judge knows no texts that are not Unicode.
  const tree = settingsTree(random, random(2) ? ALL_BINARY : { ...ALL_BINARY, binaryOnly: false });
  const written = writeBinaryPlist(tree);
  must(samePlist(mustRead(written, index, "ours").root, tree), "ours");
  const bytes = binaryDocument(random, tree);
  must(samePlist(mustRead(bytes, index, "a layout").root, tree), "a layout");
  editedCase(random, bytes, tree, index);
  return bytes;
}

function xmlCase(random: Random, index: number): Uint8Array {
  const document = xmlDocument(random, settingsTree(random, { uids: true, returns: true }));
  const bytes = utf8(xmlText(document));
  must(samePlist(mustRead(bytes, index, "a spelling").root, document.means), "a spelling");
  must(samePlist(mustRead(writeXmlPlist(document.means), index, "ours").root, document.means), "ours");
  const removed = editedCase(random, bytes, document.means, index);
  must(same(removed, utf8(xmlTextWithout(document, FOUR))), "byte for byte");
  return bytes;
}

function damaged(random: Random, bytes: Uint8Array): Uint8Array {
  let all = Buffer.from(bytes);
  for (let left = 1 + random(4); left > 0; left--) {
    // The end of a binary file is where the damage tells most.
    const at = random(3) === 0 ? Math.max(0, all.length - random(60)) : random(all.length + 1);
    const rest = all.subarray(Math.min(all.length, at + random(12)));
    const kind = random(7);
    if (kind < 2 && at < all.length) all[at] = random(256);
    else if (kind === 2 && at < all.length) all[at] = (all[at] ?? 0) ^ (1 << random(8));
    else if (kind === 3) all = Buffer.concat([all.subarray(0, at), rest]);
    else if (kind === 4 && random(3) === 0) all = all.subarray(0, at);
    else if (kind === 5)
      all = Buffer.concat([
        all.subarray(0, at),
        Buffer.from(pick(random, TROUBLE), "latin1"),
        all.subarray(at),
      ]);
    else all = Buffer.concat([all.subarray(0, at), all.subarray(random(all.length + 1))]);
  }
  return new Uint8Array(all);
}

/** Damage that keeps the layout of a binary file: bytes of objects and references only. */
function damagedObjects(random: Random, bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(bytes);
  const table = Number(Buffer.from(bytes).readBigUInt64BE(bytes.length - 8));
  for (let left = 1 + random(3); left > 0; left--) {
    const kind = random(3);
    if (kind === 0) all[8 + random(table - 8)] = random(256);
    else if (kind === 1) all[8 + random(table - 8)] = random(20);
    else all[table + random(bytes.length - 32 - table)] = random(Math.min(256, table));
  }
  return all;
}

function damagedCase(random: Random, bytes: Uint8Array, index: number): void {
  tally.damaged += 1;
  const answer = read(bytes, index);
  if (answer instanceof ProblemError) {
    tally.refused += 1;
    const { problem } = answer;
    const reason = "reason" in problem ? String(problem.reason) : problem.code;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    return;
  }
  tally.accepted += 1;
  const again = answer.format === "binary" ? writeBinaryPlist(answer.root) : writeXmlPlist(answer.root);
  must(
    samePlist(mustRead(again, index, "again").root, answer.root),
    "accepted, and the same when written again",
  );
  toJudge.push({ index, bytes, plain: plainOf(answer.root) });
  if (answer.root.kind !== "dictionary") return;
  try {
    editedCase(random, bytes, answer.root, index);
  } catch (error) {
    const expected =
      error instanceof ProblemError && ["IDENTITY_LOST", "UNEXPECTED_TYPE"].includes(error.problem.code);
    if (!expected) throw error;
  }
}

/** What the judge keeps less well than we do: dates beyond the microsecond, and carriage returns in XML. */
function coarse(plain: Plain): Plain {
  const [kind, content] = plain;
  if (kind === "array") return [kind, content.map(coarse)];
  if (kind === "dict") return [kind, content.map(([key, value]) => [returnless(key), coarse(value)])];
  return kind === "date" ? [kind, ""] : [kind, returnless(content)];
}

function returnless(text: string): string {
  return text.replace(/[\r\n]+/g, "\n");
}

function judge(): void {
  if (!judging) toJudge.length = 0;
  const cases = toJudge.splice(0);
  for (const [n, reading] of (cases.length > 0
    ? plistlibReadings(cases.map(({ bytes }) => bytes))
    : []
  ).entries()) {
    const asked = cases[n];
    if (asked === undefined) continue;
    tally.judged += 1;
    if (isRefused(reading)) {
      tally.judgeRefused += 1;
      continue;
    }
    const isBinary = Buffer.from(asked.bytes.subarray(0, 6)).toString("latin1") === "bplist";
    const ours = coarse(isBinary ? asked.plain : withoutUids(asked.plain));
    if (JSON.stringify(ours) === JSON.stringify(coarse(reading))) continue;
    failed(asked.index, new Failure("damaged, accepted, and read otherwise by plistlib"), asked.bytes);
  }
}

function failed(index: number, error: unknown, bytes: Uint8Array): never {
  console.error(`case ${index} of seed ${seed} failed:`, error);
  console.error(Buffer.from(bytes).toString("base64"));
  process.exit(1);
}

function oneCase(index: number): void {
  const random = randomFrom(seed + Math.imul(index, 0x632be5ab));
  let bytes: Uint8Array = new Uint8Array();
  try {
    const kind = random(6);
    bytes =
      random(8) === 0
        ? pick(random, FIXTURES)
        : kind % 2
          ? xmlCase(random, index)
          : binaryCase(random, index);
    if (bytes !== FIXTURES[0] && bytes !== FIXTURES[1]) tally.generated += 1;
    if (kind < 4) {
      const isBinary = bytes[0] === 0x62;
      bytes = isBinary && random(2) === 0 ? damagedObjects(random, bytes) : damaged(random, bytes);
      damagedCase(random, bytes, index);
    }
  } catch (error) {
    failed(index, error, bytes);
  }
}

const judging = hasPlistlib();
console.log(`seed ${seed}, ${count} cases from ${first}${judging ? "" : ", without python3: no judge"}`);
const start = performance.now();
for (let index = first; index < first + count; index++) {
  oneCase(index);
  if (toJudge.length >= JUDGED_AT_ONCE) judge();
}
judge();
const seconds = (performance.now() - start) / 1000;
console.log(`${Math.round(count / seconds)} cases/s in ${seconds.toFixed(1)} s: ${JSON.stringify(tally)}`);
console.log(`refused: ${JSON.stringify([...reasons])}`);
console.log(`most steps: ${most.stepsPerByte.toFixed(2)} a byte (case ${most.index}, ${most.bytes} bytes)`);
console.log(`peak memory: ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`);
