import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Problem, ProblemError } from "../../src/model/problem.ts";
import { editPreferences, otherAttributes, parsePreferences } from "../../src/stores/preferences-xml.ts";
import { MAX_XML_BYTES } from "../../src/stores/xml-bytes.ts";
import { MAX_ATTRIBUTES } from "../../src/stores/xml-scan.ts";
import { utf8 } from "../support/preferences-document.ts";

const PATH = "/srv/Preferences.xml";
const IDS = 'MachineIdentifier="m" ProcessedMachineIdentifier="p"';
const GOOD = `<Preferences ${IDS}/>`;

function refusal(bytes: Uint8Array): Problem {
  const seen = [
    () => parsePreferences(bytes, PATH),
    () => editPreferences(bytes, { kind: "remove" }, PATH),
  ].map((read) => {
    try {
      read();
    } catch (error) {
      if (error instanceof ProblemError) return error.problem;
      throw error;
    }
    throw new Error("accepted");
  });
  expect(seen[1]).toEqual(seen[0]);
  return seen[0] as Problem;
}

function bytesOf(text: string, encoding: "utf16le" | "latin1"): Uint8Array {
  return new Uint8Array(Buffer.from(text, encoding));
}

function utf16be(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "utf16le").swap16());
}

function utf32(text: string, littleEndian: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(text.length * 4));
  [...text].forEach((character, index) => {
    view.setUint32(index * 4, character.codePointAt(0) ?? 0, littleEndian);
  });
  return new Uint8Array(view.buffer);
}

describe("settings that have lost who the server is", () => {
  test.each<[string, string, string]>([
    ["nothing at all", "", "empty"],
    ["only white space", " \r\n\t\n", "empty"],
    ["only a byte order mark", "\ufeff", "empty"],
    ["a mark and white space", "\ufeff\n", "empty"],
    ["zeros, as after a power cut", "\0".repeat(3000), "empty"],
    ["a bare element", "<Preferences/>", "stub"],
    ["a bare element with an end tag", "<?xml version='1.0'?><Preferences></Preferences>\n", "stub"],
    ["hardly any settings", '<Preferences OldestPreviousVersion="legacy" AcceptedEULA="1"/>', "stub"],
    [
      "blank identifiers and nothing else",
      '<Preferences MachineIdentifier="" ProcessedMachineIdentifier=" "/>',
      "stub",
    ],
    ["no processed identifier", '<Preferences MachineIdentifier="m"/>', "identifiers-missing"],
    ["no identifier", '<Preferences ProcessedMachineIdentifier="p"/>', "identifiers-missing"],
    [
      "an empty identifier",
      '<Preferences MachineIdentifier="" ProcessedMachineIdentifier="p"/>',
      "identifiers-missing",
    ],
    [
      "an identifier of white space",
      '<Preferences MachineIdentifier="m" ProcessedMachineIdentifier="&#9; "/>',
      "identifiers-missing",
    ],
    [
      "many settings, no identifiers",
      `<Preferences ${[..."abcdefghi"].map((n) => `${n}="1"`).join(" ")}/>`,
      "identifiers-missing",
    ],
  ])("%s", (_name, text, reason) => {
    expect(refusal(utf8(text))).toEqual({ code: "IDENTITY_LOST", path: PATH, reason });
  });

  test.each(["first-run-shell.xml", "identity-wiped.xml"])("%s is a stub", (name) => {
    const file = new URL(`../fixtures/preferences/${name}`, import.meta.url);
    const bytes = new Uint8Array(readFileSync(file));
    expect(refusal(bytes)).toEqual({ code: "IDENTITY_LOST", path: PATH, reason: "stub" });
    expect(otherAttributes(bytes).has("MachineIdentifier")).toBe(false);
  });
});

