import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { readOwnKey, writeRegistryFile } from "../../src/stores/registry-file.ts";
import { openRegistryStore } from "../../src/stores/registry-store.ts";
import { binaryValue, MemoryRegistry, sameName, textValue } from "../support/memory-registry.ts";
import {
  anyValues,
  isCredential,
  REMOVE,
  replacement,
  replaceWith,
  SIGNED_IN,
  settingsValues,
  sorted,
} from "../support/registry-arbitraries.ts";
import { problemIn, registryStoreContract } from "../support/registry-store-contract.ts";

const SID = "S-1-5-21-1-2-3-1001";
const PATH = `HKEY_USERS\\${SID}\\Software\\Plex, Inc.\\Plex Media Server`;

registryStoreContract("settings in a registry in memory", async () => {
  const registry = new MemoryRegistry();
  registry.setKey(`HKEY_USERS\\${SID}\\Software`);
  return { windows: { registry }, settingsPath: PATH };
});

async function storeOf(registry: MemoryRegistry) {
  return openRegistryStore({ registry }, { settingsPath: PATH });
}

async function placed(values: Parameters<MemoryRegistry["setKey"]>[1] = SIGNED_IN) {
  const registry = new MemoryRegistry();
  registry.setKey(PATH, values);
  const store = await storeOf(registry);
  const stored = await store.readImage();
  if (stored === null) throw new Error("there is no key");
  return { registry, store, image: stored.image };
}

