import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Problem, ProblemError } from "../../src/model/problem.ts";
import { readOwnKey, readRegistryFile, writeRegistryFile } from "../../src/stores/registry-file.ts";
import type { RegistryValue } from "../../src/world/windows-system.ts";
import { OWN_KEY } from "../support/registry-file-document.ts";

const HEADER = "Windows Registry Editor Version 5.00\r\n\r\n";
const KEY = "[HKEY_USERS\\a]\r\n";
const USER_KEY = "HKEY_CURRENT_USER\\Software\\Plex, Inc.\\Plex Media Server";
const CANARY = "the-secret-in-the-file";

function utf16(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(`\ufeff${text}`, "utf16le"));
}

function utf8(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "utf8"));
}

function latin1(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

function problemOf(of: () => unknown): Problem {
  try {
    of();
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    throw error;
  }
  throw new Error("nothing was refused");
}

function readingOf(bytes: Uint8Array): Problem {
  return problemOf(() => readRegistryFile(bytes, "C:\\some.reg"));
}

function malformed(reason: string) {
  return { code: "SETTINGS_MALFORMED", path: "C:\\some.reg", reason };
}

describe("a file is refused", () => {
  test.each<[string, string, Uint8Array]>([
    ["that is empty", "no-registry-file", new Uint8Array()],
    ["of a mark alone", "no-registry-file", utf16("")],
    ["without a header", "no-registry-file", utf16(`${KEY}"a"="b"\r\n`)],
    ["with something before the header", "no-registry-file", utf16(`\r\n${HEADER}${KEY}`)],
    ["with another version", "no-registry-file", utf16(`Windows Registry Editor Version 5.01\r\n${KEY}`)],
    ["with a longer version", "no-registry-file", utf16(`Windows Registry Editor Version 5.000\r\n${KEY}`)],
    ["of Windows 3.1", "no-registry-file", utf8("REGEDIT\r\nHKEY_CLASSES_ROOT\\x = y\r\n")],
    ["of the 8-bit form in UTF-16", "no-registry-file", utf16(`REGEDIT4\r\n${KEY}`)],
    ["of the 8-bit form with a mark of UTF-8", "no-registry-file", utf8(`\ufeffREGEDIT4\r\n${KEY}`)],
    ["of XML", "no-registry-file", utf8('<?xml version="1.0"?><Preferences/>')],
    ["with a blank behind the header", "no-registry-file", utf16(`${HEADER.trimEnd()} \r\n${KEY}`)],
    ["with a comment behind the header", "no-registry-file", utf16(`${HEADER.trimEnd()};\r\n${KEY}`)],
    ["in UTF-16 without a mark", "no-registry-file", utf16(HEADER).subarray(2)],
    ["in UTF-16BE", "utf16", new Uint8Array(Buffer.from(utf16(HEADER + KEY)).swap16())],
    ["cut inside a character", "truncated", utf16(HEADER + KEY).subarray(0, -1)],
    ["in 8-bit text of some code page", "not-utf8", latin1(`${HEADER}${KEY}"a"="\xe9"\r\n`)],
    ["in the 8-bit form, not ASCII", "not-utf8", latin1(`REGEDIT4\r\n${KEY}"a"="\xe9"\r\n`)],
    ["in the 8-bit form, not ASCII but UTF-8", "not-utf8", utf8(`REGEDIT4\r\n${KEY}"a"="é"\r\n`)],
    ["with a surrogate in UTF-8", "not-utf8", latin1(`${HEADER}${KEY}"\xed\xa0\x80"=-\r\n`)],
    ["larger than 16 MiB", "too-large", new Uint8Array(16_777_217)],
  ])("%s", (_, reason, bytes) => {
    expect(readingOf(bytes)).toEqual(malformed(reason));
  });

  test("with more than 65536 keys and values, and read with as many", () => {
    const names = Array.from({ length: 65_536 }, (_, index) => `"${index}"=-\n`);
    expect(readingOf(utf8(HEADER + KEY + names.join("")))).toEqual(malformed("too-large"));
    const [key] = readRegistryFile(utf8(HEADER + KEY + names.slice(1).join("")), "").keys;
    expect(key?.entries).toHaveLength(65_535);
  });

  test.each([
    ["a value before a key", '"a"="b"', ""],
    ["a value in a deleted key", '[-HKEY_USERS\\b]\r\n"a"="b"'],
    ["a deletion in a deleted key", '[-HKEY_USERS\\b]\r\n"a"=-'],
    ["a NUL", '"a"="b\0"'],
    ["a NUL in a comment", ";\0"],
    ["a CR that ends a line", '"a"="b"\r"c"="d"\r\n'],
    ["a CR in a comment", ";\r[HKEY_USERS\\b]\r\n"],
    ["a CR at the end", '"a"="b"\r'],
    ["a CR in a string", '"a"="b\rc"'],
    ["a comment of another kind", "# words"],
    ["another kind of comment behind a value", '"a"="b"#words'],
    ["plain words", "words"],
    ["a space that is none", "\u00a0"],
    ["a line separator", '"a"="b"\u2028"c"="d"'],
    ["a mark of UTF-16 inside", '\ufeff"a"="b"'],
    ["junk behind a string", '"a"="b"c'],
    ["a string doubled", '"a"="b""c"'],
    ["junk behind a number", '"a"=dword:1 2'],
    ["junk behind hex", '"a"=hex:01 2'],
    ["junk behind a deletion", '"a"=-1'],
    ["a string without an end", '"a"="b'],
    ["a string that ends in the next line", '"a"="b\r\nc"'],
    ["a string that goes on by a backslash", '"a"="b\\\r\nc"'],
    ["a string whose end is escaped", '"a"="b\\"'],
    ["a name without an end", '"a='],
    ["an escape of a line break, as Wine writes it", '"a"="b\\nc"'],
    ["an escape at the end of the file", '"a"="b\\'],
    ["a name without quotes", 'a="b"'],
    ["two names", '"a""b"="c"'],
    ["a name without a value", '"a"'],
    ["a value that is a comment", '"a"=;b'],
    ["nothing behind the equals sign", '"a"='],
    ["two equals signs", '"a"=="b"'],
    ["text without quotes", '"a"=b'],
    ["a number without digits", '"a"=dword:'],
    ["a number of nine digits", '"a"=dword:000000001'],
    ["a number with a sign", '"a"=dword:-1'],
    ["a number with 0x", '"a"=dword:0x1'],
    ["a number of other digits", '"a"=dword:g'],
    ["a number over two lines", '"a"=dword:1\\\r\n2'],
    ["a type in capitals", '"a"=DWORD:1'],
    ["hex in capitals", '"a"=HEX:01'],
    ["an unknown kind", '"a"=qword:1'],
    ["a space before the colon", '"a"=hex :01'],
    ["no hex but a comment", '"a"=hex(2):;01'],
    ["hex of one digit", '"a"=hex:1'],
    ["hex of three digits", '"a"=hex:012'],
    ["hex of other digits", '"a"=hex:0g'],
    ["hex of wide digits", '"a"=hex:\uff10\uff11'],
    ["hex without commas", '"a"=hex:01 02'],
    ["hex with a space before a comma", '"a"=hex:01 ,02'],
    ["hex that begins with a comma", '"a"=hex:,01'],
    ["hex that ends with a comma", '"a"=hex:01,'],
    ["hex that ends with a comma, and a comment", '"a"=hex:01,;02'],
    ["hex with an empty place", '"a"=hex:01,,02'],
    ["hex that breaks without a comma", '"a"=hex:01\\\r\n02'],
    ["hex that breaks before a comma", '"a"=hex:01\\\r\n,02'],
    ["hex that breaks inside a byte", '"a"=hex:0\\\r\n1'],
    ["hex that breaks twice", '"a"=hex:01,\\\r\n\\\r\n02'],
    ["hex that breaks off", '"a"=hex:01,\\'],
    ["hex that breaks off behind its line", '"a"=hex:01,\\\r\n\r\n'],
    ["hex that goes on with a value", '"a"=hex:01,\\\r\n"b"="c"'],
    ["hex that goes on with a deleted key", `"a"=hex:01,\\\r\n[-${OWN_KEY}]`],
    ["junk behind the backslash", '"a"=hex:01,\\x\r\n02'],
    ["a type without a number", '"a"=hex():01'],
    ["a type of nine digits", '"a"=hex(000000001):01'],
    ["a type of other digits", '"a"=hex(g):01'],
    ["a type with a space", '"a"=hex( 2):01'],
    ["a type without an end", '"a"=hex(2:01'],
    ["a type without a colon", '"a"=hex(2)01'],
    ["a key without an end", "[HKEY_USERS\\b"],
    ["a key over two lines", "[HKEY_USERS\\\r\nb]"],
    ["junk behind a key", "[HKEY_USERS\\b]c"],
    ["a comment behind a key", "[HKEY_USERS\\b] ; c"],
    ["an empty key", "[]"],
    ["an empty deleted key", "[-]"],
    ["a bracket alone", "["],
    ["a key that ends with a backslash", "[HKEY_USERS\\b\\]"],
    ["a key that begins with a backslash", "[\\HKEY_USERS\\b]"],
    ["a key with two backslashes", "[HKEY_USERS\\\\b]"],
    ["a name of 16384 characters", `"${"x".repeat(16_384)}"="b"`],
  ])("with %s", (_, lines, key = KEY) => {
    expect(readingOf(utf16(HEADER + key + lines))).toEqual(malformed("syntax"));
    expect(readingOf(utf16(`${HEADER + key + lines}\r\n`))).toEqual(malformed("syntax"));
  });

  test.each([
    ["a name", '"a"="b"\r\n"a"="b"'],
    ["a name in other case", '"PlexOnlineToken"="b"\r\n"plexonlinetoken"="b"'],
    ["a name in other case, not ASCII", '"ü"="b"\r\n"Ü"="b"'],
    ["a name that is deleted first", '"a"=-\r\n"a"="b"'],
    ["the default value", '@="b"\r\n@="b"'],
    ["the default value under both names", '@="b"\r\n""="b"'],
    ["a key", "[HKEY_USERS\\a]"],
    ["a key in other case", "[hkey_users\\A]"],
    ["a key that is deleted first", "[-HKEY_USERS\\b]\r\n[HKEY_USERS\\b]"],
  ])("with %s twice", (_, lines) => {
    expect(readingOf(utf16(HEADER + KEY + lines))).toEqual(malformed("duplicate-value"));
  });

  test.each([
    ["without its NUL", '"a"=hex(2):61'],
    ["not ASCII", '"a"=hex(7):e9,00'],
    ["of type 1, not ASCII", '"a"=hex(1):80,00'],
  ])("of the 8-bit form with hex of text %s", (_, line) => {
    expect(readingOf(utf8(`REGEDIT4\r\n\r\n${KEY}${line}\r\n`))).toEqual(malformed("syntax"));
    expect(
      readRegistryFile(utf8(`REGEDIT4\r\n\r\n${KEY}${line.replace(/\d\)/, "8)")}\r\n`), "").keys,
    ).toHaveLength(1);
  });
});

describe("the allow-list", () => {
  const own = `[${OWN_KEY}]\r\n"a"="${CANARY}"\r\n`;

  test("lets the key through under its own name and the account's, in any case", () => {
    for (const key of [OWN_KEY, OWN_KEY.toLowerCase(), USER_KEY, USER_KEY.toUpperCase()]) {
      const values = readOwnKey(utf16(`${HEADER}[${key}]\r\n"a"=dword:1\r\n`), "", OWN_KEY);
      expect(values).toEqual([{ name: "a", type: 4, bytes: Uint8Array.of(1, 0, 0, 0) }]);
    }
  });

  test.each<[string, string, number, string]>([
    ["another key", "[HKEY_LOCAL_MACHINE\\SOFTWARE\\x]", 3, "[HKEY_LOCAL_MACHINE\\SOFTWARE\\x]"],
    ["another key after the own one", `${own}[HKEY_USERS\\x]`, 5, "[HKEY_USERS\\x]"],
    ["a key of the own one", `${own}[${OWN_KEY}\\sub]`, 5, `[${OWN_KEY}\\sub]`],
    ["the key above", `[${USER_KEY.slice(0, -18)}]`, 3, `[${USER_KEY.slice(0, -18)}]`],
    [
      "the key of another account",
      `[${OWN_KEY.replace("1001", "1002")}]`,
      3,
      `[${OWN_KEY.replace("1001", "1002")}]`,
    ],
    ["the key under both names", `${own}[${USER_KEY}]\r\n"b"="c"`, 5, `[${USER_KEY}]`],
    [
      "a short root",
      `[${USER_KEY.replace("HKEY_CURRENT_USER", "HKCU")}]`,
      3,
      "[HKCU\\Software\\Plex, Inc.\\Plex Media Server]",
    ],
    ["a deletion of the key", `[-${OWN_KEY}]`, 3, `[-${OWN_KEY}]`],
    ["a deletion of the account's key", `[-${USER_KEY}]`, 3, `[-${USER_KEY}]`],
    ["a deletion of another key", `${own}[-HKEY_USERS\\x]`, 5, "[-HKEY_USERS\\x]"],
    ["a deletion of a value", `${own}"PlexOnlineToken" = - ;x`, 5, '"PlexOnlineToken"=-'],
    ["a deletion of the default value", `${own}@=-`, 5, "@=-"],
    ["the first of several", `${own}"b"=-\r\n[HKEY_USERS\\x]\r\n"a"="${CANARY}"`, 5, '"b"=-'],
    ["a key with a value", `[HKEY_USERS\\x]\r\n"a"="${CANARY}"`, 3, "[HKEY_USERS\\x]"],
    ["a key that hides its end", "[HKEY_USERS\\\u202ex\x1b[2J]", 3, "[HKEY_USERS\\\\u{202e}x\\u{1b}[2J]"],
    ["a long key", `[HKEY_USERS\\${"x".repeat(300)}]`, 3, `[HKEY_USERS\\${"x".repeat(188)}…`],
  ])("refuses %s and shows its line without any data", (_, lines, line, wants) => {
    const problem = problemOf(() => readOwnKey(utf16(HEADER + lines), "C:\\some.reg", OWN_KEY));
    expect(problem).toEqual({ code: "REGISTRY_FILE_REFUSED", path: "C:\\some.reg", line, wants });
    expect(JSON.stringify(problem)).not.toContain(CANARY);
  });

  test("refuses the line of the guides that removes the four values", () => {
    const guide = readFileSync(new URL("../fixtures/registry/removes-four-values.reg", import.meta.url));
    expect(problemOf(() => readOwnKey(new Uint8Array(guide), "x.reg", OWN_KEY))).toEqual({
      code: "REGISTRY_FILE_REFUSED",
      path: "x.reg",
      line: 4,
      wants: '"PlexOnlineHome"=-',
    });
  });

  test("takes no account's key for a key that belongs to no account", () => {
    const machine = "HKEY_LOCAL_MACHINE\\Software\\Plex, Inc.\\Plex Media Server";
    expect(problemOf(() => readOwnKey(utf16(`${HEADER}[${USER_KEY}]`), "", machine)).code).toBe(
      "REGISTRY_FILE_REFUSED",
    );
    expect(
      problemOf(() => readOwnKey(utf16(`${HEADER}[HKEY_CURRENT_USER]`), "", "HKEY_USERS\\S-1")).code,
    ).toBe("REGISTRY_FILE_REFUSED");
  });

  test("says of a file without any key that it breaks off", () => {
    expect(problemOf(() => readOwnKey(utf16(HEADER), "C:\\some.reg", OWN_KEY))).toEqual(
      malformed("truncated"),
    );
  });
});

describe("what the format cannot hold is refused when it is written", () => {
  const empty = new Uint8Array();
  test.each<[string, string, RegistryValue[], string?]>([
    ["a NUL in a name", "syntax", [{ name: "a\0", type: 1, bytes: empty }]],
    ["a line feed in a name", "syntax", [{ name: "a\n", type: 1, bytes: empty }]],
    ["a carriage return in a name", "syntax", [{ name: "\ra", type: 1, bytes: empty }]],
    ["a name of 16384 characters", "syntax", [{ name: "x".repeat(16_384), type: 1, bytes: empty }]],
    ["a type below nought", "syntax", [{ name: "a", type: -1, bytes: empty }]],
    ["a type of 33 bits", "syntax", [{ name: "a", type: 2 ** 32, bytes: empty }]],
    ["a type that is a fraction", "syntax", [{ name: "a", type: 1.5, bytes: empty }]],
    [
      "a name twice",
      "duplicate-value",
      [
        { name: "a", type: 1, bytes: empty },
        { name: "A", type: 1, bytes: empty },
      ],
    ],
    [
      "data that make the file too large",
      "too-large",
      [{ name: "a", type: 3, bytes: new Uint8Array(2_800_000) }],
    ],
    ["data larger than a file", "too-large", [{ name: "a", type: 3, bytes: new Uint8Array(16_777_217) }]],
    ["a line break in the key", "syntax", [], "HKEY_USERS\\a\n[-HKEY_USERS\\b]"],
    ["a key that asks for a deletion", "syntax", [], "-HKEY_USERS\\a"],
    ["a key without a name", "syntax", [], "HKEY_USERS\\"],
  ])("%s", (_, reason, values, key = OWN_KEY) => {
    expect(problemOf(() => writeRegistryFile(key, values))).toEqual({
      code: "SETTINGS_MALFORMED",
      path: key,
      reason,
    });
  });

  test("a name of 16383 characters and a value of 2 MiB are written", () => {
    const value = { name: "x".repeat(16_383), type: 3, bytes: new Uint8Array(2_097_152) };
    expect(readOwnKey(writeRegistryFile(OWN_KEY, [value]), "", OWN_KEY)).toEqual([value]);
  });
});
