import { ProblemError } from "../model/problem.ts";
import type { Secret } from "../model/secret.ts";
import type { Terminal } from "../terminal/terminal.ts";
import type { WordData, WordKey, Words } from "../words/words.ts";

/** What may be asked, by the name of its words. */
type QuestionKey = Extract<WordKey, `prompt.${string}`>;

/** The person at the terminal, if one is there. Nothing is asked with `--json`. */
export interface Questions {
  /** Whether somebody is there to answer. */
  readonly interactive: boolean;
  /** Yes or no; no is the answer to Enter alone. Throws `INTERRUPTED`. */
  confirm(key: QuestionKey, data?: WordData): Promise<boolean>;
  /** Something that is not shown while it is typed; null for Enter alone. Throws `INTERRUPTED`. */
  hidden(key: QuestionKey): Promise<Secret | null>;
}

export function questionsAt(terminal: Terminal, words: Words): Questions {
  return {
    interactive: terminal.interactive,
    async confirm(key, data) {
      return answered(await terminal.confirm(words.say(key, data)));
    },
    async hidden(key) {
      return answered(await terminal.hidden(words.say(key)));
    },
  };
}

function answered<T>(answer: T | "interrupted"): T {
  if (answer === "interrupted") throw new ProblemError({ code: "INTERRUPTED", signal: "SIGINT" });
  return answer;
}
