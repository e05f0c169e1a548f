import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readPlist } from "../../src/stores/plist-reader.ts";
import {
  MAX_PLIST_DEPTH,
  MAX_PLIST_VALUES,
  numberOfReal,
  type PlistValue,
  realOf,
  samePlist,
} from "../../src/stores/plist-value.ts";
import { writeXmlPlist } from "../../src/stores/plist-xml-writer.ts";
import { anyRandom } from "../support/plist-random.ts";
import { refusalOf } from "../support/plist-refusal.ts";
import { readCounted } from "../support/plist-steps.ts";
import { settingsTree, treeFrom } from "../support/plist-trees.ts";
import { APPLE_DOCTYPES, utf8, xmlDocument, xmlText } from "../support/plist-xml-document.ts";

const IN_XML = { uids: true, returns: true };
const plist = (inside: string) => `<plist version="1.0">${inside}</plist>`;

function root(text: string): PlistValue {
  return readPlist(utf8(text), "").root;
}

function refused(bytes: Uint8Array): string {
  const { answer, withinBounds } = readCounted(bytes);
  expect(withinBounds).toBe(true);
  return refusalOf(() => {
    if (answer instanceof Error) throw answer;
  });
}

describe("XML property lists", () => {
  test("whatever is written is read as it was, and written as the same bytes again", () => {
    fc.assert(
      fc.property(anyRandom, (random) => {
        const tree = treeFrom(random, IN_XML);
        const written = writeXmlPlist(tree);
        const { answer, withinBounds } = readCounted(written);
        expect(withinBounds).toBe(true);
        if (answer instanceof Error) throw answer;
        expect(answer.format).toBe("xml");
        expect(samePlist(answer.root, tree, { anySpelling: true })).toBe(true);
        expect(Buffer.compare(writeXmlPlist(answer.root), written)).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test("every spelling is read as what it means, and the spelling of numbers and dates is kept", () => {
    fc.assert(
      fc.property(anyRandom, (random) => {
        const document = xmlDocument(random, settingsTree(random, IN_XML));
        const { answer, withinBounds } = readCounted(utf8(xmlText(document)));
        expect(withinBounds).toBe(true);
        if (answer instanceof Error) throw answer;
        expect(samePlist(answer.root, document.means)).toBe(true);
        expect(samePlist(readPlist(writeXmlPlist(answer.root), "").root, document.means)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("the layout is Apple's", () => {
    const tree: PlistValue = {
      kind: "dictionary",
      entries: [
        [
          "a&b",
          {
            kind: "array",
            items: [
              { kind: "boolean", value: true },
              { kind: "dictionary", entries: [] },
            ],
          },
        ],
        ["r", realOf(-0)],
        ["i", realOf(-Infinity)],
        ["d", { kind: "date", seconds: 0 }],
        ["u", { kind: "uid", value: 7n }],
        ["s", { kind: "string", value: "<\r>" }],
      ],
    };
    expect(Buffer.from(writeXmlPlist(tree)).toString()).toBe(`<?xml version="1.0" encoding="UTF-8"?>
${APPLE_DOCTYPES[0]}
<plist version="1.0">
<dict>
\t<key>a&amp;b</key>
\t<array>
\t\t<true/>
\t\t<dict/>
\t</array>
\t<key>r</key>
\t<real>-0</real>
\t<key>i</key>
\t<real>-infinity</real>
\t<key>d</key>
\t<date>2001-01-01T00:00:00Z</date>
\t<key>u</key>
\t<dict>
\t\t<key>CF$UID</key>
\t\t<integer>7</integer>
\t</dict>
\t<key>s</key>
\t<string>&lt;&#13;&gt;</string>
</dict>
</plist>
`);
  });

  test("days of eight hundred years are the same dates as elsewhere, both ways", () => {
    for (let day = -200_000; day < 100_000; day += 11) {
      const seconds = day * 86_400 + (day & 0xffff);
      const text = new Date((seconds + 978_307_200) * 1000).toISOString().replace(".000Z", "Z");
      const read = root(plist(`<date>${text}</date>`));
      if (read.kind !== "date" || read.seconds !== seconds) expect(read).toEqual({ text, seconds });
      const written = Buffer.from(writeXmlPlist({ kind: "date", seconds })).toString();
      if (!written.includes(`<date>${text}</date>`)) expect(written).toContain(text);
    }
  });

  test.each<[string, PlistValue]>([
    ["<integer>0</integer>", { kind: "integer", value: 0n }],
    ["<integer>-0</integer>", { kind: "integer", value: 0n }],
    ["<integer> \t\n+18446744073709551615</integer>", { kind: "integer", value: 2n ** 64n - 1n }],
    ["<integer>-9223372036854775808</integer>", { kind: "integer", value: -(2n ** 63n) }],
    ["<integer>-0X8000000000000000</integer>", { kind: "integer", value: -(2n ** 63n) }],
    ["<integer>0xfFfFfFfFfFfFfFfF</integer>", { kind: "integer", value: 2n ** 64n - 1n }],
    ["<integer>010</integer>", { kind: "integer", value: 10n }],
    ["<real>1</real>", realOf(1, "1")],
    ["<real>.5e-1</real>", realOf(0.05, ".5e-1")],
    ["<real>5.</real>", realOf(5, "5.")],
    ["<real>+INF</real>", realOf(Infinity, "+INF")],
    [
      "<date>9999-12-31T23:59:59Z</date>",
      { kind: "date", seconds: 252_423_993_599, text: "9999-12-31T23:59:59Z" },
    ],
    [
      "<date>0001-01-01T00:00:00Z</date>",
      { kind: "date", seconds: -63_113_904_000, text: "0001-01-01T00:00:00Z" },
    ],
    ["<data> A A\n= = </data>", { kind: "data", bytes: Uint8Array.of(0) }],
    ["<data/>", { kind: "data", bytes: new Uint8Array() }],
    ["<string>a\r\nb</string>", { kind: "string", value: "a\r\nb" }],
    ["<string>a<![CDATA[]] > &amp;<b>]]>&#x1F511;</string>", { kind: "string", value: "a]] > &amp;<b>🔑" }],
    ["<true ></true >", { kind: "boolean", value: true }],
    ["<dict><key>CF$UID</key><integer>5</integer></dict>", { kind: "uid", value: 5n }],
    [
      "<dict><key>CF$UID</key><string>5</string></dict>",
      { kind: "dictionary", entries: [["CF$UID", { kind: "string", value: "5" }]] },
    ],
  ])("%j", (inside, means) => {
    expect(root(plist(inside))).toEqual(means);
  });

  test.each(APPLE_DOCTYPES)("Apple's own document type is read: %s", (doctype) => {
    expect(root(`<?xml version="1.0"?>${doctype}${plist("<true/>")}`)).toEqual({
      kind: "boolean",
      value: true,
    });
  });

  test("a number out of XML is a number to the last bit", () => {
    const value = root(plist("<real>0.1000000000000000055511151231257827</real>"));
    expect(value.kind === "real" && numberOfReal(value)).toBe(0.1);
  });
});

describe("XML files that are refused", () => {
  test.each<[string, string, string]>([
    ["nothing", "", "empty"],
    ["white space", " \r\n\t", "empty"],
    ["a mark alone", "\ufeff", "empty"],
    ["zeros", "\0\0\0\0\0\0", "empty"],
    ["JSON", '{"PlexOnlineToken": "x"}', "wrong-root"],
    ["a property list of the old kind", "{ PlexOnlineToken = x; }", "wrong-root"],
    ["one with a comment", "// !$*UTF8*$!\n{ a = b; }", "wrong-root"],
    ["text", "PlexOnlineToken", "wrong-root"],
    ["settings of another system", '<?xml version="1.0"?><Preferences/>', "wrong-root"],
    ["a value without plist", "<dict/>", "wrong-root"],
    ["an end tag first", "</plist>", "wrong-root"],
    ["plist in capitals", "<PLIST><dict/></PLIST>", "wrong-root"],
    ["an empty plist", "<plist/>", "syntax"],
    ["a plist without a value", "<plist></plist>", "syntax"],
    ["two values", plist("<true/><true/>"), "several-roots"],
    ["two documents", plist("<true/>") + plist("<true/>"), "syntax"],
    ["something after the end", `${plist("<true/>")}x`, "syntax"],
    ["a text beside the value", plist("x<true/>"), "syntax"],
    ["another version of plist", '<plist version="0.9"><true/></plist>', "syntax"],
    ["another attribute", '<plist foo="1.0"><true/></plist>', "syntax"],
    ["an attribute of a value", plist('<string a="b">x</string>'), "syntax"],
    ["an unknown element", plist("<null/>"), "syntax"],
    ["an element in capitals", plist("<True/>"), "syntax"],
    ["a name that goes on", plist("<truest/>"), "syntax"],
    ["a key outside of a dictionary", plist("<key>a</key>"), "syntax"],
    ["a key in an array", plist("<array><key>a</key></array>"), "syntax"],
    ["a key without a value", plist("<dict><key>a</key></dict>"), "syntax"],
    ["two keys in a row", plist("<dict><key>a</key><key>b</key><true/></dict>"), "syntax"],
    ["a value without a key", plist("<dict><true/></dict>"), "syntax"],
    ["a plist in a plist", plist(plist("<true/>")), "syntax"],
    ["a key twice", plist("<dict><key>a</key><true/><key>&#97;</key><true/></dict>"), "duplicate-value"],
    ["an empty key twice", plist("<dict><key/><true/><key></key><true/></dict>"), "duplicate-value"],
    [
      "a key twice, further in",
      plist("<array><dict><key>a</key><true/><key>a</key><true/></dict></array>"),
      "duplicate-value",
    ],
    ["a wrong end tag", plist("<array></dict>"), "syntax"],
    ["a wrong end of a text", plist("<string>a</key>"), "syntax"],
    ["an end tag that is empty", plist("<array></array/>"), "syntax"],
    ["a comment in a text", plist("<string>a<!-- b -->c</string>"), "syntax"],
    ["an instruction in a text", plist("<string>a<?b c?>d</string>"), "syntax"],
    ["an element in a text", plist("<string>a<true/></string>"), "syntax"],
    ["CDATA in a number", plist("<integer><![CDATA[1]]></integer>"), "syntax"],
    ["a reference in a number", plist("<real>&#49;</real>"), "syntax"],
    ["true with something in it", plist("<true>1</true>"), "syntax"],
    ["two hyphens in a comment", plist("<!-- a -- b --><true/>"), "syntax"],
    ["the end of a section in a text", plist("<string>]]></string>"), "syntax"],
    ["a section between elements", plist("<![CDATA[]]><true/>"), "syntax"],
    ["an unknown entity", plist("<string>&nbsp;</string>"), "syntax"],
    ["a bare ampersand", plist("<string>a & b</string>"), "syntax"],
    ["a reference to no character", plist("<string>&#0;</string>"), "syntax"],
    ["a reference to half a pair", plist("<string>&#xD800;</string>"), "syntax"],
    ["a reference beyond Unicode", plist("<string>&#x110000;</string>"), "syntax"],
    ["a reference of nine digits", plist("<string>&#000000065;</string>"), "syntax"],
    ["a control character", plist("<string>\x01</string>"), "syntax"],
    ["a NUL", plist("<string>a\0b</string>"), "syntax"],
    ["U+FFFE", plist("<string>\ufffe</string>"), "syntax"],
    ["another doctype", `<!DOCTYPE html>${plist("<true/>")}`, "doctype"],
    [
      "the doctype of another system",
      `<!DOCTYPE plist SYSTEM "file:///etc/passwd">${plist("<true/>")}`,
      "doctype",
    ],
    ["an internal subset", `<!DOCTYPE plist [<!ENTITY a "b">]>${plist("<string>&a;</string>")}`, "doctype"],
    [
      "an internal subset after Apple's own ids",
      `${(APPLE_DOCTYPES[0] ?? "").slice(0, -1)} [<!ENTITY a "b">]>${plist("<true/>")}`,
      "doctype",
    ],
    ["two doctypes", `${APPLE_DOCTYPES[0]}${APPLE_DOCTYPES[0]}${plist("<true/>")}`, "doctype"],
    ["a doctype in the value", plist(`${APPLE_DOCTYPES[0]}<true/>`), "doctype"],
    ["another version of XML", `<?xml version="1.1"?>${plist("<true/>")}`, "syntax"],
    ["a declaration that is not first", ` <?xml version="1.0"?>${plist("<true/>")}`, "syntax"],
    ["another encoding", `<?xml version="1.0" encoding="ISO-8859-1"?>${plist("<true/>")}`, "not-utf8"],
    ["UTF-16 that is none", `<?xml version="1.0" encoding="UTF-16"?>${plist("<true/>")}`, "utf16"],
    [
      "a UID that is too large",
      plist("<dict><key>CF$UID</key><integer>4294967296</integer></dict>"),
      "syntax",
    ],
    ["a negative UID", plist("<dict><key>CF$UID</key><integer>-1</integer></dict>"), "syntax"],
    ...[
      "",
      " ",
      "-",
      "+",
      "0x",
      "1 ",
      "1.0",
      "1e3",
      "0x1g",
      "--1",
      "- 1",
      "1_0",
      "١",
      "18446744073709551616",
    ].map((text): [string, string, string] => [
      `the integer "${text}"`,
      plist(`<integer>${text}</integer>`),
      "syntax",
    ]),
    ["the integer -2^63 - 1", plist("<integer>-9223372036854775809</integer>"), "syntax"],
    ["a number with a thousand zeros before it", plist(`<integer>${"0".repeat(1000)}1</integer>`), "syntax"],
    ["a number of a million digits", plist(`<integer>${"9".repeat(1_000_000)}</integer>`), "syntax"],
    ...["", " 1", "1 ", ".", "e5", "1e", "0x10", "-nan", "infin", "1,5", "1_0"].map(
      (text): [string, string, string] => [`the real "${text}"`, plist(`<real>${text}</real>`), "syntax"],
    ),
    ...[
      "",
      "2024-01-01",
      "2024-01-01T00:00:00",
      "2024-01-01T00:00:00.5Z",
      "2024-1-01T00:00:00Z",
      "0000-01-01T00:00:00Z",
      "2023-02-29T00:00:00Z",
      "1900-02-29T00:00:00Z",
      "2024-13-01T00:00:00Z",
      "2024-00-01T00:00:00Z",
      "2024-04-31T00:00:00Z",
      "2024-01-00T00:00:00Z",
      "2024-01-01T24:00:00Z",
      "2024-01-01T00:60:00Z",
      "2024-01-01T00:00:60Z",
      " 2024-01-01T00:00:00Z",
      "-2024-01-01T00:00:00Z",
    ].map((text): [string, string, string] => [
      `the date "${text}"`,
      plist(`<date>${text}</date>`),
      "syntax",
    ]),
    ...["A", "AA", "AAA", "A===", "AAAAA", "AA==AA==", "=AAA", "AA-_", "A\u00a0A=="].map(
      (text): [string, string, string] => [`the data "${text}"`, plist(`<data>${text}</data>`), "syntax"],
    ),
  ])("%s", (_what, text, reason) => {
    expect(refused(utf8(text))).toBe(reason);
  });

  test("UTF-16 and UTF-32, with a mark and without", () => {
    const text = '<?xml version="1.0"?><plist><true/></plist>';
    const little = Buffer.from(text, "utf16le");
    const wide = Buffer.from([...text].flatMap((character) => [character.charCodeAt(0), 0, 0, 0]));
    const all = [little, Buffer.from(little).swap16(), wide, Buffer.from(wide).swap32()];
    expect(all.map(refused)).toEqual(["utf16", "utf16", "utf16", "utf16"]);
    const marked = Buffer.from(`\ufeff${text}`, "utf16le");
    expect([refused(marked), refused(Buffer.from(marked).swap16())]).toEqual(["utf16", "utf16"]);
  });

  test("bytes that are no UTF-8", () => {
    expect(refused(Buffer.from(plist("<string>\xe9</string>"), "latin1"))).toBe("not-utf8");
    expect(refused(utf8(plist("<string>é</string>")).subarray(0, 30))).toBe("truncated");
  });

  test("a document that is cut anywhere is never read", () => {
    const whole = utf8(
      `\ufeff<?xml version="1.0" encoding="UTF-8"?>\n${APPLE_DOCTYPES[0]}\n<?a b?><!-- c -->${plist(
        "\n<dict><key>ü<![CDATA[x]]>&amp;</key><array><integer>12</integer><true/><data>AA==</data></array></dict>\n",
      )}`,
    );
    expect(refused(whole)).toBe("accepted");
    const answers = Array.from({ length: whole.length }, (_, end) => refused(whole.subarray(0, end)));
    expect(new Set(answers)).toEqual(new Set(["empty", "wrong-root", "truncated", "syntax"]));
    expect(answers.filter((answer) => answer === "truncated").length).toBeGreaterThan(whole.length * 0.8);
  });

  test("nesting and values are counted to the last one", () => {
    const nested = (depth: number) => plist("<array>".repeat(depth) + "</array>".repeat(depth));
    expect(refused(utf8(nested(MAX_PLIST_DEPTH)))).toBe("accepted");
    expect(refused(utf8(nested(MAX_PLIST_DEPTH + 1)))).toBe("too-large");
    expect(refused(utf8(plist("<array>".repeat(1_000_000))))).toBe("too-large");
    const values = (count: number) => plist(`<array>${"<true/>".repeat(count - 1)}</array>`);
    expect(refused(utf8(values(MAX_PLIST_VALUES)))).toBe("accepted");
    expect(refused(utf8(values(MAX_PLIST_VALUES + 1)))).toBe("too-large");
  });

  test.each<[string, string]>([
    ["openings of comments", "<!--".repeat(100_000)],
    ["comments", "<!---->".repeat(100_000)],
    ["instructions", "<?a?>".repeat(100_000)],
    ["openings of sections", `<string>${"<![CDATA[".repeat(100_000)}`],
    ["sections", `<string>${"<![CDATA[]]>".repeat(100_000)}</string>`],
    ["references", `<string>${"&amp;".repeat(100_000)}</string>`],
    ["ampersands", `<string>${"&".repeat(100_000)}</string>`],
    ["white space", " ".repeat(1_000_000)],
    ["white space in data", `<data>${" ".repeat(1_000_000)}</data>`],
    ["white space before an integer", `<integer>${" ".repeat(1_000_000)}</integer>`],
    ["less-than signs", "<".repeat(100_000)],
    ["a long name", "a".repeat(100_000)],
  ])("a document full of %s is read in steps that its bytes bound", (_what, inside) => {
    const { withinBounds } = readCounted(utf8(plist(inside)));
    expect(withinBounds).toBe(true);
    expect(readCounted(utf8(`<plist>${inside}`)).withinBounds).toBe(true);
  });
});

describe("what XML cannot hold", () => {
  test.each<[string, PlistValue]>([
    ["a NUL", { kind: "string", value: "\0" }],
    ["half a surrogate pair", { kind: "string", value: "\ud83d" }],
    [
      "a control character in a key",
      { kind: "dictionary", entries: [["\x01", { kind: "boolean", value: true }]] },
    ],
    ["a fraction of a second", { kind: "date", seconds: 0.5 }],
    ["the year 10000", { kind: "date", seconds: 252_423_993_600 }],
    ["the year 0", { kind: "date", seconds: -63_113_904_001 }],
    [
      "a dictionary that looks like a UID",
      { kind: "dictionary", entries: [["CF$UID", { kind: "integer", value: 1n }]] },
    ],
  ])("%s is refused, not changed", (_what, tree) => {
    expect(refusalOf(() => writeXmlPlist(tree))).toBe("syntax");
  });
});
