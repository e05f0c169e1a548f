import type { Event, Result } from "../model/event.ts";
import { printableJson } from "../model/printable.ts";
import type { Aftermath } from "../model/problem.ts";
import type { Output, Reporter } from "./reporter.ts";

/** The version of the lines; `schema/output.schema.json` describes it. */
const SCHEMA = 1;

/**
 * JSON Lines on standard output, the same in every language: an event a line, the result last. A `Secret` that
 * got into the data shows as its mask. Characters that could steer a terminal stand as JSON escapes.
 */
export function jsonReporter(output: Output): Reporter {
  const line = (data: object) =>
    output.out(`${printableJson(JSON.stringify({ schema: SCHEMA, ...data }))}\n`);
  return {
    event: (event: Event) => line(event),
    result: (result: Result) => line(resultLine(result)),
  };
}

function resultLine({ command, exitCode, outcome, data }: Result): object {
  const head = { type: "result", command };
  if (outcome.ok) return { ...head, code: outcome.code, exitCode, ...data };
  const { problem, aftermath } = outcome;
  return { ...head, code: problem.code, exitCode, problem, ...stateFields(aftermath), ...data };
}

function stateFields(aftermath: Aftermath): object {
  switch (aftermath.kind) {
    case "put-back":
      return { state: aftermath.kind, credentials: aftermath.credentials };
    case "not-put-back":
      return { state: aftermath.kind, byHand: aftermath.byHand };
    default:
      return { state: aftermath.kind };
  }
}
