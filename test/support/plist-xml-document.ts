import { numberOfReal, type PlistDictionary, type PlistValue, realOf } from "../../src/stores/plist-value.ts";
import { pick, type Random } from "./plist-random.ts";

/** An XML property list as a person or a program may have written it, and what it means. */
export interface XmlDocument {
  readonly before: string;
  readonly entries: readonly XmlEntry[];
  readonly after: string;
  readonly means: PlistDictionary;
}

/** An entry of the root: `before` and `between` are white space, `comment` stands between key and value. */
interface XmlEntry {
  readonly key: string;
  readonly before: string;
  readonly keyElement: string;
  readonly comment: string;
  readonly between: string;
  readonly valueElement: string;
}

interface Rendered {
  readonly xml: string;
  readonly means: PlistValue;
}

export function utf8(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "utf8"));
}

export function xmlText({ before, entries, after }: XmlDocument): string {
  return before + entries.map(entryText).join("") + after;
}

/** The document without these keys, as we promise it. */
export function xmlTextWithout({ before, entries, after }: XmlDocument, gone: readonly string[]): string {
  return (
    before +
    entries.map((entry) => (gone.includes(entry.key) ? entry.comment : entryText(entry))).join("") +
    after
  );
}

function entryText({ before, keyElement, comment, between, valueElement }: XmlEntry): string {
  return before + keyElement + comment + between + valueElement;
}

const SPACES = ["", " ", "\n", "\n\t", "\r\n  ", "\n\n\t\t", "\t \t"];
const MISC = ["", "", "", "<!-- a <dict> & </key> ü -->", "<?note a > b?>", "<!---->"];
export const APPLE_DOCTYPES = [
  '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
  '<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
  '<!DOCTYPE plist\n PUBLIC "-//Apple//DTD PLIST 1.0//EN"\t"https://www.apple.com/DTDs/PropertyList-1.0.dtd" >',
  '<!DOCTYPE plist SYSTEM "file://localhost/System/Library/DTDs/PropertyList.dtd">',
];
const DECLARATIONS = [
  '<?xml version="1.0" encoding="UTF-8"?>',
  "<?xml version='1.0' encoding='utf-8' standalone='yes' ?>",
  '<?xml version="1.0"?>',
  "",
];

export function xmlDocument(random: Random, tree: PlistDictionary): XmlDocument {
  const misc = () => pick(random, SPACES) + pick(random, MISC) + pick(random, SPACES);
  const declaration = pick(random, DECLARATIONS);
  const before =
    (random(4) === 0 ? "\ufeff" : "") +
    declaration +
    misc() +
    pick(random, ["", ...APPLE_DOCTYPES]) +
    misc() +
    pick(random, ["<plist>", '<plist version="1.0">', "<plist  version = '1.0' >"]) +
    misc() +
    pick(random, ["<dict>", "<dict >"]) +
    pick(random, ["", "", "\n\t<!-- first -->"]);
  const even = random(2) === 0 ? pick(random, SPACES) : null;
  const entries: XmlEntry[] = [];
  const means: [string, PlistValue][] = [];
  for (const [key, value] of tree.entries) {
    const rendered = renderValue(random, value);
    means.push([key, rendered.means]);
    entries.push({
      key,
      before: even ?? pick(random, SPACES),
      keyElement: element("key", spelled(random, key)),
      comment: random(6) === 0 ? `${pick(random, SPACES)}<!-- of a value -->` : "",
      between: pick(random, SPACES),
      valueElement: rendered.xml,
    });
  }
  const comment = random(4) === 0 ? "\n<!-- last -->" : "";
  const after = `${comment}${pick(random, SPACES)}</dict>${misc()}</plist >${misc()}`;
  return { before, entries, after, means: { kind: "dictionary", entries: means } };
}

