import type { Event, Note, Result, Step } from "../model/event.ts";
import { type Appearance, type Tone, toned, withSymbols } from "./appearance.ts";
import { sayCoded } from "./coded.ts";
import { planLines } from "./plan-text.ts";
import { problemLines, problemTitle } from "./problem-text.ts";
import type { Output, Reporter } from "./reporter.ts";
import { criterionLine, resultBlocks } from "./result-text.ts";
import type { WordKey, Words } from "./words.ts";
import { wrap } from "./wrap.ts";

export interface TextReporterOptions {
  readonly words: Words;
  readonly output: Output;
  /** How standard output and standard error may look. */
  readonly out: Appearance;
  readonly err: Appearance;
  readonly verbose: boolean;
}

/**
 * Text for a person: progress, notes and plans on standard error, results on standard output, problems on
 * standard error in four parts (what happened, why, what to do, what state the server is in).
 */
export function textReporter({ words, output, out, err, verbose }: TextReporterOptions): Reporter {
  const show = (text: string, appearance: Appearance) => `${withSymbols(text, appearance)}\n`;
  const progress = (text: string) => output.err(show(text, err));
  return {
    event(event) {
      const text = eventText(words, event, err, verbose);
      if (text !== null) progress(text);
    },
    result(result) {
      const { outcome } = result;
      const blocks = resultBlocks(words, result, out);
      const success = successText(words, result, out);
      const parts = success === null ? blocks : [success, ...blocks];
      if (parts.length > 0) output.out(show(parts.join("\n\n"), out));
      if (outcome.ok) return;
      const title = `${problemTitle(words, outcome.problem)} (${outcome.problem.code})`;
      const [first, ...rest] = [
        labelled(words, "label.fail", "bad", title, err),
        ...problemLines(words, outcome.problem, outcome.aftermath).map((line) => wrap(line, err.columns)),
      ];
      progress([first, "", ...rest].join("\n"));
    },
  };
}

/** A line that begins with its weight in words: colour only repeats it. */
function labelled(words: Words, label: WordKey, tone: Tone, text: string, appearance: Appearance): string {
  const word = words.say(label);
  const body = wrap(`${word}  ${text}`, appearance.columns, "    ").slice(word.length);
  return `${toned(word, tone, appearance)}${body}`;
}

/** Steps that take a moment or change something: their end is worth a line, too. */
const TOLD_STEPS: ReadonlySet<Step> = new Set(["obtain", "stop", "back-up", "edit", "start", "roll-back"]);

function eventText(words: Words, event: Event, err: Appearance, verbose: boolean): string | null {
  switch (event.type) {
    case "step":
      if (event.phase === "begin")
        return wrap(`${words.say(`step.${event.step}.begin`)}…`, err.columns, "  ");
      if (!verbose && !TOLD_STEPS.has(event.step)) return null;
      return labelled(words, "label.ok", "good", words.say(`step.${event.step}.end`), err);
    case "note":
      return noteText(words, event.note, err);
    case "plan":
      return planLines(words, event.plan)
        .map((line, index) =>
          index === 0 ? toned(line, "heading", err) : wrap(`  ${line}`, err.columns, "    "),
        )
        .join("\n");
    case "criterion":
      // The result lists them all; while they come in they are for those who want to see everything.
      return verbose ? criterionLine(words, event.criterion, err) : null;
    case "demo":
      return `\n${wrap(sayCoded(words, `demo.${event.part}`, "", event), err.columns)}`;
  }
}

const WARNINGS: ReadonlySet<Note["code"]> = new Set([
  "CLAIM_CODE_FILE_READABLE_BY_OTHERS",
  "OWNER_CHANGES",
  "UNSETTLED_RUN",
  "KILLED_BY_MANAGER",
  "STOP_STILL_QUEUED",
  "PORT_TAKEN_BY_ANOTHER",
  "SAME_SERVER_ANSWERS",
  "OLD_SIGN_IN_IS_DEAD",
  "METADATA_UNCHECKED",
  "START_LIMIT_RESET",
  "ROLL_BACK_PROBLEM",
  "INTERRUPT_SEEN",
  "SERVER_UNREADABLE",
  "BACKUP_UNREADABLE",
  "PARKED_CREDENTIALS_DEAD",
]);

function noteText(words: Words, note: Note, err: Appearance): string {
  const text = sayCoded(words, `note.${note.code}`, "", note);
  const inner =
    note.code === "ROLL_BACK_PROBLEM" ? `\n${problemTitle(words, note.problem)} (${note.problem.code})` : "";
  return WARNINGS.has(note.code)
    ? labelled(words, "label.warn", "doubtful", text + inner, err)
    : labelled(words, "label.note", "heading", text + inner, err);
}

function successText(words: Words, { command, outcome }: Result, out: Appearance): string | null {
  if (!outcome.ok) return null;
  const telling = `success.${outcome.code}.${command.replaceAll(" ", "-")}`;
  if (outcome.code === "OK" && SELF_EXPLAINING.has(command)) return null;
  const text = words.say(words.has(telling) ? telling : `success.${outcome.code}`);
  return labelled(words, "label.ok", "good", text, out);
}

/** Commands whose result is a listing: a “done” under it would say nothing. */
const SELF_EXPLAINING: ReadonlySet<string> = new Set([
  "status",
  "backup list",
  "backup show",
  "help",
  "version",
  "completion",
]);
