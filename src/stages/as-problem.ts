import { type Problem, ProblemError } from "../model/problem.ts";
import { SystemError } from "../world/world.ts";

/** Any thrown thing as a coded problem; what is neither ours nor the system's is a bug. */
export function asProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof SystemError) {
    return { code: "SYSTEM_CALL_FAILED", what: error.call, path: error.path, reason: error.code };
  }
  return { code: "INTERNAL", detail: error instanceof Error ? error.name : typeof error };
}
