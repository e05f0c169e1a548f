import {
  type Files,
  type ProcessInfo,
  type RunResult,
  SystemError,
  type World,
} from "../../src/world/world.ts";

/** A machine written down: what is on it, what runs on it, and what its programs answer. */
export interface Fixture {
  /** Text of a file by path; null: this account may not read it; a folder by a path with `/` at its end. */
  readonly files?: Readonly<Record<string, string | null>>;
  /** Folders that this account may not look into. */
  readonly closed?: readonly string[];
  readonly processes?: readonly Partial<ProcessInfo>[];
  /** Answers of programs, by their name and arguments; a program without any is not installed. */
  readonly programs?: Programs;
  readonly uid?: number;
  /** Who owns a file or folder, by path; root where none is named. */
  readonly owners?: Readonly<Record<string, number>>;
  /** Permissions of a file, by path; 0644 where none are named. */
  readonly modes?: Readonly<Record<string, number>>;
}

export type Programs = Readonly<Record<string, (args: readonly string[]) => Partial<RunResult>>>;

type FixtureWorld = Pick<World, "files" | "processes" | "run" | "user">;

/** The part of a world that finding servers needs. Anything else that is asked of it throws. */
export function fixtureWorld(fixture: Fixture): FixtureWorld {
  const files = { "/proc/1/stat": "1 (systemd) S", ...fixture.files };
  return {
    user: { uid: fixture.uid ?? 0, gid: 0, name: "root", home: "/root" },
    files: filesOf(files, fixture),
    processes: { ownPid: 1, plexMediaServers: async () => (fixture.processes ?? []).map(processInfo) },
    run: async (file, args) => {
      const program = fixture.programs?.[file.replace("/usr/bin/", "")];
      if (program === undefined) throw new SystemError("ENOENT", "spawn", file);
      return { status: 0, signal: null, timedOut: false, stdout: "", stderr: "", ...program(args) };
    },
  };
}

function processInfo(some: Partial<ProcessInfo>): ProcessInfo {
  return {
    pid: 100,
    parent: 1,
    startTicks: 1000,
    uid: 997,
    state: "S",
    shortName: "Plex Media Serv",
    args: ["/usr/lib/plexmediaserver/Plex Media Server"],
    executable: "/usr/lib/plexmediaserver/Plex Media Server",
    sameNamespace: true,
    env: {},
    cgroup: "0::/\n",
    ...some,
  };
}

function filesOf(
  entries: Readonly<Record<string, string | null>>,
  { closed = [], owners = {}, modes = {} }: Fixture,
): Files {
  const demand = (call: string, path: string) => {
    if (closed.some((folder) => path.startsWith(`${folder}/`))) throw new SystemError("EACCES", call, path);
    const there = Object.keys(entries).some((entry) => entry === path || entry.startsWith(`${path}/`));
    if (!there) throw new SystemError("ENOENT", call, path);
  };
  const stat = async (path: string) => {
    demand("stat", path);
    const kind = path in entries ? ("file" as const) : ("folder" as const);
    const mine = { uid: owners[path] ?? 0, mode: modes[path] ?? 0o644 };
    return { kind, dev: "1", ino: "1", links: 1, gid: 0, size: 1, mtimeNs: "0", ...mine };
  };
  const absent = async (path: string): Promise<never> => {
    throw new SystemError("ENOSYS", "fixture", path);
  };
  return {
    stat,
    lstat: stat,
    openFolder: absent,
    readLink: absent,
    realPath: async (path) => {
      demand("realpath", path);
      return path;
    },
    list: async (path) => {
      demand("readdir", path);
      const below = Object.keys(entries).filter((entry) => entry.startsWith(`${path}/`));
      return [...new Set(below.map((entry) => entry.slice(path.length + 1).split("/")[0] ?? ""))];
    },
    read: async (path) => {
      demand("open", path);
      const text = entries[path];
      if (text === null || text === undefined) throw new SystemError("EACCES", "open", path);
      return new TextEncoder().encode(text);
    },
  };
}
