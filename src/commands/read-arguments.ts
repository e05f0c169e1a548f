import { parseArgs } from "node:util";
import { type Problem, ProblemError } from "../model/problem.ts";
import { nearest } from "./nearest.ts";
import { commandSpec, OPTIONS, type OptionName, optionSpec, optionsOf } from "./options.ts";

/** Splits arguments into words and options with the values they were given; what is unknown is refused. */
export function readArguments(argv: readonly string[]): {
  words: readonly string[];
  given: Map<OptionName, string | null>;
} {
  refuseMissingValues(argv);
  // Strict, it would put values of arguments into its errors.
  const reading = { strict: false, allowPositionals: true, tokens: true } as const;
  const { tokens, positionals } = parseArgs({ args: [...argv], options: FORMS, ...reading });
  const given = new Map<OptionName, string | null>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const option = OPTIONS.find(({ name }) => name === token.name);
    if (option === undefined) refuseUnknownOption(argv[token.index] ?? "", positionals);
    given.set(option.name, token.value ?? null);
  }
  const dashed = positionals.find((word) => word.startsWith("-"));
  if (dashed !== undefined) refuseUnknownOption(dashed, positionals);
  return { words: positionals, given };
}

const FORMS = Object.fromEntries(
  OPTIONS.map(({ name }) => {
    const { short, value } = optionSpec(name);
    const type: "boolean" | "string" = value === undefined ? "boolean" : "string";
    return [name, short === undefined ? { type } : { type, short }];
  }),
);

/** The reader would take the next option for the value; nobody means that. */
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
