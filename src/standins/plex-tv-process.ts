import { spawn } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { connectPlexTv, type PlexTvControl } from "./plex-tv-control.ts";

/** A stand-in plex.tv in a process of its own, which outlives this one unless it is stopped. */
export interface PlexTvProcess extends PlexTvControl {
  readonly pid: number;
  stop(): void;
}

/** Starts it with an empty environment. Rejects with `STANDIN_DID_NOT_START`. */
export async function spawnPlexTv(): Promise<PlexTvProcess> {
  const program = fileURLToPath(new URL(`./plex-tv${extname(import.meta.url)}`, import.meta.url));
  const child = spawn(process.execPath, [program], {
    detached: true,
    env: {},
    stdio: ["ignore", "pipe", "ignore"],
  });
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (chunk) => resolve(String(chunk)));
    child.once("error", () => reject(new Error("STANDIN_DID_NOT_START")));
    child.once("exit", () => reject(new Error("STANDIN_DID_NOT_START")));
  });
  child.stdout.destroy();
  child.unref();
  const { url, pid } = JSON.parse(line) as { readonly url: string; readonly pid: number };
  return { ...connectPlexTv(url), pid, stop: () => void child.kill() };
}
