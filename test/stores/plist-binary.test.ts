import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { writeBinaryPlist } from "../../src/stores/plist-binary-writer.ts";
import { readPlist } from "../../src/stores/plist-reader.ts";
import {
  MAX_PLIST_BYTES,
  MAX_PLIST_DEPTH,
  MAX_PLIST_VALUES,
  type PlistValue,
  samePlist,
} from "../../src/stores/plist-value.ts";
import {
  bigEndian,
  binaryDocument,
  headOf,
  type RawObject,
  rawBinary,
  trailerOf,
} from "../support/plist-binary-document.ts";
import { anyRandom } from "../support/plist-random.ts";
import { refusalOf } from "../support/plist-refusal.ts";
import { readCounted } from "../support/plist-steps.ts";
import { ALL_BINARY, treeFrom } from "../support/plist-trees.ts";

const bytes = (...all: number[]): Uint8Array => Uint8Array.from(all);
const leaf = (...all: number[]): RawObject => ({ head: bytes(...all) });
const array = (...children: number[]): RawObject => ({ head: headOf(0xa0, children.length), children });
const dictionary = (...children: number[]): RawObject => ({
  head: headOf(0xd0, children.length / 2),
  children,
});
const A = leaf(0x51, 0x61);
const B = leaf(0x51, 0x62);
const TRUE = leaf(0x09);

function root(file: Uint8Array): PlistValue {
  return readPlist(file, "").root;
}

function refused(file: Uint8Array): string {
  const { answer, withinBounds } = readCounted(file);
  expect(withinBounds).toBe(true);
  return refusalOf(() => {
    if (answer instanceof Error) throw answer;
  });
}

