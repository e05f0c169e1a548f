import type { Result, ResultData, SuccessCode } from "../model/event.ts";
import { type Aftermath, exitCodeOf, type Problem } from "../model/problem.ts";

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
