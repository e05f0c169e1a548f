import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import { until } from "../../src/standins/server-process.ts";
import { type Mac, type MacOptions, openMac } from "../support/mac.ts";
import { APPLICATION } from "../support/mac-application.ts";
import type { MacServer, ServerOnMac } from "../support/mac-server.ts";
import { integer, type MacValue, type MacValues, string } from "../support/mac-values.ts";

const DOMAIN = APPLICATION.bundleId;
const QUIT = ["-e", `tell application "${APPLICATION.name}" to quit`];
let plexTv: PlexTv;
const macs: Mac[] = [];

beforeEach(async () => {
  plexTv = await startPlexTv();
});

afterEach(async () => {
  for (const mac of macs.splice(0)) await mac.close();
  await plexTv.close();
});

async function aMac(options: MacOptions = {}): Promise<Mac> {
  const mac = await openMac(options);
  macs.push(mac);
  return mac;
}

async function withServer(
  options: MacOptions = {},
  server: Partial<ServerOnMac> = {},
): Promise<{ mac: Mac; server: MacServer }> {
  const mac = await aMac(options);
  return { mac, server: await mac.installServer({ plexTv, ...server }) };
}

async function read(mac: Mac, key: string, user = "jane"): Promise<string> {
  const result = await mac.run(user, "defaults", ["read", DOMAIN, key]);
  return result.status === 0 ? result.stdout.trimEnd() : `exit ${result.status}`;
}

/** By their names: a Mac keeps no order. */
function sorted(values: MacValues): [string, MacValue][] {
  return [...values].sort(([one], [other]) => (one < other ? -1 : 1));
}

describe("the preference daemon", () => {
  test("writes the file later, and over an edit of it", async () => {
    const { mac, server } = await withServer();
    await mac.run("jane", "defaults", ["write", DOMAIN, "FriendlyName", "-string", "Kitchen"]);
    expect((await server.fileValues()).get("FriendlyName")).toEqual(string("Living room"));
    await mac.editFileBehindItsBack(server.plist, { PlexOnlineToken: null });
    await mac.flush();
    expect((await server.fileValues()).get("FriendlyName")).toEqual(string("Kitchen"));
    expect((await server.fileValues()).has("PlexOnlineToken")).toBe(true);
  });

  test("does not notice an edit of a file that it has in memory", async () => {
    const { mac, server } = await withServer();
    await mac.editFileBehindItsBack(server.plist, { FriendlyName: string("Edited") });
    expect(await read(mac, "FriendlyName")).toBe("Living room");
    await mac.run("jane", "killall", ["cfprefsd"]);
    expect(await read(mac, "FriendlyName")).toBe("Edited");
  });

  test("may notice it, as long as nothing is unwritten", async () => {
    const { mac, server } = await withServer({ switches: { cleanEdit: "noticed" } });
    await mac.editFileBehindItsBack(server.plist, { FriendlyName: string("Edited") });
    expect(await read(mac, "FriendlyName")).toBe("Edited");
    await mac.setValues("jane", DOMAIN, { FriendlyName: string("Set") });
    await mac.editFileBehindItsBack(server.plist, { FriendlyName: string("Again") });
    expect(await read(mac, "FriendlyName")).toBe("Set");
  });

  test("loses at a power cut what it had not written", async () => {
    const { mac, server } = await withServer();
    await mac.setValues("jane", DOMAIN, { PlexOnlineToken: null });
    await mac.forget();
    expect((await server.values()).has("PlexOnlineToken")).toBe(true);
    await mac.setSwitches({ writesFile: "at-once" });
    await mac.setValues("jane", DOMAIN, { PlexOnlineToken: null });
    await mac.forget();
    expect((await server.values()).has("PlexOnlineToken")).toBe(false);
  });

  test("keeps every type and value, and no order of keys", async () => {
    const { mac, server } = await withServer({ switches: { keyOrder: "kept" } });
    const before = await server.values();
    await mac.setValues("jane", DOMAIN, { Added: integer(2n ** 64n - 1n) });
    await mac.setSwitches({ keyOrder: "scrambled" });
    await mac.flush();
    const after = await server.fileValues();
    expect([...after.keys()]).not.toEqual([...before.keys(), "Added"]);
    expect(sorted(after)).toEqual(sorted(new Map([...before, ["Added", integer(2n ** 64n - 1n)]])));
  });

  test.each([
    ["file-kept", true],
    ["file-removed", false],
  ] as const)("reads nothing from a file that is none, with %s", async (invalidPlist, kept) => {
    const { mac, server } = await withServer({ switches: { invalidPlist } });
    await mac.forget();
    await writeFile(mac.real(server.plist), "<plist><dict><key>a");
    expect((await mac.run("jane", "defaults", ["read", DOMAIN])).status).toBe(1);
    await expect(
      readFile(mac.real(server.plist)).then(
        () => true,
        () => false,
      ),
    ).resolves.toBe(kept);
  });
});

