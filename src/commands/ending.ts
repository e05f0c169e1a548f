import type { Result, ResultData, SuccessCode } from "../model/event.ts";
import { type Aftermath, exitCodeOf, type Problem, ProblemError } from "../model/problem.ts";
import { asProblem } from "../stages/as-problem.ts";

/** What a command answers; `resultOf` makes a `Result` of it. */
export type Ending =
  | { readonly code: SuccessCode; readonly data: ResultData }
  | { readonly problem: Problem; readonly aftermath: Aftermath; readonly data: ResultData };

export function ending(code: SuccessCode, data: ResultData = {}): Ending {
  return { code, data };
}

export function resultOf(command: string, end: Ending): Result {
  if ("code" in end) return { command, exitCode: 0, outcome: { ok: true, code: end.code }, data: end.data };
  const { problem, aftermath, data } = end;
  return {
    command,
    exitCode: exitCodeOf(problem, aftermath),
    outcome: { ok: false, problem, aftermath },
    data,
  };
}

/** What was thrown, as the end of a command that had nothing to say of its own. */
export function endingOf(error: unknown): Ending {
  const problem = asProblem(error);
  if (!(error instanceof ProblemError)) return { problem, aftermath: { kind: "nothing-changed" }, data: {} };
  return { problem, aftermath: error.aftermath, data: { ...error.facts } };
}
