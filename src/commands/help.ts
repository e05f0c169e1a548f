import { type Appearance, toned, withSymbols } from "../words/appearance.ts";
import type { WordKey, Words } from "../words/words.ts";
import { wrap } from "../words/wrap.ts";
import type { HelpTopic } from "./invocation.ts";
import {
  COMMANDS,
  type CommandSpec,
  commandSpec,
  MAIN_EXAMPLES,
  OPTION_GROUPS,
  type OptionName,
  optionSpec,
  optionsOf,
  PROGRAM,
} from "./options.ts";

/** The help: examples first, then the rest; lines as wide as the stream. `null` is the program as a whole. */
export function helpText(words: Words, topic: HelpTopic | null, appearance: Appearance): string {
  const page: Page = { words, appearance };
  const spec = topic === null ? undefined : commandSpec(topic);
  const sections = spec === undefined ? topicSections(page, topic) : commandSections(page, spec);
  return withSymbols(`${sections.join("\n\n")}\n`, appearance);
}

/** What a command does in a few words: for help and completion. */
export function commandSummary(words: Words, name: string): string {
  return phrase(words, `${commandKey(name)}.summary`);
}

/** What an option does in a few words. */
export function optionSummary(words: Words, name: OptionName): string {
  return words.say(`option.${name}`);
}

interface Page {
  readonly words: Words;
  readonly appearance: Appearance;
}

function topicSections(page: Page, topic: HelpTopic | null): string[] {
  const { words } = page;
  if (topic !== null) {
    const group = COMMANDS.filter((command) => command.name.startsWith(`${topic} `));
    return [
      paragraph(page, phrase(words, `${commandKey(topic)}.about`)),
      section(page, "help.usage", [line(page, `${PROGRAM} ${topic} <${words.say("help.command")}>`)]),
      commandList(page, group),
      paragraph(page, words.say("help.more")),
    ];
  }
  return [
    paragraph(page, words.say("help.tagline")),
    examples(page, MAIN_EXAMPLES, "help"),
    section(page, "help.usage", [
      line(page, `${PROGRAM} <${words.say("help.command")}> [${words.say("help.options")}]`),
    ]),
    commandList(page, COMMANDS),
    optionGroup(page, "everywhere", optionsOf({ name: "", options: [], examples: [] })),
    section(page, "help.environment-heading", [line(page, words.say("help.environment"))]),
    exitCodes(page),
    paragraph(page, words.say("help.more")),
  ];
}

function commandSections(page: Page, spec: CommandSpec): string[] {
  const { words } = page;
  const options = optionsOf(spec);
  const argument =
    spec.argument === undefined ? "" : ` ${inBrackets(spec.argument.placeholder, spec.argument.required)}`;
  const usage = `${PROGRAM} ${spec.name}${argument} [${words.say("help.options")}]`;
  const groups = OPTION_GROUPS.map((group) =>
    optionGroup(
      page,
      group,
      options.filter((option) => optionSpec(option).group === group),
    ),
  );
  return [
    examples(page, spec.examples, commandKey(spec.name)),
    paragraph(page, phrase(words, `${commandKey(spec.name)}.about`)),
    section(page, "help.usage", [line(page, usage)]),
    ...groups.filter((group) => group !== ""),
  ];
}

function examples(page: Page, lines: readonly string[], family: string): string {
  const items = lines.map((line, index) =>
    item(page, `${PROGRAM} ${line}`, phrase(page.words, `${family}.example.${index + 1}`)),
  );
  return section(page, "help.examples", items);
}

function commandList(page: Page, commands: readonly CommandSpec[]): string {
  const items = commands.map((command) => {
    const { argument } = command;
    const tail = argument === undefined ? "" : ` ${inBrackets(argument.placeholder, argument.required)}`;
    return item(page, `${command.name}${tail}`, commandSummary(page.words, command.name));
  });
  return section(page, "help.commands", items);
}

function optionGroup(
  page: Page,
  group: (typeof OPTION_GROUPS)[number],
  options: readonly OptionName[],
): string {
  if (options.length === 0) return "";
  const items = options.map((name) => {
    const { short, value } = optionSpec(name);
    const forms = [...(short === undefined ? [] : [`-${short}`]), `--${name}`].join(", ");
    return item(
      page,
      value === undefined ? forms : `${forms} ${value.placeholder}`,
      optionSummary(page.words, name),
    );
  });
  return section(page, `help.group.${group}`, items);
}

const EXIT_CODES = ["0", "1", "2", "3", "4", "5", "6", "130"] as const;

function exitCodes(page: Page): string {
  const { words } = page;
  const lines = EXIT_CODES.map((code) => `${code}: ${words.say(`help.exit.${code}`)}`);
  return section(
    page,
    "help.exit-codes",
    [...lines, words.say("help.exit.other")].map((text) => line(page, text)),
  );
}

/** A thing and, on the next line, what it is: no columns that a narrow terminal would tear. */
function item({ appearance }: Page, thing: string, explanation: string): string {
  return `  ${thing}\n      ${wrap(explanation, appearance.columns - 6).replaceAll("\n", "\n      ")}`;
}

/** Its items are indented already. */
function section({ words, appearance }: Page, heading: WordKey, items: readonly string[]): string {
  return [toned(words.say(heading), "heading", appearance), ...items].join("\n");
}

function line({ appearance }: Page, text: string): string {
  return wrap(`  ${text}`, appearance.columns);
}

function paragraph({ appearance }: Page, text: string): string {
  return wrap(text, appearance.columns);
}

function inBrackets(placeholder: string, required: boolean): string {
  return required ? placeholder : `[${placeholder}]`;
}

function commandKey(name: string): string {
  return `command.${name.replaceAll(" ", "-")}`;
}

/** A message whose name was put together; that each exists is held by a test. */
function phrase(words: Words, key: string): string {
  return words.has(key) ? words.say(key) : key;
}
