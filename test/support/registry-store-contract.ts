import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type Problem, ProblemError } from "../../src/model/problem.ts";
import { readOwnKey } from "../../src/stores/registry-file.ts";
import { openRegistryStore } from "../../src/stores/registry-store.ts";
import type { Image, SettingsStore } from "../../src/stores/store.ts";
import type { RegistryKey, RegistryValue, WindowsSystem } from "../../src/world/windows-system.ts";
import { binaryValue, dwordValue, textValue } from "./memory-registry.ts";
import { isCredential, REMOVE, replaceWith, SIGNED_IN, sorted } from "./registry-arbitraries.ts";

/** A registry, and the path of a key in it (and of the ones above it) that nobody has made yet. */
export interface RegistryBench {
  readonly windows: Pick<WindowsSystem, "registry">;
  readonly settingsPath: string;
}

/**
 * What the store of settings promises on any registry, real or simulated, through the port alone. `bench` gives
 * another key each time.
 */
export function registryStoreContract(title: string, bench: () => Promise<RegistryBench>): void {
  const place = async (values: readonly RegistryValue[] | null): Promise<Placed> => {
    const { windows, settingsPath } = await bench();
    const key = keyOf(settingsPath);
    if (values !== null) await windows.registry.createKey(key);
    for (const value of values ?? []) await windows.registry.setValue(key, value);
    const store = await openRegistryStore(windows, { settingsPath });
    return { store, key, settingsPath, windows, standing: () => windows.registry.values(key) };
  };

  describe(title, () => {
    test("has no image where there is no key, and one without values where it is empty", async () => {
      expect(await (await place(null)).store.readImage()).toBeNull();
      const { store } = await place([]);
      const stored = await store.readImage();
      expect(stored?.metadata).toBeNull();
      expect(() => store.parse(stored?.image ?? NO_IMAGE)).toThrow("IDENTITY_LOST");
    });

    test("reads all values of the key, whatever their type and script, and nothing below it", async () => {
      const values = [...SIGNED_IN, ...ODD];
      const { store, key, windows, settingsPath } = await place(values);
      const below = { ...key, path: `${key.path}\\Below` };
      await windows.registry.createKey(below);
      await windows.registry.setValue(below, textValue("PlexOnlineToken", "not this one"));
      const { image } = await imageIn(store);
      expect(sorted(readOwnKey(image.bytes, "", settingsPath))).toEqual(sorted(values));
      expect(image.sha256).toBe(createHash("sha256").update(image.bytes).digest("hex"));
      await store.write(image, await store.preview(image, REMOVE));
      expect(await windows.registry.values(below)).toHaveLength(1);
    });

    test("has the same image whatever order the values are in", async () => {
      const { store, key, windows } = await place(SIGNED_IN);
      const { image } = await imageIn(store);
      for (const value of [...SIGNED_IN].reverse()) await windows.registry.deleteValue(key, value.name);
      for (const value of [...SIGNED_IN].reverse()) await windows.registry.setValue(key, value);
      expect((await imageIn(store)).image.sha256).toBe(image.sha256);
    });

    test("signs out: the four are gone, all else stands as it was, and comes back exactly", async () => {
      const values = [...SIGNED_IN, ...ODD];
      const { store, standing } = await place(values);
      const { image } = await imageIn(store);
      const without = await store.preview(image, REMOVE);
      await store.write(image, without);
      expect(sorted(await standing())).toEqual(sorted(values.filter(({ name }) => !isCredential(name))));
      expect((await imageIn(store)).image).toEqual(without);
      expect(store.differences(image, without)).toBe(0);
      await store.write(without, image);
      expect(sorted(await standing())).toEqual(sorted(values));
      expect((await imageIn(store)).image).toEqual(image);
    });

    test("signs in anew, and what was not there before is gone again after an undo", async () => {
      const values = SIGNED_IN.filter(({ name }) => !isCredential(name) || name === "PlexOnlineHome");
      const { store, standing } = await place(values);
      const { image } = await imageIn(store);
      const fresh = await store.preview(image, replaceWith("new token", "Ана 日本 😀", "new@example.org"));
      await store.write(image, fresh);
      expect(sorted(await standing())).toEqual(
        sorted([
          ...values.filter(({ name }) => name !== "PlexOnlineHome"),
          textValue("PlexOnlineToken", "new token"),
          textValue("PlexOnlineUsername", "Ана 日本 😀"),
          textValue("PlexOnlineMail", "new@example.org"),
        ]),
      );
      const { credentials } = store.parse((await imageIn(store)).image);
      expect(credentials.token?.reveal()).toBe("new token");
      expect([credentials.username, credentials.mail, credentials.home]).toEqual([
        "Ана 日本 😀",
        "new@example.org",
        undefined,
      ]);
      await store.write(fresh, image);
      expect(sorted(await standing())).toEqual(sorted(values));
    });

    test("finds the values in any case, and gives them back in the case that they had", async () => {
      const values = SIGNED_IN.map((value) => ({ ...value, name: value.name.toUpperCase() }));
      const { store, standing } = await place(values);
      const { image } = await imageIn(store);
      expect(store.parse(image).credentials.home).toBe("1");
      await store.write(image, await store.preview(image, REMOVE));
      expect(await standing()).toHaveLength(values.length - 4);
      await store.write((await imageIn(store)).image, image);
      expect(sorted(await standing())).toEqual(sorted(values));
    });

    test("writes an image whose names differ from those that stand there in case alone", async () => {
      const { store, standing } = await place(SIGNED_IN);
      const { image } = await imageIn(store);
      const other = await place(SIGNED_IN.map((value) => ({ ...value, name: value.name.toLowerCase() })));
      const wanted = await store.preview(image, replaceWith("t", "n", "m"));
      const { image: lower } = await imageIn(other.store);
      const moved = imageFor(store, other.settingsPath, lower);
      await store.write(image, moved);
      expect(sorted(await standing())).toEqual(sorted(await other.standing()));
      await store.write(moved, wanted);
      expect((await imageIn(store)).image).toEqual(wanted);
    });

    test("makes a key that is not there, and does so over nobody's values", async () => {
      const { store, standing } = await place(null);
      const elsewhere = await place(SIGNED_IN);
      const image = imageFor(store, elsewhere.settingsPath, (await imageIn(elsewhere.store)).image);
      await store.write(null, image);
      expect(sorted(await standing())).toEqual(sorted(SIGNED_IN));
      expect(await problemIn(store.write(null, image))).toMatchObject({ code: "SETTINGS_CHANGED_MEANWHILE" });
      expect(sorted(await standing())).toEqual(sorted(SIGNED_IN));
    });

    const meanwhile: Record<string, (placed: Placed) => Promise<void>> = {
      "another value": ({ windows, key }) => windows.registry.setValue(key, textValue("FriendlyName", "x")),
      "a value's type": ({ windows, key }) =>
        windows.registry.setValue(key, { ...textValue("FriendlyName", "Büro"), type: 2 }),
      "a new value": ({ windows, key }) => windows.registry.setValue(key, dwordValue("New", 1)),
      "a value that went": ({ windows, key }) => windows.registry.deleteValue(key, "AcceptedEULA"),
    };
    test.for(Object.entries(meanwhile))("refuses over %s that somebody changed", async ([, change]) => {
      const placed = await place(SIGNED_IN);
      const { image } = await imageIn(placed.store);
      await change(placed);
      const before = sorted(await placed.standing());
      const to = await placed.store.preview(image, REMOVE);
      expect(await problemIn(placed.store.write(image, to))).toEqual({
        code: "SETTINGS_CHANGED_MEANWHILE",
        path: placed.settingsPath,
      });
      expect(sorted(await placed.standing())).toEqual(before);
    });

    test("proves that it may write without a trace, also where the key is not there yet", async () => {
      const there = await place(SIGNED_IN);
      await there.store.proveWritable(4_000);
      expect(sorted(await there.standing())).toEqual(sorted(SIGNED_IN));
      const missing = await place(null);
      await missing.store.proveWritable(4_000);
      expect(await missing.standing()).toBeNull();
    });
  });
}

