/** A piece of an attribute value: as it is written, and what it means. */
export interface ValuePiece {
  readonly raw: string;
  readonly means: string;
}

export interface AttributeModel {
  readonly space: string;
  readonly name: string;
  readonly equals: string;
  readonly quote: '"' | "'";
  readonly pieces: readonly ValuePiece[];
}

/** A well-formed `Preferences.xml` in the making. */
export interface DocumentModel {
  readonly byteOrderMark: boolean;
  readonly declaration: string;
  readonly before: string;
  readonly attributes: readonly AttributeModel[];
  /** From the last attribute to the end of the element. */
  readonly ending: string;
  readonly after: string;
}

export const SPACES = [" ", "  ", "\n", "\r\n", "\t", "\n    ", " \t\r\n "] as const;
export const EQUALS = ["=", " =", "= ", "\t=\n", " \r\n= "] as const;
export const DECLARATIONS = [
  "",
  '<?xml version="1.0"?>',
  '<?xml version="1.0" encoding="utf-8"?>\n',
  "<?xml version='1.0' encoding='UTF-8'?>\r\n",
  '<?xml version = "1.0"\tencoding ="Utf-8" standalone="yes" ?>\n',
] as const;
export const MISC = [
  "",
  "\n",
  "\r\n\t ",
  "<!-- a comment -->",
  '<!--> PlexOnlineToken="x" /> - -->',
  "<!---->\n",
  '<?target PlexOnlineToken="y" ?>\n',
  "<?t?>",
  "<?xml-stylesheet href='a.xsl'?>",
] as const;
export const ENDINGS = [
  "/>",
  " />",
  "\n/>",
  "\r\n\t/>",
  "></Preferences>",
  " >\n</Preferences\n>",
  "><!-- inside --></Preferences>",
  ">\t<?inside it?> </Preferences >",
] as const;

/** Pieces that are right between either kind of quotes. */
export const PIECES: readonly ValuePiece[] = [
  ..."a Z 0 - _ . : ; / = # $ % \\ > [ ] ? !"
    .split(" ")
    .map((character) => ({ raw: character, means: character })),
  { raw: "/>", means: "/>" },
  { raw: "$&amp;", means: "$&" },
  { raw: "-->", means: "-->" },
  { raw: "]]>", means: "]]>" },
  { raw: "?>", means: "?>" },
  { raw: " PlexOnlineToken=", means: " PlexOnlineToken=" },
  { raw: " PlexOnlineHome=&quot;1&quot;", means: ' PlexOnlineHome="1"' },
  { raw: "\t", means: " " },
  { raw: "\n", means: " " },
  { raw: "\r\n", means: " " },
  { raw: "\rx", means: " x" },
  { raw: "&amp;", means: "&" },
  { raw: "&lt;", means: "<" },
  { raw: "&gt;", means: ">" },
  { raw: "&quot;", means: '"' },
  { raw: "&apos;", means: "'" },
  { raw: "&#9;", means: "\t" },
  { raw: "&#xA;", means: "\n" },
  { raw: "&#13;", means: "\r" },
  { raw: "&#x0041;", means: "A" },
  { raw: "&#128273;", means: "🔑" },
  { raw: "&#x1F511;", means: "🔑" },
  { raw: "é", means: "é" },
  { raw: "Ж", means: "Ж" },
  { raw: "中", means: "中" },
  { raw: "🔑", means: "🔑" },
  { raw: "\u0085\u2028\ufeff\u007f", means: "\u0085\u2028\ufeff\u007f" },
];

function rawValue(attribute: AttributeModel): string {
  return attribute.pieces.map(({ raw }) => raw).join("");
}

function meaning(attribute: AttributeModel): string {
  return attribute.pieces.map(({ means }) => means).join("");
}

/** One attribute with the white space before it. */
export function renderAttribute(attribute: AttributeModel): string {
  const { space, name, equals, quote } = attribute;
  return `${space}${name}${equals}${quote}${rawValue(attribute)}${quote}`;
}

export function renderDocument(document: DocumentModel): Uint8Array {
  const { byteOrderMark, declaration, before, attributes, ending, after } = document;
  const tag = `<Preferences${attributes.map(renderAttribute).join("")}${ending}`;
  return utf8(`${byteOrderMark ? "\ufeff" : ""}${declaration}${before}${tag}${after}`);
}

export function meanings(document: DocumentModel): [string, string][] {
  return document.attributes.map((attribute) => [attribute.name, meaning(attribute)]);
}

export function utf8(text: string): Uint8Array {
  return new Uint8Array(new TextEncoder().encode(text));
}

/** Bytes as text with one unit a byte, for comparing them readably. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
