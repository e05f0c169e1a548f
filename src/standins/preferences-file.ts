import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { formatPreferences, freshPreferences, type Preferences, parsePreferences } from "./preferences.ts";

/**
 * What the server starts with. A file that is missing or cannot be read: a fresh stub is written at once, with a
 * new identity (PMSD; see `freshPreferences`). Identifiers that are missing are made up.
 */
export function openPreferences(path: string, version: string): Preferences {
  const found = readPreferences(path);
  const fresh = freshPreferences(version);
  if (found === null) {
    writePreferences(path, fresh);
    return fresh;
  }
  for (const [name, value] of fresh) if (!found.has(name)) found.set(name, value);
  return found;
}

/**
 * What the server does at every exit (UCR, SUP-LOCK): it writes what it has in memory, with a value of its own
 * changed. Whether the real one does so in place is UNVERIFIED. In place is the harder case for whoever edits
 * the file: the port is quiet already while the file is first empty, then half written; a reader that came too
 * early sees that, and a backup that is a hard link changes with it. An old file keeps its mode; a new one gets
 * 0600 (public sample).
 */
export async function rewritePreferences(path: string, preferences: Preferences): Promise<void> {
  const ping = Number(preferences.get("PubSubServerPing") ?? 0);
  preferences.set("PubSubServerPing", String(Number.isInteger(ping) ? ping + 1 : 1));
  const bytes = Buffer.from(formatPreferences(preferences));
  try {
    const file = openSync(path, "w", 0o600);
    await sleep(TORN_MS);
    writeSync(file, bytes, 0, bytes.length >> 1);
    await sleep(TORN_MS);
    writeSync(file, bytes, bytes.length >> 1);
    closeSync(file);
  } catch {
    // Not writable for its account: it stops all the same.
  }
}

/** How long the file is empty, and then half written. */
const TORN_MS = 8;

function readPreferences(path: string): Preferences | null {
  try {
    return parsePreferences(readFileSync(path));
  } catch {
    return null;
  }
}

/** A file of another account may be neither readable nor writable (UCR, F-RESET): the server runs all the same. */
function writePreferences(path: string, preferences: Preferences): void {
  try {
    writeFileSync(path, formatPreferences(preferences), { mode: 0o600 });
  } catch {
    // It has its new identity in memory, and will try again when it stops.
  }
}
