import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { FoundServer, FoundServers } from "../../src/installs/find-servers.ts";
import type { Problem } from "../../src/model/problem.ts";
import type { Server, ServerProcess } from "../../src/model/server.ts";
import {
  installPackage,
  layDownSettings,
  PACKAGE_PARENT,
  PACKAGE_UNIT_FILE,
  STANDIN_LINE,
  SUPPORT_FOLDER,
  unitText,
} from "../support/packaged-server.ts";
import {
  bootRoot,
  type Host,
  NODE_ON_HOST,
  PROJECT_ON_HOST,
  quoted,
  SERVER_ON_HOST,
  whyNoSystemd,
} from "../support/systemd-root.ts";

const reason = whyNoSystemd();
const EYES = `${NODE_ON_HOST} ${PROJECT_ON_HOST}/test/support/find-on-host.ts`;
const DEADLINE_MS = 60_000;
/** A stop that takes until the test lets it go on. */
const HELD_STOP = "ExecStop=/bin/sh -c 'until test -e /srv/let-go; do sleep 0.05; done'";

describe.skipIf(reason !== null)(`on a real systemd${reason === null ? "" : ` (skipped: ${reason})`}`, () => {
  let host: Host;

  beforeAll(async () => {
    host = await bootRoot();
    await host.succeed("useradd --create-home bob");
  });

  afterAll(async () => {
    await host?.stop();
  });

  afterEach(async () => {
    await host.run(`
      systemctl list-units --all --plain --no-legend '*plex*.service' mediabox.service oneoff.service helper.service |
        while read -r unit rest; do systemctl kill --signal=KILL "$unit"; systemctl stop "$unit"; done
      pkill -KILL -f '^${SERVER_ON_HOST}'; pkill -KILL tail
      rm -rf /etc/systemd/system/*plex* /etc/systemd/system/mediabox.service ${PACKAGE_UNIT_FILE} \
        /lib/systemd/system/helper.service /etc/default/plexmediaserver /etc/plex.d \
        /var/lib/plexmediaserver/Library /var/lib/plex /srv/* /home/bob/Library
      systemctl daemon-reload; systemctl reset-failed`);
  });

  interface Answer<T> {
    readonly answer?: T;
    readonly problem?: Problem;
  }

  async function ask<T>(args: readonly string[], user = "root"): Promise<Answer<T>> {
    const line = [EYES, ...args.map(quoted)].join(" ");
    return JSON.parse(await host.succeed(line, { user })) as Answer<T>;
  }

  async function answered<T>(args: readonly string[], user?: string): Promise<T> {
    const { answer, problem } = await ask<T>(args, user);
    if (answer === undefined) throw new Error(JSON.stringify(problem));
    return answer;
  }

  const find = (options: object = {}, user?: string) =>
    answered<FoundServers>(["find", JSON.stringify(options)], user);

  const processes = (server: Server, user?: string) =>
    answered<ServerProcess[] | "unknown">(["processes", JSON.stringify(server)], user);

  const service = <T>(server: Server, call: string, argument: object = {}) =>
    ask<T>(["service", JSON.stringify(server), call, JSON.stringify(argument)]);

  async function only(options: object = {}, user?: string): Promise<FoundServer> {
    const found = await find(options, user);
    expect(found.servers).toHaveLength(1);
    const [first] = found.servers;
    if (first === undefined) throw new Error("no server");
    return first;
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + DEADLINE_MS;
    while (!(await holds())) {
      if (performance.now() > end) throw new Error(`never: ${what}`);
      await sleep(50);
    }
  }

  const condition = async (server: Server) => (await service<string>(server, "condition")).answer;
  const becomes = (server: Server, wanted: string) =>
    until(wanted, async () => (await condition(server)) === wanted);
  const mainPid = async (unit: string) =>
    Number(await host.succeed(`systemctl show --value -p MainPID ${unit}`));

  /** Until the stand-in has laid down its settings and answers. */
  const up = (parent: string) =>
    until(
      "up",
      async () => (await host.run(`test -s ${quoted(`${parent}/standin-running.json`)}`)).status === 0,
    );

  async function startPackage(parent = PACKAGE_PARENT): Promise<void> {
    await host.succeed("systemctl start plexmediaserver");
    await up(parent);
  }

  async function dropIn(name: string, text: string): Promise<void> {
    await host.write(`/etc/systemd/system/plexmediaserver.service.d/${name}`, text);
    await host.succeed("systemctl daemon-reload");
  }

  /** A server that nobody keeps, in the background; answers when it is up. */
  async function strayServer(parent: string, port: number, before = ""): Promise<void> {
    await host.succeed(`install -d -o plex ${quoted(parent)}`);
    const env = `env ${quoted(`${SUPPORT_FOLDER}=${parent}`)} STANDIN_PORT=${port}`;
    await host.succeed(`${before} ${env} runuser -u plex -- ${STANDIN_LINE} >/dev/null 2>&1 </dev/null &`);
    await up(parent);
  }

  describe("finding", () => {
    it("lists a packaged server with its account, its unit, its executable and its process", async () => {
      await installPackage(host);
      const settings = await layDownSettings(host, PACKAGE_PARENT);
      await startPackage();
      const { server, processes, unseen } = await only();
      const [uid, gid] = (await host.succeed("id -u plex; id -g plex")).trim().split("\n").map(Number);
      expect(server).toEqual({
        id: createHash("sha256").update(settings).digest("hex").slice(0, 8),
        install: "linux-package",
        store: "xml",
        settingsPath: settings,
        dataFolder: `${PACKAGE_PARENT}/Plex Media Server`,
        executable: SERVER_ON_HOST,
        account: { name: "plex", uid, gid },
        service: { kind: "systemd", unit: "plexmediaserver.service" },
        url: "http://127.0.0.1:32400",
      });
      expect(processes).toEqual([{ pid: await mainPid("plexmediaserver"), startTicks: expect.any(Number) }]);
      expect(unseen).toEqual([]);
    });

    it("does not list a package that was never run", async () => {
      await installPackage(host);
      expect(await find()).toEqual({ servers: [], unseen: [] });
    });

    it.each([
      ["quotes round the whole assignment", `Environment="${SUPPORT_FOLDER}=/srv/My  Data"`],
      ["quotes round the value", `Environment=${SUPPORT_FOLDER}="/srv/My  Data"`],
    ])("follows a data folder that an oddly named drop-in moved, with %s", async (_style, assignment) => {
      await installPackage(host);
      const left = await layDownSettings(host, PACKAGE_PARENT);
      const moved = await layDownSettings(host, "/srv/My  Data");
      await dropIn("zz moved (by hand).conf", `[Service]\n${assignment}\n`);
      const { servers } = await find();
      expect(servers.map(({ server }) => [server.settingsPath, server.service.kind])).toEqual([
        [moved, "systemd"],
        // The old folder is still there: it is named, and nobody guesses.
        [left, "none"],
      ]);
    });

    it("lets an environment file that the unit names win over Environment=", async () => {
      await installPackage(host, { lines: ["EnvironmentFile=-/etc/default/plexmediaserver"] });
      await host.write(
        "/etc/default/plexmediaserver",
        `# moved\n${SUPPORT_FOLDER}="/srv/by file" # no comment\nexport ${SUPPORT_FOLDER}=/srv/nowhere\n`,
      );
      // The rest of the line belongs to the value: systemd knows no comment there.
      const moved = await layDownSettings(host, "/srv/by file# no comment");
      expect((await only()).server.settingsPath).toBe(moved);
      await startPackage("/srv/by file# no comment");
      expect((await only()).processes).toHaveLength(1);
    });

    it("reads environment files by pattern, the last one winning, and does not read one that no unit names", async () => {
      await installPackage(host, { lines: ["EnvironmentFile=-/etc/plex.d/*.env"] });
      await host.write("/etc/plex.d/10.env", `${SUPPORT_FOLDER}=/srv/first\n`);
      await host.write("/etc/plex.d/20.env", `${SUPPORT_FOLDER}='/srv/second'\n`);
      await host.write("/etc/plex.d/.30.env", `${SUPPORT_FOLDER}=/srv/hidden\n`);
      await host.write("/etc/default/plexmediaserver", `${SUPPORT_FOLDER}=/srv/unnamed\n`);
      const moved = await layDownSettings(host, "/srv/second");
      expect((await only()).server.settingsPath).toBe(moved);
    });

    it("finds a whole custom unit under another name by its process", async () => {
      const settings = await layDownSettings(host, "/srv/box", "bob");
      const unit = unitText({ user: "bob", environment: [`${SUPPORT_FOLDER}=/srv/box`] });
      await host.write("/etc/systemd/system/mediabox.service", unit);
      await host.succeed("systemctl daemon-reload && systemctl start mediabox");
      await up("/srv/box");
      const { server } = await only();
      expect(server).toMatchObject({
        install: "systemd-unit",
        settingsPath: settings,
        account: { name: "bob" },
        service: { kind: "systemd", unit: "mediabox.service" },
      });
    });

    it("finds a stopped custom unit that has plex in its name, started by a wrapper", async () => {
      const settings = await layDownSettings(host, "/srv/box");
      const environment = [`${SUPPORT_FOLDER}=/srv/box`];
      const unit = unitText({ environment, execStart: "/usr/local/bin/wrapper" });
      await host.write("/etc/systemd/system/my-Plex.service", unit);
      await host.succeed("systemctl daemon-reload");
      const { server, processes } = await only();
      expect(server).toMatchObject({ settingsPath: settings, service: { unit: "my-Plex.service" } });
      expect(processes).toEqual([]);
    });

    it.each([true, false])(
      "looks into the home of the account when nothing names a folder (running: %s)",
      async (run) => {
        await host.write("/etc/systemd/system/plex.service", unitText({ user: "bob" }));
        await host.succeed("systemctl daemon-reload");
        const settings = await layDownSettings(host, "/home/bob/Library/Application Support", "bob");
        if (run) {
          await host.succeed("systemctl start plex");
          await up("/home/bob/Library/Application Support");
        }
        const { server, processes } = await only();
        expect(server.settingsPath).toBe(settings);
        expect(server.account).toMatchObject({ name: "bob" });
        expect(processes).toHaveLength(run ? 1 : 0);
      },
    );

    it("believes the running process more than a unit that was changed since", async () => {
      await installPackage(host);
      const settings = await layDownSettings(host, PACKAGE_PARENT);
      await startPackage();
      await dropIn("later.conf", `[Service]\nEnvironment="${SUPPORT_FOLDER}=/srv/later"\n`);
      expect((await only()).server.settingsPath).toBe(settings);
    });

    it("lists two servers of two units, each with its own process", async () => {
      await installPackage(host);
      await layDownSettings(host, PACKAGE_PARENT);
      await layDownSettings(host, "/srv/two");
      const environment = [`${SUPPORT_FOLDER}=/srv/two`, "STANDIN_PORT=32401"];
      await host.write("/etc/systemd/system/plex-two.service", unitText({ environment }));
      await host.succeed("systemctl daemon-reload && systemctl start plex-two");
      await startPackage();
      await up("/srv/two");
      const { servers } = await find();
      expect(servers.map(({ server }) => server.service)).toEqual([
        { kind: "systemd", unit: "plex-two.service" },
        { kind: "systemd", unit: "plexmediaserver.service" },
      ]);
      expect(servers.map((found) => found.processes)).toEqual([
        [expect.objectContaining({ pid: await mainPid("plex-two") })],
        [expect.objectContaining({ pid: await mainPid("plexmediaserver") })],
      ]);
      expect(new Set(servers.map(({ server }) => server.id)).size).toBe(2);
    });

    it("lists settings that two paths lead to once", async () => {
      await installPackage(host);
      await layDownSettings(host, "/srv/real");
      await host.succeed(
        `install -d "$(dirname '${PACKAGE_PARENT}')" && ln -s /srv/real '${PACKAGE_PARENT}'`,
      );
      const environment = [`${SUPPORT_FOLDER}=/srv/real`];
      await host.write("/etc/systemd/system/plex-two.service", unitText({ environment }));
      await host.succeed("systemctl daemon-reload");
      await startPackage();
      const { server, processes } = await only();
      expect(server.service).toEqual({ kind: "systemd", unit: "plexmediaserver.service" });
      expect(processes).toHaveLength(1);
    });

    it("finds a server that nobody keeps beside an idle unit, and does not take the unit for its keeper", async () => {
      await installPackage(host);
      await layDownSettings(host, PACKAGE_PARENT);
      await strayServer(PACKAGE_PARENT, 32400);
      const { server, processes } = await only();
      expect(server).toMatchObject({ install: "running-process", service: { kind: "none" } });
      expect(processes).toHaveLength(1);
    });

    it("does not take a unit that only happened to start a server for its keeper", async () => {
      await host.succeed("install -d -o plex /srv/job");
      // As cron or a supervisor does: its own lines do not say what it runs.
      const job = `#!/bin/sh\n${SUPPORT_FOLDER}=/srv/job setsid ${STANDIN_LINE} &\nexec sleep infinity\n`;
      await host.write("/usr/local/bin/jobs", job, { mode: "755" });
      const unit = unitText({ execStart: "/usr/local/bin/jobs" });
      await host.write("/lib/systemd/system/helper.service", unit);
      await host.succeed("systemctl daemon-reload && systemctl start helper");
      await up("/srv/job");
      expect((await only()).server.service).toEqual({ kind: "none" });
    });

    it("does not take a transient unit, which would be gone after a stop, for a keeper", async () => {
      await host.succeed("install -d -o plex /srv/job");
      await host.succeed(
        `systemd-run --quiet --unit=oneoff --uid=plex --setenv=${SUPPORT_FOLDER}=/srv/job ${STANDIN_LINE}`,
      );
      await up("/srv/job");
      expect((await only()).server).toMatchObject({ install: "running-process", service: { kind: "none" } });
    });

    it("takes the settings that it is pointed to, with what is known of them", async () => {
      await installPackage(host);
      const settings = await layDownSettings(host, PACKAGE_PARENT);
      await layDownSettings(host, "/srv/other");
      await host.succeed(`ln -s ${quoted(settings)} /srv/link.xml`);
      await startPackage();
      const linked = await only({ settings: "/srv/link.xml", serverUrl: "http://127.0.0.1:1234/" });
      expect(linked.server).toMatchObject({
        settingsPath: "/srv/link.xml",
        dataFolder: `${PACKAGE_PARENT}/Plex Media Server`,
        service: { kind: "systemd", unit: "plexmediaserver.service" },
        url: "http://127.0.0.1:1234",
      });
      expect(linked.processes).toHaveLength(1);
      const path = "/srv/other/Plex Media Server/Preferences.xml";
      expect((await only({ settings: path })).server).toMatchObject({
        install: "settings-file",
        service: { kind: "none" },
      });
      const commands = { settings: path, stopCommand: "stop it", startCommand: "start it" };
      expect((await only(commands)).server.service).toEqual({
        kind: "command",
        stop: "stop it",
        start: "start it",
      });
    });

    it("finds a server under another executable when told its path", async () => {
      await host.succeed("cp /bin/sleep /srv/custom-server && install -d '/srv/c/Plex Media Server'");
      await host.succeed(`${SUPPORT_FOLDER}=/srv/c setsid /srv/custom-server 1000 >/dev/null 2>&1 &`);
      const options = {
        settings: "/srv/c/Plex Media Server/Preferences.xml",
        processMatch: "/srv/custom-server",
      };
      await until("running", async () => (await only(options)).processes.length === 1);
      await host.succeed("kill $(pidof custom-server)");
      await until("gone", async () => (await only(options)).processes.length === 0);
    });
  });

  describe("what does not count as the server", () => {
    it("is a tail on its log, an editor's like, a server in a container and a zombie", async () => {
      await installPackage(host);
      await layDownSettings(host, PACKAGE_PARENT);
      await startPackage();
      const log = `${PACKAGE_PARENT}/Plex Media Server/Logs/Plex Media Server.log`;
      await host.succeed(`setsid tail -f ${quoted(log)} >/dev/null 2>&1 </dev/null &`);
      // The same data folder by name, in a process space of its own: what the host sees of a container.
      await strayServer("/srv/inside", 32401, "unshare --pid --fork --mount-proc --mount");
      const { server } = await only();
      await service(server, "requestStop");
      await becomes(server, "inactive");
      expect(await processes(server)).toEqual([]);
      expect((await find()).servers.map((each) => each.server.settingsPath)).toEqual([server.settingsPath]);

      await strayServer("/srv/dead", 32402);
      const dead = await only({ settings: "/srv/dead/Plex Media Server/Preferences.xml" });
      expect(dead.processes).toHaveLength(1);
      await host.succeed(`systemd-run --quiet --unit=oneoff --setenv=${SUPPORT_FOLDER}=/srv/zombie \\
        /bin/sh -c '${STANDIN_LINE} & exec sleep infinity'`);
      await up("/srv/zombie");
      const zombie = await only({ settings: "/srv/zombie/Plex Media Server/Preferences.xml" });
      expect(zombie.processes).toHaveLength(1);
      const [process] = zombie.processes as ServerProcess[];
      await host.succeed(`kill -KILL ${process?.pid}`);
      await until("zombie", async () =>
        (await host.succeed(`ps -o state= -p ${process?.pid}`)).startsWith("Z"),
      );
      expect(await processes(zombie.server)).toEqual([]);
    });
  });

  describe("without privilege", () => {
    it("says what can be said of a server that its unit tells of", async () => {
      await installPackage(host);
      const settings = await layDownSettings(host, PACKAGE_PARENT);
      await startPackage();
      const { server, processes } = await only({}, "nobody");
      expect(server).toMatchObject({
        settingsPath: settings,
        account: { name: "plex" },
        service: { unit: "plexmediaserver.service" },
      });
      expect(processes).toEqual([expect.objectContaining({ pid: await mainPid("plexmediaserver") })]);
    });

    it("names the environment file that it may not read, and the folder that it may not enter", async () => {
      await installPackage(host, { lines: ["EnvironmentFile=/etc/default/plexmediaserver"] });
      await host.write("/etc/default/plexmediaserver", `${SUPPORT_FOLDER}=/srv/secret\n`, { mode: "600" });
      await layDownSettings(host, "/srv/secret");
      expect(await find({}, "nobody")).toEqual({ servers: [], unseen: ["/etc/default/plexmediaserver"] });

      await host.succeed("chmod 644 /etc/default/plexmediaserver && chmod 700 /srv/secret");
      const { server, unseen } = await only({}, "nobody");
      expect(server.settingsPath).toBe("/srv/secret/Plex Media Server/Preferences.xml");
      expect(unseen).toEqual([server.settingsPath]);
    });

    it("does not guess about a server that nothing but its process tells of", async () => {
      await strayServer("/srv/stray", 32400);
      const pid = JSON.parse(await host.read("/srv/stray/standin-running.json")).pid;
      expect(await find({}, "nobody")).toEqual({ servers: [], unseen: [`/proc/${pid}/environ`] });
      const settings = "/srv/stray/Plex Media Server/Preferences.xml";
      expect((await only({ settings }, "nobody")).processes).toBe("unknown");
    });
  });

  describe("stopping and starting", () => {
    async function packaged(
      lines: readonly string[] = [],
      environment: readonly string[] = [],
    ): Promise<Server> {
      await installPackage(host, { lines, environment });
      await layDownSettings(host, PACKAGE_PARENT);
      await startPackage();
      return (await only()).server;
    }

    it("stops politely below the manager's deadline, and starts", async () => {
      const server = await packaged([HELD_STOP]);
      expect((await service(server, "stopDeadlineMs")).answer).toBe(88_000);
      expect(await condition(server)).toBe("active");
      await service(server, "requestStop");
      expect(await condition(server)).toBe("stopping");
      expect(await processes(server)).toHaveLength(1);
      await host.succeed("touch /srv/let-go");
      await becomes(server, "inactive");
      expect(await processes(server)).toEqual([]);
      expect((await service(server, "killedByForce")).answer).toBe(false);
      await service(server, "start", { resetLimit: false });
      await up(PACKAGE_PARENT);
      expect(await condition(server)).toBe("active");
    });

    it("gives an endless unit an end, and a short one less than it has", async () => {
      const server = await packaged(["TimeoutStopSec=infinity"]);
      expect((await service(server, "stopDeadlineMs")).answer).toBe(118_000);
      await dropIn("short.conf", "[Service]\nTimeoutStopSec=2s\n");
      expect((await service(server, "stopDeadlineMs")).answer).toBe(1_500);
    });

    it("tells that the manager ended by force a server that would not stop, and starts it again", async () => {
      const server = await packaged(["TimeoutStopSec=2s"]);
      const behaviour = `${PACKAGE_PARENT}/standin.json`;
      await host.write(behaviour, '{"ignoreTerm":true}');
      await host.succeed("systemctl restart plexmediaserver");
      await up(PACKAGE_PARENT);
      await host.succeed(`rm ${quoted(behaviour)}`);
      await service(server, "requestStop");
      expect((await service(server, "queuedStopMs")).answer).toBeGreaterThan(2_000);
      await becomes(server, "failed");
      expect((await service(server, "killedByForce")).answer).toBe(true);
      expect((await service(server, "start", { resetLimit: true })).problem).toBeUndefined();
      await until("active", async () => (await condition(server)) === "active");
    });

    it("takes a unit that is about to restart its server by itself as active, and its own stop as final", async () => {
      const server = await packaged(["Restart=always", "RestartSec=1"]);
      const [before] = (await processes(server)) as ServerProcess[];
      await host.succeed(`kill -KILL ${before?.pid}`);
      await until("another process", async () => {
        expect(await condition(server)).toBe("active");
        const [now] = (await processes(server)) as ServerProcess[];
        return now !== undefined && now.pid !== before?.pid;
      });
      await service(server, "requestStop");
      await becomes(server, "inactive");
      expect(await host.succeed("systemctl show --value -p SubState plexmediaserver")).toBe("dead\n");
    });

    it("says in systemd's words why a start failed, and gets past the start limit when asked", async () => {
      const unitLines = ["StartLimitIntervalSec=1h", "StartLimitBurst=2"];
      await installPackage(host, {
        unitLines,
        lines: ["ExecStartPre=/usr/bin/test -e /srv/ready", "Restart=no"],
      });
      await layDownSettings(host, PACKAGE_PARENT);
      const { server } = await only();
      const start = (resetLimit: boolean) => service(server, "start", { resetLimit });
      await start(false);
      expect((await start(false)).problem).toMatchObject({
        code: "START_FAILED",
        command: "systemctl start plexmediaserver",
        detail: "status=1 LoadState=loaded ActiveState=failed Result=exit-code ExecMainStatus=0",
      });
      await host.succeed("touch /srv/ready");
      // The cause is gone, the count is not. Seen: `Result` keeps the first failure.
      expect((await start(false)).problem).toMatchObject({ code: "START_FAILED" });
      expect(await condition(server)).toBe("failed");
      expect((await start(true)).problem).toBeUndefined();
      expect(await condition(server)).toBe("active");
    });

    it("says that a unit is gone", async () => {
      const server = await packaged();
      const lost: Server = { ...server, service: { kind: "systemd", unit: "plex-lost.service" } };
      expect((await service(lost, "requestStop")).problem).toMatchObject({
        code: "STOP_FAILED",
        command: "systemctl stop plex-lost",
        detail: expect.stringContaining("status=5 LoadState=not-found"),
      });
    });

    it("sees a stop that waits in the manager's queue as one under way", async () => {
      const server = await packaged();
      // Ordered after the server, so that its own stop has to end first.
      const slow = `[Unit]\nAfter=plexmediaserver.service\nRequires=plexmediaserver.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n${HELD_STOP}\n`;
      await host.write("/etc/systemd/system/mediabox.service", slow);
      await host.succeed("systemctl daemon-reload && systemctl start mediabox");
      await service(server, "requestStop");
      expect(await condition(server)).toBe("stopping");
      expect(await host.succeed("systemctl show --value -p ActiveState plexmediaserver")).toBe("active\n");
      await host.succeed("touch /srv/let-go");
      await becomes(server, "inactive");
    });
  });
});
