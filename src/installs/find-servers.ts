import type { Server, ServerProcess, ServiceDescription } from "../model/server.ts";
import type { World } from "../world/world.ts";

/** What a person may say about the server; see the contract's options of the same names. */
export interface FindOptions {
  readonly settings?: string;
  readonly serverUrl?: string;
  readonly stopCommand?: string;
  readonly startCommand?: string;
  readonly processMatch?: string;
}

export interface FoundServers {
  /** In the order of their settings' paths. */
  readonly servers: readonly FoundServer[];
  /** What may belong to further servers and could not be seen for want of privilege: paths. */
  readonly unseen: readonly string[];
}

export interface FoundServer {
  readonly server: Server;
  /** `"unknown"`: this account cannot tell. */
  readonly processes: readonly ServerProcess[] | "unknown";
  /** What of this server could not be seen for want of privilege: paths. */
  readonly unseen: readonly string[];
}

export type FindWorld = Pick<World, "run" | "files" | "processes" | "user" | "env" | "windows"> &
  Partial<Pick<World, "platform">>;

/**
 * Every Plex Media Server of this machine; with `settings` only that one, found or not. Each system looks in its own
 * way. Never throws for what it may not see: `unseen` names it. Throws `BAD_VALUE` for `settings` that cannot be any.
 */
export async function findServers(world: FindWorld, options: FindOptions): Promise<FoundServers> {
  const { windows, files, env } = world;
  if (windows !== undefined) {
    return (await import("./windows.ts")).findServersOnWindows({ windows, files, env }, options);
  }
  if (world.platform === "darwin") return (await import("./macos.ts")).findServersOnMac(world, options);
  return (await import("./linux.ts")).findServersOnLinux(world, options);
}

/** Where the server answers, without a trailing slash. */
export function addressFor({ serverUrl }: FindOptions): string {
  return (serverUrl ?? DEFAULT_URL).replace(/\/+$/u, "");
}

const DEFAULT_URL = "http://127.0.0.1:32400";

/** A person's own commands, which go before whatever was found; null where none are given. */
export function commandsFor({
  stopCommand: stop,
  startCommand: start,
}: FindOptions): ServiceDescription | null {
  if (stop === undefined && start === undefined) return null;
  return { kind: "command", ...(stop !== undefined && { stop }), ...(start !== undefined && { start }) };
}
