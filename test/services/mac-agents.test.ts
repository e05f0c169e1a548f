import { expect, test } from "vitest";
import type { Server } from "../../src/model/server.ts";
import { type JobWorld, lineAboutJobs, loadedJobs, type MacJob } from "../../src/services/mac-agents.ts";
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

interface Told {
  /** What `launchctl print` ends with. */
  readonly print?: number | ((target: string) => number);
  /** What `launchctl list` prints; null: it fails. */
  readonly list?: string | null;
  /** A path that is there and that nobody may read: of a folder, or of a file. */
  readonly closed?: string;
  /** Programs that cannot even be run. */
  readonly without?: string;
}

/** A Mac with these jobs by their paths; launchctl answers as told. */
function macWith(
  jobs: Readonly<Record<string, unknown>>,
  { print = 0, list = "PID\tStatus\tLabel\n", closed, without }: Told = {},
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
    if (folder === closed) throw new SystemError("EPERM", "readdir", folder);
    const names = paths.filter((path) => path.startsWith(`${folder}/`));
    if (names.length === 0) throw new SystemError("ENOENT", "readdir", folder);
    return names.map((path) => path.slice(folder.length + 1));
  };
  return {
    user: { uid: 501, gid: 20, name: "jane", home: "/Users/jane" },
    files: { list: listed } as unknown as JobWorld["files"],
    run: async (file, args) => {
      const last = args.at(-1) ?? "";
      if (file === without) throw new SystemError("EAGAIN", "spawn", file);
      if (file === "/usr/bin/plutil") {
        return last in jobs && last !== closed ? answer(0, JSON.stringify(jobs[last])) : answer(1);
      }
      if (args[0] === "print") return answer(typeof print === "number" ? print : print(last));
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
      showLine: "launchctl print gui/501/a.plex",
    },
  ]);
  expect(await jobs(macWith({ "/Library/LaunchDaemons/p.plist": PLEX }))).toMatchObject([
    {
      line: "sudo launchctl bootout system/a.plex",
      backLine: "sudo launchctl bootstrap system /Library/LaunchDaemons/p.plist",
      showLine: "launchctl print system/a.plex",
    },
  ]);
});

test("whatever is in a label or a path, the shell reads it as one word", async () => {
  const path = `${AGENTS}/it's; $(plex).plist`;
  const Label = "a b;'c'$(d)`e`";
  expect(await jobs(macWith({ [path]: { ...PLEX, Label } }))).toMatchObject([
    {
      label: Label,
      line: `launchctl bootout 'gui/501/a b;'\\''c'\\''$(d)\`e\`'`,
      backLine: `launchctl bootstrap gui/501 '${AGENTS}/it'\\''s; $(plex).plist'`,
      showLine: `launchctl print 'gui/501/a b;'\\''c'\\''$(d)\`e\`'`,
    },
  ]);
});

test("a job that is loaded without a desktop is named with that domain; a daemon is asked for in its own", async () => {
  const asked: string[] = [];
  const print = (target: string) => {
    asked.push(target);
    return target.startsWith("user/") ? 0 : 113;
  };
  const files = { [`${AGENTS}/a.plist`]: PLEX, "/Library/LaunchDaemons/p.plist": PLEX };
  expect(await jobs(macWith(files, { print }))).toMatchObject([
    {
      line: "launchctl bootout user/501/a.plex",
      backLine: `launchctl bootstrap user/501 ${AGENTS}/a.plist`,
    },
  ]);
  expect(asked).toEqual(["gui/501/a.plex", "user/501/a.plex", "system/a.plex"]);
});

test.each([
  ["its executable", [EXECUTABLE], true],
  ["its bundle", ["/usr/bin/open", "-W", "/Applications/Plex Media Server.app/"], true],
  ["open, by name", ["/usr/bin/open", "-W", "-a", "Plex Media Server"], true],
  ["open, by identifier", ["open", "-b", "com.plexapp.plexmediaserver"], true],
  ["a shell with a line", ["/bin/sh", "-c", "sleep 9; open -a 'Plex Media Server.app' -g"], true],
  ["a shell with its path", ["/bin/sh", "-c", `exec '${EXECUTABLE}' >/dev/null 2>&1`], true],
  ["a shell with blanks behind strokes", ["sh", "-c", `${EXECUTABLE.replaceAll(" ", "\\ ")} &`], true],
  ["a bundle that the Finder has renamed", ["open", "-W", "/Applications/Plex Media Server 2.app"], true],
  ["that one by its executable", [EXECUTABLE.replace(".app", " 2.app")], true],
  ["a bundle of another name by its executable", [EXECUTABLE.replace(/Plex[^/]+app/u, "Films.app")], true],
  ["a copy of the data", ["/opt/sync", "/Users/jane/Library/Application Support/Plex Media Server"], false],
  ["what only names it", ["/opt/notify", "Plex Media Server"], false],
  ["a tool of the bundle", [`${EXECUTABLE.replace(/[^/]+$/u, "")}Plex SQLite`], false],
  ["a shell with a tool of the bundle", ["sh", "-c", `'${EXECUTABLE}-x'`], false],
  ["another application", ["/Applications/Plex.app/Contents/MacOS/Plex"], false],
])("a job that runs %s has to do with it: %s", async (_what, words, does) => {
  for (const KeepAlive of [true, { SuccessfulExit: true }]) {
    const world = macWith({ [`${AGENTS}/a.plist`]: { Label: "a", ProgramArguments: words, KeepAlive } });
    expect(await jobs(world)).toHaveLength(does ? 1 : 0);
  }
});

