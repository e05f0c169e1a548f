import type { MalformedReason, ProblemError } from "../model/problem.ts";
import { malformed } from "./refusals.ts";
import { BYTE_ORDER_MARK, latin1OfXml } from "./xml-bytes.ts";
import { decodeValue } from "./xml-value.ts";

/** A document of one element without content. */
export interface XmlScan {
  /** The whole document, one unit a byte (latin1). */
  readonly latin1: string;
  /** Declared as US-ASCII: nothing else may be written into it. */
  readonly asciiOnly: boolean;
  /** In the order of the document. */
  readonly attributes: ReadonlyMap<string, ScannedAttribute>;
  /** After the last attribute, or after the element's name where there is none. */
  readonly attributesEnd: number;
}

/** More attributes than this are refused as `too-large`; real files have 15 to 80. */
export const MAX_ATTRIBUTES = 10_000;

/**
 * Reads XML 1.0 strictly and knows of every attribute in which bytes it stands. One pass, no recursion.
 *
 * Allowed: a UTF-8 byte order mark, a declaration (1.0; UTF-8 or US-ASCII), comments and processing
 * instructions before, in and after the one element `root`, which is empty but for those and white space.
 * Names are ASCII only: Plex uses no others, and readers of the fourth and fifth edition of XML 1.0 disagree
 * about the rest. Everything else throws `SETTINGS_MALFORMED`, or `IDENTITY_LOST` (`empty`).
 */
export function scanXml(bytes: Uint8Array, root: string, path: string): XmlScan {
  return new Scanner(latin1OfXml(bytes, path), path).document(root);
}

/** One attribute and where it stands; all offsets are in bytes. */
interface ScannedAttribute {
  readonly name: string;
  /** What it means: normalised, references replaced. */
  readonly value: string;
  /** Of the white space before it, which every attribute has. */
  readonly spaceStart: number;
  /** Of the first byte after the opening quote. */
  readonly valueStart: number;
  /** Of the closing quote. */
  readonly valueEnd: number;
  /** After the closing quote. */
  readonly end: number;
}

const SPACE = /[ \t\r\n]*/y;
const NAME = /[A-Za-z_:][A-Za-z0-9_:.-]*/y;
const DECLARATION =
  /<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.0"|'1\.0')(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"([A-Za-z][\w.-]*)"|'([A-Za-z][\w.-]*)'))?(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>/y;
const WIDE_ENCODING = /^(?:utf-?16|utf-?32|ucs|iso-10646-ucs)/i;
const BEYOND_ASCII = /[\x80-\xff]/;

class Scanner {
  readonly #text: string;
  readonly #path: string;
  #at = 0;

  constructor(text: string, path: string) {
    this.#text = text;
    this.#path = path;
    if (text.startsWith(BYTE_ORDER_MARK)) this.#at = BYTE_ORDER_MARK.length;
  }

