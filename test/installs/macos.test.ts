import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { expect, test } from "vitest";
import { findServers } from "../../src/installs/find-servers.ts";
import { findServersOnMac } from "../../src/installs/macos.ts";
import { readSignInLog } from "../../src/plex/log.ts";
import { isSupervisedOnMac } from "../../src/services/mac-processes.ts";
import { surroundings } from "../../src/stages/surroundings.ts";
import { APPLICATION } from "../support/mac-application.ts";
import { macOfTest, macWithServer, onlyServer, worldOn } from "../support/mac-bench.ts";
import type { MacServer } from "../support/mac-server.ts";
import type { MacSwitches } from "../support/mac-switches.ts";

const TWO = [{ name: "jane" }, { name: "bob", gid: 80 }];
const BOTH_BLANKS: readonly MacSwitches["dsclBlanks"][] = ["next-line", "same-line"];

test("a person's own server is found by its preferences, though it does not run", async () => {
  const { mac, server } = await macWithServer();
  const found = await findServers(worldOn(mac, "jane"), {});
  expect(found).toEqual({
    servers: [
      {
        server: {
          id: expect.stringMatching(/^[0-9a-f]{8}$/),
          install: "mac-application",
          store: "defaults",
          settingsPath: server.plist,
          dataFolder: server.dataFolder,
          logFolder: server.logFolder,
          certificateFolder: server.cacheFolder,
          executable: APPLICATION.executable,
          account: { name: "jane", uid: 501, gid: 20 },
          service: { kind: "mac-application", application: APPLICATION.path },
          url: "http://127.0.0.1:32400",
        },
        processes: [],
        unseen: [],
      },
    ],
    unseen: [],
  });
});

test("a running one is found with its processes, whoever of the two looks", async () => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  const [pid] = await server.processes();
  const [own] = (await findServersOnMac(worldOn(mac, "jane"), {})).servers;
  const [roots] = (await findServersOnMac(worldOn(mac, "root", "ssh"), {})).servers;
  expect(own?.processes).toEqual([{ pid, startTicks: expect.any(Number) }]);
  expect(roots).toEqual(own);
});

test("no server is found where nobody has one", async () => {
  const { mac } = await macOfTest({ users: TWO });
  for (const user of ["jane", "root"])
    expect(await findServersOnMac(worldOn(mac, user), {})).toEqual({ servers: [], unseen: [] });
});

test.each(BOTH_BLANKS)("root sees the servers of all people, and never its own (%s)", async (dsclBlanks) => {
  const users = [{ name: "jane" }, { name: "bob", home: "/Volumes/Big Disk/bob", gid: 80 }];
  const { mac, plexTv, server } = await macWithServer({ users, switches: { dsclBlanks } });
  const bobs = await mac.installServer({ plexTv, user: "bob" });
  await mac.run("root", "open", [APPLICATION.path]);
  const { servers, unseen } = await findServersOnMac(worldOn(mac, "root"), {});
  expect(servers.map((each) => each.server.settingsPath)).toEqual([server.plist, bobs.plist].sort());
  expect(servers.map((each) => each.server.account)).toContainEqual({ name: "bob", uid: 502, gid: 80 });
  expect(servers.map((each) => each.processes)).toEqual([[], []]);
  expect(unseen).toEqual([]);
});

test("of others a person is told the settings alone, and only where their server runs", async () => {
  const { mac, server } = await macWithServer({ users: TWO });
  expect(await findServersOnMac(worldOn(mac, "bob"), {})).toEqual({ servers: [], unseen: [] });
  await server.start("process");
  expect(await findServersOnMac(worldOn(mac, "bob"), {})).toEqual({ servers: [], unseen: [server.plist] });
});

test("settings that the preference daemon has not written yet are a server's as well", async () => {
  const { mac, server } = await macWithServer();
  await rm(mac.real(server.plist));
  for (const user of ["jane", "root"])
    expect((await onlyServer(worldOn(mac, user))).settingsPath).toBe(server.plist);
});

test("a closed folder does not hide a server, as the daemon still tells of it", async () => {
  const { mac, server } = await macWithServer();
  await mac.setSwitches({ closed: [dirname(server.plist)] });
  expect((await onlyServer(worldOn(mac, "jane"))).settingsPath).toBe(server.plist);
});

test.each([
  ["the data folder", (server: MacServer) => server.dataFolder],
  ["its parent", (server: MacServer) => dirname(server.dataFolder)],
  ["the log folder", (server: MacServer) => server.logFolder],
  ["the whole home", (server: MacServer) => server.user.home],
  ["the agents", (server: MacServer) => dirname(server.agent)],
  ["every home", () => "/Users"],
  ["the applications", () => "/Applications"],
])("privacy protection of %s never stops the search, nor what is read after it", async (what, closed) => {
  const { mac, server } = await macWithServer({ users: TWO });
  await server.start("process");
  const asFound = await onlyServer(worldOn(mac, "jane"));
  await mac.setSwitches({ closed: [closed(server)] });
  for (const user of ["jane", "root"]) {
    const world = worldOn(mac, user);
    const found = await onlyServer(world);
    expect(found).toEqual(asFound);
    expect(await surroundings(world, found)).toEqual([]);
    const log = await readSignInLog(world, found);
    const hidden = ["the log folder", "the whole home", "every home"].includes(what);
    expect(log.kind, user).toBe(hidden ? "unreadable" : "read");
    expect(await isSupervisedOnMac(world, found)).toBe(
      ["the agents", "the whole home", "every home"].includes(what),
    );
  }
});

