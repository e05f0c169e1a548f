import { chown, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { expect, test } from "vitest";
import { findServers } from "../../src/installs/find-servers.ts";
import { findServersOnMac } from "../../src/installs/macos.ts";
import { uidOf } from "../../src/model/server.ts";
import { readSignInLog } from "../../src/plex/log.ts";
import { isSupervisedOnMac } from "../../src/services/mac-processes.ts";
import { surroundings } from "../../src/stages/surroundings.ts";
import { APPLICATION, bundleAt } from "../support/mac-application.ts";
import { type BenchWorld, macOfTest, macWithServer, onlyServer, worldOn } from "../support/mac-bench.ts";
import type { MacServer } from "../support/mac-server.ts";
import type { MacSwitches } from "../support/mac-switches.ts";
import { string } from "../support/mac-values.ts";

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

test.each(BOTH_BLANKS)(
  "root sees the servers of all people, and none of its own (%s)",
  async (dsclBlanks) => {
    const users = [{ name: "jane" }, { name: "bob", home: "/Volumes/Big Disk/bob", gid: 80 }];
    const { mac, plexTv, server } = await macWithServer({ users, switches: { dsclBlanks } });
    const bobs = await mac.installServer({ plexTv, user: "bob" });
    await mac.setValues("root", APPLICATION.bundleId, { FriendlyName: string("nobody's") });
    await mac.flush();
    const { servers, unseen } = await findServersOnMac(worldOn(mac, "root"), {});
    expect(servers.map((each) => each.server.settingsPath)).toEqual([server.plist, bobs.plist].sort());
    expect(servers.map((each) => each.server.account)).toContainEqual({ name: "bob", uid: 502, gid: 80 });
    expect(servers.map((each) => each.processes)).toEqual([[], []]);
    expect(unseen).toEqual([]);
  },
);

test("one that runs as root, or as an account of the system, is never passed over in silence", async () => {
  const users = [{ name: "jane" }, { name: "_media", uid: 300, home: "/var/media" }];
  const { mac } = await macWithServer({ users });
  const rootsOwn = `/var/root/Library/Preferences/${APPLICATION.bundleId}.plist`;
  const medias = `/var/media/Library/Preferences/${APPLICATION.bundleId}.plist`;
  await mac.run("root", "open", [APPLICATION.path]);
  const both = (user: string) => {
    const world = worldOn(mac, user);
    const rows = `${row(4711, 300)}${row(4712, 77)}`;
    return findServersOnMac(withProcesses(world, rows), {});
  };
  const seenByJane = await both("jane");
  expect(seenByJane.servers.map(({ server }) => server.account)).toMatchObject([{ uid: 501 }]);
  // Of the third one nobody knows whose it is.
  expect([...seenByJane.unseen].sort()).toEqual([APPLICATION.executable, rootsOwn, medias].sort());
  const { servers, unseen } = await both("root");
  expect(servers.map(({ server }) => server.settingsPath)).toEqual(
    ["/Users/jane/Library/Preferences/com.plexapp.plexmediaserver.plist", medias, rootsOwn].sort(),
  );
  expect(servers.find(({ server }) => server.settingsPath === rootsOwn)).toMatchObject({
    server: { account: { name: "root", uid: 0, gid: 0 }, store: "defaults" },
    processes: [{ pid: expect.any(Number) }],
  });
  expect(unseen).toEqual([APPLICATION.executable]);
});

/** What `ps` shows of a server. */
function row(pid: number, uid: number, path: string = APPLICATION.executable): string {
  return `${String(pid).padStart(5)}     1 ${String(uid).padStart(5)} S    Sat Nov 22 06:42:00 2025     ${path}\n`;
}

/** The same with more in the list of processes. */
function withProcesses(world: BenchWorld, rows: string): BenchWorld {
  return {
    ...world,
    run: async (file, args, options) => {
      const result = await world.run(file, args, options);
      return file === "/bin/ps" ? { ...result, stdout: `${result.stdout}${rows}` } : result;
    },
  };
}

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
  const running = (path: string) =>
    withProcesses(world, row(4711, 501, `${path}/Contents/MacOS/Plex Media Server`));
  expect((await onlyServer(running(elsewhere))).service).toMatchObject({ application: elsewhere });
  const [found] = (await findServersOnMac(running(translocated), {})).servers;
  expect(found?.server.service).toMatchObject({ application: APPLICATION.path });
  expect(found?.processes).toMatchObject([{ pid: 4711 }]);
});

