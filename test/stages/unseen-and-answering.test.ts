import { expect, test } from "vitest";
import type { Note } from "../../src/model/event.ts";
import type { InstallKind, Server } from "../../src/model/server.ts";
import { serviceOf } from "../../src/services/service-of.ts";
import { isRunning } from "../../src/stages/2-preflight.ts";
import type { PathContext, Target } from "../../src/stages/context.ts";
import { openRegistryStore } from "../../src/stores/registry-store.ts";
import { realWorld } from "../../src/world/real.ts";
import { usualWindows } from "../support/simulated-windows.ts";

const OURS = "0123456789abcdef0123456789abcdef01234567";
const ANOTHER = "f".repeat(40);

/** A server of which no process is there; `answers` is who says so at its port. */
async function unseen(
  install: InstallKind,
  answers: string,
): Promise<{ run: () => Promise<boolean>; notes: Note[] }> {
  const { windows } = usualWindows();
  const sid = windows.self.sid;
  const url = "http://127.0.0.1:32400";
  const server: Server = {
    id: "0a1b2c3d",
    install,
    store: "registry",
    settingsPath: `HKEY_USERS\\${sid}\\Software\\Plex, Inc.\\Plex Media Server`,
    dataFolder: "C:\\Users\\jane\\AppData\\Local\\Plex Media Server",
    account: { name: "ATTIC\\jane", sid },
    service: { kind: "tray" },
    url,
  };
  const body = JSON.stringify({
    MediaContainer: { machineIdentifier: answers, claimed: true, version: "1.43" },
  });
  const here = realWorld();
  const world = {
    ...here,
    windows,
    http: { ...here.http, local: async () => ({ status: 200, headers: {}, body }) },
  };
  const notes: Note[] = [];
  const context: PathContext = {
    world,
    emit: (event) => {
      if (event.type === "note") notes.push(event.note);
    },
    interrupt: new AbortController().signal,
  };
  const store = await openRegistryStore(windows, server);
  const target: Target = { server, store, service: serviceOf(world, server) };
  return { run: () => isRunning(context, target, OURS), notes };
}

test("a server that answers while none of its processes is seen does not count as stopped", async () => {
  const { run } = await unseen("windows-tray", OURS);
  const problem = { code: "STILL_ANSWERING", url: "http://127.0.0.1:32400" };
  await expect(run()).rejects.toMatchObject({ problem, aftermath: { kind: "nothing-changed" } });
});

test("another server at its port is no sign of it", async () => {
  const { run, notes } = await unseen("windows-tray", ANOTHER);
  expect(await run()).toBe(false);
  expect(notes).toEqual([]);
});

test("beside a file that was named its original may run: that is told, and no refusal", async () => {
  const { run, notes } = await unseen("settings-file", OURS);
  expect(await run()).toBe(false);
  expect(notes).toEqual([{ code: "SAME_SERVER_ANSWERS", url: "http://127.0.0.1:32400" }]);
});
