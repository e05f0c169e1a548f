import type { WordData, WordKey, Words } from "./words.ts";

/**
 * The message for a coded thing. Fields that are codes themselves are said in words first: the value `v` of a
 * field `f` as `KEY.f.v`, else as `name.f.v`, else, for a system's error code, as `system.v`; without any of
 * these it is shown as it is. A field that is neither text, number nor list is left out.
 */
export function sayCoded(words: Words, family: string, suffix: string, data: object): string {
  const key = `${family}${suffix}`;
  return words.has(key) ? words.say(key, wordedFields(words, family, data)) : key;
}

/** A value of a field that is a code, in words; as it is where the catalogue has none. */
export function worded(words: Words, family: string, field: string, value: string): string {
  const key = [`${family}.${field}.${value}`, `name.${field}.${value}`, `system.${value}`].find(
    (candidate): candidate is WordKey => words.has(candidate),
  );
  return key === undefined ? value : words.say(key);
}

function wordedFields(words: Words, family: string, data: object): WordData {
  const fields: Record<string, string | number | readonly string[]> = {};
  for (const [field, value] of Object.entries(data)) {
    if (typeof value === "string") fields[field] = worded(words, family, field, value);
    else if (typeof value === "number") fields[field] = value;
    else if (Array.isArray(value)) fields[field] = value.map(String);
  }
  return fields;
}
