import { expect, test } from "vitest";
import type { Server } from "../../src/model/server.ts";
import { serviceOf } from "../../src/services/service-of.ts";
import { demandStopped } from "../../src/stages/5-stop.ts";
import type { PathContext, Target } from "../../src/stages/context.ts";
import { openStore } from "../../src/stores/store-of.ts";
import { realWorld } from "../../src/world/real.ts";
import type { RunResult, World } from "../../src/world/world.ts";

const FAILED: RunResult = { status: 1, signal: null, timedOut: false, stdout: "", stderr: "" };
const NOTHING_RUNS: RunResult = {
  ...FAILED,
  status: 0,
  stdout: "    1     0     0 Ss   Sat Nov 22 06:42:00 2025     /sbin/launchd\n",
};

/** Looks before a write on a Mac whose `ps` answers in turn as told. */
async function looks(answers: readonly RunResult[]): Promise<{ ended: Promise<void>; asked: () => number }> {
  const here = realWorld();
  let asked = 0;
  const run: World["run"] = async () => {
    asked += 1;
    return answers[asked - 1] ?? FAILED;
  };
  const clock = { ...here.clock, sleep: async () => undefined };
  const world: World = { ...here, platform: "darwin", run, clock };
  const server: Server = {
    id: "0a1b2c3d",
    install: "mac-application",
    store: "defaults",
    settingsPath: "/Users/jane/Library/Preferences/com.plexapp.plexmediaserver.plist",
    dataFolder: "/Users/jane/Library/Application Support/Plex Media Server",
    account: { name: "jane", uid: 501, gid: 20 },
    service: { kind: "mac-application", application: "/Applications/Plex Media Server.app" },
    url: "http://127.0.0.1:32400",
  };
  const context: PathContext = { world, emit: () => undefined, interrupt: new AbortController().signal };
  const store = await openStore(world, server, { readOnly: true, onNote: () => undefined });
  const target: Target = { server, store, service: serviceOf(world, server) };
  return { ended: demandStopped(context, target), asked: () => asked };
}

test("nothing is written while nobody can tell whether the server runs", async () => {
  const { ended, asked } = await looks([]);
  await expect(ended).rejects.toMatchObject({ problem: { code: "STILL_RUNNING", pids: "" } });
  expect(asked()).toBe(3);
});

test("one look that failed is made again", async () => {
  const { ended, asked } = await looks([FAILED, NOTHING_RUNS]);
  await ended;
  expect(asked()).toBe(2);
});
