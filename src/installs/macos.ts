import type { FindOptions, FindWorld, FoundServers } from "./find-servers.ts";

/** TODO: being built. */
export async function findServersOnMac(_world: FindWorld, _options: FindOptions): Promise<FoundServers> {
  return { servers: [], unseen: [] };
}