describe("defaults", () => {
  test("deletes a key once; the second time is exit 1, whatever it says", async () => {
    const { mac } = await withServer();
    const remove = () => mac.run("jane", "/usr/bin/defaults", ["delete", DOMAIN, "PlexOnlineToken"]);
    expect(await remove()).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(await remove()).toMatchObject({ status: 1, stderr: expect.stringContaining("not found") });
    await mac.setSwitches({ messages: "macos-27" });
    expect(await remove()).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("Could not find key"),
    });
  });

  test("of root reads and writes root's domain", async () => {
    const { mac, server } = await withServer();
    expect(await read(mac, "FriendlyName", "root")).toBe("exit 1");
    await mac.run("root", "defaults", ["write", DOMAIN, "PlexOnlineToken", "-string", "x"]);
    await mac.flush();
    expect(await mac.fileValues("/var/root/Library/Preferences/com.plexapp.plexmediaserver.plist")).toEqual(
      new Map([["PlexOnlineToken", string("x")]]),
    );
    expect(await server.token()).not.toBe("x");
  });

  test("takes a domain by its path from the file, past what its owner's daemon knows", async () => {
    const { mac, server } = await withServer();
    await mac.setValues("jane", DOMAIN, { FriendlyName: string("Newer") });
    const byPath = ["read", server.plist.replace(".plist", ""), "FriendlyName"];
    expect((await mac.run("root", "defaults", byPath)).stdout).toBe("Living room\n");
    await mac.setSwitches({ pathDomain: "shared" });
    expect((await mac.run("root", "defaults", byPath)).stdout).toBe("Newer\n");
  });

  test("of another user, from outside of that user's session, cannot write", async () => {
    const { mac, server } = await withServer({ users: [{ name: "jane" }, { name: "bob" }] });
    const words = ["-u", "jane", "/usr/bin/defaults", "delete", DOMAIN, "PlexOnlineToken"];
    const alone = await mac.run("root", "sudo", words, { from: "ssh" });
    expect(alone).toMatchObject({ status: 1, stderr: expect.stringContaining("Could not write domain") });
    expect(await server.token()).not.toBeNull();
    const both = await mac.run("root", "launchctl", ["asuser", "501", "sudo", ...words], { from: "ssh" });
    expect(both.status).toBe(0);
    expect(await server.token()).toBeNull();
  });

  test("asuser alone stays root, with root's domain", async () => {
    const { mac } = await withServer();
    const words = ["asuser", "501", "/usr/bin/defaults", "read", DOMAIN];
    expect((await mac.run("root", "launchctl", words)).status).toBe(1);
  });

  test("exports XML to standard output and a binary file to a path, and imports both", async () => {
    const { mac, server } = await withServer();
    const toOutput = await mac.run("jane", "defaults", ["export", DOMAIN, "-"]);
    expect(toOutput.stdout).toMatch(/^<\?xml/);
    await mac.run("jane", "defaults", ["export", DOMAIN, "/Users/jane/out.plist"]);
    expect(await readFile(mac.real("/Users/jane/out.plist"), "latin1")).toMatch(/^bplist00/);
    const before = await server.values();
    await mac.run("jane", "defaults", ["delete", DOMAIN]);
    expect((await server.values()).size).toBe(0);
    await mac.run("jane", "defaults", ["import", DOMAIN, "/Users/jane/out.plist"]);
    expect(sorted(await server.values())).toEqual(sorted(before));
    await mac.run("jane", "defaults", ["import", DOMAIN, "-"], { stdin: toOutput.stdout });
    expect((await server.values()).get("SULastCheckTime")).toEqual({ type: "date", value: "801234567.0" });
  });

  test.each([
    ["merges", true],
    ["replaces", false],
  ] as const)("imports so that it %s", async (way, kept) => {
    const { mac, server } = await withServer({ switches: { import: way } });
    const stdin = '<plist version="1.0"><dict><key>Only</key><integer>1</integer></dict></plist>';
    await mac.run("jane", "defaults", ["import", DOMAIN, "-"], { stdin });
    expect((await server.values()).get("Only")).toEqual(integer(1));
    expect((await server.values()).has("FriendlyName")).toBe(kept);
  });

  test.each([
    ["empty", 0],
    ["fails", 1],
  ] as const)("exports a domain that is not there: %s", async (exportOfAbsent, status) => {
    const mac = await aMac({ switches: { exportOfAbsent } });
    expect((await mac.run("jane", "defaults", ["export", DOMAIN, "-"])).status).toBe(status);
  });

  test("makes a string of a bare number, and refuses a bare word with a hyphen in front", async () => {
    const { mac, server } = await withServer();
    await mac.run("jane", "defaults", ["write", DOMAIN, "A", "1"]);
    await mac.run("jane", "defaults", ["write", DOMAIN, "B", "-int", "1"]);
    expect((await server.values()).get("A")).toEqual(string("1"));
    expect((await server.values()).get("B")).toEqual(integer(1));
    expect((await mac.run("jane", "defaults", ["write", DOMAIN, "C", "-abc_DEF"])).status).toBe(255);
  });

  test("may not change what privacy protection closes", async () => {
    const { mac, server } = await withServer();
    await mac.setSwitches({ closed: [server.plist] });
    const result = await mac.run("jane", "defaults", ["delete", DOMAIN, "PlexOnlineToken"]);
    expect(result).toMatchObject({ status: 1, stderr: expect.stringContaining("Could not write domain") });
  });

  test("says the type of a value, and lists domains", async () => {
    const { mac } = await withServer();
    const type = async (key: string) =>
      (await mac.run("jane", "defaults", ["read-type", DOMAIN, key])).stdout.trim();
    expect([await type("FriendlyName"), await type("AcceptedEULA"), await type("PubSubServerPing")]).toEqual([
      "Type is string",
      "Type is boolean",
      "Type is integer",
    ]);
    expect((await mac.run("jane", "defaults", ["domains"])).stdout).toBe(`${DOMAIN}\n`);
  });
});

