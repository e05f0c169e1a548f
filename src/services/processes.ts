import type { Server, ServerProcess } from "../model/server.ts";
import type { World } from "../world/world.ts";

export type ProcessWorld = Pick<World, "processes" | "files" | "run" | "user" | "windows"> &
  Partial<Pick<World, "platform">>;

/**
 * The processes of this one server: its executable, under its account or with its data folder. Each system tells
 * them in its own way. `"unknown"` when a process could be one of them and this account may not see enough to tell.
 */
export async function processesOf(
  world: ProcessWorld,
  server: Server,
): Promise<readonly ServerProcess[] | "unknown"> {
  const { windows } = world;
  if (windows !== undefined) {
    return (await import("./windows-processes.ts")).windowsProcessesOf(windows, server);
  }
  if (world.platform === "darwin") return (await import("./mac-processes.ts")).macProcessesOf(world, server);
  return (await import("./linux-processes.ts")).linuxProcessesOf(world, server);
}

/** Whether somebody may be there who starts the server again when it ends by itself; true where it cannot be seen. */
export async function isSupervised(world: ProcessWorld, server: Server): Promise<boolean> {
  const { windows } = world;
  if (windows !== undefined) {
    return (await import("./windows-processes.ts")).isSupervisedOnWindows(windows, server);
  }
  if (world.platform === "darwin")
    return (await import("./mac-processes.ts")).isSupervisedOnMac(world, server);
  return (await import("./linux-processes.ts")).isSupervisedOnLinux(world, server);
}

/** A line that shows these processes of a server; none: it is not known which ones there are. */
export function lineAboutProcesses({ windows, platform }: ProcessWorld, pids: readonly number[]): string {
  if (windows !== undefined) return "tasklist /v";
  if (platform !== "darwin") return pids.length === 0 ? "ps -ef" : `ps -fp ${pids.join(",")}`;
  const columns = "pid,ppid,lstart,command";
  return pids.length === 0 ? `ps -axo ${columns} | grep -i plex` : `ps -o ${columns} -p ${pids.join(",")}`;
}

/** A line that shows what keeps a process of a server, or has started it. */
export async function lineAboutKeeper(world: ProcessWorld, server: Server, pid: number): Promise<string> {
  if (world.windows !== undefined) return "tasklist /svc";
  if (world.platform !== "darwin") return `systemctl status ${pid}`;
  const shown = lineAboutProcesses(world, [pid]);
  return `${shown}; ${await (await import("./mac-agents.ts")).lineAboutJobs(world, server, pid)}`;
}
