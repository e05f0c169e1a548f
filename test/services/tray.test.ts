import { describe, expect, it } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import type { Server } from "../../src/model/server.ts";
import { serviceOf } from "../../src/services/service-of.ts";
import { losesElevation, trayService } from "../../src/services/tray.ts";
import { windowsProcessesOf } from "../../src/services/windows-processes.ts";
import { realWorld } from "../../src/world/real.ts";
import type { WindowsSelf } from "../../src/world/windows-system.ts";
import {
  BOB,
  EXECUTABLE,
  JANE,
  LOCAL_SYSTEM,
  type SimulatedWindows,
  usualWindows,
} from "../support/simulated-windows.ts";

const KEY = "Software\\Plex, Inc.\\Plex Media Server";
const STOP = 'taskkill /im "Plex Media Server.exe"';
const START = `start "" "${EXECUTABLE}"`;

function serverOf(sid: string, name: string): Server {
  return {
    id: "00000000",
    install: "windows-tray",
    store: "registry",
    settingsPath: `HKEY_USERS\\${sid}\\${KEY}`,
    dataFolder: "C:\\Plex Media Server",
    executable: EXECUTABLE,
    account: { name, sid },
    service: { kind: "tray" },
    url: "http://127.0.0.1:32400",
  };
}

const JANES = serverOf(JANE, "ATTIC\\jane");
const SETTINGS = JANES.settingsPath;

function withoutExecutable(): Server {
  const { executable: _, ...rest } = JANES;
  return rest;
}

async function problemOf(work: Promise<void>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    throw error;
  }
  return "none";
}

const demand = (windows: SimulatedWindows, server: Server = JANES) =>
  problemOf(trayService(windows, server).demandControl(server.settingsPath));
const stop = (windows: SimulatedWindows, server: Server = JANES) =>
  problemOf(trayService(windows, server).requestStop());
const start = (windows: SimulatedWindows, server: Server = JANES) =>
  problemOf(trayService(windows, server).start({ resetLimit: false }));

/** Jane has said yes to the question for an administrator's rights. */
function consent(windows: SimulatedWindows): void {
  windows.self = { ...windows.self, elevated: true, split: true };
}

/** Bob the administrator gave his password at Jane's desktop. */
function overTheShoulder(windows: SimulatedWindows): void {
  windows.addAccount(BOB, "ATTIC\\bob", "C:\\Users\\bob");
  windows.self = { sid: BOB, elevated: true, split: true, session: 1 };
}

describe("the application in the notification area", () => {
  it("is what the service of a server is, with the lines that a person would type", () => {
    const { windows } = usualWindows();
    const service = serviceOf({ ...realWorld(), windows }, JANES);
    expect([service.stopLine, service.startLine]).toEqual([STOP, START]);
    const other = trayService(windows, { ...JANES, executable: "D:\\pms\\server.exe" });
    expect([other.stopLine, other.startLine]).toEqual([
      'taskkill /im "server.exe"',
      'start "" "D:\\pms\\server.exe"',
    ]);
    const unknown = trayService(windows, withoutExecutable());
    expect([unknown.stopLine, unknown.startLine]).toEqual([STOP, null]);
  });

  it("has a line for its start only where that starts it as its account and with its rights", () => {
    const { windows } = usualWindows();
    const lineFor = (self: Partial<WindowsSelf>, server = JANES) => {
      windows.self = { sid: JANE, elevated: false, split: false, session: 1, ...self };
      return trayService(windows, server).startLine;
    };
    expect(lineFor({})).toBe(START);
    // The built-in administrator, who has no lesser rights.
    expect(lineFor({ elevated: true })).toBe(START);
    expect(lineFor({ elevated: true, split: true })).toBeNull();
    expect(lineFor({ sid: BOB })).toBeNull();
    expect(lineFor({ sid: BOB, elevated: true })).toBeNull();
    expect(lineFor({ session: 0 })).toBeNull();
    expect(lineFor({}, serverOf(BOB, "ATTIC\\bob"))).toBeNull();
  });

  it("has no manager that could tell about it, or end it by force", async () => {
    const service = trayService(usualWindows().windows, JANES);
    expect(await service.condition()).toBe("unknown");
    expect(await service.killedByForce()).toBe(false);
    expect(await service.queuedStopMs()).toBe(0);
    expect(await service.stopDeadlineMs()).toBe(60_000);
  });
});

