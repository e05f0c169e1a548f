import { endingOf, resultOf } from "./commands/ending.ts";
import type { Invocation, OutputOptions } from "./commands/invocation.ts";
import { outputOptions, parse } from "./commands/parse.ts";
import type { Performable } from "./commands/perform.ts";
import { asciiStreams, causes, openStreams, write } from "./output-streams.ts";
import { chooseAppearance } from "./words/appearance.ts";
import { chooseLanguage, type Language, withWindowsLocale } from "./words/locale.ts";
import type { ReportStreams } from "./words/reporter-for.ts";
import { loadPlainWords, loadWords } from "./words/words.ts";
import { platform } from "./world/platform.ts";

/**
 * The program: arguments in, one command, one result, an exit code. The only catch-all is here. What is text
 * alone (help, completion) is answered before anything is loaded that works on a server.
 */
export async function main(args: readonly string[]): Promise<void> {
  // Whatever we make is for its owner alone, even before its mode is set.
  process.umask(0o077);
  // Node opens a debugger port at this signal unless somebody listens.
  process.on("SIGUSR1", () => undefined);
  // Nobody reads any more: that is no failure of ours.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  const output = outputOptions(args, process.env);
  const system = platform();
  const env = system === "win32" ? withWindowsLocale(process.env, personsLocale()) : process.env;
  const streams = await openStreams(system, env);
  const language = chooseLanguage(output.lang, env);
  const reports = output.json && system === "win32" ? asciiStreams(streams) : streams;
  process.exit(await run({ args, output, language, streams, reports }));
}

/** How the program was called. */
export interface Call {
  readonly args: readonly string[];
  readonly output: OutputOptions;
  readonly language: Language;
  /** The streams of this process and the environment that says how text may look on them. */
  readonly streams: ReportStreams;
  /** The same for what is reported. */
  readonly reports: ReportStreams;
}

async function run(call: Call): Promise<number> {
  let command = "";
  try {
    const invocation = parse(call.args, process.env);
    command = invocation.kind;
    if (!isText(invocation)) return await (await import("./run-command.ts")).runCommand(invocation, call);
    const text = await textFor(invocation, call);
    // A script is for a shell, which reads UTF-8; PowerShell alone reads what comes through its console.
    const isScript = invocation.kind === "completion" && invocation.shell !== "powershell";
    if (isScript) write(process.stdout, text);
    else call.streams.out.write(text);
    return 0;
  } catch (error) {
    return await failed(error, command, call);
  }
}

async function failed(error: unknown, command: string, call: Call): Promise<number> {
  const { output, language, streams } = call;
  const end = endingOf(error);
  const words = await loadWords(language);
  if ("problem" in end && end.problem.code === "NO_COMMAND" && !output.json) {
    const { helpText } = await import("./commands/help.ts");
    const appearance = chooseAppearance(streams.err, streams.env, output.noColor);
    streams.err.write(helpText(words, null, appearance));
  }
  if (output.verbose) streams.err.write(causes(error));
  const { reporterFor } = await import("./words/reporter-for.ts");
  const result = resultOf(command, end);
  reporterFor(words, output, call.reports).result(result);
  return result.exitCode;
}

type Text = Exclude<Invocation, Performable>;

function isText(invocation: Invocation): invocation is Text {
  return invocation.kind === "help" || invocation.kind === "version" || invocation.kind === "completion";
}

/** What is text alone: printed as it is, with `--json` too. */
async function textFor(invocation: Text, { language, output, streams }: Call): Promise<string> {
  const words = await loadPlainWords(language);
  const appearance = chooseAppearance(streams.out, streams.env, output.noColor);
  switch (invocation.kind) {
    case "help":
      return (await import("./commands/help.ts")).helpText(words, invocation.topic, appearance);
    case "version":
      return `${(await import("./commands/version.ts")).version()}\n`;
    case "completion":
      return (await import("./commands/completion.ts")).completionScript(invocation.shell, words);
  }
}

/** What the person chose in Windows' settings. */
function personsLocale(): string {
  return Intl.DateTimeFormat().resolvedOptions().locale;
}
