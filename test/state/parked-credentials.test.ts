import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Secret } from "../../src/model/secret.ts";
import {
  type ParkedCredentials,
  parkCredentials,
  parkedCredentials,
  removeParked,
} from "../../src/state/parked-credentials.ts";
import { watchedWorld } from "../support/faulty-world.ts";
import { stateIn, worldAt } from "./state-of-test.ts";

const DEVICE = "0123456789abcdef0123456789abcdef01234567";
const OTHER_DEVICE = "f".repeat(40);

function parkedAs(token: string, username = "jane", mail = "jane@example.com"): ParkedCredentials {
  return {
    credentials: { token: new Secret(token), username, mail },
    run: "20261122-031500-1a2b",
    accepted: true,
  };
}

/** Comparable: a secret shows nothing of itself. */
function plain(parked: ParkedCredentials | null): unknown {
  if (parked === null) return null;
  return { ...parked, credentials: { ...parked.credentials, token: parked.credentials.token.reveal() } };
}

test("whatever stands in them comes back as it was, until it is removed", async () => {
  const state = await stateIn(worldAt());
  const text = fc.string({ unit: "grapheme", maxLength: 60 });
  const parked = fc
    .record({ token: fc.string({ minLength: 1 }), username: text, mail: text, accepted: fc.boolean() })
    .map(({ token, username, mail, accepted }) => ({ ...parkedAs(token, username, mail), accepted }));
  await fc.assert(
    fc.asyncProperty(parked, async (one) => {
      await parkCredentials(state, DEVICE, one);
      expect(plain(await parkedCredentials(state, DEVICE))).toEqual(plain(one));
      expect(await parkedCredentials(state, OTHER_DEVICE)).toBeNull();
      await removeParked(state, DEVICE);
      expect(await parkedCredentials(state, DEVICE)).toBeNull();
    }),
    { numRuns: 100 },
  );
  await removeParked(state, DEVICE);
  expect(readdirSync(join(state.path, "parked"))).toEqual([]);
});

test("each device has its own; the newer ones replace the older", async () => {
  const state = await stateIn(worldAt());
  await parkCredentials(state, DEVICE, parkedAs("first"));
  await parkCredentials(state, OTHER_DEVICE, parkedAs("other"));
  await parkCredentials(state, DEVICE, parkedAs("second"));
  expect((await parkedCredentials(state, DEVICE))?.credentials.token.reveal()).toBe("second");
  expect((await parkedCredentials(state, OTHER_DEVICE))?.credentials.token.reveal()).toBe("other");
});

test("a file for another device is not believed, even where it has the name of this one", async () => {
  const state = await stateIn(worldAt());
  await parkCredentials(state, "a/b", parkedAs("secret"));
  expect((await parkedCredentials(state, "a/b"))?.credentials.token.reveal()).toBe("secret");
  expect(await parkedCredentials(state, "a_b"), "the same file name").toBeNull();
});

test("garbage, whatever its kind, counts as none", async () => {
  const state = await stateIn(worldAt());
  await parkCredentials(state, DEVICE, parkedAs("secret"));
  const path = join(state.path, "parked", `${DEVICE}.json`);
  const whole = readFileSync(path, "utf8");
  for (let length = 0; length < whole.length; length += 1) {
    writeFileSync(path, whole.slice(0, length));
    expect(await parkedCredentials(state, DEVICE), `${length} characters`).toBeNull();
  }
  const garbage = [
    "null",
    "[]",
    whole.replace('"token":"secret"', '"token":""'),
    whole.replace('"token":"secret"', '"token":7'),
    whole.replace('"version":1', '"version":2'),
    whole.replace('"username"', '"user"'),
  ];
  for (const text of garbage) {
    expect(text).not.toBe(whole);
    writeFileSync(path, text);
    expect(await parkedCredentials(state, DEVICE), text).toBeNull();
  }
  writeFileSync(path, new Uint8Array([0xff, 0x00, 0xfe]));
  expect(await parkedCredentials(state, DEVICE)).toBeNull();
});

test("a device id, which is read from a file, cannot lead out of the folder", async () => {
  const state = await stateIn(worldAt());
  const before = readdirSync(state.path).sort();
  const hostile = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("..", ".", "", "../exchanges", "/etc/passwd", "a\0b", "../".repeat(50), "x".repeat(5000)),
  );
  await fc.assert(
    fc.asyncProperty(hostile, async (device) => {
      await parkCredentials(state, device, parkedAs("secret"));
      for (const name of readdirSync(join(state.path, "parked")))
        expect(name).toMatch(/^[0-9A-Za-z_]{0,64}\.json$/);
      expect(readdirSync(state.path).sort()).toEqual(before);
      await removeParked(state, device);
      expect(readdirSync(join(state.path, "parked"))).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

test("wherever the process dies while new ones replace old ones, one of the two is there whole", async () => {
  const state = await stateIn(worldAt());
  await parkCredentials(state, DEVICE, parkedAs("old"));
  const path = join(state.path, "parked", `${DEVICE}.json`);
  const seen: string[] = [];
  const world = watchedWorld(worldAt(), () => {
    const { token } = JSON.parse(readFileSync(path, "utf8")) as { token: string };
    if (seen.at(-1) !== token) seen.push(token);
  });
  await parkCredentials(await stateIn(world, state.path), DEVICE, parkedAs("new"));
  expect(seen).toEqual(["old", "new"]);
});
