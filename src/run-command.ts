import { basename } from "node:path";
import { type Ending, endingOf, resultOf } from "./commands/ending.ts";
import { type Performable, perform } from "./commands/perform.ts";
import { type Questions, questionsAt } from "./commands/questions.ts";
import { type Session, withPrivilegedLine } from "./commands/session.ts";
import type { Call } from "./main.ts";
import { causes } from "./output-streams.ts";
import { realTerminal } from "./terminal/real-terminal.ts";
import { firstLine } from "./terminal/standard-input.ts";
import type { Reporter } from "./words/reporter.ts";
import { reporterFor } from "./words/reporter-for.ts";
import { loadWords, type Words } from "./words/words.ts";
import { platform } from "./world/platform.ts";
import { openWorld } from "./world/real.ts";

/**
 * Carries a command out, here and now: at this terminal, with the signals of this process, in the real world.
 * Shows what happens and how it ended, and answers the exit code.
 */
export async function runCommand(invocation: Performable, call: Call): Promise<number> {
  const controller = new AbortController();
  const words = await loadWords(call.language);
  const reporter = reporterFor(words, call.output, call.reports);
  watchForInterrupts(controller, reporter);
  const session = await openSession(invocation, call, words, reporter, controller.signal);
  const result = resultOf(invocation.kind, await performed(session, invocation, call));
  reporter.result(result);
  return result.exitCode;
}

/** A command's own failure, with the line to type where it lacks privilege. */
async function performed(
  session: Session,
  invocation: Performable,
  { output, streams }: Call,
): Promise<Ending> {
  try {
    return await perform(session, invocation);
  } catch (error) {
    const end = endingOf(error);
    if (output.verbose) streams.err.write(causes(error));
    return "problem" in end ? { ...end, problem: withPrivilegedLine(session, end.problem) } : end;
  }
}

async function openSession(
  invocation: Performable,
  { args, output, streams }: Call,
  words: Words,
  reporter: Reporter,
  interrupt: AbortSignal,
): Promise<Session> {
  const world = await openWorld();
  const { json, accessible, noColor } = output;
  const terminal = realTerminal({
    words,
    json,
    accessible,
    noColor,
    interrupt,
    inputTaken: takesInput(invocation),
    env: streams.env,
  });
  const questions = questionsAt(terminal, words);
  return {
    world,
    context: { world, interrupt, emit: (event) => reporter.event(event) },
    questions,
    program: {
      command: ownCommand(process.execPath, process.argv[1] ?? ""),
      args,
      ...(platform() === "win32" ? { windows: { folder: process.cwd() } } : {}),
    },
    readStandardInput: (capBytes) => readStandardInput(questions, capBytes, interrupt),
  };
}

/** Whether the claim code comes in on standard input. */
function takesInput({ kind, options }: Performable): boolean {
  return (
    (kind === "reset" || kind === "claim") && "claimCodeFile" in options && options.claimCodeFile === "-"
  );
}

/** What to type to call this program again: its own name where it was installed under that, else the whole path. */
function ownCommand(runtime: string, script: string): string[] {
  return basename(script) === "plex-reclaim" ? [script] : [runtime, script];
}

/**
 * Ctrl-C, termination, a hang-up and a closed output: all ask the run to put things back and end. On Windows Ctrl-Break
 * is one more, and a closed window comes as a hang-up: the system ends us some seconds later, however far we got.
 */
function watchForInterrupts(controller: AbortController, reporter: Reporter): void {
  const stop = (signal: string) => {
    controller.abort(signal);
    reporter.event({ type: "note", note: { code: "INTERRUPT_SEEN" } });
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"] as const)
    process.on(signal, () => stop(signal));
  // Nobody reads any more: nothing is said, but the run still ends in a settled state.
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", () => controller.abort("SIGPIPE"));
}

/** The line that comes in on standard input; where that is a terminal with a person at it, they are asked for it. */
async function readStandardInput(
  questions: Questions,
  capBytes: number,
  interrupt: AbortSignal,
): Promise<string> {
  if (process.stdin.isTTY === true && questions.interactive) {
    return (await questions.hidden("prompt.claim-code"))?.reveal() ?? "";
  }
  return firstLine(process.stdin, { capBytes, timeoutMs: STANDARD_INPUT_MS, interrupt });
}

/** Whoever pipes a code has it at hand. */
const STANDARD_INPUT_MS = 60_000;
