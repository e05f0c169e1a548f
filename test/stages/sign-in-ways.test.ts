import { expect, test } from "vitest";
import type { Server } from "../../src/model/server.ts";
import { signInWays } from "../../src/stages/9-sign-in.ts";
import { HttpFailure, SystemError, type World } from "../../src/world/world.ts";
import { SERVER } from "../state/state-of-test.ts";

const HOST_NAME = "/proc/sys/kernel/hostname";

/** The ways on a host of this name, as root. */
async function ways(env: World["env"], host: string | null = "den\n", server: Server = SERVER) {
  const files = {
    read: async (path: string) => {
      if (path !== HOST_NAME || host === null) throw new SystemError("ENOENT", "open", path);
      return new TextEncoder().encode(host);
    },
  } as unknown as World["files"];
  const user = { uid: 0, gid: 0, name: "root", home: "/root" };
  return signInWays({ env, user, files, http: SILENT }, server, "plex-reclaim claim");
}

const SILENT: World["http"] = {
  local: async () => {
    throw new HttpFailure("no", "ECONNREFUSED");
  },
  remote: async () => expect.unreachable("asked the internet"),
};

/** The ways on Windows, with a server of this version (null: none answers) and these files in its data folder. */
async function waysOnWindows(version: string | null, files: readonly string[]) {
  const dataFolder = "C:\\Users\\jane\\AppData\\Local\\Plex Media Server";
  return waysOf({ ...SERVER, store: "registry", dataFolder, service: { kind: "tray" } }, version, files);
}

/** The ways of a server that keeps its settings elsewhere than Linux does. */
async function waysOf(server: Server, version: string | null, files: readonly string[]) {
  const identity = { MediaContainer: { machineIdentifier: "ab", claimed: false, version } };
  const local: World["http"]["local"] = async () => ({
    status: 200,
    headers: {},
    body: JSON.stringify(identity),
  });
  const world = {
    env: {},
    user: { uid: -1, gid: -1, name: "jane", home: "C:\\Users\\jane" },
    http: version === null ? SILENT : { ...SILENT, local },
    files: {
      stat: async (path: string) => {
        if (!files.includes(path)) throw new SystemError("ENOENT", "stat", path);
        return { kind: "file" };
      },
    } as unknown as World["files"],
  };
  return signInWays(world, server, "plex-reclaim claim");
}

const CLAIM_URL = "C:\\Users\\jane\\AppData\\Local\\Plex Media Server\\.claimURL";
const SETUP_PAGE = "C:\\Users\\jane\\AppData\\Local\\Plex Media Server\\Setup Plex.html";

const MAC_FOLDER = "/Users/jane/Library/Application Support/Plex Media Server";

/** The same on a Mac. */
function waysOnMac(version: string | null, files: readonly string[], store: Server["store"] = "defaults") {
  const service = { kind: "mac-application", application: "/Applications/Plex Media Server.app" } as const;
  return waysOf({ ...SERVER, store, dataFolder: MAC_FOLDER, service }, version, files);
}

test("on a Mac a newer server is not claimed by its local page; what it keeps for that is named", async () => {
  for (const version of ["1.29.2.6364-6d72b0cf6", "1.43.4.10903-e5521bd8c", "2.0"]) {
    expect(await waysOnMac(version, [`${MAC_FOLDER}/.claimURL`, `${MAC_FOLDER}/Setup Plex.html`])).toEqual([
      { way: "claim-command", line: "plex-reclaim claim" },
      { way: "claim-url-file", path: `${MAC_FOLDER}/.claimURL` },
      { way: "setup-page", path: `${MAC_FOLDER}/Setup Plex.html` },
    ]);
    expect(await waysOnMac(version, [])).toEqual([{ way: "claim-command", line: "plex-reclaim claim" }]);
  }
});

test("on a Mac an older server, or one of unknown version, has its local page", async () => {
  const url = "http://127.0.0.1:32400/web";
  for (const version of ["1.29.1.6316-f4cdfea9c", "1.28"])
    expect(await waysOnMac(version, [])).toContainEqual({ way: "local-browser", url });
  for (const store of ["defaults", "plist"] as const)
    expect(await waysOnMac(null, [], store)).toContainEqual({
      way: "local-browser-before",
      url,
      version: "1.29.2",
    });
});

test("on Windows a newer server is not claimed by its local page, so that is not named", async () => {
  for (const version of ["1.32.2.7100-248a2daf0", "1.43.4.10903-e5521bd8c", "2.0"]) {
    expect(await waysOnWindows(version, [CLAIM_URL, SETUP_PAGE])).toEqual([
      { way: "claim-command", line: "plex-reclaim claim" },
      { way: "claim-url-file", path: CLAIM_URL },
      { way: "setup-page", path: SETUP_PAGE },
    ]);
  }
});

test("on Windows an older server is claimed by its local page", async () => {
  for (const version of ["1.32.1.6999-91e1e2e2c", "1.31", "0.9.9.5"]) {
    expect(await waysOnWindows(version, [])).toContainEqual({
      way: "local-browser",
      url: "http://127.0.0.1:32400/web",
    });
  }
});

