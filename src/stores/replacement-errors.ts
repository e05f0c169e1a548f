import { ProblemError, type UnwritableReason } from "../model/problem.ts";
import { SystemError } from "../world/world.ts";

/** The bytes did not come back as they were written. */
export class ReadBackError extends Error {}

/** What went wrong first, and that the temporary file could not be removed after it. */
export class LeftoverError extends AggregateError {
  readonly first: unknown;

  constructor(first: unknown, refusal: unknown) {
    super([first, refusal]);
    this.first = first;
  }
}

/** A refusal of a write: `WRITE_FAILED` with the POSIX name or `read-back`; problems and bugs stay what they are. */
export function asWriteFailed(error: unknown, path: string): unknown {
  return asProblem(error, (first, cause) => {
    const reason = first instanceof SystemError ? first.code : "read-back";
    return new ProblemError({ code: "WRITE_FAILED", path, reason }, { cause });
  });
}

/** A refusal of a rehearsed write: `SETTINGS_NOT_WRITABLE` where there is a reason for it, else `SYSTEM_CALL_FAILED`. */
export function asNotWritable(error: unknown, path: string): unknown {
  return asProblem(error, (first, cause) => {
    if (first instanceof ReadBackError) return systemCallFailed("read", path, "read-back", cause);
    const reason = unwritableReason(first);
    if (reason === null) return systemCallFailed(first.call, path, first.code, cause);
    return new ProblemError({ code: "SETTINGS_NOT_WRITABLE", path, reason }, { cause });
  });
}

/** A refusal to be read: `NEEDS_PRIVILEGE` without its line, which only the command layer knows. */
export function asNotReadable(error: unknown, path: string): unknown {
  return asProblem(error, (first, cause) => {
    if (first instanceof ReadBackError) return systemCallFailed("read", path, "read-back", cause);
    if (first.code === "EACCES" || first.code === "EPERM") {
      return new ProblemError({ code: "NEEDS_PRIVILEGE", path, line: "" }, { cause });
    }
    return systemCallFailed(first.call, path, first.code, cause);
  });
}

function asProblem(
  error: unknown,
  translate: (first: SystemError | ReadBackError, cause: unknown) => ProblemError,
): unknown {
  const first = error instanceof LeftoverError ? error.first : error;
  if (first instanceof SystemError || first instanceof ReadBackError) return translate(first, error);
  if (first instanceof ProblemError && first !== error)
    return new ProblemError(first.problem, { cause: error });
  return first;
}

function systemCallFailed(what: string, path: string, reason: string, cause: unknown): ProblemError {
  return new ProblemError({ code: "SYSTEM_CALL_FAILED", what, path, reason }, { cause });
}

function unwritableReason({ code, call }: SystemError): UnwritableReason | null {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "no-space";
    case "EROFS":
      return "read-only";
    case "EACCES":
      return "denied";
    case "EPERM":
      // Opening, creating and removing say EPERM for immutable and append-only things, whoever asks.
      return call === "fchown" || call === "fchmod" ? "denied" : "immutable";
    default:
      return null;
  }
}
