import { Buffer } from "node:buffer";
import { joined } from "./plist-bytes.ts";
import { numberOfReal, type PlistReal, type PlistValue } from "./plist-value.ts";
import { dateOfSeconds } from "./plist-xml-date.ts";
import { textForXml } from "./plist-xml-text.ts";
import { malformed } from "./refusals.ts";
import { isXmlText } from "./xml-value.ts";

/**
 * The XML property list of a value, laid out as Apple's writer does: a tab for each level of containers. Reals and
 * dates keep the spelling they have. The width of a number and the payload of a NaN are not said in XML. No recursion.
 *
 * Throws `SETTINGS_MALFORMED` (`syntax`, with an empty path) for what XML cannot hold: texts with other control
 * characters or half a surrogate pair, dates with fractions or outside of the years 1 to 9999, and a dictionary that
 * would be read as a UID.
 */
export function writeXmlPlist(root: PlistValue): Uint8Array {
  const lines: string[] = [];
  const waiting: Waiting[] = [{ value: root, depth: 0 }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const indent = "\t".repeat(next.depth);
    if ("line" in next) lines.push(indent + next.line);
    else lines.push(...opened(next.value, next.depth, waiting).map((line) => indent + line));
  }
  const text = `${HEAD}${lines.join("\n")}\n</plist>\n`;
  return joined([Buffer.from(text, "utf8")]);
}

const HEAD = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
`;

type Waiting =
  | { readonly value: PlistValue; readonly depth: number }
  | { readonly line: string; readonly depth: number };

/** The lines of a leaf, or the first line of a container, whose contents are put in line. */
function opened(value: PlistValue, depth: number, waiting: Waiting[]): string[] {
  switch (value.kind) {
    case "array":
      if (value.items.length === 0) return ["<array/>"];
      waiting.push({ line: "</array>", depth });
      for (const item of value.items.toReversed()) waiting.push({ value: item, depth: depth + 1 });
      return ["<array>"];
    case "dictionary": {
      const [first] = value.entries;
      if (first === undefined) return ["<dict/>"];
      const looksLikeUid = value.entries.length === 1 && first[0] === "CF$UID" && first[1].kind === "integer";
      if (looksLikeUid) throw cannotHold();
      waiting.push({ line: "</dict>", depth });
      for (const [key, item] of value.entries.toReversed()) {
        waiting.push(
          { value: item, depth: depth + 1 },
          { line: `<key>${textOf(key)}</key>`, depth: depth + 1 },
        );
      }
      return ["<dict>"];
    }
    case "uid":
      return ["<dict>", "\t<key>CF$UID</key>", `\t<integer>${value.value}</integer>`, "</dict>"];
    default:
      return [leaf(value)];
  }
}

function leaf(value: Exclude<PlistValue, { readonly kind: "array" | "dictionary" | "uid" }>): string {
  switch (value.kind) {
    case "string":
      return `<string>${textOf(value.value)}</string>`;
    case "integer":
      return `<integer>${value.value}</integer>`;
    case "real":
      return `<real>${value.text ?? spelled(value)}</real>`;
    case "date": {
      const text = value.text ?? dateOfSeconds(value.seconds);
      if (text === undefined) throw cannotHold();
      return `<date>${text}</date>`;
    }
    case "data":
      return `<data>${Buffer.from(value.bytes).toString("base64")}</data>`;
    case "boolean":
      return value.value ? "<true/>" : "<false/>";
  }
}

function textOf(text: string): string {
  if (!isXmlText(text)) throw cannotHold();
  return textForXml(text);
}

/** As Apple spells what is no number; the shortest decimal that means the same otherwise. */
function spelled(real: PlistReal): string {
  const value = numberOfReal(real);
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "+infinity" : "-infinity";
  return Object.is(value, -0) ? "-0" : String(value);
}

function cannotHold(): Error {
  return malformed("", "syntax");
}