test("on Windows, where the version cannot be seen, the local page is named with its condition", async () => {
  const expected = { way: "local-browser-before", url: "http://127.0.0.1:32400/web", version: "1.32.2" };
  expect(await waysOnWindows(null, [])).toContainEqual(expected);
  expect(await waysOnWindows("", [])).toContainEqual(expected);
});

async function tunnel(...args: Parameters<typeof ways>): Promise<string> {
  const found = (await ways(...args)).find(({ way }) => way === "ssh-tunnel");
  return found?.way === "ssh-tunnel" ? found.line : expect.unreachable("no tunnel");
}

test("every way is told: our own command, a browser here, and a tunnel from elsewhere", async () => {
  expect(await ways({})).toEqual([
    { way: "claim-command", line: "plex-reclaim claim" },
    { way: "local-browser", url: "http://127.0.0.1:32400/web" },
    { way: "ssh-tunnel", line: "ssh -L 8888:127.0.0.1:32400 root@den", url: "http://localhost:8888/web" },
  ]);
});

test("somebody who came by SSH is told the address that they came to", async () => {
  expect(await tunnel({ SSH_CONNECTION: "198.51.100.7 50022 192.0.2.10 22" })).toMatch(
    / root@192\.0\.2\.10$/,
  );
  expect(await tunnel({ SSH_CONNECTION: "2001:db8::7 50022 2001:db8::10 22" })).toMatch(
    / root@2001:db8::10$/,
  );
});

test("somebody behind sudo is told their own name, not root's", async () => {
  const env = { SUDO_USER: "jane", SSH_CONNECTION: "198.51.100.7 50022 192.0.2.10 22" };
  expect(await tunnel(env)).toBe("ssh -L 8888:127.0.0.1:32400 jane@192.0.2.10");
});

test("half an SSH connection, or none, leaves the name of the host", async () => {
  for (const connection of ["", " ", "198.51.100.7", "198.51.100.7 50022", "198.51.100.7 50022  22"]) {
    expect(await tunnel({ SSH_CONNECTION: connection }), connection).toMatch(/ root@den$/);
  }
});

test("a host without a name is called localhost", async () => {
  expect(await tunnel({}, "\n")).toMatch(/ root@localhost$/);
  expect(await tunnel({}, null)).toMatch(/ root@localhost$/);
});

test("a server on another port is reached there", async () => {
  const server = { ...SERVER, url: "http://127.0.0.1:32500" };
  expect(await tunnel({}, "den", server)).toBe("ssh -L 8888:127.0.0.1:32500 root@den");
  expect(await ways({}, "den", server)).toContainEqual({
    way: "local-browser",
    url: "http://127.0.0.1:32500/web",
  });
});

test("a name that a shell would read otherwise is quoted", async () => {
  expect(await tunnel({ SUDO_USER: "a;b" })).toBe("ssh -L 8888:127.0.0.1:32400 'a;b@den'");
});

/** The ways of a Linux server in a virtual machine of a Mac, or of Windows, by what `scutil` answers. */
async function waysElsewhere(platform: World["platform"], answer: World["run"], env: World["env"] = {}) {
  const files = { read: async () => expect.unreachable("looked for /proc") } as unknown as World["files"];
  const user = { uid: 501, gid: 20, name: "jane", home: "/Users/jane" };
  const world = { env, user, files, http: SILENT, platform, run: answer };
  return (await signInWays(world, SERVER, "plex-reclaim claim")).slice(1);
}

function said(stdout: string, status = 0): World["run"] {
  return async (file, args) => {
    expect([file, ...args]).toEqual(["/usr/sbin/scutil", "--get", "LocalHostName"]);
    return { status, signal: null, timedOut: false, stdout, stderr: "" };
  };
}

test("a Mac is reached by the name that others find it by", async () => {
  expect(await waysElsewhere("darwin", said("Janes-Mac\n"))).toEqual([
    { way: "local-browser", url: "http://127.0.0.1:32400/web" },
    {
      way: "ssh-tunnel",
      line: "ssh -L 8888:127.0.0.1:32400 jane@Janes-Mac.local",
      url: "http://localhost:8888/web",
    },
  ]);
  const SSH_CONNECTION = "198.51.100.7 50022 192.0.2.10 22";
  expect(await waysElsewhere("darwin", said(""), { SSH_CONNECTION })).toContainEqual(
    expect.objectContaining({ line: "ssh -L 8888:127.0.0.1:32400 jane@192.0.2.10" }),
  );
});

test("a Mac without a name, and Windows, are not offered a tunnel that leads nowhere", async () => {
  const absent: World["run"] = async (file) => {
    throw new SystemError("ENOENT", "spawn", file);
  };
  const browser = [{ way: "local-browser", url: "http://127.0.0.1:32400/web" }];
  for (const answer of [said("\n"), said("Janes-Mac\n", 1), absent])
    expect(await waysElsewhere("darwin", answer)).toEqual(browser);
  expect(await waysElsewhere("win32", absent)).toEqual(browser);
});
