import { writeFile } from "node:fs/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Server } from "../../src/model/server.ts";
import {
  demandMacProcesses,
  isSupervisedOnMac,
  listMacProcesses,
  macProcessesOf,
} from "../../src/services/mac-processes.ts";
import { lineAboutKeeper, lineAboutProcesses } from "../../src/services/processes.ts";
import { type RunResult, SystemError, type World } from "../../src/world/world.ts";
import { APPLICATION } from "../support/mac-application.ts";
import { macWithServer, onlyServer, worldOn } from "../support/mac-bench.ts";

const SERVER: Server = {
  id: "00000000",
  install: "mac-application",
  store: "defaults",
  settingsPath: "/Users/jane/Library/Preferences/com.plexapp.plexmediaserver.plist",
  dataFolder: "/Users/jane/Library/Application Support/Plex Media Server",
  account: { name: "jane", uid: 501, gid: 20 },
  service: { kind: "mac-application", application: APPLICATION.path },
  url: "http://127.0.0.1:32400",
};

const LAUNCHD = "    1     0     0 Ss   Mon Nov  3 00:00:00 2025     /sbin/launchd";

/** A Mac of which only `ps` is there. */
function showing(rows: readonly string[], more: Partial<RunResult> = {}): Pick<World, "run"> {
  const stdout = [LAUNCHD, ...rows, ""].join("\n");
  const result = { status: 0, signal: null, timedOut: false, stdout, stderr: "", ...more };
  return { run: async () => result };
}

function row(path: string, { uid = 501, parent = 1, state = "S" } = {}): string {
  const [pid, ppid, owner] = [4711, parent, uid].map((number) => String(number).padStart(5));
  return `${pid} ${ppid} ${owner} ${state.padEnd(4)} Sat Nov 22 06:42:00 2025     ${path}`;
}

test.each(["79", "unlimited"] as const)(
  "a server's process is told by its path and account (ps: %s)",
  async (psWidth) => {
    const users = [{ name: "jane" }, { name: "bob" }];
    const { mac, server } = await macWithServer({ users, switches: { psWidth } });
    const world = worldOn(mac, "jane");
    const found = await onlyServer(world);
    expect(await macProcessesOf(world, found)).toEqual([]);
    await server.start("process");
    const [pid] = await server.processes();
    const processes = await macProcessesOf(world, found);
    expect(processes).toEqual([{ pid, startTicks: expect.any(Number) }]);
    expect(await macProcessesOf(worldOn(mac, "bob"), found)).toEqual(processes);
    const bobs = { ...found, account: { name: "bob", uid: 502, gid: 20 } };
    expect(await macProcessesOf(world, bobs)).toEqual([]);
    expect(await macProcessesOf(world, { ...found, store: "plist", executable: "/x" })).toEqual([]);
  },
);

test("the start is told in seconds, the same for whoever asks", async () => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  const found = await onlyServer(worldOn(mac, "jane"));
  const started = await Promise.all(
    (["jane", "root"] as const).map((user) => macProcessesOf(worldOn(mac, user), found)),
  );
  const [process] = started[0] === "unknown" ? [] : (started[0] ?? []);
  expect(started[1]).toEqual(started[0]);
  expect(process?.startTicks).toBeGreaterThan(Date.UTC(2020, 0) / 1000);
  expect(process?.startTicks).toBeLessThanOrEqual(Date.now() / 1000);
});

test("neither the language nor the time zone of the account makes a difference", async () => {
  const asked: unknown[] = [];
  const run: World["run"] = async (file, args, { env }) => {
    asked.push(env);
    return showing([]).run(file, args, { timeoutMs: 1 });
  };
  await macProcessesOf({ run }, SERVER);
  expect(asked).toEqual([{ LANG: "C", LC_ALL: "C", TZ: "UTC0" }]);
});

test("every moment of a start is understood", async () => {
  const moments = fc.integer({ min: 0, max: Date.UTC(2200, 0) / 1000 });
  await fc.assert(
    fc.asyncProperty(moments, async (seconds) => {
      const [, weekday, number, name, years, clock] =
        /^(\w+), (\d+) (\w+) (\d+) ([\d:]+)/.exec(new Date(seconds * 1000).toUTCString()) ?? [];
      const padded = String(Number(number)).padStart(2);
      const line = ` 4711     1   501 S    ${weekday} ${name} ${padded} ${clock} ${years}     ${APPLICATION.executable}`;
      expect(await macProcessesOf(showing([line]), SERVER)).toEqual([{ pid: 4711, startTicks: seconds }]);
    }),
    { numRuns: 500 },
  );
});

