import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { CREDENTIAL_NAMES, type CredentialChange } from "../../src/model/settings.ts";
import {
  editPreferences,
  isCredentialName,
  otherAttributes,
  parsePreferences,
} from "../../src/stores/preferences-xml.ts";
import { secondOpinion } from "../../src/stores/second-opinion.ts";
import { scanXml } from "../../src/stores/xml-scan.ts";
import { mutated, mutations, preferencesDocument, replacement } from "../support/preferences-arbitraries.ts";
import {
  type DocumentModel,
  latin1,
  meanings,
  renderAttribute,
  renderDocument,
  utf8,
} from "../support/preferences-document.ts";
import { parseXmlReading, saxesReading } from "../support/xml-readers.ts";

const REMOVE: CredentialChange = { kind: "remove" };
const ORACLES = { saxes: saxesReading, "parse-xml": parseXmlReading };

function ourReading(bytes: Uint8Array): [string, string][] {
  return [...scanXml(bytes, "Preferences", "").attributes.values()].map(({ name, value }) => [name, value]);
}

/** What is left of the document after signing out, rendered from the model and not from our code. */
function signedOut(document: DocumentModel): Uint8Array {
  const attributes = document.attributes.filter(({ name }) => !isCredentialName(name));
  return renderDocument({ ...document, attributes });
}

function wantedOf(change: CredentialChange & { kind: "replace" }): ReadonlyMap<string, string> {
  const { token, username, mail } = change.credentials;
  return new Map([
    ["PlexOnlineToken", token.reveal()],
    ["PlexOnlineUsername", username],
    ["PlexOnlineMail", mail],
  ]);
}

describe("any well-formed settings", () => {
  test("are read as two other implementations and the document's own model read them", () => {
    fc.assert(
      fc.property(preferencesDocument, (document) => {
        const bytes = renderDocument(document);
        const attributes = meanings(document);
        expect(ourReading(bytes)).toEqual(attributes);
        for (const read of Object.values(ORACLES)) {
          expect(read(bytes)).toEqual({ root: "Preferences", attributes });
        }
        const { credentials } = parsePreferences(bytes, "");
        const model = new Map(attributes);
        expect([
          credentials.token?.reveal(),
          credentials.username,
          credentials.mail,
          credentials.home,
        ]).toEqual(CREDENTIAL_NAMES.map((name) => model.get(name)));
      }),
      { numRuns: 1000 },
    );
  });

  test("lose the four values and not one other byte when signed out; twice is once", () => {
    fc.assert(
      fc.property(preferencesDocument, (document) => {
        const bytes = renderDocument(document);
        const after = editPreferences(bytes, REMOVE);
        expect(latin1(after)).toBe(latin1(signedOut(document)));
        expect(latin1(editPreferences(after, REMOVE))).toBe(latin1(after));
        const attributes = meanings(document).filter(([name]) => !isCredentialName(name));
        for (const read of Object.values(ORACLES)) expect(read(after)?.attributes).toEqual(attributes);
        expect([...otherAttributes(bytes)]).toEqual(attributes);
      }),
      { numRuns: 1000 },
    );
  });

  test("hold exactly the new values after a replacement, every other attribute's bytes the same", async () => {
    await fc.assert(
      fc.asyncProperty(preferencesDocument, replacement, async (document, change) => {
        const bytes = renderDocument(document);
        const after = editPreferences(bytes, change);
        const wanted = wantedOf(change);
        const old = meanings(document).filter(([name]) => name !== "PlexOnlineHome");
        const attributes = [
          ...old.map(([name, value]) => [name, wanted.get(name) ?? value]),
          ...[...wanted].filter(([name]) => !old.some(([other]) => other === name)),
        ];
        expect(ourReading(after)).toEqual(attributes);
        for (const read of Object.values(ORACLES)) expect(read(after)?.attributes).toEqual(attributes);
        let from = 0;
        for (const attribute of document.attributes.filter(({ name }) => !isCredentialName(name))) {
          const raw = latin1(utf8(renderAttribute(attribute)));
          from = latin1(after).indexOf(raw, from) + raw.length;
          expect(from).toBeGreaterThanOrEqual(raw.length);
        }
        expect(latin1(editPreferences(after, REMOVE))).toBe(latin1(signedOut(document)));
        await secondOpinion(bytes, after, change);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("any damaged settings", () => {
  const agreeOrRefuse = (bytes: Uint8Array): void => {
    let ours: [string, string][];
    try {
      ours = ourReading(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(ProblemError);
      return;
    }
    for (const [name, read] of Object.entries(ORACLES)) {
      expect([name, read(bytes)]).toEqual([name, { root: "Preferences", attributes: ours }]);
    }
    try {
      editPreferences(bytes, REMOVE);
    } catch (error) {
      expect(error).toMatchObject({ problem: { code: "IDENTITY_LOST" } });
    }
  };

  test("are refused, or read as both other implementations read them", () => {
    fc.assert(
      fc.property(preferencesDocument, mutations, (document, changes) => {
        agreeOrRefuse(mutated(renderDocument(document), changes));
      }),
      { numRuns: 2000 },
    );
  });

  test("are refused without a crash when they are no settings at all", () => {
    const token = fc.constantFrom(
      "<",
      ">",
      "/>",
      "<Preferences",
      " ",
      "a",
      "=",
      '"',
      "'",
      "&",
      "<!--",
      "-->",
      "<?",
      "?>",
    );
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(token).map((parts) => utf8(parts.join(""))),
    );
    fc.assert(fc.property(noise, agreeOrRefuse), { numRuns: 1000 });
  });

  test("are truncated, and never accepted, when cut before the element's end", () => {
    fc.assert(
      fc.property(preferencesDocument, fc.nat(), (document, at) => {
        const whole = renderDocument(document);
        const last = renderDocument({ ...document, after: "" }).length - 1;
        const bytes = whole.slice(0, 4 + (at % (last - 4)));
        const blank = new TextDecoder().decode(bytes).trim() === "";
        const [code, reason] = blank ? ["IDENTITY_LOST", "empty"] : ["SETTINGS_MALFORMED", "truncated"];
        const parse = () => parsePreferences(bytes, "");
        expect(parse).toThrowError(expect.objectContaining({ problem: { code, reason, path: "" } }));
      }),
      { numRuns: 500 },
    );
  });
});
