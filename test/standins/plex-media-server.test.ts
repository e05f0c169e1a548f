import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  createLockedOutServer,
  type LockedOutServer,
  type LockedOutServerOptions,
} from "../../src/standins/locked-out-server.ts";
import { placeExecutable } from "../../src/standins/place.ts";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import { parsePreferences } from "../../src/standins/preferences.ts";

let folder: string;
let plexTv: PlexTv;
let server: LockedOutServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "plex-standin-"));
  plexTv = await startPlexTv();
});

afterEach(async () => {
  await server.remove();
  await plexTv.close();
  await rm(folder, { recursive: true, force: true });
});

async function create(options: Omit<LockedOutServerOptions, "plexTv"> = {}) {
  server = await createLockedOutServer(join(folder, "server"), { plexTv, ...options });
}

async function started(options: Omit<LockedOutServerOptions, "plexTv"> = {}) {
  await create(options);
  await server.start();
}

async function settings(): Promise<Map<string, string>> {
  const found = parsePreferences(await readFile(server.settingsPath));
  if (found === null) throw new Error("UNREADABLE");
  return found;
}

async function token(): Promise<string> {
  return (await settings()).get("PlexOnlineToken") ?? "";
}

function ask(method: string, path: string, headers: Record<string, string> = {}) {
  return fetch(`${server.url}${path}`, { method, headers, redirect: "manual" });
}

async function asOwner(method: string, path: string, headers: Record<string, string> = {}) {
  return ask(method, path, { "X-Plex-Token": await token(), ...headers });
}

const log = () => readFile(server.logPath, "utf8");

describe("the process", () => {
  test("has its executable placed once, as the Node that runs us", async () => {
    await create();
    const [node, placed] = [await stat(process.execPath), await stat(server.executable)];
    expect(placed.size).toBe(node.size);
    expect(await placeExecutable(dirname(server.executable))).toBe(server.executable);
    expect((await stat(server.executable)).ino).toBe(placed.ino);
  });

  test("looks like the real one: executable, short name, an all but empty environment", async () => {
    await started();
    const [pid] = server.processes();
    expect(basename(server.executable)).toBe("Plex Media Server");
    expect(await readFile(`/proc/${pid}/comm`, "utf8")).toBe("Plex Media Serv\n");
    expect(await readFile(`/proc/${pid}/environ`, "utf8")).toBe(
      `PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR=${server.supportFolder}\0`,
    );
    expect(await readFile(server.pidPath, "utf8")).toBe(String(pid));
  });

  test("keeps settings in memory and rewrites the file when it stops", async () => {
    await started({ decoy: true });
    const before = await settings();
    await writeFile(server.settingsPath, "edited while it ran");
    await server.stop();
    const after = await settings();
    expect([...after.keys()]).toEqual([...before.keys()]);
    expect(after.get("FriendlyName")).toBe(before.get("FriendlyName"));
    expect([...after].filter(([name, value]) => before.get(name) !== value)).toEqual([
      ["PubSubServerPing", "107"],
    ]);
  });

  test("rewrites in place: the inode, the mode and a link to the file stay", async () => {
    await started();
    await chmod(server.settingsPath, 0o640);
    const before = await stat(server.settingsPath);
    await server.stop();
    const after = await stat(server.settingsPath);
    expect([after.ino, after.mode]).toEqual([before.ino, before.mode]);
  });

  test("does not rewrite when it is killed", async () => {
    await started();
    await writeFile(server.settingsPath, "as it was");
    await server.kill();
    expect(await readFile(server.settingsPath, "utf8")).toBe("as it was");
  });

  test.each(["missing", "broken"])("makes a new identity when the settings are %s", async (how) => {
    await create();
    if (how === "missing") await rm(server.settingsPath);
    else await writeFile(server.settingsPath, "<Preferences MachineIdentifier=");
    await server.start();
    const found = await settings();
    expect(found.get("ProcessedMachineIdentifier")).toMatch(/^[0-9a-f]{40}$/);
    expect(found.get("ProcessedMachineIdentifier")).not.toBe(server.deviceId);
    expect((await stat(server.settingsPath)).mode & 0o777).toBe(0o600);
    expect(await (await ask("GET", "/identity")).text()).toContain(found.get("ProcessedMachineIdentifier"));
  });

  test("ignores polite signals when told to", async () => {
    await started({ behaviour: { ignoreTerm: true } });
    for (const pid of server.processes()) process.kill(pid, "SIGTERM");
    expect((await ask("GET", "/identity")).status).toBe(200);
    await server.kill();
    expect(server.running).toBe(false);
  });

  test("fails as many starts as told, then starts", async () => {
    await create({ behaviour: { failStart: 2 } });
    await expect(server.start()).rejects.toThrow("STANDIN_ENDED");
    await expect(server.start()).rejects.toThrow("STANDIN_ENDED");
    await server.start();
    expect(server.running).toBe(true);
    await server.stop();
    await server.configure({ failStart: "always" });
    await expect(server.start()).rejects.toThrow("STANDIN_ENDED");
  });

  test("answers on, and leaves the settings alone, while it takes its time to stop", async () => {
    await started({ behaviour: { stopMs: 600_000 } });
    const before = await readFile(server.settingsPath, "utf8");
    for (const pid of server.processes()) process.kill(pid, "SIGTERM");
    expect((await ask("GET", "/identity")).status).toBe(200);
    expect(await readFile(server.settingsPath, "utf8")).toBe(before);
  });

  test("is started and stopped by its command lines", async () => {
    await create();
    execFileSync("/bin/sh", ["-c", server.startLine]);
    await expect.poll(() => server.answers(), { timeout: 15_000 }).toBe(true);
    execFileSync("/bin/sh", ["-c", server.stopLine]);
    await expect.poll(() => server.running, { timeout: 15_000 }).toBe(false);
  });

  test("never asks the real plex.tv", async () => {
    await create({ behaviour: { plexTvUrl: "https://plex.tv" } });
    await expect(server.start()).rejects.toThrow("STANDIN_ENDED");
  });
});

