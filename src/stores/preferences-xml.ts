import { ProblemError } from "../model/problem.ts";
import { Secret } from "../model/secret.ts";
import {
  CREDENTIAL_NAMES,
  type CredentialChange,
  type CredentialName,
  type Identity,
  type Settings,
} from "../model/settings.ts";
import { identityLost } from "./refusals.ts";
import { bytesOfLatin1 } from "./xml-bytes.ts";
import { scanXml, type XmlScan } from "./xml-scan.ts";
import { encodeValue, isXmlText } from "./xml-value.ts";

/** The one element of a `Preferences.xml`; all settings are its attributes. */
export const PREFERENCES_ROOT = "Preferences";

/**
 * Reads a `Preferences.xml`. `path` only goes into problems. An empty `FriendlyName` counts as none.
 *
 * Throws `SETTINGS_MALFORMED`, or `IDENTITY_LOST`: `empty` (no bytes, white space, NULs), `stub` (neither
 * identifier and hardly anything else, such as the `<Preferences/>` that a container's first run writes),
 * `identifiers-missing` (one of `MachineIdentifier` and `ProcessedMachineIdentifier` absent or blank). A stub
 * in which the server has already written new identifiers looks like any young server and is not noticed.
 */
export function parsePreferences(bytes: Uint8Array, path: string): Settings {
  const scan = scanXml(bytes, PREFERENCES_ROOT, path);
  const identity = identityOf(scan, path);
  const [token, username, mail, home] = CREDENTIAL_NAMES.map((name) => valueAt(scan, name));
  const friendlyName = valueAt(scan, "FriendlyName");
  return {
    credentials: {
      ...(token !== undefined && { token: new Secret(token) }),
      ...(username !== undefined && { username }),
      ...(mail !== undefined && { mail }),
      ...(home !== undefined && { home }),
    },
    identity,
    ...(friendlyName && { friendlyName }),
  };
}

/**
 * The file after the change, every byte outside the four attributes as it was. Pure; `path` only goes into
 * problems.
 *
 * `remove` cuts each of the four with all the white space before it (so an attribute on a line of its own
 * goes with its line); what follows stays, so the others keep the white space before them. `replace` puts the
 * new values between the quotes that stand there, adds missing ones with one space before and double quotes
 * after the last attribute, and cuts `PlexOnlineHome`: it belonged to the old sign-in, and the server is
 * taken to fetch it from plex.tv again (UNVERIFIED). A second `remove` changes nothing, and `remove` after
 * `replace` gives the same bytes as `remove` alone.
 *
 * Throws as `parsePreferences`; `PLEXTV_NONSENSE` for an empty token or a value that XML 1.0 cannot hold;
 * `INTERNAL` when the result, read again, is not what was asked.
 */
export function editPreferences(bytes: Uint8Array, change: CredentialChange, path = ""): Uint8Array {
  const before = scanXml(bytes, PREFERENCES_ROOT, path);
  identityOf(before, path);
  const wanted = wantedCredentials(change);
  const edited = bytesOfLatin1(withCredentials(before, wanted));
  const after = scanXml(edited, PREFERENCES_ROOT, path);
  if (!isEditOf(before, after, wanted)) {
    throw new ProblemError({ code: "INTERNAL", detail: "preferences-edit" });
  }
  return edited;
}

/**
 * All attributes but the four, decoded, in the order of the file: for telling how two files differ. Needs no
 * identity. Throws `SETTINGS_MALFORMED`, or `IDENTITY_LOST` (`empty`).
 */
export function otherAttributes(bytes: Uint8Array, path = ""): ReadonlyMap<string, string> {
  const { attributes } = scanXml(bytes, PREFERENCES_ROOT, path);
  const others = [...attributes.values()].filter(({ name }) => !isCredentialName(name));
  return new Map(others.map(({ name, value }) => [name, value]));
}

/** How many attributes outside the four differ between two files; 0 where either cannot be read. */
export function differingAttributes(one: Uint8Array, other: Uint8Array): number {
  try {
    const [left, right] = [otherAttributes(one), otherAttributes(other)];
    const names = new Set([...left.keys(), ...right.keys()]);
    return [...names].filter((name) => left.get(name) !== right.get(name)).length;
  } catch (error) {
    if (error instanceof ProblemError) return 0;
    throw error;
  }
}

