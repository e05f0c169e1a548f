import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { editPreferences } from "../../src/stores/preferences-xml.ts";
import { scanXml } from "../../src/stores/xml-scan.ts";
import { mutated, mutations, preferencesDocument, replacement } from "../support/preferences-arbitraries.ts";
import { renderDocument } from "../support/preferences-document.ts";

const READER = `
import base64, json, sys
from xml.parsers import expat
def read(data):
    roots = []
    parser = expat.ParserCreate()
    parser.ordered_attributes = True
    parser.StartElementHandler = lambda name, attributes: roots.append([name, attributes])
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError):
        return None
    return roots
print(json.dumps([read(base64.b64decode(one)) for one in json.load(sys.stdin)]))
`;

function python(args: readonly string[], input: string) {
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin" };
  return spawnSync("python3", ["-I", ...args], { input, env, encoding: "utf8", maxBuffer: 1 << 28 });
}

const present = python(["-c", "from xml.parsers import expat"], "").status === 0;

test.skipIf(!present && process.env["CI"] !== "true")(
  "expat reads what we accept as we do, before and after an edit (skipped only without python3)",
  () => {
    const documents = fc.sample(preferencesDocument, 300).map(renderDocument);
    const changes = fc.sample(replacement, 300);
    const damage = fc.sample(mutations, 300);
    const cases = documents.flatMap((bytes, index) => [
      bytes,
      editPreferences(bytes, { kind: "remove" }),
      editPreferences(bytes, changes[index] ?? { kind: "remove" }),
      mutated(bytes, damage[index] ?? []),
    ]);
    const run = python(
      ["-c", READER],
      JSON.stringify(cases.map((bytes) => Buffer.from(bytes).toString("base64"))),
    );
    expect(run.stderr).toBe("");
    const readings: unknown[] = JSON.parse(run.stdout);
    let accepted = 0;
    for (const [index, bytes] of cases.entries()) {
      const ours = reading(bytes);
      if (ours === null) continue;
      accepted += 1;
      expect([index, readings[index]]).toEqual([index, [["Preferences", ours]]]);
    }
    expect(accepted).toBeGreaterThanOrEqual(900);
  },
);

function reading(bytes: Uint8Array): string[] | null {
  try {
    return [...scanXml(bytes, "Preferences", "").attributes.values()].flatMap(({ name, value }) => [
      name,
      value,
    ]);
  } catch {
    return null;
  }
}
