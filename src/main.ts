import { basename } from "node:path";
import type { Invocation, OutputOptions } from "./commands/invocation.ts";
import { outputOptions, parse } from "./commands/parse.ts";
import { type Performable, perform } from "./commands/perform.ts";
import { questionsAt } from "./commands/questions.ts";
import { type Ending, resultOf, type Session, withPrivilegedLine } from "./commands/session.ts";
import { ProblemError } from "./model/problem.ts";
import { asProblem } from "./stages/put-back.ts";
import { realTerminal } from "./terminal/real-terminal.ts";
import { chooseAppearance } from "./words/appearance.ts";
import { chooseLanguage } from "./words/locale.ts";
import { jsonReporter } from "./words/report-json.ts";
import { textReporter } from "./words/report-text.ts";
import type { Reporter } from "./words/reporter.ts";
import { loadWords, type Words } from "./words/words.ts";
import { realWorld } from "./world/real.ts";

/**
 * The program: arguments in, one command, one result, an exit code. The only catch-all is here.
 */
export async function main(args: readonly string[]): Promise<void> {
  // Whatever we make is for its owner alone, even before its mode is set.
  process.umask(0o077);
  // Node opens a debugger port at this signal unless somebody listens.
  process.on("SIGUSR1", () => undefined);
  const controller = new AbortController();
  const output = outputOptions(args, process.env);
  const words = await loadWords(chooseLanguage(output.lang, process.env));
  const reporter = reporterFor(words, output);
  watchForInterrupts(controller, reporter);
  process.exit(await run(args, output, words, reporter, controller.signal));
}

async function run(
  args: readonly string[],
  output: OutputOptions,
  words: Words,
  reporter: Reporter,
  interrupt: AbortSignal,
): Promise<number> {
  let command = "";
  let end: Ending;
  try {
    const invocation = parse(args, process.env);
    command = invocation.kind;
    if (isText(invocation)) {
      write(process.stdout, await textFor(invocation, words, output));
      return 0;
    }
    const session = openSession(args, output, words, reporter, interrupt);
    end = await performed(session, invocation, output);
  } catch (error) {
    end = await failed(error, output, words);
  }
  const result = resultOf(command, end);
  reporter.result(result);
  return result.exitCode;
}

/** A command's own failure, with the line to type where it lacks privilege. */
async function performed(session: Session, invocation: Performable, output: OutputOptions): Promise<Ending> {
  try {
    return await perform(session, invocation);
  } catch (error) {
    const end = ended(error);
    if (output.verbose) write(process.stderr, causes(error));
    return "problem" in end ? { ...end, problem: withPrivilegedLine(session, end.problem) } : end;
  }
}

async function failed(error: unknown, output: OutputOptions, words: Words): Promise<Ending> {
  const end = ended(error);
  if ("problem" in end && end.problem.code === "NO_COMMAND" && !output.json) {
    const { helpText } = await import("./commands/help.ts");
    write(
      process.stderr,
      helpText(words, null, chooseAppearance(process.stderr, process.env, output.noColor)),
    );
  }
  if (output.verbose) write(process.stderr, causes(error));
  return end;
}

function ended(error: unknown): Ending {
  const aftermath = error instanceof ProblemError ? error.aftermath : ({ kind: "nothing-changed" } as const);
  return { problem: asProblem(error), aftermath, data: {} };
}

type Text = Exclude<Invocation, Performable>;

function isText(invocation: Invocation): invocation is Text {
  return invocation.kind === "help" || invocation.kind === "version" || invocation.kind === "completion";
}

/** What is text alone: printed as it is, with `--json` too. */
async function textFor(invocation: Text, words: Words, output: OutputOptions): Promise<string> {
  const appearance = chooseAppearance(process.stdout, process.env, output.noColor);
  switch (invocation.kind) {
    case "help":
      return (await import("./commands/help.ts")).helpText(words, invocation.topic, appearance);
    case "version":
      return `${(await import("./commands/version.ts")).version()}\n`;
    case "completion":
      return (await import("./commands/completion.ts")).completionScript(invocation.shell, words);
  }
}

function reporterFor(words: Words, output: OutputOptions): Reporter {
  const streams = {
    out: (text: string) => write(process.stdout, text),
    err: (text: string) => write(process.stderr, text),
  };
  if (output.json) return jsonReporter(streams);
  return textReporter({
    words,
    output: streams,
    out: chooseAppearance(process.stdout, process.env, output.noColor),
    err: chooseAppearance(process.stderr, process.env, output.noColor),
    verbose: output.verbose,
  });
}

function openSession(
  args: readonly string[],
  output: OutputOptions,
  words: Words,
  reporter: Reporter,
  interrupt: AbortSignal,
): Session {
  const world = realWorld();
  const terminal = realTerminal({
    words,
    json: output.json,
    accessible: output.accessible,
    noColor: output.noColor,
    interrupt,
  });
  return {
    world,
    context: { world, interrupt, emit: (event) => reporter.event(event) },
    questions: questionsAt(terminal, words),
    program: { command: ownCommand(process.execPath, process.argv[1] ?? ""), args },
    readStandardInput,
  };
}

/** What to type to call this program again: its own name where it was installed under that, else the whole path. */
function ownCommand(runtime: string, script: string): string[] {
  return basename(script) === "plex-reclaim" ? [script] : [runtime, script];
}

/** Ctrl-C, termination, a hang-up and a closed output: all ask the run to put things back and end. */
function watchForInterrupts(controller: AbortController, reporter: Reporter): void {
  const stop = (signal: string) => {
    controller.abort(signal);
    reporter.event({ type: "note", note: { code: "INTERRUPT_SEEN" } });
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  // Nobody reads any more: nothing is said, but the run still ends in a settled state.
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", () => controller.abort("SIGPIPE"));
}

function write(stream: NodeJS.WriteStream, text: string): void {
  if (!stream.destroyed && !stream.writableEnded) stream.write(text);
}

async function readStandardInput(capBytes: number): Promise<string> {
  let text = "";
  process.stdin.setEncoding("utf8");
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.length > capBytes) break;
  }
  return text;
}

/** Names and codes of an error and its causes; never their messages, which may repeat what they choked on. */
function causes(error: unknown): string {
  const lines: string[] = [];
  for (let each = error; each instanceof Error; each = each.cause) {
    const code = "code" in each && typeof each.code === "string" ? ` ${each.code}` : "";
    const frames = (each.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
    lines.push(`${each.name}${code}`, ...frames);
  }
  return `${lines.join("\n")}\n`;
}
