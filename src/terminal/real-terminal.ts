import { openSync } from "node:fs";
import { ReadStream, type WriteStream } from "node:tty";
import { type Appearance, chooseAppearance, withSymbols } from "../words/appearance.ts";
import type { Environment } from "../words/locale.ts";
import type { Words } from "../words/words.ts";
import { wrap } from "../words/wrap.ts";
import { platform } from "../world/platform.ts";
import { type PlainConsole, plainConfirm, plainHidden, splitQuestion } from "./plain-questions.ts";
import type { Terminal } from "./terminal.ts";

export interface RealTerminalOptions {
  readonly words: Words;
  /** Never asks. */
  readonly json: boolean;
  readonly accessible: boolean;
  readonly noColor: boolean;
  /** Standard input holds something else, such as a claim code: answers come from the terminal itself. */
  readonly inputTaken: boolean;
  /** What says how text may look, where `streams` do not say it. */
  readonly env?: Environment;
  /** Ends a question that is being asked, as Ctrl-C would. */
  readonly interrupt: AbortSignal;
  /** The process's own where absent. */
  readonly streams?: TerminalStreams;
}

interface TerminalStreams {
  readonly input: ReadStream;
  readonly error: WriteStream;
  readonly env: Environment;
}

/**
 * The terminal that this process was started at. Pretty prompts where they are safe to draw; plain questions for
 * `--accessible`, a terminal without abilities (`TERM=dumb` or none named), without colour or of no known width.
 */
export function realTerminal(options: RealTerminalOptions): Terminal {
  const { words, interrupt } = options;
  const streams = options.streams ?? {
    input: (options.inputTaken ? controllingTerminal() : null) ?? process.stdin,
    error: process.stderr,
    env: options.env ?? process.env,
  };
  const { input, error, env } = streams;
  const interactive = !options.json && input.isTTY === true && error.isTTY === true;
  const appearance = chooseAppearance(error, env, options.noColor);
  const plain: PlainConsole = { input, error, interrupt, show: (text) => shown(text, appearance) };
  const able = (env["TERM"] ?? "dumb") !== "dumb" && error.columns >= 40;
  const pretty = !options.accessible && appearance.colour && able;
  return {
    interactive,
    async confirm(question, { defaultNo } = { defaultNo: true }) {
      if (!interactive) return false;
      if (interrupt.aborted) return "interrupted";
      if (!pretty) return plainConfirm(plain, words, question, defaultNo);
      const clack = await import("@clack/prompts");
      const answer = await clack.confirm({
        message: shown(question, appearance),
        active: words.say("prompt.yes"),
        inactive: words.say("prompt.no"),
        initialValue: !defaultNo,
        input,
        output: error,
        signal: interrupt,
      });
      return clack.isCancel(answer) ? "interrupted" : answer;
    },
    async hidden(question) {
      if (!interactive) return null;
      if (interrupt.aborted) return "interrupted";
      if (!pretty) return plainHidden(plain, question);
      const [{ password, isCancel }, { Secret }] = await Promise.all([
        import("@clack/prompts"),
        import("../model/secret.ts"),
      ]);
      const { explanation, prompt } = splitQuestion(question);
      if (explanation !== "") error.write(`${shown(explanation, appearance)}\n`);
      const answer = await password({
        message: shown(prompt, appearance),
        input,
        output: error,
        signal: interrupt,
        clearOnError: true,
      });
      if (isCancel(answer)) return "interrupted";
      const typed = (answer ?? "").trim();
      return typed === "" ? null : new Secret(typed);
    },
  };
}

/** The terminal that this process belongs to, whatever its standard input is; null where it has none. */
function controllingTerminal(): ReadStream | null {
  if (process.stderr.isTTY !== true || process.stdin.isTTY === true) return null;
  try {
    return new ReadStream(
      platform() === "win32" ? openSync("\\\\.\\CONIN$", "r+") : openSync("/dev/tty", "r"),
    );
  } catch {
    return null;
  }
}

function shown(text: string, appearance: Appearance): string {
  return withSymbols(wrap(text, appearance.columns), appearance);
}
