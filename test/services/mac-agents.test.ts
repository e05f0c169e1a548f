import { expect, test } from "vitest";
import type { Server } from "../../src/model/server.ts";
import { type JobWorld, loadedJobs, type MacJob } from "../../src/services/mac-agents.ts";
import { type RunResult, SystemError } from "../../src/world/world.ts";

const SERVER: Server = {
  id: "00000000",
  install: "mac-application",
  store: "defaults",
  settingsPath: "/Users/jane/Library/Preferences/com.plexapp.plexmediaserver.plist",
  dataFolder: "/Users/jane/Library/Application Support/Plex Media Server",
  account: { name: "jane", uid: 501, gid: 20 },
  service: { kind: "mac-application", application: "/Applications/Plex Media Server.app" },
  url: "http://127.0.0.1:32400",
};
const EXECUTABLE = "/Applications/Plex Media Server.app/Contents/MacOS/Plex Media Server";
const AGENTS = "/Users/jane/Library/LaunchAgents";
const PLEX = { Label: "a.plex", ProgramArguments: [EXECUTABLE], KeepAlive: true };

/** A Mac with these jobs by their paths; `print` and `list` of launchctl answer as told. */
function macWith(
  jobs: Readonly<Record<string, unknown>>,
  { print = 0, list = "PID\tStatus\tLabel\n" }: { print?: number; list?: string | null } = {},
): JobWorld {
  const answer = (status: number, stdout = ""): RunResult => ({
    status,
    signal: null,
    timedOut: false,
    stdout,
    stderr: "",
  });
  const paths = Object.keys(jobs);
  const listed = async (folder: string) => {
    const names = paths.filter((path) => path.startsWith(`${folder}/`));
    if (names.length === 0) throw new SystemError("ENOENT", "readdir", folder);
    return names.map((path) => path.slice(folder.length + 1));
  };
  return {
    user: { uid: 501, gid: 20, name: "jane", home: "/Users/jane" },
    files: { list: listed } as unknown as JobWorld["files"],
    run: async (file, args) => {
      const path = args.at(-1) ?? "";
      if (file === "/usr/bin/plutil") return path in jobs ? answer(0, JSON.stringify(jobs[path])) : answer(1);
      if (args[0] === "print") return answer(print);
      return list === null ? answer(1) : answer(0, list);
    },
  };
}

const jobs = (world: JobWorld, pids: readonly number[] = []): Promise<readonly MacJob[] | "unknown"> =>
  loadedJobs(world, SERVER, new Set(pids));

test("a job is named with what unloads it, and what loads it again", async () => {
  const path = `${AGENTS}/my plex.plist`;
  expect(await jobs(macWith({ [path]: PLEX }))).toEqual([
    {
      label: "a.plex",
      keepsAlive: true,
      line: "launchctl bootout gui/501/a.plex",
      backLine: `launchctl bootstrap gui/501 '${path}'`,
    },
  ]);
  expect(await jobs(macWith({ "/Library/LaunchDaemons/p.plist": PLEX }))).toMatchObject([
    {
      line: "sudo launchctl bootout system/a.plex",
      backLine: "sudo launchctl bootstrap system /Library/LaunchDaemons/p.plist",
    },
  ]);
});

test.each([
  ["its executable", [EXECUTABLE], true],
  ["its bundle", ["/usr/bin/open", "-W", "/Applications/Plex Media Server.app/"], true],
  ["open, by name", ["/usr/bin/open", "-W", "-a", "Plex Media Server"], true],
  ["open, by identifier", ["open", "-b", "com.plexapp.plexmediaserver"], true],
  ["a shell with a line", ["/bin/sh", "-c", "sleep 9; open -a 'Plex Media Server.app' -g"], true],
  ["a copy of the data", ["/opt/sync", "/Users/jane/Library/Application Support/Plex Media Server"], false],
  ["what only names it", ["/opt/notify", "Plex Media Server"], false],
  ["a tool of the bundle", [`${EXECUTABLE.replace(/[^/]+$/u, "")}Plex SQLite`], false],
  ["another application", ["/Applications/Plex.app/Contents/MacOS/Plex"], false],
])("a job that runs %s has to do with it: %s", async (_what, words, does) => {
  for (const KeepAlive of [true, { SuccessfulExit: true }]) {
    const world = macWith({ [`${AGENTS}/a.plist`]: { Label: "a", ProgramArguments: words, KeepAlive } });
    expect(await jobs(world)).toHaveLength(does ? 1 : 0);
  }
});

test.each([
  ["always", { KeepAlive: true }, [true]],
  ["under conditions", { KeepAlive: { SuccessfulExit: false } }, [false]],
  ["by a timetable", { StartInterval: 300 }, [false]],
  ["at one time of the day", { StartCalendarInterval: { Hour: 4 } }, [false]],
  ["at login alone", { RunAtLoad: true, KeepAlive: false }, []],
])("a job may start it again %s", async (_what, more, keeps) => {
  const { KeepAlive: _keep, ...plain } = PLEX;
  const found = await jobs(macWith({ [`${AGENTS}/a.plist`]: { ...plain, ...more } }));
  expect(found === "unknown" ? found : found.map(({ keepsAlive }) => keepsAlive)).toEqual(keeps);
});

test.each([112, 113, 125])("a job that is not loaded (%i) does nothing", async (print) => {
  expect(await jobs(macWith({ [`${AGENTS}/a.plist`]: PLEX }, { print }))).toEqual([]);
});

test("whether a job is loaded may not be known", async () => {
  expect(await jobs(macWith({ [`${AGENTS}/a.plist`]: PLEX }, { print: 1 }))).toBe("unknown");
  expect(await jobs(macWith({}, { list: null }))).toBe("unknown");
  expect(await jobs(macWith({}))).toEqual([]);
});

test("files that are no jobs are passed over", async () => {
  const odd = [
    null,
    [],
    7,
    {},
    { Label: 7 },
    { Label: "" },
    { Label: "a", ProgramArguments: "x", KeepAlive: 1 },
  ];
  const files = Object.fromEntries(odd.map((job, at) => [`${AGENTS}/${at}.plist`, job]));
  expect(await jobs(macWith({ ...files, [`${AGENTS}/note.txt`]: PLEX }))).toEqual([]);
});

test("a process that is a job itself is one; an application that was launched is not", async () => {
  const rows = [
    "-\t0\tcom.apple.Finder",
    "70\t0\tapplication.com.plexapp.plexmediaserver.1.2",
    "71\t0\ta.job",
  ];
  const list = ["PID\tStatus\tLabel", ...rows, ""].join("\n");
  expect(await jobs(macWith({}, { list }), [70])).toEqual([]);
  expect(await jobs(macWith({}, { list }), [70, 71])).toEqual([
    { label: "a.job", keepsAlive: false, line: "", backLine: "" },
  ]);
});

test("without an account nothing is known", async () => {
  const { account: _account, ...nobodys } = SERVER;
  expect(await loadedJobs(macWith({}), nobodys, new Set())).toBe("unknown");
});
