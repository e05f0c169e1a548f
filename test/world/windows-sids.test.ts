import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { refusal } from "../../src/world/windows/errors.ts";
import { allowedSids, sidBytes, sidLength, sidText } from "../../src/world/windows/sid.ts";

const part = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const authority = fc.oneof(fc.constant(5), fc.integer({ min: 0, max: 2 ** 48 - 1 }));
const sid = fc
  .tuple(authority, fc.array(part, { minLength: 1, maxLength: 15 }))
  .map(([first, parts]) => ["S-1", authorityText(first), ...parts].join("-"));

function authorityText(value: number): string {
  return value < 2 ** 32 ? String(value) : `0x${value.toString(16).toUpperCase().padStart(12, "0")}`;
}

/** An entry of an access control list, [MS-DTYP] 2.4.4. */
function entry(kind: number, mask: number, ...rest: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(8), ...rest]);
  bytes.writeUInt8(kind, 0);
  bytes.writeUInt16LE(bytes.length, 2);
  bytes.writeUInt32LE(mask, 4);
  return bytes;
}

function list(...entries: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(8), ...entries]);
  bytes.writeUInt8(2, 0);
  bytes.writeUInt16LE(bytes.length, 2);
  bytes.writeUInt16LE(entries.length, 4);
  return bytes;
}

const bytesOf = (text: string) => sidBytes(text) ?? Buffer.alloc(0);
const uint32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const USERS = "S-1-5-32-545";
const ADMINISTRATORS = "S-1-5-32-544";
const SYSTEM = "S-1-5-18";
const EVERYBODY = "S-1-1-0";

describe("a SID", () => {
  it("has the bytes that are documented", () => {
    expect(bytesOf(ADMINISTRATORS).toString("hex")).toBe("01020000000000052000000020020000");
    expect(sidText(Buffer.from("010100000000000512000000", "hex"))).toBe(SYSTEM);
  });

  it("is the same text after its bytes, whatever follows them", () => {
    fc.assert(
      fc.property(sid, fc.uint8Array({ maxLength: 80 }), (text, after) => {
        const bytes = bytesOf(text);
        expect(sidLength(bytes)).toBe(bytes.length);
        expect(sidText(Buffer.concat([bytes, after]))).toBe(text);
      }),
    );
  });

  it.for([
    "",
    "S-1",
    "S-1-5",
    "S-2-5-18",
    "S-1-5-",
    "S-1-5-4294967296",
    "S-1-5-18x",
    " S-1-5-18",
    "BA",
    `S-1-5${"-1".repeat(16)}`,
  ])("is not %j", (text) => {
    expect(sidBytes(text)).toBeNull();
  });
});

describe("who is allowed anything by a list", () => {
  it("is in allowing entries of every kind, once each, and in no other", () => {
    const object = (flags: number, ...types: readonly Uint8Array[]) =>
      Buffer.concat([uint32(flags), ...types]);
    const type = Buffer.alloc(16, 0xee);
    const entries = [
      entry(1, 0x1f01ff, bytesOf("S-1-5-7")),
      entry(0, 0x1f01ff, bytesOf(SYSTEM)),
      entry(0, 0x1, bytesOf(SYSTEM)),
      entry(0, 0, bytesOf("S-1-5-6")),
      entry(9, 0x1, bytesOf(USERS), Buffer.from("artx")),
      entry(5, 0x1, object(0), bytesOf(EVERYBODY)),
      entry(5, 0x1, object(2, type), bytesOf("S-1-5-11")),
      entry(11, 0x1, object(3, type, type), bytesOf(ADMINISTRATORS), Buffer.from("artx")),
      entry(6, 0x1, object(0), bytesOf("S-1-5-9")),
    ];
    const wanted = [SYSTEM, USERS, EVERYBODY, "S-1-5-11", ADMINISTRATORS];
    expect(allowedSids(list(...entries), "")).toEqual(wanted);
    expect(allowedSids(Buffer.concat([list(...entries), Buffer.alloc(40)]), "")).toEqual(wanted);
  });

  it("is nobody in an empty list", () => {
    expect(allowedSids(list(), "")).toEqual([]);
  });

  it("is not guessed from a list that is cut off, or has an entry of an unknown kind", () => {
    const whole = list(
      entry(0, 1, bytesOf(SYSTEM)),
      entry(5, 1, uint32(1), Buffer.alloc(16), bytesOf(USERS)),
    );
    for (let length = 0; length < whole.length; length += 1) {
      expect(() => allowedSids(whole.subarray(0, length), "C:\\x")).toThrow("WIN32_1336");
    }
    for (const kind of [2, 3, 4, 13, 255]) {
      expect(() => allowedSids(list(entry(kind, 1, bytesOf(SYSTEM))), "")).toThrow("WIN32_1336");
    }
  });

  it("ends in an answer or a refusal for any bytes at all", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          for (const found of allowedSids(bytes, "")) expect(found).toMatch(/^S-\d+-/u);
        } catch (error) {
          expect(error).toMatchObject({ name: "SystemError", code: "WIN32_1336" });
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("a refusal of Windows", () => {
  it.for([
    [2, "ENOENT"],
    [3, "ENOENT"],
    [5, "EACCES"],
    [32, "EBUSY"],
    [183, "EEXIST"],
    [1018, "ESTALE"],
    [1060, "ENOENT"],
    [1300, "EPERM"],
    [1314, "EPERM"],
    [4711, "WIN32_4711"],
  ] as const)("%i is %s", ([number, code]) => {
    expect(refusal(number, "call", "path")).toMatchObject({
      name: "SystemError",
      code,
      call: "call",
      path: "path",
    });
  });
});