describe("binary property lists", () => {
  test("whatever is written is read as it was, and written as the same bytes again", () => {
    fc.assert(
      fc.property(anyRandom, (random) => {
        const tree = treeFrom(random, ALL_BINARY);
        const written = writeBinaryPlist(tree);
        const { answer, withinBounds } = readCounted(written);
        expect(withinBounds).toBe(true);
        if (answer instanceof Error) throw answer;
        expect(answer.format).toBe("binary");
        expect(samePlist(answer.root, tree)).toBe(true);
        expect(Buffer.compare(writeBinaryPlist(answer.root), written)).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test("every layout of the same tree is read the same: order, sizes, shared objects, wide text", () => {
    fc.assert(
      fc.property(anyRandom, (random) => {
        const tree = treeFrom(random, ALL_BINARY);
        const file = binaryDocument(random, tree);
        const { answer, withinBounds } = readCounted(file);
        expect(withinBounds).toBe(true);
        if (answer instanceof Error) throw answer;
        expect(samePlist(answer.root, tree)).toBe(true);
        expect(samePlist(root(writeBinaryPlist(answer.root)), tree)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test.each<[string, number[], PlistValue]>([
    ["an integer of one byte has no sign", [0x10, 0xff], { kind: "integer", value: 255n, width: 1 }],
    ["one of two bytes neither", [0x11, 0xff, 0xff], { kind: "integer", value: 65_535n, width: 2 }],
    ["nor one of four", [0x12, 0xff, 0, 0, 0], { kind: "integer", value: 0xff00_0000n, width: 4 }],
    ["one of eight does", [0x13, ...Array(8).fill(255)], { kind: "integer", value: -1n, width: 8 }],
    [
      "one of sixteen holds the unsigned ones",
      [0x14, ...Array(8).fill(0), ...Array(8).fill(255)],
      { kind: "integer", value: 2n ** 64n - 1n, width: 16 },
    ],
    ["and negative ones", [0x14, ...Array(16).fill(255)], { kind: "integer", value: -1n, width: 16 }],
    ["a float", [0x22, 0x3f, 0x80, 0, 0], { kind: "real", bits: 0x3f80_0000n, width: 4 }],
    ["a NaN that signals", [0x22, 0x7f, 0xa0, 0, 1], { kind: "real", bits: 0x7fa0_0001n, width: 4 }],
    ["a date", [0x33, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], { kind: "date", seconds: 1.5 }],
    ["a date of minus zero", [0x33, 0x80, 0, 0, 0, 0, 0, 0, 0], { kind: "date", seconds: -0 }],
    ["data", [0x42, 1, 2], { kind: "data", bytes: bytes(1, 2) }],
    ["a count of its own", [0x4f, 0x11, 0, 2, 1, 2], { kind: "data", bytes: bytes(1, 2) }],
    ["ASCII", [0x52, 0x61, 0x00], { kind: "string", value: "a\0" }],
    ["half a surrogate pair", [0x61, 0xd8, 0x3d], { kind: "string", value: "\ud83d" }],
    ["a UID of three bytes", [0x82, 1, 0, 0], { kind: "uid", value: 65_536n, width: 3 }],
    ["false", [0x08], { kind: "boolean", value: false }],
    ["an empty array", [0xa0], { kind: "array", items: [] }],
    ["an empty dictionary", [0xd0], { kind: "dictionary", entries: [] }],
  ])("%s", (_what, object, means) => {
    const file = rawBinary([leaf(...object)]);
    expect(root(file)).toEqual(means);
    expect(samePlist(root(writeBinaryPlist(root(file))), means)).toBe(true);
  });

  test("what is equal as a number and not to the bit is written apart", () => {
    const items: PlistValue[] = [
      { kind: "date", seconds: 0 },
      { kind: "date", seconds: -0 },
      { kind: "real", bits: 0n, width: 4 },
      { kind: "real", bits: 0n, width: 8 },
      { kind: "real", bits: 1n << 63n, width: 8 },
      { kind: "uid", value: 0n, width: 1 },
      { kind: "uid", value: 0n, width: 2 },
      { kind: "integer", value: 0n, width: 1 },
      { kind: "integer", value: 0n, width: 8 },
      { kind: "string", value: "0" },
    ];
    const tree: PlistValue = { kind: "array", items: [...items, ...items.toReversed()] };
    expect(samePlist(root(writeBinaryPlist(tree)), tree)).toBe(true);
  });

  test("integers without a width get the narrowest", () => {
    const widths = [0n, 255n, 256n, 65_536n, 2n ** 32n, 2n ** 63n, -1n].map((value) => {
      const read = root(writeBinaryPlist({ kind: "integer", value }));
      return read.kind === "integer" && read.value === value ? read.width : null;
    });
    expect(widths).toEqual([1, 1, 2, 4, 8, 16, 8]);
  });

  test.each([255, 256, 257, 70_000])("%i objects are written and read", (count) => {
    const items = Array.from(
      { length: count - 1 },
      (_, n): PlistValue => ({ kind: "string", value: `${n}é` }),
    );
    const tree: PlistValue = { kind: "array", items };
    expect(samePlist(root(writeBinaryPlist(tree)), tree)).toBe(true);
  });

  test("large data and long texts are kept", () => {
    const tree: PlistValue = {
      kind: "array",
      items: [
        { kind: "data", bytes: new Uint8Array(5_000_000).fill(7) },
        { kind: "string", value: "x".repeat(1_000_000) },
        { kind: "string", value: "🔑".repeat(500_000) },
      ],
    };
    expect(samePlist(root(writeBinaryPlist(tree)), tree)).toBe(true);
  });

  test("shared containers are one object before and after", () => {
    const file = rawBinary([array(1, 1, 1), array(2, 2), A]);
    const written = writeBinaryPlist(root(file));
    expect(written.length).toBe(file.length);
    expect(samePlist(root(written), root(file))).toBe(true);
  });

  test("objects that nothing refers to are left out", () => {
    const file = rawBinary([A, leaf(0x00), leaf(0xff)]);
    expect(root(file)).toEqual({ kind: "string", value: "a" });
    expect(writeBinaryPlist(root(file)).length).toBeLessThan(file.length);
  });
});

describe("binary files that are refused", () => {
  const good = rawBinary([array(1, 2), A, TRUE]);
  const trailer = { offsetSize: 1, referenceSize: 1, objects: 3, top: 0, tableAt: good.length - 35 };
  const withTrailer = (change: Partial<typeof trailer>) =>
    Buffer.concat([good.subarray(0, -32), trailerOf({ ...trailer, ...change })]);

  test("the good one they are made of is read", () => {
    expect(refused(withTrailer({}))).toBe("accepted");
  });

  test.each<[string, Uint8Array, string]>([
    ["no offset size", withTrailer({ offsetSize: 0 }), "truncated"],
    ["an offset size of nine", withTrailer({ offsetSize: 9 }), "truncated"],
    ["no reference size", withTrailer({ referenceSize: 0 }), "truncated"],
    ["a reference size of nine", withTrailer({ referenceSize: 9 }), "truncated"],
    ["no objects", withTrailer({ objects: 0 }), "truncated"],
    ["one object too many", withTrailer({ objects: 4 }), "truncated"],
    ["as many objects as a number can count", withTrailer({ objects: 2 ** 53 }), "truncated"],
    ["a top object beyond the last", withTrailer({ top: 3 }), "truncated"],
    ["a table in the trailer", withTrailer({ tableAt: good.length }), "truncated"],
    ["a table before the objects", withTrailer({ tableAt: 8 }), "truncated"],
    [
      "a byte between table and trailer",
      Buffer.concat([good.subarray(0, -32), bytes(0), good.subarray(-32)]),
      "truncated",
    ],
    ["a byte after the trailer", Buffer.concat([good, bytes(0)]), "truncated"],
    ["a file cut in the middle", good.subarray(0, -7), "truncated"],
    ["the header alone", good.subarray(0, 8), "truncated"],
    [
      "another version of the format",
      Buffer.concat([Buffer.from("bplist15"), good.subarray(8)]),
      "wrong-root",
    ],
    [
      "more objects than a reference can tell apart",
      rawBinary([array(), ...Array<RawObject>(255).fill(TRUE)], { referenceSize: 1 }),
      "truncated",
    ],
    ["an offset into the header, where a text seems to begin", rawBinaryWithOffset(0), "syntax"],
    [
      "offsets of one byte for a table beyond 255",
      withTrailerOf(rawBinary([leaf(0x4f, 0x11, 1, 0, ...Array(256).fill(0))], { offsetSize: 2 }), {
        offsetSize: 1,
      }),
      "truncated",
    ],
    ["an offset into the table", rawBinaryWithOffset(9), "syntax"],
    ["a reference beyond the last object", rawBinary([array(1)]), "syntax"],
    ["an array that contains itself", rawBinary([array(0)]), "syntax"],
    ["a cycle of three", rawBinary([array(1), dictionary(3, 2), array(0), A]), "syntax"],
    [
      "a cycle in a large file",
      rawBinary([array(0), { head: Buffer.concat([bytes(0x4f, 0x11, 0xff, 0), Buffer.alloc(0xff00)]) }]),
      "syntax",
    ],
    ["an array as a key", rawBinary([dictionary(1, 2), array(), A]), "syntax"],
    ["a dictionary as its own key", rawBinary([dictionary(0, 0)]), "syntax"],
    ["a key that is no string", rawBinary([dictionary(1, 2), leaf(0x10, 1), A]), "syntax"],
    ["a key twice, as one object", rawBinary([dictionary(1, 1, 2, 2), A, B]), "duplicate-value"],
    ["a key twice, as two objects", rawBinary([dictionary(1, 2, 2, 2), A, A]), "duplicate-value"],
    [
      "a key twice, as ASCII and UTF-16",
      rawBinary([dictionary(1, 2, 1, 1), A, leaf(0x61, 0, 0x61)]),
      "duplicate-value",
    ],
    ["null", rawBinary([leaf(0x00)]), "syntax"],
    ["a URL", rawBinary([leaf(0x0c, 0x51, 0x61)]), "syntax"],
    ["fill", rawBinary([leaf(0x0f)]), "syntax"],
    ["an integer of 32 bytes", rawBinary([leaf(0x15, ...Array(32).fill(0))]), "syntax"],
    ["an integer of 65 bits", rawBinary([leaf(0x14, ...bigEndian(2n ** 64n, 16))]), "syntax"],
    ["an integer below -2^63", rawBinary([leaf(0x14, ...bigEndian(-(2n ** 63n) - 1n, 16))]), "syntax"],
    ["a real of two bytes", rawBinary([leaf(0x21, 0, 0)]), "syntax"],
    ["a real of sixteen bytes", rawBinary([leaf(0x24, ...Array(16).fill(0))]), "syntax"],
    ["a date of four bytes", rawBinary([leaf(0x32, 0, 0, 0, 0)]), "syntax"],
    ["a date that is no number", rawBinary([leaf(0x33, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0)]), "syntax"],
    ["a date at infinity", rawBinary([leaf(0x33, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0)]), "syntax"],
    ["ASCII that is none", rawBinary([leaf(0x51, 0xe9)]), "syntax"],
    ["a text of the kind 7", rawBinary([leaf(0x71, 0x61)]), "syntax"],
    ["a UID of 33 bits", rawBinary([leaf(0x84, 1, 0, 0, 0, 0)]), "syntax"],
    ["a UID of nine bytes", rawBinary([leaf(0x88, ...Array(9).fill(0))]), "syntax"],
    ["a set", rawBinary([{ head: bytes(0xc1), children: [1] }, A]), "syntax"],
    ["an ordered set", rawBinary([{ head: bytes(0xb1), children: [1] }, A]), "syntax"],
    ["an unknown marker", rawBinary([leaf(0xe0)]), "syntax"],
    ["an integer that ends in the table", rawBinary([leaf(0x13, 0, 0)]), "syntax"],
    ["data longer than the objects", rawBinary([leaf(0x43, 0, 0)]), "syntax"],
    ["data of four gigabytes", rawBinary([leaf(0x4f, 0x12, 255, 255, 255, 255)]), "syntax"],
    ["data of 2^64 bytes", rawBinary([leaf(0x4f, 0x13, ...Array(8).fill(255))]), "syntax"],
    ["UTF-16 longer than the objects", rawBinary([leaf(0x62, 0, 0, 0)]), "syntax"],
    ["a count of sixteen bytes", rawBinary([leaf(0x4f, 0x14, ...Array(16).fill(0))]), "syntax"],
    ["a count that is none", rawBinary([leaf(0x4f, 0x51, 1, 0)]), "syntax"],
    ["a count beyond the objects", rawBinary([leaf(0x4f, 0x12, 0)]), "syntax"],
    ["a count that is missing", rawBinary([leaf(0x4f)]), "syntax"],
    ["an array longer than the objects", rawBinary([leaf(0xa3, 0)]), "syntax"],
    ["a dictionary whose values are missing", rawBinary([leaf(0xd2, 1, 1), A]), "syntax"],
    ["an array of 2^63 references", rawBinary([leaf(0xaf, 0x13, 0x80, ...Array(7).fill(0))]), "syntax"],
  ])("%s", (_what, file, reason) => {
    expect(refused(file)).toBe(reason);
  });

  test("a billion laughs, shared by references, is refused at once", () => {
    const arrays = Array.from({ length: 40 }, (_, n) => array(...Array<number>(10).fill(n + 1)));
    expect(refused(rawBinary([...arrays, A]))).toBe("too-large");
    const pairs = Array.from({ length: 60 }, (_, n) => dictionary(61, 62, n + 1, n + 1));
    expect(refused(rawBinary([...pairs, TRUE, A, B]))).toBe("too-large");
  });

  test("a shared text counts wherever it is", () => {
    const text = { head: Buffer.concat([headOf(0x50, 1_000_000), Buffer.alloc(1_000_000, 97)]) };
    expect(refused(rawBinary([array(...Array<number>(60).fill(1)), text]))).toBe("accepted");
    expect(refused(rawBinary([array(...Array<number>(70).fill(1)), text]))).toBe("too-large");
  });

  test("values are counted to the last one", () => {
    const file = (count: number) =>
      rawBinary([{ head: Buffer.concat([headOf(0xa0, count), Buffer.alloc(count, 1)]) }, TRUE]);
    expect(refused(file(MAX_PLIST_VALUES - 1))).toBe("accepted");
    expect(refused(file(MAX_PLIST_VALUES))).toBe("too-large");
  });

  test("nesting is followed as deep as Apple's reader does", () => {
    const nested = (depth: number) =>
      Array.from({ length: depth }, (_, n) => array(...(n + 1 < depth ? [n + 1] : [])));
    expect(refused(rawBinary(nested(MAX_PLIST_DEPTH)))).toBe("accepted");
    expect(refused(rawBinary(nested(MAX_PLIST_DEPTH + 1)))).toBe("too-large");
    expect(refused(rawBinary(nested(200_000)))).toBe("too-large");
  });

  test("a shared container that was read where it is less deep is not followed too deep elsewhere", () => {
    const chain = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, n) => array(...(from + n + 1 < to ? [from + n + 1] : [])));
    const file = (depth: number) => {
      const deep = chain(1, 301);
      const other = chain(301, 301 + depth);
      other[depth - 1] = array(1);
      return rawBinary([array(1, 301), ...deep, ...other]);
    };
    expect(refused(file(MAX_PLIST_DEPTH - 301))).toBe("accepted");
    expect(refused(file(MAX_PLIST_DEPTH - 300))).toBe("too-large");
  });

  test("objects that lie over each other cost no more than the file has bytes", () => {
    // Every text is 120 bytes long, and the next one begins three bytes later.
    const size = 3000;
    const head = Buffer.concat([bytes(0xaf, 0x11), bigEndian(BigInt(size), 2)]);
    const references = Array.from({ length: size }, (_, n) => bigEndian(BigInt(n + 1), 2));
    const texts = Buffer.alloc(size * 3);
    for (let at = 0; at < texts.length; at += 3) texts.set([0x5f, 0x10, 0x78], at);
    const body = Buffer.concat([head, ...references, texts, Buffer.alloc(200, 0x61)]);
    const start = 8 + head.length + size * 2;
    const offsets = [8, ...Array.from({ length: size }, (_, n) => start + n * 3)];
    const file = Buffer.concat([
      Buffer.from("bplist00"),
      body,
      ...offsets.map((offset) => bigEndian(BigInt(offset), 4)),
      trailerOf({ offsetSize: 4, referenceSize: 2, objects: size + 1, top: 0, tableAt: 8 + body.length }),
    ]);
    expect(refused(file)).toBe("syntax");
  });

  test("files over 16 MiB are not looked at", () => {
    expect(refusalOf(() => readPlist(new Uint8Array(MAX_PLIST_BYTES + 1), ""))).toBe("too-large");
    expect(refusalOf(() => readPlist(new Uint8Array(MAX_PLIST_BYTES), ""))).toBe("empty");
  });
});

/** The last byte of each offset alone. */
function withTrailerOf(file: Uint8Array, { offsetSize }: { offsetSize: number }): Uint8Array {
  const tableAt = Number(Buffer.from(file).readBigUInt64BE(file.length - 8));
  const trailer = trailerOf({ offsetSize, referenceSize: 1, objects: 1, top: 0, tableAt });
  return Buffer.concat([file.subarray(0, tableAt), file.subarray(-33, -32), trailer]);
}

/** One boolean, whose offset is wrong. */
function rawBinaryWithOffset(offset: number): Uint8Array {
  const file = rawBinary([TRUE]);
  file[9] = offset;
  return file;
}
