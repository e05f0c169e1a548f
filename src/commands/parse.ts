import { ProblemError } from "../model/problem.ts";
import { Secret } from "../model/secret.ts";
import { hasCodeInArgument } from "./code-in-argument.ts";
import type {
  ChangeOptions,
  CommonOptions,
  CredentialOptions,
  HelpTopic,
  Invocation,
  OutputOptions,
  TargetOptions,
} from "./invocation.ts";
import { nearest } from "./nearest.ts";
import { type Environment, loopbackUrl, OptionValues } from "./option-values.ts";
import {
  type CommandName,
  type CommandSpec,
  commandSpec,
  FIRST_WORDS,
  OPTIONS,
  type OptionName,
  optionsOf,
  SHELLS,
  subcommandsOf,
} from "./options.ts";
import { beforeDoubleDash, readArguments, refuse } from "./read-arguments.ts";

/**
 * Reads the arguments (without the program's own name) and the environment twins.
 *
 * Throws `ProblemError` for wrong usage. A claim code among the arguments is looked for before anything else,
 * and no problem repeats a value: only plain names of options and commands come back.
 */
export function parse(argv: readonly string[], env: Environment): Invocation {
  if (hasCodeInArgument(argv)) refuse({ code: "CODE_IN_ARGUMENT" });
  try {
    return parsed(argv, env);
  } catch (error) {
    // Somebody who asks for help gets it, whatever else is wrong.
    if (error instanceof ProblemError && asksForHelp(argv)) {
      return { kind: "help", topic: topicAmong(argv), options: outputOptions(argv, env) };
    }
    throw error;
  }
}

/** How to say things, read from arguments that may be wrong otherwise: for reporting that they are. Never throws. */
export function outputOptions(argv: readonly string[], env: Environment): OutputOptions {
  const given = new Map<OptionName, string | null>();
  for (const [index, argument] of beforeDoubleDash(argv).entries()) {
    const [, name, value] = /^--([a-z-]+)(?:=(.*))?$/s.exec(argument) ?? [];
    const option = OPTIONS.find((candidate) => candidate.name === name);
    if (option !== undefined)
      given.set(option.name, value ?? ("value" in option ? (argv[index + 1] ?? "") : null));
  }
  return outputFrom(new OptionValues(given, env, "lenient"));
}

function parsed(argv: readonly string[], env: Environment): Invocation {
  const { words, given } = readArguments(argv);
  const values = new OptionValues(given, env, "strict");
  if (values.isOn("version")) return { kind: "version", options: outputFrom(values) };
  const help = values.isOn("help");
  if (words.length === 0) {
    if (help) return { kind: "help", topic: null, options: outputFrom(values) };
    refuse({ code: "NO_COMMAND" });
  }
  if (help && words.length === 1 && words[0] === "backup") {
    return { kind: "help", topic: "backup", options: outputFrom(values) };
  }
  const { command, rest } = commandFrom(words);
  refuseForeignOptions(command, given);
  if (help) return { kind: "help", topic: command.name, options: outputFrom(values) };
  return invocation(command, rest, values);
}

function commandFrom(words: readonly string[]): {
  command: CommandSpec & { readonly name: CommandName };
  rest: readonly string[];
} {
  const [first = "", second] = words;
  const single = commandSpec(first);
  if (single !== undefined) return { command: single, rest: words.slice(1) };
  const subcommands = subcommandsOf(first);
  if (subcommands.length === 0) refuseUnknownCommand(first, "", FIRST_WORDS);
  if (second === undefined) {
    refuse({ code: "MISSING_ARGUMENT", argument: subcommands.join("|"), command: first });
  }
  const command = commandSpec(`${first} ${second}`);
  if (command === undefined) refuseUnknownCommand(second, `${first} `, subcommands);
  return { command, rest: words.slice(2) };
}

function refuseUnknownCommand(word: string, before: string, candidates: readonly string[]): never {
  const near = nearest(word, candidates);
  refuse({
    code: "UNKNOWN_COMMAND",
    given: /^[a-z][a-z-]{0,15}$/.test(word) ? `${before}${word}` : "…",
    nearest: near === "" ? "" : `${before}${near}`,
  });
}

function refuseForeignOptions(command: CommandSpec, given: ReadonlyMap<OptionName, unknown>): void {
  const own = optionsOf(command);
  for (const name of given.keys()) {
    if (!own.includes(name)) refuse({ code: "UNKNOWN_OPTION", option: `--${name}`, nearest: "" });
  }
}