function renderValue(random: Random, value: PlistValue): Rendered {
  const gap = () => pick(random, SPACES) + (random(8) === 0 ? pick(random, MISC) : "");
  switch (value.kind) {
    case "array": {
      const items = value.items.map((item) => renderValue(random, item));
      const inside = items.map(({ xml }) => gap() + xml).join("") + gap();
      const means: PlistValue = { kind: "array", items: items.map((item) => item.means) };
      return { xml: empty(random, "array", inside), means };
    }
    case "dictionary": {
      const entries = value.entries.map(([key, item]) => ({ key, item: renderValue(random, item) }));
      const inside = entries
        .map(({ key, item }) => gap() + element("key", spelled(random, key)) + gap() + item.xml)
        .join("");
      const means: PlistValue = {
        kind: "dictionary",
        entries: entries.map(({ key, item }) => [key, item.means]),
      };
      return { xml: empty(random, "dict", inside + gap()), means };
    }
    case "string":
      return { xml: empty(random, "string", spelled(random, value.value)), means: value };
    case "integer":
      return {
        xml: element("integer", integer(random, value.value)),
        means: { kind: "integer", value: value.value },
      };
    case "real": {
      const text = real(random, numberOfReal(value));
      return { xml: element("real", text), means: realOf(numberOfReal(value), text) };
    }
    case "date": {
      const text = new Date((value.seconds + 978_307_200) * 1000).toISOString().replace(/\.\d+Z$/, "Z");
      return { xml: element("date", text), means: { ...value, text } };
    }
    case "data":
      return { xml: empty(random, "data", base64(random, value.bytes)), means: value };
    case "uid": {
      const inside = `${gap()}<key>CF$UID</key>${gap()}<integer>${value.value}</integer>${gap()}`;
      return { xml: element("dict", inside), means: { kind: "uid", value: value.value } };
    }
    case "boolean": {
      const name = value.value ? "true" : "false";
      return { xml: pick(random, [`<${name}/>`, `<${name} />`, `<${name}></${name}>`]), means: value };
    }
  }
}

function element(name: string, inside: string): string {
  return `<${name}>${inside}</${name}>`;
}

function empty(random: Random, name: string, inside: string): string {
  return inside === "" && random(2) === 0 ? `<${name}/>` : element(name, inside);
}

/** Some characters as references, some in CDATA sections. */
function spelled(random: Random, text: string): string {
  const plain = random(2) === 0;
  return [...text]
    .map((character) => {
      const code = character.codePointAt(0) ?? 0;
      const named = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" }[character];
      const numbered = [`&#${code};`, `&#x${code.toString(16)};`, `&#x${code.toString(16).toUpperCase()};`];
      if (character === "\r") return pick(random, numbered);
      if (plain || random(4) > 0) return "&<>".includes(character) ? (named ?? character) : character;
      return pick(random, [...numbered, named ?? character, `<![CDATA[${character}]]>`]).replace(
        /^[&<]$/,
        named ?? "",
      );
    })
    .join("");
}

function integer(random: Random, value: bigint): string {
  const size = value < 0n ? -value : value;
  const sign = value < 0n ? "-" : pick(random, ["", "", "", "+"]);
  const digits = pick(random, [
    `${size}`,
    `${size}`,
    `00${size}`,
    `0x${size.toString(16)}`,
    `0X${size.toString(16)}`,
  ]);
  return pick(random, ["", "", " \n"]) + sign + digits;
}

function real(random: Random, value: number): string {
  if (Number.isNaN(value)) return pick(random, ["nan", "NaN"]);
  if (!Number.isFinite(value)) return value > 0 ? pick(random, ["inf", "+infinity", "Infinity"]) : "-inf";
  if (Object.is(value, -0)) return pick(random, ["-0", "-0.0"]);
  return pick(random, [
    String(value),
    value.toExponential(),
    Number.isInteger(value) ? `${BigInt(value)}` : `${value}`,
  ]);
}

function base64(random: Random, bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("base64");
  if (random(2) === 0) return text;
  return `\n\t${text.replace(/.{4,}?(?=.)/g, (part) => part + pick(random, ["", "", "\n\t"]))}\n\t`;
}
