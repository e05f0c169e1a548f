import { onTestFinished } from "vitest";
import type { FindWorld } from "../../src/installs/find-servers.ts";
import { findServersOnMac } from "../../src/installs/macos.ts";
import type { Server } from "../../src/model/server.ts";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import { realWorld } from "../../src/world/real.ts";
import type { World } from "../../src/world/world.ts";
import { type From, type Mac, type MacOptions, openMac } from "./mac.ts";
import type { MacServer, ServerOnMac } from "./mac-server.ts";

/** A Mac with a plex.tv, both of the running test alone. */
export async function macOfTest(options: MacOptions = {}): Promise<{ mac: Mac; plexTv: PlexTv }> {
  const plexTv = await startPlexTv();
  onTestFinished(() => plexTv.close());
  const mac = await openMac(options);
  onTestFinished(() => mac.close());
  return { mac, plexTv };
}

/** The same, with a server of the first account. */
export async function macWithServer(
  options: MacOptions = {},
  about: Partial<ServerOnMac> = {},
): Promise<{ mac: Mac; plexTv: PlexTv; server: MacServer }> {
  const { mac, plexTv } = await macOfTest(options);
  return { mac, plexTv, server: await mac.installServer({ plexTv, ...about }) };
}

export type BenchWorld = FindWorld & Pick<World, "clock">;

/** What of a world finding, stopping and starting servers takes. */
export function worldOn(mac: Mac, user: string, from: From = "desktop", env: World["env"] = {}): BenchWorld {
  const world = mac.world(user, { from });
  const { processes, clock } = realWorld();
  return { ...world, env: { ...world.env, ...env }, processes, clock };
}

/** The one server that an account finds. */
export async function onlyServer(world: BenchWorld): Promise<Server> {
  const { servers } = await findServersOnMac(world, {});
  const [only, ...others] = servers;
  if (only === undefined || others.length > 0) throw new Error(`FOUND_${servers.length}`);
  return only.server;
}
