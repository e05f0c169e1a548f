import fc from "fast-check";
import type { RegistryValue } from "../../src/world/windows-system.ts";
import {
  bytesOf,
  damaged,
  documentFrom,
  ownDocumentFrom,
  type Random,
  type RegistryDocument,
  valuesFrom,
} from "./registry-file-document.ts";

/** Values as the registry may hold them. */
export const registryValues: fc.Arbitrary<RegistryValue[]> = drawn((random) => valuesFrom(random));

/** Files of any keys, deletions included. */
export const registryDocument: fc.Arbitrary<RegistryDocument> = drawn(documentFrom);

/** Files that the allow-list lets through. */
export const ownRegistryDocument: fc.Arbitrary<RegistryDocument> = drawn(ownDocumentFrom);

/** Files of either kind after an accident. */
export const damagedRegistryFile: fc.Arbitrary<Uint8Array> = drawn((random) => {
  const document = random(2) === 0 ? documentFrom(random) : ownDocumentFrom(random);
  return damaged(random, bytesOf(document));
});

/** What a generator makes of a tape of numbers; a shorter tape, of smaller numbers, makes a simpler thing. */
function drawn<T>(make: (random: Random) => T): fc.Arbitrary<T> {
  return fc.array(fc.nat(), { minLength: 30, maxLength: 600, size: "max" }).map((tape) => {
    let index = 0;
    return make((below) => {
      const number = tape[index] ?? 0;
      index += 1;
      return number % below;
    });
  });
}
