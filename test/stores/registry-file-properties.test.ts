import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { readOwnKey, readRegistryFile, writeRegistryFile } from "../../src/stores/registry-file.ts";
import type { RegistryValue } from "../../src/world/windows-system.ts";
import {
  damagedRegistryFile,
  ownRegistryDocument,
  registryDocument,
  registryValues,
} from "../support/registry-file-arbitraries.ts";
import { bytesOf, type MeantKey, OWN_KEY } from "../support/registry-file-document.ts";
import { asksForMore, meaningOf, referenceReading } from "../support/registry-file-reference.ts";
import { countSteps, STEPS_PER_UNIT } from "../support/registry-file-steps.ts";

const HEADER = "Windows Registry Editor Version 5.00\r\n";

function byName(values: readonly RegistryValue[]): RegistryValue[] {
  return values.toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

function setIn(keys: readonly MeantKey[] | null): RegistryValue[] {
  const entries = (keys ?? []).flatMap((key) => key.entries);
  return entries.flatMap((entry) => (entry.kind === "set" ? [entry.value] : []));
}

function answer<T>(of: () => T): T | ProblemError {
  try {
    return of();
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  }
}

describe("any values of a key", () => {
  test("are written so that we and another reader get the same names, types and bytes", () => {
    fc.assert(
      fc.property(registryValues, (values) => {
        const bytes = writeRegistryFile(OWN_KEY, values);
        const read = readOwnKey(bytes, "", OWN_KEY);
        expect(byName(read)).toEqual(byName(values));
        expect(setIn(referenceReading(bytes))).toEqual(read);
      }),
      { numRuns: 600 },
    );
  });

  test("give the same bytes in whatever order they come, and when they are written once more", () => {
    fc.assert(
      fc.property(registryValues, fc.array(fc.nat(), { minLength: 9, maxLength: 9 }), (values, order) => {
        const bytes = writeRegistryFile(OWN_KEY, values);
        const shuffled = values
          .map((value, index) => ({ value, place: order[index] ?? 0 }))
          .toSorted((one, other) => one.place - other.place)
          .map(({ value }) => value);
        expect(Buffer.compare(writeRegistryFile(OWN_KEY, shuffled), bytes)).toBe(0);
        expect(Buffer.compare(writeRegistryFile(OWN_KEY, readOwnKey(bytes, "", OWN_KEY)), bytes)).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  test("stand in lines of at most 80 characters wherever name and text leave room", () => {
    fc.assert(
      fc.property(registryValues, (values) => {
        const lines = Buffer.from(writeRegistryFile(OWN_KEY, values)).toString("utf16le").split("\r\n");
        expect(lines.filter((line) => line.startsWith("  ") && line.length > 80)).toEqual([]);
        expect(lines.filter((line) => /=hex.*?:(..,){2,}/.test(line) && line.length > 80)).toEqual([]);
        expect(lines.slice(-2)).toEqual(["", ""]);
      }),
      { numRuns: 300 },
    );
  });
});

describe("any well-formed file", () => {
  test("is read as it was meant, and as another reader reads it", () => {
    fc.assert(
      fc.property(registryDocument, (document) => {
        const bytes = bytesOf(document);
        expect(meaningOf(readRegistryFile(bytes, ""))).toEqual(document.meaning);
        expect(referenceReading(bytes)).toEqual(document.meaning);
      }),
      { numRuns: 800 },
    );
  });

  test("of the own key alone passes the allow-list, whatever it is spelled like", () => {
    fc.assert(
      fc.property(ownRegistryDocument, (document) => {
        expect(readOwnKey(bytesOf(document), "", OWN_KEY)).toEqual(setIn(document.meaning));
      }),
      { numRuns: 500 },
    );
  });

  test("tells the line of each key and value", () => {
    fc.assert(
      fc.property(registryDocument, (document) => {
        const lines = document.text.split("\n");
        for (const key of readRegistryFile(bytesOf(document), "").keys) {
          expect(lines[key.line - 1]).toContain(`${key.path}]`);
          for (const entry of key.entries) expect(lines[entry.line - 1]).toMatch(/^[ \t]*["@]/);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("any damaged file", () => {
  test("is refused with a problem, or read as another reader reads it and written again without a loss", () => {
    fc.assert(
      fc.property(damagedRegistryFile, (bytes) => {
        const file = answer(() => readRegistryFile(bytes, ""));
        if (file instanceof ProblemError) {
          expect(file.problem.code).toBe("SETTINGS_MALFORMED");
          return;
        }
        const meaning = meaningOf(file);
        expect(meaning).toEqual(referenceReading(bytes));
        for (const key of meaning) {
          const values = setIn([key]);
          expect(byName(readOwnKey(writeRegistryFile(OWN_KEY, values), "", OWN_KEY))).toEqual(byName(values));
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("never gets anything past the allow-list that names another key or a deletion", () => {
    fc.assert(
      fc.property(damagedRegistryFile, (bytes) => {
        const values = answer(() => readOwnKey(bytes, "", OWN_KEY));
        if (!(values instanceof ProblemError)) expect(asksForMore(bytes, OWN_KEY)).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("no file takes more than a fixed number of steps for each of its characters", () => {
  const many = 40_000;
  const digits = (start: string, one: string) => `${HEADER}[a\\b]\r\n${start}${one.repeat(many)}`;

  test.each([
    ["blanks", `${HEADER}${" ".repeat(many)}`],
    ["blanks behind a key", digits("[c\\d", " ")],
    ["brackets", digits("[", "]")],
    ["open brackets", digits("", "[")],
    ["keys without an end", digits("", "[\n")],
    ["keys", `${HEADER}${Array.from({ length: many }, (_, index) => `[a\\${index}]`).join("\n")}`],
    ["backslashes in a key", digits("[", "\\")],
    ["quotes", digits("", '"')],
    ["a long string", digits('"a"="', "x")],
    ["escapes", digits('"a"="', "\\\\")],
    ["escaped quotes", digits('"a"="', '\\"')],
    ["a name of escapes", digits('"', "\\\\")],
    ["strings without an end", digits("", '"a\n')],
    ["digits of a number", digits('"a"=dword:', "0")],
    ["digits of a type", digits('"a"=hex(', "0")],
    ["bytes", digits('"a"=hex:00', ",00")],
    ["commas", digits('"a"=hex:00', ",")],
    ["backslashes in hex", digits('"a"=hex:00,', "\\")],
    ["broken lines", digits('"a"=hex:00', ",\\\n00")],
    ["empty lines in hex", digits('"a"=hex:00,\\\n', "\n")],
    ["comments in hex", digits('"a"=hex:00,\\\n', ";\\\n")],
    ["comments", digits("", ";")],
    ["short comments", digits("", " ;\n")],
    ["values", `${HEADER}[a]\n${Array.from({ length: many }, (_, index) => `"${index}"=""`).join("\n")}`],
    [
      "almost types",
      `${HEADER}[a]\n${Array.from({ length: many }, (_, index) => `"${index}"=hex(0):`).join("\n")}`,
    ],
  ])("%s", (_, text) => {
    const counted = countSteps(new Uint8Array(Buffer.from(text)));
    expect(counted?.units).toBe(text.length);
    expect(counted?.steps).toBeGreaterThan(0);
    expect(counted?.steps).toBeLessThanOrEqual(STEPS_PER_UNIT * (text.length + 1));
  });

  test("of any well-formed or damaged file", () => {
    fc.assert(
      fc.property(fc.oneof(damagedRegistryFile, registryDocument.map(bytesOf)), (bytes) => {
        const counted = countSteps(bytes);
        if (counted !== null) expect(counted.steps).toBeLessThanOrEqual(STEPS_PER_UNIT * (counted.units + 1));
      }),
      { numRuns: 300 },
    );
  });
});
