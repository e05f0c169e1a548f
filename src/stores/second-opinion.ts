import { SaxesParser } from "saxes";
import { CREDENTIAL_NAMES, type CredentialChange } from "../model/settings.ts";
import { isCredentialName, PREFERENCES_ROOT, wantedCredentials } from "./preferences-xml.ts";
import { malformed } from "./refusals.ts";
import { scanXml } from "./xml-scan.ts";

/**
 * Asks an XML reader that we did not write (`saxes`, strict) whether `after` is `before` with the change and
 * nothing else: the same declaration, comments, instructions, white space and other attributes in the same
 * order, the four values as asked, and every value as our own scanner reads it.
 *
 * Throws `SETTINGS_MALFORMED` (`second-opinion`) when it sees another document. Import it lazily: it loads a
 * library that only an edit needs.
 */
export async function secondOpinion(
  before: Uint8Array,
  after: Uint8Array,
  change: CredentialChange,
  path = "",
): Promise<void> {
  const wanted = wantedCredentials(change);
  const old = viewOf(before, path);
  const fresh = viewOf(after, path);
  const agrees =
    isSame(old.rest, fresh.rest) &&
    CREDENTIAL_NAMES.every((name) => fresh.attributes.get(name) === wanted.get(name)) &&
    readsAsWeDo(old, before, path) &&
    readsAsWeDo(fresh, after, path);
  if (!agrees) throw malformed(path, "second-opinion");
}

interface View {
  readonly attributes: ReadonlyMap<string, string>;
  /** All events of the document but the attributes of the four values. */
  readonly rest: readonly string[];
}

function viewOf(bytes: Uint8Array, path: string): View {
  const attributes = new Map<string, string>();
  const rest: string[] = [];
  const record = (...event: unknown[]) => rest.push(JSON.stringify(event));
  const parser = new SaxesParser({ position: false });
  parser.on("xmldecl", (declaration) => record("declaration", { ...declaration }));
  parser.on("doctype", (doctype) => record("doctype", doctype));
  parser.on("comment", (comment) => record("comment", comment));
  parser.on("processinginstruction", ({ target, body }) => record("instruction", target, body));
  parser.on("text", (text) => record("text", text));
  parser.on("cdata", (text) => record("cdata", text));
  parser.on("attribute", ({ name, value }) => {
    attributes.set(name, value);
    if (!isCredentialName(name)) record("attribute", name, value);
  });
  parser.on("opentag", ({ name, isSelfClosing }) => record("open", name, isSelfClosing));
  parser.on("closetag", ({ name }) => record("close", name));
  try {
    parser.write(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)).close();
  } catch {
    // What the library says may quote the file, so it is not kept as the cause.
    throw malformed(path, "second-opinion");
  }
  return { attributes, rest };
}

function readsAsWeDo(view: View, bytes: Uint8Array, path: string): boolean {
  const { attributes } = scanXml(bytes, PREFERENCES_ROOT, path);
  const ours = [...attributes.values()].map(({ name, value }) => JSON.stringify([name, value]));
  return isSame(
    ours,
    [...view.attributes].map((pair) => JSON.stringify(pair)),
  );
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((entry, index) => entry === other[index]);
}
