import type { MalformedReason, ProblemError } from "../model/problem.ts";
import type { PlistBytes } from "./plist-bytes.ts";
import { malformed } from "./refusals.ts";

/** From the first byte to after the last. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** `<name>`, `<name/>` or `</name>`. */
export interface Tag extends Span {
  readonly kind: "open" | "empty" | "close";
  readonly name: string;
}

/** A piece of an element's text: as it stands, or inside of a CDATA section. */
export interface TextPiece extends Span {
  readonly literal: boolean;
}

/**
 * The tags and texts of an XML document, one after the other. Every byte is looked at a fixed number of times.
 * Whoever calls sees to it that the bytes are UTF-8 and characters of XML 1.0.
 *
 * No element but `plist` has attributes, and that only `version="1.0"`. Throws `SETTINGS_MALFORMED`: `doctype`,
 * `truncated`, `syntax`.
 */
export class PlistXmlScanner {
  readonly #bytes: PlistBytes;
  readonly #path: string;
  #at = 0;

  constructor(bytes: PlistBytes, path: string) {
    this.#bytes = bytes;
    this.#path = path;
  }

  /** A UTF-8 mark, an XML declaration, comments, instructions, and no doctype but Apple's. */
  prolog(): void {
    this.#take("\xef\xbb\xbf");
    if (this.#here("<?xml") && isSpace(this.#bytes.at(this.#at + 5))) this.#declaration();
    this.#skipMisc();
    if (!this.#here("<!DOCTYPE")) return;
    const { start, end } = this.#upTo(">");
    const doctype = this.#bytes.piece(start, end).toString("latin1");
    // An internal subset may hold a `>` of its own, and is refused whatever follows.
    if (!DOCTYPE.test(doctype)) throw this.refuse("doctype");
    this.#skipMisc();
  }

  /** The next tag, after white space, comments and instructions; text is refused. */
  tag(): Tag {
    this.#skipMisc();
    const start = this.#at;
    if (this.#here("<!DOCTYPE")) throw this.refuse("doctype");
    this.#expect("<");
    const closing = this.#take("/");
    const name = this.#name();
    if (!closing && name === "plist") this.#version();
    this.#skipSpace();
    const empty = !closing && this.#take("/");
    this.#expect(">");
    return { kind: closing ? "close" : empty ? "empty" : "open", name, start, end: this.#at };
  }

  /** The text up to the end tag of this name, which is taken too. References stay as they are. */
  text(name: string): { readonly pieces: readonly TextPiece[]; readonly inside: Span; readonly end: number } {
    const start = this.#at;
    const pieces: TextPiece[] = [];
    for (;;) {
      const from = this.#at;
      this.#at = this.#next("<");
      if (this.#at > from) pieces.push({ start: from, end: this.#at, literal: false });
      if (!this.#take("<![CDATA[")) break;
      const literal = { start: this.#at, end: this.#next("]]>"), literal: true };
      pieces.push(literal);
      this.#at = literal.end + 3;
    }
    const inside = { start, end: this.#at };
    this.#expect("</");
    if (this.#name() !== name) throw this.refuse("syntax");
    this.#skipSpace();
    this.#expect(">");
    return { pieces, inside, end: this.#at };
  }

  /** Nothing but white space, comments and instructions may follow. */
  end(): void {
    this.#skipMisc();
    if (this.#at < this.#bytes.length) throw this.#unexpected("<!--");
  }

  refuse(reason: MalformedReason): ProblemError {
    return malformed(this.#path, reason);
  }

  #declaration(): void {
    const { start, end } = this.#upTo("?>");
    const match = DECLARATION.exec(this.#bytes.piece(start, end).toString("latin1"));
    if (match === null) throw this.refuse("syntax");
    const encoding = match[2]?.toLowerCase() ?? "utf-8";
    if (encoding !== "utf-8") throw this.refuse(WIDE_ENCODING.test(encoding) ? "utf16" : "not-utf8");
  }

  #skipMisc(): void {
    do {
      this.#skipSpace();
    } while (this.#comment() || this.#instruction());
  }

  #comment(): boolean {
    if (!this.#take("<!--")) return false;
    this.#at = this.#next("--") + 2;
    this.#expect(">");
    return true;
  }

  #instruction(): boolean {
    if (!this.#here("<?")) return false;
    const { start, end } = this.#upTo("?>");
    const head = this.#bytes.piece(start, Math.min(end, start + MAX_TARGET)).toString("latin1");
    const target = TARGET.exec(head)?.[1];
    if (target === undefined || target.toLowerCase() === "xml") throw this.refuse("syntax");
    return true;
  }

  #version(): void {
    if (!isSpace(this.#bytes.at(this.#at))) return;
    this.#skipSpace();
    if (!this.#take("version")) return;
    this.#skipSpace();
    this.#expect("=");
    this.#skipSpace();
    const quote = this.#here("'") ? "'" : '"';
    this.#expect(`${quote}1.0${quote}`);
  }

  #name(): string {
    const start = this.#at;
    while (isLetter(this.#bytes.at(this.#at)) && this.#at - start < MAX_NAME) this.#at += 1;
    if (this.#at === this.#bytes.length) throw this.refuse("truncated");
    if (this.#at === start) throw this.refuse("syntax");
    return this.#bytes.piece(start, this.#at).toString("latin1");
  }

  #skipSpace(): void {
    while (isSpace(this.#bytes.at(this.#at))) this.#at += 1;
  }

  /** From here to after the text, which becomes the place. */
  #upTo(text: string): Span {
    const start = this.#at;
    this.#at = this.#next(text) + text.length;
    return { start, end: this.#at };
  }

  #next(text: string): number {
    const found = this.#bytes.find(text, this.#at);
    if (found < 0) throw this.refuse("truncated");
    return found;
  }

  #here(text: string): boolean {
    for (let index = 0; index < text.length; index += 1) {
      if (this.#bytes.at(this.#at + index) !== text.charCodeAt(index)) return false;
    }
    return true;
  }

  #take(text: string): boolean {
    const found = this.#here(text);
    if (found) this.#at += text.length;
    return found;
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw this.#unexpected(text);
  }

  /** `truncated` where the document ends here, inside what could have become the text. */
  #unexpected(text: string): ProblemError {
    const left = this.#bytes.length - this.#at;
    const cut = left < text.length && this.#here(text.slice(0, left));
    return this.refuse(cut ? "truncated" : "syntax");
  }
}

/** White space of XML. */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

/** Longer than any name that is known here. */
const MAX_NAME = 16;

/** So much of an instruction is looked at. */
const MAX_TARGET = 64;

const TARGET = /^<\?([A-Za-z_][A-Za-z0-9_.-]*)[ \t\r\n?]/;

const DECLARATION =
  /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(["'])1\.0\1(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*["']([A-Za-z][\w.-]*)["'])?(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>$/;
const WIDE_ENCODING = /^(?:utf-?16|utf-?32|ucs|iso-10646-ucs)/;

/** As Apple's own programs have written it over the years, in any spelling of the white space. */
const DOCTYPE =
  /^<!DOCTYPE[ \t\r\n]+plist[ \t\r\n]+(?:PUBLIC[ \t\r\n]+"-\/\/Apple(?: Computer)?\/\/DTD PLIST 1\.0\/\/EN"|SYSTEM)[ \t\r\n]+"(?:https?:\/\/www\.apple\.com\/DTDs\/PropertyList-1\.0\.dtd|file:\/\/localhost\/System\/Library\/DTDs\/PropertyList\.dtd)"[ \t\r\n]*>$/;

function isLetter(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a);
}
