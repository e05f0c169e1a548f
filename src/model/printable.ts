/** How many characters of one thing from outside are shown. */
export const PRINTABLE_LIMIT = 200;

/**
 * Makes a text from outside (a name, a path, a log line, a command's output) safe to show.
 *
 * Every character that could steer a terminal, hide, or reorder what stands around it is shown as `\u{…}`;
 * what is longer than `limit` characters is cut, with a mark. The outcome is one line. Never throws.
 */
export function printable(text: string, limit: number = PRINTABLE_LIMIT): string {
  let shown = "";
  let length = 0;
  for (const character of text) {
    if (length === limit) return `${shown}…`;
    shown += isDangerous(character) ? escaped(character) : character;
    length += 1;
  }
  return shown;
}

/** The same characters in a JSON text, as JSON's own escapes: the data stay what they are. */
export function printableJson(json: string): string {
  return json.replace(new RegExp(DANGEROUS.source, "gu"), jsonEscaped);
}

/**
 * C0, DEL and C1 controls; soft hyphen, bidirectional and zero-width characters, line and paragraph separators
 * and other invisible ones; tag characters and rare variation selectors; lone surrogates. Stripping escape
 * sequences alone leaves most of these in (`util.stripVTControlCharacters`). U+FE0F only makes a heart a red one.
 */
const DANGEROUS = /(?!\uFE0F)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

function isDangerous(character: string): boolean {
  return DANGEROUS.test(character);
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

function jsonEscaped(character: string): string {
  let units = "";
  for (let index = 0; index < character.length; index += 1) {
    units += `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`;
  }
  return units;
}