interface Placed {
  readonly store: SettingsStore;
  readonly key: RegistryKey;
  readonly settingsPath: string;
  readonly windows: Pick<WindowsSystem, "registry">;
  standing(): Promise<readonly RegistryValue[] | null>;
}

/** All types, and bytes that are not what their type says. */
const ODD: readonly RegistryValue[] = [
  textValue("", "the default one"),
  textValue("Expand", "%SystemRoot%\\x", 2),
  { ...textValue("Unterminated", "Ω😀"), bytes: textValue("", "Ω😀").bytes.slice(0, -2) },
  textValue("Many", "one\0two\0", 7),
  textValue('Quote " and \\', 'a "b" \\ c'),
  binaryValue("Bytes", [0, 1, 2, 0xff, 0xfe]),
  binaryValue("Nothing", [], 0),
  binaryValue("EmptyText", [], 1),
  binaryValue("ShortNumber", [1, 2], 4),
  binaryValue("Big", [1, 2, 3, 4], 5),
  binaryValue("Quad", [1, 2, 3, 4, 5, 6, 7, 8], 11),
  textValue("Имя 日本", "текст"),
];

const NO_IMAGE: Image = { bytes: new Uint8Array(), sha256: "" };

async function imageIn(store: SettingsStore): Promise<{ readonly image: Image }> {
  const stored = await store.readImage();
  if (stored === null) throw new Error("there is no key");
  return stored;
}

/** The same values as the image of another key has. */
function imageFor(store: SettingsStore, path: string, image: Image): Image {
  const text = Buffer.from(image.bytes).toString("utf16le").replace(`[${path}]`, `[${store.location}]`);
  const bytes = new Uint8Array(Buffer.from(text, "utf16le"));
  return { bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
}

function keyOf(settingsPath: string): RegistryKey {
  return { root: "HKEY_USERS", path: settingsPath.slice("HKEY_USERS\\".length) };
}

/** The problem that ends the work; fails when it ends well or by anything else. */
export async function problemIn(work: Promise<unknown>): Promise<Problem> {
  const error = await work.then(
    () => new Error("it ended well"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ProblemError)) throw error;
  return error.problem;
}
