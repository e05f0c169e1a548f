import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { FoundServer, FoundServers } from "../../src/installs/find-servers.ts";
import { findServersOnWindows } from "../../src/installs/windows.ts";
import { dataFolderNotes } from "../../src/installs/windows-data-folder.ts";
import { updaterService } from "../../src/installs/windows-services.ts";
import type { Server } from "../../src/model/server.ts";
import type { Service } from "../../src/services/service.ts";
import { serviceOf } from "../../src/services/service-of.ts";
import { isSupervisedOnWindows, windowsProcessesOf } from "../../src/services/windows-processes.ts";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import { until } from "../../src/standins/server-process.ts";
import { realWorld } from "../../src/world/real.ts";
import type { Files } from "../../src/world/world.ts";
import { whyNoWindowsStandIns } from "../support/windows-stand-ins.ts";
import { openWine, type WineMachine } from "../support/wine.ts";
import type { WindowsBridge } from "../support/wine-bridge.ts";
import { whyNoWine } from "../support/wine-launch.ts";
import { installServer, type ServerInMachine, type WineServer } from "../support/wine-server.ts";

const missing = whyNoWine() ?? whyNoWindowsStandIns();
const KEY = "Software\\Plex, Inc.\\Plex Media Server";
const LOCAL_SYSTEM = {
  sid: "S-1-5-18",
  localAppData: "C:\\windows\\system32\\config\\systemprofile\\AppData\\Local",
};

