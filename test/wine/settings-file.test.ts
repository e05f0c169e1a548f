import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, win32 } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { KnownFile } from "../../src/world/windows-system.ts";
import { keepSecret } from "../support/canary.ts";
import { demandEnd, type Ended, jsonLines } from "../support/stage.ts";
import {
  NODE_IN_WINE,
  openWine,
  PROJECT_IN_WINE,
  type WineMachine,
  type WineOptions,
} from "../support/wine.ts";
import type { WindowsBridge } from "../support/wine-bridge.ts";
import { whyNoWine } from "../support/wine-launch.ts";

const missing = whyNoWine();
const TOKEN = "token-of-a-settings-file";
keepSecret(TOKEN);

const REST =
  'MachineIdentifier="4b5c6d7e-0000-4000-8000-00000000000f" ProcessedMachineIdentifier="0123456789abcdef0123456789abcdef01234567" AnonymousMachineIdentifier="4b5c6d7e-0000-4000-8000-000000000001" FriendlyName="Жанна &amp; 🎬"';
const FOUR = ` PlexOnlineToken="${TOKEN}" PlexOnlineUsername="jane" PlexOnlineMail="jane@example.com" PlexOnlineHome="1"`;
const document = (more: string) =>
  `<?xml version="1.0" encoding="utf-8"?>\r\n<Preferences ${REST}${more}/>\r\n`;
const BEFORE = document(FOUR);
const AFTER = document("");
const NAME = "Preferences.xml";

/** Settings in a folder of their own, and the program for them. */
class SettingsFile {
  readonly machine: WineMachine;
  readonly folder: string;
  readonly host: string;

  constructor(machine: WineMachine, folder: string) {
    this.machine = machine;
    this.folder = folder;
    this.host = join(machine.hostPath(folder), NAME);
    mkdirSync(machine.hostPath(folder), { recursive: true });
    writeFileSync(this.host, BEFORE, { mode: 0o644 });
  }

  get path(): string {
    return win32.join(this.folder, NAME);
  }

  async run(...args: readonly string[]): Promise<Ended> {
    const env = {
      PLEX_RECLAIM_STATE_DIR: win32.join(this.folder, "state"),
      PLEX_RECLAIM_PLEXTV_URL: "http://127.0.0.1:9",
    };
    const all = [...args, "--settings", this.path, "--offline", "--json"];
    const { status, stdout, stderr } = await this.machine.program(all, { env });
    const lines = jsonLines(stdout);
    return { exitCode: status, stdout, stderr, lines, result: lines.at(-1) ?? {} };
  }

  text(): string {
    return readFileSync(this.host, "utf8");
  }

  /** What is in the folder besides the settings and our own records. */
  strays(): string[] {
    return readdirSync(this.machine.hostPath(this.folder)).filter(
      (name) => name !== NAME && name !== "state",
    );
  }

  problem(ended: Ended): unknown {
    return ended.result["problem"] ?? ended.result;
  }
}

async function openMachine(options: WineOptions = {}): Promise<WineMachine> {
  const dist = process.env["PLEX_RECLAIM_TEST_DIST"];
  return await openWine({ ...options, ...(dist === undefined ? {} : { dist }) });
}

async function resetAndUndo(settings: SettingsFile): Promise<void> {
  demandEnd(await settings.run("reset", "--yes"), 0, "FILE_EDITED");
  expect(settings.text()).toBe(AFTER);
  expect(settings.strays()).toEqual([]);
  const undone = await settings.run("undo", "--yes");
  expect([undone.exitCode, settings.text()], undone.stdout + undone.stderr).toEqual([0, BEFORE]);
  expect(settings.strays()).toEqual([]);
}

