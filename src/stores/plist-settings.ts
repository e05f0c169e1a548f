import { Buffer } from "node:buffer";
import { ProblemError } from "../model/problem.ts";
import { Secret } from "../model/secret.ts";
import {
  CREDENTIAL_NAMES,
  type CredentialChange,
  type CredentialName,
  IDENTITY_NAMES,
  type Identity,
  type IdentityName,
  type Settings,
} from "../model/settings.ts";
import { writeBinaryPlist } from "./plist-binary-writer.ts";
import { plistBytes } from "./plist-bytes.ts";
import { type PlistFile, readPlistFile } from "./plist-reader.ts";
import {
  type PlistDictionary,
  type PlistEntry,
  type PlistValue,
  samePlist,
  valueUnder,
} from "./plist-value.ts";
import { untouchable, withCredentials } from "./plist-xml-edit.ts";
import { isCredentialName, wantedCredentials } from "./preferences-xml.ts";
import { identityLost, malformed } from "./refusals.ts";

/**
 * What a server's property list says (domain `com.plexapp.plexmediaserver`). `path` only goes into problems. An empty
 * `FriendlyName`, or one that is no text, counts as none.
 *
 * `PlexOnlineHome` is an integer or a boolean and given as a decimal number, the other three and the identity are
 * strings (UNVERIFIED in a source of Plex; inferred from Windows).
 *
 * Throws `UNEXPECTED_TYPE` for one of those names that is kept in another way (its `type` is a `kind` of `PlistValue`),
 * `SETTINGS_MALFORMED` (`wrong-root`: no dictionary) as `readPlist`, and `IDENTITY_LOST` as `parsePreferences`.
 */
export function parsePlistSettings(bytes: Uint8Array, path: string): Settings {
  return settingsOf(dictionaryOf(readPlistFile(plistBytes(bytes), path), path), path);
}

/**
 * The file after the change, in the format that it has. Pure; `path` only goes into problems.
 *
 * `remove` takes the four out. `replace` gives token, username and mail their new texts where they stand, adds missing
 * ones at the end, and takes `PlexOnlineHome` out: it belonged to the old sign-in, and the server is taken to fetch it
 * from plex.tv again (UNVERIFIED). In an XML file every other byte stays; a binary one is written anew, with all other
 * objects equal and in their order. A second edit of the same kind changes nothing, and `remove` after `replace` gives
 * the same bytes as `remove` alone.
 *
 * Throws as `parsePlistSettings`; `SETTINGS_MALFORMED` (`too-large`) where the result would be; `PLEXTV_NONSENSE` for an
 * empty token or a value that XML 1.0 cannot hold; `INTERNAL` when the result, read again, is not what was asked.
 */
export function editPlist(bytes: Uint8Array, change: CredentialChange, path: string): Uint8Array {
  const before = readPlistFile(plistBytes(bytes), path);
  const root = dictionaryOf(before, path);
  settingsOf(root, path);
  const wanted = wantedCredentials(change);
  const edited =
    before.layout === null
      ? writeBinaryPlist({ kind: "dictionary", entries: editedEntries(root, wanted) })
      : withCredentials(before.bytes, before.layout, wanted);
  if (!isEditOf(before, readPlistFile(plistBytes(edited), path), wanted)) {
    throw new ProblemError({ code: "INTERNAL", detail: "plist-edit" });
  }
  return edited;
}

/**
 * Whether `after` holds the wanted texts and no others of the four, and is `before` in all else: the format, the other
 * entries with their order, and in XML all other bytes. Looks at the result alone.
 */
export function isEditOf(before: PlistFile, after: PlistFile, wanted: ReadonlyMap<string, string>): boolean {
  if (before.root.kind !== "dictionary" || after.root.kind !== "dictionary") return false;
  const fresh = after.root;
  const asWanted = CREDENTIAL_NAMES.every((name) => {
    const value = valueUnder(fresh, name);
    const text = wanted.get(name);
    return text === undefined ? value === undefined : value?.kind === "string" && value.value === text;
  });
  const others = samePlist(withoutFour(before.root), withoutFour(after.root));
  return asWanted && others && before.format === after.format && sameAround(before, after);
}

/**
 * How many entries outside the four are in one of the two files only, or differ; 0 where either cannot be read. A
 * number counts by its value and a dictionary whatever its order, since a Mac's own tools turn one format into the other.
 */