describe("control over it", () => {
  it("is had at one's own desktop, elevated or not, and changes nothing", async () => {
    const { windows } = usualWindows();
    windows.addProcess();
    expect(await demand(windows)).toBe("none");
    consent(windows);
    expect(await demand(windows)).toBe("none");
    expect(windows.changes).toEqual([]);
  });

  it("is had by an administrator who was called to the desktop of the server's account", async () => {
    const { windows } = usualWindows();
    windows.addProcess({ sid: JANE });
    overTheShoulder(windows);
    expect(await demand(windows)).toBe("none");
  });

  it("is not had where it could not be started again", async () => {
    const { windows } = usualWindows();
    windows.addProcess();
    const problem = { code: "NO_WAY_TO_STOP", reason: "no-start-command" };
    expect(await demand(windows, withoutExecutable())).toEqual(problem);
    expect(await start(windows, withoutExecutable())).toEqual(problem);
  });

  it("is not had from another session", async () => {
    const { windows } = usualWindows();
    consent(windows);
    windows.addAccount(BOB, "ATTIC\\bob", "C:\\Users\\bob");
    const pid = windows.addProcess({ sid: BOB, session: 2 });
    const bobs = serverOf(BOB, "ATTIC\\bob");
    expect(await demand(windows, bobs)).toEqual({ code: "OTHER_SESSION", pid, account: "ATTIC\\bob" });
  });

  it("needs an administrator's rights where the server has them, or may have", async () => {
    const { windows } = usualWindows();
    const needed = { code: "NEEDS_PRIVILEGE", path: SETTINGS, line: "" };
    windows.addProcess({ elevated: true });
    expect(await demand(windows)).toEqual(needed);
    consent(windows);
    expect(await demand(windows)).toBe("none");
  });

  it.each([
    ["rights show", { elevated: true, sid: JANE }, 1],
    ["session does not show", { elevated: false, sid: JANE }, null],
  ])("needs them where the server's %s", async (_, owner, session) => {
    const { windows } = usualWindows();
    windows.addProcess();
    const { details } = windows.processes;
    const processes = {
      ...windows.processes,
      details: async (pid: number) => {
        const seen = await details(pid);
        return seen === null ? null : { ...seen, owner, session };
      },
    };
    const seeing = { ...windows, self: windows.self, registry: windows.registry, processes };
    expect(await problemOf(trayService(seeing, JANES).demandControl(SETTINGS))).toMatchObject({
      code: "NEEDS_PRIVILEGE",
      path: SETTINGS,
    });
  });

  it("is not had by an administrator when the server's account has no desktop here", async () => {
    const { windows, desktop } = usualWindows();
    windows.addProcess({ sid: JANE });
    overTheShoulder(windows);
    windows.end(desktop);
    const problem = { code: "NO_DESKTOP_TO_START_ON", account: "ATTIC\\jane", line: START };
    expect(await demand(windows)).toEqual(problem);
    // Of no use: another session's, another account's, one with an administrator's rights, another program.
    windows.addProcess({ executable: "C:\\Windows\\explorer.exe", sid: JANE, session: 2 });
    windows.addProcess({ executable: "C:\\Windows\\explorer.exe", sid: BOB });
    windows.addProcess({ executable: "C:\\Windows\\explorer.exe", sid: JANE, elevated: true });
    windows.addProcess({ executable: "C:\\Windows\\explorer.exe", sid: JANE, hidden: true });
    windows.addProcess({ executable: "C:\\Windows\\cmd.exe", sid: JANE });
    expect(await demand(windows)).toEqual(problem);
    expect(await start(windows)).toEqual({ code: "START_FAILED", command: "", detail: "no-desktop" });
  });

  it("is not had after a consent when our own desktop is gone", async () => {
    const { windows, desktop } = usualWindows();
    windows.addProcess();
    consent(windows);
    windows.end(desktop);
    expect(await demand(windows)).toMatchObject({ code: "NO_DESKTOP_TO_START_ON" });
  });

  it.each([
    ["as its own account", { sid: JANE, elevated: false, split: false, session: 0 }],
    ["with an administrator's rights", { sid: BOB, elevated: true, split: false, session: 0 }],
  ])("is not had where no desktop is, as by SSH: %s", async (_, self) => {
    const { windows } = usualWindows();
    windows.addProcess({ session: 0 });
    windows.self = self;
    const problem = { code: "NO_DESKTOP_TO_START_ON", account: "ATTIC\\jane", line: START };
    expect(await demand(windows)).toEqual(problem);
    expect(await start(windows)).toEqual({ code: "START_FAILED", command: "", detail: "no-desktop" });
    expect(windows.changes).toEqual([]);
  });

  it("is not had of a server whose account is not known", async () => {
    const { windows } = usualWindows();
    const { account: _, ...server } = JANES;
    expect(await demand(windows, server)).toMatchObject({ code: "NO_DESKTOP_TO_START_ON", account: "" });
  });
});

