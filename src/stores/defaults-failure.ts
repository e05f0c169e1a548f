import { type RunResult, SystemError } from "../world/world.ts";

/**
 * A program that did not end well, as a refusal of the system: `EXIT_n` by its status, `ETIMEDOUT`, or the signal that
 * ended it; null for one that did. What it says is for people: it differs between versions and languages.
 */
export function failureOf(result: RunResult, call: string, path: string): SystemError | null {
  const unended = unendedOf(result, call, path);
  if (unended !== null || result.status === 0) return unended;
  return new SystemError(`EXIT_${result.status}`, call, path);
}

/** The same, but null for any program that ended by itself, whatever its status. */
export function unendedOf(
  { status, signal, timedOut }: RunResult,
  call: string,
  path: string,
): SystemError | null {
  if (!timedOut && status !== null) return null;
  return new SystemError(timedOut ? "ETIMEDOUT" : (signal ?? "ETIMEDOUT"), call, path);
}
