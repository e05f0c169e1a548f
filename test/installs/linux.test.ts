import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { findServersOnLinux } from "../../src/installs/linux.ts";
import { type Fixture, fixtureWorld, type Programs } from "../support/fixture-world.ts";

const DEB = "/var/lib/plexmediaserver/Library/Application Support/Plex Media Server/Preferences.xml";
const ARCH = "/var/lib/plex/Plex Media Server/Preferences.xml";
const SUPPORT = "PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR";

const ACCOUNTS = ["root:x:0:0:root:/root:/bin/sh", "plex:x:997:996::/var/lib/plexmediaserver:/bin/false", ""];
const getent = ([, key]: readonly string[]) => ({
  stdout: ACCOUNTS.filter((row) => key !== undefined && row.split(":").includes(key)).join("\n"),
});

/** A systemd that knows the units, by their properties. */
function systemd(units: readonly Readonly<Record<string, string>>[]): Programs {
  const systemctl = (args: readonly string[]) => {
    const names = units.map((unit) => unit["Id"]);
    if (args.includes("list-units"))
      return { stdout: names.map((name) => `${name} loaded active\n`).join("") };
    if (args.includes("list-unit-files")) return { status: 1 };
    const asked = units.filter((unit) => args.includes(unit["Id"] ?? ""));
    const blocks = asked.map((unit) => ({ LoadState: "loaded", MainPID: "0", ...unit }));
    const lines = (unit: object) => Object.entries(unit).map(([name, value]) => `${name}=${value}`);
    return { stdout: blocks.map((unit) => `${lines(unit).join("\n")}\n`).join("\n") };
  };
  return { systemctl, getent };
}

const exec = (path: string, args = "") =>
  `{ path=${path} ; argv[]=${path} ${args} ; ignore_errors=no ; pid=0 }`;

async function find(fixture: Fixture, options = {}) {
  return await findServersOnLinux(fixtureWorld(fixture), options);
}

async function places(fixture: Fixture) {
  const { servers } = await find(fixture);
  return servers.map(({ server }) => [server.settingsPath, server.install, server.service]);
}

