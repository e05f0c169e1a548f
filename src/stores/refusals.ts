import { type IdentityLostReason, type MalformedReason, ProblemError } from "../model/problem.ts";

/** Settings that cannot be read without guessing. */
export function malformed(path: string, reason: MalformedReason): ProblemError {
  return new ProblemError({ code: "SETTINGS_MALFORMED", path, reason });
}

/** Settings that no longer say which server this is: a restore helps, an edit does not. */
export function identityLost(path: string, reason: IdentityLostReason): ProblemError {
  return new ProblemError({ code: "IDENTITY_LOST", path, reason });
}
