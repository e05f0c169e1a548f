// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the shell’s variables.
import type { Words } from "../words/words.ts";
import {
  CHOICE_OPTIONS,
  explanation,
  openOptions,
  places,
  script,
  single,
  VALUE_OPTIONS,
  valueOptions,
} from "./completion-places.ts";
import { optionSummary } from "./help.ts";
import { PROGRAM } from "./options.ts";

/** The completion script for zsh. */
export function zsh(words: Words): string {
  const rows = places().map(({ command, words: candidates, options }) => {
    const items = [
      ...candidates.map((candidate) => zshItem(candidate.word, explanation(words, candidate))),
      ...options.map((option) => zshItem(`--${option}`, optionSummary(words, option))),
    ];
    return `    ${single(command)}) items=(${items.join(" ")}) ;;`;
  });
  return script([
    `#compdef ${PROGRAM}`,
    "_plex_reclaim() {",
    "  local command='' word skip='' previous",
    "  local -i index",
    "  local -a items",
    "  previous=${words[CURRENT-1]}",
    "  case $previous in",
    ...CHOICE_OPTIONS.map(
      ({ option, choices }) => `    ${option}) compadd -- ${choices.join(" ")}; return ;;`,
    ),
    `    ${valueOptions("path").join("|")}) _files; return ;;`,
    `    ${valueOptions("folder").join("|")}) _files -/; return ;;`,
    `    ${openOptions().join("|")}) return 1 ;;`,
    "  esac",
    "  for ((index = 2; index < CURRENT; index++)); do",
    "    word=${words[index]}",
    '    if [[ -n $skip ]]; then skip=""; continue; fi',
    "    case $word in",
    `      ${VALUE_OPTIONS.join("|")}) skip=yes ;;`,
    "      -*) ;;",
    "      *) command=${command:+$command }$word ;;",
    "    esac",
    "  done",
    "  case $command in",
    ...rows,
    "  esac",
    `  _describe ${PROGRAM} items`,
    "}",
    // Loaded as a function file it is called at once; sourced, it registers itself.
    `if [[ $funcstack[1] == _plex-reclaim ]]; then _plex_reclaim "$@"; else compdef _plex_reclaim ${PROGRAM}; fi`,
  ]);
}

function zshItem(word: string, text: string): string {
  return single(`${word.replaceAll(":", "\\:")}:${text}`);
}
