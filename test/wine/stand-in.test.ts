import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import { until } from "../../src/standins/server-process.ts";
import { dword, type RegValues, sz } from "../support/reg-text.ts";
import { whyNoWindowsStandIns } from "../support/windows-stand-ins.ts";
import { openWine, type WineMachine } from "../support/wine.ts";
import { whyNoWine } from "../support/wine-launch.ts";
import { installServer, type ServerInMachine, type WineServer } from "../support/wine-server.ts";

const missing = whyNoWine() ?? whyNoWindowsStandIns();

describe.skipIf(missing !== null)(`the stand-in server of Windows ${missing ?? ""}`, () => {
  let machine: WineMachine;
  let plexTv: PlexTv;
  let server: WineServer | undefined;

  beforeAll(async () => {
    [machine, plexTv] = await Promise.all([openWine(), startPlexTv()]);
  });

  afterEach(async () => {
    await server?.remove();
    server = undefined;
  });

  afterAll(async () => {
    await machine?.close();
    await plexTv?.close();
  });

  async function installed(options: Partial<ServerInMachine> = {}): Promise<WineServer> {
    server = await installServer(machine, { plexTv, ...options });
    return server;
  }

  async function started(options: Partial<ServerInMachine> = {}): Promise<WineServer> {
    const made = await installed(options);
    await made.start();
    return made;
  }

  const files = (folder: string) => readdirSync(machine.hostPath(folder)).sort();

  describe("as a program of a person", () => {
    it("answers with the identity of its registry, from this side too", async () => {
      const plex = await started({ state: "signed-in" });
      const body = await (await fetch(`${plex.url}/identity`)).text();
      expect(body).toContain(`machineIdentifier="${plex.deviceId}"`);
      expect(body).toContain('claimed="1"');
      const headers = { "X-Plex-Token": (await plex.token()) ?? "" };
      expect((await fetch(`${plex.url}/`, { headers })).status).toBe(200);
      await plex.lockOut();
      const refused = async () => (await fetch(`${plex.url}/`, { headers })).status === 401;
      await until(refused, 60_000, "STILL_ACCEPTED");
      expect(await plex.runEntry()).toBe(`"${plex.executable}"`);
    });

    it("keeps its settings in the registry alone, and the rest in its data folder", async () => {
      const plex = await started({ state: "signed-in" });
      const found = files(plex.dataFolder);
      expect(found).toEqual(
        expect.arrayContaining([".LocalAdminToken", "Cache", "Logs", "Plug-in Support", "Setup Plex.html"]),
      );
      expect(found).not.toContain("Preferences.xml");
      expect(found).not.toContain(".claimURL");
      expect(files(`${plex.dataFolder}\\Logs`)).toEqual(["Plex Media Server.log"]);
    });

    it("ends by WM_CLOSE and rewrites its settings, with every value and type it does not know untouched", async () => {
      const values = {
        "a name with blanks": sz("kept"),
        FriendlyName: sz('Жанна & "Ко" <b>\\ 🎬'),
        Binary: "hex:00,ff,10",
        Expanded: "hex(2):25,00,41,00,25,00,00,00",
        Lines: "hex(1):61,00,0d,00,0a,00,62,00,00,00",
        Quad: "hex(b):01,02,03,04,05,06,07,08",
        Number: dword(0xffff_fffe),
        "": sz("default"),
      };
      const plex = await started({ state: "signed-in", home: true, values });
      const before = await plex.values();
      await plex.close();
      const after = new Map(await plex.values());
      expect(after.get("PubSubServerPing"), "it counts its exits").toBe(dword(107));
      after.set("PubSubServerPing", dword(106));
      expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
      for (const [name, value] of before) expect(after.get(name), name).toBe(value);
      expect(before.get("PlexOnlineHome")).toBe(dword(1));
    });

    it("writes a sign-in that it was given while it ran, over what anybody else wrote meanwhile", async () => {
      const plex = await started({ state: "signed-out" });
      expect(files(plex.dataFolder)).toContain(".claimURL");
      await plex.signIn();
      expect(signIn(await plex.values()), "in memory alone").toEqual({});
      await plex.setValues({ PlexOnlineToken: sz("somebody's"), PlexOnlineHome: dword(1) });
      await plex.close();
      const { PlexOnlineToken, ...others } = signIn(await plex.values());
      expect(others).toEqual({ PlexOnlineMail: sz("jane@example.com"), PlexOnlineUsername: sz("jane") });
      expect(await plexTv.isTokenValid((await plex.token()) ?? "")).toBe(true);
      expect(PlexOnlineToken).toBe(sz((await plex.token()) ?? ""));
      await plex.start();
      expect(files(plex.dataFolder)).not.toContain(".claimURL");
      const headers = { "X-Plex-Token": (await plex.token()) ?? "" };
      await fetch(`${plex.url}/myplex/account`, { method: "DELETE", headers });
      await plex.close();
      expect(signIn(await plex.values()), "and a sign-out").toEqual({});
    });

    it("does not start twice", async () => {
      const plex = await started();
      const pids = await plex.processes();
      expect((await machine.run(plex.executable)).status).toBe(1);
      expect(await plex.processes()).toEqual(pids);
      expect(await plex.answers()).toBe(true);
    });

    it("can refuse to close, and takes its time when it is told to", async () => {
      const plex = await started({ host: { closes: false }, behaviour: { stopMs: 600_000 } });
      await plex.askToClose();
      expect(await plex.answers()).toBe(true);
      await plex.setHost({ closes: true });
      await plex.askToClose();
      expect(await plex.isRunning()).toBe(true);
      expect(await plex.answers(), "it answers until its time has come").toBe(true);
      const before = await plex.values();
      await plex.kill();
      await until(async () => !(await plex.answers()), 60_000, "OUTLIVED");
      expect(await plex.values(), "a killed one writes nothing").toEqual(before);
    });

    it("can be held at its start, without a window, until it is let go", async () => {
      const plex = await installed({ host: { starts: false } });
      await plex.start("process");
      await plex.askToClose();
      expect(await plex.isRunning(), "it has no window").toBe(true);
      expect(await plex.answers()).toBe(false);
      await plex.setHost({ starts: true });
      await until(() => plex.answers(), 60_000, "NO_ANSWER");
      await plex.close();
    });

    it("can end at its start, never answer, and live elsewhere", async () => {
      const movedTo = "C:\\Elsewhere\\Фото";
      const plex = await installed({ movedTo, host: { diesAtStart: 7 } });
      await expect(plex.start()).rejects.toThrow("STANDIN_ENDED");
      await plex.setHost({ diesAtStart: 0 });
      await plex.configure({ failStart: 1 });
      await expect(plex.start()).rejects.toThrow("STANDIN_ENDED");
      await plex.configure({ failStart: 0, startMs: 1_000_000_000 });
      await plex.start("process");
      const log = join(machine.hostPath(movedTo), "Plex Media Server", "Logs", "Plex Media Server.log");
      await until(() => existsSync(log), 60_000, "NO_LOG");
      expect(readFileSync(log, "utf8")).toContain("mapping state set to 'Unknown'");
      expect(await plex.answers()).toBe(false);
      expect(existsSync(machine.hostPath("C:\\users\\root\\AppData\\Local\\Plex Media Server"))).toBe(false);
    });
  });

  describe("under a service", () => {
    const service = "PlexService";

    it("runs when the service does, again when it has died, and closes with it", async () => {
      const plex = await started({ service, state: "signed-in" });
      expect(await plex.serviceState()).toBe("RUNNING");
      expect(await plex.runEntry()).toBeNull();
      const [first] = await plex.processes();
      await plex.askToClose();
      expect(await plex.processes(), "its windows are on no desktop of ours").toEqual([first]);
      await plex.kill();
      const another = async () => ![undefined, first].includes((await plex.processes())[0]);
      await until(another, 60_000, "NOT_STARTED_AGAIN");
      await until(() => plex.answers(), 60_000, "NO_ANSWER");
      await plex.close();
      expect(await plex.serviceState()).toBe("STOPPED");
      expect((await plex.values()).get("PubSubServerPing")).toBe(dword(107));
    });

    it("has the settings of another account, and a service that ends what does not close", async () => {
      const hive = {
        sid: "S-1-5-18",
        localAppData: "C:\\windows\\system32\\config\\systemprofile\\AppData\\Local",
      };
      const host = { closes: false, serviceStopMs: 100 };
      const plex = await started({ service, serviceAccount: "LocalSystem", hive, host, state: "signed-in" });
      expect(await (await fetch(`${plex.url}/identity`)).text()).toContain(plex.deviceId);
      expect(files(`${plex.dataFolder}\\Logs`)).toEqual(["Plex Media Server.log"]);
      const before = await plex.values();
      expect(plex.key).toBe("HKEY_USERS\\S-1-5-18\\Software\\Plex, Inc.\\Plex Media Server");
      await plex.close();
      expect(await plex.values()).toEqual(before);
      await plex.setHost({ closes: true, serviceStopMs: 60_000 });
      await plex.start();
      await plex.close();
      expect((await plex.values()).get("PubSubServerPing")).toBe(dword(107));
    });

    it.each([
      { serviceStops: "never", state: "RUNNING" },
      { serviceStops: "for-ever", state: "STOP_PENDING" },
    ] as const)("can have one that stops $serviceStops", async ({ serviceStops, state }) => {
      const plex = await started({ service, host: { serviceStops } });
      expect((await machine.run("sc.exe", ["stop", service])).status).toBe(0);
      expect(await plex.serviceState()).toBe(state);
      expect(await plex.answers()).toBe(true);
    });
  });

  it("is one of two accounts that do not mix", async () => {
    const plex = await started({ state: "signed-in" });
    const hive = { sid: "S-1-5-21-7-7-7-1001", localAppData: "C:\\users\\other\\AppData\\Local" };
    const other = await installServer(machine, { plexTv, hive, installFolder: "C:\\Plex" });
    await other.start();
    const identity = async ({ url }: WineServer) => await (await fetch(`${url}/identity`)).text();
    expect(await identity(other)).toContain(other.deviceId);
    await other.close();
    await other.remove();
    expect(await identity(plex)).toContain(plex.deviceId);
    expect((await plex.values()).get("PubSubServerPing")).toBe(dword(106));
  });

  it("leaves nothing behind when it is removed", async () => {
    const plex = await installed({ service: "PlexService", strayPreferences: true });
    expect(files(plex.dataFolder)).toContain("Preferences.xml");
    await plex.start();
    await machine.run("taskkill.exe", ["/f", "/im", "plex-service.exe"]);
    expect(await plex.answers(), "who started it is gone").toBe(true);
    await plex.remove();
    server = undefined;
    expect((await plex.values()).size).toBe(0);
    expect(await plex.serviceState()).toBeNull();
    expect(existsSync(machine.hostPath(plex.installFolder))).toBe(false);
    expect(existsSync(machine.hostPath(plex.dataFolder))).toBe(false);
  });
});

function signIn(values: RegValues): Record<string, string> {
  return Object.fromEntries([...values].filter(([name]) => name.startsWith("PlexOnline")));
}
