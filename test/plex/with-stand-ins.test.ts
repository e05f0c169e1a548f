import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { plexTv } from "../../src/plex/account.ts";
import { verify } from "../../src/stages/10-verify.ts";
import { judgeState } from "../../src/stages/judge-state.ts";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import { realWorld } from "../../src/world/real.ts";
import { DEVICE, settingsOf } from "./play.ts";

const PROGRAM = fileURLToPath(new URL("../../src/standins/plex-media-server.ts", import.meta.url));

const endings: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function startTv(): Promise<PlexTv> {
  const tv = await startPlexTv();
  endings.push(() => tv.close());
  await tv.addAccount("jane", "jane@example.com");
  return tv;
}

/** A stand-in Plex Media Server with a token of its own; answers once it listens. */
async function startPms(tv: PlexTv, behaviour: Record<string, string> = {}) {
  const support = realpathSync(mkdtempSync(join(tmpdir(), "plex-reclaim-pms-")));
  endings.push(() => rmSync(support, { recursive: true, force: true }));
  const data = join(support, "Plex Media Server");
  const token = await tv.issueServerToken("jane", DEVICE);
  mkdirSync(data);
  writeFileSync(
    join(data, "Preferences.xml"),
    `<?xml version="1.0" encoding="utf-8"?>\n<Preferences MachineIdentifier="00000000-0000-4000-8000-000000000000" ProcessedMachineIdentifier="${DEVICE}" PlexOnlineToken="${token}" PlexOnlineUsername="jane" PlexOnlineMail="jane@example.com"/>\n`,
  );
  const startedAt = Date.now();
  const child = spawn(process.execPath, [PROGRAM], {
    env: {
      PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR: support,
      STANDIN_PORT: "0",
      STANDIN_PLEXTV_URL: tv.url,
      ...behaviour,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  endings.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const { port } = JSON.parse(line.toString()) as { port: number };
  const server = { url: `http://127.0.0.1:${port}`, dataFolder: data };
  const settings = settingsOf({ token, username: "jane", mail: "jane@example.com" });
  return { server, settings, startedAt };
}

describe("against the stand-ins, over the real world", () => {
  it("a server that was just started comes to meet all three, with plex.tv and offline", async () => {
    const tv = await startTv();
    const { server, settings, startedAt } = await startPms(tv, { STANDIN_MAINTENANCE_MS: "300" });
    const world = realWorld();
    for (const offline of [false, true]) {
      const context = { world, plexTv: plexTv(world, { baseUrl: tv.url, offline }) };
      const subject = { server, settings, running: true, startedAt, patienceMs: 60_000 };
      const criteria = await verify(context, subject);
      expect(criteria.map(({ result }) => result)).toEqual(["met", "met", "met"]);
      const state = await judgeState(context, server, settings, true);
      expect(state).toEqual(
        offline
          ? { state: "unknown", reason: "PLEXTV_NOT_ASKED" }
          : { state: "signed-in", reason: "TOKEN_ACCEPTED" },
      );
    }
  });

  it("a server whose sign-in was revoked is locked out, by plex.tv, by itself, and by its log", async () => {
    const tv = await startTv();
    const { server, settings } = await startPms(tv, { STANDIN_ASK_EVERY_MS: "50" });
    await tv.revokeAll("jane");
    const world = realWorld();
    const online = { world, plexTv: plexTv(world, { baseUrl: tv.url, offline: false }) };
    const offline = { world, plexTv: plexTv(world, { baseUrl: tv.url, offline: true }) };
    expect(await judgeState(online, server, settings, true)).toEqual({
      state: "locked-out",
      reason: "TOKEN_REVOKED",
    });
    // The server asks plex.tv once a second at most: until then it believes in its token.
    await expect
      .poll(() => judgeState(offline, server, settings, true), { timeout: 30_000 })
      .toEqual({ state: "locked-out", reason: "TOKEN_REFUSED_BY_SERVER" });
    await expect
      .poll(() => judgeState(offline, server, settings, false), { timeout: 30_000 })
      .toEqual({ state: "locked-out", reason: "LOG_SAYS_REVOKED" });
    const criteria = await verify(online, { server, settings, running: true, patienceMs: 0 });
    expect(criteria.map(({ result, evidence }) => `${result} ${evidence.code}`)).toEqual([
      "not-met AUTHORISED_REQUEST_REFUSED",
      "not-met TOKEN_REVOKED",
      "not-met LOG_SIGN_IN_ERROR",
    ]);
  });

  it("a server that forbids everything though its token is good is locked out", async () => {
    const tv = await startTv();
    const { server, settings } = await startPms(tv, { STANDIN_FORBIDDEN: "1" });
    const world = realWorld();
    const context = { world, plexTv: plexTv(world, { baseUrl: tv.url, offline: false }) };
    expect(await judgeState(context, server, settings, true)).toEqual({
      state: "locked-out",
      reason: "TOKEN_REFUSED_BY_SERVER",
    });
    const [reachable, account] = await verify(context, { server, settings, running: true, patienceMs: 0 });
    const refused = { code: "AUTHORISED_REQUEST_REFUSED", status: 403 };
    expect([reachable?.evidence, account?.evidence]).toEqual([refused, refused]);
  });
});
