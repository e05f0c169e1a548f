import { describe, expect, test } from "vitest";
import { Secret } from "../../src/model/secret.ts";
import type { CredentialChange } from "../../src/model/settings.ts";
import { editPreferences } from "../../src/stores/preferences-xml.ts";
import { secondOpinion } from "../../src/stores/second-opinion.ts";
import { utf8 } from "../support/preferences-document.ts";

const REMOVE: CredentialChange = { kind: "remove" };
const REPLACE: CredentialChange = {
  kind: "replace",
  credentials: { token: new Secret("new"), username: "a&b", mail: "m" },
};
const IDS = 'MachineIdentifier="m" ProcessedMachineIdentifier="p"';
const BEFORE = `<?xml version="1.0"?><!--c--><Preferences ${IDS} PlexOnlineToken="old" PlexOnlineHome="1" A="x"/>\n`;
const REMOVED = BEFORE.replace(' PlexOnlineToken="old" PlexOnlineHome="1"', "");

describe("the second opinion", () => {
  test("agrees with both edits", async () => {
    for (const change of [REMOVE, REPLACE]) {
      const after = editPreferences(utf8(BEFORE), change);
      await expect(secondOpinion(utf8(BEFORE), after, change)).resolves.toBeUndefined();
    }
  });

  test.each<[string, string]>([
    ["nothing was done", BEFORE],
    ["a value is left", REMOVED.replace(" A=", ' PlexOnlineHome="1" A=')],
    ["a value was blanked, not cut", REMOVED.replace(" A=", ' PlexOnlineToken="" A=')],
    ["another attribute differs", REMOVED.replace('A="x"', 'A="y"')],
    ["another attribute is gone", REMOVED.replace(' A="x"', "")],
    ["an attribute is new", REMOVED.replace("/>", ' B="1"/>')],
    ["the order differs", `<?xml version="1.0"?><!--c--><Preferences A="x" ${IDS}/>\n`],
    ["a comment differs", REMOVED.replace("--c--", "--d--")],
    ["the declaration is gone", REMOVED.replace('<?xml version="1.0"?>', "")],
    ["the ending differs", REMOVED.replace("/>", "></Preferences>")],
    ["white space after it differs", REMOVED.trimEnd()],
    ["it is cut off", REMOVED.slice(0, -4)],
    ["it has a duplicate", REMOVED.replace("/>", ' A="x"/>')],
    ["it is empty", ""],
  ])("objects when %s", async (_name, after) => {
    await expect(secondOpinion(utf8(BEFORE), utf8(after), REMOVE, "/p")).rejects.toMatchObject({
      problem: { code: "SETTINGS_MALFORMED", path: "/p", reason: "second-opinion" },
    });
  });

  test("objects when a new value is not the one that was asked for", async () => {
    const after = Buffer.from(editPreferences(utf8(BEFORE), REPLACE))
      .toString()
      .replace("a&amp;b", "a&amp;amp;b");
    await expect(secondOpinion(utf8(BEFORE), utf8(after), REPLACE)).rejects.toMatchObject({
      problem: { reason: "second-opinion" },
    });
  });
});