describe("plutil", () => {
  test("converts standard input to standard output, and knows nothing of the daemon", async () => {
    const { mac, server } = await withServer();
    await mac.setValues("jane", DOMAIN, { FriendlyName: string("Newer") });
    const result = await mac.run("jane", "plutil", ["-convert", "xml1", "-o", "-", server.plist]);
    expect(result.stdout).toContain("<string>Living room</string>");
    const again = await mac.run("jane", "plutil", ["-convert", "xml1", "-o", "-", "-"], {
      stdin: result.stdout,
    });
    expect(again).toMatchObject({ status: 0, stdout: result.stdout });
    expect(await mac.run("jane", "plutil", ["-lint", server.plist])).toMatchObject({
      status: 0,
      stdout: `${server.plist}: OK\n`,
    });
  });

  test("refuses what is no property list, and somebody else's file", async () => {
    const mac = await aMac({ users: [{ name: "jane" }, { name: "bob" }] });
    const words = ["-convert", "xml1", "-o", "-"];
    expect((await mac.run("jane", "plutil", [...words, "-"], { stdin: "no" })).status).toBe(1);
    await writeFile(mac.real("/Users/bob/Library/a.plist"), "<plist><dict/></plist>");
    expect((await mac.run("jane", "plutil", [...words, "/Users/bob/Library/a.plist"])).status).toBe(1);
    expect((await mac.run("bob", "plutil", [...words, "/Users/bob/Library/a.plist"])).status).toBe(0);
  });
});

