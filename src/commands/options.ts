/**
 * Every command and every option, as data. Parsing, help, the environment twins, completion and the documents
 * are all made from these two tables; the words are in the catalogues, under `option.NAME` and `command.NAME.…`.
 */

/** The program's name, as it is typed. */
export const PROGRAM = "plex-reclaim";

/** An option. A switch has no value; `shape` is what a value must look like. */
export interface OptionSpec {
  readonly name: string;
  readonly short?: string;
  readonly group: OptionGroup;
  /** Absent for a switch. */
  readonly value?: OptionValue;
}

interface OptionValue {
  /** How the help names it. */
  readonly placeholder: string;
  readonly shape: "text" | "path" | "folder" | "id" | "url" | "choice";
  readonly choices?: readonly string[];
}

/** The headings under which the help lists options, in its order. */
export const OPTION_GROUPS = ["credentials", "undo", "demo", "change", "target", "everywhere"] as const;
type OptionGroup = (typeof OPTION_GROUPS)[number];

export const OPTIONS = [
  { name: "json", group: "everywhere" },
  {
    name: "lang",
    group: "everywhere",
    value: { placeholder: "en|ru", shape: "choice", choices: ["en", "ru"] },
  },
  { name: "no-color", group: "everywhere" },
  { name: "accessible", group: "everywhere" },
  { name: "verbose", group: "everywhere" },
  { name: "offline", group: "everywhere" },
  { name: "server", group: "everywhere", value: { placeholder: "ID", shape: "id" } },
  { name: "state-dir", group: "everywhere", value: { placeholder: "DIR", shape: "folder" } },
  { name: "help", short: "h", group: "everywhere" },
  { name: "version", group: "everywhere" },
  { name: "settings", group: "target", value: { placeholder: "PATH", shape: "path" } },
  { name: "stop-command", group: "target", value: { placeholder: "CMD", shape: "text" } },
  { name: "start-command", group: "target", value: { placeholder: "CMD", shape: "text" } },
  { name: "server-url", group: "target", value: { placeholder: "URL", shape: "url" } },
  { name: "process-match", group: "target", value: { placeholder: "PATH", shape: "path" } },
  { name: "dry-run", group: "change" },
  { name: "yes", group: "change" },
  { name: "keep-stopped", group: "change" },
  { name: "claim-code-file", group: "credentials", value: { placeholder: "FILE", shape: "path" } },
  { name: "expect-account", group: "credentials", value: { placeholder: "NAME", shape: "text" } },
  { name: "old-sign-in", group: "undo" },
  { name: "keep", group: "demo" },
] as const satisfies readonly OptionSpec[];

type OptionRow = (typeof OPTIONS)[number];
export type OptionName = OptionRow["name"];
/** The options that take a value, and those that do not. */
export type ValueName = Extract<OptionRow, { value: OptionValue }>["name"];
export type SwitchName = Exclude<OptionName, ValueName>;

/** A command. `name` is all its words; what it may change is said by its options. */
export interface CommandSpec {
  readonly name: string;
  readonly argument?: ArgumentSpec;
  /** Besides those of the group `everywhere`. */
  readonly options: readonly OptionName[];
  /** What to type, after the program's name; explained under `command.NAME.example.1` and so on. */
  readonly examples: readonly string[];
}

interface ArgumentSpec {
  readonly placeholder: string;
  readonly required: boolean;
  readonly choices?: readonly string[];
}

export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;
export type Shell = (typeof SHELLS)[number];

const TARGET = ["settings", "stop-command", "start-command", "server-url", "process-match"] as const;
const CHANGE = ["dry-run", "yes", "keep-stopped"] as const;
const CREDENTIALS = ["claim-code-file", "expect-account"] as const;

export const COMMANDS = [
  { name: "status", options: TARGET, examples: ["status", "status --json"] },
  {
    name: "reset",
    options: [...CREDENTIALS, ...CHANGE, ...TARGET],
    examples: [
      "reset",
      "reset --dry-run",
      "reset --yes --claim-code-file code.txt",
      "reset --settings /srv/plex/Preferences.xml",
    ],
  },
  {
    name: "claim",
    options: [...CREDENTIALS, ...CHANGE, ...TARGET],
    examples: ["claim", "claim --yes --claim-code-file -"],
  },
  { name: "verify", options: TARGET, examples: ["verify", "verify --json"] },
  {
    name: "undo",
    argument: { placeholder: "RUN", required: false },
    options: ["old-sign-in", ...CHANGE, ...TARGET],
    examples: ["undo", "undo --dry-run"],
  },
  { name: "backup list", options: [], examples: ["backup list"] },
  { name: "backup create", options: TARGET, examples: ["backup create"] },
  {
    name: "backup show",
    argument: { placeholder: "ID", required: true },
    options: [],
    examples: ["backup show ID"],
  },
  {
    name: "backup verify",
    argument: { placeholder: "ID", required: false },
    options: [],
    examples: ["backup verify"],
  },
  {
    name: "backup restore",
    argument: { placeholder: "ID", required: true },
    options: [...CHANGE, ...TARGET],
    examples: ["backup restore ID", "backup restore ID --dry-run"],
  },
  {
    name: "backup delete",
    argument: { placeholder: "ID", required: true },
    options: ["dry-run", "yes"],
    examples: ["backup delete ID"],
  },
  { name: "demo", options: ["keep"], examples: ["demo", "demo --keep"] },
  {
    name: "completion",
    argument: { placeholder: "SHELL", required: true, choices: SHELLS },
    options: [],
    examples: ["completion bash"],
  },
  {
    name: "help",
    argument: { placeholder: "COMMAND", required: false },
    options: [],
    examples: ["help reset"],
  },
] as const satisfies readonly CommandSpec[];

export type CommandName = (typeof COMMANDS)[number]["name"];

/** The five examples that open the main help; explained under `help.example.1` … `.5`. */
export const MAIN_EXAMPLES = ["status", "reset", "reset --claim-code-file code.txt", "undo", "demo"] as const;

/** The row of an option. */
export function optionSpec(name: OptionName): OptionSpec {
  return OPTION_ROWS.get(name) ?? { name, group: "everywhere" };
}

/** The row of a command, or undefined where there is no such command. */
export function commandSpec(name: string): (CommandSpec & { readonly name: CommandName }) | undefined {
  return COMMANDS.find((command) => command.name === name);
}

/** The options of a command, its own first, those of every command last. */
export function optionsOf(command: CommandSpec): readonly OptionName[] {
  return [...command.options, ...EVERYWHERE];
}

export const EVERYWHERE: readonly OptionName[] = OPTIONS.filter(
  (option) => option.group === "everywhere",
).map((option) => option.name);

/** The commands that have commands of their own: `backup`. */
export function subcommandsOf(first: string): readonly string[] {
  return COMMANDS.map((command) => command.name.split(" "))
    .filter(([word, second]) => word === first && second !== undefined)
    .map(([, second]) => second ?? "");
}

/** The first words of all commands, each once. */
export const FIRST_WORDS: readonly string[] = [
  ...new Set(COMMANDS.map((command) => command.name.split(" ")[0] ?? "")),
];

/** The environment variable that stands for an option. */
export function twinOf(option: string): string {
  return `PLEX_RECLAIM_${option.toUpperCase().replaceAll("-", "_")}`;
}

const OPTION_ROWS: ReadonlyMap<string, OptionSpec> = new Map(OPTIONS.map((option) => [option.name, option]));
