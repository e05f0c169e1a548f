import fc from "fast-check";
import { Secret } from "../../src/model/secret.ts";
import { CREDENTIAL_NAMES, type CredentialChange, IDENTITY_NAMES } from "../../src/model/settings.ts";
import type { RegistryValue } from "../../src/world/windows-system.ts";
import { dwordValue, sameName, textValue } from "./memory-registry.ts";

export const REMOVE: CredentialChange = { kind: "remove" };

export function replaceWith(token: string, username: string, mail: string): CredentialChange {
  return { kind: "replace", credentials: { token: new Secret(token), username, mail } };
}

/** A server's key as public programs show it, with the four values and a few others. */
export const SIGNED_IN: readonly RegistryValue[] = [
  textValue("MachineIdentifier", "6f1c1c5e-0f2e-4d43-9f5e-2f0a5a9f3b11"),
  textValue("ProcessedMachineIdentifier", "0123456789abcdef0123456789abcdef01234567"),
  textValue("AnonymousMachineIdentifier", "9d5c1c5e-0f2e-4d43-9f5e-2f0a5a9f3b22"),
  textValue("CertificateUUID", "aabbccddeeff00112233445566778899"),
  textValue("PlexOnlineToken", "old-token-of-the-sim"),
  textValue("PlexOnlineUsername", "Jürgen 日本"),
  textValue("PlexOnlineMail", "old@example.org"),
  dwordValue("PlexOnlineHome", 1),
  textValue("FriendlyName", "Büro"),
  dwordValue("AcceptedEULA", 1),
  textValue("LocalAppDataPath", "D:\\Plex"),
];

/** By the order of their names: for comparing, since the order in a key means nothing. */
export function sorted(values: readonly RegistryValue[] | null): unknown {
  return values === null
    ? null
    : values
        .map(({ name, type, bytes }) => ({ name, type, hex: Buffer.from(bytes).toString("hex") }))
        .sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** Whether the name is one of the four, in any case. */
export function isCredential(name: string): boolean {
  return CREDENTIAL_NAMES.some((known) => sameName(known, name));
}

function isKnown(name: string): boolean {
  return isCredential(name) || IDENTITY_NAMES.some((known) => sameName(known, name));
}

const NAMES = [
  "",
  "a",
  "A",
  "FriendlyName",
  "LocalAppDataPath",
  'quo"te',
  "back\\slash",
  "é",
  "É",
  "日本",
  "ı",
];

const anyName = fc.oneof(
  fc.constantFrom(...NAMES),
  fc.string({ unit: "grapheme", maxLength: 8 }).filter((name) => !/[\0\r\n]/.test(name)),
);

const anyValue: fc.Arbitrary<RegistryValue> = fc.record({
  name: anyName,
  type: fc.oneof(fc.nat({ max: 12 }), fc.constantFrom(0x10_00, 0xff_ff_ff_ff)),
  bytes: fc.uint8Array({ maxLength: 24 }),
});

/** A text that a REG_SZ can hold. */
function wholeText(options: { minLength?: number } = {}): fc.Arbitrary<string> {
  return fc
    .string({ unit: "binary", maxLength: 12, ...options })
    .filter((text) => !/\0|\p{Surrogate}/u.test(text));
}

function recased(name: string, mask: number): string {
  return [...name].map((c, at) => ((mask >> (at % 30)) & 1 ? c.toUpperCase() : c.toLowerCase())).join("");
}

const casing = fc.oneof(fc.constant(null), fc.nat());

function spelt(name: string, mask: number | null): string {
  return mask === null ? name : recased(name, mask);
}

const textNames = [...CREDENTIAL_NAMES.slice(0, 3), ...IDENTITY_NAMES.slice(2)];

const knownValue: fc.Arbitrary<RegistryValue> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...textNames), casing, wholeText(), fc.boolean())
    .map(([name, mask, text, ended]) => {
      const value = textValue(spelt(name, mask), text);
      return ended ? value : { ...value, bytes: value.bytes.slice(0, -2) };
    }),
  fc
    .tuple(casing, fc.nat({ max: 0xff_ff_ff_ff }))
    .map(([mask, number]) => dwordValue(spelt("PlexOnlineHome", mask), number)),
);

const identifiers: fc.Arbitrary<RegistryValue[]> = fc
  .tuple(casing, casing)
  .map(([one, other]) => [
    textValue(spelt("MachineIdentifier", one), "11111111-2222-3333-4444-555555555555"),
    textValue(spelt("ProcessedMachineIdentifier", other), "0123456789abcdef0123456789abcdef01234567"),
  ]);

/** Any values of any type, at most one of a name. */
export const anyValues: fc.Arbitrary<RegistryValue[]> = fc.uniqueArray(anyValue, {
  maxLength: 12,
  comparator: (one, other) => sameName(one.name, other.name),
});

/** What a server may have: the two identifiers, often the rest of what we know, in any case, and anything besides. */
export const settingsValues: fc.Arbitrary<RegistryValue[]> = fc
  .tuple(fc.array(knownValue, { maxLength: 8 }), identifiers, anyValues, fc.nat())
  .map(([known, identity, others, turn]) => {
    const all = [...identity, ...known, ...others.filter(({ name }) => !isKnown(name))];
    const first = all.filter((value, at) => at === all.findIndex((v) => sameName(v.name, value.name)));
    const from = turn % first.length;
    return [...first.slice(from), ...first.slice(0, from)];
  });

export const replacement: fc.Arbitrary<CredentialChange & { kind: "replace" }> = fc
  .tuple(wholeText({ minLength: 1 }), wholeText(), wholeText())
  .map(([token, username, mail]) => ({
    kind: "replace" as const,
    credentials: { token: new Secret(token), username, mail },
  }));