test("what is closed of one account hides nobody else's server", async () => {
  const { mac, plexTv, server } = await macWithServer({ users: TWO });
  const bobs = await mac.installServer({ plexTv, user: "bob" });
  await mac.setSwitches({ closed: ["/Users/bob"] });
  const { servers, unseen } = await findServersOnMac(worldOn(mac, "root"), {});
  expect(servers.map((each) => each.server.settingsPath)).toEqual([bobs.plist, server.plist].sort());
  expect(unseen).toEqual([]);
  expect((await onlyServer(worldOn(mac, "jane"))).settingsPath).toBe(server.plist);
});

test("a moved data folder that is closed to us counts: other disks are protected as well", async () => {
  const { mac, server } = await macWithServer({}, { movedTo: "/Volumes/Big Disk/Plex data" });
  for (const closed of ["/Volumes/Big Disk/Plex data", "/Volumes"]) {
    await mac.setSwitches({ closed: [closed] });
    expect((await onlyServer(worldOn(mac, "jane"))).dataFolder).toBe(server.dataFolder);
  }
});

test("a server that runs without settings is one, too", async () => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  await mac.control("jane", { do: "write", domain: server.domain, replace: true, values: [] });
  await rm(mac.real(server.plist), { force: true });
  expect((await onlyServer(worldOn(mac, "jane"))).settingsPath).toBe(server.plist);
});

test("a moved data folder is honoured where it is, and the logs stay", async () => {
  const { mac, server } = await macWithServer({}, { movedTo: "/Volumes/Big Disk/Plex data" });
  expect(server.dataFolder).toBe("/Volumes/Big Disk/Plex data/Plex Media Server");
  for (const user of ["jane", "root"]) {
    const { dataFolder, logFolder } = await onlyServer(worldOn(mac, user));
    expect({ dataFolder, logFolder }).toEqual({ dataFolder: server.dataFolder, logFolder: server.logFolder });
  }
});

test.each([
  ["that is not there", "/Volumes/Gone"],
  ["that is no absolute path", "Plex data"],
])("a data folder %s does not count", async (_what, value) => {
  const values = { LocalAppDataPath: { type: "string", value } } as const;
  const { mac, server } = await macWithServer({}, { values });
  expect((await onlyServer(worldOn(mac, "jane"))).dataFolder).toBe(server.dataFolder);
});

test("an application in the person's own folder is found", async () => {
  const { mac } = await macWithServer();
  await mkdir(mac.real("/Users/jane/Applications"));
  await rename(mac.real(APPLICATION.path), mac.real("/Users/jane/Applications/Plex Media Server.app"));
  expect((await onlyServer(worldOn(mac, "root"))).service).toEqual({
    kind: "mac-application",
    application: "/Users/jane/Applications/Plex Media Server.app",
  });
});

test("without an application nothing is there to start", async () => {
  const { mac } = await macWithServer();
  await rm(mac.real(APPLICATION.path), { recursive: true });
  const server = await onlyServer(worldOn(mac, "jane"));
  expect(server.service).toEqual({ kind: "none" });
  expect(server.executable).toBeUndefined();
});

test("the application that runs goes before the one in the usual place, unless it is macOS's own copy", async () => {
  const { mac } = await macWithServer();
  const world = worldOn(mac, "jane");
  const elsewhere = "/Volumes/Big Disk/Plex Media Server.app";
  const translocated = "/private/var/folders/x/AppTranslocation/AB-12/d/Plex Media Server.app";
  for (const path of [elsewhere, translocated]) await mkdir(mac.real(path), { recursive: true });
  const running = (path: string): typeof world => ({
    ...world,
    run: async (file, args, options) => {
      const result = await world.run(file, args, options);
      if (file !== "/bin/ps") return result;
      const row = `  4711     1   501 S    Sat Nov 22 06:42:00 2025     ${path}/Contents/MacOS/Plex Media Server\n`;
      return { ...result, stdout: `${result.stdout}${row}` };
    },
  });
  expect((await onlyServer(running(elsewhere))).service).toMatchObject({ application: elsewhere });
  const [found] = (await findServersOnMac(running(translocated), {})).servers;
  expect(found?.server.service).toMatchObject({ application: APPLICATION.path });
  expect(found?.processes).toMatchObject([{ pid: 4711 }]);
});

test("a person's own commands go before the application", async () => {
  const { mac } = await macWithServer();
  const options = { stopCommand: "halt it", startCommand: "run it", serverUrl: "http://127.0.0.1:32500/" };
  const [found] = (await findServersOnMac(worldOn(mac, "jane"), options)).servers;
  expect(found?.server.service).toEqual({ kind: "command", stop: "halt it", start: "run it" });
  expect(found?.server.url).toBe("http://127.0.0.1:32500");
});

