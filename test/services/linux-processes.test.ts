import { describe, expect, it } from "vitest";
import type { Server } from "../../src/model/server.ts";
import { linuxProcessesOf } from "../../src/services/linux-processes.ts";
import type { ProcessInfo } from "../../src/world/world.ts";
import { type Fixture, fixtureWorld, type Programs } from "../support/fixture-world.ts";

const PARENT = "/var/lib/plexmediaserver/Library/Application Support";
const FOLDER = `${PARENT}/Plex Media Server`;
const OWN = { PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR: PARENT };
const HIDDEN: Partial<ProcessInfo> = { executable: null, env: null };
const IN_UNIT = { cgroup: "0::/system.slice/plexmediaserver.service\n" };

const SERVER: Server = {
  id: "0123abcd",
  install: "linux-package",
  store: "xml",
  settingsPath: `${FOLDER}/Preferences.xml`,
  dataFolder: FOLDER,
  account: { name: "plex", uid: 997, gid: 997 },
  service: { kind: "systemd", unit: "plexmediaserver.service" },
  url: "http://127.0.0.1:32400",
};

const programs: Programs = {
  systemctl: () => ({
    stdout: "Id=plexmediaserver.service\nControlGroup=/system.slice/plexmediaserver.service\n",
  }),
  getent: () => ({ stdout: "plex:x:997:997::/var/lib/plexmediaserver:/usr/sbin/nologin\n" }),
};

async function look(process: Partial<ProcessInfo>, more: Partial<Fixture> = {}, server = SERVER) {
  const files = { [SERVER.settingsPath]: "" };
  const found = await linuxProcessesOf(
    fixtureWorld({ files, programs, processes: [process], ...more }),
    server,
  );
  return found === "unknown" ? found : found.length;
}

describe("a process of the server", () => {
  it("has its data folder by the environment", async () => {
    expect(await look({ env: OWN })).toBe(1);
    expect(await look({ env: { PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR: `${PARENT}/` } })).toBe(1);
    expect(await look({ env: { PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR: "/srv" } })).toBe(0);
  });

  it("has it by its home, as it was told or as its account has it", async () => {
    expect(await look({ env: { HOME: "/var/lib/plexmediaserver" } })).toBe(1);
    expect(await look({ env: { PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR: "" } })).toBe(1);
  });

  it("counts whoever runs it and wherever its executable is", async () => {
    expect(await look({ env: OWN, uid: 0, executable: "/opt/plex/Plex Media Server" })).toBe(1);
  });

  it("is no program that only carries the name", async () => {
    expect(await look({ env: OWN, executable: "/bin/bash" })).toBe(0);
  });

  it("is dead as a zombie", async () => {
    expect(await look({ env: OWN, state: "Z" })).toBe(0);
    expect(await look({ env: OWN, state: "D" })).toBe(1);
  });

  it("is not one in a container, whatever folder that one names, but is one in a namespace of its own unit", async () => {
    expect(await look({ env: OWN, sameNamespace: false })).toBe(0);
    // A container with a systemd of its own: the path ends alike.
    const lxc = { cgroup: "0::/lxc/box/system.slice/plexmediaserver.service\n" };
    expect(await look({ env: OWN, sameNamespace: false, ...lxc })).toBe(0);
    expect(await look({ env: OWN, sameNamespace: false, ...IN_UNIT })).toBe(1);
  });

  it("is told by its unit when this account may not see more", async () => {
    expect(await look({ ...HIDDEN, ...IN_UNIT }, { uid: 65534 })).toBe(1);
    expect(await look({ ...HIDDEN, ...IN_UNIT, sameNamespace: null }, { uid: 65534 })).toBe(1);
  });

  it("is not guessed when nothing tells", async () => {
    expect(await look(HIDDEN, { uid: 65534 })).toBe("unknown");
    expect(await look({ ...HIDDEN, sameNamespace: false }, { uid: 65534 })).toBe(0);
  });

  it("of another account is another server's", async () => {
    expect(await look({ ...HIDDEN, uid: 1001 }, { uid: 65534 })).toBe(0);
    const { account: _, ...nobodys } = SERVER;
    expect(await look({ ...HIDDEN, uid: 1001 }, { uid: 65534 }, nobodys)).toBe(0);
    const closed = [PARENT];
    expect(await look({ ...HIDDEN, uid: 1001 }, { uid: 65534, closed }, nobodys)).toBe("unknown");
  });

  it("is no other account's, whatever folder that one names", async () => {
    const { account: _, ...nobodys } = SERVER;
    const stranger = { env: OWN, uid: 1001 };
    expect(await look(stranger)).toBe(0);
    expect(await look(stranger, {}, nobodys)).toBe(0);
    expect(await look(stranger, { uid: 1002 }, nobodys)).toBe(0);
  });

  it("is its owner's by the settings or their folder, where nothing else tells of an account", async () => {
    const { account: _, ...nobodys } = SERVER;
    const custom = { env: OWN, uid: 1001 };
    expect(await look(custom, { owners: { [SERVER.settingsPath]: 1001 } }, nobodys)).toBe(1);
    expect(await look(custom, { owners: { [FOLDER]: 1001 } }, nobodys)).toBe(1);
    expect(await look(custom, { modes: { [SERVER.settingsPath]: 0o777 } }, nobodys)).toBe(1);
    // Run by the very account that asks, which is not root.
    expect(await look(custom, { uid: 1001 }, nobodys)).toBe(1);
    expect(await look({ env: OWN, uid: 0 }, { uid: 1001 }, nobodys)).toBe(1);
  });

  it("is whoever its unit made it", async () => {
    expect(await look({ env: OWN, uid: 1001, ...IN_UNIT })).toBe(1);
  });

  it("may be hidden altogether from another account, and not from its own", async () => {
    const files = { [SERVER.settingsPath]: "", "/proc/1/stat": null };
    expect(await look({ env: OWN, state: "Z" }, { uid: 65534, files })).toBe("unknown");
    expect(await look({ env: OWN, state: "Z" }, { uid: 997, files })).toBe(0);
    expect(await look({ env: OWN, state: "Z" }, { uid: 0, files })).toBe(0);
  });
});
