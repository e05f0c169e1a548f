import { win32 } from "node:path";
import { windowsLine, windowsWord } from "../model/windows-word.ts";
import { looksLikeCode } from "./code-in-argument.ts";
import { type Environment, forEveryAccount, isNoPath } from "./option-values.ts";
import { commandSpec, type OptionName, optionSpec, optionsOf, twinOf } from "./options.ts";
import { readArguments } from "./read-arguments.ts";

/**
 * A line that runs the words with an administrator's rights, in a `cmd` window of its own that stays open. It may be
 * typed into `cmd` and into PowerShell: between its quotation marks stands nothing that means something to either.
 *
 * `systemFolder` has the shell: no name that a PATH leads anywhere, and no variable, stands for what is given those
 * rights. `before` are settings of the environment that the words need: names and values of plain characters.
 */
export function elevatedLine(
  words: readonly string[],
  systemFolder: string,
  before: Readonly<Record<string, string>> = {},
): string {
  const settings = Object.entries(before).map(([name, value]) => `set "${name}=${value}"&& `);
  // With `/s`, `cmd` takes away the first and the last quotation mark and leaves those between as they are.
  const call = `/d /v:off /s /k "${settings.join("")}${windowsLine(words)}"`;
  const script = `Start-Process -Verb RunAs ${powershellText(win32.join(systemFolder, "cmd.exe"))} ${powershellText(call)}`;
  return `powershell -NoProfile -Command "${script}"`;
}

/**
 * A line to type into an open window, for `cmd`, and for PowerShell wherever both mean the same. PowerShell takes a
 * first word in quotation marks for a mere text: a Node whose path has blanks is called by its name, as its installer
 * has made it known.
 */
export function typedLine(command: readonly string[], words: readonly string[]): string {
  const [first = "", ...rest] = command;
  const isBare = windowsWord(first) === first;
  const name = isBare || !/[\\/]node\.exe$/i.test(first) ? first : "node";
  return windowsLine([name, ...rest, ...words]);
}

/**
 * The words of this call as an elevated window needs them. It begins in another folder, with another environment and
 * maybe as another account, so that relative paths are made whole, our own registry key is named with our SID, and
 * options that came from the environment stand as options; those only that the command has, and none that holds what
 * looks like a code.
 */
export function wordsForElsewhere(args: readonly string[], env: Environment, here: Here): string[] {
  const { words, given } = readArguments(args);
  const command = commandSpec(words.slice(0, 2).join(" ")) ?? commandSpec(words[0] ?? "");
  const all = new Map(given);
  for (const name of command === undefined ? [] : optionsOf(command)) {
    const value = all.has(name) ? undefined : fromEnvironment(name, env);
    if (value !== undefined) all.set(name, value);
  }
  return [...words, ...[...all].flatMap(([name, value]) => asWords(name, value, here))];
}

/** What words mean here alone. */
export interface Here {
  readonly folder: string;
  readonly sid: string;
}

/** A switch's value is null. */
function fromEnvironment(name: OptionName, env: Environment): string | null | undefined {
  const value = env[twinOf(name)] ?? "";
  if (optionSpec(name).value === undefined) return /^(?:1|true)$/i.test(value.trim()) ? null : undefined;
  return value === "" || looksLikeCode(value) ? undefined : value;
}

function asWords(name: OptionName, value: string | null, here: Here): string[] {
  if (value === null) return [`--${name}`];
  const isPath = /^(?:path|folder)$/.test(optionSpec(name).value?.shape ?? "");
  const whole = isPath ? forElsewhere(value, here) : value;
  return whole.startsWith("-") && whole !== "-" ? [`--${name}=${whole}`] : [`--${name}`, whole];
}

function forElsewhere(value: string, { folder, sid }: Here): string {
  return isNoPath(value) ? forEveryAccount(value, sid) : win32.resolve(folder, value);
}

/**
 * A text as an expression of PowerShell that has no quotation mark and no sign that the shell around it would act on
 * (`%` and `!` of `cmd`, `$` and the back-quote of PowerShell, typographic quotation marks, which PowerShell takes for
 * straight ones): those are put in by their numbers.
 */
function powershellText(text: string): string {
  const numbers: number[] = [];
  const pattern = text.replace(/[{}']|[^\p{L}\p{N} #&()*+,\-./:;<=>?@[\\\]^_|~{}']/gu, (sign) => {
    if (sign === "'") return "''";
    if (sign === "{" || sign === "}") return sign + sign;
    return [...sign.split("")].map((unit) => `{${indexOf(numbers, unit.charCodeAt(0))}}`).join("");
  });
  if (numbers.length === 0) return /[{}]/.test(text) ? `('${pattern}' -f 0)` : `'${pattern}'`;
  return `('${pattern}' -f ${numbers.map((number) => `[char]${number}`).join(",")})`;
}

function indexOf(numbers: number[], number: number): number {
  if (!numbers.includes(number)) numbers.push(number);
  return numbers.indexOf(number);
}