describe("settings that are malformed", () => {
  test.each<[string, Uint8Array, string]>([
    ["UTF-16 LE with a mark", bytesOf(`\ufeff${GOOD}`, "utf16le"), "utf16"],
    ["UTF-16 BE with a mark", utf16be(`\ufeff${GOOD}`), "utf16"],
    ["UTF-16 LE without", bytesOf(GOOD, "utf16le"), "utf16"],
    ["UTF-16 BE without", utf16be(`\n${GOOD}`), "utf16"],
    ["UTF-32 LE with a mark", utf32(`\ufeff${GOOD}`, true), "utf16"],
    ["UTF-32 BE with a mark", utf32(`\ufeff${GOOD}`, false), "utf16"],
    ["UTF-32 LE without", utf32(GOOD, true), "utf16"],
    ["UTF-32 BE without", utf32(GOOD, false), "utf16"],
    ["latin1 bytes", bytesOf(`<Preferences A="é" ${IDS}/>`, "latin1"), "not-utf8"],
    ["overlong bytes", bytesOf(`<Preferences A="\xc0\x80" ${IDS}/>`, "latin1"), "not-utf8"],
    ["an encoded surrogate", bytesOf(`<Preferences A="\xed\xa0\x80" ${IDS}/>`, "latin1"), "not-utf8"],
    ["beyond Unicode", bytesOf(`<Preferences A="\xf4\x90\x80\x80" ${IDS}/>`, "latin1"), "not-utf8"],
    ["cut inside a character", utf8(`<Preferences ${IDS} A="é`).slice(0, -1), "truncated"],
    ["over 1 MiB", utf8(GOOD + " ".repeat(MAX_XML_BYTES)), "too-large"],
    ["over 1 MiB of nothing", new Uint8Array(MAX_XML_BYTES + 1), "too-large"],
    [
      "too many attributes",
      utf8(`<Preferences${Array.from({ length: MAX_ATTRIBUTES + 1 }, (_, n) => ` a${n}=""`).join("")}/>`),
      "too-large",
    ],
  ])("%s", (_name, bytes, reason) => {
    expect(refusal(bytes)).toEqual({ code: "SETTINGS_MALFORMED", path: PATH, reason });
  });

  test.each<[string, string, string]>([
    ["declared UTF-16", `<?xml version="1.0" encoding="UTF-16"?>${GOOD}`, "utf16"],
    ["declared UCS-4", `<?xml version="1.0" encoding='ISO-10646-UCS-4'?>${GOOD}`, "utf16"],
    ["declared latin1", `<?xml version="1.0" encoding="iso-8859-1"?>${GOOD}`, "not-utf8"],
    ["declared utf8 without its hyphen", `<?xml version="1.0" encoding="utf8"?>${GOOD}`, "not-utf8"],
    [
      "declared ASCII but not so",
      `<?xml version="1.0" encoding="us-ascii"?><Preferences A="é" ${IDS}/>`,
      "not-utf8",
    ],
    ["duplicate", `<Preferences ${IDS} PlexOnlineToken="a" PlexOnlineToken='b'/>`, "duplicate-attribute"],
    ["duplicate of another", `<Preferences ${IDS} A="" B="" A=""/>`, "duplicate-attribute"],
    ["DOCTYPE", `<!DOCTYPE Preferences>${GOOD}`, "doctype"],
    ["DOCTYPE with entities", `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]>${GOOD}`, "doctype"],
    ["DOCTYPE after", `${GOOD}<!DOCTYPE Preferences>`, "doctype"],
    ["another root", `<plist version="1.0"><dict/></plist>`, "wrong-root"],
    ["root in other case", `<preferences ${IDS}/>`, "wrong-root"],
    ["longer root", `<PreferencesX ${IDS}/>`, "wrong-root"],
    ["prefixed root", `<p:Preferences ${IDS}/>`, "wrong-root"],
    ["two roots", `${GOOD}\n${GOOD}`, "several-roots"],
    ["two other roots", `${GOOD}<a/>`, "several-roots"],
    ["element inside", `<Preferences ${IDS}><a/></Preferences>`, "nested-elements"],
    ["text inside", `<Preferences ${IDS}>text</Preferences>`, "nested-elements"],
    ["reference inside", `<Preferences ${IDS}>&#32;</Preferences>`, "nested-elements"],
    ["CDATA inside", `<Preferences ${IDS}><![CDATA[]]></Preferences>`, "nested-elements"],
    ["bare ampersand", `<Preferences ${IDS} A="a & b"/>`, "syntax"],
    ["ampersand at the end", `<Preferences ${IDS} A="a&"/>`, "syntax"],
    ["< in a value", `<Preferences ${IDS} A="a<b"/>`, "syntax"],
    ["unknown entity", `<Preferences ${IDS} A="&nbsp;"/>`, "syntax"],
    ["entity that objects have", `<Preferences ${IDS} A="&constructor;"/>`, "syntax"],
    ["upper-case X", `<Preferences ${IDS} A="&#X41;"/>`, "syntax"],
    ["empty reference", `<Preferences ${IDS} A="&#;"/>`, "syntax"],
    ["reference to NUL", `<Preferences ${IDS} A="&#0;"/>`, "syntax"],
    ["reference to a surrogate", `<Preferences ${IDS} A="&#xD800;"/>`, "syntax"],
    ["reference to U+FFFE", `<Preferences ${IDS} A="&#xFFFE;"/>`, "syntax"],
    ["reference beyond Unicode", `<Preferences ${IDS} A="&#x110000;"/>`, "syntax"],
    ["endless reference", `<Preferences ${IDS} A="&#${"9".repeat(400)};"/>`, "syntax"],
    ["NUL", `<Preferences ${IDS} A="a\0b"/>`, "syntax"],
    ["zeros at the end", `${GOOD}\n\0\0\0`, "syntax"],
    ["control character", `<Preferences ${IDS} A="\x1b"/>`, "syntax"],
    ["U+FFFF", `<Preferences ${IDS} A="\uffff"/>`, "syntax"],
    ["no space between attributes", `<Preferences ${IDS} A="a"B="b"/>`, "syntax"],
    ["no space after the name", `<Preferences${IDS}`.replace("M", '"'), "syntax"],
    ["name with a digit first", `<Preferences ${IDS} 1A="a"/>`, "syntax"],
    ["name beyond ASCII", `<Preferences ${IDS} é="a"/>`, "syntax"],
    ["no value", `<Preferences ${IDS} A/>`, "syntax"],
    ["no quotes", `<Preferences ${IDS} A=a/>`, "syntax"],
    ["unclosed value in the middle", `<Preferences ${IDS} A="a B="b"/>`, "syntax"],
    ["unclosed value before an end tag", `<Preferences ${IDS} A="a></Preferences>`, "syntax"],
    ["slash in the tag", `<Preferences / ${IDS}/>`, "syntax"],
    ["space in />", `<Preferences ${IDS}/ >`, "syntax"],
    ["no-break space", `<Preferences\u00a0${IDS}/>`, "syntax"],
    ["another end tag", `<Preferences ${IDS}></Preference>`, "syntax"],
    ["end tag with attributes", `<Preferences ${IDS}></Preferences a="">`, "syntax"],
    ["text before", `x${GOOD}`, "syntax"],
    ["text after", `${GOOD}x`, "syntax"],
    ["a second mark", `\ufeff\ufeff${GOOD}`, "syntax"],
    ["space before the declaration", ` <?xml version="1.0"?>${GOOD}`, "syntax"],
    ["second declaration", `<?xml version="1.0"?><?xml version="1.0"?>${GOOD}`, "syntax"],
    ["declaration after", `${GOOD}<?XML version="1.0"?>`, "syntax"],
    ["XML 1.1", `<?xml version="1.1"?>${GOOD}`, "syntax"],
    ["declaration without a version", `<?xml encoding="utf-8"?>${GOOD}`, "syntax"],
    ["declaration out of order", `<?xml version="1.0" standalone="no" encoding="utf-8"?>${GOOD}`, "syntax"],
    ["declaration never closed", `<?xml version="1.0">${GOOD}`, "syntax"],
    ["two hyphens in a comment", `<!-- a -- b -->${GOOD}`, "syntax"],
    ["three hyphens at a comment's end", `<!-- a --->${GOOD}`, "syntax"],
    ["instruction without a target", `<? a?>${GOOD}`, "syntax"],
    ["CDATA before", `<![CDATA[x]]>${GOOD}`, "syntax"],
    ["end tag only", "</Preferences>", "syntax"],
    ["JSON", '{"PlexOnlineToken":"x"}', "syntax"],
    ["only a declaration", '<?xml version="1.0" encoding="utf-8"?>\n', "truncated"],
    ["only a comment", "<!-- x -->", "truncated"],
    ["comment that never ends", `${GOOD}<!-- x`, "truncated"],
    ["no end tag", `<Preferences ${IDS}>\n`, "truncated"],
  ])("%s", (_name, text, reason) => {
    expect(refusal(utf8(text))).toEqual({ code: "SETTINGS_MALFORMED", path: PATH, reason });
  });

  test("a file cut off anywhere before its end is truncated, whatever the cut goes through", () => {
    const whole = utf8(
      `\ufeff<?xml version="1.0" encoding='utf-8' standalone="no"?>\n<!-- c --><?p i?>\n` +
        `<Preferences A = "a&amp;>🔑" ${IDS}\n PlexOnlineToken='t' ><!-- d --><?q?> </Preferences >`,
    );
    for (let length = 1; length < whole.length; length++) {
      const expected = length === 3 ? "empty" : "truncated";
      expect([length, refusal(whole.slice(0, length))]).toMatchObject([length, { reason: expected }]);
    }
    const short = utf8(`<Preferences ${IDS}/>`);
    for (let length = 1; length < short.length; length++) {
      expect([length, refusal(short.slice(0, length))]).toMatchObject([length, { reason: "truncated" }]);
    }
    const endTag = utf8(`${GOOD}\n<!-- e -->\n<?r s?>`);
    expect(parsePreferences(endTag, PATH).identity.machineIdentifier).toBe("m");
  });
});