describe("its stop", () => {
  it("asks it to close and does not wait; it is gone a little later", async () => {
    const { windows } = usualWindows();
    const pid = windows.addProcess();
    expect(await stop(windows)).toBe("none");
    expect(windows.changes).toEqual([`close ${pid}`]);
    expect(await windowsProcessesOf(windows, JANES)).toHaveLength(1);
    for (let look = 0; look < 3; look += 1) await windows.processes.list();
    expect(await windowsProcessesOf(windows, JANES)).toEqual([]);
  });

  it("never ends by force one that does not close", async () => {
    const { windows } = usualWindows();
    const pid = windows.addProcess({ looksToClose: null });
    expect(await stop(windows)).toBe("none");
    for (let look = 0; look < 9; look += 1) await windows.processes.list();
    expect(windows.running()).toHaveLength(1);
    expect(windows.changes).toEqual([`close ${pid}`]);
  });

  it("asks every process of it, and nobody else's", async () => {
    const { windows } = usualWindows();
    const first = windows.addProcess();
    const second = windows.addProcess({ windows: 0 });
    const third = windows.addProcess();
    consent(windows);
    windows.addProcess({ sid: BOB });
    windows.addProcess({ executable: "C:\\Windows\\notepad.exe", windows: 1 });
    expect(await stop(windows)).toBe("none");
    expect(windows.changes).toEqual([`close ${first}`, `close ${third}`]);
    expect(windows.running().map(({ pid }) => pid)).toContain(second);
  });

  it("has nothing to do when none runs", async () => {
    const { windows } = usualWindows();
    expect(await stop(windows)).toBe("none");
    expect(windows.changes).toEqual([]);
  });

  it("has nothing more to do when it ends by itself in that moment", async () => {
    const { windows } = usualWindows();
    const pid = windows.addProcess();
    const { closeWindows } = windows.processes;
    const processes = {
      ...windows.processes,
      closeWindows: async (each: number) => {
        windows.end(pid);
        return closeWindows(each);
      },
    };
    const racing = { ...windows, self: windows.self, registry: windows.registry, processes };
    expect(await problemOf(trayService(racing, JANES).requestStop())).toBe("none");
  });

  it.each([
    ["it has no window on this desktop", { windows: 0 }, undefined, "no-window"],
    ["it has more rights", {}, "EACCES", "EACCES"],
    ["Windows refuses for another reason", {}, "WIN32_1400", "WIN32_1400"],
    ["it cannot be told whose it is", { hidden: true }, undefined, "EACCES"],
  ])("fails when %s", async (_, process, code, detail) => {
    const { windows } = usualWindows();
    windows.addProcess(process);
    if (code !== undefined) windows.refusals.set("closeWindows", code);
    expect(await stop(windows)).toEqual({ code: "STOP_FAILED", command: STOP, detail });
    expect(windows.changes).toEqual([]);
  });
});

