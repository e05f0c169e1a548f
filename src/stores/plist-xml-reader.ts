import type { ProblemError } from "../model/problem.ts";
import type { PlistBytes } from "./plist-bytes.ts";
import { MAX_PLIST_DEPTH, MAX_PLIST_VALUES, type PlistEntry, type PlistValue } from "./plist-value.ts";
import { isLeafName, leafOfText } from "./plist-xml-leaves.ts";
import { PlistXmlScanner, type Span, type Tag } from "./plist-xml-scan.ts";
import { checkXmlCharacters, meaningOfText } from "./plist-xml-text.ts";
import { malformed } from "./refusals.ts";

/** A document, and where the entries of its dictionary stand in it. */
export interface XmlPlist {
  readonly root: PlistValue;
  /** Null where the root is no dictionary or `<dict/>`. */
  readonly layout: DictionaryLayout | null;
}

export interface DictionaryLayout {
  readonly entries: readonly EntryPlace[];
  /** Of the `<` of `</dict>`. */
  readonly close: number;
}

export interface EntryPlace {
  readonly key: string;
  readonly keyElement: Span;
  readonly valueElement: Span;
  /** Between the tags of a string; null for `<string/>` and for all other values. */
  readonly text: Span | null;
}

/**
 * Reads an XML property list: `plist` with one value in it, in UTF-8, with Apple's document type or none; no entities
 * but the five of XML and those by number. Comments and instructions may stand between elements, not in texts, where
 * Apple's reader does not expect them. A dictionary with the one key `CF$UID` and an integer is a UID, as Apple's
 * reader has it (CFPropertyList.c, parseDictTag). No recursion.
 *
 * Throws `SETTINGS_MALFORMED`: `wrong-root` for another document, for JSON and for a property list of the old kind;
 * `several-roots`, `utf16`, `not-utf8`, `doctype`, `duplicate-value` (a key that comes twice), `too-large` (more than
 * `MAX_PLIST_VALUES` values, `MAX_PLIST_DEPTH` levels), `truncated`, `syntax`.
 */
export function readXmlPlist(bytes: PlistBytes, path: string): XmlPlist {
  checkXmlCharacters(bytes, path);
  return new XmlReader(bytes, path).document();
}

/** An element that was read, and the inside of a string. */
interface Element {
  readonly value: PlistValue;
  readonly span: Span;
  readonly text: Span | null;
}

interface OpenArray {
  readonly kind: "array";
  readonly start: number;
  readonly items: PlistValue[];
}

interface OpenDictionary {
  readonly kind: "dictionary";
  readonly start: number;
  readonly entries: Map<string, PlistValue>;
  /** Only of the root. */
  readonly places: EntryPlace[] | null;
  pending: { readonly key: string; readonly element: Span } | null;
}

type Open = OpenArray | OpenDictionary;

class XmlReader {
  readonly #bytes: PlistBytes;
  readonly #path: string;
  readonly #scanner: PlistXmlScanner;
  readonly #open: Open[] = [];
  #values = 0;
  #layout: DictionaryLayout | null = null;

  constructor(bytes: PlistBytes, path: string) {
    this.#bytes = bytes;
    this.#path = path;
    this.#scanner = new PlistXmlScanner(bytes, path);
  }

