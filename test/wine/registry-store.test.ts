import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRegistryStore } from "../../src/stores/registry-store.ts";
import type { Registry } from "../../src/world/windows-system.ts";
import { SystemError } from "../../src/world/world.ts";
import { replaceWith, SIGNED_IN, sorted } from "../support/registry-arbitraries.ts";
import { problemIn, registryStoreContract } from "../support/registry-store-contract.ts";
import { openWine, type WineMachine } from "../support/wine.ts";
import type { WindowsBridge } from "../support/wine-bridge.ts";
import { whyNoWine } from "../support/wine-launch.ts";

const reason = whyNoWine();
const ENDINGS = ["is refused", "is done and refused", "dies"] as const;

describe.skipIf(reason !== null)(
  `the registry of Windows${reason === null ? "" : ` (skipped: ${reason})`}`,
  () => {
    let machine: WineMachine | undefined;
    let windows: WindowsBridge | undefined;
    let keys = 0;

    beforeAll(async () => {
      machine = await openWine();
      windows = await machine.bridge();
    });
    afterAll(() => machine?.close());

    const bench = async () => {
      if (windows === undefined) throw new Error("there is no machine");
      keys += 1;
      const account = `HKEY_USERS\\${windows.self.sid}`;
      return { windows, settingsPath: `${account}\\Software\\Plex, Inc. ${keys}\\Plex Media Server` };
    };

    registryStoreContract("settings in it", bench);

    const steps = [1, 2, 3, 4].flatMap((k) => ENDINGS.map((ending) => [k, ending] as const));
    test.for(steps)(
      "are as before when operation %i of four fails, or a known half (%s)",
      async ([k, ending]) => {
        const { windows: real, settingsPath } = await bench();
        const key = { root: "HKEY_USERS" as const, path: settingsPath.slice("HKEY_USERS\\".length) };
        await real.registry.createKey(key);
        for (const value of SIGNED_IN) await real.registry.setValue(key, value);
        const store = await openRegistryStore(real, { settingsPath });
        const from = (await store.readImage())?.image;
        if (from === undefined) throw new Error("there is no key");
        const to = await store.preview(from, replaceWith("new token", "Ана", "new@example.org"));
        const parts = store.partsOf(from, to) ?? [];
        expect(parts).toHaveLength(4);

        const failing = await openRegistryStore(
          { registry: endingAt(real.registry, k, ending) },
          { settingsPath },
        );
        const write = failing.write(from, to);
        if (ending === "dies") {
          await expect(write).rejects.toThrow("died");
          const standing = (await store.readImage())?.image ?? from;
          expect(store.isHalfWritten(standing, from, parts)).toBe(k > 1);
          expect(standing.sha256 === from.sha256).toBe(k === 1);
          await store.write(standing, from);
        } else {
          expect(await problemIn(write)).toMatchObject({
            code: "REGISTRY_WRITE_FAILED",
            reason: "WIN32_1450",
          });
        }
        expect(sorted(await real.registry.values(key))).toEqual(sorted(SIGNED_IN));
      },
    );
  },
);

/** The same registry, but for the k-th operation; after a death nothing more reaches it. */
function endingAt(real: Registry, k: number, ending: (typeof ENDINGS)[number]): Registry {
  let left = k;
  const dead = () => ending === "dies" && left <= 0;
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    if (dead()) throw new Error("died");
    return work();
  };
  const operation = async (work: () => Promise<void>): Promise<void> => {
    left -= 1;
    if (left !== 0 || dead()) return guard(work);
    if (ending === "is done and refused") await work();
    throw new SystemError("WIN32_1450", "RegSetValueExW", "");
  };
  return {
    ...real,
    values: (key) => guard(() => real.values(key)),
    subkeys: (key) => guard(() => real.subkeys(key)),
    flush: (key) => guard(() => real.flush(key)),
    setValue: (key, value) => operation(() => real.setValue(key, value)),
    deleteValue: (key, name) => operation(() => real.deleteValue(key, name)),
  };
}
