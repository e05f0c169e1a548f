import type { Words } from "../words/words.ts";
import { explanation, places, script, single } from "./completion-places.ts";
import { commandSummary, optionSummary } from "./help.ts";
import { EVERYWHERE, FIRST_WORDS, type OptionName, optionSpec, PROGRAM, subcommandsOf } from "./options.ts";

/** The completion script for fish. */
export function fish(words: Words): string {
  const known = FIRST_WORDS.join(" ");
  const lines = [`# fish completion for ${PROGRAM}`, `complete -c ${PROGRAM} -f`];
  for (const word of FIRST_WORDS) {
    const when = single(`not __fish_seen_subcommand_from ${known}`);
    lines.push(`complete -c ${PROGRAM} -n ${when} -a ${word} -d ${fishText(commandSummary(words, word))}`);
  }
  for (const place of places()) {
    if (place.command === "") continue;
    const when = single(fishCondition(place.command));
    for (const candidate of place.words) {
      const text = fishText(explanation(words, candidate));
      lines.push(`complete -c ${PROGRAM} -n ${when} -a ${candidate.word} -d ${text}`);
    }
    for (const option of place.options) {
      if (!EVERYWHERE.includes(option)) lines.push(`${fishOption(words, option)} -n ${when}`);
    }
  }
  for (const option of EVERYWHERE) lines.push(fishOption(words, option));
  return script(lines);
}

function fishCondition(command: string): string {
  const [first = "", second] = command.split(" ");
  if (second !== undefined) {
    return `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`;
  }
  const subcommands = subcommandsOf(first);
  const begun = `__fish_seen_subcommand_from ${first}`;
  if (subcommands.length > 0) return `${begun}; and not __fish_seen_subcommand_from ${subcommands.join(" ")}`;
  // `backup verify` is another command than `verify`.
  const groups = FIRST_WORDS.filter((word) => subcommandsOf(word).includes(first));
  return groups.length === 0 ? begun : `${begun}; and not __fish_seen_subcommand_from ${groups.join(" ")}`;
}

function fishOption(words: Words, name: OptionName): string {
  const { short, value } = optionSpec(name);
  const form = `complete -c ${PROGRAM} -l ${name}${short === undefined ? "" : ` -s ${short}`}`;
  const text = `-d ${fishText(optionSummary(words, name))}`;
  if (value === undefined) return `${form} ${text}`;
  if (value.choices !== undefined) return `${form} -x -a ${single(value.choices.join(" "))} ${text}`;
  if (value.shape === "path") return `${form} -r -F ${text}`;
  if (value.shape === "folder") return `${form} -x -a '(__fish_complete_directories)' ${text}`;
  return `${form} -x ${text}`;
}

function fishText(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