  document(): XmlPlist {
    this.#scanner.prolog();
    const plist = this.#scanner.tag();
    if (plist.name !== "plist" || plist.kind === "close") throw malformed(this.#path, "wrong-root");
    if (plist.kind === "empty") throw this.#syntax();
    const root = this.#root();
    const end = this.#scanner.tag();
    if (end.kind !== "close") throw malformed(this.#path, "several-roots");
    if (end.name !== "plist") throw this.#syntax();
    this.#scanner.end();
    return { root, layout: root.kind === "dictionary" ? this.#layout : null };
  }

  #root(): PlistValue {
    for (;;) {
      const element = this.#step(this.#scanner.tag());
      const frame = this.#open.at(-1);
      if (element === undefined) continue;
      if (frame === undefined) return element.value;
      this.#put(frame, element);
    }
  }

  /** An element that is complete with this tag, if any. */
  #step(tag: Tag): Element | undefined {
    if (tag.kind === "close") return this.#finish(tag);
    if (tag.name === "key") return this.#key(tag);
    const frame = this.#open.at(-1);
    if (frame?.kind === "dictionary" && frame.pending === null) throw this.#syntax();
    this.#values += 1;
    if (this.#values > MAX_PLIST_VALUES) throw malformed(this.#path, "too-large");
    if (tag.name === "dict" || tag.name === "array") return this.#container(tag);
    return this.#leaf(tag);
  }

  #key(tag: Tag): undefined {
    const frame = this.#open.at(-1);
    if (frame?.kind !== "dictionary" || frame.pending !== null) throw this.#syntax();
    const { text, end } = this.#text(tag);
    if (frame.entries.has(text)) throw malformed(this.#path, "duplicate-value");
    frame.pending = { key: text, element: { start: tag.start, end } };
  }

  #container(tag: Tag): Element | undefined {
    if (this.#open.length === MAX_PLIST_DEPTH) throw malformed(this.#path, "too-large");
    if (tag.kind === "empty") {
      const value: PlistValue =
        tag.name === "array" ? { kind: "array", items: [] } : { kind: "dictionary", entries: [] };
      return { value, span: tag, text: null };
    }
    const places = this.#open.length === 0 ? [] : null;
    this.#open.push(
      tag.name === "array"
        ? { kind: "array", start: tag.start, items: [] }
        : { kind: "dictionary", start: tag.start, entries: new Map(), places, pending: null },
    );
    return undefined;
  }

  #finish(tag: Tag): Element {
    const frame = this.#open.pop();
    if (frame === undefined || tag.name !== (frame.kind === "array" ? "array" : "dict")) throw this.#syntax();
    const span = { start: frame.start, end: tag.end };
    if (frame.kind === "array") return { value: { kind: "array", items: frame.items }, span, text: null };
    if (frame.pending !== null) throw this.#syntax();
    if (frame.places !== null) this.#layout = { entries: frame.places, close: tag.start };
    return { value: this.#dictionaryOrUid([...frame.entries]), span, text: null };
  }

  #dictionaryOrUid(entries: PlistEntry[]): PlistValue {
    const [key, value] = entries[0] ?? [];
    if (entries.length !== 1 || key !== "CF$UID" || value?.kind !== "integer") {
      return { kind: "dictionary", entries };
    }
    if (value.value < 0n || value.value >= 2n ** 32n) throw this.#syntax();
    return { kind: "uid", value: value.value };
  }

  #put(frame: Open, { value, span, text }: Element): void {
    if (frame.kind === "array") {
      frame.items.push(value);
      return;
    }
    if (frame.pending === null) throw this.#syntax();
    const { key, element } = frame.pending;
    frame.entries.set(key, value);
    frame.places?.push({ key, keyElement: element, valueElement: span, text });
    frame.pending = null;
  }

  #leaf(tag: Tag): Element {
    if (tag.name === "true" || tag.name === "false") {
      const { text, end } = this.#text(tag);
      if (text !== "") throw this.#syntax();
      const value = { kind: "boolean", value: tag.name === "true" } as const;
      return { value, span: { start: tag.start, end }, text: null };
    }
    if (tag.name !== "string" && !isLeafName(tag.name)) throw this.#syntax();
    const { text, raw, inside, end } = this.#text(tag);
    const span = { start: tag.start, end };
    if (!isLeafName(tag.name)) return { value: { kind: "string", value: text }, span, text: inside };
    // A reference or a CDATA section in a number is nobody's spelling.
    const value = raw === text ? leafOfText(tag.name, text) : undefined;
    if (value === undefined) throw this.#syntax();
    return { value, span, text: null };
  }

  /** What the element says, how it is spelled, and where. */
  #text(tag: Tag): { text: string; raw: string; inside: Span | null; end: number } {
    if (tag.kind === "empty") return { text: "", raw: "", inside: null, end: tag.end };
    const { pieces, inside, end } = this.#scanner.text(tag.name);
    const text = meaningOfText(this.#bytes, pieces, this.#path);
    const raw = this.#bytes.piece(inside.start, inside.end).toString("utf8");
    return { text, raw, inside, end };
  }

  #syntax(): ProblemError {
    return malformed(this.#path, "syntax");
  }
}
