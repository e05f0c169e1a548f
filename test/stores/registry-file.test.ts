import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readOwnKey, readRegistryFile, writeRegistryFile } from "../../src/stores/registry-file.ts";
import { compareNames, foldedName } from "../../src/stores/registry-file-names.ts";
import type { RegistryValue } from "../../src/world/windows-system.ts";
import { OWN_KEY } from "../support/registry-file-document.ts";

const HEADER = "Windows Registry Editor Version 5.00\r\n\r\n";

function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../fixtures/registry/${name}.reg`, import.meta.url)));
}

function wide(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "utf16le"));
}

function text(name: string, content: string): RegistryValue {
  return { name, type: 1, bytes: wide(`${content}\0`) };
}

/** What stands between the key's line and the final blank line. */
function body(values: readonly RegistryValue[]): string {
  const whole = Buffer.from(writeRegistryFile(OWN_KEY, values)).toString("utf16le");
  const start = `\ufeff${HEADER}[${OWN_KEY}]\r\n`;
  expect(whole.startsWith(start)).toBe(true);
  expect(whole.endsWith("\r\n")).toBe(true);
  return whole.slice(start.length, -2);
}

function entriesOf(lines: string) {
  const file = readRegistryFile(wide(`\ufeff${HEADER}[HKEY_USERS\\a]\r\n${lines}`), "");
  return file.keys.flatMap((key) => key.entries);
}

function onlyValue(line: string): [string, number, string] {
  const [entry, ...others] = entriesOf(line);
  if (entry?.kind !== "set" || others.length > 0) throw new Error("not one value");
  return [entry.value.name, entry.value.type, Buffer.from(entry.value.bytes).toString("hex")];
}

describe("reading", () => {
  const exported: readonly [string, number, Uint8Array][] = [
    ["AcceptedEULA", 4, Uint8Array.of(1, 0, 0, 0)],
    ["FriendlyName", 1, wide('Gerät "書庫" C:\\\0')],
    ["LocalAppDataPath", 2, wide("%USERPROFILE%\0")],
    ["MachineIdentifier", 1, wide("5f2c4c8a-0000-4000-8000-000000000001\0")],
    ["PlexOnlineHome", 4, Uint8Array.of(1, 0, 0, 0)],
    ["PlexOnlineMail", 1, wide("someone@example.org\0")],
    ["PlexOnlineToken", 1, wide("fixture-token-000000\0")],
    ["PlexOnlineUsername", 1, wide("someone\0")],
    ["ProcessedMachineIdentifier", 1, wide("0123456789abcdef0123456789abcdef01234567\0")],
    ["SomeBytes", 3, Uint8Array.of(0, 1, 2, 0xfe, 0xff)],
    ["SomeList", 7, wide("one\0two\0\0")],
    ["SomeNumber", 11, Uint8Array.of(42, 0, 0, 0, 0, 0, 0, 0)],
  ];

  test.each(["wine-10-export", "converted-to-utf-8"])("finds every value in %s", (name) => {
    const values = readOwnKey(fixture(name), "", OWN_KEY);
    expect(values.map((value) => [value.name, value.type, value.bytes])).toEqual(exported);
  });

  test("an exported key, read and written by us, is byte for byte the export but for the key's own name", () => {
    const values = readOwnKey(fixture("wine-10-export"), "", OWN_KEY);
    const ours = Buffer.from(writeRegistryFile(OWN_KEY, values)).toString("utf16le");
    const theirs = Buffer.from(fixture("wine-10-export")).toString("utf16le");
    expect(ours).toBe(theirs.replace("HKEY_CURRENT_USER", () => "HKEY_USERS\\S-1-5-21-1-2-3-1001"));
  });

  test("in the old 8-bit form turns hex of text into UTF-16, and leaves other hex alone", () => {
    const values = readOwnKey(fixture("regedit4"), "", OWN_KEY);
    expect(values).toEqual([
      text("FriendlyName", 'Library "1" C:\\'),
      { name: "AcceptedEULA", type: 4, bytes: Uint8Array.of(1, 0, 0, 0) },
      { name: "LocalAppDataPath", type: 2, bytes: wide("%USERPROFILE%\\AppData\0") },
      { name: "SomeList", type: 7, bytes: wide("one\0two\0\0") },
      { name: "SomeBytes", type: 3, bytes: Uint8Array.of(0, 1, 2, 0xfe, 0xff) },
    ]);
  });

  test("tells keys, deleted keys and deleted values, with their lines", () => {
    const file = readRegistryFile(
      wide(`\ufeff${HEADER}[HKEY_USERS\\a b]\r\n"x"=-\r\n@=-\r\n\r\n[-HKEY_USERS\\gone]\r\n"`.slice(0, -1)),
      "",
    );
    expect(file).toEqual({
      keys: [
        {
          line: 3,
          path: "HKEY_USERS\\a b",
          remove: false,
          entries: [
            { kind: "delete", line: 4, name: "x" },
            { kind: "delete", line: 5, name: "" },
          ],
        },
        { line: 7, path: "HKEY_USERS\\gone", remove: true, entries: [] },
      ],
    });
  });

  test.each<[string, [string, number, string]]>([
    ['"a"="b"', ["a", 1, "62000000"]],
    ['"a"=""', ["a", 1, "0000"]],
    ['@="b"', ["", 1, "62000000"]],
    ['""="b"', ["", 1, "62000000"]],
    ['"a\\"\\\\"="\\\\\\""', ['a"\\', 1, "5c0022000000"]],
    ['\t "a" =\t"b" \t; words "', ["a", 1, "62000000"]],
    ['"a"="b;c" ;d', ["a", 1, "62003b0063000000"]],
    ['"a"="\ud800"', ["a", 1, "00d80000"]],
    ['"a"=dword:1', ["a", 4, "01000000"]],
    ['"a"=dword: fFfFfFfE;c', ["a", 4, "feffffff"]],
    ['"a"=hex:', ["a", 3, ""]],
    ['"a"=hex(2): \t', ["a", 2, ""]],
    ['"a"=hex:0A,b0', ["a", 3, "0ab0"]],
    ['"a"=hex: 01, 02,\t03 ', ["a", 3, "010203"]],
    ['"a"=hex(0):01', ["a", 0, "01"]],
    ['"a"=hex(1):61,00', ["a", 1, "6100"]],
    ['"a"=hex(4):01', ["a", 4, "01"]],
    ['"a"=hex(b):01', ["a", 11, "01"]],
    ['"a"=hex(0000000B):01', ["a", 11, "01"]],
    ['"a"=hex(ffffffff):01', ["a", 0xffff_ffff, "01"]],
    ['"a"=hex:\\\r\n01,\\ \t\n  02', ["a", 3, "0102"]],
    ['"a"=hex:01,\\;words\r\n\r\n \t\r\n;more \\\r\n  02', ["a", 3, "0102"]],
  ])("%j", (line, value) => {
    expect(onlyValue(line)).toEqual(value);
    expect(onlyValue(`${line}\r\n`)).toEqual(value);
    expect(onlyValue(`;"a"="c" \\\n\n${line}\n[HKEY_USERS\\b]`)).toEqual(value);
  });

  test("names differ by case as the registry sees it, in which no other letter becomes an ASCII one", () => {
    expect(foldedName("straße I ï Я 😀")).toBe("STRAßE I Ï Я 😀");
    expect(entriesOf('"i"=-\n"ı"=-\n"s"=-\n"ſ"=-\n"ss"=-\n"ß"=-\n"k"=-\n')).toHaveLength(7);
  });
});

