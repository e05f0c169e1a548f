import { describe, expect, it } from "vitest";
import { backupCreate } from "../../src/commands/backup.ts";
import { reset } from "../../src/commands/reset.ts";
import type { Result } from "../../src/model/event.ts";
import { type FileStat, SystemError, type World } from "../../src/world/world.ts";
import { type MemoryRegistry, textValue } from "../support/memory-registry.ts";
import { optionsFor, recordedSession } from "../support/recorded-session.ts";
import { SIGNED_IN } from "../support/registry-arbitraries.ts";
import { SimulatedServer } from "../support/simulated-server.ts";

const BOB = "S-1-5-21-1-2-3-1002";
const EVE = "S-1-5-21-1-2-3-1003";
const KEY = "Software\\Plex, Inc.\\Plex Media Server";
const WINDOWS = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
const MOUNT = `plex-reclaim-${BOB}`;

/** A machine with Bob and Eve, who have servers and are not signed in; and the commands on Bob's. */
function bobsServer() {
  const { machine } = new SimulatedServer("locked-out", "windows");
  const { windows, files } = machine.world;
  if (windows === undefined) throw new Error("it is a Windows");
  // As test/support/simulated-registry-home.ts makes it.
  const registry = windows.registry as MemoryRegistry;
  registry.setKey(WINDOWS, [textValue("SystemRoot", "C:\\Windows")]);
  for (const [sid, profile] of [
    [BOB, "C:\\Users\\bob"],
    [EVE, "C:\\Users\\eve"],
  ] as const) {
    registry.setKey(`${WINDOWS}\\ProfileList\\${sid}`, [textValue("ProfileImagePath", profile)]);
    registry.addHiveFile(hiveOf(profile), { [KEY]: SIGNED_IN });
  }
  const world: World = {
    ...machine.world,
    files: { ...files, lstat: async (path) => seenInProfiles(path) ?? files.lstat(path) },
  };
  const options = { ...optionsFor(machine), settings: `HKEY_USERS\\${BOB}\\${KEY}` };
  const run = (work: typeof backupCreate): Promise<Result> => {
    const { session, end } = recordedSession(world);
    return end("", () => work(session, options));
  };
  return {
    world,
    registry,
    backUp: () => run(backupCreate),
    reset: () => run((session) => reset(session, "reset", options)),
    hiveCalls: () => registry.calls.map(({ call }) => call).filter((call) => call.endsWith("Hive")),
  };
}

function hiveOf(profile: string): string {
  return `${profile}\\NTUSER.DAT`;
}

function seenInProfiles(path: string): FileStat | null {
  if (!path.startsWith("C:\\Users\\")) return null;
  const [, , , ...inside] = path.split("\\");
  const kind = inside.length === 0 ? "folder" : "file";
  if (kind === "file" && inside[0] !== "NTUSER.DAT") throw new SystemError("ENOENT", "lstat", path);
  return { kind, dev: "1", ino: "1", links: 1, uid: 0, gid: 0, mode: 0o600, size: 1, mtimeNs: "0" };
}

describe("a hive that one run has loaded", () => {
  it.each(["reset", "backUp"] as const)("is not touched by another run: %s", async (second) => {
    const bob = bobsServer();
    const others: Promise<Result>[] = [];
    bob.registry.beforeCall = ({ call, path }) => {
      if (call === "values" && path === `HKEY_USERS\\${MOUNT}\\${KEY}` && others.length === 0) {
        others.push(bob[second]());
      }
    };
    const { outcome } = await bob.backUp();
    expect(outcome).toMatchObject({ code: "OK" });
    const results = await Promise.all(others);
    expect(results).toMatchObject([{ exitCode: 3, outcome: { problem: { code: "RUN_IN_PROGRESS" } } }]);
    // Looked at under the lock, and read for the backup.
    expect(bob.hiveCalls()).toEqual(["loadHive", "unloadHive", "loadHive", "unloadHive"]);
  });

  it.each(["reset", "backUp"] as const)(
    "is not looked at while somebody has the lock: %s",
    async (command) => {
      const bob = bobsServer();
      bob.registry.mount(MOUNT, hiveOf("C:\\Users\\bob"));
      const held: string[] = [];
      const { lock } = bob.world;
      const taken: World["lock"] = async (name) => {
        held.push(name);
        return null;
      };
      Object.assign(bob.world, { lock: taken });
      const { outcome } = await bob[command]();
      expect(outcome).toMatchObject({ problem: { code: "RUN_IN_PROGRESS" } });
      expect(held).toHaveLength(1);
      expect(bob.hiveCalls()).toEqual([]);
      expect(bob.registry.mounted()).toContain(MOUNT);
      Object.assign(bob.world, { lock });
      await bob[command]();
      expect(bob.registry.mounted()).not.toContain(MOUNT);
    },
  );

  it("of another account is nobody's to unload who works on this one", async () => {
    const bob = bobsServer();
    bob.registry.mount(`plex-reclaim-${EVE}`, hiveOf("C:\\Users\\eve"));
    expect((await bob.backUp()).outcome).toMatchObject({ code: "OK" });
    expect(bob.registry.mounted()).toContain(`plex-reclaim-${EVE}`);
  });
});