describe("its addresses", () => {
  test("identity is for everybody, in XML and in JSON", async () => {
    await started();
    expect(await (await ask("GET", "/identity")).text()).toContain(
      `claimed="1" machineIdentifier="${server.deviceId}"`,
    );
    expect(await (await ask("GET", "/identity", { Accept: "application/json" })).json()).toMatchObject({
      MediaContainer: { size: 0, claimed: true, machineIdentifier: server.deviceId },
    });
  });

  test("while starting everything is 503 Maintenance", async () => {
    await create({ behaviour: { maintenanceMs: 600_000 } });
    await server.start("process");
    await expect
      .poll(
        () =>
          ask("GET", "/identity").then(
            (r) => r.status,
            () => 0,
          ),
        { timeout: 15_000 },
      )
      .toBe(503);
    const response = await ask("GET", "/identity");
    expect(response.statusText).toBe("Maintenance");
    expect(await response.text()).toContain("currently running startup maintenance tasks");
  });

  test("refuses with 91 bytes of HTML, and a variant on the root", async () => {
    await started({ state: "signed-in" });
    const response = await ask("GET", "/library/sections", { Accept: "application/json" });
    const body = await response.text();
    expect([response.status, body.length]).toEqual([401, 91]);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/html",
      "x-plex-protocol": "1.0",
      "cache-control": "no-cache",
    });
    const root = await ask("GET", "/");
    expect([root.status, (await root.text()).includes("<script>window.location")]).toEqual([401, true]);
  });

  test("the web page is for everybody", async () => {
    await started();
    const response = await fetch(`${server.url}/web`);
    expect([response.status, response.url]).toEqual([200, `${server.url}/web/index.html`]);
  });

  test("the owner sees the root, two libraries and the account without a token in it", async () => {
    await started({ state: "signed-in" });
    const root = await (await asOwner("GET", "/")).text();
    expect(root).toContain('claimed="1" friendlyName="Living room"');
    expect(root).toContain(
      'myPlex="1" myPlexMappingState="mapped" myPlexSigninState="ok" myPlexUsername="jane"',
    );
    expect((await (await asOwner("GET", "/library/sections")).text()).match(/<Directory /g)).toHaveLength(2);
    const json = await (await asOwner("GET", "/library/sections", { Accept: "application/json" })).json();
    expect(json).toMatchObject({ MediaContainer: { size: 2, Directory: [{ key: "1" }, { key: "2" }] } });
    const account = await (await asOwner("GET", "/myplex/account")).text();
    expect(account).toContain('<MyPlex username="jane"');
    expect(account).not.toMatch(/authToken/i);
    const byQuery = await ask("GET", `/?X-Plex-Token=${await token()}`);
    expect(byQuery.status).toBe(200);
  });

  test("the owner renames it; an unknown setting is 400", async () => {
    await started({ state: "signed-in" });
    const name = 'Jane & "Joe"';
    expect((await asOwner("PUT", `/:/prefs?FriendlyName=${encodeURIComponent(name)}`)).status).toBe(200);
    expect((await asOwner("PUT", "/:/prefs?Nonsense=1")).status).toBe(400);
    expect(await (await asOwner("GET", "/:/prefs")).text()).toContain('value="Jane &amp; &quot;Joe&quot;"');
    await server.stop();
    expect((await settings()).get("FriendlyName")).toBe(name);
  });

  test.each(["signed-out", "empty-token"] as const)(
    "%s: open to everybody near, account excepted",
    async (state) => {
      await started({ state });
      expect(await (await ask("GET", "/identity")).text()).toContain('claimed="0"');
      expect(await (await ask("GET", "/")).text()).toContain('myPlexSigninState="none"');
      expect((await ask("GET", "/library/sections")).status).toBe(200);
      expect((await ask("GET", "/myplex/account")).status).toBe(401);
    },
  );

  test("from another subnet a signed-out server refuses all, the claim too", async () => {
    await started({ state: "signed-out", behaviour: { foreign: true } });
    expect((await ask("GET", "/library/sections")).status).toBe(401);
    await expect(server.signIn()).rejects.toThrow("STANDIN_NOT_CLAIMED");
  });

  test("F-403: claimed, and everything is 403", async () => {
    await started({ state: "signed-in", behaviour: { forbidden: true } });
    expect(await (await ask("GET", "/identity")).text()).toContain('claimed="1"');
    expect((await asOwner("GET", "/")).status).toBe(403);
    expect((await asOwner("GET", "/myplex/account")).status).toBe(403);
  });
});

