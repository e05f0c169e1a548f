import { isUtf8 } from "node:buffer";
import type { PlistBytes } from "./plist-bytes.ts";
import type { TextPiece } from "./plist-xml-scan.ts";
import { malformed } from "./refusals.ts";
import { isXmlText } from "./xml-value.ts";

/**
 * Refuses bytes that are no UTF-8, or hold what is no character of XML 1.0. Throws `SETTINGS_MALFORMED`: `utf16`,
 * `truncated` (inside of a character), `not-utf8`, `syntax`.
 */
export function checkXmlCharacters(bytes: PlistBytes, path: string): void {
  if (isWide(bytes)) throw malformed(path, "utf16");
  const all = bytes.piece(0, bytes.length);
  if (!isUtf8(all)) throw malformed(path, endsInsideCharacter(bytes) ? "truncated" : "not-utf8");
  if (FORBIDDEN.test(all.toString("latin1"))) throw malformed(path, "syntax");
}

/**
 * What a text means: references replaced, CDATA sections as they stand. Line ends are kept as they are: Apple's reader
 * does so, although XML 1.0 (2.11) has them normalised. Throws `SETTINGS_MALFORMED` (`syntax`).
 */
export function meaningOfText(bytes: PlistBytes, pieces: readonly TextPiece[], path: string): string {
  return pieces
    .map(({ start, end, literal }) => {
      const text = bytes.piece(start, end).toString("utf8");
      return literal ? text : withoutReferences(text, path);
    })
    .join("");
}

/** A text as it stands between two tags. The caller sees to it that XML can hold it. */
export function textForXml(text: string): string {
  return text.replace(/[&<>\r]/g, (character) => ESCAPED.get(character) ?? character);
}

/** Control characters, and the bytes of U+FFFE and U+FFFF: not characters of XML 1.0 (section 2.2, Char). */
const FORBIDDEN = /[^\t\n\r\x20-\xff]|\xef\xbf[\xbe\xbf]/;

const REFERENCE = /&(?:#([0-9]{1,8})|#x([0-9A-Fa-f]{1,8})|([a-z]{2,4}));|&|\]\]>/g;

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

const ESCAPED: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ["\r", "&#13;"],
]);

/** Up to eight digits in a reference by number: Apple's reader takes no more. */
function withoutReferences(text: string, path: string): string {
  return text.replace(REFERENCE, (_all, decimal?: string, hex?: string, name?: string) => {
    const character =
      decimal !== undefined
        ? characterOf(Number(decimal))
        : hex !== undefined
          ? characterOf(Number.parseInt(hex, 16))
          : ENTITIES.get(name ?? "");
    if (character === undefined) throw malformed(path, "syntax");
    return character;
  });
}

function characterOf(code: number): string | undefined {
  if (code > 0x10_ff_ff) return undefined;
  const character = String.fromCodePoint(code);
  return isXmlText(character) ? character : undefined;
}

/** UTF-16 or UTF-32, with or without a mark (XML 1.0, appendix F.1). */
function isWide(bytes: PlistBytes): boolean {
  const head = [0, 1, 2, 3].map((index) => bytes.at(index));
  const [first, second] = head;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return true;
  return head.includes(0) && head.some((byte) => byte > 0);
}

/** Whether the last character is cut off, and all before it is UTF-8. */
function endsInsideCharacter(bytes: PlistBytes): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes.piece(0, bytes.length), { stream: true });
    return true;
  } catch {
    return false;
  }
}