test("a bundle that was renamed is found by what runs in it, and is the one to launch again", async () => {
  for (const name of ["Plex Media Server 2.app", "Films.app"]) {
    const application = bundleAt(`/Applications/${name}`);
    const { mac, server } = await macWithServer({}, { application });
    await mkdir(mac.real(APPLICATION.path), { recursive: true });
    await server.start("process");
    const [found] = (await findServersOnMac(worldOn(mac, "jane"), {})).servers;
    expect(found?.processes).toHaveLength(1);
    expect(found?.server).toMatchObject({
      executable: application.executable,
      service: { kind: "mac-application", application: application.path },
    });
  }
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

const KIM = { name: "kim", uid: 1_700_000_001 };
const KIMS = `/Users/kim/Library/Preferences/${APPLICATION.bundleId}.plist`;

/** A world in which some accounts are in no list of this Mac: `known` still answers for each of them. */
function unlisted(world: BenchWorld, known: boolean): BenchWorld {
  return {
    ...world,
    run: async (file, args, options) => {
      if (!known && file === "/usr/bin/id") return { ...(await world.run(file, ["-un", "4"], options)) };
      const result = await world.run(file, args, options);
      const listed = file === "/usr/bin/dscl" && args.includes("-list");
      return listed ? { ...result, stdout: result.stdout.replace(/^kim .*\n/mu, "") } : result;
    },
  };
}

async function withKim() {
  const made = await macWithServer({ users: [{ name: "jane" }, KIM] });
  const kims = await made.mac.installServer({ plexTv: made.plexTv, user: "kim" });
  return { ...made, kims };
}

/** Whose domain a file counts as, by the number; `file` where it is one alone. */
async function takenAs(world: BenchWorld, settings: string): Promise<number | "file" | undefined> {
  const [found] = (await findServersOnMac(world, { settings })).servers;
  return found?.server.store === "defaults" ? uidOf(found.server) : "file";
}

test("a domain of an account that is in no list of this Mac is that account's, and no file", async () => {
  const { mac, kims } = await withKim();
  expect(kims.plist).toBe(KIMS);
  await symlink("/Users/kim", mac.real("/Users/Shared/kims-home"));
  const linked = KIMS.replace("/Users/kim", "/Users/Shared/kims-home");
  for (const [user, settings] of [
    ["root", KIMS],
    ["root", linked],
    ["jane", KIMS],
  ] as const)
    expect(await takenAs(unlisted(worldOn(mac, user), true), settings), `${user} ${settings}`).toBe(KIM.uid);
  // Root has edited it, behind the daemon's back: the folders are still kim's.
  if (process.geteuid?.() === 0) await chown(mac.real(KIMS), 0, 0);
  expect(await takenAs(unlisted(worldOn(mac, "root"), true), KIMS)).toBe(KIM.uid);
  await rm(mac.real(KIMS));
  expect(await takenAs(unlisted(worldOn(mac, "root"), true), KIMS)).toBe(KIM.uid);
});

test("root's own domain, named, is root's: its file is not edited behind the daemon", async () => {
  const { mac } = await macWithServer();
  const settings = `/var/root/Library/Preferences/${APPLICATION.bundleId}.plist`;
  for (const path of [settings, `/private${settings}`]) {
    expect(await takenAs(worldOn(mac, "root"), path), path).toBe(0);
    await mkdir(mac.real(dirname(`/private${settings}`)), { recursive: true });
    await writeFile(mac.real(`/private${settings}`), "x");
    expect(await takenAs(worldOn(mac, "root"), path), path).toBe(0);
    await rm(mac.real(`/private${settings}`));
  }
});

test("what lies where a domain may be, of an account that nobody tells, is not touched", async () => {
  const { mac } = await withKim();
  const unknown = { problem: { code: "SETTINGS_OWNER_UNKNOWN", path: KIMS } };
  const world = unlisted(worldOn(mac, "root"), false);
  await expect(findServersOnMac(world, { settings: KIMS })).rejects.toMatchObject(unknown);
  const everybodys = `/Library/Preferences/${APPLICATION.bundleId}.plist`;
  await expect(findServersOnMac(worldOn(mac, "root"), { settings: everybodys })).rejects.toMatchObject({
    problem: { code: "SETTINGS_OWNER_UNKNOWN", path: everybodys },
  });
});

test("a copy is a file, whatever its place is called and whoever owns it", async () => {
  const { mac, server } = await withKim();
  const copies = ["/Volumes/Old Mac/Users/kim", "/Users/jane/old/kim", "/Volumes/Backup/Users/jane"].map(
    (home) => `${home}/Library/Preferences/${APPLICATION.bundleId}.plist`,
  );
  const world = worldOn(mac, "root");
  const { stat } = world.files;
  const files = {
    ...world.files,
    stat: async (path: string) => ({
      ...(await stat(path)),
      ...(path.includes("/kim") && { uid: KIM.uid }),
      ...(path.includes("/Backup/") && { uid: 501 }),
    }),
  };
  for (const copy of copies) {
    await mkdir(mac.real(dirname(copy)), { recursive: true });
    await writeFile(mac.real(copy), await readFile(mac.real(server.plist)));
    for (const known of [true, false])
      expect(await takenAs(unlisted({ ...world, files }, known), copy), `${copy} ${known}`).toBe("file");
  }
  // Somebody of that number is at work here: their home may be anywhere.
  const live = withProcesses(unlisted({ ...world, files }, false), row(4711, KIM.uid, "/bin/zsh"));
  await expect(findServersOnMac(live, { settings: copies[0] ?? "" })).rejects.toMatchObject({
    problem: { code: "SETTINGS_OWNER_UNKNOWN" },
  });
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