describe("its sign-in", () => {
  test("is claimed with its own device id, keeps that in memory and writes it when it stops", async () => {
    await started({ state: "signed-out" });
    await plexTv.forgetRequests();
    await server.signIn();
    const exchanges = (await plexTv.requests()).filter(({ method }) => method === "POST");
    expect(exchanges).toMatchObject([{ path: "/api/claim/exchange", device: server.deviceId, status: 200 }]);
    expect((await settings()).has("PlexOnlineToken")).toBe(false);
    await server.stop();
    const found = await settings();
    expect(found.get("PlexOnlineUsername")).toBe("jane");
    expect(found.get("PlexOnlineMail")).toBe("jane@example.com");
    expect(await plexTv.isTokenValid(found.get("PlexOnlineToken") ?? "")).toBe(true);
    await server.start();
    expect((await asOwner("GET", "/library/sections")).status).toBe(200);
  });

  test("cannot be claimed when it is claimed, nor with a bad code", async () => {
    await started({ state: "signed-in" });
    await expect(server.signIn()).rejects.toThrow("STANDIN_NOT_CLAIMED");
    expect((await asOwner("DELETE", "/myplex/account")).status).toBe(200);
    const refused = await ask("POST", "/myplex/claim?token=claim-00000000000000000000");
    expect([refused.status, refused.headers.get("content-type")]).toEqual([401, "text/html"]);
    await server.signIn();
    expect(await (await ask("GET", "/identity")).text()).toContain('claimed="1"');
  });

  test("locked out, it refuses its own owner although it is claimed", async () => {
    await started();
    expect(await (await ask("GET", "/identity")).text()).toContain('claimed="1"');
    expect((await asOwner("GET", "/")).status).toBe(401);
    expect((await asOwner("GET", "/myplex/account")).status).toBe(401);
  });

  test("a running server that is locked out notices", async () => {
    await started({ state: "signed-in" });
    expect((await asOwner("GET", "/")).status).toBe(200);
    await server.lockOut();
    await expect.poll(async () => (await asOwner("GET", "/")).status, { timeout: 15_000 }).toBe(401);
  });

  test("without plex.tv the last answer holds", async () => {
    await started({ state: "signed-in", behaviour: { askEveryMs: 20 } });
    expect((await asOwner("GET", "/")).status).toBe(200);
    await plexTv.down();
    await server.lockOut();
    await expect.poll(log, { timeout: 15_000 }).toContain("(7, Couldn't connect to server)");
    expect((await asOwner("GET", "/")).status).toBe(200);
    await plexTv.up();
    await expect.poll(async () => (await asOwner("GET", "/")).status, { timeout: 15_000 }).toBe(401);
  });

  test("a token of another device is refused with 403", async () => {
    await create({ state: "signed-in" });
    const found = await readFile(server.settingsPath, "utf8");
    const other = await plexTv.issueServerToken("jane", "other-device");
    await writeFile(server.settingsPath, found.replace(await token(), other));
    await server.start();
    expect((await asOwner("GET", "/")).status).toBe(403);
  });

  test("forgets its sign-in at the start when told to", async () => {
    await started({ state: "signed-in", behaviour: { forgetSignIn: true } });
    expect(await (await ask("GET", "/identity")).text()).toContain('claimed="0"');
  });

  test("comes up with another identity when told to", async () => {
    await started({ state: "signed-in", behaviour: { newIdentity: true } });
    expect(await (await ask("GET", "/identity")).text()).not.toContain(server.deviceId);
  });
});

