import { ProblemError } from "../model/problem.ts";
import { type RunOptions, type RunResult, SystemError } from "../world/world.ts";
import type { Service, ServiceWorld } from "./service.ts";

/**
 * A server that is stopped and started by the user's own command lines, run by the system's shell. Nothing is
 * known about what stands behind them: whether they worked is seen by the server's processes alone.
 */
export function commandService(
  world: ServiceWorld,
  commands: { readonly stop?: string; readonly start?: string },
): Service {
  return {
    stopLine: commands.stop ?? null,
    startLine: commands.start ?? null,
    demandControl: async () => {
      if (commands.stop === undefined)
        throw new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-service" });
      if (commands.start === undefined) {
        throw new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-start-command" });
      }
    },
    stopDeadlineMs: async () => STOP_MS,
    requestStop: async () => {
      const { stop } = commands;
      if (stop === undefined) throw new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-service" });
      const detail = failure(await attempt(world, stop, { timeoutMs: STOP_MS }));
      if (detail !== null) throw new ProblemError({ code: "STOP_FAILED", command: stop, detail });
    },
    condition: async () => "unknown",
    queuedStopMs: async () => 0,
    killedByForce: async () => false,
    start: async () => {
      const { start } = commands;
      if (start === undefined) throw new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-start-command" });
      const begun = world.windows === undefined ? letRun(world, start) : letRunOnWindows(world, start);
      const detail = await begun;
      if (detail !== null) throw new ProblemError({ code: "START_FAILED", command: start, detail });
    },
  };
}

/** `docker stop` and `systemctl stop` wait for the end themselves. */
const STOP_MS = 120_000;

/**
 * A start command may be the server itself, in the foreground: it is given three seconds to fail, and is left
 * running when it has not ended by then. Its output goes nowhere, for there is nobody left to read it.
 */
const LET_IT_RUN = `
/bin/sh -c "$1" >/dev/null 2>&1 &
child=$!
tenths=0
while [ "$tenths" -lt 30 ] && kill -0 "$child" 2>/dev/null; do
  sleep 0.1
  tenths=$((tenths + 1))
done
kill -0 "$child" 2>/dev/null && exit 0
wait "$child"
`;
const WRAPPER_MS = 30_000;

function letRun(world: ServiceWorld, start: string): Promise<string | null> {
  return attempt(world, LET_IT_RUN, { timeoutMs: WRAPPER_MS }, [start]).then(failure);
}

/** The same promise where the World itself can leave a program running. */
async function letRunOnWindows(world: ServiceWorld, start: string): Promise<string | null> {
  const begun = await attempt(world, start, { timeoutMs: FAILURE_MS, leaveRunning: true });
  return "timedOut" in begun && begun.timedOut ? null : failure(begun);
}

const FAILURE_MS = 3_000;

type Attempt = RunResult | { readonly refused: string };

async function attempt(
  world: ServiceWorld,
  command: string,
  how: Pick<RunOptions, "timeoutMs" | "leaveRunning">,
  args: readonly string[] = [],
): Promise<Attempt> {
  try {
    return await world.run(command, args, { ...how, shell: true, env: passedOn(world) });
  } catch (error) {
    if (error instanceof SystemError) return { refused: error.code };
    throw error;
  }
}

/** Null for success, else what went wrong in machine words. */
function failure(attempt: Attempt): string | null {
  if ("refused" in attempt) return attempt.refused;
  if (attempt.timedOut) return "timeout";
  if (attempt.signal !== null) return attempt.signal;
  return attempt.status === 0 ? null : `status=${attempt.status ?? "none"}`;
}

/** What such commands need of our environment, and nothing that could be a secret. */
function passedOn(world: ServiceWorld): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of world.windows === undefined ? PASSED_ON : [...PASSED_ON, ...PASSED_ON_BY_WINDOWS]) {
    const value = world.env[name];
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}

const PASSED_ON = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "XDG_RUNTIME_DIR",
  "DBUS_SESSION_BUS_ADDRESS",
  "DOCKER_HOST",
  "DOCKER_CONTEXT",
  "DOCKER_CONFIG",
  "CONTAINER_HOST",
  "PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR",
] as const;

/** In capitals, as the World has every name there. What `cmd` and programs look for things by. */
const PASSED_ON_BY_WINDOWS = [
  "ALLUSERSPROFILE",
  "APPDATA",
  "COMMONPROGRAMFILES",
  "COMMONPROGRAMFILES(X86)",
  "COMMONPROGRAMW6432",
  "COMPUTERNAME",
  "HOMEDRIVE",
  "HOMEPATH",
  "LOCALAPPDATA",
  "PATHEXT",
  "PROGRAMDATA",
  "PROGRAMFILES",
  "PROGRAMFILES(X86)",
  "PROGRAMW6432",
  "PUBLIC",
  "SYSTEMDRIVE",
  "TEMP",
  "TMP",
  "USERDOMAIN",
  "USERNAME",
  "USERPROFILE",
] as const;
