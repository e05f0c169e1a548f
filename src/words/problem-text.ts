import type { Aftermath, ByHand, Problem } from "../model/problem.ts";
import { shellWord } from "../model/shell-word.ts";
import { windowsWord } from "../model/windows-word.ts";
import { sayCoded } from "./coded.ts";
import type { Words } from "./words.ts";

/** What happened, in one sentence. */
export function problemTitle(words: Words, problem: Problem): string {
  return sayCoded(words, `problem.${problem.code}`, ".what", problem);
}

/** The other three parts: why, what to do now, and what state the server is in. */
export function problemLines(words: Words, problem: Problem, aftermath: Aftermath): string[] {
  const family = `problem.${problem.code}`;
  return [
    part(words.say("heading.why"), sayCoded(words, family, ".why", problem)),
    part(words.say("heading.do"), sayCoded(words, family, ".do", problem)),
    part(words.say("heading.state"), stateText(words, aftermath)),
  ];
}

/** The texts are whole messages that went through `printable()` already, with line breaks of their own. */
function part(heading: string, text: string): string {
  return heading.replace("{text}", () => text);
}

function stateText(words: Words, aftermath: Aftermath): string {
  switch (aftermath.kind) {
    case "put-back":
      return words.say(
        aftermath.credentials === "none" ? "state.put-back" : `state.put-back.${aftermath.credentials}`,
      );
    case "not-put-back":
      return [
        words.say("state.not-put-back"),
        words.say("heading.by-hand"),
        ...aftermath.byHand.map((step) => byHandText(words, step)),
      ].join("\n");
    default:
      return words.say(`state.${aftermath.kind}`);
  }
}

/** A path with a drive, or of a share, is one of Windows. */
function isOfWindows(path: string): boolean {
  return /^(?:[A-Za-z]:\\|\\\\)/.test(path);
}

function copyLine(from: string, to: string): string {
  return isOfWindows(from)
    ? `copy /y ${windowsWord(from)} ${windowsWord(to)}`
    : `cp -- ${shellWord(from)} ${shellWord(to)}`;
}

function byHandText(words: Words, step: ByHand): string {
  if (step.do === "start" || step.do === "undo") return words.say(`by-hand.${step.do}`, { line: step.line });
  if (step.do === "start-as-usual") return words.say("by-hand.start-as-usual");
  const { from, to } = step;
  if (step.do === "import") return importText(words, from, to);
  return words.say("by-hand.copy", { from, to, copyLine: copyLine(from, to) });
}

/** A registry file; anywhere else it is the preferences domain of a Mac. */
function importText(words: Words, from: string, to: string): string {
  return isOfWindows(from)
    ? words.say("by-hand.import", { to, fromWindows: windowsWord(from) })
    : words.say("by-hand.import-domain", { to, from });
}