test.each([
  ["a zombie", row("(Plex Media Server)", { state: "Z" })],
  ["another account's", row(APPLICATION.executable, { uid: 502 })],
  ["a helper below it", row(`${APPLICATION.path}/Contents/MacOS/PlexScriptHost`)],
  ["another application's", row("/Applications/Plex.app/Contents/MacOS/Plex")],
  [
    "a helper in a renamed bundle",
    row("/Applications/Plex Media Server 2.app/Contents/MacOS/Plex Tuner Service"),
  ],
  ["an editor of that name", row("/Applications/Edit.app/Contents/MacOS/Edit Plex Media Server")],
])("%s does not count", async (_what, line) => {
  expect(await macProcessesOf(showing([line]), SERVER)).toEqual([]);
});

test.each([
  [
    "another bundle's place",
    "/Users/jane/Applications/Plex Media Server.app/Contents/MacOS/Plex Media Server",
  ],
  [
    "a bundle that the Finder has renamed",
    "/Applications/Plex Media Server 2.app/Contents/MacOS/Plex Media Server",
  ],
  ["a bundle that its person has renamed", "/Users/jane/Films.app/Contents/MacOS/Plex Media Server"],
  ["another case", "/applications/plex media server.app/Contents/MacOS/Plex Media Server"],
  ["a path from its own folder", "./Plex Media Server"],
  ["the executable that was named", "/opt/plex"],
])("one of %s counts", async (_what, path) => {
  const server = { ...SERVER, executable: "/opt/plex" };
  expect(await macProcessesOf(showing([row(path)]), server)).toMatchObject([{ pid: 4711 }]);
});

test.each([
  ["ps is refused", showing([], { status: 1 })],
  ["ps did not end in time", showing([], { status: null, timedOut: true })],
  ["there is no ps", { run: async () => Promise.reject(new SystemError("ENOENT", "spawn", "/bin/ps")) }],
  ["launchd is not shown", showing([], { stdout: `${row("/bin/zsh")}\n` })],
  ["the list is cut off", showing([], { stdout: `${LAUNCHD}\n${row("/bin/z")}` })],
  ["the arguments of one cannot be read", showing([row("(Plex Media Server)")])],
  ["a line about one is not understood", showing([`4711 ${APPLICATION.executable}`])],
])("it is not known what runs when %s", async (_what, world) => {
  expect(await macProcessesOf(world, SERVER)).toBe("unknown");
});

test.each([
  ["EXIT_1", showing([], { status: 1 })],
  ["ETIMEDOUT", showing([], { status: null, timedOut: true })],
  ["SIGKILL", showing([], { status: null, signal: "SIGKILL" })],
  ["ENOENT", { run: async () => Promise.reject(new SystemError("ENOENT", "spawn", "/bin/ps")) }],
  ["INCOMPLETE", showing([], { stdout: `${row("/bin/zsh")}\n` })],
  ["CUT_OFF", showing([], { stdout: `${LAUNCHD}\n${row("/bin/z")}` })],
  ["PATH_HIDDEN", showing([row("(Plex Media Server)")])],
  ["NOT_UNDERSTOOD", showing([`4711 ${APPLICATION.executable}`])],
])("why it is not known what runs is told, and no privilege is asked for: %s", async (reason, world) => {
  const problem = { code: "SYSTEM_CALL_FAILED", what: "ps", path: "/bin/ps", reason };
  await expect(demandMacProcesses(world, SERVER)).rejects.toMatchObject({ problem });
});

test("what others put into their names is no reason not to know", async () => {
  const rows = ["evil", row("/bin/zsh"), "    9     1   501 S    what is this", ""];
  expect(await macProcessesOf(showing(rows), SERVER)).toEqual([]);
  expect(await listMacProcesses(showing(rows))).toHaveLength(2);
});

test("an application that was launched is nobody's but its person's", async () => {
  const { mac, server } = await macWithServer({}, { startedBy: "login-item" });
  const world = worldOn(mac, "jane");
  const found = await onlyServer(world);
  expect(await isSupervisedOnMac(world, found)).toBe(true);
  await server.start("process");
  for (const user of ["jane", "root"]) expect(await isSupervisedOnMac(worldOn(mac, user), found)).toBe(false);
  const command = { ...found, service: { kind: "command", stop: "halt it" } } as const;
  expect(await isSupervisedOnMac(world, command)).toBe(true);
});

test("an agent that keeps it alive is a supervisor", async () => {
  const { mac, server } = await macWithServer({}, { startedBy: "keep-alive-agent" });
  await server.start("process");
  for (const user of ["jane", "root"]) {
    const world = worldOn(mac, user);
    expect(await isSupervisedOnMac(world, await onlyServer(world))).toBe(true);
  }
});