test("files as large as they may be end in an answer, whatever fills them", () => {
  const fill = (open: string, unit: string, close: string) =>
    utf8(open + unit.repeat(Math.floor((MAX_XML_BYTES - open.length - close.length) / unit.length)) + close);
  const accepted = [
    fill("", " ", GOOD),
    fill('<?xml version="1.0"', " ", `?>${GOOD}`),
    fill('<?xml version="1.0" encoding', "\n", `="utf-8"?>${GOOD}`),
    fill("", "<!---->", GOOD),
    fill(GOOD, "<?a?>", ""),
    fill(`<Preferences ${IDS} A="`, "&#x0000000041;", '"/>'),
    fill(`<Preferences ${IDS} A="`, "\r", '"/>'),
    fill(`<Preferences ${IDS}`, "\t", "/>"),
  ];
  for (const bytes of accepted) expect(parsePreferences(bytes, PATH).identity.machineIdentifier).toBe("m");
  const refused = [
    fill('<?xml version="1.0"', " ", GOOD),
    fill(`<Preferences ${IDS} A="`, "&", '"/>'),
    fill(`<Preferences ${IDS} A="`, "&#1", '"/>'),
    fill(`<Preferences ${IDS} A="&#`, "1", '"/>'),
    fill(`<Preferences ${IDS} A="&`, "a", '"/>'),
    fill(`<Preferences ${IDS} `, "a", "/>"),
    fill("", "<", ""),
    fill(GOOD, "<a>", ""),
    fill("", "<!--", ""),
    fill(`<Preferences ${IDS} `, "a='' ", "/>"),
  ];
  for (const bytes of refused) expect(refusal(bytes)).toMatchObject({ code: "SETTINGS_MALFORMED" });
});
