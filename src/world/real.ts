import { userInfo } from "node:os";
import { ProblemError } from "../model/problem.ts";
import { realFiles } from "./files.ts";
import { platform } from "./platform.ts";
import { linuxProcesses } from "./processes.ts";
import type { WindowsSystem } from "./windows-system.ts";
import { type Clock, SystemError, type World, type WorldUser } from "./world.ts";

/**
 * The world that is really there, on whatever system we are.
 *
 * @throws ProblemError `UNSUPPORTED_PLATFORM` on anything but Linux, macOS and Windows; `NATIVE_PART_MISSING`
 */
export async function openWorld(): Promise<World> {
  if (platform() === "darwin") return macWorld();
  if (platform() !== "win32") return realWorld();
  // Loaded here and not with this file: the calls into Windows take their time.
  const [{ windowsSystem }, { windowsRules }] = await Promise.all([
    import("./windows/system.ts"),
    import("./file-rules-windows.ts"),
  ]);
  return windowsWorld(loaded(windowsSystem), realFiles("", windowsRules));
}

/** The native part is an optional package: it may not have been installed along. */
function loaded(make: () => WindowsSystem): WindowsSystem {
  try {
    const windows = make();
    // The first call loads it.
    if (windows.self.sid === "") throw new SystemError("ENOENT", "load", "token");
    return windows;
  } catch (error) {
    if (!(error instanceof SystemError && error.call === "load")) throw error;
    const { path: part, code: reason } = error;
    throw new ProblemError({ code: "NATIVE_PART_MISSING", part, reason }, { cause: error });
  }
}

/**
 * The world on Linux; what few commands need (processes to run, requests, the lock) is loaded at its first use.
 *
 * @throws ProblemError `UNSUPPORTED_PLATFORM` on anything else
 */
export function realWorld(): World {
  const here = platform();
  if (here !== "linux") throw new ProblemError({ code: "UNSUPPORTED_PLATFORM", platform: here });
  const env = { ...process.env };
  return {
    ...everywhere(env),
    platform: here,
    files: realFiles(),
    processes: linuxProcesses(process.pid),
    run: async (file, args, options) => (await import("./run.ts")).run(file, args, options),
    lock: async (name) => (await import("./lock.ts")).lock(name),
  };
}

function macWorld(): World {
  const env = { ...process.env };
  return {
    ...everywhere(env),
    platform: "darwin",
    // There is no /proc; and what /dev/fd shows of a folder cannot be entered.
    files: realFiles(""),
    processes: unlisted,
    run: async (file, args, options) => (await import("./run.ts")).run(file, args, options),
    lock: async (name) => (await import("./darwin-lock.ts")).darwinLock(name),
  };
}

function windowsWorld(windows: WindowsSystem, files: World["files"]): World {
  const env = { ...process.env };
  // A copy loses that there is no difference of case: in capitals every name is found.
  for (const [name, value] of Object.entries(process.env)) env[name.toUpperCase()] = value;
  return {
    ...everywhere(env),
    platform: "win32",
    windows,
    files,
    processes: unlisted,
    run: async (file, args, options) =>
      (await import("./run-on-windows.ts")).runOnWindows(windows.machine.systemFolder, file, args, options),
    lock: async (name) => (await import("./windows/lock.ts")).mutexLock(name),
  };
}

/** Other programs tell them here (`windows.processes`, `ps`); an empty list would say that no server runs. */
const unlisted: World["processes"] = {
  ownPid: process.pid,
  plexMediaServers: async () => {
    throw new SystemError("ENOSYS", "readdir", "/proc");
  },
};

/** What Node does alike on every system. */
function everywhere(env: NodeJS.ProcessEnv): Pick<World, "user" | "env" | "clock" | "http" | "randomHex"> {
  return {
    user: currentUser(env),
    env,
    clock: realClock,
    http: {
      local: async (request) => (await import("./http.ts")).realHttp(env).local(request),
      remote: async (request) => (await import("./http.ts")).realHttp(env).remote(request),
    },
    randomHex: (bytes) => process.getBuiltinModule("node:crypto").randomBytes(bytes).toString("hex"),
  };
}

const realClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const wake = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal?.addEventListener("abort", wake);
    }),
};

/**
 * The account that we act as; a number without an entry in the user database gets names from what is known. Windows
 * has no numbers: both are -1 there (`windows.self` knows who we are).
 */
function currentUser(env: NodeJS.ProcessEnv): WorldUser {
  try {
    const { uid, gid, username, homedir } = userInfo();
    return { uid, gid, name: username, home: homedir };
  } catch {
    const uid = process.geteuid?.() ?? -1;
    const gid = process.getegid?.() ?? -1;
    return { uid, gid, name: env["USER"] ?? String(uid), home: env["HOME"] ?? "/" };
  }
}