describe("the application", () => {
  test("takes its settings from its domain, not from the file, and puts them back when it quits", async () => {
    const { mac, server } = await withServer({}, { state: "signed-in" });
    await mac.editFileBehindItsBack(server.plist, { PlexOnlineToken: string("edited-behind-its-back") });
    const before = await server.values();
    await server.start();
    await mac.setValues("jane", DOMAIN, { PlexOnlineToken: string("while-it-runs") });
    expect(await mac.run("jane", "osascript", QUIT)).toMatchObject({ status: 0, stderr: "" });
    expect(await server.isRunning()).toBe(false);
    const after = await server.values();
    expect(sorted(after)).toEqual(sorted(new Map([...before, ["PubSubServerPing", integer(107)]])));
  });

  test("may put back only what it changed", async () => {
    const { mac, server } = await withServer(
      { switches: { serverWrites: "changes" } },
      { state: "signed-in" },
    );
    await server.start();
    await mac.setValues("jane", DOMAIN, { PlexOnlineToken: string("while-it-runs") });
    await server.close();
    expect(await server.token()).toBe("while-it-runs");
    expect((await server.values()).get("PubSubServerPing")).toEqual(integer(107));
  });

  test("puts nothing back when it is killed", async () => {
    const { server } = await withServer();
    await server.start();
    await server.kill();
    expect(await server.answers()).toBe(false);
    expect((await server.values()).get("PubSubServerPing")).toEqual(integer(106));
  });

  test("keeps a sign-in that it was given while it ran", async () => {
    const { server } = await withServer({}, { state: "signed-out" });
    await server.start();
    await server.signIn();
    await server.close();
    expect(await server.token()).toMatch(/^[\w-]{20}$/);
  });

  test("writes its log where a Mac has it, and keeps its data folder free of settings", async () => {
    const { mac, server } = await withServer();
    await server.start();
    expect(await readFile(mac.real(`${server.logFolder}/Plex Media Server.log`), "utf8")).toContain("v1.43");
    const { files } = mac.world("jane");
    expect(await files.list(server.dataFolder)).not.toContain("Preferences.xml");
    expect(await files.list(server.cacheFolder)).toEqual(["cert-v2.p12"]);
  });

  test("is one of the processes, by its whole path when that is the last keyword", async () => {
    const { mac, server } = await withServer();
    await server.start();
    const [pid] = await server.processes();
    const wide = await mac.run("jane", "ps", ["-axww", "-o", "pid=,ppid=,uid=,lstart=,comm="]);
    const rows = wide.stdout.split("\n").filter((line) => line.endsWith(APPLICATION.executable));
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatch(new RegExp(`^ *${pid} +1 +501 \\w{3} \\w{3} [ \\d]{2} [\\d:]{8} \\d{4} +/Appl`));
    const narrow = await mac.run("jane", "ps", ["-axo", "pid=,ppid=,uid=,lstart=,comm="]);
    expect(narrow.stdout).not.toContain(APPLICATION.executable);
    const first = await mac.run("jane", "ps", ["-axww", "-o", "comm=,pid="]);
    expect(first.stdout).toContain("/Applications/Pl ");
    await server.close();
    expect((await mac.run("jane", "ps", ["-p", String(pid), "-o", "comm="])).status).toBe(1);
  });
});

