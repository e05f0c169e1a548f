import { perform } from "./commands/perform.ts";
import { outputOptions, parse } from "./commands/parse.ts";
import type { Invocation, OutputOptions } from "./commands/invocation.ts";
import { questionsAt } from "./commands/questions.ts";
import { type Ending, resultOf, type Session, withPrivilegedLine } from "./commands/session.ts";
import { ProblemError } from "./model/problem.ts";
import { asProblem } from "./stages/put-back.ts";
import { realTerminal } from "./terminal/real-terminal.ts";
import { chooseLanguage } from "./words/locale.ts";
import { reporterFor } from "./words/reporter-for.ts";
import type { Reporter } from "./words/reporter.ts";
import { loadWords } from "./words/words.ts";
import { realWorld } from "./world/real.ts";

/**
 * The program: arguments in, one command, one result, an exit code. The only catch-all is here.
 */
export async function main(args: readonly string[]): Promise<void> {
  // Whatever we make is for its owner alone, even before its mode is set.
  process.umask(0o077);
  // Node opens a debugger port at this signal unless somebody listens.
  process.on("SIGUSR1", () => undefined);
  const interrupt = watchForInterrupts();
  const output = outputOptions(args, process.env);
  const words = await loadWords(chooseLanguage(output.lang, process.env));
  const reporter = reporterFor(words, output, {
    env: process.env,
    out: { write: (text) => write(process.stdout, text), isTTY: process.stdout.isTTY === true, columns: process.stdout.columns },
    err: { write: (text) => write(process.stderr, text), isTTY: process.stderr.isTTY === true, columns: process.stderr.columns },
  });
  const name = { command: "" };
  const end = await guarded(name, async () => {
    const invocation = parse(args, process.env);
    name.command = invocation.kind;
    const session = openSession(args, output, reporter, words, interrupt);
    return perform(session, invocation, reporter);
  });
  if (end === null) return leave(0);
  const result = resultOf(name.command, end.ending);
  if (output.verbose && end.error !== undefined) write(process.stderr, `${causes(end.error).join("\n")}\n`);
  reporter.result(result);
  leave(result.exitCode);
}

async function guarded(
  name: { command: Invocation["kind"] | "" },
  work: () => Promise<Ending | null>,
): Promise<{ ending: Ending; error?: unknown } | null> {
  try {
    const ending = await work();
    return ending === null ? null : { ending };
  } catch (error) {
    const problem = asProblem(error);
    const aftermath = error instanceof ProblemError ? error.aftermath : ({ kind: "nothing-changed" } as const);
    void name;
    return { ending: { problem, aftermath, data: {} }, error };
  }
}

function openSession(
  args: readonly string[],
  output: OutputOptions,
  reporter: Reporter,
  words: Awaited<ReturnType<typeof loadWords>>,
  interrupt: AbortSignal,
): Session {
  const world = realWorld();
  const terminal = realTerminal({ ...output, words, interrupt });
  const questions = questionsAt(terminal, words);
  return {
    world,
    context: { world, interrupt, emit: (event) => reporter.event(event) },
    questions: output.json ? { ...questions, interactive: false } : questions,
    program: { command: [process.execPath, process.argv[1] ?? ""], args },
    readStandardInput,
  };
}

/** Ctrl-C, termination, a hang-up and a closed output: all ask the run to put things back and end. */
function watchForInterrupts(): AbortSignal {
  const controller = new AbortController();
  const stop = (signal: string) => controller.abort(signal);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => stop("SIGPIPE"));
  return controller.signal;
}

function write(stream: NodeJS.WriteStream, text: string): void {
  if (!stream.destroyed) stream.write(text);
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
function causes(error: unknown): string[] {
  const lines: string[] = [];
  for (let each = error; each instanceof Error; each = each.cause) {
    const code = "code" in each && typeof each.code === "string" ? ` ${each.code}` : "";
    const frames = (each.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
    lines.push(`${each.name}${code}`, ...frames);
  }
  return lines;
}

function leave(code: number): void {
  process.exit(code);
}
