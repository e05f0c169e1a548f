import { parseXml } from "@rgrove/parse-xml";
import { SaxesParser } from "saxes";

/** What an independent reader sees of a document: its root and the root's attributes, in order. */
export interface Reading {
  readonly root: string;
  readonly attributes: readonly (readonly [string, string])[];
}

/** `saxes`, strict; null when it refuses the document. */
export function saxesReading(bytes: Uint8Array): Reading | null {
  const attributes: [string, string][] = [];
  let root: string | undefined;
  const parser = new SaxesParser({ position: false });
  parser.on("opentag", ({ name }) => {
    root ??= name;
  });
  parser.on("attribute", ({ name, value }) => attributes.push([name, value]));
  try {
    parser.write(decoded(bytes)).close();
  } catch {
    return null;
  }
  return root === undefined ? null : { root, attributes };
}

/** `@rgrove/parse-xml`; null when it refuses the document. */
export function parseXmlReading(bytes: Uint8Array): Reading | null {
  try {
    const { root } = parseXml(decoded(bytes));
    return root && { root: root.name, attributes: Object.entries(root.attributes) };
  } catch {
    return null;
  }
}

function decoded(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
