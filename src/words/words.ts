import { PRINTABLE_LIMIT, printable } from "../model/printable.ts";
import { shellWord } from "../model/shell-word.ts";
import type { Language } from "./locale.ts";

/** The name of a message; both catalogues have every one of them. */
export type WordKey = keyof typeof import("./en.json", { with: { "resolution-mode": "import" }});

/** What may stand in a message's places. A list is shown one a line. */
export type WordData = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** One language's catalogue. */
export interface Words {
  readonly language: Language;
  /**
   * The message with its places filled. Each text that fills a place goes through `printable()`, and brings two
   * more places along: for `name`, `nameGiven` is `yes` or, for an empty one, `no`, and `nameQuoted` is the text
   * as one word of a POSIX shell. Never throws: what cannot be formatted comes out plainer, and a key without a
   * message as itself.
   */
  say(key: WordKey, data?: WordData): string;
  /** Whether there is a message of this name. */
  has(key: string): key is WordKey;
}

/** Loads the catalogue of one language, and the formatter; the second time they are there already. */
export function loadWords(language: Language): Promise<Words> {
  const known = loaded.get(language);
  if (known !== undefined) return known;
  const words = load(language);
  loaded.set(language, words);
  return words;
}

/** The same for messages without places, such as those of the help: the formatter takes its time to load. */
export async function loadPlainWords(language: Language): Promise<Words> {
  return wordsFrom(language, await catalogue(language), filledPlainly);
}

const loaded = new Map<Language, Promise<Words>>();

/** A cut command would do something else than the whole one, so these are shown up to the length of a path. */
const WHOLE_LINES = new Set(["line", "stopLine", "startLine", "undoLine", "copyLine", "codeLine", "endLine"]);
const LINE_LIMIT = 8192;

type Catalogue = Readonly<Record<WordKey, string>>;
type Values = Readonly<Record<string, string | number>>;

async function load(language: Language): Promise<Words> {
  const [messages, { IntlMessageFormat }] = await Promise.all([
    catalogue(language),
    import("intl-messageformat"),
  ]);
  const formats = new Map<string, { format(values: Record<string, string | number>): unknown }>();
  return wordsFrom(language, messages, (message, values) => {
    try {
      const format =
        formats.get(message) ?? new IntlMessageFormat(message, language, {}, { ignoreTag: true });
      formats.set(message, format);
      return String(format.format({ ...values }));
    } catch {
      return filledPlainly(message, values);
    }
  });
}

function wordsFrom(
  language: Language,
  messages: Catalogue,
  filled: (message: string, values: Values) => string,
): Words {
  const has = (key: string): key is WordKey => Object.hasOwn(messages, key);
  return {
    language,
    has,
    say(key, data = {}) {
      const message = has(key) ? messages[key] : undefined;
      if (message === undefined) return key;
      return message.includes("{") ? filled(message, placeValues(data)) : message;
    },
  };
}

async function catalogue(language: Language): Promise<Catalogue> {
  const file =
    language === "ru"
      ? await import("./ru.json", { with: { type: "json" } })
      : await import("./en.json", { with: { type: "json" } });
  return file.default;
}

function placeValues(data: WordData): Values {
  const values: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(data)) {
    if (typeof value === "number") {
      values[name] = value;
      continue;
    }
    const limit = WHOLE_LINES.has(name) ? LINE_LIMIT : PRINTABLE_LIMIT;
    const lines = Array.isArray(value) ? value : [String(value)];
    values[name] = lines.map((line) => printable(String(line), limit)).join("\n    ");
    values[`${name}Given`] = lines.join("") === "" ? "no" : "yes";
    values[`${name}Quoted`] = shellWord(printable(lines.join(" "), LINE_LIMIT));
  }
  return values;
}

function filledPlainly(message: string, values: Values): string {
  return message.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place));
}
