import { Command, CommanderError, Option } from "commander";
import { type Problem, ProblemError } from "../model/problem.ts";
import { nearest } from "./nearest.ts";
import { commandSpec, OPTIONS, type OptionName, optionSpec, optionsOf } from "./options.ts";

/** Splits arguments into words and options with the values they were given; what is unknown is refused. */
export function readArguments(argv: readonly string[]): {
  words: readonly string[];
  given: Map<OptionName, string | null>;
} {
  refuseMissingValues(argv);
  const given = new Map<OptionName, string | null>();
  const program = new Command()
    .helpOption(false)
    .helpCommand(false)
    .allowUnknownOption()
    .argument("[words...]")
    .exitOverride()
    .configureOutput({ writeErr: () => undefined, writeOut: () => undefined })
    .action(() => undefined);
  for (const { name } of OPTIONS) {
    const { short, value } = optionSpec(name);
    const flags = `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : " <value>"}`;
    program.addOption(new Option(flags));
    program.on(`option:${name}`, (text: string | undefined) => given.set(name, text ?? null));
  }
  try {
    program.parse(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Everything that can be wrong was looked for before; what is left is a form nobody thought of.
    refuse({ code: "UNKNOWN_OPTION", option: HIDDEN, nearest: "" });
  }
  const unknown = program.args.find((word) => word.startsWith("-"));
  if (unknown !== undefined) refuseUnknownOption(unknown, program.args);
  return { words: program.args, given };
}

/** The library would take the next option for the value; nobody means that. */
function refuseMissingValues(argv: readonly string[]): void {
  for (const [index, argument] of beforeDoubleDash(argv).entries()) {
    const [name = "", value] = argument.startsWith("--") ? splitOption(argument) : [];
    const option = OPTIONS.find((candidate) => candidate.name === name);
    if (option === undefined || !("value" in option)) {
      if (option !== undefined && value !== undefined) {
        refuse({ code: "BAD_VALUE", option: `--${name}`, allowed: "no-value" });
      }
      continue;
    }
    const next = value ?? argv[index + 1];
    const missing = next === undefined || next === "" || (value === undefined && /^-./.test(next));
    if (missing) refuse({ code: "MISSING_VALUE", option: `--${name}` });
  }
}

function splitOption(argument: string): [name: string, value: string | undefined] {
  const at = argument.indexOf("=");
  return at < 0 ? [argument.slice(2), undefined] : [argument.slice(2, at), argument.slice(at + 1)];
}

/** Stands for a name that is too odd to be repeated: it may be a secret that was put in a wrong place. */
const HIDDEN = "--…";

function refuseUnknownOption(argument: string, words: readonly string[]): never {
  const name = splitOption(argument.replace(/^-*/, "--"))[0].toLowerCase();
  const command = commandSpec(words.slice(0, 2).join(" ")) ?? commandSpec(words[0] ?? "");
  const candidates = command === undefined ? OPTIONS.map((option) => option.name) : optionsOf(command);
  const near = nearest(name, candidates);
  refuse({
    code: "UNKNOWN_OPTION",
    option: /^[a-z][a-z-]{0,23}$/.test(name) ? `--${name}` : HIDDEN,
    nearest: near === "" ? "" : `--${near}`,
  });
}

/** The arguments that can be options. */
export function beforeDoubleDash(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf("--");
  return end < 0 ? argv : argv.slice(0, end);
}

/** Ends the reading; nothing was changed yet. */
export function refuse(problem: Problem): never {
  throw new ProblemError(problem);
}
