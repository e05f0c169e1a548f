import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openRegistryStore } from "../../src/stores/registry-store.ts";
import type { Image, SettingsStore } from "../../src/stores/store.ts";
import type { RegistryValue } from "../../src/world/windows-system.ts";
import { SystemError } from "../../src/world/world.ts";
import {
  CHANGING,
  dwordValue,
  MemoryRegistry,
  ProcessDied,
  type RegistryCall,
  textValue,
} from "../support/memory-registry.ts";
import {
  REMOVE,
  replacement,
  replaceWith,
  SIGNED_IN,
  settingsValues,
  sorted,
} from "../support/registry-arbitraries.ts";
import { problemIn } from "../support/registry-store-contract.ts";

const PATH = "HKEY_USERS\\S-1-5-21-1-2-3-1001\\Software\\Plex, Inc.\\Plex Media Server";
const EVERY: readonly RegistryCall["call"][] = [...CHANGING, "values", "subkeys", "flush", "mayWrite"];

interface Started {
  readonly registry: MemoryRegistry;
  readonly store: SettingsStore;
  readonly from: Image;
  readonly to: Image;
}

type Start = () => Promise<Started>;

async function standingAt(values: readonly RegistryValue[]) {
  const registry = new MemoryRegistry();
  registry.setKey(PATH, values);
  const store = await openRegistryStore({ registry }, { settingsPath: PATH });
  return { registry, store, image: await imageIn(store) };
}

async function imageIn(store: SettingsStore): Promise<Image> {
  const stored = await store.readImage();
  if (stored === null) throw new Error("there is no key");
  return stored.image;
}

/** As settings were before: other values, one more and one less of them, and another case of the token's name. */
const EARLIER: readonly RegistryValue[] = [
  ...SIGNED_IN.slice(0, 4),
  textValue("PLEXONLINETOKEN", "an earlier token"),
  textValue("FriendlyName", "Earlier"),
  dwordValue("Gone", 1),
];

const WRITES: Readonly<Record<string, Start>> = {
  remove: async () => {
    const { registry, store, image } = await standingAt(SIGNED_IN);
    return { registry, store, from: image, to: await store.preview(image, REMOVE) };
  },
  replace: async () => {
    const { registry, store, image } = await standingAt(SIGNED_IN);
    const to = await store.preview(image, replaceWith("new token", "new name", "new mail"));
    return { registry, store, from: image, to };
  },
  "first sign-in": async () => {
    const { registry, store, image } = await standingAt(SIGNED_IN.slice(0, 4));
    const to = await store.preview(image, replaceWith("new token", "new name", "new mail"));
    return { registry, store, from: image, to };
  },
  restore: async () => {
    const { image: to } = await standingAt(EARLIER);
    const { registry, store, image } = await standingAt(SIGNED_IN);
    return { registry, store, from: image, to };
  },
};

/** How many of those calls a write makes when nothing goes wrong. */
async function callsOf(start: Start, calls: readonly RegistryCall["call"][]): Promise<number> {
  const { registry, store, from, to } = await start();
  const before = registry.calls.length;
  await store.write(from, to);
  return registry.calls.slice(before).filter(({ call }) => calls.includes(call)).length;
}