export function differingKeys(one: Uint8Array, other: Uint8Array): number {
  try {
    const [left, right] = [one, other].map((bytes) => {
      const root = dictionaryOf(readPlistFile(plistBytes(bytes), ""), "");
      return new Map(withoutFour(root).entries);
    });
    const keys = new Set([...(left?.keys() ?? []), ...(right?.keys() ?? [])]);
    return [...keys].filter((key) => !sameMeaning(left?.get(key), right?.get(key))).length;
  } catch (error) {
    if (error instanceof ProblemError) return 0;
    throw error;
  }
}

/** Without identifiers and with so few entries or fewer, settings are a stub rather than damaged. */
const STUB_ENTRIES = 8;

function dictionaryOf({ root }: PlistFile, path: string): PlistDictionary {
  if (root.kind !== "dictionary") throw malformed(path, "wrong-root");
  return root;
}

function settingsOf(root: PlistDictionary, path: string): Settings {
  const values = new Map(root.entries);
  const text = (name: CredentialName | IdentityName) => textOf(values.get(name), name, path);
  const [machine, processed, anonymousMachineIdentifier, certificateUUID] = IDENTITY_NAMES.map(text);
  const token = text("PlexOnlineToken");
  const username = text("PlexOnlineUsername");
  const mail = text("PlexOnlineMail");
  const home = homeOf(values.get("PlexOnlineHome"), path);
  const friendlyName = values.get("FriendlyName");
  return {
    credentials: {
      ...(token !== undefined && { token: new Secret(token) }),
      ...(username !== undefined && { username }),
      ...(mail !== undefined && { mail }),
      ...(home !== undefined && { home }),
    },
    identity: {
      ...identifiers(filled(machine), filled(processed), values.size, path),
      ...(anonymousMachineIdentifier !== undefined && { anonymousMachineIdentifier }),
      ...(certificateUUID !== undefined && { certificateUUID }),
    },
    ...(friendlyName?.kind === "string" && friendlyName.value !== "" && { friendlyName: friendlyName.value }),
  };
}

function identifiers(
  machineIdentifier: string | undefined,
  processedMachineIdentifier: string | undefined,
  entries: number,
  path: string,
): Pick<Identity, "machineIdentifier" | "processedMachineIdentifier"> {
  if (machineIdentifier === undefined || processedMachineIdentifier === undefined) {
    const neither = machineIdentifier === processedMachineIdentifier;
    throw identityLost(path, neither && entries <= STUB_ENTRIES ? "stub" : "identifiers-missing");
  }
  return { machineIdentifier, processedMachineIdentifier };
}

function filled(text: string | undefined): string | undefined {
  return text?.trim() === "" ? undefined : text;
}

function textOf(value: PlistValue | undefined, name: string, path: string): string | undefined {
  if (value === undefined || value.kind === "string") return value?.value;
  throw unexpected(value, name, path);
}

function homeOf(value: PlistValue | undefined, path: string): string | undefined {
  if (value === undefined) return undefined;
  if (value.kind === "integer") return value.value.toString();
  if (value.kind === "boolean") return value.value ? "1" : "0";
  throw unexpected(value, "PlexOnlineHome", path);
}

function unexpected(value: PlistValue, name: string, path: string): ProblemError {
  return new ProblemError({ code: "UNEXPECTED_TYPE", path, name, type: value.kind });
}

function editedEntries(root: PlistDictionary, wanted: ReadonlyMap<string, string>): PlistEntry[] {
  const entry = (name: string, value: string): PlistEntry => [name, { kind: "string", value }];
  const kept = root.entries.flatMap((old) => {
    const [name] = old;
    if (!isCredentialName(name)) return [old];
    const value = wanted.get(name);
    return value === undefined ? [] : [entry(name, value)];
  });
  const present = new Set(kept.map(([name]) => name));
  const missing = [...wanted].filter(([name]) => !present.has(name));
  return [...kept, ...missing.map(([name, value]) => entry(name, value))];
}

function withoutFour({ entries }: PlistDictionary): PlistDictionary {
  return { kind: "dictionary", entries: entries.filter(([name]) => !isCredentialName(name)) };
}

/** Where bytes are kept around the entries. */
function sameAround(before: PlistFile, after: PlistFile): boolean {
  if (before.layout === null || after.layout === null) return before.layout === after.layout;
  const old = untouchable(before.bytes, before.layout);
  return Buffer.compare(old, untouchable(after.bytes, after.layout)) === 0;
}

function sameMeaning(one: PlistValue | undefined, other: PlistValue | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return samePlist(one, other, { anyOrder: true, anySpelling: true });
}
