import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import type { WindowsSystem } from "../world/windows-system.ts";
import { SystemError } from "../world/world.ts";
import type { Service } from "./service.ts";

/**
 * A server that Windows' service manager runs, itself or through a service that starts the server again when it
 * ends (PmsService, NSSM, srvany): the service is stopped and started, never the server below it.
 */
export function windowsService(windows: WindowsSystem, _server: Server, name: string): Service {
  const { services } = windows;
  const stopLine = `net stop "${name}"`;
  const startLine = `net start "${name}"`;
  return {
    stopLine,
    startLine,
    demandControl: async (settings) => {
      if (!(await mayControl(windows, name))) {
        throw new ProblemError({ code: "NEEDS_PRIVILEGE", path: settings, line: "" });
      }
    },
    stopDeadlineMs: async () => STOP_MS,
    requestStop: async () => {
      const detail = await refusalOf(services.stop(name));
      if (detail !== null) throw new ProblemError({ code: "STOP_FAILED", command: stopLine, detail });
    },
    condition: () => condition(windows, name),
    queuedStopMs: async () => STOP_MS,
    // The service manager gives up on a stop that takes too long; it ends nothing by force.
    killedByForce: async () => false,
    // There is no limit to forget: a start after a failure is simply another one.
    start: async () => {
      const detail = await refusalOf(services.start(name));
      if (detail !== null) throw new ProblemError({ code: "START_FAILED", command: startLine, detail });
    },
  };
}

/** Windows has no deadline of its own for a stop that was asked for by a program. */
const STOP_MS = 120_000;

/** Throws `NO_WAY_TO_STOP` for a service that is gone. */
async function mayControl(windows: WindowsSystem, name: string): Promise<boolean> {
  try {
    return await windows.services.mayControl(name);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code !== "ENOENT") return false;
    throw new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-service" });
  }
}

/** Null when the request was taken, else the code of the refusal. */
async function refusalOf(request: Promise<void>): Promise<string | null> {
  try {
    await request;
    return null;
  } catch (error) {
    if (error instanceof SystemError) return error.code;
    throw error;
  }
}

async function condition(
  windows: WindowsSystem,
  name: string,
): Promise<"active" | "stopping" | "inactive" | "unknown"> {
  try {
    const service = await windows.services.query(name);
    return service === null ? "unknown" : CONDITIONS[service.state];
  } catch (error) {
    if (error instanceof SystemError) return "unknown";
    throw error;
  }
}

const CONDITIONS = {
  "start-pending": "active",
  running: "active",
  paused: "active",
  "stop-pending": "stopping",
  stopped: "inactive",
} as const;
