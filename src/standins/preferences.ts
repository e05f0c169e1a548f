import { createHash, randomUUID } from "node:crypto";
import { escapeXml, unescapeXml, XML_HEADER } from "./markup.ts";

/** Names and values in the order of the file. */
export type Preferences = Map<string, string>;

/**
 * Reads a `Preferences.xml` generously: either quote, any white space, comments around. Null for what no XML
 * reader would take: no root or another one, no end, the same attribute twice, bytes that are not UTF-8.
 */
export function parsePreferences(bytes: Uint8Array): Preferences | null {
  const text = decode(bytes);
  if (text === null) return null;
  const start = /^\uFEFF?\s*(?:<\?[\s\S]*?\?>\s*)?(?:<!--[\s\S]*?-->\s*)*<Preferences(?=[\s/>])/.exec(text);
  if (start === null) return null;
  const values: Preferences = new Map();
  const attribute = /\s+([A-Za-z_][\w.:-]*)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y;
  attribute.lastIndex = start[0].length;
  let end = attribute.lastIndex;
  for (let found = attribute.exec(text); found !== null; found = attribute.exec(text)) {
    const [, name = "", inDouble, inSingle] = found;
    if (values.has(name)) return null;
    values.set(name, unescapeXml((inDouble ?? inSingle ?? "").replace(/\r\n|[\t\n\r]/g, " ")));
    end = attribute.lastIndex;
  }
  const rest = text.slice(end);
  return /^\s*(?:\/>|>\s*<\/Preferences\s*>)\s*(?:<!--[\s\S]*?-->\s*)*$/.test(rest) ? values : null;
}

/** Two lines, one self-closing element, double quotes (public samples, PMS 1.28 and 1.40). */
export function formatPreferences(values: Preferences): string {
  const attributes = [...values].map(([name, value]) => ` ${name}="${escapeXml(value)}"`);
  return `${XML_HEADER}<Preferences${attributes.join("")}/>\n`;
}

/**
 * What a server without settings makes of itself: a stub with a *new identity* (PMSD "Creating pref shell",
 * public sample). That it does so for a file it cannot read, too, is UNVERIFIED.
 */
export function freshPreferences(version: string): Preferences {
  const machineIdentifier = randomUUID();
  const salted = `${machineIdentifier}- Plex Media Server`;
  return new Map([
    ["OldestPreviousVersion", version],
    ["MachineIdentifier", machineIdentifier],
    ["ProcessedMachineIdentifier", createHash("sha1").update(salted).digest("hex")],
    ["AnonymousMachineIdentifier", randomUUID()],
    ["MetricsEpoch", "1"],
    ["GlobalMusicVideoPathMigrated", "1"],
  ]);
}

function decode(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