describe.for(Object.entries(WRITES))("a write of several operations (%s)", ([, start]) => {
  test("is taken back when any call fails, whether or not it took effect", async () => {
    const count = await callsOf(start, EVERY);
    expect(count).toBeGreaterThan(6);
    for (let k = 1; k <= count; k += 1) {
      for (const done of [false, true]) {
        const { registry, store, from, to } = await start();
        registry.failAt(k, "WIN32_1450", { calls: EVERY, done });
        const before = registry.calls.length;
        const problem = await problemIn(store.write(from, to));
        registry.revive();
        const changing = registry.calls[before + k - 1]?.call ?? "values";
        const reading = registry.calls
          .slice(before, before + k)
          .every(({ call }) => !CHANGING.includes(call));
        const code = reading && !CHANGING.includes(changing) ? "SYSTEM_CALL_FAILED" : "REGISTRY_WRITE_FAILED";
        expect(problem).toMatchObject({ code, path: PATH, reason: "WIN32_1450" });
        expect([k, done, await imageIn(store)]).toEqual([k, done, from]);
        expect(registry.calls.findLastIndex(({ call }) => call === "flush")).toBeGreaterThanOrEqual(
          registry.calls.findLastIndex(({ call }) => CHANGING.includes(call)),
        );
      }
    }
  });

  test("is known as half done when it cannot be taken back either, and is brought back later", async () => {
    const count = await callsOf(start, CHANGING);
    let halves = 0;
    for (let k = 1; k <= count; k += 1) {
      for (const done of [false, true]) {
        const { registry, store, from, to } = await start();
        const parts = store.partsOf(from, to) ?? [];
        registry.failAt(k, "EACCES", { lasting: true, done });
        if (done) registry.beforeCall = deafAfter(k);
        const problem = await problemIn(store.write(from, to));
        registry.revive();
        registry.beforeCall = () => undefined;
        const standing = await imageIn(store);
        const untouched = standing.sha256 === from.sha256;
        expect(problem).toEqual(
          untouched
            ? { code: "NEEDS_PRIVILEGE", path: PATH, line: "" }
            : { code: "REGISTRY_WRITE_FAILED", path: PATH, reason: "EACCES" },
        );
        const half = !untouched && standing.sha256 !== to.sha256;
        expect([k, done, store.isHalfWritten(standing, from, parts)]).toEqual([k, done, half]);
        if (half) halves += 1;
        await store.write(standing, from);
        expect(await imageIn(store)).toEqual(from);
      }
    }
    expect(halves).toBeGreaterThan(0);
  });

  test("leaves a known half when the process dies between any two operations", async () => {
    const count = await callsOf(start, CHANGING);
    for (let k = 1; k <= count; k += 1) {
      for (const goOn of ["from", "to"] as const) {
        const { registry, store, from, to } = await start();
        const parts = store.partsOf(from, to) ?? [];
        expect(parts).toHaveLength(count);
        registry.dieAt(k);
        await expect(store.write(from, to)).rejects.toBeInstanceOf(ProcessDied);
        registry.revive();
        const standing = await imageIn(store);
        expect([k, store.isHalfWritten(standing, from, parts)]).toEqual([k, k > 1]);
        expect(standing.sha256 === from.sha256).toBe(k === 1);
        expect(standing.sha256).not.toBe(to.sha256);
        // The token decides who the server belongs to: as it was until the last operation, but for one that gets its
        // name in another case, which is two.
        const isLost =
          k === count && parts.filter(({ name }) => /^plexonlinetoken$/i.test(name)).length === 2;
        expect(tokenIn(store, standing)).toEqual(isLost ? undefined : tokenIn(store, from));
        await store.write(standing, goOn === "from" ? from : to);
        expect(await imageIn(store)).toEqual(goOn === "from" ? from : to);
      }
    }
  });

  test("is taken back from its last operation to its first", async () => {
    const { registry, store, from, to } = await start();
    registry.failAt(1, "WIN32_8", { calls: ["flush"] });
    expect(await problemIn(store.write(from, to))).toMatchObject({ reason: "WIN32_8" });
    const names = registry.changes().map(({ name }) => name);
    expect(names.slice(names.length / 2)).toEqual(names.slice(0, names.length / 2).reverse());
    expect(await imageIn(store)).toEqual(from);
  });

  test("needs more rights, and has changed nothing, when the first operation is denied", async () => {
    const { registry, store, from, to } = await start();
    registry.makeReadOnly(PATH);
    const problem = await problemIn(store.write(from, to));
    expect(problem).toEqual({ code: "NEEDS_PRIVILEGE", path: PATH, line: "" });
    expect(await imageIn(store)).toEqual(from);
  });

  test("fails, and takes back its own values alone, when somebody else writes at the same time", async () => {
    const count = await callsOf(start, CHANGING);
    for (let k = 1; k <= count; k += 1) {
      const { registry, store, from, to } = await start();
      const foreign = textValue("FriendlyNameOfSomebody", "else");
      let left = k;
      registry.beforeCall = ({ call }) => {
        if (!CHANGING.includes(call)) return;
        left -= 1;
        if (left === 0) registry.setKey(PATH, [...(registry.valuesAt(PATH) ?? []), foreign]);
      };
      const problem = await problemIn(store.write(from, to));
      expect(problem).toEqual({ code: "REGISTRY_WRITE_FAILED", path: PATH, reason: "read-back" });
      expect(sorted((registry.valuesAt(PATH) ?? []).filter(({ name }) => name !== foreign.name))).toEqual(
        sorted(await valuesOf(from)),
      );
      expect(registry.valuesAt(PATH)).toContainEqual(foreign);
    }
  });
});

/** From the k-th changing call on, calls report what they are told to and do nothing. */
function deafAfter(k: number): MemoryRegistry["beforeCall"] {
  let left = k;
  return ({ call, path }) => {
    if (!CHANGING.includes(call)) return;
    left -= 1;
    if (left < 0) throw new SystemError("EACCES", call, path);
  };
}

function tokenIn(store: SettingsStore, image: Image): string | undefined {
  return store.parse(image).credentials.token?.reveal();
}

async function valuesOf(image: Image): Promise<readonly RegistryValue[]> {
  const { readOwnKey } = await import("../../src/stores/registry-file.ts");
  return readOwnKey(image.bytes, "", PATH);
}

