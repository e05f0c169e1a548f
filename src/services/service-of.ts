import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import { commandService } from "./command.ts";
import { macApplication } from "./mac-application.ts";
import type { Service, ServiceWorld } from "./service.ts";
import { systemdService } from "./systemd.ts";
import { trayService } from "./tray.ts";
import { windowsService } from "./windows-service.ts";

/** How this server is stopped and started, by its description. */
export function serviceOf(world: ServiceWorld, server: Server): Service {
  switch (server.service.kind) {
    case "systemd":
      return systemdService(world, server.service.unit);
    case "command":
      return commandService(world, server.service);
    case "windows-service":
      return world.windows === undefined
        ? NO_SERVICE
        : windowsService(world.windows, server, server.service.name);
    case "mac-application":
      return macApplication(world, server, server.service.application);
    case "tray":
      return world.windows === undefined ? NO_SERVICE : trayService(world.windows, server);
    case "none":
      return NO_SERVICE;
  }
}

/** Nothing here can stop or start the server. */
const NO_SERVICE: Service = {
  stopLine: null,
  startLine: null,
  demandControl: async () => {
    throw new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-service" });
  },
  stopDeadlineMs: async () => 0,
  requestStop: async () => {
    throw new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-service" });
  },
  condition: async () => "unknown",
  queuedStopMs: async () => 0,
  killedByForce: async () => false,
  start: async () => {
    throw new ProblemError({ code: "NO_WAY_TO_STOP", reason: "no-start-command" });
  },
};
