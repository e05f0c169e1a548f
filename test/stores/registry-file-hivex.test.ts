import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readRegistryFile, writeRegistryFile } from "../../src/stores/registry-file.ts";
import type { RegistryValue } from "../../src/world/windows-system.ts";
import { registryValues } from "../support/registry-file-arbitraries.ts";
import { hasHivex, openScratchHive, type ScratchHive } from "../support/registry-file-hive.ts";

const ROOT = "HKEY_USERS\\S-1-5-21-1-2-3-1001";
const PARENT = `${ROOT}\\Software`;
const HEADER = "Windows Registry Editor Version 5.00\n\n";

/** hivex takes names in UTF-8 alone, and Perl warns of what is no character. */
function isForHivex({ name }: RegistryValue): boolean {
  return !/[\p{Cs}\ufffe]/u.test(name);
}

function byName(values: readonly RegistryValue[]): RegistryValue[] {
  return values.toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

/** Our file as Perl takes it: UTF-8 and LF. */
function ourFile(key: string, values: readonly RegistryValue[]): string {
  const text = Buffer.from(writeRegistryFile(key, values)).toString("utf16le");
  return text.slice(1).replaceAll("\r\n", "\n");
}

describe.skipIf(!hasHivex() && process.env["CI"] !== "true")(
  "hivex, which reads and writes hives without Windows (skipped only without hivexregedit)",
  () => {
    let hive: ScratchHive;
    beforeEach(() => {
      hive = openScratchHive();
      hive.merge(`${HEADER}[${PARENT}]\n\n`, ROOT);
    });
    afterEach(() => hive.close());

    test("gets from our files the values that we wrote, and we read what it exports", () => {
      const sets = fc.sample(registryValues, 150).map((values) => values.filter(isForHivex));
      hive.merge(sets.map((values, index) => ourFile(`${PARENT}\\k${index}`, values)).join("\n"), ROOT);
      const exported = hive.export("\\Software", ROOT);
      const file = readRegistryFile(new Uint8Array(Buffer.from(exported)), "");
      const found = new Map(file.keys.map((key) => [key.path, key]));
      expect(found.size).toBe(sets.length + 1);
      let compared = 0;
      for (const [index, values] of sets.entries()) {
        const entries = found.get(`${PARENT}\\k${index}`)?.entries ?? [];
        const read = entries.flatMap((entry) => (entry.kind === "set" ? [entry.value] : []));
        expect([index, byName(read)]).toEqual([index, byName(values)]);
        compared += values.length;
      }
      expect(compared).toBeGreaterThan(300);
    });

    test("is told by our file to change nothing else in the hive", () => {
      hive.merge(`${HEADER}[${PARENT}\\other]\n"kept"="as it was"\n\n`, ROOT);
      const before = hive.export("\\Software\\other", ROOT);
      hive.merge(ourFile(`${PARENT}\\k`, [{ name: "a", type: 4, bytes: Uint8Array.of(1, 0, 0, 0) }]), ROOT);
      expect(hive.export("\\Software\\other", ROOT)).toBe(before);
      expect(hive.export("\\Software\\k", ROOT)).toContain('"a"=dword:00000001');
    });
  },
);