describe("Apple events", () => {
  test("quit returns at once, or after the end with a broken connection", async () => {
    const { mac, server } = await withServer(
      { switches: { quit: "returns-at-once" } },
      { behaviour: { ignoreTerm: true } },
    );
    await server.start();
    expect((await mac.run("jane", "osascript", QUIT)).status).toBe(0);
    expect(await server.isRunning()).toBe(true);
    await server.kill();
    await server.configure({ ignoreTerm: false });
    await mac.setSwitches({ quit: "connection-breaks" });
    await server.start();
    const result = await mac.run("jane", "osascript", QUIT);
    expect(result).toMatchObject({ status: 1, stderr: expect.stringMatching(/\(-609\)\n$/) });
    expect(await server.isRunning()).toBe(false);
  });

  test.each([
    ["refuses", -128],
    ["no-answer", -1712],
  ] as const)("an application that %s is still there", async (quits, number) => {
    const { mac, server } = await withServer({}, { application: { quits } });
    await server.start();
    const script = `with timeout of 1 seconds\ntell application id "${DOMAIN}" to quit\nend timeout`;
    const result = await mac.run("jane", "osascript", ["-e", script]);
    expect(result).toMatchObject({ status: 1, stderr: expect.stringContaining(`(${number})`) });
    expect(await server.isRunning()).toBe(true);
  });

  test("without consent are refused in the person's language, with the same number", async () => {
    const { mac, server } = await withServer({ switches: { consent: "denied" } });
    await server.start();
    expect((await mac.run("jane", "osascript", QUIT)).stderr).toMatch(/Not authorized.* \(-1743\)\n$/);
    await mac.setSwitches({ language: "ru" });
    expect((await mac.run("jane", "osascript", QUIT)).stderr).toMatch(/Нет прав.* \(-1743\)\n$/);
    expect(await server.isRunning()).toBe(true);
  });

  test("wait while the person is being asked", async () => {
    const { mac, server } = await withServer({ switches: { consent: "asked" } });
    await server.start();
    const asked = mac.run("jane", "osascript", QUIT);
    await mac.setSwitches({ consent: "granted" });
    expect((await asked).status).toBe(0);
    expect(await server.isRunning()).toBe(false);
  });

  test("tell whether it runs without consent and without starting it", async () => {
    const { mac, server } = await withServer({ switches: { consent: "denied" } });
    const ask = async () =>
      await mac.run("jane", "osascript", ["-e", `application id "${DOMAIN}" is running`]);
    expect(await ask()).toMatchObject({ status: 0, stdout: "false\n" });
    await server.start();
    expect(await ask()).toMatchObject({ status: 0, stdout: "true\n" });
  });

  test.each([
    ["nothing", 0],
    ["starts-it", 0],
    ["fails", 1],
  ] as const)("quit while nothing runs: %s", async (quitOfNothing, status) => {
    const { mac, server } = await withServer({ switches: { quitOfNothing } });
    expect((await mac.run("jane", "osascript", QUIT)).status).toBe(status);
    await until(async () => !(await server.isRunning()), 30_000, "STILL_RUNNING");
  });

  test("of root and of another session do not reach the application", async () => {
    const { mac, server } = await withServer({ users: [{ name: "jane" }, { name: "bob" }] });
    await server.start();
    expect((await mac.run("root", "osascript", QUIT)).stderr).toContain("(-600)");
    expect((await mac.run("jane", "osascript", QUIT, { from: "ssh" })).stderr).toContain("(-600)");
    expect((await mac.run("bob", "osascript", QUIT)).stderr).toContain("(-600)");
    expect(await server.isRunning()).toBe(true);
    const words = ["asuser", "501", "sudo", "-u", "jane", "osascript", ...QUIT];
    expect((await mac.run("root", "launchctl", words, { from: "ssh" })).status).toBe(0);
    expect(await server.isRunning()).toBe(false);
  });

  test("name the login items, with a consent of their own", async () => {
    const { mac } = await withServer({}, { startedBy: "login-item" });
    const script = 'tell application "System Events" to get the path of every login item';
    const ask = () => mac.run("jane", "osascript", ["-e", script]);
    expect((await ask()).stdout).toBe(`${APPLICATION.path}\n`);
    await mac.setSwitches({ consentToSystemEvents: "denied" });
    expect((await ask()).stderr).toContain("(-1743)");
  });

  test("take no script that nobody has thought of", async () => {
    const mac = await aMac();
    expect((await mac.run("jane", "osascript", ["-e", "beep twice please"])).status).toBe(1);
  });
});

