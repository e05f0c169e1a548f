import fc from "fast-check";
import { Secret } from "../../src/model/secret.ts";
import { CREDENTIAL_NAMES, type CredentialChange } from "../../src/model/settings.ts";
import type { DomainContent } from "../../src/stores/defaults-content.ts";
import { type PlistValue, realOf } from "../../src/stores/plist-value.ts";

export const REMOVE: CredentialChange = { kind: "remove" };

export function replaceWith(token: string, username: string, mail: string): CredentialChange {
  return { kind: "replace", credentials: { token: new Secret(token), username, mail } };
}

export function text(value: string): PlistValue {
  return { kind: "string", value };
}

export function integer(value: bigint): PlistValue {
  return { kind: "integer", value };
}

const IDENTITY: readonly (readonly [string, PlistValue])[] = [
  ["MachineIdentifier", text("6f1c1c5e-0f2e-4d43-9f5e-2f0a5a9f3b11")],
  ["ProcessedMachineIdentifier", text("0123456789abcdef0123456789abcdef01234567")],
];

/** A server's domain with the four values and a few others, of every type that a domain can have. */
export const SIGNED_IN: DomainContent = new Map<string, PlistValue>([
  ...IDENTITY,
  ["PlexOnlineToken", text("old-token-of-the-mac")],
  ["PlexOnlineUsername", text("Jürgen 日本")],
  ["PlexOnlineMail", text("old@example.org")],
  ["PlexOnlineHome", integer(1n)],
  ["FriendlyName", text("Büro")],
  ["AcceptedEULA", { kind: "boolean", value: true }],
  ["SULastCheckTime", { kind: "date", seconds: 801_234_567.25 }],
  ["Position", realOf(512)],
  ["Bookmark", { kind: "data", bytes: Uint8Array.of(0, 255, 98) }],
  ["Languages", { kind: "array", items: [text("ru-RU"), integer(2n ** 64n - 1n)] }],
  [
    "Windows",
    {
      kind: "dictionary",
      entries: [
        ["b", integer(-1n)],
        ["a", text("🎬")],
      ],
    },
  ],
]);

/** As settings were before: other values, one more and some less, and another sign-in or none. */
export function earlier(token: string | null): DomainContent {
  return new Map<string, PlistValue>([
    ...IDENTITY,
    ...(token === null ? [] : ([["PlexOnlineToken", text(token)]] as const)),
    ["FriendlyName", text("Earlier")],
    ["Gone", integer(1n)],
    ["Position", integer(512n)],
  ]);
}

const leaf: fc.Arbitrary<PlistValue> = fc.oneof(
  fc.string({ unit: "binary", maxLength: 8 }).map(text),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }).map(integer),
  fc.boolean().map((value) => ({ kind: "boolean" as const, value })),
  fc.double({ noNaN: true }).map((value) => realOf(value)),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((seconds) => ({ kind: "date" as const, seconds })),
  fc.uint8Array({ maxLength: 9 }).map((bytes) => ({ kind: "data" as const, bytes })),
);

const anyValue: fc.Arbitrary<PlistValue> = fc.letrec<{ value: PlistValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    leaf,
    fc.array(tie("value"), { maxLength: 3 }).map((items) => ({ kind: "array" as const, items })),
    fc
      .uniqueArray(fc.tuple(fc.string({ maxLength: 3 }), tie("value")), {
        maxLength: 3,
        selector: ([key]) => key,
      })
      .map((entries) => ({ kind: "dictionary" as const, entries })),
  ),
})).value;

const anyName = fc.oneof(
  fc.constantFrom(...CREDENTIAL_NAMES, "FriendlyName", "A", "z"),
  fc.string({ unit: "grapheme", maxLength: 4 }),
);

/** Any keys and values, among them often some of the four; with few values, so that two contents share some. */
export const anyContent: fc.Arbitrary<DomainContent> = fc
  .uniqueArray(
    fc.tuple(anyName, fc.oneof(fc.constantFrom(text("one"), text("two"), integer(1n)), anyValue)),
    { maxLength: 9, selector: ([name]) => name },
  )
  .map((entries) => new Map(entries));
