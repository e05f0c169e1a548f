import { posix, win32 } from "node:path";
import type { SignInWay } from "../model/event.ts";
import type { Server } from "../model/server.ts";
import { shellWord } from "../model/shell-word.ts";
import { identity } from "../plex/server.ts";
import { atLeast } from "../plex/version.ts";
import { SystemError, type World } from "../world/world.ts";

type SignInWorld = Pick<World, "env" | "user" | "files" | "http"> & Partial<Pick<World, "platform" | "run">>;

/** Every way to sign a signed-out server in again from this host; `claimLine` is our own. */
export async function signInWays(
  world: SignInWorld,
  server: Server,
  claimLine: string,
): Promise<SignInWay[]> {
  const claim: SignInWay = { way: "claim-command", line: claimLine };
  return [claim, ...(await waysOf(world, server))];
}

async function waysOf(world: SignInWorld, server: Server): Promise<SignInWay[]> {
  switch (server.store) {
    case "registry":
      return withNewClaim(world, server, { join: win32.join, version: "1.32.2" });
    case "defaults":
    case "plist":
      return withNewClaim(world, server, { join: posix.join, version: "1.29.2" });
    case "xml":
      return ofLinux(world, server);
  }
}

/**
 * A Linux server's bundled Plex Web still claims it from the machine itself (seen with PMS 1.43.4, October 2026); a
 * headless host reaches it through an SSH tunnel, because Plex offers the claim to loopback only
 * (forums.plex.tv/t/717725). Such a server may run on a Mac or on Windows, in a virtual machine or a container.
 */
async function ofLinux(world: SignInWorld, server: Server): Promise<SignInWay[]> {
  const port = portOf(server);
  const user = world.env["SUDO_USER"] ?? world.user.name;
  const host = await hostName(world);
  const browser: SignInWay = { way: "local-browser", url: `http://127.0.0.1:${port}/web` };
  if (host === null) return [browser];
  return [
    browser,
    {
      way: "ssh-tunnel",
      line: `ssh -L 8888:127.0.0.1:${port} ${shellWord(`${user}@${host}`)}`,
      url: "http://localhost:8888/web",
    },
  ];
}

/**
 * From a version on the local page alone claims no server on Windows (forums.plex.tv/t/839096) and macOS
 * (forums.plex.tv/t/816337). On Windows the server keeps an address for it (`.claimURL`), or a page (`Setup Plex.html`),
 * in its data folder: so PmsService's source has it; their content and lifetime are not documented, and that those of a
 * Mac are there is UNVERIFIED. What is not there is not named.
 */
async function withNewClaim(
  world: SignInWorld,
  server: Server,
  { join, version: newClaim }: { readonly join: typeof posix.join; readonly version: string },
): Promise<SignInWay[]> {
  const ways: SignInWay[] = [];
  const claimUrl = join(server.dataFolder, ".claimURL");
  if (await isThere(world, claimUrl)) ways.push({ way: "claim-url-file", path: claimUrl });
  const setupPage = join(server.dataFolder, "Setup Plex.html");
  if (await isThere(world, setupPage)) ways.push({ way: "setup-page", path: setupPage });
  const url = `http://127.0.0.1:${portOf(server)}/web`;
  const answer = await identity(world, server.url);
  const version = answer.kind === "answers" ? answer.version : "";
  if (version === "") ways.push({ way: "local-browser-before", url, version: newClaim });
  else if (!atLeast(version, newClaim)) ways.push({ way: "local-browser", url });
  return ways;
}

function portOf(server: Server): string {
  const { port } = new URL(server.url);
  return port === "" ? "32400" : port;
}

async function isThere({ files }: SignInWorld, path: string): Promise<boolean> {
  try {
    return (await files.stat(path)).kind === "file";
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}

/** The address under which this machine was reached by SSH, else its own name; null where nobody could use one. */
async function hostName(world: SignInWorld): Promise<string | null> {
  const [, , address] = (world.env["SSH_CONNECTION"] ?? "").split(" ");
  if (address !== undefined && address !== "") return address;
  if (world.platform === "win32") return null;
  if (world.platform === "darwin") return localNameOfMac(world);
  const bytes = await world.files.read("/proc/sys/kernel/hostname", 256).catch(() => new Uint8Array());
  const name = new TextDecoder().decode(bytes).trim();
  return name === "" ? "localhost" : name;
}

/** By which others in the same network find a Mac (scutil(8)). */
async function localNameOfMac({ run }: SignInWorld): Promise<string | null> {
  try {
    const answer = await run?.("/usr/sbin/scutil", ["--get", "LocalHostName"], { timeoutMs: TOOL_MS });
    const name = answer?.status === 0 ? answer.stdout.trim() : "";
    return name === "" ? null : `${name}.local`;
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

const TOOL_MS = 15_000;