describe("open", () => {
  test("starts it once, and says nothing when it runs already", async () => {
    const { mac, server } = await withServer();
    const open = () => mac.run("jane", "open", ["-g", APPLICATION.path]);
    expect(await open()).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect((await open()).status).toBe(0);
    expect(await server.processes()).toHaveLength(1);
  });

  test("is refused while the one before is still quitting", async () => {
    const { mac, server } = await withServer(
      { switches: { quit: "returns-at-once" } },
      { behaviour: { ignoreTerm: true } },
    );
    await server.start();
    await mac.run("jane", "osascript", QUIT);
    const open = () => mac.run("jane", "open", [APPLICATION.path]);
    await until(async () => (await open()).stderr.includes("error -600"), 30_000, "NOT_REFUSED");
    await server.kill();
    expect((await open()).status).toBe(0);
    expect(await server.isRunning()).toBe(true);
  });

  test.each([
    ["ok", 0],
    ["fails", 1],
  ] as const)("of an application that dies at once: %s", async (openOfDying, status) => {
    const { mac, server } = await withServer(
      { switches: { openOfDying } },
      { application: { diesAtStart: "at-once" } },
    );
    expect((await mac.run("jane", "open", [APPLICATION.path])).status).toBe(status);
    expect(await server.isRunning()).toBe(false);
  });

  test("knows what is not there, and a bundle without an executable", async () => {
    const { mac } = await withServer();
    expect((await mac.run("jane", "open", ["/Applications/Other.app"])).stderr).toContain("does not exist");
    expect((await mac.run("jane", "open", ["-a", "Other"])).stderr).toContain("Unable to find");
    await rm(mac.real(APPLICATION.executable));
    expect((await mac.run("jane", "open", [APPLICATION.path])).stderr).toContain("-10827");
  });

  test("by root starts it as root: another identity, on the same port", async () => {
    const { mac, server } = await withServer();
    await mac.run("root", "open", [APPLICATION.path]);
    await until(() => server.answers(), 30_000, "NO_ANSWER");
    expect(await (await fetch(`${server.url}/identity`)).text()).not.toContain(server.deviceId);
    expect(await server.processes()).toHaveLength(0);
  });

  test("from a session over the network starts nothing", async () => {
    const { mac, server } = await withServer();
    expect((await mac.run("jane", "open", [APPLICATION.path], { from: "ssh" })).status).toBe(1);
    expect(await server.isRunning()).toBe(false);
  });
});

describe("launchd", () => {
  test("brings it back for an agent with KeepAlive, until that is unloaded", async () => {
    const { mac, server } = await withServer({}, { startedBy: "keep-alive-agent" });
    await server.start();
    const [first] = await server.processes();
    await mac.run("jane", "osascript", QUIT);
    await until(async () => (await server.processes()).some((pid) => pid !== first), 30_000, "NOT_BACK");
    const list = await mac.run("jane", "launchctl", ["list"]);
    expect(list.stdout).toMatch(/^\d+\t0\tcom\.example\.start-plex$/m);
    const target = "gui/501/com.example.start-plex";
    expect((await mac.run("jane", "launchctl", ["print", target])).stdout).toContain(
      `path = ${server.agent}`,
    );
    expect((await mac.run("jane", "launchctl", ["bootout", target])).status).toBe(0);
    await until(async () => !(await server.isRunning()), 30_000, "STILL_RUNNING");
    expect((await mac.run("jane", "launchctl", ["print", target])).status).toBe(113);
    expect((await mac.run("jane", "launchctl", ["bootout", target])).status).toBe(3);
  });

  test("shows nothing of what brings it back unseen", async () => {
    const { mac, server } = await withServer({}, { startedBy: "unknown" });
    await server.start();
    const [first] = await server.processes();
    await mac.run("jane", "osascript", QUIT);
    await until(async () => (await server.processes()).some((pid) => pid !== first), 30_000, "NOT_BACK");
    const list = await mac.run("jane", "launchctl", ["list"]);
    expect(list.stdout).toMatch(/^\d+\t0\tapplication\.com\.plexapp\.plexmediaserver\.\d+\.\d+$/m);
    await server.close();
  });

  test.each([112, 125] as const)("says %i of the desktop of somebody who is not there", async (noDesktop) => {
    const mac = await aMac({ users: [{ name: "jane" }, { name: "bob" }], switches: { noDesktop } });
    expect((await mac.run("root", "launchctl", ["print", "gui/502"])).status).toBe(noDesktop);
    expect((await mac.run("jane", "launchctl", ["print", "gui/501"])).status).toBe(0);
  });
});

