import { Buffer } from "node:buffer";
import { joined, type PlistBytes } from "./plist-bytes.ts";
import type { DictionaryLayout, EntryPlace } from "./plist-xml-reader.ts";
import { isSpace, type Span } from "./plist-xml-scan.ts";
import { textForXml } from "./plist-xml-text.ts";
import { isCredentialName } from "./preferences-xml.ts";

/**
 * The document with the wanted ones of the four and no others; every other byte is as it was.
 *
 * What goes, goes with the white space right before its key and right before its value, and a comment between the two
 * stays. A value that is replaced keeps its place and its tags. New keys come after all that stands in the dictionary,
 * spaced as its last entry is, so that taking them out again leaves no trace.
 */
export function withCredentials(
  bytes: PlistBytes,
  layout: DictionaryLayout,
  wanted: ReadonlyMap<string, string>,
): Uint8Array {
  const parts: Uint8Array[] = [];
  let done = 0;
  const putInstead = (span: Span, text: string) => {
    parts.push(bytes.piece(done, span.start), utf8(text));
    done = span.end;
  };
  for (const entry of layout.entries) {
    if (!isCredentialName(entry.key)) continue;
    const value = wanted.get(entry.key);
    if (value === undefined) {
      for (const element of [entry.keyElement, entry.valueElement]) putInstead(withSpace(bytes, element), "");
    } else if (entry.text === null) {
      putInstead(entry.valueElement, `<string>${textForXml(value)}</string>`);
    } else putInstead(entry.text, textForXml(value));
  }
  const at = spaceStart(bytes, layout.close);
  putInstead({ start: at, end: at }, added(bytes, layout, wanted));
  parts.push(bytes.piece(done, bytes.length));
  return joined(parts);
}

/** The document without the four and the white space before them, for telling whether anything else was touched. */
export function untouchable(bytes: PlistBytes, layout: DictionaryLayout): Uint8Array {
  const gone = layout.entries
    .filter(({ key }) => isCredentialName(key))
    .flatMap(({ keyElement, valueElement }) => [keyElement, valueElement])
    .map((element) => withSpace(bytes, element));
  const starts = [0, ...gone.map(({ end }) => end)];
  return joined(starts.map((start, index) => bytes.piece(start, gone[index]?.start ?? bytes.length)));
}

function added(bytes: PlistBytes, layout: DictionaryLayout, wanted: ReadonlyMap<string, string>): string {
  const last = layout.entries.at(-1);
  if (last === undefined) return "";
  const [beforeKey, beforeValue] = spacesOf(bytes, last);
  const present = new Set(layout.entries.map(({ key }) => key));
  return [...wanted]
    .filter(([name]) => !present.has(name))
    .map(
      ([name, value]) => `${beforeKey}<key>${name}</key>${beforeValue}<string>${textForXml(value)}</string>`,
    )
    .join("");
}

function spacesOf(bytes: PlistBytes, { keyElement, valueElement }: EntryPlace): string[] {
  return [keyElement, valueElement].map(({ start }) =>
    bytes.piece(spaceStart(bytes, start), start).toString("latin1"),
  );
}

function withSpace(bytes: PlistBytes, { start, end }: Span): Span {
  return { start: spaceStart(bytes, start), end };
}

/** Where the white space that ends at `end` begins. */
function spaceStart(bytes: PlistBytes, end: number): number {
  let start = end;
  while (isSpace(bytes.at(start - 1))) start -= 1;
  return start;
}

function utf8(text: string): Uint8Array {
  const bytes = Buffer.alloc(Buffer.byteLength(text, "utf8"));
  bytes.write(text, "utf8");
  return bytes;
}
