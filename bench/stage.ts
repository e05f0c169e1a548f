import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createLockedOutServer, type LockedOutServer } from "../src/standins/locked-out-server.ts";
import type { PlexTvControl } from "../src/standins/plex-tv-control.ts";
import { spawnPlexTv } from "../src/standins/plex-tv-process.ts";
import {
  PACKAGE_PARENT,
  PACKAGE_UNIT_FILE,
  SUPPORT_FOLDER,
  unitText,
} from "../test/support/packaged-server.ts";
import { succeed } from "./program.ts";

/** How long the stand-in takes: about what a real server with a middling library does. */
export const STOP_MS = 3_000;
export const START_MS = 5_000;

/** A running stand-in server that is stopped and started in one of two ways. */
export interface Stage {
  readonly server: LockedOutServer;
  /** What plex-reclaim is told about it. */
  readonly env: Readonly<Record<string, string>>;
  /** Stops and starts it as a person would, and does nothing in between. */
  bareRestart(): Promise<void>;
  /** A file with a fresh claim code, for a server that is locked out. */
  lockedOutWithCode(): Promise<string>;
  end(): Promise<void>;
}

export type Way = "own commands" | "systemd";

/** `systemd` lays it out as the package does, on the machine where this runs: it needs a root of its own. */
export async function openStage(way: Way): Promise<Stage> {
  const own = mkdtempSync(join(tmpdir(), "plex-reclaim-bench-"));
  const plexTv = await spawnPlexTv();
  const folder = way === "systemd" ? PACKAGE_PARENT.replace(/\/Library\/.*$/, "") : join(own, "server");
  const server = await createLockedOutServer(folder, {
    plexTv,
    decoy: true,
    behaviour: { startMs: START_MS, stopMs: STOP_MS, ...(way === "systemd" ? { port: 32_400 } : {}) },
  });
  if (way === "systemd") await installUnit(folder);
  // As it is started later, too: a server that we had started ourselves would have us for its supervisor.
  else await succeed("/bin/sh", ["-c", server.startLine]);
  await answering(server);
  return {
    server,
    env: {
      HOME: own,
      PLEX_RECLAIM_PLEXTV_URL: plexTv.url,
      PLEX_RECLAIM_STATE_DIR: join(own, "state"),
      ...(way === "systemd" ? {} : ownCommands(server)),
    },
    bareRestart: () => (way === "systemd" ? restartUnit() : restartByCommands(server)),
    lockedOutWithCode: () => codeFile(own, server, plexTv),
    async end() {
      await server.kill();
      plexTv.stop();
      rmSync(own, { recursive: true, force: true });
    },
  };
}

/** Waits until the server answers. */
export async function answering(server: LockedOutServer): Promise<void> {
  const end = performance.now() + STOP_MS + START_MS + 60_000;
  while (!(await server.answers())) {
    if (performance.now() > end) throw new Error("the stand-in does not answer");
    await sleep(50);
  }
}

async function codeFile(folder: string, server: LockedOutServer, plexTv: PlexTvControl): Promise<string> {
  await server.lockOut();
  const path = join(folder, "code");
  writeFileSync(path, await plexTv.issueClaimCode(server.owner.username));
  chmodSync(path, 0o600);
  return path;
}

function ownCommands(server: LockedOutServer): Record<string, string> {
  return {
    PLEX_RECLAIM_SETTINGS: server.settingsPath,
    PLEX_RECLAIM_SERVER_URL: server.url,
    PLEX_RECLAIM_PROCESS_MATCH: server.executable,
    PLEX_RECLAIM_STOP_COMMAND: server.stopLine,
    PLEX_RECLAIM_START_COMMAND: server.startLine,
  };
}

async function restartByCommands(server: LockedOutServer): Promise<void> {
  await succeed("/bin/sh", ["-c", server.stopLine]);
  while (server.running) await sleep(5);
  await succeed("/bin/sh", ["-c", server.startLine]);
}

async function installUnit(folder: string): Promise<void> {
  writeFileSync(PACKAGE_UNIT_FILE, unitText({ environment: [`${SUPPORT_FOLDER}=${PACKAGE_PARENT}`] }));
  await succeed("chown", ["-R", "plex:", folder]);
  await succeed("systemctl", ["daemon-reload"]);
  await succeed("systemctl", ["start", UNIT]);
}

async function restartUnit(): Promise<void> {
  await succeed("systemctl", ["stop", UNIT]);
  await succeed("systemctl", ["start", UNIT]);
}

const UNIT = "plexmediaserver.service";