describe("accounts", () => {
  test("are listed and read", async () => {
    const users = [{ name: "jane" }, { name: "bob", home: "/Volumes/Big Disk/bob" }];
    const mac = await aMac({ users });
    const list = await mac.run("jane", "dscl", [".", "-list", "/Users", "UniqueID"]);
    expect(list.stdout).toMatch(/^jane +501$/m);
    const home = () => mac.run("jane", "dscl", [".", "-read", "/Users/bob", "NFSHomeDirectory"]);
    expect((await home()).stdout).toBe("NFSHomeDirectory:\n /Volumes/Big Disk/bob\n");
    await mac.setSwitches({ dsclBlanks: "same-line" });
    expect((await home()).stdout).toBe("NFSHomeDirectory: /Volumes/Big Disk/bob\n");
    expect((await mac.run("jane", "dscl", [".", "-read", "/Users/eve", "UniqueID"])).status).toBe(56);
    expect((await mac.run("jane", "id", ["-u", "bob"])).stdout).toBe("502\n");
    expect((await mac.run("jane", "stat", ["-f", "%Su", "/dev/console"])).stdout).toBe("jane\n");
    expect((await mac.run("root", "sw_vers", ["-productVersion"])).stdout).toBe("26.6.2\n");
  });

  test("other than root are asked for a password by sudo", async () => {
    const mac = await aMac();
    expect((await mac.run("jane", "sudo", ["-n", "id", "-u"])).status).toBe(1);
    expect((await mac.run("root", "sudo", ["-u", "jane", "/usr/bin/id", "-u"])).stdout).toBe("501\n");
    expect((await mac.run("root", "sudo", ["-u", "#501", "id", "-un"])).stdout).toBe("jane\n");
    expect((await mac.run("root", "sudo", ["-u", "eve", "id"])).status).toBe(1);
  });
});

