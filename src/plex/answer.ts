import { SaxesParser, type SaxesTag } from "saxes";

/** An XML element as far as Plex's answers need it. `text` is what stands directly in it, CDATA included. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  readonly text: string;
}

export type JsonObject = Readonly<Record<string, unknown>>;

export type StructuredAnswer =
  | { readonly format: "xml"; readonly root: XmlElement }
  | { readonly format: "json"; readonly object: JsonObject };

/**
 * Reads the body of an answer as well-formed XML or as a JSON object; null for everything else (HTML among it),
 * whatever its content type claims. A DOCTYPE is refused, so no entity but the five of XML is ever resolved, and
 * so is a processing instruction.
 * Plex answers in either, by its mood and the `Accept` header.
 */
export function readAnswer(body: string): StructuredAnswer | null {
  const text = body.replace(/^\uFEFF/, "").trim();
  if (text.startsWith("{")) {
    const object = readJsonObject(text);
    return object === null ? null : { format: "json", object };
  }
  const root = text.startsWith("<") ? readXml(text) : null;
  return root === null || root.name.toLowerCase() === "html" ? null : { format: "xml", root };
}

/** An object's own member when it is an object itself. */
export function objectIn(object: JsonObject, name: string): JsonObject | null {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  return isObject(value) ? value : null;
}

/** An object's own member when it is a string. */
export function stringIn(object: JsonObject, name: string): string | null {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  return typeof value === "string" ? value : null;
}

const DEEPEST = 64;

interface Growing {
  readonly name: string;
  readonly attributes: Map<string, string>;
  readonly children: Growing[];
  text: string;
}

function readXml(text: string): XmlElement | null {
  let root: Growing | null = null;
  const open: Growing[] = [];
  const parser = new SaxesParser({ position: false });
  const add = (piece: string): void => {
    const last = open.at(-1);
    if (last !== undefined) last.text += piece;
  };
  parser.on("doctype", () => {
    throw new SyntaxError("doctype");
  });
  // Plex writes none, and the parser lets malformed ones through (`<?x?ml …?>`).
  parser.on("processinginstruction", () => {
    throw new SyntaxError("processing instruction");
  });
  parser.on("text", add);
  parser.on("cdata", add);
  parser.on("opentag", (tag) => {
    const element = newElement(tag);
    if (open.length === DEEPEST) throw new SyntaxError("too deep");
    open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  });
  parser.on("closetag", () => {
    open.pop();
  });
  try {
    parser.write(text).close();
  } catch {
    return null;
  }
  return root;
}

function newElement(tag: SaxesTag): Growing {
  const attributes = new Map<string, string>();
  // Without name spaces, as here, values are plain strings.
  for (const [name, value] of Object.entries(tag.attributes))
    if (typeof value === "string") attributes.set(name, value);
  return { name: tag.name, attributes, children: [], text: "" };
}

function readJsonObject(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
