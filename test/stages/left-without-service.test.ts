import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Server } from "../../src/model/server.ts";
import { serviceOf } from "../../src/services/service-of.ts";
import type { PathContext, Target } from "../../src/stages/context.ts";
import { putBack } from "../../src/stages/put-back.ts";
import { Journal } from "../../src/state/journal.ts";
import { openStateDirectory } from "../../src/state/state-directory.ts";
import { openRegistryStore } from "../../src/stores/registry-store.ts";
import { realWorld } from "../../src/world/real.ts";
import { BOB, EXECUTABLE, usualWindows } from "../support/simulated-windows.ts";

/** A service that ends and leaves its server running (srvany does), so that the stop never comes to its end. */
test("a service that was stopped, and whose server went on without it, is not called put back", async () => {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-stages-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { windows } = usualWindows();
  windows.addAccount(BOB, "ATTIC\\bob", "C:\\Users\\bob");
  windows.self = { ...windows.self, elevated: true, split: true };
  windows.addSettings(BOB);
  const command = "C:\\srvany.exe";
  windows.addService({ name: "Plex", account: ".\\bob", command }, "stopped");
  windows.addProcess({ sid: BOB, session: 0 });
  const server: Server = {
    id: "0a1b2c3d",
    install: "windows-service",
    store: "registry",
    settingsPath: `HKEY_USERS\\${BOB}\\Software\\Plex, Inc.\\Plex Media Server`,
    dataFolder: "C:\\Users\\bob\\AppData\\Local\\Plex Media Server",
    executable: EXECUTABLE,
    account: { name: "ATTIC\\bob", sid: BOB },
    service: { kind: "windows-service", name: "Plex" },
    url: "http://127.0.0.1:32400",
  };
  const body = JSON.stringify({
    MediaContainer: { machineIdentifier: "abc", claimed: true, version: "1.43" },
  });
  const local = async () => ({ status: 200, headers: {}, body });
  const here = realWorld();
  const world = { ...here, windows, http: { ...here.http, local } };
  const context: PathContext = { world, emit: () => undefined, interrupt: new AbortController().signal };
  const target: Target = {
    server,
    store: await openRegistryStore(windows, server),
    service: serviceOf(world, server),
  };
  const state = await openStateDirectory(here, join(folder, "state"));
  const begun = { wasRunning: true, keepStopped: false, endsRunning: true } as const;
  const journal = await Journal.begin(here, state, {
    kind: "begun",
    version: 1,
    command: "reset",
    server,
    ...begun,
  });
  await journal.note({ kind: "stopping" });
  const expectation = { machineIdentifier: "abc", portIsOurs: true };
  const patience = { stopMs: 0, startMs: 0 };
  const { aftermath } = await putBack(context, state, target, journal, expectation, patience, "restore");
  expect(aftermath).toEqual({
    kind: "not-put-back",
    byHand: [{ do: "start", line: 'net start "Plex"' }],
  });
});
