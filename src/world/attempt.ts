import { constants } from "node:os";
import { SystemError } from "./world.ts";

/**
 * Runs one system call; whatever it throws comes out as a `SystemError` with the POSIX name of the refusal.
 * Arguments that Node itself refuses (a NUL byte in a name) count as `EINVAL`.
 */
export function attempt<T>(call: string, path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw narrowed(error, call, path);
  }
}

/** The same refusal as a `SystemError`; one that is narrow already stays itself. */
export function narrowed(error: unknown, call: string, path: string): SystemError {
  if (error instanceof SystemError) return error;
  return new SystemError(posixCode(error), call, path, { cause: error });
}

function posixCode(error: unknown): string {
  const { code, errno } = (error ?? {}) as { code?: unknown; errno?: unknown };
  if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) return code;
  if (typeof code === "string" && code.startsWith("ERR_")) return "EINVAL";
  // What libuv calls a refusal of Windows that it has no name for.
  if (code === "UNKNOWN") return "EUNKNOWN";
  // libuv has no name for some numbers (EDQUOT, ESTALE) and makes up a code out of words.
  if (typeof errno === "number") return nameOf(Math.abs(errno)) ?? `E${Math.abs(errno)}`;
  return "EUNKNOWN";
}

function nameOf(errno: number): string | undefined {
  return Object.entries(constants.errno).find(([, value]) => value === errno)?.[0];
}
