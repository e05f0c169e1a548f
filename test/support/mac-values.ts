/** A value of a property list with its type, in a form that loses nothing. */
export type MacValue =
  | { readonly type: "string"; readonly value: string }
  /** Decimal. */
  | { readonly type: "integer"; readonly value: string }
  | { readonly type: "boolean"; readonly value: boolean }
  /** As Python writes it: `512.0`. */
  | { readonly type: "real"; readonly value: string }
  /** Hex digits. */
  | { readonly type: "data"; readonly value: string }
  /** Seconds since 2001, to the microsecond. */
  | { readonly type: "date"; readonly value: string }
  | { readonly type: "uid"; readonly value: string }
  | { readonly type: "array"; readonly value: readonly MacValue[] }
  | { readonly type: "dictionary"; readonly value: readonly (readonly [string, MacValue])[] };

export type MacValues = ReadonlyMap<string, MacValue>;

export function string(value: string): MacValue {
  return { type: "string", value };
}

export function integer(value: number | bigint): MacValue {
  return { type: "integer", value: String(value) };
}

/**
 * What a server that has been in use has in its domain, from the values of a `Preferences.xml`: whole numbers as such
 * (as on Windows; INFER for a Mac), and what an application of a Mac has besides: a date with a fraction, a real that
 * is whole, data, a container, text that is not ASCII. A real one's types and further names are UNVERIFIED.
 */
export function settingsOf(preferences: ReadonlyMap<string, string>): Map<string, MacValue> {
  const texts = ["PlexOnlineToken", "PlexOnlineUsername", "PlexOnlineMail", "FriendlyName"];
  const values = new Map<string, MacValue>();
  for (const [name, text] of preferences) {
    const isNumber = !texts.includes(name) && /^(0|[1-9]\d{0,17})$/.test(text);
    values.set(name, isNumber ? integer(BigInt(text)) : string(text));
  }
  values.set("AcceptedEULA", { type: "boolean", value: true });
  for (const [name, value] of OF_ANY_APPLICATION) values.set(name, value);
  return values;
}

const OF_ANY_APPLICATION: readonly (readonly [string, MacValue])[] = [
  ["SULastCheckTime", { type: "date", value: "801234567.25" }],
  ["NSStatusItem Preferred Position Item-0", { type: "real", value: "512.0" }],
  ["NSOSPLastRootDirectory", { type: "data", value: "626f6f6b00" }],
  ["AppleLanguages", { type: "array", value: [string("ru-RU"), string("日本語 🎬")] }],
  [
    "Windows",
    { type: "dictionary", value: [["0", { type: "dictionary", value: [["12", integer(2n ** 63n)]] }]] },
  ],
];
