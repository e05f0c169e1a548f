import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readOwnKey, readRegistryFile, writeRegistryFile } from "../../src/stores/registry-file.ts";
import type { RegistryValue } from "../../src/world/windows-system.ts";
import { ownRegistryDocument, registryValues } from "../support/registry-file-arbitraries.ts";
import { bytesOf, type RegistryDocument } from "../support/registry-file-document.ts";
import { openWine, type WineMachine } from "../support/wine.ts";
import type { WindowsBridge } from "../support/wine-bridge.ts";
import { whyNoWine } from "../support/wine-launch.ts";

const reason = whyNoWine();
const PARENT = "Software\\Registry files";
/** The port sets none. */
const REG_LINK = 6;
const PADDED: ReadonlySet<number> = new Set([1, 2, 7]);

function byName(values: readonly RegistryValue[]): RegistryValue[] {
  return values.toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

/** Text without a NUL at its end gets one in an import. */
function imported(values: readonly RegistryValue[]): RegistryValue[] {
  return byName(values).map((value) => {
    const { type, bytes } = value;
    const open = PADDED.has(type) && bytes.length > 0 && (bytes.at(-1) !== 0 || bytes.at(-2) !== 0);
    return open ? { ...value, bytes: Uint8Array.of(...bytes, 0, 0) } : value;
  });
}

/** Without text that ends inside a character: Wine's import dies of some. */
function whole(values: readonly RegistryValue[]): RegistryValue[] {
  return values.filter(({ type, bytes }) => !PADDED.has(type) || bytes.length % 2 === 0);
}

/** What Wine's export does not garble: it ends text at a NUL or escapes its line breaks, and takes any number for 4 bytes. */
function exported(values: readonly RegistryValue[]): RegistryValue[] {
  return byName(values).filter(({ type, bytes }) => {
    if (type === REG_LINK) return false;
    if (type === 4) return bytes.length === 4 || bytes.length === 0;
    return type !== 1 || /^[^\0\r\n]*\0$/.test(Buffer.from(bytes).toString("utf16le"));
  });
}

function setIn({ meaning }: RegistryDocument): RegistryValue[] {
  const entries = meaning.flatMap((key) => key.entries);
  return entries.flatMap((entry) => (entry.kind === "set" ? [entry.value] : []));
}

describe.skipIf(reason !== null)(
  `reg.exe of Wine, an implementation of its own${reason === null ? "" : ` (skipped: ${reason})`}`,
  () => {
    let machine: WineMachine;
    let windows: WindowsBridge;
    let root: string;

    beforeAll(async () => {
      machine = await openWine();
      windows = await machine.bridge();
      root = `HKEY_USERS\\${windows.self.sid}\\`;
    });
    afterAll(() => machine?.close());

    async function reg(...args: string[]): Promise<void> {
      const { status, stdout, stderr } = await machine.run("reg.exe", args);
      expect([args[0], status, status === 0 ? "" : stdout + stderr]).toEqual([args[0], 0, ""]);
    }

    async function importFile(name: string, bytes: Uint8Array): Promise<void> {
      const file = join(machine.shared, name);
      writeFileSync(file, bytes);
      await reg("import", machine.windowsPath(file));
    }

    async function valuesIn(path: string): Promise<readonly RegistryValue[]> {
      return byName((await windows.registry.values({ root: "HKEY_USERS", path: keyBelow(path) })) ?? []);
    }

    function keyBelow(path: string): string {
      return `${windows.self.sid}\\${path}`;
    }

    test("imports one whole file of ours as it is", async () => {
      const path = `${PARENT}\\one`;
      const values: RegistryValue[] = [
        { name: "", type: 1, bytes: new Uint8Array(Buffer.from('C:\\"日本" 😀\0', "utf16le")) },
        { name: 'a "name"\\', type: 4, bytes: Uint8Array.of(1, 2, 3, 0xff) },
        { name: "bytes", type: 3, bytes: Uint8Array.from({ length: 400 }, (_, index) => index % 256) },
        { name: "Zahl", type: 0xffff_ffff, bytes: new Uint8Array() },
      ];
      await importFile("one.reg", writeRegistryFile(root + path, values));
      expect(await valuesIn(path)).toEqual(byName(values));
    });

    test("gets from our files the values that we wrote", async () => {
      const sets = fc.sample(registryValues, 120).map(whole);
      const texts = sets.map((values, index) => {
        const text = Buffer.from(writeRegistryFile(`${root}${PARENT}\\w${index}`, values)).toString(
          "utf16le",
        );
        return index === 0 ? text : text.slice(text.indexOf("["));
      });
      await importFile("written.reg", new Uint8Array(Buffer.from(texts.join(""), "utf16le")));
      for (const [index, values] of sets.entries()) {
        expect([index, await valuesIn(`${PARENT}\\w${index}`)]).toEqual([index, imported(values)]);
      }
      expect(sets.flat().length).toBeGreaterThan(250);
    });

    test.each(["utf16", "regedit4"])(
      "reads every spelling that we read, in the same way (%s)",
      async (encoding) => {
        const documents = fc
          .sample(ownRegistryDocument, 400)
          .filter((one) => one.encoding === encoding && whole(setIn(one)).length === setIn(one).length);
        const texts = documents.map(({ text, meaning }, index) => {
          const spelled = `[${meaning[0]?.path}]`;
          const moved = text.replace(spelled, () => `[${root}${PARENT}\\${encoding}${index}]`);
          return index === 0 ? moved : moved.slice(moved.indexOf("\n") + 1);
        });
        const bytes = bytesOf({
          encoding: encoding === "utf16" ? "utf16" : "regedit4",
          text: texts.join("\r\n"),
        });
        const file = readRegistryFile(bytes, "");
        await importFile(`${encoding}.reg`, bytes);
        let compared = 0;
        for (const [index, document] of documents.entries()) {
          const values = setIn(document);
          const names = new Set(values.map(({ name }) => name));
          const theirs = await valuesIn(`${PARENT}\\${encoding}${index}`);
          expect([index, theirs.filter(({ name }) => names.has(name))]).toEqual([index, imported(values)]);
          compared += values.length;
        }
        expect(file.keys).toHaveLength(documents.length);
        expect(compared).toBeGreaterThan(100);
      },
    );

    test("exports values that were set by the registry's own calls as we read them", async () => {
      const sets = fc.sample(registryValues, 60).map(exported);
      for (const [index, values] of sets.entries()) {
        const key = { root: "HKEY_USERS", path: keyBelow(`${PARENT}\\exported\\k${index}`) } as const;
        await windows.registry.createKey(key);
        for (const value of values) await windows.registry.setValue(key, value);
      }
      const file = join(machine.shared, "exported.reg");
      await reg("export", `${root}${PARENT}\\exported`, machine.windowsPath(file), "/y");
      const { keys } = readRegistryFile(new Uint8Array(readFileSync(file)), "");
      const found = new Map(keys.map((key) => [key.path, key]));
      for (const [index, values] of sets.entries()) {
        const entries = found.get(`${root}${PARENT}\\exported\\k${index}`)?.entries ?? [];
        const read = entries.flatMap((entry) => (entry.kind === "set" ? [entry.value] : []));
        expect([index, byName(read)]).toEqual([index, values]);
      }
      expect(sets.flat().length).toBeGreaterThan(80);
    });

    test("exports a key byte for byte as we write it, where both sort alike", async () => {
      const path = `${PARENT}\\alike`;
      const key = { root: "HKEY_USERS", path: keyBelow(path) } as const;
      const values: RegistryValue[] = [
        { name: "", type: 1, bytes: new Uint8Array(Buffer.from('x\\"\0', "utf16le")) },
        { name: "AcceptedEULA", type: 4, bytes: Uint8Array.of(1, 0, 0, 0) },
        { name: "b".repeat(70), type: 3, bytes: new Uint8Array(80) },
        { name: "c".repeat(90), type: 7, bytes: new Uint8Array(80) },
        { name: "Dienst", type: 2, bytes: new Uint8Array(26) },
        ...Array.from({ length: 40 }, (_, n) => ({
          name: `e${10 + n}${"e".repeat(n)}`,
          type: 11,
          bytes: new Uint8Array(n + 8),
        })),
      ];
      await windows.registry.createKey(key);
      for (const value of values) await windows.registry.setValue(key, value);
      const file = join(machine.shared, "alike.reg");
      await reg("export", root + path, machine.windowsPath(file), "/y");
      const theirs = new Uint8Array(readFileSync(file));
      expect(byName(readOwnKey(theirs, "", root + path))).toEqual(byName(values));
      expect(Buffer.from(writeRegistryFile(root + path, values)).toString("utf16le")).toBe(
        Buffer.from(theirs).toString("utf16le"),
      );
    });
  },
);