describe("a write between any two settings", () => {
  const pairs = fc.tuple(settingsValues, settingsValues, fc.nat());

  test("is known as half done wherever it dies, goes on to either end, and is told from anything else", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, fc.nat(), async ([before, after, keep], at) => {
        const wanted = mixed(before, after, keep);
        const { image: to } = await standingAt(wanted);
        const { registry, store, image: from } = await standingAt(before);
        const parts = store.partsOf(from, to) ?? [];
        if (parts.length === 0) return;
        const k = 1 + (at % parts.length);
        registry.dieAt(k);
        await expect(store.write(from, to)).rejects.toBeInstanceOf(ProcessDied);
        registry.revive();
        const standing = await imageIn(store);
        expect(store.isHalfWritten(standing, from, parts)).toBe(k > 1);
        expect(store.isHalfWritten(from, from, parts)).toBe(false);
        expect(store.isHalfWritten(to, from, parts)).toBe(false);
        const { image: foreign } = await standingAt([
          ...(registry.valuesAt(PATH) ?? []).filter(({ name }) => name !== "Foreign"),
          textValue("Foreign", "value"),
        ]);
        // Something besides may have changed since: a server rewrites its settings.
        expect(store.isHalfWritten(foreign, from, parts)).toBe(k > 1);
        await store.write(standing, at % 2 === 0 ? from : to);
        expect(await imageIn(store)).toEqual(at % 2 === 0 ? from : to);
      }),
      { numRuns: 300 },
    );
  });

  test("ends where it began when any operation fails once", async () => {
    await fc.assert(
      fc.asyncProperty(
        settingsValues,
        replacement,
        fc.nat(),
        fc.boolean(),
        async (values, change, at, done) => {
          const { registry, store, image: from } = await standingAt(values);
          const to = await store.preview(from, change);
          const parts = store.partsOf(from, to) ?? [];
          if (parts.length === 0) return;
          registry.failAt(1 + (at % parts.length), "WIN32_8", { done });
          expect(await problemIn(store.write(from, to))).toEqual({
            code: "REGISTRY_WRITE_FAILED",
            path: PATH,
            reason: "WIN32_8",
          });
          expect(sorted(registry.valuesAt(PATH))).toEqual(sorted(values));
        },
      ),
      { numRuns: 300 },
    );
  });

  function mixed(before: readonly RegistryValue[], after: readonly RegistryValue[], keep: number) {
    const kept = before.filter((_value, index) => (keep >> (index % 30)) & 1);
    const isKept = (name: string) => kept.some((value) => value.name.toUpperCase() === name.toUpperCase());
    return [...kept, ...after.filter(({ name }) => !isKept(name))];
  }
});

describe("what is told of a half-written state", () => {
  test("does not cover a part with a third value, nor images that cannot be read", async () => {
    const { store, image: from } = await standingAt(SIGNED_IN);
    const to = await store.preview(from, replaceWith("new token", "new name", "new mail"));
    const parts = store.partsOf(from, to) ?? [];
    expect(parts.map(({ name, to: end }) => [name, end === null])).toEqual([
      ["PlexOnlineHome", true],
      ["PlexOnlineMail", false],
      ["PlexOnlineUsername", false],
      ["PlexOnlineToken", false],
    ]);
    expect(JSON.stringify(parts)).not.toContain("new");
    const third = SIGNED_IN.map((value) =>
      value.name === "PlexOnlineMail" ? textValue(value.name, "third") : value,
    );
    const { image: other } = await standingAt(third);
    expect(store.isHalfWritten(other, from, parts)).toBe(false);
    const retyped = SIGNED_IN.map((value) =>
      value.name === "PlexOnlineMail" ? { ...value, type: 2 } : value,
    );
    expect(store.isHalfWritten((await standingAt(retyped)).image, from, parts)).toBe(false);
    const noImage = { bytes: Buffer.from("nonsense"), sha256: "" };
    expect(store.isHalfWritten(noImage, from, parts)).toBe(false);
    expect(store.isHalfWritten(from, noImage, parts)).toBe(false);
    expect(store.partsOf(from, from)).toEqual([]);
    expect(store.partsOf(null, from)).toHaveLength(SIGNED_IN.length);
  });

  test("is not needed for a key that was made in vain: it has no values again", async () => {
    const { image } = await standingAt(SIGNED_IN);
    const count = SIGNED_IN.length + 1;
    for (let k = 1; k <= count; k += 1) {
      const registry = new MemoryRegistry();
      registry.setKey("HKEY_USERS\\S-1-5-21-1-2-3-1001\\Software");
      const store = await openRegistryStore({ registry }, { settingsPath: PATH });
      registry.failAt(k, "WIN32_8");
      expect(await problemIn(store.write(null, image))).toMatchObject({ code: "REGISTRY_WRITE_FAILED" });
      expect(registry.valuesAt(PATH) ?? []).toEqual([]);
      await store.write(null, image);
      expect(await imageIn(store)).toEqual(image);
    }
  });
});
