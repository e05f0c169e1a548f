import { styleText } from "node:util";
import { speaksUtf8 } from "./locale.ts";

/** How text may look on one stream. */
export interface Appearance {
  readonly colour: boolean;
  /** Whether other symbols than ASCII's may be used; letters of a language are no symbols. */
  readonly symbols: boolean;
  /** Where lines are broken. */
  readonly columns: number;
}

export interface StreamFacts {
  readonly isTTY: boolean;
  readonly columns?: number | undefined;
  /** What it leads to may read another encoding than UTF-8, whatever the locale says. */
  readonly anyEncoding?: boolean;
}

/** Where the width is not known; some terminals say 0. */
const USUAL_COLUMNS = 80;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What a stream allows. The first of these that speaks decides on colour: the option `--no-color`;
 * `FORCE_COLOR` (`0` and `false`: none); `NO_COLOR` (no-color.org: anything but empty); `TERM=dumb`; whether it
 * is a terminal at all.
 */
export function chooseAppearance(stream: StreamFacts, env: Environment, noColor: boolean): Appearance {
  return {
    colour: !noColor && mayColour(stream, env),
    symbols: speaksUtf8(env) && stream.anyEncoding !== true,
    columns: Math.min(Math.max(stream.columns || USUAL_COLUMNS, 20), 100),
  };
}

function mayColour(stream: StreamFacts, env: Environment): boolean {
  const force = env["FORCE_COLOR"];
  if (force !== undefined) return force !== "0" && force !== "false";
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  return stream.isTTY && env["TERM"] !== "dumb";
}

export type Tone = "good" | "doubtful" | "bad" | "heading";

const STYLES = { good: "green", doubtful: "yellow", bad: "red", heading: "bold" } as const;

/** Adds colour where it is allowed; the words say the same without it. */
export function toned(text: string, tone: Tone, appearance: Appearance): string {
  return appearance.colour ? styleText(STYLES[tone], text, { validateStream: false }) : text;
}

/** Puts ASCII in place of typographic symbols where the terminal may not know them. */
export function withSymbols(text: string, appearance: Appearance): string {
  if (appearance.symbols) return text;
  return text.replace(/[—–…“”«»’‘•\u00a0\u202f№]/gu, (symbol) => ASCII.get(symbol) ?? " ");
}

const ASCII: ReadonlyMap<string, string> = new Map([
  ["—", "-"],
  ["–", "-"],
  ["…", "..."],
  ["“", '"'],
  ["”", '"'],
  ["«", '"'],
  ["»", '"'],
  ["’", "'"],
  ["‘", "'"],
  ["•", "*"],
  ["№", "N"],
]);
