import { ProblemError } from "../../src/model/problem.ts";

/** What a call was refused for: the reason where there is one, else the code; "accepted" where it was not. */
export function refusalOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return "reason" in error.problem ? String(error.problem.reason) : error.problem.code;
  }
  return "accepted";
}
