/** The longest name of a value, in UTF-16 units (Microsoft Learn, "Registry Element Size Limits"). */
export const MAX_VALUE_NAME_UNITS = 16_383;

/**
 * A name as the registry compares it: each UTF-16 unit in its own upper case, so that the length stays. No unit
 * becomes ASCII that is not: Windows' table leaves the dotless i and the long s as they are, other than Unicode's.
 * The tables may differ for rare scripts; two names that are the same here are never both written.
 */
export function foldedName(name: string): string {
  return name.replace(OTHER_UNITS, upperUnit).replace(ASCII_LOWER, (letters) => letters.toUpperCase());
}

/** The order of names in a file of ours: without regard to case, then exactly. */
export function compareNames(one: string, other: string): number {
  return compareUnits(foldedName(one), foldedName(other)) || compareUnits(one, other);
}

const ASCII_LOWER = /[a-z]+/g;
const OTHER_UNITS = /[^\0-\x7f]/g;

function upperUnit(unit: string): string {
  const upper = unit.toUpperCase();
  return upper.length === 1 && upper > "\x7f" ? upper : unit;
}

function compareUnits(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
