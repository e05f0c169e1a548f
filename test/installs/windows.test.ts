import { createHash } from "node:crypto";
import { assert, asyncProperty, constantFrom, nat, oneof, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { type FindOptions, findServers } from "../../src/installs/find-servers.ts";
import { findServersOnWindows } from "../../src/installs/windows.ts";
import { dataFolderNotes } from "../../src/installs/windows-data-folder.ts";
import { updaterService } from "../../src/installs/windows-services.ts";
import { ProblemError } from "../../src/model/problem.ts";
import { realWorld } from "../../src/world/real.ts";
import { SystemError } from "../../src/world/world.ts";
import { binaryValue, dwordValue, textValue } from "../support/memory-registry.ts";
import {
  BOB,
  EXECUTABLE,
  JANE,
  LOCAL_SYSTEM,
  PMS,
  PROGRAM_FOLDER,
  SimulatedWindows,
  usualWindows,
} from "../support/simulated-windows.ts";

const KEY = "Software\\Plex, Inc.\\Plex Media Server";
const keyOf = (sid: string) => `HKEY_USERS\\${sid}\\${KEY}`;
const JANES_DATA = "C:\\Users\\jane\\AppData\\Local\\Plex Media Server";
const MACHINE_KEY = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Plex, Inc.\\Plex Media Server";
const MACHINE_KEY_32 = "HKEY_LOCAL_MACHINE\\SOFTWARE\\WOW6432Node\\Plex, Inc.\\Plex Media Server";
const TRAY = { kind: "tray" };
const serviceOf = (name: string) => ({ kind: "windows-service", name });

function find(windows: SimulatedWindows, options: FindOptions = {}, env: Record<string, string> = {}) {
  return findServersOnWindows({ windows, files: windows.files, env }, options);
}

async function only(windows: SimulatedWindows, options: FindOptions = {}, env: Record<string, string> = {}) {
  const { servers } = await find(windows, options, env);
  expect(servers).toHaveLength(1);
  const [first] = servers;
  if (first === undefined) throw new Error("none");
  return first;
}

async function places(windows: SimulatedWindows, options: FindOptions = {}) {
  const { servers } = await find(windows, options);
  return servers.map(({ server }) => [server.settingsPath, server.install, server.service]);
}

/** Bob, whose desktop is another session. */
function addBob(windows: SimulatedWindows, options?: { loaded: boolean }): void {
  windows.addAccount(BOB, "ATTIC\\bob", "C:\\Users\\bob", options);
}

describe("a server on Windows", () => {
  it("is what an account has settings of, with all that is known about it", async () => {
    const { windows } = usualWindows();
    windows.addSettings(JANE);
    const settingsPath = keyOf(JANE);
    const { servers, unseen } = await find(windows);
    expect(unseen).toEqual([]);
    expect(servers).toEqual([
      {
        server: {
          id: createHash("sha256").update(settingsPath.toUpperCase()).digest("hex").slice(0, 8),
          install: "windows-tray",
          store: "registry",
          settingsPath,
          dataFolder: JANES_DATA,
          executable: EXECUTABLE,
          account: { name: "ATTIC\\jane", sid: JANE },
          service: TRAY,
          url: "http://127.0.0.1:32400",
        },
        processes: [],
        unseen: [],
      },
    ]);
  });

  it("is found through the one entry for every system", async () => {
    const { windows } = usualWindows();
    windows.addSettings(JANE);
    const { servers } = await findServers({ ...realWorld(), windows, files: windows.files, env: {} }, {});
    expect(servers.map(({ server }) => server.settingsPath)).toEqual([keyOf(JANE)]);
  });

  it("is none when the key holds only what the installer and the updater write", async () => {
    const { windows } = usualWindows();
    windows.addSettings(JANE, []);
    expect(await places(windows)).toEqual([]);
    windows.addSettings(JANE, [
      textValue("installfolder", PROGRAM_FOLDER),
      dwordValue("FirstRun", 0),
      textValue("LocalAppDataPath", "D:\\"),
      textValue("", "default"),
    ]);
    expect(await places(windows)).toEqual([]);
  });

  it("is what an account runs, whatever its key holds", async () => {
    const { windows } = usualWindows();
    const pid = windows.addProcess();
    const { server, processes } = await only(windows);
    expect(server).toMatchObject({ settingsPath: keyOf(JANE), service: TRAY });
    expect(processes).toEqual([{ pid, startTicks: windows.running()[0]?.startedMs }]);
  });

  it("is listed once for every account that has one, in the order of their keys, and never guessed between", async () => {
    const { windows } = usualWindows();
    addBob(windows);
    windows.addSettings(BOB);
    windows.addSettings(JANE);
    windows.addSettings(LOCAL_SYSTEM);
    expect(await places(windows)).toEqual([
      [keyOf(LOCAL_SYSTEM), "windows-tray", TRAY],
      [keyOf(JANE), "windows-tray", TRAY],
      [keyOf(BOB), "windows-tray", TRAY],
    ]);
  });

  it("is not found again under another name of LocalSystem's hive, in `_Classes`, or in a hive of ours", async () => {
    const { windows } = usualWindows();
    windows.addSettings(LOCAL_SYSTEM);
    for (const mount of [".DEFAULT", `${JANE}_Classes`, "plex-reclaim-1", `plex-reclaim-${BOB}`]) {
      windows.registry.setKey(`HKEY_USERS\\${mount}\\${KEY}`, [textValue("FriendlyName", "x")]);
    }
    expect(await places(windows)).toEqual([[keyOf(LOCAL_SYSTEM), "windows-tray", TRAY]]);
  });

  it("of an account that is not here is listed by its data folder, for its hive cannot be read", async () => {
    const { windows } = usualWindows();
    addBob(windows, { loaded: false });
    windows.addFolder(JANES_DATA);
    expect(await places(windows)).toEqual([]);
    const folder = "C:\\Users\\bob\\AppData\\Local\\Plex Media Server";
    windows.addFolder(folder);
    const { server, processes, unseen } = await only(windows);
    expect(server).toMatchObject({ settingsPath: keyOf(BOB), dataFolder: folder, account: { sid: BOB } });
    expect([processes, unseen]).toEqual([[], []]);
  });

  it("goes by its SID when nobody knows a name for it", async () => {
    const { windows } = usualWindows();
    windows.registry.setKey(`HKEY_USERS\\${BOB}\\${KEY}`, [textValue("FriendlyName", "x")]);
    const { server } = await only(windows);
    expect(server.account).toEqual({ name: BOB, sid: BOB });
  });

  it("is at the address that was given, without the slash", async () => {
    const { windows } = usualWindows();
    windows.addSettings(JANE);
    const { server } = await only(windows, { serverUrl: "http://127.0.0.1:32500/" });
    expect(server.url).toBe("http://127.0.0.1:32500");
  });

  it("is stopped and started by a person's own commands where they are given", async () => {
    const { windows } = usualWindows();
    windows.addService({ name: "PlexService" }, "stopped");
    const commands = { stopCommand: "stop it", startCommand: "start it" };
    const { server } = await only(windows, commands);
    expect(server.service).toEqual({ kind: "command", stop: "stop it", start: "start it" });
    expect(server.install).toBe("windows-service");
    const stopOnly = await only(windows, { stopCommand: "stop it" });
    expect(stopOnly.server.service).toEqual({ kind: "command", stop: "stop it" });
  });
});

describe("what may not be seen", () => {
  it("is named: the closed key of a person", async () => {
    const { windows } = usualWindows();
    addBob(windows);
    windows.registry.makeHidden(`HKEY_USERS\\${BOB}`);
    expect(await find(windows)).toEqual({ servers: [], unseen: [keyOf(BOB)] });
  });

  it.each(["EFBIG", "EBUSY", "WIN32_1009"])(
    "is named: a person's key that answers %s, and it hides nobody else's server",
    async (code) => {
      const { windows } = usualWindows();
      windows.addSettings(JANE);
      addBob(windows);
      windows.addSettings(BOB);
      windows.registry.beforeCall = ({ call, path }) => {
        if (path.startsWith(`HKEY_USERS\\${BOB}`)) throw new SystemError(code, call, path);
      };
      const { servers, unseen } = await find(windows);
      expect(servers.map(({ server }) => server.settingsPath)).toEqual([keyOf(JANE)]);
      expect(unseen).toEqual([keyOf(BOB)]);
      windows.addProcess({ sid: BOB, session: 2 });
      windows.self = { ...windows.self, elevated: true };
      const running = await find(windows);
      expect(running.servers.map((each) => each.unseen)).toEqual([[], [keyOf(BOB)]]);
    },
  );

  it("is an error where it is the machine's own key", async () => {
    const { windows } = usualWindows();
    windows.registry.beforeCall = ({ call, path }) => {
      if (path.startsWith("HKEY_LOCAL_MACHINE")) throw new SystemError("WIN32_1009", call, path);
    };
    await expect(find(windows)).rejects.toMatchObject({ code: "WIN32_1009" });
  });

  it("is not told of the closed keys that every Windows has", async () => {
    const { windows } = usualWindows();
    for (const sid of [LOCAL_SYSTEM, "S-1-5-19", "S-1-5-20", "S-1-5-80-1-2-3-4-5"]) {
      windows.registry.setKey(`HKEY_USERS\\${sid}`);
      windows.registry.makeHidden(`HKEY_USERS\\${sid}`);
    }
    expect(await find(windows)).toEqual({ servers: [], unseen: [] });
  });

  it("is told of a closed key that a service points to", async () => {
    const { windows } = usualWindows();
    windows.addService({ name: "PlexService" }, "stopped");
    windows.registry.makeHidden(`HKEY_USERS\\${LOCAL_SYSTEM}`);
    const { server, unseen } = await only(windows);
    expect(server.settingsPath).toBe(keyOf(LOCAL_SYSTEM));
    expect(unseen).toEqual([keyOf(LOCAL_SYSTEM)]);
  });

  it("is named: a process of somebody", async () => {
    const { windows } = usualWindows();
    addBob(windows);
    const pid = windows.addProcess({ sid: BOB, session: 2 });
    expect(await find(windows)).toEqual({ servers: [], unseen: [`${PMS} (${pid})`] });
  });

  it("is no reason to doubt whether our own server runs, when it is surely another's", async () => {
    const { windows } = usualWindows();
    addBob(windows);
    windows.addSettings(JANE);
    windows.addProcess({ sid: BOB, session: 2 });
    expect((await only(windows)).processes).toEqual([]);
  });

  it("is one, when it could be our own with more rights", async () => {
    const { windows } = usualWindows();
    windows.addSettings(JANE);
    const pid = windows.addProcess({ elevated: true });
    const { processes, unseen } = await only(windows);
    expect(processes).toBe("unknown");
    expect(unseen).toEqual([`${EXECUTABLE} (${pid})`]);
  });

  it("is named: the folder of an account that is not here, unless it is no person's", async () => {
    const { windows } = usualWindows();
    const service = "C:\\Windows\\ServiceProfiles\\LocalService";
    addBob(windows, { loaded: false });
    windows.addAccount("S-1-5-19", "NT AUTHORITY\\LOCAL SERVICE", service, { loaded: false });
    const folder = "C:\\Users\\bob\\AppData\\Local\\Plex Media Server";
    windows.addFile(folder, { kind: "closed" });
    windows.addFile(`${service}\\AppData\\Local\\Plex Media Server`, { kind: "closed" });
    expect(await find(windows)).toEqual({ servers: [], unseen: [folder] });
  });

  it("is named: the services, when they may not be listed", async () => {
    const { windows } = usualWindows();
    windows.refusals.set("services.list", "EACCES");
    expect(await find(windows)).toEqual({
      servers: [],
      unseen: ["HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services"],
    });
  });

  it("takes a hive that is unloaded in this moment for one without settings", async () => {
    const { windows } = usualWindows();
    windows.addSettings(JANE);
    windows.registry.beforeCall = ({ call, path }) => {
      if (call === "values" && path === keyOf(JANE)) throw new SystemError("ESTALE", call, path);
    };
    expect(await find(windows)).toEqual({ servers: [], unseen: [] });
    const { server, unseen } = await only(windows, { settings: `HKCU\\${KEY}` });
    expect([server.install, unseen]).toEqual(["registry-key", []]);
  });

  it("is a link that somebody put in the place of the own key: it is not followed, and hides nobody else's", async () => {
    const { windows } = usualWindows();
    addBob(windows);
    windows.addSettings(JANE);
    windows.registry.beforeCall = ({ call, path }) => {
      if (call === "values" && path === keyOf(BOB)) throw new SystemError("ELOOP", call, path);
    };
    const { servers, unseen } = await find(windows);
    expect(servers.map(({ server }) => server.settingsPath)).toEqual([keyOf(JANE)]);
    expect(unseen).toEqual([keyOf(BOB)]);
  });

  it("does not hide a failure that has another reason", async () => {
    const { windows } = usualWindows();
    windows.registry.failAt(1, "WIN32_1009", { calls: ["subkeys"] });
    await expect(find(windows)).rejects.toMatchObject({ code: "WIN32_1009" });
  });
});

describe("the data folder", () => {
  const FOLDERS = `HKEY_USERS\\${BOB}\\Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\Shell Folders`;

  it.each([
    ["D:\\Plex", "D:\\Plex\\Plex Media Server"],
    ["D:\\", "D:\\Plex Media Server"],
    ["\\\\nas\\plex", "\\\\nas\\plex\\Plex Media Server"],
  ])("is in the parent folder %s that the settings name", async (parent, expected) => {
    const { windows } = usualWindows();
    windows.addSettings(JANE, [textValue("LocalAppDataPath", parent), textValue("FriendlyName", "x")]);
    const { server } = await only(windows, {}, { LOCALAPPDATA: "E:\\elsewhere" });
    expect(server.dataFolder).toBe(expected);
  });

  it.each([
    ["a relative path", textValue("LocalAppDataPath", "Plex")],
    ["a path from no drive", textValue("LocalAppDataPath", "\\Plex")],
    ["a device", textValue("LocalAppDataPath", "\\\\.\\C:")],
    ["nothing", textValue("LocalAppDataPath", "")],
    ["no text", binaryValue("LocalAppDataPath", [0x44, 0, 0x3a, 0, 0x5c, 0])],
    ["a number", dwordValue("LocalAppDataPath", 1)],
  ])("is not where %s leads", async (_, value) => {
    const { windows } = usualWindows();
    windows.addSettings(JANE, [value, textValue("FriendlyName", "x")]);
    expect((await only(windows)).server.dataFolder).toBe(JANES_DATA);
  });

  it("is in our own environment's Local AppData for our own account alone", async () => {
    const { windows } = usualWindows();
    addBob(windows);
    windows.addSettings(JANE);
    windows.addSettings(BOB);
    const { servers } = await find(windows, {}, { LOCALAPPDATA: "E:\\Local" });
    expect(servers.map(({ server }) => server.dataFolder)).toEqual([
      "E:\\Local\\Plex Media Server",
      "C:\\Users\\bob\\AppData\\Local\\Plex Media Server",
    ]);
  });

  it("is in the Local AppData of the account's own Explorer, where that is a whole path", async () => {
    const { windows } = usualWindows();
    addBob(windows);
    windows.addSettings(BOB);
    windows.registry.setKey(FOLDERS, [textValue("Local AppData", "F:\\Local")]);
    expect((await only(windows)).server.dataFolder).toBe("F:\\Local\\Plex Media Server");
    windows.registry.setKey(FOLDERS, [textValue("Local AppData", "%USERPROFILE%\\AppData\\Local", 2)]);
    const expected = "C:\\Users\\bob\\AppData\\Local\\Plex Media Server";
    expect((await only(windows)).server.dataFolder).toBe(expected);
  });

  it.each([
    [LOCAL_SYSTEM, "LocalSystem", "C:\\Windows\\system32\\config\\systemprofile"],
    ["S-1-5-80-9-9-9-9-9", "NT SERVICE\\PlexMediaServer", "C:\\Windows\\ServiceProfiles\\PlexMediaServer"],
    ["S-1-5-20", "NT AUTHORITY\\NETWORK SERVICE", "C:\\Windows\\ServiceProfiles\\NetworkService"],
    [BOB, "ATTIC\\bob", "C:\\Users\\bob"],
  ])("of %s is where Windows keeps that account, also before it was here", async (sid, name, profile) => {
    const { windows } = usualWindows();
    for (const known of [true, false]) {
      windows.addAccount(sid, name === "LocalSystem" ? "NT AUTHORITY\\SYSTEM" : name, profile, {
        loaded: false,
      });
      if (!known) {
        const list = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList";
        windows.registry.removeKey(`${list}\\${sid}`);
      }
      windows.addService({ name: "PlexService", account: name }, "stopped");
      const { server } = await only(windows);
      const expected = `${profile}\\AppData\\Local\\Plex Media Server`;
      expect(server.dataFolder.toLowerCase()).toBe(expected.toLowerCase());
    }
  });
});

describe("the executable", () => {
  const HOMES = [
    ["running", "A:\\run"],
    ["machine", "B:\\machine"],
    ["machine, 32 bits", "C:\\machine 32"],
    ["account", "D:\\account"],
    ["updater", "E:\\updater"],
    ["program files", PROGRAM_FOLDER],
    ["program files (x86)", "C:\\Program Files (x86)\\Plex\\Plex Media Server"],
  ] as const;

  /** A machine on which each home is named, and has the executable where `installed` has it. */
  function machineWith(installed: readonly string[]): SimulatedWindows {
    const windows = new SimulatedWindows();
    windows.addAccount(JANE, "ATTIC\\jane", "C:\\Users\\jane");
    windows.addSettings(JANE, [textValue("InstallFolder", "D:\\account\\"), textValue("FriendlyName", "x")]);
    windows.registry.setKey(MACHINE_KEY, [textValue("InstallFolder", "B:\\machine")]);
    windows.registry.setKey(MACHINE_KEY_32, [textValue("InstallFolder", "C:\\machine 32")]);
    const command = '"E:\\updater\\Plex Update Service.exe"';
    windows.addService({ name: "PlexUpdateService", command }, "stopped");
    for (const [home, folder] of HOMES) if (installed.includes(home)) windows.addFile(`${folder}\\${PMS}`);
    if (installed.includes("running")) windows.addProcess({ executable: `A:\\run\\${PMS}` });
    return windows;
  }

  it("is the one that runs, else in the first of its homes that has it", async () => {
    const names = HOMES.map(([home]) => home);
    for (const [index, [, folder]] of HOMES.entries()) {
      const { server } = await only(machineWith(names.slice(index)));
      expect(server.executable).toBe(`${folder}\\${PMS}`);
    }
    expect((await only(machineWith([]))).server.executable).toBeUndefined();
  });

  it("is not looked for in the environment, nor where a folder has its name", async () => {
    const windows = machineWith([]);
    windows.addFolder(`B:\\machine\\${PMS}`);
    windows.addFile(`E:\\evil\\Plex\\Plex Media Server\\${PMS}`);
    const env = { ProgramFiles: "E:\\evil", PATH: "E:\\evil\\Plex\\Plex Media Server" };
    expect((await only(windows, {}, env)).server.executable).toBeUndefined();
  });

  it.each([
    ["E:\\updater\\Plex Update Service.exe -k", "E:\\updater"],
    ['"%SystemRoot%\\updater\\x.exe" -k', "C:\\Windows\\updater"],
    ["%SystemDrive%\\my updater\\x.exe", "C:\\my updater"],
  ])("is beside the updater of the command line %s", async (command, folder) => {
    const { windows } = usualWindows();
    windows.addSettings(JANE);
    windows.addService({ name: "PlexUpdateService", command }, "stopped");
    windows.addFile(`${folder}\\${PMS}`);
    expect((await only(windows)).server.executable).toBe(`${folder}\\${PMS}`);
  });

  it("is the one that a person named, and its processes count", async () => {
    const { windows } = usualWindows();
    windows.addSettings(JANE);
    windows.addFile("D:\\pms\\server.exe");
    const pid = windows.addProcess({ executable: "D:\\PMS\\Server.exe" });
    windows.addProcess({ executable: "E:\\other\\server.exe" });
    const { server, processes } = await only(windows, { processMatch: "D:\\pms\\server.exe" });
    expect(server.executable).toBe("D:\\pms\\server.exe");
    expect(processes).toEqual([expect.objectContaining({ pid })]);
  });

  it("makes no server of another program of the name that a person gave", async () => {
    const { windows } = usualWindows();
    windows.self = { ...windows.self, elevated: true, split: true };
    windows.addProcess({ executable: "E:\\other\\server.exe", sid: BOB });
    expect(await places(windows, { processMatch: "D:\\pms\\server.exe" })).toEqual([]);
  });

  it("is taken from the process that began first", async () => {
    const { windows } = usualWindows();
    windows.addProcess({ executable: `A:\\old\\${PMS}`, startedMs: 20 });
    windows.addProcess({ executable: `A:\\first\\${PMS}`, startedMs: 10 });
    expect((await only(windows)).server.executable).toBe(`A:\\first\\${PMS}`);
  });
});

describe("a service that keeps the server running", () => {
  const NSSM = { name: "plex", command: '"C:\\tools\\nssm.exe"' };

  /** Elevated, so that everything may be seen. */
  function seeingAll(): SimulatedWindows {
    const { windows } = usualWindows();
    addBob(windows);
    windows.self = { ...windows.self, elevated: true, split: true };
    return windows;
  }

  it("is the one whose process started it, as the account of the server's own process", async () => {
    const windows = seeingAll();
    windows.addService({ ...NSSM, server: { executable: EXECUTABLE, sid: BOB } }, "running");
    expect(await places(windows)).toEqual([[keyOf(BOB), "windows-service", serviceOf("plex")]]);
  });

  it("belongs to the account of the server's own process and to no other, whatever it is set up as", async () => {
    const windows = seeingAll();
    windows.addService({ name: "PlexService", server: { executable: EXECUTABLE, sid: BOB } }, "running");
    expect(await places(windows)).toEqual([[keyOf(BOB), "windows-service", serviceOf("PlexService")]]);
  });

  it("is the one that started the server, though another is set up for the account and runs", async () => {
    const windows = seeingAll();
    windows.addService({ name: "PlexService", account: ".\\bob" }, "running");
    windows.addService({ ...NSSM, server: { executable: EXECUTABLE, sid: BOB } }, "running");
    expect(await places(windows)).toEqual([[keyOf(BOB), "windows-service", serviceOf("plex")]]);
  });

  it("is none that is stopped, though Windows gives such a one the number of its idle process", async () => {
    const windows = seeingAll();
    windows.addService({ name: "other", command: "C:\\x.exe" }, "stopped");
    windows.addProcess({ pid: 0, executable: "[System Process]", startedMs: 0 });
    windows.addProcess({ parent: 0, sid: JANE });
    expect(await places(windows)).toEqual([[keyOf(JANE), "windows-tray", TRAY]]);
  });

  it("is the one whose process the server itself is", async () => {
    const windows = seeingAll();
    windows.addService({ name: "plex", command: `"${EXECUTABLE}"`, account: ".\\bob" }, "running");
    expect(await places(windows)).toEqual([[keyOf(BOB), "windows-service", serviceOf("plex")]]);
  });

  it("is found through a wrapper between them", async () => {
    const windows = seeingAll();
    const service = windows.addService(NSSM, "running");
    const shell = windows.addProcess({ executable: "C:\\Windows\\System32\\cmd.exe", parent: service });
    windows.addProcess({ sid: BOB, parent: shell, session: 0 });
    expect(await places(windows)).toEqual([[keyOf(BOB), "windows-service", serviceOf("plex")]]);
  });

  it("is the nearest of several", async () => {
    const windows = seeingAll();
    const outer = windows.addService({ name: "outer", command: "C:\\o.exe" }, "running");
    const inner = windows.addService({ name: "inner", command: "C:\\i.exe" }, "running");
    windows.end(inner);
    const again = windows.addProcess({ executable: "C:\\i.exe", parent: outer });
    windows.addProcess({ parent: again, sid: BOB });
    expect(await places(windows)).toEqual([[keyOf(BOB), "windows-service", serviceOf("outer")]]);
  });

  it("is not one that was given the number of the server's parent after that had ended", async () => {
    const windows = seeingAll();
    const service = windows.addService(NSSM, "running");
    const began = windows.running("nssm.exe")[0]?.startedMs ?? 0;
    windows.addProcess({ parent: service, startedMs: began - 1, sid: JANE });
    expect(await places(windows)).toEqual([[keyOf(JANE), "windows-tray", TRAY]]);
  });

  it.each(["explorer.exe", "userinit.exe", "svchost.exe", "SSHD.exe", "wmiprvse.exe", "wsmprovhost.exe"])(
    "is not one that only started %s, from which a person or a task started the server",
    async (starter) => {
      const windows = seeingAll();
      const service = windows.addService({ name: "host", command: `C:\\Windows\\${starter}` }, "running");
      const between = windows.addProcess({ executable: `C:\\Windows\\${starter}`, parent: service });
      windows.addProcess({ parent: service, sid: JANE });
      windows.addProcess({ parent: between, sid: BOB });
      expect((await places(windows)).map(([, , service]) => service)).toEqual([TRAY, TRAY]);
    },
  );

  it("is never the updater, which starts the server after an update", async () => {
    const windows = seeingAll();
    const command = `"${PROGRAM_FOLDER}\\Plex Update Service.exe"`;
    const server = { executable: EXECUTABLE, sid: JANE };
    windows.addService({ name: "PlexUpdateService", command, server }, "running");
    expect(await places(windows)).toEqual([[keyOf(JANE), "windows-tray", TRAY]]);
  });

  it("ends a walk up processes that started one another in a circle", async () => {
    const windows = seeingAll();
    const one = windows.addProcess({ executable: "C:\\a.exe", pid: 9000, parent: 9004, startedMs: 5 });
    const other = windows.addProcess({ executable: "C:\\b.exe", pid: 9004, parent: one, startedMs: 5 });
    windows.addProcess({ parent: other, sid: JANE });
    expect(await places(windows)).toEqual([[keyOf(JANE), "windows-tray", TRAY]]);
  });

  it.each([
    ["by its command line", { name: "a", command: `"${EXECUTABLE}" -noninteractive` }],
    ["by its command line without quotes", { name: "a", command: `${EXECUTABLE} -noninteractive` }],
    ["by a word of its command line", { name: "a", command: `C:\\srvany-ng.exe "${EXECUTABLE}"` }],
    ["by the name that PmsService has", { name: "plexservice", command: "C:\\PmsService.exe" }],
  ])("is known while nothing runs %s", async (_, service) => {
    const windows = seeingAll();
    windows.addService({ account: ".\\bob", ...service }, "stopped");
    expect(await places(windows)).toEqual([[keyOf(BOB), "windows-service", serviceOf(service.name)]]);
  });

  it("is known while nothing runs by the application that NSSM or srvany is set up with", async () => {
    const windows = seeingAll();
    windows.addService({ ...NSSM, account: "ATTIC\\bob" }, "stopped");
    windows.addService({ name: "other", command: "C:\\nssm.exe" }, "stopped");
    const services = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services";
    windows.registry.setKey(`${services}\\plex\\Parameters`, [textValue("Application", EXECUTABLE, 2)]);
    windows.registry.setKey(`${services}\\other\\Parameters`, [textValue("Application", "C:\\other.exe")]);
    expect(await places(windows)).toEqual([[keyOf(BOB), "windows-service", serviceOf("plex")]]);
  });

  it.each([
    "C:\\My Plex Media Server.exe",
    "C:\\Plex Media Server.exe.old\\x.exe",
    `"${PROGRAM_FOLDER}\\Plex Tuner Service.exe"`,
    `"${PROGRAM_FOLDER}\\x.exe"`,
    "C:\\Plex Media Server-exe",
  ])("is none with the command line %s", async (command) => {
    const windows = seeingAll();
    windows.addService({ name: "x", command }, "stopped");
    expect(await places(windows)).toEqual([]);
  });

  it("is the one that runs, of several that an account has", async () => {
    const windows = seeingAll();
    windows.addService({ name: "a", command: EXECUTABLE, account: ".\\bob" }, "stopped");
    windows.addService({ name: "PlexService", account: ".\\bob" }, "running");
    expect(await places(windows)).toEqual([[keyOf(BOB), "windows-service", serviceOf("PlexService")]]);
    windows.addService({ name: "PlexService", account: ".\\bob" }, "stopped");
    expect(await places(windows)).toEqual([[keyOf(BOB), "windows-service", serviceOf("a")]]);
  });

  it("that is stopped has nothing to do with a server that runs without it", async () => {
    const windows = seeingAll();
    windows.addService({ name: "PlexService", account: ".\\jane" }, "stopped");
    windows.addProcess({ sid: JANE });
    expect(await places(windows)).toEqual([[keyOf(JANE), "windows-tray", TRAY]]);
  });

  it("that runs goes before the application beside it: it would start that again", async () => {
    const windows = seeingAll();
    windows.addService({ name: "PlexService", account: ".\\jane" }, "running");
    windows.addProcess({ sid: JANE });
    expect(await places(windows)).toEqual([[keyOf(JANE), "windows-service", serviceOf("PlexService")]]);
  });

  it("belongs to the account that it is set up for, when the process may not be seen", async () => {
    const { windows } = usualWindows();
    addBob(windows);
    const server = { executable: EXECUTABLE, sid: BOB };
    windows.addService({ name: "PlexService", account: ".\\bob", server }, "running");
    windows.registry.makeHidden(`HKEY_USERS\\${BOB}`);
    const { servers, unseen } = await find(windows);
    expect(servers).toMatchObject([
      { server: { settingsPath: keyOf(BOB), service: serviceOf("PlexService") }, processes: "unknown" },
    ]);
    const label = `${PMS} (${windows.running()[0]?.pid})`;
    expect([servers[0]?.unseen, unseen]).toEqual([[keyOf(BOB), label], []]);
    const pid = windows.addProcess({ sid: LOCAL_SYSTEM, session: 0 });
    expect((await find(windows)).unseen).toEqual([`${PMS} (${pid})`]);
  });

  it("that runs explains one process that may not be seen, and no second one", async () => {
    const { windows } = usualWindows();
    addBob(windows);
    windows.addService({ name: "PlexService", account: ".\\bob" }, "running");
    windows.addProcess({ sid: BOB, session: 0 });
    expect((await find(windows)).unseen).toEqual([]);
    const pid = windows.addProcess({ sid: LOCAL_SYSTEM, session: 0 });
    expect((await find(windows)).unseen).toEqual([`${PMS} (${pid})`]);
  });

  it("of an account that is not known any more is left out", async () => {
    const windows = seeingAll();
    windows.addService({ name: "PlexService", account: "OLD\\carol" }, "stopped");
    expect(await places(windows)).toEqual([]);
  });
});

describe("settings that a person named", () => {
  it.each([
    `HKEY_USERS\\${JANE}\\${KEY}`,
    `HKU\\${JANE}\\${KEY}`,
    `hku\\${JANE.toLowerCase()}\\${KEY.toUpperCase()}\\`,
    `HKEY_CURRENT_USER\\${KEY}`,
    `HKCU\\${KEY}`,
    `Computer\\HKEY_USERS\\${JANE}\\${KEY}`,
    `Компьютер\\HKEY_CURRENT_USER\\${KEY}`,
  ])("are an account's key: %s", async (settings) => {
    const { windows } = usualWindows();
    addBob(windows);
    windows.addSettings(JANE);
    windows.addSettings(BOB);
    const { servers, unseen } = await find(windows, { settings });
    expect(servers.map(({ server }) => server)).toMatchObject([
      { settingsPath: keyOf(JANE), store: "registry", install: "windows-tray", service: TRAY },
    ]);
    expect(unseen).toEqual([]);
  });

  it("are a key of an account that has no server: it alone is edited", async () => {
    const { windows } = usualWindows();
    addBob(windows);
    windows.addSettings(JANE);
    const { server, processes } = await only(windows, { settings: `HKU\\${BOB}\\${KEY}` });
    expect(server).toMatchObject({
      settingsPath: keyOf(BOB),
      store: "registry",
      install: "registry-key",
      service: { kind: "none" },
    });
    expect(processes).toEqual([]);
  });

  it.each([
    `HKEY_LOCAL_MACHINE\\${KEY}`,
    `HKLM\\SOFTWARE\\Plex, Inc.\\Plex Media Server`,
    `HKU\\.DEFAULT\\${KEY}`,
    `HKU\\jane\\${KEY}`,
    `HKU\\${KEY}`,
    `HKU\\${JANE}_Classes\\${KEY}`,
    "HKCU",
    "HKCU\\Software\\Plex, Inc.",
    `HKCU\\${KEY}\\Sub`,
    `HKCU\\\\${KEY}`,
    `HKCU\\${KEY}\\\\`,
    `HKCU\\x\\..\\${KEY}`,
    `HKCU\\HKCU\\${KEY}`,
    `HKU\\HKEY_CURRENT_USER\\${KEY}`,
    "Computer\\HKLM\\SOFTWARE",
    `HKEY_CURRENT_USER\\${JANE}\\${KEY}`,
  ])("are refused when they are a key that is no server's: %s", async (settings) => {
    const { windows } = usualWindows();
    const work = find(windows, { settings });
    await expect(work).rejects.toBeInstanceOf(ProblemError);
    await expect(work).rejects.toMatchObject({
      problem: { code: "BAD_VALUE", option: "--settings", allowed: "registry-key" },
    });
  });

  it("are the very key that was named or none, whatever is put into the name of one", async () => {
    const { windows } = usualWindows();
    const whole = `HKU\\${JANE}\\${KEY}`;
    const piece = oneof(
      constantFrom("\\", "..\\", "/", ".", " ", "\0", "_Classes", "1", "-7", KEY),
      string(),
    );
    await assert(
      asyncProperty(nat(whole.length - 4), nat(2), piece, async (index, cut, put) => {
        const at = index + 4;
        const settings = whole.slice(0, at) + put + whole.slice(at + cut);
        try {
          const [found] = (await find(windows, { settings })).servers;
          const named = settings.toUpperCase().replace(/\\$/u, "").replace("HKU", "HKEY_USERS");
          expect(found?.server.settingsPath.toUpperCase()).toBe(named);
        } catch (error) {
          if (!(error instanceof ProblemError)) throw error;
          expect(error.problem.code).toBe("BAD_VALUE");
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("are a file, which is edited alone", async () => {
    const { windows } = usualWindows();
    windows.addSettings(JANE);
    windows.addProcess();
    const settings = "D:\\backup\\Preferences.xml";
    const { server, processes } = await only(windows, { settings });
    expect(server).toEqual({
      id: createHash("sha256").update(settings.toUpperCase()).digest("hex").slice(0, 8),
      install: "settings-file",
      store: "xml",
      settingsPath: settings,
      dataFolder: "D:\\backup",
      service: { kind: "none" },
      url: "http://127.0.0.1:32400",
    });
    expect(processes).toEqual([]);
  });

  it("are a file with commands, whose executable tells whether it runs", async () => {
    const { windows } = usualWindows();
    const pid = windows.addProcess({ executable: "D:\\pms\\server.exe" });
    windows.addProcess();
    const { server, processes } = await only(windows, {
      settings: "D:\\pms\\Preferences.xml",
      processMatch: "D:\\pms\\server.exe",
      stopCommand: "stop it",
    });
    expect(server).toMatchObject({ service: { kind: "command" }, executable: "D:\\pms\\server.exe" });
    expect(processes).toEqual([expect.objectContaining({ pid })]);
  });

  it("are the same file by whatever link it is named", async () => {
    const { windows } = usualWindows();
    windows.addFile("D:\\real\\Preferences.xml");
    windows.addFile("D:\\link", { kind: "link", to: "D:\\real" });
    const one = await only(windows, { settings: "D:\\real\\preferences.XML" });
    const other = await only(windows, { settings: "D:\\link\\Preferences.xml" });
    expect(other.server.id).toBe(one.server.id);
  });
});

describe("the updater", () => {
  it("is noticed while it works", async () => {
    const { windows } = usualWindows();
    expect(await updaterService(windows)).toBeNull();
    windows.addService({ name: "PlexUpdateService" }, "stopped");
    expect(await updaterService(windows)).toBeNull();
    windows.addService({ name: "PlexUpdateService" }, "running");
    expect(await updaterService(windows)).toBe("PlexUpdateService");
    windows.refusals.set("services.query", "EACCES");
    expect(await updaterService(windows)).toBeNull();
  });
});

describe("notes about the data folder", () => {
  async function notes(windows: SimulatedWindows, parent = "C:\\Users\\jane\\AppData\\Local") {
    windows.addSettings(JANE, [textValue("LocalAppDataPath", parent), textValue("FriendlyName", "x")]);
    const { server } = await only(windows);
    return dataFolderNotes({ files: windows.files }, server);
  }

  it("are none for a plain folder, for one that is not there, and for one that is closed", async () => {
    const { windows } = usualWindows();
    expect(await notes(windows)).toEqual([]);
    windows.addFolder(JANES_DATA);
    expect(await notes(windows)).toEqual([]);
    windows.addFile(JANES_DATA, { kind: "closed" });
    expect(await notes(windows)).toEqual([]);
  });

  it("tell of a Preferences.xml beside the registry, and of none that is the settings itself", async () => {
    const { windows } = usualWindows();
    const path = `${JANES_DATA}\\Preferences.xml`;
    windows.addFile(path);
    expect(await notes(windows)).toEqual([{ code: "STRAY_PREFERENCES", path }]);
    const { server } = await only(windows, { settings: path });
    expect(await dataFolderNotes({ files: windows.files }, server)).toEqual([]);
  });

  it.each(["D:\\plex", "D:\\plex\\Plex Media Server", "D:\\"])("tell of a link at %s", async (at) => {
    const { windows } = usualWindows();
    windows.addFile(at, { kind: "link", to: "E:\\elsewhere" });
    const path = "D:\\plex\\Plex Media Server";
    expect(await notes(windows, "D:\\plex")).toEqual([{ code: "DATA_FOLDER_REDIRECTED", path, how: "link" }]);
  });

  it.each([JANES_DATA, "C:\\Users\\jane\\AppData\\Local"])(
    "tell of a link at %s that leads nowhere",
    async (at) => {
      const { windows } = usualWindows();
      windows.addFile(at, { kind: "link", to: "E:\\gone" });
      windows.addSettings(JANE);
      const { server } = await only(windows);
      const realPath = async (path: string) => {
        throw new SystemError("ENOENT", "realpath", path);
      };
      expect(await dataFolderNotes({ files: { ...windows.files, realPath } }, server)).toEqual([
        { code: "DATA_FOLDER_REDIRECTED", path: JANES_DATA, how: "link" },
      ]);
    },
  );

  it("do not take another case or a short name of DOS for somewhere else", async () => {
    const { windows } = usualWindows();
    windows.addFolder("D:\\Plex\\Plex Media Server");
    const realPath = async () => "D:\\Plex\\Plex Media Server";
    windows.addSettings(JANE, [textValue("LocalAppDataPath", "d:\\PLEX\\"), textValue("FriendlyName", "x")]);
    const { server } = await only(windows);
    const files = { ...windows.files, realPath };
    expect(await dataFolderNotes({ files }, server)).toEqual([]);
    windows.addFolder("D:\\PLEXFO~1\\Plex Media Server");
    const short = { ...server, dataFolder: "D:\\PLEXFO~1\\Plex Media Server" };
    expect(await dataFolderNotes({ files }, short)).toEqual([]);
  });

  it.each(["C:\\Users\\jane\\OneDrive", "C:\\onedrive - Attic Ltd\\x"])(
    "tell of OneDrive in %s",
    async (parent) => {
      const { windows } = usualWindows();
      const path = `${parent}\\Plex Media Server`;
      expect(await notes(windows, parent)).toEqual([
        { code: "DATA_FOLDER_REDIRECTED", path, how: "onedrive" },
      ]);
    },
  );

  it("tell of a link that leads into OneDrive", async () => {
    const { windows } = usualWindows();
    windows.addFile("D:\\plex", { kind: "link", to: "C:\\Users\\jane\\OneDrive\\plex" });
    expect(await notes(windows, "D:\\plex")).toMatchObject([{ how: "onedrive" }]);
  });
});