describe("servers on Linux", () => {
  it("are found at the packages' places where there is no systemd", async () => {
    const files = { [DEB]: "", [ARCH]: "" };
    const none = { kind: "none" };
    const expected = [
      [ARCH, "arch-package", none],
      [DEB, "linux-package", none],
    ];
    expect(await places({ files })).toEqual(expected);
    const systemctl = () => ({ status: 1, stderr: "System has not been booted with systemd as init system" });
    expect(await places({ files, programs: { systemctl } })).toEqual(expected);
  });

  it("are named by a hash of the real path of their settings", async () => {
    const { servers } = await find({ files: { [DEB]: "" } });
    expect(servers[0]?.server.id).toBe(createHash("sha256").update(DEB).digest("hex").slice(0, 8));
    expect(servers[0]?.server.id).toMatch(/^[0-9a-f]{8}$/u);
  });

  it("of Arch are at the folder that the package's unit names", async () => {
    const unit = {
      Id: "plexmediaserver.service",
      FragmentPath: "/usr/lib/systemd/system/plexmediaserver.service",
      User: "plex",
      EnvironmentFiles: "/etc/conf.d/plexmediaserver (ignore_errors=no)",
      ExecStart: exec("/bin/sh", 'exec "/usr/lib/plexmediaserver/Plex Media Server"'),
    };
    const files = {
      [ARCH]: "",
      "/etc/arch-release": "",
      "/etc/conf.d/plexmediaserver": `${SUPPORT}=/var/lib/plex\n`,
    };
    const { servers } = await find({ files, programs: systemd([unit]) });
    expect(servers).toHaveLength(1);
    expect(servers[0]?.server).toMatchObject({
      settingsPath: ARCH,
      install: "arch-package",
      executable: "/usr/lib/plexmediaserver/Plex Media Server",
      account: { name: "plex", uid: 997, gid: 996 },
      service: { kind: "systemd", unit: "plexmediaserver.service" },
    });
  });

  it("are not units that only start a container, update a server or watch one", async () => {
    const units = [
      { Id: "plex.service", User: "", ExecStart: exec("/usr/bin/docker", "run plexinc/pms-docker") },
      { Id: "plexupdate.service", User: "plex", ExecStart: exec("/usr/local/bin/plexupdate") },
      { Id: "plexdrive.service", User: "plex", ExecStart: exec("/usr/bin/rclone", "mount") },
    ];
    const root = "/root/Library/Application Support/Plex Media Server/Preferences.xml";
    expect(await places({ files: { [root]: "", [DEB]: "" }, programs: systemd(units) })).toEqual([
      [DEB, "linux-package", { kind: "none" }],
    ]);
  });

  it("are not kept by a masked unit", async () => {
    const unit = { Id: "plexmediaserver.service", LoadState: "masked", User: "plex" };
    expect(await places({ files: { [DEB]: "" }, programs: systemd([unit]) })).toEqual([
      [DEB, "linux-package", { kind: "none" }],
    ]);
  });

  it("are not kept by a user's manager or a session, as far as the system's manager can stop them", async () => {
    const cgroups = [
      "0::/user.slice/user-1000.slice/user@1000.service/app.slice/plex.service\n",
      "0::/user.slice/user-1000.slice/session-3.scope\n",
    ];
    for (const cgroup of cgroups) {
      const process = { cgroup, env: { [SUPPORT]: "/home/bob" } };
      const unit = { Id: "user@1000.service", ControlGroup: "/user.slice/user-1000.slice/user@1000.service" };
      const fixture = { processes: [process], programs: systemd([unit]) };
      expect(await places(fixture)).toEqual([
        ["/home/bob/Plex Media Server/Preferences.xml", "running-process", { kind: "none" }],
      ]);
    }
  });

  it("that run are listed even when their settings are gone", async () => {
    const { servers } = await find({ processes: [{ pid: 7, env: { [SUPPORT]: "/srv" } }] });
    expect(servers.map(({ processes }) => processes)).toEqual([[{ pid: 7, startTicks: 1000 }]]);
  });

  const IMPOSTOR = {
    uid: 65534,
    executable: "/home/mallory/Plex Media Server",
    env: { [SUPPORT]: "/var/lib/plexmediaserver/Library/Application Support" },
  };
  const PACKAGED = {
    Id: "plexmediaserver.service",
    FragmentPath: "/lib/systemd/system/plexmediaserver.service",
    User: "plex",
    Environment: `"${SUPPORT}=/var/lib/plexmediaserver/Library/Application Support"`,
    ExecStart: exec("/usr/lib/plexmediaserver/Plex Media Server"),
  };

  it("are not what somebody runs who has nothing to do with their settings", async () => {
    const fixture = { files: { [DEB]: "" }, owners: { [DEB]: 997 }, processes: [IMPOSTOR] };
    const [stopped, ...more] = (await find({ ...fixture, programs: systemd([PACKAGED]) })).servers;
    expect(more).toEqual([]);
    expect(stopped).toMatchObject({ processes: [], server: { account: { name: "plex" } } });
    expect(stopped?.server.service).toEqual({ kind: "systemd", unit: "plexmediaserver.service" });
    expect(stopped?.server.executable).toBe("/usr/lib/plexmediaserver/Plex Media Server");

    const [bare] = (await find(fixture)).servers;
    expect(bare).toMatchObject({ processes: [], server: { install: "linux-package" } });
    expect(bare?.server.account).toBeUndefined();
    const named = await find(fixture, { settings: DEB });
    expect(named.servers[0]?.processes).toEqual([]);
    expect(named.servers[0]?.server.account).toBeUndefined();
  });

  it("are not what another unit of another account runs on their settings", async () => {
    const cgroup = "0::/system.slice/plexpy.service\n";
    const other = { Id: "plexpy.service", User: "plexpy", ControlGroup: "/system.slice/plexpy.service" };
    const { servers } = await find({
      files: { [DEB]: "" },
      owners: { [DEB]: 997 },
      processes: [{ ...IMPOSTOR, cgroup }],
      programs: systemd([{ ...other, ExecStart: exec("/opt/plexpy/run") }, PACKAGED]),
    });
    expect(servers.map(({ server, processes }) => [server.service, server.account?.name, processes])).toEqual(
      [[{ kind: "systemd", unit: "plexmediaserver.service" }, "plex", []]],
    );
  });

  it("are run by an account of their own choice where that owns the settings", async () => {
    const process = { uid: 997, env: { [SUPPORT]: "/srv" } };
    const folder = "/srv/Plex Media Server";
    const settings = `${folder}/Preferences.xml`;
    const fixture = {
      files: { [settings]: "" },
      owners: { [settings]: 997, [folder]: 997 },
      programs: { getent },
    };
    const [found] = (await find({ ...fixture, processes: [process] })).servers;
    expect(found).toMatchObject({ processes: [{ pid: 100 }], server: { account: { name: "plex" } } });
    // Root may run it, and is not taken for its account.
    const [byRoot] = (await find({ ...fixture, processes: [{ ...process, uid: 0 }] })).servers;
    expect(byRoot?.processes).toHaveLength(1);
    expect(byRoot?.server.account).toBeUndefined();
  });

  it("in a container are not of this host", async () => {
    const process = { env: { [SUPPORT]: "/config" }, sameNamespace: false };
    expect(await find({ processes: [process] })).toEqual({ servers: [], unseen: [] });
  });

  it("that cannot be seen are said to be unseen", async () => {
    const closed = ["/var/lib/plexmediaserver"];
    const found = await find({ files: { [DEB]: "" }, closed, uid: 1000 });
    expect(found.servers.map(({ server, unseen }) => [server.settingsPath, unseen])).toEqual([[DEB, [DEB]]]);
  });

  it("keep the account open when their unit may change it in a script", async () => {
    const unit = { Id: "plex.service", User: "", ExecStart: exec("/opt/start-plex.sh") };
    const files = { [DEB]: "" };
    const { servers } = await find({ files, programs: systemd([unit]) });
    expect(servers[0]?.server.account).toBeUndefined();
    const direct = { ...unit, ExecStart: exec("/usr/lib/plexmediaserver/Plex Media Server") };
    const again = await find({ files, programs: systemd([direct]) });
    expect(again.servers[0]?.server.account).toEqual({ name: "root", uid: 0, gid: 0 });
  });

  it("are where they are said to be, and only there", async () => {
    const found = await find({ files: { [DEB]: "" } }, { settings: "/srv/gone/Preferences.xml" });
    expect(
      found.servers.map(({ server }) => [server.settingsPath, server.dataFolder, server.install]),
    ).toEqual([["/srv/gone/Preferences.xml", "/srv/gone", "settings-file"]]);
  });

  it("whose settings are gone still have their unit when they are pointed to", async () => {
    const unit = { Id: "plex.service", User: "plex", Environment: `"${SUPPORT}=/srv/my plex"` };
    const settings = "/srv/my plex/Plex Media Server/Preferences.xml";
    const found = await find({ programs: systemd([unit]) }, { settings });
    expect(found.servers[0]?.server.service).toEqual({ kind: "systemd", unit: "plex.service" });
  });
});
