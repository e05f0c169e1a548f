import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { type Problem, ProblemError } from "../../src/model/problem.ts";
import type { Server } from "../../src/model/server.ts";
import {
  closeStateDirectory,
  openStateDirectory,
  type StateDirectory,
  type StateWorld,
} from "../../src/state/state-directory.ts";
import { realWorld } from "../../src/world/real.ts";
import type { World } from "../../src/world/world.ts";

/** A time of no importance: 22 November 2026, 03:15:00 UTC. */
export const NOW = Date.UTC(2026, 10, 22, 3, 15);

/** A folder of the running test's own, removed when it ends. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-state-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The real world with a clock that stands where it is put. */
export function worldAt(clock: { ms: number } = { ms: NOW }): World {
  const real = realWorld();
  return { ...real, env: {}, clock: { ...real.clock, now: () => clock.ms } };
}

/** A state directory of the running test's own, open until it ends. */
export async function stateIn(world: StateWorld, path = join(scratch(), "state")): Promise<StateDirectory> {
  const state = await openStateDirectory(world, path);
  onTestFinished(() => closeStateDirectory(state));
  return state;
}

export const SERVER: Server = {
  id: "0a1b2c3d",
  install: "linux-package",
  store: "xml",
  settingsPath: "/var/lib/plexmediaserver/Preferences.xml",
  dataFolder: "/var/lib/plexmediaserver",
  executable: "/usr/lib/plexmediaserver/Plex Media Server",
  account: { name: "plex", uid: 997, gid: 997 },
  service: { kind: "systemd", unit: "plexmediaserver.service" },
  url: "http://127.0.0.1:32400",
};

/** The problem that a call ends with; fails when it ends well, or with anything else. */
export async function problemOf(call: Promise<unknown>): Promise<Problem> {
  const error = await call.then(
    () => expect.unreachable("nothing was refused"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ProblemError)) throw error;
  return error.problem;
}
