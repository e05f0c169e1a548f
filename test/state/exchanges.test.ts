import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Secret } from "../../src/model/secret.ts";
import { fingerprint, isDeadSignIn, noteExchange, wasSent } from "../../src/state/exchanges.ts";
import type { StateDirectory } from "../../src/state/state-directory.ts";
import { NOW, stateIn, worldAt } from "./state-of-test.ts";

const DEVICE = "0123456789abcdef0123456789abcdef01234567";
const OTHER_DEVICE = "f".repeat(40);
const CODE = new Secret("claim-aaaaaaaaaaaaaaaaaaaa");
const OTHER_CODE = new Secret("claim-bbbbbbbbbbbbbbbbbbbb");
const OLD_TOKEN = new Secret("oldTokenOldTokenOldT");
const NEW_TOKEN = new Secret("newTokenNewTokenNewT");
const OLDER_TOKEN = new Secret("olderTokenOlderToken");

type What = Parameters<typeof noteExchange>[1]["what"];

async function noted(
  state: StateDirectory,
  what: What,
  more: { code?: Secret; at?: number; replaced?: Secret; issued?: Secret } = {},
) {
  await noteExchange(state, { at: NOW, deviceId: DEVICE, code: CODE, what, ...more });
}

function saved(token: Secret, savedAt: number) {
  return { token: fingerprint(token), savedAt };
}

test.each<[string, What[], boolean]>([
  ["never heard of", [], false],
  ["about to be sent", ["sending"], true],
  ["proven not to have been sent", ["sending", "not-sent"], false],
  ["tried again after that", ["sending", "not-sent", "sending"], true],
  ["exchanged", ["sending", "exchanged"], true],
  ["exchanged for another account", ["sending", "exchanged-other"], true],
])("a code that is %s: sent or not", async (_, story, sent) => {
  const state = await stateIn(worldAt());
  await noted(state, "exchanged", { code: OTHER_CODE });
  for (const what of story) await noted(state, what);
  expect(await wasSent(state, CODE)).toBe(sent);
  expect(await wasSent(state, OTHER_CODE), "another one").toBe(true);
});

test("a sign-in is dead that an exchange replaced, or that was saved before one", async () => {
  const state = await stateIn(worldAt());
  expect(await isDeadSignIn(state, DEVICE, saved(OLD_TOKEN, 0)), "before any exchange").toBe(false);
  await noted(state, "sending");
  expect(await isDeadSignIn(state, DEVICE, saved(OLD_TOKEN, 0)), "only sent").toBe(false);
  await noted(state, "exchanged", { replaced: OLD_TOKEN, issued: NEW_TOKEN });
  expect(await isDeadSignIn(state, DEVICE, saved(OLD_TOKEN, NOW - 1))).toBe(true);
  expect(await isDeadSignIn(state, DEVICE, saved(OLD_TOKEN, NOW + 1)), "saved again later").toBe(true);
  expect(await isDeadSignIn(state, DEVICE, saved(OLDER_TOKEN, NOW)), "an older one").toBe(true);
  expect(await isDeadSignIn(state, DEVICE, saved(OLDER_TOKEN, NOW + 1)), "one that came after").toBe(false);
  expect(await isDeadSignIn(state, DEVICE, saved(NEW_TOKEN, NOW)), "the new one").toBe(false);
  expect(await isDeadSignIn(state, OTHER_DEVICE, saved(OLD_TOKEN, 0)), "another device").toBe(false);
});

test("an exchange for another account leaves the sign-in of the first one alive", async () => {
  const state = await stateIn(worldAt());
  await noted(state, "exchanged-other");
  expect(await isDeadSignIn(state, DEVICE, saved(OLD_TOKEN, NOW - 1))).toBe(false);
});

test("half a line that a crash left, of whatever length, swallows neither what was before nor what comes next", async () => {
  const state = await stateIn(worldAt());
  await noted(state, "sending", { code: OTHER_CODE });
  const path = join(state.path, "exchanges.jsonl");
  const before = readFileSync(path, "utf8");
  await noted(state, "exchanged", { replaced: OLD_TOKEN });
  const whole = readFileSync(path, "utf8");
  for (let length = before.length; length <= whole.length; length += 1) {
    writeFileSync(path, whole.slice(0, length));
    const counted = length >= whole.length - 1;
    expect(await wasSent(state, CODE), `${length}`).toBe(counted);
    await noted(state, "sending", { code: NEW_TOKEN });
    expect(await wasSent(state, NEW_TOKEN), "the next").toBe(true);
    expect(await wasSent(state, OTHER_CODE), "the one before").toBe(true);
    expect(await isDeadSignIn(state, DEVICE, saved(OLD_TOKEN, NOW)), "the torn one").toBe(counted);
  }
});

test("a line that nobody understands is passed over", async () => {
  const state = await stateIn(worldAt());
  await noted(state, "sending");
  const path = join(state.path, "exchanges.jsonl");
  const line = readFileSync(path, "utf8");
  writeFileSync(path, `garbage\n{}\n${line}[1]\n\n`);
  expect(await wasSent(state, CODE)).toBe(true);
  expect(await wasSent(state, OTHER_CODE)).toBe(false);
});

test("neither code nor token nor device can be read from it", async () => {
  const state = await stateIn(worldAt());
  await noted(state, "sending");
  await noted(state, "exchanged", { replaced: OLD_TOKEN });
  const text = readFileSync(join(state.path, "exchanges.jsonl"), "utf8");
  for (const secret of [CODE.reveal(), CODE.reveal().slice(6), OLD_TOKEN.reveal(), DEVICE]) {
    expect(text).not.toContain(secret);
  }
});