test.each([
  [
    "a living program that started it",
    true,
    600,
    `  600     1   501 S    Sat Nov 22 06:00:00 2025     /bin/sh`,
  ],
  ["one that is not there any more", false, 600, ""],
])("%s is a supervisor: %s", async (_what, supervised, parent, started) => {
  const { mac, server } = await macWithServer();
  const world = worldOn(mac, "jane");
  await server.start("process");
  const found = await onlyServer(world);
  const stdout = `${LAUNCHD}\n${started}\n${row(APPLICATION.executable, { parent })}\n`;
  const run: World["run"] = async (file, args, options) =>
    file === "/bin/ps" ? showing([], { stdout }).run(file, args, options) : world.run(file, args, options);
  expect(await isSupervisedOnMac({ ...world, run }, found)).toBe(supervised);
});

test("a job that may start it, and one whose file cannot be read, is a supervisor; a Login Item is none", async () => {
  const { mac, server } = await macWithServer({}, { startedBy: "login-item" });
  await server.start("process");
  const world = worldOn(mac, "jane");
  const found = await onlyServer(world);
  const path = `${server.user.home}/Library/LaunchAgents/timer.plist`;
  const job = (more: string) =>
    `<?xml version="1.0"?><plist version="1.0"><dict><key>Label</key><string>timer</string><key>ProgramArguments</key><array><string>/usr/bin/open</string><string>-a</string><string>Plex Media Server</string></array>${more}</dict></plist>`;
  for (const [more, supervised] of [
    ["<key>KeepAlive</key><dict><key>SuccessfulExit</key><true/></dict>", true],
    ["<key>StartInterval</key><integer>60</integer>", true],
    ["<key>RunAtLoad</key><true/>", false],
  ] as const) {
    await writeFile(mac.real(path), job(more));
    await mac.run("jane", "launchctl", ["bootout", "gui/501/timer"]);
    await mac.run("jane", "launchctl", ["bootstrap", "gui/501", path]);
    expect(await isSupervisedOnMac(world, found), more).toBe(supervised);
  }
  await mac.setSwitches({ closed: [path] });
  expect(await isSupervisedOnMac(world, found)).toBe(true);
  await mac.setSwitches({ closed: [`${server.user.home}/Library/LaunchAgents`] });
  expect(await isSupervisedOnMac(worldOn(mac, "root"), found)).toBe(true);
});

test("what still runs is shown by a line that works on a Mac", async () => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  const [pid = 0] = await server.processes();
  const world = worldOn(mac, "jane");
  const [tool = "", ...words] = lineAboutProcesses(world, [1, pid]).split(" ");
  expect([tool, ...words].join(" ")).toBe(`ps -o pid,ppid,lstart,command -p 1,${pid}`);
  const shown = await mac.run("jane", tool, words);
  expect(shown.status).toBe(0);
  for (const path of ["/sbin/launchd", "Plex Media Server.app"]) expect(shown.stdout).toContain(path);
  expect(lineAboutProcesses(world, [])).toBe("ps -axo pid,ppid,lstart,command | grep -i plex");
});

test("what keeps it is shown by lines that work on a Mac", async () => {
  const { mac, server } = await macWithServer({}, { startedBy: "keep-alive-agent" });
  await server.start("process");
  const [pid = 0] = await server.processes();
  for (const user of ["jane", "root"]) {
    const world = worldOn(mac, user);
    const [first = "", second = ""] = (await lineAboutKeeper(world, await onlyServer(world), pid)).split(
      "; ",
    );
    expect(first).toBe(lineAboutProcesses(world, [pid]));
    expect(second).toBe("launchctl print gui/501/com.example.start-plex");
    const [tool = "", ...words] = second.split(" ");
    expect((await mac.run(user, tool, words)).stdout).toContain(server.agent);
  }
});

test("what keeps it and is nowhere to be found is looked for among all that launchd has", async () => {
  const { mac, server } = await macWithServer({}, { startedBy: "unknown" });
  await server.start("process");
  const [pid = 0] = await server.processes();
  const world = worldOn(mac, "jane");
  const line = await lineAboutKeeper(world, await onlyServer(world), pid);
  expect(line).toBe(
    `${lineAboutProcesses(world, [pid])}; launchctl print gui/501 | grep -i -e plex -e ${pid}`,
  );
  const listed = await mac.run("jane", "launchctl", ["print", "gui/501"]);
  expect(listed.stdout.split("\n").filter((each) => each.includes(String(pid)))).toHaveLength(1);
});

test("other systems have lines of their own", async () => {
  const linux = { ...worldOn((await macWithServer()).mac, "jane"), platform: "linux" } as const;
  expect(lineAboutProcesses(linux, [7, 8])).toBe("ps -fp 7,8");
  expect(await lineAboutKeeper(linux, SERVER, 7)).toBe("systemctl status 7");
});
