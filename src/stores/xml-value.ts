import { malformed } from "./refusals.ts";
import { latin1OfText, textOfLatin1 } from "./xml-bytes.ts";

/**
 * What an attribute's raw value means: line ends and white space normalised (XML 1.0, 2.11 and 3.3.3), then
 * references replaced. Takes the bytes between the quotes as latin1. Throws `SETTINGS_MALFORMED` (`syntax`)
 * for `<`, a bare `&`, an entity that is not one of the five, or a reference to what is no character.
 */
export function decodeValue(raw: string, path: string): string {
  if (!NEEDS_WORK.test(raw)) return raw;
  if (raw.includes("<")) throw malformed(path, "syntax");
  const spaced = textOfLatin1(raw).replace(LITERAL_SPACE, " ");
  return spaced.replace(REFERENCE, (_all, inner: string | undefined) => {
    const character = inner === undefined ? undefined : referenced(inner);
    if (character === undefined) throw malformed(path, "syntax");
    return character;
  });
}

/**
 * A value as it is written between quotes of either kind, as latin1 of its bytes. Tabs and line ends become
 * references, as a reader would turn literal ones into spaces; so does all but ASCII where `asciiOnly`.
 */
export function encodeValue(value: string, asciiOnly: boolean): string {
  const escaped = value.replace(SPECIAL, (character) => NAMED.get(character) ?? numbered(character));
  return latin1OfText(asciiOnly ? escaped.replace(NOT_ASCII, numbered) : escaped);
}

/** Whether XML 1.0 can hold the text at all: no other control characters, lone surrogates, U+FFFE or U+FFFF. */
export function isXmlText(text: string): boolean {
  return !NOT_XML.test(text);
}

const NEEDS_WORK = /[&<\t\n\r\x80-\xff]/;
const LITERAL_SPACE = /\r\n|[\t\n\r]/g;
const REFERENCE = /&(#[0-9]+|#x[0-9A-Fa-f]+|[a-z]+);|&/g;
const SPECIAL = /[&<>"'\t\n\r]/g;
const NOT_ASCII = /[^\0-\x7f]/gu;
const NOT_XML = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

const NAMED: ReadonlyMap<string, string> = new Map(
  [...ENTITIES].map(([name, character]) => [character, `&${name};`]),
);

function referenced(inner: string): string | undefined {
  if (!inner.startsWith("#")) return ENTITIES.get(inner);
  const code = inner.startsWith("#x") ? Number.parseInt(inner.slice(2), 16) : Number(inner.slice(1));
  if (!(code <= 0x10_ff_ff)) return undefined;
  const character = String.fromCodePoint(code);
  return isXmlText(character) ? character : undefined;
}

function numbered(character: string): string {
  return `&#x${character.codePointAt(0)?.toString(16).toUpperCase()};`;
}
