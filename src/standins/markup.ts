/** An element that can be shown as XML, or as JSON in the way Plex does it. */
export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly children?: readonly Element[];
}

export const XML_HEADER = '<?xml version="1.0" encoding="utf-8"?>\n';

/** Escapes text for an attribute in double quotes, or for content. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"\t\n\r]/g, (character) => ESCAPES[character] ?? character);
}

/** Resolves the five named entities and character references; an unknown one stays as it stands. */
export function unescapeXml(text: string): string {
  return text.replace(/&(#x[0-9a-f]+|#[0-9]+|[a-z]+);/gi, (whole, name: string) => {
    if (!name.startsWith("#")) return NAMED[name] ?? whole;
    const point = name[1] === "x" ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}

/** The element with its XML declaration; true and false become 1 and 0. */
export function toXml(element: Element): string {
  return `${XML_HEADER}${xmlOf(element)}\n`;
}

/** `{"Name":{attributes, "Child":[…]}}`, children grouped under their names (shape: OAS). */
export function toJson(element: Element): string {
  return JSON.stringify({ [element.name]: jsonOf(element) });
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\t": "&#9;",
  "\n": "&#10;",
  "\r": "&#13;",
};

const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function xmlOf({ name, attributes, children = [] }: Element): string {
  const shown = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeXml(plain(value))}"`);
  const head = `<${name}${shown.join("")}`;
  return children.length === 0 ? `${head}/>` : `${head}>${children.map(xmlOf).join("")}</${name}>`;
}

function plain(value: string | number | boolean): string {
  return typeof value === "boolean" ? (value ? "1" : "0") : String(value);
}

function jsonOf({ attributes, children = [] }: Element): Record<string, unknown> {
  const groups: Record<string, unknown[]> = {};
  for (const child of children) {
    const group = groups[child.name] ?? [];
    group.push(jsonOf(child));
    groups[child.name] = group;
  }
  return { ...attributes, ...groups };
}
