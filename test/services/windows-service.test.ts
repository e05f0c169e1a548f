import { describe, expect, it } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import type { Server } from "../../src/model/server.ts";
import type { Service } from "../../src/services/service.ts";
import { serviceOf } from "../../src/services/service-of.ts";
import { trayService } from "../../src/services/tray.ts";
import { windowsProcessesOf } from "../../src/services/windows-processes.ts";
import { realWorld } from "../../src/world/real.ts";
import { BOB, EXECUTABLE, type SimulatedWindows, usualWindows } from "../support/simulated-windows.ts";

const SETTINGS = `HKEY_USERS\\${BOB}\\Software\\Plex, Inc.\\Plex Media Server`;
const SERVER: Server = {
  id: "00000000",
  install: "windows-service",
  store: "registry",
  settingsPath: SETTINGS,
  dataFolder: "C:\\Plex Media Server",
  executable: EXECUTABLE,
  account: { name: "ATTIC\\bob", sid: BOB },
  service: { kind: "windows-service", name: "PlexService" },
  url: "http://127.0.0.1:32400",
};

/** A machine with the service, seen by an administrator. */
function machine(state: "running" | "stopped", more: { mayControl?: boolean } = {}): SimulatedWindows {
  const { windows } = usualWindows();
  windows.addAccount(BOB, "ATTIC\\bob", "C:\\Users\\bob");
  windows.self = { ...windows.self, elevated: true, split: true };
  const server = { executable: EXECUTABLE, sid: BOB };
  windows.addService(
    { name: "PlexService", account: ".\\bob", command: "C:\\pms.exe", server, ...more },
    state,
  );
  return windows;
}

const service = (windows: SimulatedWindows): Service => serviceOf({ ...realWorld(), windows }, SERVER);

async function problemOf(work: Promise<void>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    throw error;
  }
  return "none";
}

/** Looks until the service is in the condition; a simulated machine takes few. */
async function until(windows: SimulatedWindows, wanted: string): Promise<string[]> {
  const seen: string[] = [];
  for (let look = 0; look < 10; look += 1) {
    const condition = await service(windows).condition();
    if (seen.at(-1) !== condition) seen.push(condition);
    if (condition === wanted) return seen;
  }
  return seen;
}

describe("a server in a service of Windows", () => {
  it("has the lines that a person would type, and deadlines", async () => {
    const one = service(machine("running"));
    expect([one.stopLine, one.startLine]).toEqual(['net stop "PlexService"', 'net start "PlexService"']);
    expect(await one.stopDeadlineMs()).toBe(120_000);
    expect(await one.queuedStopMs()).toBe(120_000);
    expect(await one.killedByForce()).toBe(false);
  });

  it("is stopped with its service, which does not start it again", async () => {
    const windows = machine("running");
    expect(await problemOf(service(windows).requestStop())).toBe("none");
    expect(windows.changes).toEqual(["services.stop PlexService"]);
    expect(await until(windows, "inactive")).toEqual(["stopping", "inactive"]);
    expect(await windowsProcessesOf(windows, SERVER)).toEqual([]);
  });

  it("would come back if only the server below the service were ended", async () => {
    const windows = machine("running");
    const [before] = windows.running();
    windows.end(before?.pid ?? 0);
    expect(await windowsProcessesOf(windows, SERVER)).toHaveLength(1);
    expect(windows.running()[0]?.pid).not.toBe(before?.pid);
    // Nor has it a window to be asked by.
    const asked = trayService({ ...windows, self: { ...windows.self, session: 0 } }, SERVER).requestStop();
    expect(await problemOf(asked)).toMatchObject({ code: "STOP_FAILED", detail: "no-window" });
  });

  it("is started with its service, also after a start that failed", async () => {
    const windows = machine("stopped");
    windows.refusals.set("services.start", "WIN32_1069");
    expect(await problemOf(service(windows).start({ resetLimit: false }))).toEqual({
      code: "START_FAILED",
      command: 'net start "PlexService"',
      detail: "WIN32_1069",
    });
    expect(await service(windows).condition()).toBe("inactive");
    windows.refusals.clear();
    expect(await problemOf(service(windows).start({ resetLimit: true }))).toBe("none");
    expect(await until(windows, "active")).toEqual(["active"]);
    await windows.processes.list();
    expect(await windowsProcessesOf(windows, SERVER)).toHaveLength(1);
  });

  it("fails to stop with the code", async () => {
    const windows = machine("running");
    windows.refusals.set("services.stop", "WIN32_1051");
    expect(await problemOf(service(windows).requestStop())).toEqual({
      code: "STOP_FAILED",
      command: 'net stop "PlexService"',
      detail: "WIN32_1051",
    });
  });

  it.each([
    ["start-pending", "active"],
    ["running", "active"],
    ["paused", "active"],
    ["stop-pending", "stopping"],
    ["stopped", "inactive"],
  ] as const)("is, while its service is %s, %s", async (state, condition) => {
    const windows = machine("running");
    const services = {
      ...windows.services,
      query: async (name: string) => ({ name, state, pid: 0, command: "", account: "" }),
    };
    const seen = { ...windows, self: windows.self, registry: windows.registry, services };
    expect(await serviceOf({ ...realWorld(), windows: seen }, SERVER).condition()).toBe(condition);
  });

  it("is in no known condition when its service is gone or may not be asked about", async () => {
    const windows = machine("running");
    windows.refusals.set("services.query", "EACCES");
    expect(await service(windows).condition()).toBe("unknown");
    const { windows: bare } = usualWindows();
    expect(await service(bare).condition()).toBe("unknown");
  });
});

describe("control over a service", () => {
  it("is had by who may stop and start it, and asking changes nothing", async () => {
    const windows = machine("running");
    expect(await problemOf(service(windows).demandControl(SETTINGS))).toBe("none");
    expect(windows.changes).toEqual([]);
  });

  it("needs an administrator's rights otherwise", async () => {
    const needed = { code: "NEEDS_PRIVILEGE", path: SETTINGS, line: "" };
    const closed = machine("running", { mayControl: false });
    expect(await problemOf(service(closed).demandControl(SETTINGS))).toEqual(needed);
    const hidden = machine("running");
    hidden.refusals.set("services.mayControl", "EACCES");
    expect(await problemOf(service(hidden).demandControl(SETTINGS))).toEqual(needed);
  });

  it("is had by nobody when there is no such service", async () => {
    const { windows } = usualWindows();
    expect(await problemOf(service(windows).demandControl(SETTINGS))).toEqual({
      code: "NO_WAY_TO_STOP",
      reason: "no-service",
    });
  });
});
