import type { Server, ServerProcess } from "../model/server.ts";
import type { ProcessWorld } from "./processes.ts";

/** TODO: being built. */
export async function macProcessesOf(
  _world: ProcessWorld,
  _server: Server,
): Promise<readonly ServerProcess[] | "unknown"> {
  return "unknown";
}

export async function isSupervisedOnMac(_world: ProcessWorld, _server: Server): Promise<boolean> {
  return true;
}
