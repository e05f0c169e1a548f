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
import type { RegistryValue } from "../world/windows-system.ts";
import { identityLost } from "./refusals.ts";
import { foldedName } from "./registry-file-names.ts";

/**
 * What the values of a server's registry key mean. Names match without regard to case, as they do in the registry.
 * `path` only goes into problems. An empty `FriendlyName`, or one that is no text, counts as none.
 *
 * `PlexOnlineHome` is a REG_DWORD and given as a decimal number, the other three and the identity are REG_SZ (as
 * public programs write them; UNVERIFIED in a source of Plex). A text may lack its NUL at the end, as Windows' own
 * documentation of RegQueryValueEx warns; it may hold none elsewhere, for readers disagree about what follows one.
 *
 * Throws `UNEXPECTED_TYPE` for one of those names that is kept in another way (its `type` ends with the number of
 * bytes, `REG_SZ[7]`, where the type is right and the bytes are not), and `IDENTITY_LOST`: `empty` (no value), `stub`
 * (neither identifier and hardly anything else), `identifiers-missing` (one of the two absent or blank).
 */
export function settingsOfValues(values: readonly RegistryValue[], path: string): Settings {
  if (values.length === 0) throw identityLost(path, "empty");
  const text = new Map<CredentialName | IdentityName, string | undefined>();
  for (const name of [...CREDENTIAL_NAMES, ...IDENTITY_NAMES]) text.set(name, meaningOf(values, name, path));
  const token = text.get("PlexOnlineToken");
  const username = text.get("PlexOnlineUsername");
  const mail = text.get("PlexOnlineMail");
  const home = text.get("PlexOnlineHome");
  const friendlyName = friendlyNameOf(values);
  return {
    credentials: {
      ...(token !== undefined && { token: new Secret(token) }),
      ...(username !== undefined && { username }),
      ...(mail !== undefined && { mail }),
      ...(home !== undefined && { home }),
    },
    identity: identityOf(text, values.length, path),
    ...(friendlyName && { friendlyName }),
  };
}

/**
 * The values after the change, in no particular order; all but the four are the same objects. Pure.
 *
 * `remove` leaves the four out. `replace` gives token, username and mail their new texts (REG_SZ with its NUL) under
 * the names that stand there, for the registry would keep those anyway, and leaves `PlexOnlineHome` out: it belonged
 * to the old sign-in, and the server is taken to fetch it from plex.tv again (UNVERIFIED).
 *
 * Throws as `settingsOfValues`; `PLEXTV_NONSENSE` for an empty token or what is no text that a REG_SZ can hold.
 */
export function editValues(
  values: readonly RegistryValue[],
  change: CredentialChange,
  path: string,
): readonly RegistryValue[] {
  settingsOfValues(values, path);
  const fresh = [...wantedTexts(change)].map(([name, text]) => ({
    name: valueNamed(values, name)?.name ?? name,
    type: REG_SZ,
    bytes: bytesOfText(text),
  }));
  return [...values.filter(({ name }) => !isCredentialValue(name)), ...fresh];
}

/**
 * Whether `after` holds the wanted four and no others of them, and in all else the values of `before`: as many, of the
 * same names to the letter, types and bytes. Looks at the result alone, and shares nothing with how the edit is made.
 */
export function isEditOf(
  before: readonly RegistryValue[],
  after: readonly RegistryValue[],
  change: CredentialChange,
): boolean {
  const wanted = wantedTexts(change);
  const others = (values: readonly RegistryValue[]) =>
    values
      .filter(({ name }) => !isCredentialValue(name))
      .map(({ name, type, bytes }) => JSON.stringify([name, type, Buffer.from(bytes).toString("hex")]))
      .sort();
  const old = others(before);
  const fresh = others(after);
  const ours = after.filter(({ name }) => isCredentialValue(name));
  return (
    old.length === fresh.length &&
    old.every((value, index) => value === fresh[index]) &&
    ours.length === wanted.size &&
    ours.every(({ type, bytes }) => type === REG_SZ && bytes.length % 2 === 0 && endsWithNul(bytes)) &&
    [...wanted].every(([name, text]) => meaningOf(after, name, "") === text)
  );
}

/** How many values besides the four are in one of the two only, or differ in type or bytes. */
export function differingOthers(one: readonly RegistryValue[], other: readonly RegistryValue[]): number {
  const [first, second] = [one, other].map(
    (values) =>
      new Map(
        values
          .filter(({ name }) => !isCredentialValue(name))
          .map(({ name, type, bytes }) => [
            foldedName(name),
            `${type}:${Buffer.from(bytes).toString("hex")}`,
          ]),
      ),
  );
  const names = new Set([...(first?.keys() ?? []), ...(second?.keys() ?? [])]);
  return [...names].filter((name) => first?.get(name) !== second?.get(name)).length;
}