  document(root: string): XmlScan {
    const asciiOnly = this.#declaration();
    this.#skipMisc();
    this.#rootName(root);
    const attributes = new Map<string, ScannedAttribute>();
    let attributesEnd = this.#at;
    for (let next = this.#attribute(); next !== undefined; next = this.#attribute()) {
      if (attributes.has(next.name)) throw this.#refuse("duplicate-attribute");
      if (attributes.size === MAX_ATTRIBUTES) throw this.#refuse("too-large");
      attributes.set(next.name, next);
      attributesEnd = next.end;
    }
    if (!this.#take("/>")) this.#emptyContent(root);
    this.#skipMisc();
    this.#nothingMore();
    return { latin1: this.#text, asciiOnly, attributes, attributesEnd };
  }

  /** Whether the declaration allows nothing but ASCII. */
  #declaration(): boolean {
    if (!/^<\?xml[ \t\r\n?]/.test(this.#text.slice(this.#at, this.#at + 6))) return false;
    DECLARATION.lastIndex = this.#at;
    const match = DECLARATION.exec(this.#text);
    if (match === null) throw this.#refuse(this.#text.includes(">", this.#at) ? "syntax" : "truncated");
    this.#at = DECLARATION.lastIndex;
    const encoding = (match[1] ?? match[2] ?? "utf-8").toLowerCase();
    if (encoding === "utf-8") return false;
    if (encoding !== "us-ascii") throw this.#refuse(WIDE_ENCODING.test(encoding) ? "utf16" : "not-utf8");
    if (BEYOND_ASCII.test(this.#text)) throw this.#refuse("not-utf8");
    return true;
  }

  /** White space, comments and processing instructions. */
  #skipMisc(): void {
    do {
      this.#skipSpace();
    } while (this.#comment() || this.#instruction());
  }

  #comment(): boolean {
    if (!this.#take("<!--")) return false;
    this.#passBy("--");
    this.#expect(">");
    return true;
  }

  #instruction(): boolean {
    if (!this.#take("<?")) return false;
    if (this.#name().toLowerCase() === "xml") throw this.#refuse("syntax");
    if (this.#skipSpace()) this.#passBy("?>");
    else this.#expect("?>");
    return true;
  }

  #rootName(root: string): void {
    this.#refuseDoctype();
    this.#expect("<");
    if (this.#name() !== root) throw this.#refuse("wrong-root");
  }

  /** The next attribute, or undefined before `>` or `/>`. */
  #attribute(): ScannedAttribute | undefined {
    const spaceStart = this.#at;
    const spaced = this.#skipSpace();
    if (this.#here(">") || this.#here("/>")) return undefined;
    if (this.#isCutOff("/>") || !spaced) throw this.#unexpected("/>");
    const name = this.#name();
    this.#skipSpace();
    this.#expect("=");
    this.#skipSpace();
    const quote = this.#here("'") ? "'" : '"';
    this.#expect(quote);
    const valueStart = this.#at;
    const valueEnd = this.#text.indexOf(quote, valueStart);
    if (valueEnd < 0) throw this.#refuse(this.#text.includes("<", valueStart) ? "syntax" : "truncated");
    const value = decodeValue(this.#text.slice(valueStart, valueEnd), this.#path);
    this.#at = valueEnd + 1;
    return { name, value, spaceStart, valueStart, valueEnd, end: this.#at };
  }

  /** From the `>` of the start tag to the end of the end tag. */
  #emptyContent(root: string): void {
    this.#expect(">");
    this.#skipMisc();
    if (this.#isCutOff("</") || this.#isCutOff("<!--")) throw this.#refuse("truncated");
    if (!this.#here("</")) throw this.#refuse("nested-elements");
    this.#expect("</");
    if (this.#name() !== root) throw this.#refuse("syntax");
    this.#skipSpace();
    this.#expect(">");
  }

  #nothingMore(): void {
    if (this.#at === this.#text.length) return;
    this.#refuseDoctype();
    this.#expect("<");
    this.#name();
    throw this.#refuse("several-roots");
  }

  #refuseDoctype(): void {
    if (this.#here("<!DOCTYPE")) throw this.#refuse("doctype");
    if (this.#isCutOff("<!DOCTYPE") || this.#isCutOff("<!--")) throw this.#refuse("truncated");
  }

  #name(): string {
    NAME.lastIndex = this.#at;
    if (!NAME.test(this.#text)) throw this.#unexpected("");
    const name = this.#text.slice(this.#at, NAME.lastIndex);
    this.#at = NAME.lastIndex;
    if (this.#at === this.#text.length) throw this.#refuse("truncated");
    return name;
  }

  /** Whether there was any. */
  #skipSpace(): boolean {
    const before = this.#at;
    SPACE.lastIndex = before;
    SPACE.test(this.#text);
    this.#at = SPACE.lastIndex;
    return this.#at > before;
  }

  #here(literal: string): boolean {
    return this.#text.startsWith(literal, this.#at);
  }

  #take(literal: string): boolean {
    const found = this.#here(literal);
    if (found) this.#at += literal.length;
    return found;
  }

  #expect(literal: string): void {
    if (!this.#take(literal)) throw this.#unexpected(literal);
  }

  #passBy(literal: string): void {
    const found = this.#text.indexOf(literal, this.#at);
    if (found < 0) throw this.#refuse("truncated");
    this.#at = found + literal.length;
  }

  /** Whether the document ends here, inside what could have become the literal. */
  #isCutOff(literal: string): boolean {
    const left = this.#text.length - this.#at;
    return left < literal.length && literal.startsWith(this.#text.slice(this.#at));
  }

  #unexpected(wanted: string): ProblemError {
    const cut = this.#at === this.#text.length || this.#isCutOff(wanted);
    return this.#refuse(cut ? "truncated" : "syntax");
  }

  #refuse(reason: MalformedReason): ProblemError {
    return malformed(this.#path, reason);
  }
}
