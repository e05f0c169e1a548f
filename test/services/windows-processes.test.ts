import { describe, expect, it } from "vitest";
import type { Server } from "../../src/model/server.ts";
import { isSupervised, processesOf } from "../../src/services/processes.ts";
import { isSupervisedOnWindows, windowsProcessesOf } from "../../src/services/windows-processes.ts";
import { realWorld } from "../../src/world/real.ts";
import {
  BOB,
  EXECUTABLE,
  JANE,
  PMS,
  type SimulatedWindows,
  usualWindows,
} from "../support/simulated-windows.ts";

const SERVER: Server = {
  id: "00000000",
  install: "windows-tray",
  store: "registry",
  settingsPath: `HKEY_USERS\\${JANE}\\Software\\Plex, Inc.\\Plex Media Server`,
  dataFolder: "C:\\Users\\jane\\AppData\\Local\\Plex Media Server",
  executable: EXECUTABLE,
  account: { name: "ATTIC\\jane", sid: JANE },
  service: { kind: "tray" },
  url: "http://127.0.0.1:32400",
};

/** Settings in a file, of which no account is known. */
function fileServer(executable?: string): Server {
  const { account: _, executable: __, ...rest } = SERVER;
  return { ...rest, store: "xml", ...(executable !== undefined && { executable }) };
}

async function pids(
  windows: SimulatedWindows,
  server: Server = SERVER,
): Promise<readonly number[] | "unknown"> {
  const processes = await windowsProcessesOf(windows, server);
  return processes === "unknown" ? processes : processes.map(({ pid }) => pid);
}

describe("the processes of a server on Windows", () => {
  it("are those of its name that its account runs, told by number and start", async () => {
    const { windows } = usualWindows();
    const pid = windows.addProcess({ startedMs: 13_400_000_123_456 });
    windows.addProcess({ executable: "C:\\Program Files\\Plex\\Plex Media Server\\Plex Tuner Service.exe" });
    windows.addProcess({ executable: "C:\\Windows\\notepad.exe" });
    expect(await windowsProcessesOf(windows, SERVER)).toEqual([{ pid, startTicks: 13_400_000_123_456 }]);
    expect(await processesOf({ ...realWorld(), windows }, SERVER)).toEqual([
      { pid, startTicks: 13_400_000_123_456 },
    ]);
  });

  it("are so by name in any case and wherever the executable is", async () => {
    const { windows } = usualWindows();
    const pid = windows.addProcess({ executable: "D:\\old\\PLEX MEDIA SERVER.EXE" });
    expect(await pids(windows)).toEqual([pid]);
  });

  it("are not another account's, seen or not", async () => {
    const { windows } = usualWindows();
    windows.addProcess({ sid: BOB, session: 2 });
    expect(await pids(windows)).toEqual([]);
    windows.self = { ...windows.self, elevated: true, split: true };
    expect(await pids(windows)).toEqual([]);
  });

  it("are unknown when another account's server is asked about and its processes may not be seen", async () => {
    const { windows } = usualWindows();
    const bobs = { ...SERVER, account: { name: "ATTIC\\bob", sid: BOB } };
    expect(await pids(windows, bobs)).toEqual([]);
    windows.addProcess({ sid: BOB, session: 2 });
    expect(await pids(windows, bobs)).toBe("unknown");
  });

  it("are unknown when one could be ours with more rights", async () => {
    const { windows } = usualWindows();
    const pid = windows.addProcess({ elevated: true });
    expect(await pids(windows)).toBe("unknown");
    windows.end(pid);
    expect(await pids(windows)).toEqual([]);
    windows.addProcess({ sid: BOB, session: 0 });
    expect(await pids(windows)).toBe("unknown");
  });

  it("are unknown when one of them does not show when it began", async () => {
    const { windows } = usualWindows();
    windows.addProcess();
    const { details } = windows.processes;
    const processes = {
      ...windows.processes,
      details: async (pid: number) => {
        const seen = await details(pid);
        return seen === null ? null : { ...seen, startedMs: null };
      },
    };
    const dim = { ...windows, self: windows.self, registry: windows.registry, processes };
    expect(await windowsProcessesOf(dim, SERVER)).toBe("unknown");
  });

  it("are none that ended between the list and a look at it", async () => {
    const { windows } = usualWindows();
    const pid = windows.addProcess();
    const { list } = windows.processes;
    const processes = {
      ...windows.processes,
      list: async () => {
        const listed = await list();
        windows.end(pid);
        return listed;
      },
    };
    const dim = { ...windows, self: windows.self, registry: windows.registry, processes };
    expect(await windowsProcessesOf(dim, SERVER)).toEqual([]);
  });

  it("are those of the executable that a person named, besides those of the name", async () => {
    const { windows } = usualWindows();
    const named = { ...SERVER, executable: "D:\\pms\\server.exe" };
    const one = windows.addProcess({ executable: "D:\\PMS\\SERVER.EXE" });
    windows.addProcess({ executable: "E:\\server.exe" });
    windows.addProcess({ executable: "D:\\pms\\server.exe", sid: BOB, session: 2 });
    const other = windows.addProcess();
    expect(await pids(windows, named)).toEqual([one, other]);
  });

  it("are unknown when one of the named executable's name does not show what it runs", async () => {
    const { windows } = usualWindows();
    const named = { ...SERVER, executable: "D:\\pms\\server.exe" };
    windows.addProcess({ executable: "D:\\pms\\server.exe", hidden: true });
    expect(await pids(windows, named)).toBe("unknown");
    expect(await pids(windows)).toEqual([]);
  });

  it("are, where no account is known, those of the executable alone, and none where that is not known either", async () => {
    const { windows } = usualWindows();
    windows.self = { ...windows.self, elevated: true, split: true };
    windows.addProcess();
    const pid = windows.addProcess({ executable: "D:\\pms\\server.exe", sid: BOB });
    expect(await pids(windows, fileServer("D:\\pms\\server.exe"))).toEqual([pid]);
    expect(await pids(windows, fileServer())).toEqual([]);
    windows.addProcess({ executable: "D:\\pms\\server.exe", hidden: true });
    expect(await pids(windows, fileServer("D:\\pms\\server.exe"))).toBe("unknown");
  });

  it("are never ourselves", async () => {
    const { windows } = usualWindows();
    windows.addProcess({ pid: windows.processes.ownPid });
    expect(await pids(windows)).toEqual([]);
  });
});

