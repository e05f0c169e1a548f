import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { Secret } from "../../src/model/secret.ts";
import { CREDENTIAL_NAMES, type CredentialChange } from "../../src/model/settings.ts";
import { writeBinaryPlist } from "../../src/stores/plist-binary-writer.ts";
import { plistBytes } from "../../src/stores/plist-bytes.ts";
import { readPlist, readPlistFile } from "../../src/stores/plist-reader.ts";
import { differingKeys, editPlist, isEditOf, parsePlistSettings } from "../../src/stores/plist-settings.ts";
import {
  MAX_PLIST_BYTES,
  type PlistDictionary,
  type PlistEntry,
  type PlistValue,
  realOf,
  samePlist,
  valueUnder,
} from "../../src/stores/plist-value.ts";
import { writeXmlPlist } from "../../src/stores/plist-xml-writer.ts";
import { binaryDocument } from "../support/plist-binary-document.ts";
import { anyRandom, type Random } from "../support/plist-random.ts";
import { refusalOf } from "../support/plist-refusal.ts";
import { ALL_BINARY, settingsTree, string } from "../support/plist-trees.ts";
import { utf8, xmlDocument, xmlText, xmlTextWithout } from "../support/plist-xml-document.ts";

const PATH = "/Users/owner/Library/Preferences/com.plexapp.plexmediaserver.plist";
const FOUR: readonly string[] = CREDENTIAL_NAMES;
const REMOVE: CredentialChange = { kind: "remove" };
const fixture = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../fixtures/plist/${name}`, import.meta.url)));
const BINARY = fixture("plex-binary.plist");
const XML = fixture("plex-xml.plist");

const text = (value: string): PlistValue => ({ kind: "string", value });
const dictionary = (entries: readonly PlistEntry[]): PlistDictionary => ({ kind: "dictionary", entries });
const IDS: PlistEntry[] = [
  ["MachineIdentifier", text("m")],
  ["ProcessedMachineIdentifier", text("p")],
];
const others = ({ entries }: PlistDictionary) => dictionary(entries.filter(([key]) => !FOUR.includes(key)));

function replacement(token: string, username = "new", mail = "new@example.org"): CredentialChange {
  return { kind: "replace", credentials: { token: new Secret(token), username, mail } };
}

function randomReplacement(random: Random): CredentialChange {
  return replacement(`t${string(random, { returns: true })}`, string(random), string(random));
}

function rootOf(bytes: Uint8Array): PlistDictionary {
  const { root } = readPlist(bytes, PATH);
  if (root.kind !== "dictionary") throw new Error("no dictionary");
  return root;
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** What the four are after a change, by the tree alone. */
function credentialsIn(bytes: Uint8Array): (string | undefined)[] {
  const root = rootOf(bytes);
  return FOUR.map((name) => {
    const value = valueUnder(root, name);
    return value?.kind === "string" ? value.value : value?.kind;
  });
}

function credentialsOf(change: CredentialChange): (string | undefined)[] {
  if (change.kind === "remove") return [undefined, undefined, undefined, undefined];
  const { token, username, mail } = change.credentials;
  return [token.reveal(), username, mail, undefined];
}

describe("what a property list says of a server", () => {
  test.each<[string, Uint8Array, Partial<Record<string, string>>]>([
    ["binary", BINARY, { friendlyName: "Büro-Mac 🎬" }],
    ["XML", XML, { friendlyName: "Büro & <Mac> 🎬" }],
  ])("%s", (_format, bytes, { friendlyName }) => {
    const { credentials, identity, ...rest } = parsePlistSettings(bytes, PATH);
    expect(credentials.token?.reveal()).toBe("oldTokenOldTokenOldT");
    expect(credentials).toMatchObject({ username: "owner", mail: "owner@example.org", home: "1" });
    expect(identity.machineIdentifier).toBe("7c2a5d38-9d43-4b1e-8f70-3f4b8a52d0c4");
    expect(identity.processedMachineIdentifier).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4");
    expect(rest).toEqual({ friendlyName });
  });

  test.each<[PlistValue, string]>([
    [{ kind: "integer", value: 1n }, "1"],
    [{ kind: "integer", value: 0n }, "0"],
    [{ kind: "integer", value: 2n ** 64n - 1n }, "18446744073709551615"],
    [{ kind: "boolean", value: true }, "1"],
    [{ kind: "boolean", value: false }, "0"],
  ])("PlexOnlineHome may be %o", (value, home) => {
    const tree = dictionary([...IDS, ["PlexOnlineHome", value]]);
    for (const bytes of [writeBinaryPlist(tree), writeXmlPlist(tree)]) {
      expect(parsePlistSettings(bytes, PATH).credentials).toEqual({ home });
    }
  });

  test.each<[string, PlistValue, string]>([
    ["PlexOnlineToken", { kind: "data", bytes: new Uint8Array(3) }, "data"],
    ["PlexOnlineUsername", { kind: "integer", value: 1n }, "integer"],
    ["PlexOnlineMail", { kind: "array", items: [] }, "array"],
    ["PlexOnlineHome", text("1"), "string"],
    ["PlexOnlineHome", realOf(1), "real"],
    ["MachineIdentifier", { kind: "boolean", value: true }, "boolean"],
    ["ProcessedMachineIdentifier", dictionary([]), "dictionary"],
    ["AnonymousMachineIdentifier", { kind: "date", seconds: 0 }, "date"],
    ["CertificateUUID", { kind: "uid", value: 1n }, "uid"],
  ])("%s of another type (%o) is named, and nothing is edited", (name, value, type) => {
    const tree = dictionary([...IDS.filter(([key]) => key !== name), [name, value]]);
    for (const bytes of [writeBinaryPlist(tree), writeXmlPlist(tree)]) {
      for (const call of [() => parsePlistSettings(bytes, PATH), () => editPlist(bytes, REMOVE, PATH)]) {
        expect(call).toThrow(ProblemError);
        expect(() => call()).toThrow(
          expect.objectContaining({ problem: { code: "UNEXPECTED_TYPE", path: PATH, name, type } }),
        );
      }
    }
  });

  const filler = Array.from({ length: 9 }, (_, n): PlistEntry => [`Setting${n}`, text("x")]);
  test.each<[string, PlistValue, string]>([
    ["no entry", dictionary([]), "stub"],
    ["hardly any", dictionary(filler.slice(0, 3)), "stub"],
    [
      "blank identifiers",
      dictionary([
        ["MachineIdentifier", text(" ")],
        ["ProcessedMachineIdentifier", text("")],
      ]),
      "stub",
    ],
    ["all but the identifiers", dictionary(filler), "identifiers-missing"],
    ["one identifier", dictionary(IDS.slice(0, 1)), "identifiers-missing"],
    [
      "the other, and a blank one",
      dictionary([["MachineIdentifier", text("")], ...IDS.slice(1)]),
      "identifiers-missing",
    ],
    ["an array", { kind: "array", items: [text("x")] }, "wrong-root"],
    ["a string", text("x"), "wrong-root"],
    ["a UID", { kind: "uid", value: 1n }, "wrong-root"],
  ])("settings with %s are not edited", (_what, tree, reason) => {
    for (const bytes of [writeBinaryPlist(tree), writeXmlPlist(tree)]) {
      expect(refusalOf(() => parsePlistSettings(bytes, PATH))).toBe(reason);
      expect(refusalOf(() => editPlist(bytes, REMOVE, PATH))).toBe(reason);
    }
  });

  test("a friendly name that is empty or no text counts as none", () => {
    for (const name of [text(""), { kind: "integer", value: 1n } as const]) {
      const bytes = writeBinaryPlist(dictionary([...IDS, ["FriendlyName", name]]));
      expect(parsePlistSettings(bytes, PATH)).not.toHaveProperty("friendlyName");
    }
  });

  test("an empty token is one, and keys of other letters are none", () => {
    const tree = dictionary([...IDS, ["PlexOnlineToken", text("")], ["plexonlinemail", text("x")]]);
    const { credentials } = parsePlistSettings(writeXmlPlist(tree), PATH);
    expect(Object.keys(credentials)).toEqual(["token"]);
    expect(credentials.token?.reveal()).toBe("");
  });
});

describe("an XML property list after an edit", () => {
  test("is the same but for the four: the fixture, byte for byte", () => {
    const before = Buffer.from(XML).toString();
    const removed = before.replace(/\n\t<key>PlexOnline\w+<\/key>\n\t<\w+>[^<]*<\/\w+>/g, "");
    expect(Buffer.from(editPlist(XML, REMOVE, PATH)).toString()).toBe(removed);
    expect(removed).toContain("<!-- the old sign-in -->");
    const replaced = before
      .replace(/\n\t<key>PlexOnlineHome<\/key>\n\t<integer>1<\/integer>/, "")
      .replace("oldTokenOldTokenOldT", "a&lt;b&amp;c&gt;\"'🔑")
      .replace("<string>owner</string>", "<string></string>")
      .replace("owner@example.org", "new@example.org");
    expect(Buffer.from(editPlist(XML, replacement("a<b&c>\"'🔑", ""), PATH)).toString()).toBe(replaced);
    expect(Buffer.from(editPlist(Buffer.from(removed), replacement("t"), PATH)).toString()).toBe(
      removed.replace(
        "\n</dict>\n</plist>",
        "\n\t<key>PlexOnlineToken</key>\n\t<string>t</string>\n\t<key>PlexOnlineUsername</key>\n\t<string>new</string>" +
          "\n\t<key>PlexOnlineMail</key>\n\t<string>new@example.org</string>\n</dict>\n</plist>",
      ),
    );
  });

  test("has every other byte as it was, in whatever form it is written", () => {
    fc.assert(
      fc.property(anyRandom, (random) => {
        const document = xmlDocument(random, settingsTree(random, { uids: true, returns: true }));
        const bytes = utf8(xmlText(document));
        const removed = editPlist(bytes, REMOVE, PATH);
        expect(Buffer.from(removed).toString()).toBe(xmlTextWithout(document, FOUR));
        expect(same(editPlist(removed, REMOVE, PATH), removed)).toBe(true);
        const change = randomReplacement(random);
        const replaced = editPlist(bytes, change, PATH);
        expect(credentialsIn(replaced)).toEqual(credentialsOf(change));
        expect(samePlist(others(rootOf(replaced)), others(document.means))).toBe(true);
        expect(same(editPlist(replaced, change, PATH), replaced)).toBe(true);
        expect(same(editPlist(replaced, REMOVE, PATH), removed)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("has a value that was there where it was, and new keys before the end in the same indentation", () => {
    const before =
      "<plist><dict> <key>PlexOnlineToken</key> <string/> <key>MachineIdentifier</key><string>m</string>";
    const end =
      "\r\n  <key>ProcessedMachineIdentifier</key>\t<string>p</string><!-- last -->\r\n</dict></plist>";
    expect(Buffer.from(editPlist(utf8(before + end), replacement("t"), PATH)).toString()).toBe(
      before.replace("<string/>", "<string>t</string>") +
        end.replace(
          "\r\n</dict>",
          "\r\n  <key>PlexOnlineUsername</key>\t<string>new</string>" +
            "\r\n  <key>PlexOnlineMail</key>\t<string>new@example.org</string>\r\n</dict>",
        ),
    );
  });

  test("a comment between a key and its value stays when both go", () => {
    const entry = (name: string, comment: string) => `\n<key>${name}</key>${comment}\n<string>x</string>`;
    const ids = entry("MachineIdentifier", "") + entry("ProcessedMachineIdentifier", "");
    const file = `<plist><dict>${ids}${entry("PlexOnlineMail", " <!-- whose? -->")}\n</dict></plist>`;
    expect(Buffer.from(editPlist(utf8(file), REMOVE, PATH)).toString()).toBe(
      `<plist><dict>${ids} <!-- whose? -->\n</dict></plist>`,
    );
  });

  test("keys of containers further in are left alone", () => {
    const inner = dictionary([["PlexOnlineToken", text("inner")]]);
    const tree = dictionary([
      ...IDS,
      ["PlexOnlineHomes", inner],
      ["list", { kind: "array", items: [inner] }],
    ]);
    for (const bytes of [writeXmlPlist(tree), writeBinaryPlist(tree)]) {
      expect(same(editPlist(bytes, REMOVE, PATH), bytes)).toBe(true);
    }
  });
});

describe("a binary property list after an edit", () => {
  test("holds all other objects as they were, and the same bytes when it is edited again", () => {
    fc.assert(
      fc.property(anyRandom, (random) => {
        const tree = settingsTree(random, ALL_BINARY);
        const bytes = binaryDocument(random, tree);
        const removed = editPlist(bytes, REMOVE, PATH);
        expect(credentialsIn(removed)).toEqual([undefined, undefined, undefined, undefined]);
        expect(samePlist(rootOf(removed), others(tree))).toBe(true);
        expect(same(editPlist(removed, REMOVE, PATH), removed)).toBe(true);
        const change = randomReplacement(random);
        const replaced = editPlist(bytes, change, PATH);
        expect(credentialsIn(replaced)).toEqual(credentialsOf(change));
        expect(samePlist(others(rootOf(replaced)), others(tree))).toBe(true);
        const kept = tree.entries.map(([key]) => key).filter((key) => key !== "PlexOnlineHome");
        expect(
          rootOf(replaced)
            .entries.map(([key]) => key)
            .slice(0, kept.length),
        ).toEqual(kept);
        expect(same(editPlist(replaced, change, PATH), replaced)).toBe(true);
        expect(same(editPlist(replaced, REMOVE, PATH), removed)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("the fixture keeps its keys in their order, fractions of seconds and large numbers", () => {
    const after = rootOf(editPlist(BINARY, replacement("t"), PATH));
    expect(after.entries.map(([key]) => key)).toEqual(
      rootOf(BINARY)
        .entries.map(([key]) => key)
        .filter((key) => key !== "PlexOnlineHome"),
    );
    expect(valueUnder(after, "SULastCheckTime")).toEqual({ kind: "date", seconds: 752_312_712.25 });
    expect(valueUnder(after, "BigCounter")).toEqual({ kind: "integer", value: 2n ** 64n - 1n, width: 16 });
    expect(valueUnder(after, "SmallCounter")).toEqual({ kind: "integer", value: -(2n ** 63n), width: 8 });
    expect(valueUnder(after, "Ratio")).toEqual(realOf(1));
  });

  test("the bytes are their own, not of a pool that others see", () => {
    for (const bytes of [BINARY, XML]) {
      const edited = editPlist(bytes, replacement("t"), PATH);
      expect(edited.buffer.byteLength).toBe(edited.length);
    }
  });
});

describe("what is refused to be written", () => {
  test.each(["", "a\0b", "a\ud83d", "\x1b[0m", "\ufffe"])("the token %j", (token) => {
    for (const bytes of [BINARY, XML]) {
      expect(() => editPlist(bytes, replacement(token), PATH)).toThrow("PLEXTV_NONSENSE");
    }
  });

  test("a mail address that XML cannot hold", () => {
    for (const bytes of [BINARY, XML]) {
      expect(() => editPlist(bytes, replacement("t", "u", "\x01"), PATH)).toThrow("PLEXTV_NONSENSE");
    }
  });

  test("a file that would become too large", () => {
    const bytes = writeXmlPlist(dictionary([...IDS, ["x", text("")]]));
    const padded = Buffer.concat([bytes, Buffer.alloc(MAX_PLIST_BYTES - bytes.length, " ")]);
    expect(same(editPlist(padded, REMOVE, PATH), padded)).toBe(true);
    expect(refusalOf(() => editPlist(padded, replacement("t"), PATH))).toBe("too-large");
  });
});

describe("the check of an edit", () => {
  const wanted = new Map([
    ["PlexOnlineToken", "t"],
    ["PlexOnlineUsername", "u"],
    ["PlexOnlineMail", "m"],
  ]);
  const file = (bytes: Uint8Array) => readPlistFile(plistBytes(bytes), PATH);
  const xml = (change: (text: string) => string) => utf8(change(Buffer.from(good).toString()));
  const good = editPlist(XML, replacement("t", "u", "m"), PATH);

  test.each<[string, Uint8Array]>([
    ["another token", xml((all) => all.replace("<string>t<", "<string>T<"))],
    ["a token of another type", xml((all) => all.replace("<string>t</string>", "<data>tttt</data>"))],
    ["a missing mail", xml((all) => all.replace("<key>PlexOnlineMail</key>\n\t<string>m</string>", ""))],
    [
      "a home that stayed",
      xml((all) => all.replace("</dict>\n</plist", "<key>PlexOnlineHome</key><true/></dict>\n</plist")),
    ],
    ["another value", xml((all) => all.replace("0x10", "0x11"))],
    ["the same value in another spelling", xml((all) => all.replace("0x10", "16"))],
    ["a comment that went", xml((all) => all.replace("<!-- the old sign-in -->", ""))],
    ["another end", xml((all) => `${all}\n`)],
    ["another order", xml((all) => all.replace(/(\n\t<key>Ratio.*<\/real>)(.*<\/date>)/s, "$2$1"))],
    ["the other format", writeBinaryPlist(rootOf(good))],
    ["another root", utf8("<plist><true/></plist>")],
  ])("sees %s", (_what, after) => {
    expect(isEditOf(file(XML), file(good), wanted)).toBe(true);
    expect(same(after, good)).toBe(false);
    expect(isEditOf(file(XML), file(after), wanted)).toBe(false);
  });

  test("sees the other format where nothing is around the entries", () => {
    const [xml, binary] = [utf8("<plist><dict/></plist>"), writeBinaryPlist(dictionary([]))];
    expect(isEditOf(file(xml), file(xml), new Map())).toBe(true);
    expect(isEditOf(file(xml), file(binary), new Map())).toBe(false);
  });

  test("sees another width of a number in a binary file", () => {
    const tree = (width: 1 | 2) =>
      writeBinaryPlist(dictionary([...IDS, ["n", { kind: "integer", value: 1n, width }]]));
    expect(isEditOf(file(tree(1)), file(tree(1)), new Map())).toBe(true);
    expect(isEditOf(file(tree(1)), file(tree(2)), new Map())).toBe(false);
  });
});

describe("how two property lists differ", () => {
  test("by the entries outside the four, whatever the format and the order", () => {
    fc.assert(
      fc.property(anyRandom, (random) => {
        const tree = settingsTree(random, {});
        const turned = dictionary(tree.entries.toReversed());
        expect(differingKeys(writeBinaryPlist(tree), writeXmlPlist(turned))).toBe(0);
        expect(differingKeys(editPlist(writeXmlPlist(tree), REMOVE, PATH), writeBinaryPlist(tree))).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test("not by the order of what is further in", () => {
    const inner: PlistEntry[] = [
      ["a", text("1")],
      ["b", text("2")],
    ];
    const [one, other] = [inner, inner.toReversed()].map((entries) =>
      writeBinaryPlist(dictionary([...IDS, ["x", dictionary(entries)]])),
    );
    expect(one && other && [same(one, other), differingKeys(one, other)]).toEqual([false, 0]);
  });

  test("in number", () => {
    const one = dictionary([
      ...IDS,
      ["a", text("1")],
      ["b", realOf(1)],
      ["c", dictionary([])],
      ["d", text("")],
    ]);
    const other = dictionary([
      ...IDS,
      ["a", text("2")],
      ["b", { kind: "integer", value: 1n }],
      ["d", text("")],
      ["e", text("")],
    ]);
    expect(differingKeys(writeBinaryPlist(one), writeXmlPlist(other))).toBe(4);
    expect(differingKeys(writeBinaryPlist(one), utf8("no property list"))).toBe(0);
    expect(differingKeys(utf8("<plist><true/></plist>"), writeBinaryPlist(one))).toBe(0);
  });
});

describe("sameness", () => {
  const nan = { kind: "real", bits: 0x7ff8_0000_0000_0001n, width: 8 } as const;
  test.each<[PlistValue, PlistValue, boolean, boolean]>([
    [text("1"), { kind: "integer", value: 1n }, false, false],
    [{ kind: "integer", value: 1n }, realOf(1), false, false],
    [{ kind: "integer", value: 1n }, { kind: "boolean", value: true }, false, false],
    [{ kind: "integer", value: 1n }, { kind: "uid", value: 1n }, false, false],
    [{ kind: "integer", value: 1n, width: 1 }, { kind: "integer", value: 1n, width: 8 }, false, true],
    [{ kind: "integer", value: 1n }, { kind: "integer", value: 2n }, false, false],
    [{ kind: "uid", value: 1n, width: 1 }, { kind: "uid", value: 1n }, false, true],
    [realOf(0), realOf(-0), false, false],
    [realOf(Number.NaN), nan, false, true],
    [realOf(1), realOf(1, "1.0"), false, true],
    [realOf(1), { kind: "real", bits: 0x3f80_0000n, width: 4 }, false, true],
    [{ kind: "date", seconds: 0 }, { kind: "date", seconds: 0, text: "2001-01-01T00:00:00Z" }, false, true],
    [{ kind: "date", seconds: 0 }, { kind: "date", seconds: 0.5 }, false, false],
    [{ kind: "data", bytes: Uint8Array.of(1) }, { kind: "data", bytes: Uint8Array.of(1) }, true, true],
    [{ kind: "data", bytes: Uint8Array.of(1) }, { kind: "data", bytes: Uint8Array.of(2) }, false, false],
    [{ kind: "array", items: [] }, dictionary([]), false, false],
    [{ kind: "array", items: [text("a")] }, { kind: "array", items: [] }, false, false],
    [{ kind: "boolean", value: true }, { kind: "boolean", value: false }, false, false],
  ])("of %o and %o: %s, and %s in any spelling", (one, other, strict, anySpelling) => {
    for (const [a, b] of [
      [one, other],
      [other, one],
    ] as const) {
      expect(samePlist(a, b)).toBe(strict);
      expect(samePlist(a, b, { anySpelling: true })).toBe(anySpelling);
      expect(samePlist(dictionary([["x", a]]), dictionary([["x", b]]), { anyOrder: true })).toBe(strict);
    }
  });

  test("of dictionaries by their keys, too", () => {
    for (const options of [{}, { anyOrder: true }]) {
      const [one, other] = [dictionary([["a", text("1")]]), dictionary([["b", text("1")]])];
      expect(samePlist(one, one, options)).toBe(true);
      expect(samePlist(one, other, options)).toBe(false);
    }
  });

  test("in another order only where that is asked, at every level", () => {
    const inner = dictionary([
      ["a", text("1")],
      ["b", text("2")],
    ]);
    const turned = dictionary([
      ["b", text("2")],
      ["a", text("1")],
    ]);
    const [one, other] = [dictionary([["x", inner]]), dictionary([["x", turned]])];
    expect(samePlist(one, other)).toBe(false);
    expect(samePlist(one, other, { anyOrder: true })).toBe(true);
    expect(
      samePlist(
        inner,
        dictionary([
          ["b", text("1")],
          ["a", text("2")],
        ]),
        { anyOrder: true },
      ),
    ).toBe(false);
    expect(samePlist(inner, dictionary([["a", text("1")]]), { anyOrder: true })).toBe(false);
    expect(samePlist(dictionary([["a", text("1")]]), inner)).toBe(false);
  });
});