describe("the world of a Mac", () => {
  const timeoutMs = 30_000;

  test("has its disk at / and its tools at their paths, and nothing else", async () => {
    const { mac, server } = await withServer();
    const world = mac.world("jane");
    expect((await world.files.stat(server.plist)).uid).toBe(501);
    expect((await world.files.stat("/Applications")).uid).toBe(0);
    expect(await world.files.realPath("/tmp")).toBe("/private/tmp");
    const result = await world.run("/usr/bin/defaults", ["read", DOMAIN, "FriendlyName"], { timeoutMs });
    expect(result).toMatchObject({ status: 0, stdout: "Living room\n", timedOut: false });
    await expect(world.run("/usr/bin/true", [], { timeoutMs })).rejects.toMatchObject({ code: "ENOENT" });
    await expect(world.files.stat("/etc/passwd")).rejects.toMatchObject({
      code: "ENOENT",
      path: "/etc/passwd",
    });
    expect(mac.calls).toBe(1);
  });

  test("keeps other people's files and closed ones shut", async () => {
    const { mac, server } = await withServer({ users: [{ name: "jane" }, { name: "bob" }] });
    await expect(mac.world("bob").files.read(server.plist, 1e6)).rejects.toMatchObject({ code: "EACCES" });
    await mac.setSwitches({ closed: ["/Users/jane/Library/Preferences"] });
    for (const name of ["jane", "root"])
      await expect(mac.world(name).files.read(server.plist, 1e6)).rejects.toMatchObject({ code: "EPERM" });
    const applications = await mac.world("jane").files.openFolder("/Applications");
    await expect(applications.createFile("a", 0o600)).rejects.toMatchObject({ code: "EACCES" });
    await applications.close();
  });

  test("makes files that belong to whoever makes them, and resolves links on its own disk", async () => {
    const mac = await aMac();
    const world = mac.world("root");
    await mkdir(mac.real("/Users/jane/private"));
    await chmod(mac.real("/Users/jane/private"), 0o700);
    const folder = await world.files.openFolder("/Users/jane/private");
    const file = await folder.createFile("secret.plist", 0o600);
    expect(await file.stat()).toMatchObject({ uid: 0, mode: 0o600 });
    await file.write(Buffer.from('<plist version="1.0"><dict><key>A</key><string>b</string></dict></plist>'));
    await file.chown(501, 20);
    await file.close();
    await folder.close();
    expect(await world.files.stat("/Users/jane/private/secret.plist")).toMatchObject({ uid: 501, gid: 20 });
    const words = ["import", DOMAIN, "/Users/jane/private/secret.plist"];
    expect((await mac.world("jane").run("/usr/bin/defaults", words, { timeoutMs })).status).toBe(0);
    expect(await mac.values("jane", DOMAIN)).toEqual(new Map([["A", string("b")]]));
    await expect(mac.world("jane").files.openFolder("/var")).rejects.toBeDefined();
  });

  test("passes open files, and lets a call time out", async () => {
    const { mac, server } = await withServer({ switches: { consent: "asked" } });
    const world = mac.world("jane");
    const home = await world.files.openFolder("/Users/jane");
    const made = await home.createFile("a.plist", 0o600);
    await made.write(Buffer.from('<plist version="1.0"><dict><key>A</key><string>b</string></dict></plist>'));
    await made.close();
    const pass = [await home.openFile("a.plist", "read")];
    const given = await world.run("/usr/bin/defaults", ["import", DOMAIN, "/dev/fd/3"], { timeoutMs, pass });
    expect(given.status).toBe(0);
    for (const file of pass) await file.close();
    await home.close();
    await server.start();
    const late = await world.run("/usr/bin/osascript", QUIT, { timeoutMs: 300 });
    expect(late).toMatchObject({ status: null, timedOut: true });
  });

  test("lets the how-manieth call fail, before or after it is done, or hang", async () => {
    const { mac, server } = await withServer();
    const world = mac.world("jane");
    const remove = (key: string) => world.run("/usr/bin/defaults", ["delete", DOMAIN, key], { timeoutMs });
    mac.fault({ at: 2, kind: "fails" });
    expect((await remove("PlexOnlineToken")).status).toBe(0);
    expect((await remove("PlexOnlineMail")).status).toBe(1);
    expect((await server.values()).has("PlexOnlineMail")).toBe(true);
    mac.fault({ at: 1, kind: "fails-after", tool: "defaults" });
    expect((await remove("PlexOnlineMail")).status).toBe(1);
    expect((await server.values()).has("PlexOnlineMail")).toBe(false);
    mac.fault({ at: 1, kind: "hangs" });
    expect((await remove("PlexOnlineUsername")).timedOut).toBe(true);
    expect((await server.values()).has("PlexOnlineUsername")).toBe(true);
  });

  test.each(["dies-before", "dies-after"] as const)("lets the process that calls die: %s", async (kind) => {
    const { mac, server } = await withServer();
    const world = mac.world("jane");
    mac.fault({ at: 1, kind });
    const words = ["delete", DOMAIN, "PlexOnlineToken"];
    await expect(world.run("/usr/bin/defaults", words, { timeoutMs })).rejects.toThrow("PROCESS_DIED");
    await expect(world.files.list("/")).rejects.toThrow("PROCESS_DIED");
    expect((await server.values()).has("PlexOnlineToken")).toBe(kind === "dies-before");
    expect((await mac.world("jane").run("/usr/bin/id", ["-u"], { timeoutMs })).stdout).toBe("501\n");
  });

  test("knows what was called, and what that called", async () => {
    const mac = await aMac();
    const words = ["asuser", "501", "sudo", "-u", "jane", "id", "-u"];
    expect((await mac.world("root").run("/bin/launchctl", words, { timeoutMs })).stdout).toBe("501\n");
    expect((await mac.calledWith()).map(({ tool, uid, session }) => [tool, uid, session])).toEqual([
      ["launchctl", 0, "gui/501"],
      ["sudo", 0, "gui/501"],
      ["id", 501, "gui/501"],
    ]);
  });
});