describe("whether somebody starts a server on Windows again", () => {
  const parents = ["cmd.exe", "svchost.exe", "services.exe", "watchdog.exe"];
  it.each(parents)("is to be expected when %s started it and is there", async (name) => {
    const { windows } = usualWindows();
    const parent = windows.addProcess({ executable: `C:\\x\\${name}` });
    windows.addProcess({ parent });
    expect(await isSupervisedOnWindows(windows, SERVER)).toBe(true);
    expect(await isSupervised({ ...realWorld(), windows }, SERVER)).toBe(true);
    windows.end(parent);
    expect(await isSupervisedOnWindows(windows, SERVER)).toBe(false);
  });

  it("is not when the desktop or signing in started it, or we did", async () => {
    const { windows, desktop } = usualWindows();
    windows.addProcess({ parent: desktop });
    windows.addProcess({ parent: windows.addProcess({ executable: "C:\\Windows\\UserInit.exe" }) });
    windows.addProcess({ executable: "C:\\node.exe", pid: windows.processes.ownPid });
    windows.addProcess({ parent: windows.processes.ownPid });
    expect(await isSupervisedOnWindows(windows, SERVER)).toBe(false);
  });

  it("is not when the server itself started the other", async () => {
    const { windows, desktop } = usualWindows();
    windows.addProcess({ parent: windows.addProcess({ parent: desktop }) });
    expect(await isSupervisedOnWindows(windows, SERVER)).toBe(false);
  });

  it("is not when the number of its parent is somebody else's by now", async () => {
    const { windows } = usualWindows();
    windows.addProcess({ parent: 9000 });
    windows.addProcess({ pid: 9000, executable: "C:\\x\\cmd.exe" });
    expect(await isSupervisedOnWindows(windows, SERVER)).toBe(false);
  });

  it("is to be expected when it may not be seen", async () => {
    const { windows } = usualWindows();
    const parent = windows.addProcess({ executable: "C:\\x\\cmd.exe", hidden: true });
    const pid = windows.addProcess({ parent });
    expect(await isSupervisedOnWindows(windows, SERVER)).toBe(true);
    windows.end(pid);
    expect(await isSupervisedOnWindows(windows, SERVER)).toBe(true);
    windows.addProcess({ executable: `D:\\${PMS}`, elevated: true });
    expect(await isSupervisedOnWindows(windows, SERVER)).toBe(true);
  });
});
