import { userInfo } from "node:os";
import { ProblemError } from "../model/problem.ts";
import { realFiles } from "./files.ts";
import { linuxProcesses } from "./processes.ts";
import type { Clock, World, WorldUser } from "./world.ts";

/**
 * The world that is really there. The only place that asks which platform this is; what few commands need
 * (processes to run, requests, the lock) is loaded at its first use.
 *
 * @throws ProblemError `UNSUPPORTED_PLATFORM` on anything but Linux
 */
export function realWorld(): World {
  const platform = process.platform;
  if (platform !== "linux") throw new ProblemError({ code: "UNSUPPORTED_PLATFORM", platform });
  const env = { ...process.env };
  return {
    platform,
    user: currentUser(env),
    env,
    clock: realClock,
    files: realFiles(),
    processes: linuxProcesses(process.pid),
    http: {
      local: async (request) => (await import("./http.ts")).realHttp(env).local(request),
      remote: async (request) => (await import("./http.ts")).realHttp(env).remote(request),
    },
    randomHex: (bytes) => process.getBuiltinModule("node:crypto").randomBytes(bytes).toString("hex"),
    run: async (file, args, options) => (await import("./run.ts")).run(file, args, options),
    lock: async (name) => (await import("./lock.ts")).lock(name),
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

/** The account that we act as; a number without an entry in the user database gets names from what is known. */
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
