import { beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../../src/model/secret.ts";
import { writeBinaryPlist } from "../../src/stores/plist-binary-writer.ts";
import { readPlist } from "../../src/stores/plist-reader.ts";
import { editPlist } from "../../src/stores/plist-settings.ts";
import type { PlistValue } from "../../src/stores/plist-value.ts";
import { writeXmlPlist } from "../../src/stores/plist-xml-writer.ts";
import { binaryDocument } from "../support/plist-binary-document.ts";
import {
  hasPlistlib,
  hasPlistutil,
  isRefused,
  type Plain,
  plainOf,
  plistlibFiles,
  plistlibReadings,
  plistutil,
  withoutUids,
} from "../support/plist-oracles.ts";
import { randomFrom } from "../support/plist-random.ts";
import { settingsTree, type TreeLimits, treeFrom } from "../support/plist-trees.ts";
import { utf8, xmlDocument, xmlText } from "../support/plist-xml-document.ts";

const COUNT = 400;
const seed = Math.floor(Math.random() * 2 ** 31);
const required = process.env["CI"] === "true";

/** As many trees, another each time the tests run; the seed is printed when one fails. */
function trees(limits: TreeLimits): PlistValue[] {
  return Array.from({ length: COUNT }, (_, index) => treeFrom(randomFrom(seed + index), limits));
}

function listOf(items: readonly PlistValue[]): PlistValue {
  return { kind: "array", items };
}

function ours(bytes: Uint8Array): Plain {
  return plainOf(readPlist(bytes, "").root);
}

/** A replacement of every value by what the function makes of it. */
function mapped(value: PlistValue, change: (value: PlistValue) => PlistValue): PlistValue {
  if (value.kind === "array") return listOf(value.items.map((item) => mapped(item, change)));
  if (value.kind !== "dictionary") return change(value);
  return { kind: "dictionary", entries: value.entries.map(([key, item]) => [key, mapped(item, change)]) };
}

function expectSame(what: string, seen: readonly unknown[], wanted: readonly Plain[]): void {
  expect(seen).toHaveLength(wanted.length);
  for (const [index, plain] of wanted.entries()) {
    expect({ what, seed, index, plain: seen[index] }).toEqual({ what, seed, index, plain });
  }
}

/** plistlib keeps equal objects once and takes minus zero for zero (3.11): no zeros with a sign. */
function withoutMinusZero(value: PlistValue): PlistValue {
  return mapped(value, (leaf) =>
    leaf.kind === "real" && leaf.bits === 1n << 63n ? { kind: "real", bits: 0n, width: 8 } : leaf,
  );
}

describe.skipIf(!hasPlistlib() && !required)("Python's plistlib (skipped only without python3)", () => {
  test("reads what we write in binary: numbers of all widths, fractions of seconds, UIDs", () => {
    // No texts that are no Unicode: it refuses half a surrogate pair.
    const all = trees({ uids: true, oddNumbers: true, returns: true });
    expectSame("ours", plistlibReadings(all.map(writeBinaryPlist)), all.map(plainOf));
    const dates = all.map((_, n): PlistValue => ({ kind: "date", seconds: (n - 200) * 1_000_003 + n / 64 }));
    expectSame("dates", plistlibReadings(dates.map(writeBinaryPlist)), dates.map(plainOf));
    const layouts = all.map((tree, index) => binaryDocument(randomFrom(seed + index), tree));
    const readings = plistlibReadings(layouts);
    expectSame("layouts", readings, layouts.map(ours));
    expectSame("layouts as meant", readings, all.map(plainOf));
  });

  test("reads what we write in XML, and every spelling that we read, as we do", () => {
    // It knows no UIDs in XML, and takes the dictionary for one.
    const all = trees({ uids: true, returns: true });
    expectSame("ours", plistlibReadings(all.map(writeXmlPlist)), all.map(plainOf).map(withoutUids));
    const documents = all.map((_, index) => {
      const random = randomFrom(seed - index);
      // It takes nothing before hexadecimal digits, where Apple's reader allows white space and a sign.
      const text = xmlText(xmlDocument(random, settingsTree(random, { uids: true })));
      return text.replace(/>[ \t\r\n]*[+-]?(0[xX])/g, ">$1");
    });
    const files = documents.map(utf8);
    expectSame("spellings", plistlibReadings(files), files.map(ours).map(withoutUids));
  });

  test("reads a file that we edited as we do", () => {
    const change = {
      kind: "replace",
      credentials: { token: new Secret("t🔑&"), username: "ü<>", mail: "" },
    } as const;
    const files = Array.from({ length: COUNT }, (_, index) => {
      const random = randomFrom(seed + index);
      const tree = settingsTree(random, {});
      return index % 2 ? binaryDocument(random, tree) : writeXmlPlist(tree);
    });
    const edited = files.flatMap((file) => [
      editPlist(file, change, ""),
      editPlist(file, { kind: "remove" }, ""),
    ]);
    expectSame("edited", plistlibReadings(edited), edited.map(ours));
  });

  test("writes what we read, in both formats", () => {
    // In XML it writes no UIDs, no fractions of seconds, and a line feed for a carriage return.
    const all = trees({}).map(withoutMinusZero);
    for (const format of ["binary", "xml"] as const) {
      const read = plistlibFiles(all.map(plainOf), format).map((made) =>
        isRefused(made) ? made : ours(made),
      );
      expectSame(format, read, all.map(plainOf));
    }
    const rich = trees({ uids: true, returns: true }).map(withoutMinusZero);
    const read = plistlibFiles(rich.map(plainOf), "binary").map((made) =>
      isRefused(made) ? made : ours(made),
    );
    expectSame("binary", read, rich.map(plainOf));
  });

  test("refuses the binary files that we refuse for cycles and lengths", () => {
    const cycle = Uint8Array.from(Buffer.from("62706c6973743030a10008", "hex"));
    const trailer = Uint8Array.from(
      Buffer.from(`00000000000001010000000000000001${"0".repeat(16)}000000000000000a`, "hex"),
    );
    const file = Buffer.concat([cycle, trailer]);
    expect(() => readPlist(file, "")).toThrow("SETTINGS_MALFORMED");
    expect(plistlibReadings([file]).every(isRefused)).toBe(true);
  });
});

describe.skipIf(!hasPlistutil() && !required)("libplist's plistutil (skipped only without it)", () => {
  let all: PlistValue;
  beforeAll(() => {
    all = listOf(trees({ uids: true, returns: true }));
  });

  test("writes a binary file of ours again, and nothing is lost", () => {
    // All that it keeps: it has floats of 64 bits only, and texts end at a NUL.
    const rich = listOf(trees({ uids: true, oddNumbers: true, returns: true }));
    const made = plistutil(writeBinaryPlist(rich), "bin");
    expectSame("binary", [made && ours(made)], [plainOf(rich)]);
    const layout = plistutil(binaryDocument(randomFrom(seed), rich), "bin");
    expectSame("layout", [layout && ours(layout)], [plainOf(rich)]);
  });

  test("turns XML of ours into a binary file of the same values", () => {
    // Version 2.2 takes a UID in XML for the dictionary that spells it.
    const made = plistutil(writeXmlPlist(all), "bin");
    expectSame("binary", [made && ours(made)], [withoutUids(plainOf(all))]);
  });

  test("turns a binary file of ours into XML of the same values", () => {
    // Version 2.2 writes negative integers as unsigned ones, minus zero as zero, and years below 1000 with three digits.
    const known = mapped(all, (leaf) => {
      if (leaf.kind === "integer" && leaf.value < 0n) return { kind: "integer", value: -leaf.value };
      if (leaf.kind === "date" && leaf.seconds < -31_000_000_000) return { kind: "date", seconds: 0 };
      return withoutMinusZero(leaf);
    });
    const made = plistutil(writeBinaryPlist(known), "xml");
    expectSame("xml", [made && ours(made)], [plainOf(known)]);
  });

  test("writes XML of ours again, and nothing is lost", () => {
    const plain = mapped(listOf(trees({})), (leaf) =>
      leaf.kind === "date" && leaf.seconds < -31_000_000_000
        ? { kind: "date", seconds: 0 }
        : withoutMinusZero(leaf),
    );
    const made = plistutil(writeXmlPlist(plain), "xml");
    expectSame("xml", [made && ours(made)], [plainOf(plain)]);
  });

  test("reads a file that we edited as we do", () => {
    const change = {
      kind: "replace",
      credentials: { token: new Secret("t🔑&"), username: "ü<>", mail: "" },
    } as const;
    for (let index = 0; index < 10; index += 1) {
      const random = randomFrom(seed + index);
      const tree = settingsTree(random, {});
      const edited = editPlist(index % 2 ? binaryDocument(random, tree) : writeXmlPlist(tree), change, "");
      const made = plistutil(edited, "bin");
      expectSame("edited", [made && ours(made)], [ours(edited)]);
    }
  });
});