describe.skipIf(missing !== null)(`servers on a real Windows registry ${missing ?? ""}`, () => {
  let machine: WineMachine;
  let windows: WindowsBridge;
  let plexTv: PlexTv;
  const installed: WineServer[] = [];

  beforeAll(async () => {
    [machine, plexTv] = await Promise.all([openWine(), startPlexTv()]);
    windows = await machine.bridge();
  });

  afterEach(async () => {
    for (const server of installed.splice(0)) await server.remove();
  });

  afterAll(async () => {
    await machine?.close();
    await plexTv?.close();
  });

  async function install(options: Partial<ServerInMachine> = {}): Promise<WineServer> {
    const server = await installServer(machine, { plexTv, ...options });
    installed.push(server);
    return server;
  }

  async function start(options: Partial<ServerInMachine> = {}): Promise<WineServer> {
    const server = await install(options);
    await server.start();
    return server;
  }

  const env = { LOCALAPPDATA: "C:\\users\\root\\AppData\\Local" };
  const find = (settings?: string): Promise<FoundServers> =>
    findServersOnWindows(
      { windows, files: filesIn(machine), env },
      settings === undefined ? {} : { settings },
    );

  async function only(): Promise<FoundServer> {
    const { servers, unseen } = await find();
    expect(unseen).toEqual([]);
    expect(servers).toHaveLength(1);
    const [first] = servers;
    if (first === undefined) throw new Error("none");
    return first;
  }

  const serviceFor = (server: Server): Service => serviceOf({ ...realWorld(), windows }, server);
  const gone = async (server: Server) => (await windowsProcessesOf(windows, server)).length === 0;

  it("are none on a fresh machine", async () => {
    expect(await find()).toEqual({ servers: [], unseen: [] });
    expect(await updaterService(windows)).toBeNull();
  });

  it("are found by the account's settings while nothing runs", async () => {
    const plex = await install();
    const { server, processes } = await only();
    expect(server).toMatchObject({
      install: "windows-tray",
      store: "registry",
      settingsPath: plex.key,
      account: { name: expect.stringMatching(/\\root$/u), sid: plex.sid },
      service: { kind: "tray" },
    });
    expect(server.dataFolder.toLowerCase()).toBe(plex.dataFolder.toLowerCase());
    expect(server.executable?.toLowerCase()).toBe(plex.executable.toLowerCase());
    expect(processes).toEqual([]);
    expect(await dataFolderNotes({ files: filesIn(machine) }, server)).toEqual([]);
    for (const settings of [plex.key, `HKCU\\${KEY}`]) {
      expect((await find(settings)).servers.map((each) => each.server)).toEqual([server]);
    }
  });

  it.each(["machine-32", "account", "nowhere"] as const)(
    "have their executable by the home: %s",
    async (home) => {
      const installFolder = home === "nowhere" ? undefined : "C:\\Plex Москва";
      const plex = await install({
        installFolderIn: home,
        ...(installFolder !== undefined && { installFolder }),
      });
      const { server } = await only();
      expect(server.executable?.toLowerCase()).toBe(plex.executable.toLowerCase());
    },
  );

  it("have the data folder that their settings name, and a note about a stray file in it", async () => {
    const plex = await install({ movedTo: "C:\\Медиа", strayPreferences: true });
    const { server } = await only();
    expect(server.dataFolder).toBe(plex.dataFolder);
    expect(await dataFolderNotes({ files: filesIn(machine) }, server)).toEqual([
      { code: "STRAY_PREFERENCES", path: `${plex.dataFolder}\\Preferences.xml` },
    ]);
  });

  it("run as one process, are asked to close, and are started again", async () => {
    const plex = await start();
    const { server, processes } = await only();
    const pids = await plex.processes();
    expect(processes).toEqual(pids.map((pid) => ({ pid, startTicks: expect.any(Number) })));
    expect(await windowsProcessesOf(windows, server)).toEqual(processes);
    const service = serviceFor(server);
    await service.demandControl(server.settingsPath);
    expect(await plex.processes()).toEqual(pids);
    await service.requestStop();
    await until(() => gone(server), 15_000, "DID_NOT_CLOSE");
    await service.start({ resetLimit: false });
    await until(() => plex.answers(), 15_000, "DID_NOT_START");
    const [again] = (await only()).processes;
    expect(again).toMatchObject({ pid: (await plex.processes())[0] });
    expect(again).not.toEqual(processes[0]);
    expect(await isSupervisedOnWindows(windows, server)).toBe(false);
  });

  it("are not ended by force when they do not close", async () => {
    const plex = await start({ host: { closes: false } });
    const { server } = await only();
    await serviceFor(server).requestStop();
    expect(await plex.answers()).toBe(true);
    await plex.setHost({ closes: true });
    await serviceFor(server).requestStop();
    await until(() => gone(server), 15_000, "DID_NOT_CLOSE");
  });

  it.each(["PlexService", "custom"])("belong to the service that started them: %s", async (name) => {
    const plex = await start({ service: name });
    const { server, processes } = await only();
    expect(server).toMatchObject({
      install: "windows-service",
      settingsPath: plex.key,
      service: { kind: "windows-service", name },
    });
    expect(processes).toHaveLength(1);
    expect(await isSupervisedOnWindows(windows, server)).toBe(true);
    const service = serviceFor(server);
    await service.demandControl(server.settingsPath);
    expect(await service.condition()).toBe("active");
    await service.requestStop();
    const stopped = async () => (await service.condition()) === "inactive";
    await until(stopped, 15_000, "DID_NOT_STOP");
    expect(await windowsProcessesOf(windows, server)).toEqual([]);
    expect(await plex.serviceState()).toBe("STOPPED");
    await service.start({ resetLimit: true });
    await until(() => plex.answers(), 15_000, "DID_NOT_START");
    expect(await service.condition()).toBe("active");
  });

  it("cannot be closed below their service, from a desktop where they have no window", async () => {
    await start({ service: "PlexService" });
    const { server } = await only();
    const tray = serviceFor({ ...server, service: { kind: "tray" } });
    await expect(tray.requestStop()).rejects.toMatchObject({
      problem: { code: "STOP_FAILED", detail: "no-window" },
    });
    expect(await windowsProcessesOf(windows, server)).toHaveLength(1);
  });

  it("of a stopped service belong to the account that it is set up for", async () => {
    const plex = await install({ service: "PlexService", serviceAccount: "LocalSystem", hive: LOCAL_SYSTEM });
    const { server } = await only();
    expect(server).toMatchObject({
      settingsPath: plex.key,
      account: { sid: "S-1-5-18" },
      service: { kind: "windows-service", name: "PlexService" },
    });
    expect(server.dataFolder.toLowerCase()).toBe(plex.dataFolder.toLowerCase());
  });

  it("of two accounts are two, and one is taken by its key", async () => {
    const janes = await install();
    const systems = await install({ hive: LOCAL_SYSTEM, installFolder: "C:\\Plex 2" });
    const paths = ({ servers }: FoundServers) => servers.map(({ server }) => server.settingsPath);
    expect(paths(await find())).toEqual([systems.key, janes.key]);
    expect(paths(await find(systems.key))).toEqual([systems.key]);
  });
});

/** The machine's files under their Windows names, as far as finding servers looks at them. */
function filesIn(machine: WineMachine): Files {
  const { files } = realWorld();
  const at = (path: string) => machine.hostPath(path);
  return {
    ...files,
    stat: (path) => files.stat(at(path)),
    lstat: (path) => files.lstat(at(path)),
    realPath: async (path) => {
      await files.stat(at(path));
      return path;
    },
  };
}