test("names are in order without regard to case, and exactly where that is all they differ in", () => {
  expect(["b", "a", "_", "B", "A", "", "ä", "Ä"].sort(compareNames)).toEqual([
    "",
    "A",
    "a",
    "B",
    "b",
    "_",
    "Ä",
    "ä",
  ]);
  expect(compareNames("a", "a")).toBe(0);
});

describe("writing", () => {
  test("an empty key", () => {
    expect(body([])).toBe("");
    expect(readOwnKey(writeRegistryFile(OWN_KEY, []), "", OWN_KEY)).toEqual([]);
  });

  test("sorts by name without regard to case, the default value first, whatever the order was", () => {
    const values = ["b", "a_", "C", "", "aB", "Ä", "z"].map((name) => text(name, ""));
    const names = '@="" "aB"="" "a_"="" "b"="" "C"="" "z"="" "Ä"="" '.replaceAll(" ", "\r\n");
    expect(body(values)).toBe(names);
    expect(body(values.toReversed())).toBe(names);
  });

  test.each<[string, RegistryValue, string]>([
    ["text", text('a"\\', 'b\\"日'), '"a\\"\\\\"="b\\\\\\"日"'],
    ["an emoji", text("a", "😀"), '"a"="😀"'],
    ["text without its NUL", { name: "a", type: 1, bytes: wide("b") }, '"a"=hex(1):62,00'],
    ["text of no bytes", { name: "a", type: 1, bytes: new Uint8Array() }, '"a"=hex(1):'],
    ["half a character", { name: "a", type: 1, bytes: Uint8Array.of(0, 0, 0) }, '"a"=hex(1):00,00,00'],
    ["a NUL inside", text("a", "b\0"), '"a"=hex(1):62,00,00,00,00,00'],
    ["a tab", text("a", "\t"), '"a"=hex(1):09,00,00,00'],
    ["a line break", text("a", "\r\n"), '"a"=hex(1):0d,00,0a,00,00,00'],
    ["a C1 control", text("a", "\x85"), '"a"=hex(1):85,00,00,00'],
    ["a lone surrogate", text("a", "\udc00"), '"a"=hex(1):00,dc,00,00'],
    ["a number", { name: "a", type: 4, bytes: Uint8Array.of(1, 2, 3, 0xf4) }, '"a"=dword:f4030201'],
    ["a short number", { name: "a", type: 4, bytes: Uint8Array.of(1) }, '"a"=hex(4):01'],
    ["bytes", { name: "a", type: 3, bytes: Uint8Array.of(0x0f) }, '"a"=hex:0f'],
    ["no type", { name: "a", type: 0, bytes: new Uint8Array() }, '"a"=hex(0):'],
    [
      "a big-endian number",
      { name: "a", type: 5, bytes: Uint8Array.of(0, 0, 0, 1) },
      '"a"=hex(5):00,00,00,01',
    ],
    ["an unknown type", { name: "", type: 0xffff_ffff, bytes: Uint8Array.of(1) }, "@=hex(ffffffff):01"],
    ["controls in a name", text("\x01\t\u2028", "b"), '"\x01\t\u2028"="b"'],
    ["a name of half an emoji", text("\ud83d", "b"), '"\ud83d"="b"'],
  ])("%s", (_, value, line) => {
    expect(body([value])).toBe(`${line}\r\n`);
    expect(readOwnKey(writeRegistryFile(OWN_KEY, [value]), "", OWN_KEY)).toEqual([value]);
  });

  test("folds hex where regedit does", () => {
    const bytes = Uint8Array.from({ length: 60 }, () => 0xab);
    const of = (count: number) => Array.from({ length: count }, () => "ab").join(",");
    expect(body([{ name: "Multiple strings", type: 7, bytes }])).toBe(
      `"Multiple strings"=hex(7):${of(17)},\\\r\n  ${of(25)},\\\r\n  ${of(18)}\r\n`,
    );
    const long = "x".repeat(100);
    expect(body([{ name: long, type: 3, bytes: bytes.subarray(0, 27) }])).toBe(
      `"${long}"=hex:ab,\\\r\n  ${of(25)},\\\r\n  ab\r\n`,
    );
    expect(body([{ name: long, type: 3, bytes: bytes.subarray(0, 26) }])).toBe(
      `"${long}"=hex:ab,\\\r\n  ${of(25)}\r\n`,
    );
  });
});
