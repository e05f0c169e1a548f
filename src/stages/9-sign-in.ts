import type { SignInWay } from "../model/event.ts";
import type { Server } from "../model/server.ts";
import { shellWord } from "../model/shell-word.ts";
import type { World } from "../world/world.ts";

/**
 * Every way to sign a signed-out server in again from this host. On Linux the bundled Plex Web still claims a
 * server from the machine itself (seen with PMS 1.43.4, October 2026); a headless host reaches it through an
 * SSH tunnel, because Plex offers the claim to loopback only (forums.plex.tv/t/717725).
 */
export async function signInWays(
  world: Pick<World, "env" | "user" | "files">,
  server: Server,
  claimLine: string,
): Promise<SignInWay[]> {
  const url = new URL(server.url);
  const port = url.port === "" ? "32400" : url.port;
  const user = world.env["SUDO_USER"] ?? world.user.name;
  const host = await hostName(world);
  return [
    { way: "claim-command", line: claimLine },
    { way: "local-browser", url: `http://127.0.0.1:${port}/web` },
    {
      way: "ssh-tunnel",
      line: `ssh -L 8888:127.0.0.1:${port} ${shellWord(`${user}@${host}`)}`,
      url: "http://localhost:8888/web",
    },
  ];
}

/** The address under which this machine was reached by SSH, else its own name. */
async function hostName(world: Pick<World, "env" | "files">): Promise<string> {
  const [, , address] = (world.env["SSH_CONNECTION"] ?? "").split(" ");
  if (address !== undefined && address !== "") return address;
  const bytes = await world.files.read("/proc/sys/kernel/hostname", 256).catch(() => new Uint8Array());
  const name = new TextDecoder().decode(bytes).trim();
  return name === "" ? "localhost" : name;
}