describe("its log", () => {
  const line = /^[A-Z][a-z]{2} \d\d, \d{4} \d\d:\d\d:\d\d\.\d{3} \[\d+\] (DEBUG|INFO|WARN|ERROR) - ./;

  test("starts anew with version and build, and the one before is kept", async () => {
    await started({ state: "signed-in" });
    await server.stop();
    const first = await log();
    await server.start();
    const lines = (await log()).trimEnd().split("\n");
    expect(lines[0]).toMatch(
      /INFO - Plex Media Server v1\.43\.4\.10903-e5521bd8c - .* - build: .* - GMT -?\d\d:\d\d$/,
    );
    expect(lines.filter((each) => !line.test(each))).toEqual([]);
    expect(await readFile(server.logPath.replace(/\.log$/, ".1.log"), "utf8")).toBe(first);
  });

  test("of a healthy server has its mapping and no error", async () => {
    await started({ state: "signed-in" });
    await expect.poll(log, { timeout: 15_000 }).toContain("mapping state set to 'Mapped - Publishing'.");
    expect(await log()).not.toMatch(/ERROR|WARN/);
  });

  test("of a revoked one has the 401 with the token masked", async () => {
    await started();
    await expect.poll(log, { timeout: 15_000 }).toContain("FeatureManager: Couldn't get features.");
    const text = await log();
    expect(text).toContain(`GET https://plex.tv/api/v2/features?X-Plex-Token=${"x".repeat(20)} `);
    expect(text).toContain("401 response from GET https://plex.tv/api/v2/server/users/features (reused)");
    expect(text).toContain(
      "ERROR - MyPlex: Error 401 requesting JSON from: https://plex.tv/api/v2/server/users/features",
    );
    expect(text).not.toContain(await token());
  });

  test("of an unclaimed one has the same with an empty token", async () => {
    await started({ state: "signed-out" });
    await expect.poll(log, { timeout: 15_000 }).toContain("FeatureManager: Couldn't get features.");
    expect(await log()).toContain("GET https://plex.tv/api/v2/features?X-Plex-Token= (reused)");
    expect(await log()).toContain("MyPlex: Error 401 requesting JSON");
  });
});