/** Whether a value of this name is the server's token. */
export function isTokenValue(name: string): boolean {
  return foldedName(name) === foldedName("PlexOnlineToken");
}

/** Of a text that may or may not end with its NUL; null for what is no text. */
export function textOfBytes(bytes: Uint8Array): string | null {
  if (bytes.length % 2 !== 0) return null;
  const end = endsWithNul(bytes) ? bytes.length - 2 : bytes.length;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, end).toString("utf16le");
  return NO_TEXT.test(text) ? null : text;
}

const REG_SZ = 1;
const REG_DWORD = 4;

/** By their numbers in winnt.h. */
const TYPE_NAMES = [
  "REG_NONE",
  "REG_SZ",
  "REG_EXPAND_SZ",
  "REG_BINARY",
  "REG_DWORD",
  "REG_DWORD_BIG_ENDIAN",
  "REG_LINK",
  "REG_MULTI_SZ",
  "REG_RESOURCE_LIST",
  "REG_FULL_RESOURCE_DESCRIPTOR",
  "REG_RESOURCE_REQUIREMENTS_LIST",
  "REG_QWORD",
];

/** Without identifiers and with so few values or fewer, settings are a stub rather than damaged. */
const STUB_VALUES = 8;

/** A NUL, or half a surrogate pair. */
const NO_TEXT = /\0|\p{Surrogate}/u;

const CREDENTIALS: ReadonlySet<string> = new Set(CREDENTIAL_NAMES.map(foldedName));

function identityOf(
  text: ReadonlyMap<CredentialName | IdentityName, string | undefined>,
  count: number,
  path: string,
): Identity {
  const machineIdentifier = filled(text.get("MachineIdentifier"));
  const processedMachineIdentifier = filled(text.get("ProcessedMachineIdentifier"));
  if (machineIdentifier === undefined || processedMachineIdentifier === undefined) {
    const neither = machineIdentifier === processedMachineIdentifier;
    throw identityLost(path, neither && count <= STUB_VALUES ? "stub" : "identifiers-missing");
  }
  const anonymousMachineIdentifier = text.get("AnonymousMachineIdentifier");
  const certificateUUID = text.get("CertificateUUID");
  return {
    machineIdentifier,
    processedMachineIdentifier,
    ...(anonymousMachineIdentifier !== undefined && { anonymousMachineIdentifier }),
    ...(certificateUUID !== undefined && { certificateUUID }),
  };
}

/** Undefined when there is no such value. */
function meaningOf(
  values: readonly RegistryValue[],
  name: CredentialName | IdentityName,
  path: string,
): string | undefined {
  const value = valueNamed(values, name);
  if (value === undefined) return undefined;
  const expected = name === "PlexOnlineHome" ? REG_DWORD : REG_SZ;
  const meaning = expected === REG_DWORD ? numberOfBytes(value.bytes) : textOfBytes(value.bytes);
  if (value.type === expected && meaning !== null) return meaning;
  const type = TYPE_NAMES[value.type] ?? `REG_${value.type}`;
  const size = value.type === expected ? `[${value.bytes.length}]` : "";
  throw new ProblemError({ code: "UNEXPECTED_TYPE", path, name: value.name, type: `${type}${size}` });
}

function friendlyNameOf(values: readonly RegistryValue[]): string | null {
  const value = valueNamed(values, "FriendlyName");
  return value?.type === REG_SZ ? textOfBytes(value.bytes) : null;
}

/** The four as the change wants them; a name that is absent here is to be absent from the settings. */
function wantedTexts(change: CredentialChange): ReadonlyMap<CredentialName, string> {
  if (change.kind === "remove") return new Map();
  const { token, username, mail } = change.credentials;
  const wanted = new Map<CredentialName, string>([
    ["PlexOnlineToken", token.reveal()],
    ["PlexOnlineUsername", username],
    ["PlexOnlineMail", mail],
  ]);
  if (token.reveal() === "" || [...wanted.values()].some((text) => NO_TEXT.test(text))) {
    throw new ProblemError({ code: "PLEXTV_NONSENSE", status: 200 });
  }
  return wanted;
}

function valueNamed(values: readonly RegistryValue[], name: string): RegistryValue | undefined {
  return values.find((value) => foldedName(value.name) === foldedName(name));
}

function isCredentialValue(name: string): boolean {
  return CREDENTIALS.has(foldedName(name));
}

function filled(text: string | undefined): string | undefined {
  return text?.trim() === "" ? undefined : text;
}

function numberOfBytes(bytes: Uint8Array): string | null {
  if (bytes.length !== 4) return null;
  return String(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true));
}

/** Own memory: never part of a shared pool, as the bytes hold a secret. */
function bytesOfText(text: string): Uint8Array {
  const bytes = new Uint8Array(2 * text.length + 2);
  Buffer.from(bytes.buffer).write(text, "utf16le");
  return bytes;
}

function endsWithNul(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes.at(-1) === 0 && bytes.at(-2) === 0;
}
