import type { Words } from "../words/words.ts";
import { commandSummary } from "./help.ts";
import {
  COMMANDS,
  type CommandSpec,
  EVERYWHERE,
  FIRST_WORDS,
  OPTIONS,
  type OptionName,
  optionSpec,
  optionsOf,
  subcommandsOf,
} from "./options.ts";

/** Where a word can be completed: after nothing, after a group, or after a whole command. */
export interface Place {
  /** The words of the command so far, joined by a space; empty at the start. */
  readonly command: string;
  readonly words: readonly Candidate[];
  readonly options: readonly OptionName[];
}

export interface Candidate {
  readonly word: string;
  /** The command that it leads to, for its explanation; absent for an argument. */
  readonly command?: string;
}

/** Every place, made from the tables. */
export function places(): Place[] {
  const groups = FIRST_WORDS.filter((word) => subcommandsOf(word).length > 0);
  return [
    { command: "", words: FIRST_WORDS.map((word) => ({ word, command: word })), options: EVERYWHERE },
    ...groups.map((group) => ({
      command: group,
      words: subcommandsOf(group).map((word) => ({ word, command: `${group} ${word}` })),
      options: EVERYWHERE,
    })),
    ...COMMANDS.map((command) => ({
      command: command.name,
      words: argumentCandidates(command),
      options: optionsOf(command),
    })),
  ];
}

function argumentCandidates(command: CommandSpec): Candidate[] {
  if (command.name === "help") return FIRST_WORDS.map((word) => ({ word, command: word }));
  return (command.argument?.choices ?? []).map((word) => ({ word }));
}

/** The options with a value, by what their values are. */
export function valueOptions(shape: "path" | "folder" | "other"): string[] {
  return OPTIONS.filter(({ name }) => {
    const value = optionSpec(name).value;
    if (value === undefined) return false;
    return shape === "other" ? value.shape !== "path" && value.shape !== "folder" : value.shape === shape;
  }).map(({ name }) => `--${name}`);
}

/** The options with few values, and those. */
export const CHOICE_OPTIONS = OPTIONS.flatMap(({ name }) => {
  const choices = optionSpec(name).value?.choices;
  return choices === undefined ? [] : [{ option: `--${name}`, choices }];
});

/** What follows the options that take a value of no known kind: nothing is offered. */
export function openOptions(): string[] {
  const chosen = CHOICE_OPTIONS.map(({ option }) => option);
  return valueOptions("other").filter((option) => !chosen.includes(option));
}

/** All options that take a value. */
export const VALUE_OPTIONS = OPTIONS.filter(({ name }) => optionSpec(name).value !== undefined).map(
  ({ name }) => `--${name}`,
);

/** What a candidate means, in a few words. */
export function explanation(words: Words, { word, command }: Candidate): string {
  return command === undefined ? word : commandSummary(words, command);
}

/** A text as one word of a POSIX shell, always in quotes. */
export function single(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function script(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}
