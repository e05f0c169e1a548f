import { expect, test } from "vitest";
import type { SettingsStore } from "../../src/stores/store.ts";
import { REMOVE, replaceWith } from "../support/defaults-contents.ts";
import {
  IN_USE,
  imageIn,
  layDown,
  macWith,
  others,
  PLIST,
  storeOn,
} from "../support/defaults-store-contract.ts";
import { ProcessDied } from "../support/mac-tools.ts";
import { integer, type MacValue, string } from "../support/mac-values.ts";
import { problemIn } from "../support/registry-store-contract.ts";

const EARLIER = new Map<string, MacValue>([
  ...others(IN_USE),
  ["Gone", integer(1)],
  ["FriendlyName", string("Earlier")],
]);
const KINDS = ["fails", "fails-after", "dies-after", "hangs", "dies-before"] as const;

/** Every call of every write is struck once here; `defaults-faults.test.ts` strikes each in all ways. */
test.each([
  ["remove", "merges"],
  ["replace", "replaces"],
  ["restore", "merges"],
] as const)(
  "a %s, import %s, whose tools fail or whose process dies leaves a known state",
  async (write, way) => {
    const mac = await macWith(EARLIER, { import: way });
    const earlier = await imageIn(await storeOn(mac));
    await layDown(mac, IN_USE);
    const from = await imageIn(await storeOn(mac));
    const wanted = {
      remove: (store: SettingsStore) => store.preview(from, REMOVE),
      replace: (store: SettingsStore) => store.preview(from, replaceWith("t", "n", "m")),
      restore: async () => earlier,
    };
    let struck = true;
    for (let at = 1; struck; at += 1) {
      await layDown(mac, IN_USE);
      const store = await storeOn(mac);
      const to = await wanted[write](store);
      const calls = mac.calls;
      mac.fault({ at, kind: KINDS[at % KINDS.length] ?? "fails" });
      const error = await store.write(from, to).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      mac.fault(null);
      struck = mac.calls - calls >= at;
      const after = await imageIn(await storeOn(mac));
      const known = store.isHalfWritten(after, from, store.partsOf(from, to) ?? []) ? "half" : after.sha256;
      if (error === null) expect([at, known]).toEqual([at, to.sha256]);
      else if (error instanceof ProcessDied) expect(["half", from.sha256, to.sha256]).toContain(known);
      else {
        expect(await problemIn(Promise.reject(error))).toMatchObject({ path: PLIST });
        expect([at, known]).toEqual([at, from.sha256]);
      }
    }
  },
);