test("a named file is one alone", async () => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  await mkdir(mac.real("/Users/jane/Desktop"));
  const copy = "/Users/jane/Desktop/com.plexapp.plexmediaserver.plist";
  await writeFile(mac.real(copy), "x");
  const { servers, unseen } = await findServersOnMac(worldOn(mac, "jane"), { settings: copy });
  expect(unseen).toEqual([]);
  expect(servers).toEqual([
    {
      server: {
        id: expect.stringMatching(/^[0-9a-f]{8}$/),
        install: "settings-file",
        store: "plist",
        settingsPath: copy,
        dataFolder: "/Users/jane/Desktop",
        service: { kind: "none" },
        url: "http://127.0.0.1:32400",
      },
      processes: [],
      unseen: [],
    },
  ]);
  const given = { settings: "/Users/jane/Preferences.xml", stopCommand: "halt it" };
  const [xml] = (await findServersOnMac(worldOn(mac, "jane"), given)).servers;
  expect(xml?.server).toMatchObject({ store: "xml", service: { kind: "command", stop: "halt it" } });
});

test("a domain's own file is that server, whatever path leads to it", async () => {
  const { mac, server } = await macWithServer({ users: TWO });
  await symlink("/Users/jane/Library/Preferences", mac.real("/Users/Shared/preferences"));
  const own = await onlyServer(worldOn(mac, "jane"));
  for (const settings of [server.plist, `/Users/Shared/preferences/${APPLICATION.bundleId}.plist`]) {
    for (const user of ["jane", "root"]) {
      const [named] = (await findServersOnMac(worldOn(mac, user), { settings })).servers;
      expect(named?.server, `${user} ${settings}`).toEqual(own);
    }
  }
  const [seenByBob] = (await findServersOnMac(worldOn(mac, "bob"), { settings: server.plist })).servers;
  expect(seenByBob?.server).toMatchObject({ id: own.id, store: "defaults", account: { uid: 501 } });
  await rm(mac.real(server.plist));
  const [unwritten] = (await findServersOnMac(worldOn(mac, "jane"), { settings: server.plist })).servers;
  expect(unwritten?.server.store).toBe("defaults");
});

test.each(["fails", "hangs"] as const)("where ps %s it is not known what runs", async (kind) => {
  const { mac } = await macWithServer();
  mac.fault({ at: 1, tool: "ps", kind });
  const [found] = (await findServersOnMac(worldOn(mac, "jane"), {})).servers;
  expect(found).toMatchObject({ processes: "unknown", unseen: ["/bin/ps"] });
});

test.each(["defaults", "dscl"])("a failing %s never throws", async (tool) => {
  const { mac, server } = await macWithServer();
  for (let at = 1; at <= 3; at += 1) {
    mac.fault({ at, tool, kind: "fails" });
    expect((await onlyServer(worldOn(mac, "jane"))).settingsPath).toBe(server.plist);
  }
});

test("no token is ever read, and none stands in what is called", async () => {
  const { mac, server } = await macWithServer();
  const token = (await server.token()) ?? expect.unreachable("no token");
  await findServersOnMac(worldOn(mac, "root"), {});
  const calls = await mac.calledWith();
  expect(calls.length).toBeGreaterThan(0);
  for (const { tool, args } of calls) {
    expect(`${tool} ${args.join(" ")}`).not.toMatch(/PlexOnline|export/);
    expect(args.join(" ")).not.toContain(token);
  }
});

test("the log is read where a Mac keeps it", async () => {
  const { mac, server } = await macWithServer();
  await server.start();
  for (const user of ["jane", "root"]) {
    const world = worldOn(mac, user);
    const { dataFolder, logFolder = "" } = await onlyServer(world);
    const path = `${logFolder}/Plex Media Server.log`;
    expect(await readSignInLog(world, { dataFolder, logFolder })).toMatchObject({ kind: "read", path });
    expect(await readSignInLog(world, { dataFolder })).toMatchObject({ kind: "missing" });
  }
});

test("a log folder behind a link is not followed", async () => {
  const { mac, server } = await macWithServer();
  await server.start();
  await rename(mac.real(server.logFolder), mac.real("/Users/Shared/logs"));
  await symlink("/Users/Shared/logs", mac.real(server.logFolder));
  const world = worldOn(mac, "root");
  expect(await readSignInLog(world, await onlyServer(world))).toMatchObject({ kind: "unreadable" });
});

test("a data folder behind a link is worth a note", async () => {
  const { mac, server } = await macWithServer();
  const found = await onlyServer(worldOn(mac, "jane"));
  const { files } = worldOn(mac, "jane");
  expect(await surroundings({ files }, found)).toEqual([]);
  await rename(mac.real(server.dataFolder), mac.real("/Users/Shared/plex"));
  await symlink("/Users/Shared/plex", mac.real(server.dataFolder));
  expect(await surroundings({ files }, found)).toEqual([
    { code: "DATA_FOLDER_REDIRECTED", path: server.dataFolder, how: "link" },
  ]);
});
