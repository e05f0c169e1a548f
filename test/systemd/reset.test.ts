import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { PACKAGE_UNIT_FILE, STANDIN_LINE, SUPPORT_FOLDER } from "../support/packaged-server.ts";
import { PlexOnHost, PROGRAM } from "../support/plex-on-host.ts";
import { bootRoot, type Host, quoted, SERVER_ON_HOST, whyNoSystemd } from "../support/systemd-root.ts";

const reason = whyNoSystemd();
const MET = expect.arrayContaining([
  expect.objectContaining({ name: "reachable", result: "met" }),
  expect.objectContaining({ name: "account", result: "met" }),
  expect.objectContaining({ name: "logs", result: "met" }),
]);

describe.skipIf(reason !== null)(
  `a locked-out server on a real systemd${reason === null ? "" : ` (skipped: ${reason})`}`,
  () => {
    let host: Host;
    let plex: PlexOnHost;

    beforeAll(async () => {
      host = await bootRoot();
      plex = new PlexOnHost(host);
      await plex.startPlexTv();
      await host.succeed("useradd --create-home bob");
    });

    afterAll(async () => {
      await host?.stop();
    });

    afterEach(async () => {
      await host.run(`
      systemctl kill --signal=KILL plexmediaserver; systemctl stop plexmediaserver
      pkill -KILL -f '^${SERVER_ON_HOST}'; pkill -KILL tail
      rm -rf /etc/systemd/system/plexmediaserver.service.d ${PACKAGE_UNIT_FILE} /etc/default/plexmediaserver \
        /var/lib/plexmediaserver/Library /srv/* /var/lib/plex-reclaim
      systemctl daemon-reload; systemctl reset-failed`);
    });

    async function heal(args = "reset --yes") {
      return plex.run(args, { code: await plex.claimCode() });
    }

    it("is healed with a claim code, as the package lays it down", async () => {
      const path = await plex.lockedOut();
      const before = await host.read(path);
      const found = await plex.run("status");
      expect(found.result).toMatchObject({
        code: "OK",
        servers: [
          { state: "locked-out", reason: "TOKEN_REVOKED", running: true, service: "plexmediaserver.service" },
        ],
      });

      const healed = await heal();
      expect(healed.result).toMatchObject({ code: "OK", exitCode: 0, ownerChanged: false, criteria: MET });
      expect(await host.succeed(`stat -c '%U:%G %a' ${quoted(path)}`)).toBe("plex:plex 600\n");
      const after = await host.read(path);
      expect(withoutCredentials(after)).toBe(withoutCredentials(before));
      expect(await plex.control("isTokenValid", { token: await plex.token(path) })).toBe(true);

      expect((await plex.run("status")).result).toMatchObject({ servers: [{ state: "signed-in" }] });
      expect((await plex.run("verify")).result).toMatchObject({ exitCode: 0, criteria: MET });
      const state = await host.succeed("find /var/lib/plex-reclaim -printf '%y %m %u\\n' | sort -u");
      expect(state).toBe("d 700 root\nf 600 root\n");
    });

    it("is signed out without a code, says every way to sign in, and undo brings everything back", async () => {
      const path = await plex.lockedOut();
      const token = await plex.token(path);
      const out = await plex.run("reset --yes");
      expect(out.result).toMatchObject({ code: "SIGNED_OUT", exitCode: 0 });
      const ways = (out.result["signInWays"] as { way: string }[]).map((way) => way.way);
      expect(ways).toEqual(["claim-command", "local-browser", "ssh-tunnel"]);
      expect(await plex.token(path)).toBe(null);
      expect(await plex.isActive()).toBe(true);

      expect((await plex.run("undo --yes")).status).toBe(6);
      expect(await plex.token(path)).toBe(token);
      expect((await plex.run("undo --yes")).result).toMatchObject({ code: "NOTHING_TO_DO", exitCode: 0 });

      await plex.run("reset --yes");
      const claimed = await heal("claim --yes");
      expect(claimed.result).toMatchObject({ code: "OK", exitCode: 0, criteria: MET });
    });

    it("is found in a data folder that a drop-in of any name moved, and in one that an environment file overrides", async () => {
      for (const how of ["drop-in", "environment file"] as const) {
        const parent = `/srv/media of ${how}`;
        const before = async () => {
          if (how === "drop-in") {
            const line = `[Service]\nEnvironment=${SUPPORT_FOLDER}="${parent}"\n`;
            await host.write("/etc/systemd/system/plexmediaserver.service.d/90-my disk.conf", line);
          } else {
            await host.succeed("rm -rf /etc/systemd/system/plexmediaserver.service.d");
            const line = "[Service]\nEnvironmentFile=-/etc/default/plexmediaserver\n";
            await host.write("/etc/systemd/system/plexmediaserver.service.d/local.conf", line);
            await host.write("/etc/default/plexmediaserver", `${SUPPORT_FOLDER}='${parent}'\n`);
          }
        };
        const path = await plex.lockedOut({ parent, before });
        const healed = await heal();
        expect(healed.result, how).toMatchObject({ code: "OK", exitCode: 0, criteria: MET });
        expect(await plex.control("isTokenValid", { token: await plex.token(path) })).toBe(true);
        await host.succeed("systemctl stop plexmediaserver");
        // Stopped, it is found by its unit alone.
        const found = (await plex.run("status")).result["servers"] as {
          settings: string;
          running: boolean;
        }[];
        expect(found).toMatchObject([{ settings: path, running: false }]);
      }
    });

    it("is healed although it takes 20 seconds to stop", async () => {
      const path = await plex.lockedOut({ behaviour: { stopMs: 20_000 } });
      const healed = await heal();
      expect(healed.result).toMatchObject({ code: "OK", exitCode: 0, criteria: MET });
      expect(healed.notes).not.toContain("KILLED_BY_MANAGER");
      expect(await plex.control("isTokenValid", { token: await plex.token(path) })).toBe(true);
    });

    it("is started again after a stop that its manager had to force, which is told", async () => {
      const path = await plex.lockedOut({
        unit: { lines: ["TimeoutStopSec=4"] },
        behaviour: { stopMs: 60_000 },
      });
      const token = await plex.token(path);
      const pid = await plex.mainPid();
      const failed = await plex.run("reset --yes");
      expect(failed.result).toMatchObject({
        code: "STOP_TIMEOUT",
        exitCode: 4,
        state: "put-back",
        problem: { killed: "yes" },
      });
      expect(failed.notes).toEqual(expect.arrayContaining(["STOP_STILL_QUEUED", "KILLED_BY_MANAGER"]));
      expect(await plex.token(path)).toBe(token);
      expect(await plex.isActive()).toBe(true);
      expect(await plex.mainPid()).not.toBe(pid);
      await plex.answering();
    });

    it("is put back when it does not start, even where systemd allows no further start", async () => {
      const unit = {
        unitLines: ["StartLimitIntervalSec=600", "StartLimitBurst=2"],
        lines: ["Restart=no"],
      };
      const path = await plex.lockedOut({ unit });
      const token = await plex.token(path);
      await plex.behave("/var/lib/plexmediaserver/Library/Application Support", { failStart: 1 });
      const failed = await plex.run("reset --yes");
      expect(failed.result).toMatchObject({ code: "START_FAILED", exitCode: 4, state: "put-back" });
      expect(failed.notes).toContain("START_LIMIT_RESET");
      expect(await plex.token(path)).toBe(token);
      expect(await plex.isActive()).toBe(true);
      await plex.answering();
    });

    it("keeps its new sign-in when it starts only at the second try", async () => {
      const path = await plex.lockedOut({ unit: { lines: ["Restart=no"] } });
      await plex.behave("/var/lib/plexmediaserver/Library/Application Support", { failStart: 1 });
      const failed = await heal();
      expect(failed.result).toMatchObject({
        code: "START_FAILED",
        exitCode: 4,
        state: "put-back",
        credentials: "written",
      });
      expect(await plex.control("isTokenValid", { token: await plex.token(path) })).toBe(true);
      expect((await plex.run("verify")).status).toBe(0);
    });

    it("says what to type when it does not start at all, and those lines work", async () => {
      const path = await plex.lockedOut({ unit: { lines: ["Restart=no"] } });
      const token = await plex.token(path);
      const parent = "/var/lib/plexmediaserver/Library/Application Support";
      await plex.behave(parent, { failStart: "always" });
      const failed = await plex.run("reset --yes");
      expect(failed.result).toMatchObject({ code: "START_FAILED", exitCode: 5, state: "not-put-back" });
      expect(await plex.token(path), "the settings are put back all the same").toBe(token);
      await plex.behave(parent, {});
      const byHand = failed.result["byHand"] as { do: string; line?: string }[];
      const start = byHand.find((each) => each.do === "start")?.line ?? "false";
      await host.succeed(start);
      await plex.answering();
      // The run is still open: the next changing command settles it and goes on.
      expect((await plex.run("status")).notes).toContain("UNSETTLED_RUN");
      const healed = await heal();
      expect(healed.notes).toContain("RUN_SETTLED");
      expect(healed.result).toMatchObject({ code: "OK", exitCode: 0, criteria: MET });
    });

    it("is healed inside a wrapper that restarts it, because the unit as a whole is stopped", async () => {
      const wrapper = `/bin/sh -c 'while true; do ${STANDIN_LINE}; sleep 0.2; done'`;
      const path = await plex.lockedOut({ unit: { execStart: wrapper, lines: ["KillMode=mixed"] } });
      const healed = await heal();
      expect(healed.result).toMatchObject({ code: "OK", exitCode: 0, criteria: MET });
      expect(await plex.control("isTokenValid", { token: await plex.token(path) })).toBe(true);
    });

    it("is left alone when something else starts it again after a person's own stop command", async () => {
      const path = await plex.lockedOut({ unit: { lines: ["Restart=always", "RestartSec=300ms"] } });
      const token = await plex.token(path);
      const commands = `--settings ${quoted(path)} --stop-command "pkill -f '^${SERVER_ON_HOST}'" --start-command 'systemctl start plexmediaserver'`;
      const failed = await plex.run(`reset --yes ${commands}`);
      expect(failed.result).toMatchObject({ code: "RESTARTED_BY_ITSELF", exitCode: 4, state: "put-back" });
      expect(await plex.token(path)).toBe(token);
      expect(await plex.isActive()).toBe(true);
    });

    it("is not mixed up with somebody who reads its log, or with a server in a container", async () => {
      const path = await plex.lockedOut();
      await host.succeed(`
      (tail -f '/var/lib/plexmediaserver/Library/Application Support/Plex Media Server/Logs/Plex Media Server.log' >/dev/null 2>&1 &)
      mkdir -p '/srv/other/Plex Media Server'
      (${SUPPORT_FOLDER}=/srv/other STANDIN_PORT=32500 setsid unshare --pid --fork --mount-proc ${STANDIN_LINE} >/dev/null 2>&1 &)
      for i in $(seq 200); do [ -e /srv/other/standin-running.json ] && exit 0; sleep 0.05; done; exit 1`);
      const healed = await heal();
      expect(healed.result).toMatchObject({ code: "OK", exitCode: 0, criteria: MET });
      expect(await plex.control("isTokenValid", { token: await plex.token(path) })).toBe(true);
    });

    it("tells an ordinary user the exact line, which works, with PLEX_CLAIM too", async () => {
      const path = await plex.lockedOut();
      const found = await plex.run("status", { user: "bob" });
      const [server] = found.result["servers"] as { state: string; reason: string; line: string }[];
      expect(server).toMatchObject({ state: "unknown", reason: "NEEDS_PRIVILEGE" });
      expect(server?.line).toMatch(/^sudo .*status/);

      await host.write("/etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL\n", { mode: "440" });
      const code = await plex.claimCode();
      const env = { ...plex.env, PLEX_CLAIM: code };
      const refused = await host.run(`${PROGRAM} reset --yes --json`, { user: "bob", env });
      expect(refused.status).toBe(3);
      const { problem } = JSON.parse(refused.stdout.trim().split("\n").at(-1) ?? "{}") as {
        problem: { code: string; line: string };
      };
      expect(problem.code).toBe("NEEDS_PRIVILEGE");
      expect(problem.line).not.toContain(code);
      const healed = await host.run(problem.line, { user: "bob", env });
      expect(healed.status, healed.stderr).toBe(0);
      expect(await plex.control("isTokenValid", { token: await plex.token(path) })).toBe(true);
    });

    it("speaks Russian in a Russian locale", async () => {
      await plex.lockedOut();
      const { stdout } = await host.run(`${PROGRAM} status`, { env: { ...plex.env, LANG: "ru_RU.UTF-8" } });
      expect(stdout).toContain("plexmediaserver.service");
      expect(stdout).toMatch(/[а-я]{5}/);
      expect(stdout).not.toMatch(/\b(locked|State|Settings|Running)\b/);
    });
  },
);

/** Every byte that must stay: all but the four values, and what the server itself counts or adds at its exit. */
function withoutCredentials(text: string): string {
  return text
    .replace(/ PlexOnline(Token|Username|Mail|Home)="[^"]*"/g, "")
    .replace(
      / (PubSubServerPing|OldestPreviousVersion|AnonymousMachineIdentifier|MetricsEpoch|GlobalMusicVideoPathMigrated)="[^"]*"/g,
      "",
    );
}