/** The four values as the change wants them; a name that is absent here is to be absent from the settings. */
export function wantedCredentials(change: CredentialChange): ReadonlyMap<string, string> {
  if (change.kind === "remove") return NONE;
  const { token, username, mail } = change.credentials;
  const wanted = new Map<CredentialName, string>([
    ["PlexOnlineToken", token.reveal()],
    ["PlexOnlineUsername", username],
    ["PlexOnlineMail", mail],
  ]);
  if (token.reveal() === "" || ![...wanted.values()].every(isXmlText)) {
    throw new ProblemError({ code: "PLEXTV_NONSENSE", status: 200 });
  }
  return wanted;
}

/**
 * Whether `after` holds the wanted values and no others of the four, and is `before` byte for byte in all
 * else: what stands before the attributes, each other attribute with the white space before it, and the rest.
 */
export function isEditOf(before: XmlScan, after: XmlScan, wanted: ReadonlyMap<string, string>): boolean {
  const old = untouchable(before);
  const fresh = untouchable(after);
  return (
    CREDENTIAL_NAMES.every((name) => valueAt(after, name) === wanted.get(name)) &&
    old.length === fresh.length &&
    old.every((piece, index) => piece === fresh[index])
  );
}

export function isCredentialName(name: string): boolean {
  return CREDENTIALS.has(name);
}

/** Without identifiers and with so few attributes or fewer, settings are a stub rather than damaged. */
const STUB_ATTRIBUTES = 8;

const NONE: ReadonlyMap<string, string> = new Map();
const CREDENTIALS: ReadonlySet<string> = new Set(CREDENTIAL_NAMES);

function withCredentials(scan: XmlScan, wanted: ReadonlyMap<string, string>): string {
  const { latin1, attributes, attributesEnd, asciiOnly } = scan;
  const pieces: string[] = [];
  let done = 0;
  for (const attribute of attributes.values()) {
    if (!isCredentialName(attribute.name)) continue;
    const value = wanted.get(attribute.name);
    if (value === undefined) {
      pieces.push(latin1.slice(done, attribute.spaceStart));
      done = attribute.end;
    } else {
      pieces.push(latin1.slice(done, attribute.valueStart), encodeValue(value, asciiOnly));
      done = attribute.valueEnd;
    }
  }
  pieces.push(latin1.slice(done, attributesEnd));
  for (const [name, value] of wanted) {
    if (!attributes.has(name)) pieces.push(` ${name}="${encodeValue(value, asciiOnly)}"`);
  }
  pieces.push(latin1.slice(attributesEnd));
  return pieces.join("");
}

/** The pieces of the document that no edit may change; found apart from how the edit is made. */
function untouchable({ latin1, attributes, attributesEnd }: XmlScan): string[] {
  const all = [...attributes.values()];
  const others = all.filter(({ name }) => !isCredentialName(name));
  return [
    latin1.slice(0, all[0]?.spaceStart ?? attributesEnd),
    ...others.map(({ spaceStart, end }) => latin1.slice(spaceStart, end)),
    latin1.slice(attributesEnd),
  ];
}

function identityOf(scan: XmlScan, path: string): Identity {
  const machineIdentifier = filled(scan, "MachineIdentifier");
  const processedMachineIdentifier = filled(scan, "ProcessedMachineIdentifier");
  if (machineIdentifier === undefined || processedMachineIdentifier === undefined) {
    const neither = machineIdentifier === processedMachineIdentifier;
    const stub = neither && scan.attributes.size <= STUB_ATTRIBUTES;
    throw identityLost(path, stub ? "stub" : "identifiers-missing");
  }
  const anonymousMachineIdentifier = valueAt(scan, "AnonymousMachineIdentifier");
  const certificateUUID = valueAt(scan, "CertificateUUID");
  return {
    machineIdentifier,
    processedMachineIdentifier,
    ...(anonymousMachineIdentifier !== undefined && { anonymousMachineIdentifier }),
    ...(certificateUUID !== undefined && { certificateUUID }),
  };
}

function filled(scan: XmlScan, name: string): string | undefined {
  const value = valueAt(scan, name);
  return value?.trim() === "" ? undefined : value;
}

function valueAt(scan: XmlScan, name: string): string | undefined {
  return scan.attributes.get(name)?.value;
}
