import type { RunResult, World } from "../world/world.ts";
import { runProgram } from "./program.ts";

/** Runs `systemctl`, which never asks for a password; null where there is none. */
export async function systemctl(
  world: Pick<World, "run">,
  args: readonly string[],
  timeoutMs = 15_000,
): Promise<RunResult | null> {
  return await runProgram(world, "systemctl", ["--no-pager", "--no-ask-password", ...args], { timeoutMs });
}

/** The properties of one unit; a property may come more than once (`ExecStart`, `EnvironmentFiles`). */
export class UnitProperties {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  /** The first value, or an empty string: systemd prints an unset property so, too. */
  one(name: string): string {
    return this.#values.get(name)?.[0] ?? "";
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }
}

/** Reads properties of units. Null where there is no systemd, or none that answers this account. */
export async function showUnits(
  world: Pick<World, "run">,
  units: readonly string[],
  properties: readonly string[],
): Promise<UnitProperties[] | null> {
  const answer = await systemctl(world, ["show", `--property=Id,${properties.join(",")}`, "--", ...units]);
  return answer?.status === 0 ? parseShow(answer.stdout) : null;
}

/**
 * Splits what `systemctl show` printed for several units: `Name=value` lines, units apart by an empty line. An
 * empty line inside a value makes a block without `Id`, which still belongs to the unit before it.
 */
export function parseShow(text: string): UnitProperties[] {
  const units: Map<string, string[]>[] = [];
  for (const block of text.split("\n\n")) {
    const values = new Map<string, string[]>();
    for (const line of block.split("\n")) {
      const [, name, value] = /^([A-Z][A-Za-z0-9]*)=(.*)$/u.exec(line) ?? [];
      if (name === undefined || value === undefined) continue;
      values.set(name, [...(values.get(name) ?? []), value]);
    }
    const before = units.at(-1);
    if (values.has("Id")) units.push(values);
    else if (before !== undefined) for (const [name, list] of values) before.set(name, list);
  }
  return units.map((values) => new UnitProperties(values));
}

/**
 * Splits a list of strings as `systemctl show` quotes it: a word with anything unusual in it stands in double
 * quotes (or `$'…'`) with C escapes. Seen with systemd 252: `"A=b c" PLAIN=one "TAB=a\tb" "DOL=\$HOME"`.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  const word = /(?:"(?:\\.|[^"\\])*"|\$?'(?:\\.|[^'\\])*'|\\.|[^\s"'\\])+/gsu;
  for (const [raw] of text.matchAll(word)) words.push(raw.replace(QUOTED, unquote));
  return words;
}

const QUOTED = /"((?:\\.|[^"\\])*)"|\$?'((?:\\.|[^'\\])*)'|\\(.)/gsu;

function unquote(_whole: string, double?: string, single?: string, escaped?: string): string {
  return escaped ?? unescapeC(double ?? single ?? "");
}

function unescapeC(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|(.))/gsu,
    (_whole, hex?: string, octal?: string, letter?: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      return LETTERS.get(letter ?? "") ?? letter ?? "";
    },
  );
}

const LETTERS: ReadonlyMap<string, string> = new Map([
  ["a", "\x07"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
  ["e", "\x1b"],
  ["s", " "],
]);
