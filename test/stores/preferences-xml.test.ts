import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { Secret } from "../../src/model/secret.ts";
import type { CredentialChange } from "../../src/model/settings.ts";
import {
  editPreferences,
  isEditOf,
  otherAttributes,
  parsePreferences,
} from "../../src/stores/preferences-xml.ts";
import { scanXml } from "../../src/stores/xml-scan.ts";
import { latin1, utf8 } from "../support/preferences-document.ts";
import { parseXmlReading, saxesReading } from "../support/xml-readers.ts";

const REMOVE: CredentialChange = { kind: "remove" };
const IDS = 'MachineIdentifier="m" ProcessedMachineIdentifier="p"';

function replacing(token: string, username: string, mail: string): CredentialChange {
  return { kind: "replace", credentials: { token: new Secret(token), username, mail } };
}

function edited(text: string, change: CredentialChange): string {
  return Buffer.from(editPreferences(utf8(text), change)).toString("utf8");
}

function fixture(name: string): Uint8Array {
  const file = new URL(`../fixtures/preferences/${name}`, import.meta.url);
  return new Uint8Array(readFileSync(file));
}

describe("settings as real servers write them", () => {
  test("a file of PMS 1.28 is read whole", () => {
    const settings = parsePreferences(fixture("pms-1.28.xml"), "/p");
    expect(settings.credentials.token?.reveal()).toBe("xxxxFIXTURE-token_28");
    expect({ ...settings, credentials: { ...settings.credentials, token: undefined } }).toEqual({
      credentials: { token: undefined, username: "jane", mail: "jane@example.com" },
      identity: {
        machineIdentifier: "0b7e1c7e-52c1-4f0a-9f55-3f0c7f8f2a11",
        processedMachineIdentifier: "3d1f0a9b5c7e2468ace013579bdf02468ace1357",
        anonymousMachineIdentifier: "7c1de3a4-91b2-4d6e-8a0f-5b4c3d2e1f00",
        certificateUUID: "0123456789abcdef0123456789abcdef",
      },
    });
  });

  test("a file of PMS 1.40 has a home and a friendly name with references in it", () => {
    const { credentials, friendlyName } = parsePreferences(fixture("pms-1.40.xml"), "/p");
    expect(credentials.home).toBe("1");
    expect(friendlyName).toBe("Wohnzimmer & Küche");
  });

  test.each([
    ["pms-1.28.xml", / PlexOnlineToken=.*jane@example.com"/, 3],
    ["pms-1.40.xml", / PlexOnlineToken=.*PlexOnlineHome="1"/, 4],
    ["pms-1.41.xml", / PlexOnlineToken=.*jane@example.com"/, 3],
    ["hand-edited.xml", /\n {4}PlexOnlineToken = [\s\S]*PlexOnlineHome="1"/, 4],
  ])("signing out cuts the values out of %s and nothing else", (name, values, count) => {
    const before = fixture(name);
    const after = editPreferences(before, REMOVE);
    expect(latin1(after)).toBe(latin1(before).replace(values, ""));
    expect(saxesReading(before)?.attributes.length).toBe(
      (saxesReading(after)?.attributes.length ?? 0) + count,
    );
    expect(parsePreferences(after, "/p").credentials).toEqual({});
    expect(otherAttributes(after)).toEqual(otherAttributes(before));
  });

  test("new values take the place of the old ones and the home goes", () => {
    const before = latin1(fixture("pms-1.40.xml"));
    const after = latin1(
      editPreferences(fixture("pms-1.40.xml"), replacing("new", "joe", "joe@example.com")),
    );
    expect(after).toBe(
      before
        .replace("xxxxFIXTURE-token_40", "new")
        .replace('"jane"', '"joe"')
        .replace("jane@example.com", "joe@example.com")
        .replace(' PlexOnlineHome="1"', ""),
    );
  });

  test("single quotes and white space around the equals sign of a replaced value stay", () => {
    const after = latin1(editPreferences(fixture("hand-edited.xml"), replacing("new", "it's", "m")));
    expect(after).toContain("\n    PlexOnlineToken = \"new\"\n    PlexOnlineUsername='it&apos;s'\n");
  });
});

describe("odd shapes that are well-formed", () => {
  test.each<[string, string, string]>([
    ["single quotes", `<Preferences ${IDS} PlexOnlineToken='a"b'/>`, `<Preferences ${IDS}/>`],
    ["first", `<Preferences PlexOnlineToken="t" ${IDS}/>`, `<Preferences ${IDS}/>`],
    ["last, space before />", `<Preferences ${IDS} PlexOnlineToken="t" />`, `<Preferences ${IDS} />`],
    ["line of its own", `<Preferences\n\t${IDS}\n\tPlexOnlineToken="t"\n/>`, `<Preferences\n\t${IDS}\n/>`],
    ["CRLF", `<Preferences\r\n ${IDS}\r\n PlexOnlineMail="t"\r\n/>\r\n`, `<Preferences\r\n ${IDS}\r\n/>\r\n`],
    ["around =", `<Preferences ${IDS} PlexOnlineHome\t=\r\n '1'/>`, `<Preferences ${IDS}/>`],
    ["> in it", `<Preferences ${IDS} PlexOnlineUsername="a > b/>" B=">"/>`, `<Preferences ${IDS} B=">"/>`],
    [
      "end tag",
      `<Preferences ${IDS} PlexOnlineToken="t"></Preferences>`,
      `<Preferences ${IDS}></Preferences>`,
    ],
    [
      "comment inside",
      `<Preferences ${IDS} PlexOnlineToken="t"> <!-- c --><?p?>\n</Preferences >`,
      `<Preferences ${IDS}> <!-- c --><?p?>\n</Preferences >`,
    ],
    ["mark", `\ufeff<Preferences PlexOnlineToken="t" ${IDS}/>`, `\ufeff<Preferences ${IDS}/>`],
    [
      "mark and declaration",
      `\ufeff<?xml version="1.0"?><Preferences ${IDS} PlexOnlineToken=""/>`,
      `\ufeff<?xml version="1.0"?><Preferences ${IDS}/>`,
    ],
    [
      "around the element",
      `<!-- <Preferences PlexOnlineToken="1"/> -->\n<?x y?><Preferences ${IDS} PlexOnlineToken="t"/>\n<!--b--> <?z?>`,
      `<!-- <Preferences PlexOnlineToken="1"/> -->\n<?x y?><Preferences ${IDS}/>\n<!--b--> <?z?>`,
    ],
    [
      "name inside another value",
      `<Preferences FriendlyName=" PlexOnlineToken=&quot;x&quot; " A=' PlexOnlineMail="y" ' ${IDS} PlexOnlineToken="t"/>`,
      `<Preferences FriendlyName=" PlexOnlineToken=&quot;x&quot; " A=' PlexOnlineMail="y" ' ${IDS}/>`,
    ],
    [
      "emoji before",
      `<Preferences A="🔑é" ${IDS} PlexOnlineToken="t" B="ж"/>`,
      `<Preferences A="🔑é" ${IDS} B="ж"/>`,
    ],
    [
      "similar names",
      `<Preferences xPlexOnlineToken="" plexonlinetoken="" ${IDS}/>`,
      `<Preferences xPlexOnlineToken="" plexonlinetoken="" ${IDS}/>`,
    ],
  ])("are edited byte for byte: %s", (_name, before, after) => {
    expect(edited(before, REMOVE)).toBe(after);
    expect(edited(after, REMOVE)).toBe(after);
    expect(edited(edited(before, replacing("n", "u", "m")), REMOVE)).toBe(after);
  });

  test.each<[string, string, string]>([
    ["/>", `<Preferences ${IDS}/>`, `<Preferences ${IDS} NEW/>`],
    ["space before />", `<Preferences ${IDS} />`, `<Preferences ${IDS} NEW />`],
    [">", `<Preferences ${IDS}></Preferences>`, `<Preferences ${IDS} NEW></Preferences>`],
    ["own line", `<Preferences\n  ${IDS}\n/>`, `<Preferences\n  ${IDS} NEW\n/>`],
    ["only a home, last", `<Preferences ${IDS} PlexOnlineHome="1"/>`, `<Preferences ${IDS} NEW/>`],
    ["/> in a value", `<Preferences A="/>" ${IDS}/>`, `<Preferences A="/>" ${IDS} NEW/>`],
  ])("get missing values after the last attribute: %s", (_name, before, after) => {
    const fresh = 'PlexOnlineToken="n" PlexOnlineUsername="u" PlexOnlineMail="m"';
    expect(edited(before, replacing("n", "u", "m"))).toBe(after.replace("NEW", fresh));
  });

  test("values are decoded as XML says: references kept apart from literal white space", () => {
    const text = `<Preferences ${IDS} A='&amp;lt;&#x41;&#66;&#x1F511;&#9;&#10;&#13;' B="a\tb\r\nc\nd\re" C="&quot;'&apos;&gt;>&lt;"/>`;
    expect(Object.fromEntries(otherAttributes(utf8(text)))).toMatchObject({
      A: "&lt;AB🔑\t\n\r",
      B: "a b c d e",
      C: "\"''>><",
    });
  });

  test("a token that is there but empty is read as empty, not as absent", () => {
    const { credentials } = parsePreferences(utf8(`<Preferences ${IDS} PlexOnlineToken=""/>`), "/p");
    expect(credentials.token?.reveal()).toBe("");
    expect(credentials).not.toHaveProperty("username");
  });

  test("names that every JavaScript object has are names like any other", () => {
    const text = `<Preferences __proto__="a" constructor="b" toString="c" ${IDS}/>`;
    expect([...otherAttributes(utf8(text)).keys()].slice(0, 3)).toEqual([
      "__proto__",
      "constructor",
      "toString",
    ]);
  });
});

describe("new values", () => {
  test.each([
    "jane doe",
    "dom\\user",
    "a;b&c&amp;d",
    "$& $1 $` $$",
    'say "hi" / it\'s',
    "<x>/></Preferences>",
    "]]>-->?>",
    "tab\tline\nreturn\r",
    "🔑 Ж 中 é \u0085\u2028",
    " PlexOnlineToken= ",
    "",
  ])("any user name arrives as it is: %j", (username) => {
    for (const before of [
      `<Preferences ${IDS}/>`,
      `<Preferences PlexOnlineUsername='old' ${IDS}/>`,
      `<?xml version='1.0' encoding="us-ascii"?><Preferences PlexOnlineUsername="o" ${IDS}></Preferences>`,
    ]) {
      const after = editPreferences(utf8(before), replacing("t", username, username));
      for (const reading of [saxesReading(after), parseXmlReading(after)]) {
        const seen = new Map(reading?.attributes);
        expect([seen.get("PlexOnlineUsername"), seen.get("PlexOnlineMail")]).toEqual([username, username]);
      }
    }
  });

  test("a document declared as US-ASCII stays so", () => {
    const before = `<?xml version="1.0" encoding="US-ASCII"?><Preferences ${IDS}/>`;
    const after = edited(before, replacing("t", "🔑é", "m"));
    expect(after).toContain('PlexOnlineUsername="&#x1F511;&#xE9;"');
  });

  test.each(["nul\0", "bell\x07", "lone \ud800 high", "lone \udc00", "\ufffe", "\uffff", "\x1b[31m"])(
    "what XML cannot hold is plex.tv's nonsense: %j",
    (bad) => {
      for (const change of [replacing(bad, "u", "m"), replacing("t", bad, "m"), replacing("t", "u", bad)]) {
        const edit = () => editPreferences(utf8(`<Preferences ${IDS}/>`), change);
        expect(edit).toThrow(new ProblemError({ code: "PLEXTV_NONSENSE", status: 200 }));
      }
    },
  );

  test("an empty token is never written", () => {
    const edit = () => editPreferences(utf8(`<Preferences ${IDS}/>`), replacing("", "u", "m"));
    expect(edit).toThrow(new ProblemError({ code: "PLEXTV_NONSENSE", status: 200 }));
  });
});

describe("the self-check of an edit", () => {
  const before = `<!--c--><Preferences ${IDS} A="x" PlexOnlineToken="t"\n B='y' />\n`;
  const right = before.replace(' PlexOnlineToken="t"', "");
  const isRight = (after: string) => {
    const [old, fresh] = [before, after].map((text) => scanXml(utf8(text), "Preferences", ""));
    return old !== undefined && fresh !== undefined && isEditOf(old, fresh, new Map());
  };

  test("passes what was asked for", () => {
    expect(isRight(right)).toBe(true);
  });

  test.each<[string, string]>([
    ["the value is still there", before],
    ["the value is blank, not gone", right.replace(" A=", ' PlexOnlineToken="" A=')],
    ["a neighbour's value differs", right.replace('"x"', '"X"')],
    ["a neighbour is gone", right.replace(' A="x"', "")],
    ["a neighbour is new", right.replace(" />", ' C="" />')],
    ["the order differs", before.replace(` A="x" PlexOnlineToken="t"\n B='y'`, `\n B='y' A="x"`)],
    ["the white space of a neighbour differs", right.replace("\n B", " B")],
    ["quotes differ", right.replace("'y'", '"y"')],
    ["a comment differs", right.replace("--c", "--d")],
    ["the end differs", right.replace(" />", "/>")],
    ["the end of the file differs", right.trimEnd()],
  ])("fails when %s", (_name, after) => {
    expect(isRight(after)).toBe(false);
  });
});

test("an edit leaves its input alone and gives out memory of its own", () => {
  const pool = Buffer.concat([Buffer.from("##"), fixture("pms-1.28.xml"), Buffer.from("##")]);
  const window = new Uint8Array(pool.buffer, pool.byteOffset + 2, pool.length - 4);
  const copy = Buffer.from(pool);
  const after = editPreferences(window, REMOVE);
  expect(pool.equals(copy)).toBe(true);
  expect(after.buffer.byteLength).toBe(after.length);
  expect(latin1(after)).toBe(latin1(editPreferences(fixture("pms-1.28.xml"), REMOVE)));
});