function imageWith(values: Parameters<typeof writeRegistryFile>[1]) {
  const bytes = writeRegistryFile(PATH, values);
  return { bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
}

describe("any settings in a registry", () => {
  test("lose the four and nothing else when signed out; twice is once, also after a sign-in", async () => {
    await fc.assert(
      fc.asyncProperty(settingsValues, replacement, async (values, change) => {
        const { registry, store, image } = await placed(values);
        const without = await store.preview(image, REMOVE);
        const others = values.filter(({ name }) => !isCredential(name));
        expect(sorted(readOwnKey(without.bytes, "", PATH))).toEqual(sorted(others));
        expect(await store.preview(without, REMOVE)).toEqual(without);
        expect(await store.preview(await store.preview(image, change), REMOVE)).toEqual(without);
        await store.write(image, without);
        expect(registry.changes().map(({ call }) => call)).toEqual(
          Array.from({ length: values.length - others.length }, () => "deleteValue"),
        );
        expect(sorted(registry.valuesAt(PATH))).toEqual(sorted(others));
        expect(await store.isDurable()).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("hold exactly the new sign-in after a replacement, and the old values after its undo", async () => {
    await fc.assert(
      fc.asyncProperty(settingsValues, replacement, async (values, change) => {
        const { registry, store, image } = await placed(values);
        const { token, username, mail } = change.credentials;
        const fresh = await store.preview(image, change);
        await store.write(image, fresh);
        const { credentials, identity } = store.parse(fresh);
        expect(identity).toEqual(store.parse(image).identity);
        expect([credentials.token?.reveal(), credentials.username, credentials.mail]).toEqual([
          token.reveal(),
          username,
          mail,
        ]);
        expect(credentials.home).toBeUndefined();
        const standing = registry.valuesAt(PATH) ?? [];
        expect(sorted(standing.filter(({ name }) => !isCredential(name)))).toEqual(
          sorted(values.filter(({ name }) => !isCredential(name))),
        );
        for (const { name, type, bytes } of standing.filter((value) => isCredential(value.name))) {
          expect([type, bytes.length % 2, bytes.at(-1), bytes.at(-2)]).toEqual([1, 0, 0, 0]);
          const old = values.find((value) => value.name.toLowerCase() === name.toLowerCase());
          expect(name).toBe(old?.name ?? name);
        }
        await store.write(fresh, image);
        expect(sorted(registry.valuesAt(PATH))).toEqual(sorted(values));
      }),
      { numRuns: 300 },
    );
  });

  test("become any others, touched only where they differ, the token last of all", async () => {
    await fc.assert(
      fc.asyncProperty(settingsValues, anyValues, fc.nat(), async (values, others, keep) => {
        const { registry, store, image } = await placed(values);
        const kept = values.filter((_value, at) => (keep >> (at % 30)) & 1);
        const wanted = [...kept, ...others.filter(({ name }) => !kept.some((v) => sameName(v.name, name)))];
        const to = imageWith(wanted);
        const parts = store.partsOf(image, to) ?? [];
        await store.write(image, to);
        expect(sorted(registry.valuesAt(PATH))).toEqual(sorted(wanted));
        const changes = registry.changes();
        expect(changes.map(({ name }) => name)).toEqual(parts.map(({ name }) => name));
        expect(changes.filter(({ name }) => kept.some((v) => v.name === name))).toEqual([]);
        const token = changes.map(({ name = "" }) => name.toLowerCase() === "plexonlinetoken");
        expect(token).toEqual([...token].sort());
        expect(registry.calls.filter(({ call }) => call === "flush")).toHaveLength(1);
      }),
      { numRuns: 300 },
    );
  });

  test("differ by as many values outside the four as they do", () => {
    return fc.assert(
      fc.asyncProperty(settingsValues, settingsValues, async (one, other) => {
        const { store, image } = await placed(one);
        const text = (values: typeof one) =>
          values
            .filter(({ name }) => !isCredential(name))
            .map(({ name, type, bytes }) => [foldedByHand(name), `${type} ${[...bytes]}`] as const);
        const [first, second] = [new Map(text(one)), new Map(text(other))];
        const names = new Set([...first.keys(), ...second.keys()]);
        const differing = [...names].filter((name) => first.get(name) !== second.get(name)).length;
        expect(store.differences(image, imageWith(other))).toBe(differing);
        expect(store.differences(image, image)).toBe(0);
        expect(store.differences(image, { bytes: Buffer.from("?"), sha256: "" })).toBe(0);
        expect(store.differences({ bytes: Buffer.from("?"), sha256: "" }, image)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

/** As the registry compares names, written without looking at how the program does it. */
function foldedByHand(name: string): string {
  const units = name.split("").map((unit) => [unit, unit.toUpperCase()] as const);
  return units
    .map(([unit, upper]) => (upper.length > 1 || (unit > "\x7f" && upper < "\x80") ? unit : upper))
    .join("");
}

describe("settings that are not what they should be", () => {
  const identity = SIGNED_IN.slice(0, 2);
  const refused: Record<string, readonly [ReturnType<typeof textValue>, string]> = {
    "a token in bytes": [binaryValue("PlexOnlineToken", [1, 2]), "REG_BINARY"],
    "a token that expands": [textValue("plexonlinetoken", "x", 2), "REG_EXPAND_SZ"],
    "a name of many texts": [textValue("PlexOnlineUsername", "x\0", 7), "REG_MULTI_SZ"],
    "a home in text": [textValue("PlexOnlineHome", "1"), "REG_SZ"],
    "a home of eight bytes": [binaryValue("PlexOnlineHome", [1, 0, 0, 0, 0, 0, 0, 0], 11), "REG_QWORD"],
    "a home of five bytes": [binaryValue("PlexOnlineHome", [1, 0, 0, 0, 0], 4), "REG_DWORD[5]"],
    "a home of two bytes": [binaryValue("PlexOnlineHome", [1, 0], 4), "REG_DWORD[2]"],
    "a mail of an unknown type": [binaryValue("PlexOnlineMail", [], 4711), "REG_4711"],
    "an odd number of bytes": [binaryValue("PlexOnlineMail", [65, 0, 66], 1), "REG_SZ[3]"],
    "a NUL inside": [textValue("PlexOnlineMail", "a\0b"), "REG_SZ[8]"],
    "two NULs at the end": [textValue("PlexOnlineMail", "a\0"), "REG_SZ[6]"],
    "half a character": [textValue("PlexOnlineMail", "\ud800"), "REG_SZ[4]"],
    "an identity of another type": [binaryValue("CertificateUUID", [1]), "REG_BINARY"],
  };
  test.for(Object.entries(refused))("are refused with %s, and nothing is made of them", async (entry) => {
    const [, [value, type]] = entry;
    const { store, image } = await placed([...identity, value]);
    const problem = { code: "UNEXPECTED_TYPE", path: PATH, name: value.name, type };
    expect(() => store.parse(image)).toThrow(expect.objectContaining({ problem }));
    expect(await problemIn(store.preview(image, REMOVE))).toEqual(problem);
  });

  test("are read all the same when a text lacks its NUL or is empty", async () => {
    const bare = { ...textValue("PlexOnlineToken", "tok"), bytes: textValue("", "tok").bytes.slice(0, -2) };
    const { store, image } = await placed([
      ...identity,
      bare,
      binaryValue("PlexOnlineMail", [], 1),
      binaryValue("FriendlyName", [7], 3),
    ]);
    const { credentials, friendlyName } = store.parse(image);
    expect([credentials.token?.reveal(), credentials.mail, friendlyName]).toEqual(["tok", "", undefined]);
  });

  const lost: Record<string, readonly [readonly ReturnType<typeof textValue>[], string]> = {
    "no values": [[], "empty"],
    "hardly any": [SIGNED_IN.slice(3, 11), "stub"],
    "many, but no identifier": [[...SIGNED_IN.slice(2), textValue("x", "y")], "identifiers-missing"],
    "one identifier": [SIGNED_IN.slice(1, 4), "identifiers-missing"],
    "a blank identifier": [
      [textValue("MachineIdentifier", " "), ...SIGNED_IN.slice(1)],
      "identifiers-missing",
    ],
  };
  test.for(Object.entries(lost))("have lost their identity with %s", async ([, [values, reason]]) => {
    const { store, image } = await placed(values);
    const problem = { code: "IDENTITY_LOST", path: PATH, reason };
    expect(() => store.parse(image)).toThrow(expect.objectContaining({ problem }));
    expect(await problemIn(store.preview(image, REMOVE))).toEqual(problem);
  });

  test("are too large over a mebibyte of image", async () => {
    const registry = new MemoryRegistry();
    registry.setKey(PATH, [...SIGNED_IN, { name: "big", type: 3, bytes: new Uint8Array(200_000) }]);
    const problem = { code: "SETTINGS_MALFORMED", path: PATH, reason: "too-large" };
    expect(await problemIn((await storeOf(registry)).readImage())).toEqual(problem);
  });

  test("are no reason to write a sign-in that a REG_SZ cannot hold", async () => {
    const { store, image } = await placed();
    for (const change of [
      ["", "n", "m"],
      ["t\0", "n", "m"],
      ["t", "n\ud83d", "m"],
      ["t", "n", "\0"],
    ]) {
      const [token = "", username = "", mail = ""] = change;
      expect(await problemIn(store.preview(image, replaceWith(token, username, mail)))).toEqual({
        code: "PLEXTV_NONSENSE",
        status: 200,
      });
    }
  });
});

describe("the place of settings in a registry", () => {
  test("has one name for locking, whatever the case", async () => {
    const registry = new MemoryRegistry();
    const one = await openRegistryStore({ registry }, { settingsPath: PATH });
    const other = await openRegistryStore({ registry }, { settingsPath: PATH.toLowerCase() });
    const hash = createHash("sha256").update(PATH.toUpperCase()).digest("hex").slice(0, 32);
    expect([one.lockName, other.lockName]).toEqual([`settings-${hash}`, `settings-${hash}`]);
    expect([one.kind, one.location]).toEqual(["registry", PATH]);
    await one.close();
  });

  test.for([
    "HKEY_CURRENT_USER\\Software\\Plex, Inc.\\Plex Media Server",
    "HKEY_LOCAL_MACHINE\\SOFTWARE\\x",
    "HKEY_USERS\\.DEFAULT\\Software\\x",
    `HKEY_USERS\\${SID}`,
    `HKEY_USERS\\${SID}\\`,
    `HKEY_USERS\\${SID}\\a\\\\b`,
    "",
  ])("is no other than an account's key: not %s", async (path) => {
    const opened = openRegistryStore({ registry: new MemoryRegistry() }, { settingsPath: path });
    expect(await problemIn(opened)).toEqual({ code: "SETTINGS_MISSING", path });
  });

  test("may be one that this account must not read, or only read", async () => {
    const { registry, store, image } = await placed();
    const problem = { code: "NEEDS_PRIVILEGE", path: PATH, line: "" };
    const without = await store.preview(image, REMOVE);
    registry.makeReadOnly(PATH);
    expect((await store.readImage())?.image).toEqual(image);
    expect(await problemIn(store.proveWritable(1))).toEqual(problem);
    expect(await problemIn(store.write(image, without))).toEqual(problem);
    expect(sorted(registry.valuesAt(PATH))).toEqual(sorted(SIGNED_IN));
    registry.makeHidden(PATH);
    expect(await problemIn(store.readImage())).toEqual(problem);
    expect(await problemIn(store.proveWritable(1))).toEqual(problem);
    expect(await problemIn(store.write(image, without))).toEqual(problem);
  });

  test("is asked about the key above it where there is none yet", async () => {
    const registry = new MemoryRegistry();
    registry.setKey(`HKEY_USERS\\${SID}\\Software`);
    registry.makeReadOnly(`HKEY_USERS\\${SID}\\Software`);
    expect(await problemIn((await storeOf(registry)).proveWritable(1))).toMatchObject({
      code: "NEEDS_PRIVILEGE",
    });
    expect(registry.changes()).toEqual([]);
  });

  const refusals = {
    ELOOP: { code: "SETTINGS_UNSAFE", path: PATH, reason: "link-target" },
    EFBIG: { code: "SETTINGS_MALFORMED", path: PATH, reason: "too-large" },
    EBUSY: { code: "SETTINGS_CHANGED_MEANWHILE", path: PATH },
    EACCES: { code: "NEEDS_PRIVILEGE", path: PATH, line: "" },
    WIN32_1450: { code: "SYSTEM_CALL_FAILED", what: "values", path: PATH, reason: "WIN32_1450" },
  };
  test.for(Object.entries(refusals))(
    "is reported for what it is when reading says %s",
    async ([code, problem]) => {
      const { registry, store, image } = await placed();
      registry.failAt(1, code, { calls: ["values"], lasting: true });
      expect(await problemIn(store.readImage())).toEqual(problem);
      expect(await problemIn(store.proveWritable(1))).toEqual(problem);
      expect(await problemIn(store.write(image, image))).toEqual(problem);
      expect(registry.changes()).toEqual([]);
    },
  );

  test("holds nobody's secret in what is thrown", async () => {
    const { store } = await placed();
    const error = await store.write(null, imageWith(SIGNED_IN)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ProblemError);
    expect(JSON.stringify(error) + String(error)).not.toContain("old-token");
  });
});
