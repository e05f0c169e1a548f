import fc from "fast-check";
import { Secret } from "../../src/model/secret.ts";
import type { CredentialChange } from "../../src/model/settings.ts";
import {
  type AttributeModel,
  DECLARATIONS,
  type DocumentModel,
  ENDINGS,
  EQUALS,
  MISC,
  PIECES,
  SPACES,
  type ValuePiece,
} from "./preferences-document.ts";

const REQUIRED = ["MachineIdentifier", "ProcessedMachineIdentifier"] as const;
const OPTIONAL = [
  "PlexOnlineToken",
  "PlexOnlineUsername",
  "PlexOnlineMail",
  "PlexOnlineHome",
  "xPlexOnlineToken",
  "PlexOnlineTokenX",
  "plexOnlineToken",
  "FriendlyName",
  "CertificateUUID",
  "AcceptedEULA",
  "customConnections",
  "__proto__",
  "constructor",
  "a:b",
  "_.-1",
] as const;

const piece = fc.constantFrom<ValuePiece>(...PIECES);

function attribute(name: string): fc.Arbitrary<AttributeModel> {
  const quote = fc.constantFrom<'"' | "'">('"', "'");
  const free = fc.array(piece, { maxLength: 8 });
  const filled = free.map((pieces) => [{ raw: "id", means: "id" }, ...pieces]);
  return quote.chain((mark) => {
    const other = mark === '"' ? "'" : '"';
    const required = REQUIRED.some((one) => one === name);
    return fc.record({
      space: fc.constantFrom(...SPACES),
      name: fc.constant(name),
      equals: fc.constantFrom(...EQUALS),
      quote: fc.constant(mark),
      pieces: fc
        .tuple(required ? filled : free, fc.boolean())
        .map(([pieces, quoted]) => (quoted ? [...pieces, { raw: other, means: other }] : pieces)),
    });
  });
}

/** Well-formed settings with their identity, in every shape that we promise to read. */
export const preferencesDocument: fc.Arbitrary<DocumentModel> = fc.record({
  byteOrderMark: fc.boolean(),
  declaration: fc.constantFrom(...DECLARATIONS),
  before: fc.constantFrom(...MISC),
  attributes: fc
    .subarray([...OPTIONAL])
    .chain((names) => {
      const all = [...REQUIRED, ...names];
      return fc.shuffledSubarray(all, { minLength: all.length });
    })
    .chain((names) => fc.tuple(...names.map(attribute))),
  ending: fc.constantFrom(...ENDINGS),
  after: fc.array(fc.constantFrom(...MISC), { maxLength: 2 }).map((misc) => misc.join("")),
});

/** Text of any characters that XML can hold, with a leaning to the troublesome ones. */
const holdableText = fc
  .array(
    fc.oneof(
      fc.constantFrom("&", "<", ">", '"', "'", "\t", "\n", "\r", "$&", "/>", "\\", "🔑", "é", "]]>", " "),
      fc.string({ unit: "binary", maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join("").replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "?"));

export const replacement: fc.Arbitrary<CredentialChange & { kind: "replace" }> = fc
  .tuple(
    holdableText.filter((text) => text !== ""),
    holdableText,
    holdableText,
  )
  .map(([token, username, mail]) => ({
    kind: "replace",
    credentials: { token: new Secret(token), username, mail },
  }));

interface Mutation {
  readonly kind: "flip" | "cut" | "insert" | "swap";
  readonly at: number;
  readonly length: number;
  readonly byte: number;
  readonly text: string;
}

const TROUBLE = [
  "<",
  ">",
  "&",
  '"',
  "'",
  "/",
  "=",
  " ",
  "\0",
  "/>",
  "<!--",
  "-->",
  "<?",
  "?>",
  "<a/>",
  "\ufeff",
];

export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.record({
    kind: fc.constantFrom("flip", "cut", "insert", "swap"),
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 12 }),
    byte: fc.integer({ min: 1, max: 255 }),
    text: fc.constantFrom(...TROUBLE),
  }),
  { minLength: 1, maxLength: 4 },
);

export function mutated(bytes: Uint8Array, changes: readonly Mutation[]): Uint8Array {
  let all = [...bytes];
  for (const { kind, at, length, byte, text } of changes) {
    const where = all.length === 0 ? 0 : at % all.length;
    if (kind === "flip") all[where] = (all[where] ?? 0) ^ byte;
    else if (kind === "cut") all.splice(where, length);
    else if (kind === "insert") all.splice(where, 0, ...Buffer.from(text));
    else all = [...all.slice(where), ...all.slice(0, where)];
  }
  return Uint8Array.from(all);
}