test.each([
  [["/usr/bin/open", "/Users/jane/Films.app/"], true],
  [["/usr/bin/open", "-a", "Films"], true],
  [["/usr/bin/open", "-a", "films.app"], true],
  [["/bin/sh", "-c", "open '/Users/jane/Films.app'"], true],
  [["/usr/bin/open", "-a", "Old Films"], false],
  [["/usr/bin/open", "/Users/jane/Old Films.app"], false],
  [["/opt/notify", "Films"], false],
])("a job that runs %j has to do with a server whose bundle has that name: %s", async (words, does) => {
  const service = { kind: "mac-application", application: "/Users/jane/Films.app" } as const;
  const world = macWith({
    [`${AGENTS}/a.plist`]: { Label: "a", ProgramArguments: words, KeepAlive: true },
  });
  expect(await loadedJobs(world, { ...SERVER, service }, new Set())).toHaveLength(does ? 1 : 0);
});

test.each([
  ["always", { KeepAlive: true }, [true]],
  ["under conditions", { KeepAlive: { SuccessfulExit: false } }, [false]],
  ["by a timetable", { StartInterval: 300 }, [false]],
  ["at one time of the day", { StartCalendarInterval: { Hour: 4 } }, [false]],
  ["when a disk comes", { StartOnMount: true }, [false]],
  ["when a file changes", { WatchPaths: ["/tmp/x"] }, [false]],
  ["when a folder fills", { QueueDirectories: ["/tmp/x"] }, [false]],
  ["when the system tells something", { LaunchEvents: {} }, [false]],
  ["as Mac OS X 10.4 said it", { OnDemand: false }, [false]],
  ["with another word for yes", { KeepAlive: 1 }, [false]],
  ["on demand alone", { OnDemand: true }, []],
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

test("neither is it where a file or a folder may not be read, unless another job is found", async () => {
  const files = { [`${AGENTS}/a.plist`]: PLEX };
  for (const closed of [`${AGENTS}/a.plist`, AGENTS, "/Library/LaunchAgents"]) {
    const found = await jobs(macWith(files, { closed }));
    expect(found, closed).toEqual(closed.startsWith("/Library") ? [expect.anything()] : "unknown");
  }
  for (const without of ["/usr/bin/plutil", "/bin/launchctl"])
    expect(await jobs(macWith(files, { without }))).toBe("unknown");
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
    {
      label: "a.job",
      keepsAlive: false,
      line: "",
      backLine: "",
      showLine: "launchctl print gui/501/a.job",
    },
  ]);
  // The same out of its file: once, and with its lines.
  const known = macWith({ [`${AGENTS}/a.plist`]: { ...PLEX, Label: "a.job" } }, { list });
  expect(await jobs(known, [71])).toMatchObject([
    { label: "a.job", keepsAlive: true, line: expect.stringContaining("bootout") },
  ]);
});

test("a line shows the jobs that are known, else what else launchd has of it", async () => {
  const files = { [`${AGENTS}/a.plist`]: PLEX, "/Library/LaunchDaemons/b.plist": { ...PLEX, Label: "b" } };
  const about = (world: JobWorld, server = SERVER) => lineAboutJobs(world, server, 71);
  expect(await about(macWith(files))).toBe("launchctl print gui/501/a.plex; launchctl print system/b");
  const list = "71\t0\ta.job\n";
  expect(await about(macWith({}, { list }))).toBe("launchctl print gui/501/a.job");
  for (const told of [{}, { list: null }])
    expect(await about(macWith({}, told))).toBe("launchctl print gui/501 | grep -i -e plex -e 71");
  const { account: _account, ...nobodys } = SERVER;
  expect(await about(macWith({}), nobodys)).toBe("launchctl list | grep -i -e plex -e 71");
});

test("without an account nothing is known", async () => {
  const { account: _account, ...nobodys } = SERVER;
  expect(await loadedJobs(macWith({}), nobodys, new Set())).toBe("unknown");
});
