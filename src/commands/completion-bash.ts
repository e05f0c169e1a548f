// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the shell’s variables.
import {
  CHOICE_OPTIONS,
  openOptions,
  places,
  script,
  VALUE_OPTIONS,
  valueOptions,
} from "./completion-places.ts";
import { PROGRAM } from "./options.ts";

/** The completion script for bash. */
export function bash(): string {
  const name = "_plex_reclaim";
  const rows = places().map(
    ({ command, words, options }) =>
      `    '${command}') words='${[...words.map(({ word }) => word), ...options.map((option) => `--${option}`)].join(" ")}' ;;`,
  );
  return script([
    `# bash completion for ${PROGRAM}`,
    `${name}() {`,
    "  local current previous command words word skip index",
    "  current=${COMP_WORDS[COMP_CWORD]}",
    "  previous=${COMP_WORDS[COMP_CWORD-1]}",
    "  COMPREPLY=()",
    // The value of `--option=value` is a word of its own after a word `=`.
    '  if [[ $current == "=" ]]; then current=""; fi',
    '  if [[ $previous == "=" && $COMP_CWORD -ge 2 ]]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi',
    "  case $previous in",
    ...CHOICE_OPTIONS.map(
      ({ option, choices }) =>
        `    ${option}) COMPREPLY=($(compgen -W '${choices.join(" ")}' -- "$current")); return ;;`,
    ),
    `    ${valueOptions("path").join("|")})`,
    '      compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;',
    `    ${valueOptions("folder").join("|")})`,
    '      compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;',
    `    ${openOptions().join("|")}) return ;;`,
    "  esac",
    "  command=''",
    "  skip=''",
    "  for ((index = 1; index < COMP_CWORD; index++)); do",
    "    word=${COMP_WORDS[index]}",
    '    if [[ $word == "=" ]]; then skip=yes; continue; fi',
    '    if [[ -n $skip ]]; then skip=""; continue; fi',
    "    case $word in",
    `      ${VALUE_OPTIONS.join("|")})`,
    '        if [[ ${COMP_WORDS[index+1]} != "=" ]]; then skip=yes; fi ;;',
    "      -*) ;;",
    "      *) command=${command:+$command }$word ;;",
    "    esac",
    "  done",
    "  words=''",
    "  case $command in",
    ...rows,
    "  esac",
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    "}",
    `complete -F ${name} ${PROGRAM}`,
  ]);
}
