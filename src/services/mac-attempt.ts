import { type RunOptions, type RunResult, SystemError, type World } from "../world/world.ts";
import { type MacUser, runAs } from "./mac-user.ts";

export interface MacAttempt {
  /**
   * Null for success; else the number of the error (`-600`), with what lies behind it where that is told
   * (`-10826 NSPOSIXErrorDomain=111`), or how the tool ended: `timeout`, `status=1`, `ENOENT`.
   */
  readonly failure: string | null;
  readonly stdout: string;
}

/** An application that does not run, or that is still on its way out. */
export const NOT_RUNNING = "-600";

/** Runs a tool as an account. What went wrong is told by the number in its message: the rest of that is localised. */
export async function attemptAs(
  world: Pick<World, "run" | "user">,
  user: MacUser,
  file: string,
  words: readonly string[],
  options: RunOptions,
): Promise<MacAttempt> {
  try {
    const result = await runAs(world, user, file, words, options);
    return { failure: failureOf(result), stdout: result.stdout };
  } catch (error) {
    if (error instanceof SystemError) return { failure: error.code, stdout: "" };
    throw error;
  }
}

/** The number is the last one: `… (-1743)` from `osascript`, `… with error -600.` from `open`. */
function failureOf({ timedOut, signal, status, stderr }: RunResult): string | null {
  if (timedOut) return "timeout";
  if (signal !== null) return signal;
  if (status === 0) return null;
  const number = /(?:\(|\s)(-\d{2,5})\D*$/u.exec(stderr)?.[1];
  return number ?? domainsIn(stderr) ?? `status=${status ?? "none"}`;
}

/**
 * Since macOS 11 `open` may say it as `… error=Error Domain=NSOSStatusErrorDomain Code=-600 "…" UserInfo={…}`, further
 * errors inside it (github.com/flutter/flutter/issues/144146, github.com/sallar/mac-local-rtmp-server/issues/34).
 */
function domainsIn(stderr: string): string | null {
  const errors = [...stderr.matchAll(/Error Domain=(\w+) Code=(-?\d+)/gu)].map(
    ([, domain = "", code = ""]) => (domain === "NSOSStatusErrorDomain" ? code : `${domain}=${code}`),
  );
  if (errors.length === 0) return null;
  return errors[0] === NOT_RUNNING ? NOT_RUNNING : errors.join(" ");
}
