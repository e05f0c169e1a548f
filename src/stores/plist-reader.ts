import { BINARY_HEADER } from "./plist-binary-layout.ts";
import { readBinaryPlist } from "./plist-binary-reader.ts";
import { type PlistBytes, plistBytes } from "./plist-bytes.ts";
import { MAX_PLIST_BYTES, type Plist } from "./plist-value.ts";
import { type DictionaryLayout, readXmlPlist } from "./plist-xml-reader.ts";
import { isSpace } from "./plist-xml-scan.ts";
import { identityLost, malformed } from "./refusals.ts";

/** A property list with its bytes, and where the entries of an XML one stand. */
export interface PlistFile extends Plist {
  readonly bytes: PlistBytes;
  readonly layout: DictionaryLayout | null;
}

/**
 * Reads a property list, binary or XML, strictly; `path` only goes into problems. Throws `SETTINGS_MALFORMED` as the
 * readers of the two formats do (`wrong-root` for other kinds of property lists, `too-large` beyond `MAX_PLIST_BYTES`),
 * and `IDENTITY_LOST` (`empty`) for nothing, white space, or only NULs, as a power cut can leave a file.
 */
export function readPlist(bytes: Uint8Array, path: string): Plist {
  const { format, root } = readPlistFile(plistBytes(bytes), path);
  return { format, root };
}

/** The same, for one who is going to edit it, or who counts how often a byte is looked at. */
export function readPlistFile(bytes: PlistBytes, path: string): PlistFile {
  if (bytes.length > MAX_PLIST_BYTES) throw malformed(path, "too-large");
  if (isNothing(bytes)) throw identityLost(path, "empty");
  if (startsWith(bytes, BINARY_HEADER)) {
    return { format: "binary", root: readBinaryPlist(bytes, path), bytes, layout: null };
  }
  // Another version of the binary format, JSON, or a property list of the old kind.
  const first = bytes.at(bodyStart(bytes));
  const wide = bytes.at(0) >= 0xfe || bytes.at(0) === 0 || bytes.at(1) === 0;
  if (first !== 0x3c && !wide) throw malformed(path, "wrong-root");
  return { format: "xml", ...readXmlPlist(bytes, path), bytes };
}

function isNothing(bytes: PlistBytes): boolean {
  if (bytes.at(0) !== 0) return bodyStart(bytes) === bytes.length;
  let at = 0;
  while (bytes.at(at) === 0) at += 1;
  return at === bytes.length;
}

/** After a UTF-8 mark and white space. */
function bodyStart(bytes: PlistBytes): number {
  let at = startsWith(bytes, "\xef\xbb\xbf") ? 3 : 0;
  while (isSpace(bytes.at(at))) at += 1;
  return at;
}

function startsWith(bytes: PlistBytes, text: string): boolean {
  return bytes.piece(0, text.length).toString("latin1") === text;
}
