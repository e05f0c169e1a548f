import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import type { ReadStream, WriteStream } from "node:tty";
import { Secret } from "../model/secret.ts";
import type { Words } from "../words/words.ts";

/** Where plain questions are asked. */
export interface PlainConsole {
  readonly input: ReadStream;
  readonly error: WriteStream;
  readonly interrupt: AbortSignal;
  /** Makes a text fit the terminal. */
  show(text: string): string;
}

/** A question in one line, for screen readers and simple terminals. Understands both languages' yes and no. */
export async function plainConfirm(
  console: PlainConsole,
  words: Words,
  question: string,
  defaultNo: boolean,
): Promise<boolean | "interrupted"> {
  const choice = words.say(defaultNo ? "prompt.choice-no" : "prompt.choice-yes");
  for (let asked = 0; asked < MOST_TRIES; asked += 1) {
    const line = await ask(console, `${console.show(question)} ${choice} `, "shown");
    if (line === null) return "interrupted";
    const answer = line.trim().toLowerCase();
    if (answer === "") return !defaultNo;
    if (YES.has(answer)) return true;
    if (NO.has(answer)) return false;
    console.error.write(`${console.show(words.say("prompt.again"))}\n`);
  }
  return false;
}

/** Reads a line without showing it. Null for an empty one. */
export async function plainHidden(
  console: PlainConsole,
  question: string,
): Promise<Secret | null | "interrupted"> {
  const { explanation, prompt } = splitQuestion(question);
  if (explanation !== "") console.error.write(`${console.show(explanation)}\n`);
  const line = await ask(console, `${console.show(prompt)} `, "hidden");
  if (line === null) return "interrupted";
  const typed = line.trim();
  return typed === "" ? null : new Secret(typed);
}

/** The last line is what is asked, the lines before it are read first. */
export function splitQuestion(question: string): { explanation: string; prompt: string } {
  const lines = question.split("\n");
  return { explanation: lines.slice(0, -1).join("\n"), prompt: lines.at(-1) ?? "" };
}

/** After so many answers that are neither yes nor no, it is no. */
const MOST_TRIES = 5;
const YES: ReadonlySet<string> = new Set(["y", "yes", "д", "да"]);
const NO: ReadonlySet<string> = new Set(["n", "no", "н", "нет"]);

/** One line; null when it was interrupted or the input ended. */
function ask(console: PlainConsole, prompt: string, echo: "shown" | "hidden"): Promise<string | null> {
  return new Promise((resolve) => {
    const output = echo === "shown" ? console.error : silence();
    const lines: Interface = createInterface({
      input: console.input,
      output,
      terminal: true,
      historySize: 0,
    });
    let answered = false;
    const finish = (line: string | null) => {
      if (answered) return;
      answered = true;
      console.interrupt.removeEventListener("abort", interrupted);
      lines.close();
      // What was typed did not move the cursor to the next line.
      if (echo === "hidden" || line === null) console.error.write("\n");
      resolve(line);
    };
    const interrupted = () => finish(null);
    console.interrupt.addEventListener("abort", interrupted);
    lines.on("SIGINT", interrupted);
    lines.on("close", interrupted);
    lines.on("line", finish);
    if (echo === "hidden") console.error.write(prompt);
    else {
      lines.setPrompt(prompt);
      lines.prompt();
    }
  });
}

function silence(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