describe.skipIf(missing !== null)(`a settings file on Windows ${missing ?? ""}`, () => {
  let machine: WineMachine;
  let count = 0;

  const settingsFile = () => {
    count += 1;
    return new SettingsFile(machine, `C:\\Копия ${count}`);
  };

  beforeAll(async () => {
    machine = await openMachine();
  });

  afterAll(async () => {
    await machine?.close();
  });

  it("a reset takes the four out of it and nothing else, and undo brings them back", async () => {
    await resetAndUndo(settingsFile());
  });

  it.for(["22", "26"] as const)("so it is with Node %s", async (node) => {
    const other = await openMachine({ node });
    try {
      await resetAndUndo(new SettingsFile(other, "C:\\copy"));
    } finally {
      await other.close();
    }
  });

  it("a backup is taken and restored, also where the file is gone", async () => {
    const settings = settingsFile();
    const made = await settings.run("backup", "create");
    demandEnd(made, 0, "OK");
    const backup = String(made.result["backup"]);
    for (const spoil of [() => writeFileSync(settings.host, AFTER), () => rmSync(settings.host)]) {
      spoil();
      const ended = await settings.run("backup", "restore", backup, "--yes");
      expect([ended.exitCode, settings.text()], ended.stdout + ended.stderr).toEqual([0, BEFORE]);
      expect(settings.strays()).toEqual([]);
    }
  });

  it("who may read it, and whether it is hidden, stays as it was", async () => {
    const settings = settingsFile();
    chmodSync(settings.host, 0o640);
    const hidden = async () => (await machine.run("attrib.exe", [settings.path])).stdout;
    for (const mark of ["+h", "+s"]) await machine.run("attrib.exe", [mark, settings.path]);
    const before = await hidden();
    expect(before).toMatch(/^AS {2}H/);
    demandEnd(await settings.run("reset", "--yes"), 0, "FILE_EDITED");
    expect(settings.text()).toBe(AFTER);
    // Wine's access lists tell all others from the owner, and nothing finer.
    expect(statSync(settings.host).mode & 0o007).toBe(0);
    expect(await hidden()).toBe(before);
  });

  it("one that is marked read-only is refused before anything else", async () => {
    const settings = settingsFile();
    await machine.run("attrib.exe", ["+r", settings.path]);
    const ended = await settings.run("reset", "--yes");
    demandEnd(ended, 3, "SETTINGS_NOT_WRITABLE");
    expect(JSON.stringify(ended.result)).toContain('"immutable"');
    expect([settings.text(), settings.strays()]).toEqual([BEFORE, []]);
  });

  it("one with a second name is refused", async () => {
    const settings = settingsFile();
    linkSync(settings.host, join(settings.host, "../other"));
    demandEnd(await settings.run("reset", "--yes"), 3, "SETTINGS_UNSAFE");
    expect([settings.text(), settings.strays()]).toEqual([BEFORE, ["other"]]);
  });

  it.for([
    ["nothing", "0", "SYSTEM_CALL_FAILED"],
    ["reading", "1", "SYSTEM_CALL_FAILED"],
    ["reading and writing", "3", "SYSTEM_CALL_FAILED"],
    ["all", "7", "WRITE_FAILED"],
  ] as const)(
    "one that somebody holds who shares %s stays as it is, and that is said",
    async ([, share, code]) => {
      const settings = settingsFile();
      const script = `${PROJECT_IN_WINE}\\test\\wine\\native\\hold-file.mjs`;
      const holder = machine.spawn(NODE_IN_WINE, [script, settings.path, share]);
      await holder.prints("held");
      const ended = await settings.run("reset", "--yes");
      expect(ended.result["code"], ended.stdout).toBe(code);
      expect(JSON.stringify(ended.result)).toContain('"EBUSY"');
      expect([settings.text(), settings.strays()]).toEqual([BEFORE, []]);
      holder.kill();
      await holder.exit;
      demandEnd(await settings.run("reset", "--yes"), 0, "FILE_EDITED");
    },
  );

  describe("the calls of the port", () => {
    let port: WindowsBridge;

    beforeAll(async () => {
      port = await machine.bridge();
    });

    /** Files with these modes; Wine makes access lists of those. */
    async function files(...modes: readonly number[]): Promise<{ known: KnownFile[]; hosts: string[] }> {
      count += 1;
      const folder = `C:\\calls ${count}`;
      mkdirSync(machine.hostPath(folder));
      const paths = modes.map((_, index) => `${folder}\\${index}`);
      const hosts = paths.map((path) => machine.hostPath(path));
      modes.forEach((mode, index) => {
        writeFileSync(hosts[index] ?? "", String(index));
        chmodSync(hosts[index] ?? "", mode);
      });
      const ask =
        "process.argv.slice(1).forEach((path) => { const { dev, ino } = fs.statSync(path, { bigint: true }); console.log(String(dev), String(ino)); });";
      const { stdout } = await machine.run(NODE_IN_WINE, ["-e", ask, "--", ...paths]);
      const numbers = stdout
        .trim()
        .split(/\r?\n/u)
        .map((line) => line.split(" "));
      const known = paths.map((path, index) => {
        const [dev = "", ino = ""] = numbers[index] ?? [];
        return { path, dev, ino };
      });
      return { known, hosts };
    }

    const refused = (code: string) => expect.objectContaining({ name: "SystemError", code });

    it("give a file the access list of another one", async () => {
      const [from = NOBODY, to = NOBODY] = (await files(0o640, 0o606)).known;
      const wanted = await port.folders.accessOf(from.path);
      expect(await port.folders.accessOf(to.path)).not.toEqual(wanted);
      expect(await port.folders.copyAccess(from, to)).toEqual([]);
      expect(await port.folders.accessOf(to.path)).toEqual(wanted);
    });

    it("do nothing to another file than the one that was seen", async () => {
      const { known, hosts } = await files(0o640, 0o606);
      const [from = NOBODY, to = NOBODY] = known;
      const swapped = { ...to, path: from.path };
      await expect(port.folders.copyAccess(from, { ...from, path: to.path })).rejects.toEqual(
        refused("ESTALE"),
      );
      await expect(port.folders.demandReplaceable(swapped)).rejects.toEqual(refused("ESTALE"));
      await expect(port.folders.rename(swapped, `${to.path}.new`, false)).rejects.toEqual(refused("ESTALE"));
      expect(hosts.map((host) => [readFileSync(host, "utf8"), statSync(host).mode & 0o777])).toEqual([
        ["0", 0o640],
        ["1", 0o606],
      ]);
    });

    it("replace a file only where that is wanted", async () => {
      const { known, hosts } = await files(0o644, 0o644);
      const [from = NOBODY, to = NOBODY] = known;
      await expect(port.folders.rename(from, to.path, false)).rejects.toEqual(refused("EEXIST"));
      await port.folders.rename(from, to.path, true);
      expect(readFileSync(hosts[1] ?? "", "utf8")).toBe("0");
      await expect(port.folders.demandReplaceable(to)).rejects.toEqual(refused("ESTALE"));
      await expect(port.folders.demandReplaceable(from)).rejects.toEqual(refused("ENOENT"));
    });
  });
});

const NOBODY: KnownFile = { path: "", dev: "0", ino: "0" };
