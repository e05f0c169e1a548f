import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export interface WindowsStandIns {
  /** `Plex Media Server.exe`, see test/wine/stand-in/plex-media-server.c. */
  readonly server: string;
  /** `plex-service.exe`, see plex-service.c there. */
  readonly service: string;
}

/**
 * Why the stand-ins for Windows cannot be compiled on this machine, or null. Under `CI=true` nothing may be skipped,
 * so that is an error there.
 */
export function whyNoWindowsStandIns(): string | null {
  if (existsSync("/usr/bin/x86_64-w64-mingw32-gcc")) return null;
  const reason = "the stand-ins for Windows need gcc-mingw-w64-x86-64-win32";
  if (process.env["CI"] === "true") throw new Error(reason);
  return reason;
}

/** Compiles what has changed since the last time. */
export async function windowsStandIns(): Promise<WindowsStandIns> {
  const answer = await promisify(execFile)(SCRIPT, { timeout: DEADLINE_MS });
  const folder = answer.stdout.trim();
  return { server: join(folder, "Plex Media Server.exe"), service: join(folder, "plex-service.exe") };
}

const SCRIPT = join(
  dirname(dirname(dirname(fileURLToPath(import.meta.url)))),
  "scripts/build-windows-stand-ins.sh",
);

const DEADLINE_MS = 120_000;