function invocation(
  command: CommandSpec & { readonly name: CommandName },
  rest: readonly string[],
  values: OptionValues,
): Invocation {
  const kind = command.name;
  if (kind === "help") return { kind, topic: helpTopic(rest), options: outputFrom(values) };
  const argument = argumentFrom(command, rest);
  switch (kind) {
    case "status":
    case "verify":
    case "backup create":
      return { kind, options: targetFrom(values) };
    case "reset":
    case "claim":
      return { kind, options: { ...targetFrom(values), ...changeFrom(values), ...credentialsFrom(values) } };
    case "undo": {
      const options = { ...targetFrom(values), ...changeFrom(values), oldSignIn: values.isOn("old-sign-in") };
      return argument === undefined ? { kind, options } : { kind, run: argument, options };
    }
    case "backup list":
      return { kind, options: commonFrom(values) };
    case "backup verify": {
      const options = commonFrom(values);
      return argument === undefined ? { kind, options } : { kind, id: argument, options };
    }
    case "backup show":
      return { kind, id: argument ?? "", options: commonFrom(values) };
    case "backup restore":
      return { kind, id: argument ?? "", options: { ...targetFrom(values), ...changeFrom(values) } };
    case "backup delete": {
      const { dryRun, yes } = { dryRun: values.isOn("dry-run"), yes: values.isOn("yes") };
      return { kind, id: argument ?? "", options: { ...commonFrom(values), dryRun, yes } };
    }
    case "demo":
      return { kind, keep: values.isOn("keep"), options: commonFrom(values) };
    case "completion": {
      const shell = SHELLS.find((candidate) => candidate === argument) ?? "bash";
      return { kind, shell, options: outputFrom(values) };
    }
  }
}

function argumentFrom(command: CommandSpec, rest: readonly string[]): string | undefined {
  const [argument, ...excess] = rest;
  const spec = command.argument;
  if (excess.length > 0 || (spec === undefined && argument !== undefined)) {
    refuse({ code: "EXCESS_ARGUMENT", command: command.name });
  }
  if (spec === undefined) return undefined;
  if (argument === undefined) {
    if (!spec.required) return undefined;
    refuse({ code: "MISSING_ARGUMENT", argument: spec.placeholder, command: command.name });
  }
  if (spec.choices !== undefined && !spec.choices.includes(argument)) {
    refuse({ code: "BAD_VALUE", option: spec.placeholder, allowed: spec.choices.join(", ") });
  }
  // Runs and backups are looked up by name in a folder: nothing that could be a path gets there.
  if (spec.choices === undefined && !/^[\p{L}\p{N}][\p{L}\p{N}_.-]{0,99}$/u.test(argument)) {
    refuse({ code: "BAD_VALUE", option: spec.placeholder, allowed: "name" });
  }
  return argument;
}

function helpTopic(rest: readonly string[]): HelpTopic | null {
  if (rest.length === 0) return null;
  if (rest.length === 1 && rest[0] === "backup") return "backup";
  const { command, rest: excess } = commandFrom(rest);
  if (excess.length > 0) refuse({ code: "EXCESS_ARGUMENT", command: "help" });
  return command.name;
}

function asksForHelp(argv: readonly string[]): boolean {
  return beforeDoubleDash(argv).some((argument) => argument === "--help" || argument === "-h");
}

function topicAmong(argv: readonly string[]): HelpTopic | null {
  const words = argv.filter((argument) => !argument.startsWith("-"));
  const [first = "", second = ""] = words;
  if (first === "backup") return commandSpec(`${first} ${second}`)?.name ?? "backup";
  return commandSpec(first)?.name ?? null;
}

function outputFrom(values: OptionValues): OutputOptions {
  const lang = values.choice("lang", ["en", "ru"]);
  return {
    json: values.isOn("json"),
    ...(lang === undefined ? {} : { lang }),
    noColor: values.isOn("no-color"),
    accessible: values.isOn("accessible"),
    verbose: values.isOn("verbose"),
  };
}

function commonFrom(values: OptionValues): CommonOptions {
  return {
    ...outputFrom(values),
    offline: values.isOn("offline"),
    ...present("server", values.text("server")?.toLowerCase()),
    ...present("stateDir", values.path("state-dir")),
    ...present("plextvUrl", loopbackUrl(values.env)),
  };
}

function targetFrom(values: OptionValues): TargetOptions {
  return {
    ...commonFrom(values),
    ...present("settings", values.path("settings")),
    ...present("stopCommand", values.text("stop-command")),
    ...present("startCommand", values.text("start-command")),
    ...present("serverUrl", values.url("server-url")),
    ...present("processMatch", values.path("process-match")),
  };
}

function changeFrom(values: OptionValues): ChangeOptions {
  return {
    dryRun: values.isOn("dry-run"),
    yes: values.isOn("yes"),
    keepStopped: values.isOn("keep-stopped"),
  };
}

function credentialsFrom(values: OptionValues): CredentialOptions {
  const code = (values.env["PLEX_CLAIM"] ?? "").trim();
  return {
    ...present("claimCodeFile", values.path("claim-code-file")),
    ...(code === "" ? {} : { claimCodeInEnvironment: new Secret(code) }),
    ...present("expectAccount", values.text("expect-account")),
  };
}

/** A field that is absent rather than undefined. */
function present<K extends string>(key: K, value: string | undefined): { [P in K]?: string } {
  const field: { [P in K]?: string } = {};
  if (value !== undefined) field[key] = value;
  return field;
}