describe("its start", () => {
  it("is by ourselves where we are its account and have no more rights than it", async () => {
    const { windows } = usualWindows();
    expect(await start(windows)).toBe("none");
    expect(windows.changes).toEqual([`start ${EXECUTABLE}`]);
    expect(windows.running()).toMatchObject([{ sid: JANE, elevated: false, session: 1 }]);
  });

  it("is so, too, where its account has no other rights than an administrator's", async () => {
    const { windows } = usualWindows();
    windows.self = { ...windows.self, elevated: true, split: false };
    expect(await start(windows)).toBe("none");
    expect(windows.running()).toMatchObject([{ sid: JANE, elevated: true }]);
    windows.self = { sid: LOCAL_SYSTEM, elevated: true, split: false, session: 2 };
    expect(await start(windows, serverOf(LOCAL_SYSTEM, "NT AUTHORITY\\SYSTEM"))).toBe("none");
    expect(windows.running()).toMatchObject([{ sid: JANE }, { sid: LOCAL_SYSTEM, session: 2 }]);
  });

  it("is as its account's desktop after a consent: it has no administrator's rights", async () => {
    const { windows, desktop } = usualWindows();
    consent(windows);
    expect(await start(windows)).toBe("none");
    expect(windows.changes).toEqual([`startLike ${desktop} ${EXECUTABLE}`]);
    expect(windows.running()).toMatchObject([{ sid: JANE, elevated: false, session: 1 }]);
  });

  it("is as its account's desktop when another administrator does it", async () => {
    const { windows, desktop } = usualWindows();
    overTheShoulder(windows);
    expect(await start(windows)).toBe("none");
    expect(windows.changes).toEqual([`startLike ${desktop} ${EXECUTABLE}`]);
    expect(windows.running()).toMatchObject([{ sid: JANE, elevated: false }]);
  });

  it.each([
    ["another account's", { sid: LOCAL_SYSTEM, elevated: false }],
    ["an administrator's", { sid: JANE, elevated: true }],
  ])("is none when the desktop ends after it was judged, and its number is %s", async (_, owner) => {
    const { windows, desktop } = usualWindows();
    overTheShoulder(windows);
    const { details } = windows.processes;
    const processes = {
      ...windows.processes,
      details: async (pid: number) => {
        const seen = await details(pid);
        windows.end(desktop);
        windows.addProcess({ pid: desktop, executable: "C:\\Windows\\System32\\consent.exe", ...owner });
        return seen;
      },
    };
    const racing = { ...windows, self: windows.self, registry: windows.registry, processes };
    expect(await problemOf(trayService(racing, JANES).start({ resetLimit: false }))).toEqual({
      code: "START_FAILED",
      command: "",
      detail: "ESRCH",
    });
    expect(windows.running()).toEqual([]);
  });

  it.each([
    ["start", "ENOENT", START],
    ["startLike", "EACCES", ""],
  ])("fails with the code when %s is refused", async (call, code, command) => {
    const { windows } = usualWindows();
    if (call === "startLike") consent(windows);
    windows.refusals.set(call, code);
    expect(await start(windows)).toEqual({ code: "START_FAILED", command, detail: code });
    expect(windows.running()).toEqual([]);
  });

  it("is as another account by nobody who is not elevated", async () => {
    const { windows } = usualWindows();
    expect(await start(windows, serverOf(BOB, "ATTIC\\bob"))).toMatchObject({ detail: "no-desktop" });
    expect(windows.changes).toEqual([]);
  });
});

describe("an administrator's rights of a running server", () => {
  it("are lost when it is started again as the desktop, and only then", async () => {
    const { windows } = usualWindows();
    const pid = windows.addProcess();
    consent(windows);
    expect(await losesElevation(windows, JANES)).toBe(false);
    windows.end(pid);
    expect(await losesElevation(windows, JANES)).toBe(false);
    windows.addProcess({ elevated: true });
    expect(await losesElevation(windows, JANES)).toBe(true);
    windows.self = { ...windows.self, split: false };
    expect(await losesElevation(windows, JANES)).toBe(false);
  });
});
