import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SystemError } from "../../src/world/world.ts";
import { NODE_IN_WINE, openWine, PROGRAM_IN_WINE, type WineMachine } from "../support/wine.ts";
import { PROJECT, whyNoWine } from "../support/wine-launch.ts";

const reason = whyNoWine();
const SUPPORT = new URL("../support/wine.ts", import.meta.url).href;

/** Stands in for the program as built: the port's shape, with nothing of Windows behind it. */
const DIST = `
class SystemError extends Error {
  constructor(code, call, path) {
    super(code);
    Object.assign(this, { name: "SystemError", code, call, path });
  }
}
const met = [];
export function windowsSystem() {
  return {
    self: { sid: "S-1-5-21-1-2-3-1000", elevated: true, split: false, session: 1 },
    machine: { systemFolder: "C:\\\\windows\\\\system32", programData: "C:\\\\ProgramData" },
    registry: {
      kept: new Map(),
      async setValue(key, value) { this.kept.set(key.path + value.name, value); },
      async values(key) {
        const found = [...this.kept].filter(([name]) => name.startsWith(key.path)).map(([, value]) => value);
        return found.length === 0 ? null : found;
      },
      async deleteValue() {},
      async flush() { throw new SystemError("EACCES", "RegFlushKey", "HKEY_USERS\\\\S-1"); },
      async subkeys() { throw new TypeError("no such thing"); },
      // Answers only when as many calls as wanted are under way at once.
      async unloadHive(wanted) {
        met.push(wanted);
        while (met.length < Number(wanted)) await new Promise((wake) => setTimeout(wake, 10));
      },
      async mayWrite() { process.exit(9); },
      loadHive: () => new Promise(() => {}),
    },
    accounts: {},
    processes: { ownPid: process.pid, list: async () => [{ pid: process.pid, parent: 0, name: "node.exe" }] },
    services: {},
    folders: {},
  };
}
`;

function builtFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-dist-"));
  mkdirSync(join(folder, "world", "windows"), { recursive: true });
  writeFileSync(join(folder, "world", "windows", "system.js"), DIST);
  return folder;
}

/** Processes of this system in the same process space as the given one. */
function spaceOf(pid: number): string {
  return readlinkSync(`/proc/${pid}/ns/pid`);
}

function inSpace(space: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/u.test(pid) && readlinkSync(`/proc/${pid}/ns/pid`) === space;
    } catch {
      return false;
    }
  });
}

function initOf(machine: WineMachine): number {
  return Number(/^\/proc\/(\d+)\//u.exec(machine.cDrive)?.[1]);
}

/** Of every file: when it was last touched in whatever way. */
function fingerprint(folder: string): string {
  const listing = execFileSync("find", [folder, "-printf", "%p %C@\\n"], { maxBuffer: 64 * 1024 * 1024 });
  const files = listing.toString("utf8").split("\n").sort();
  return `${files.length} ${createHash("sha256").update(files.join("\n")).digest("hex")}`;
}

function template(): string {
  return execFileSync(join(PROJECT, "scripts/build-wine-root.sh"), { encoding: "utf8" }).trim();
}

const KEY = "HKCU\\Software\\Plex, Inc.\\Plex Media Server";

describe.skipIf(reason !== null)(`a Windows by Wine${reason === null ? "" : ` (skipped: ${reason})`}`, () => {
  let dist = "";
  let machine: WineMachine;

  beforeAll(async () => {
    dist = builtFolder();
    machine = await openWine({ dist });
  });

  afterAll(async () => {
    await machine?.close();
    rmSync(dist, { recursive: true, force: true });
  });

  it.each([
    ["22", "v22.23.3"],
    ["24", "v24.21.0"],
    ["26", "v26.10.0"],
  ] as const)("has Node %s, which finds koffi from the place of the program", async (node, version) => {
    const own = await openWine({ dist, node });
    try {
      const script = `
        const { createRequire } = require("node:module");
        const koffi = createRequire(${JSON.stringify(PROGRAM_IN_WINE)})("@koromix/koffi-win32-x64");
        const pid = koffi.load("kernel32.dll").func("__stdcall", "GetCurrentProcessId", "uint32", [])();
        console.log(process.platform, process.version, pid === process.pid);`;
      const { status, stdout, stderr } = await own.node("-e", [script]);
      expect({ status, stdout, stderr }).toEqual({
        status: 0,
        stdout: `win32 ${version} true\n`,
        stderr: "",
      });
    } finally {
      await own.close();
    }
  });

  it("runs the program where it stands, with Windows' own environment alone", async () => {
    const { version } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as {
      version: string;
    };
    expect(await machine.program(["--version"])).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
    const { stdout } = await machine.node("-p", ["JSON.stringify(process.env)"]);
    const env = JSON.parse(stdout) as Record<string, string>;
    expect(env).toMatchObject({
      USERPROFILE: "C:\\users\\root",
      LOCALAPPDATA: "C:\\users\\root\\AppData\\Local",
    });
    for (const name of ["LANG", "LC_ALL", "TERM", "HOME", "NODE_OPTIONS"])
      expect(env).not.toHaveProperty(name);
  });

  it("hands over input, arguments and environment, and hands back both outputs and the status", async () => {
    const script = `
      process.stdin.setEncoding("utf8").on("data", (text) => {
        process.stdout.write(text + process.env.ASKED + process.argv.at(-1));
        process.stderr.write("об этом");
        process.exitCode = 7;
      });`;
    const options = { stdin: "ввод ", env: { ASKED: "среда " } };
    expect(await machine.node("-e", [script, 'a "б"\\'], options)).toEqual({
      status: 7,
      stdout: 'ввод среда a "б"\\',
      stderr: "об этом",
    });
    const bytes = await machine.runBytes("cmd.exe", ["/c", "echo", "ü"]);
    expect(bytes.stdout).toBeInstanceOf(Buffer);
    await expect(machine.run("cmd.exe", [], { env: { TEMP: "C:\\x" } })).rejects.toThrow("TEMP");
  });

  it("has its files on both sides, and the project for reading alone", async () => {
    const file = join(machine.cDrive, "users", "root", "from here.txt");
    writeFileSync(file, "письмо");
    writeFileSync(join(machine.shared, "shared.txt"), "общее");
    const script = `
      const fs = require("fs");
      fs.writeFileSync(process.argv[3], fs.readFileSync(process.argv[1], "utf8") + fs.readFileSync(process.argv[2]));
      try { fs.writeFileSync(process.argv[4], "x"); } catch (error) { console.log(error.code); }
      try { fs.mkdirSync(process.argv[5]); } catch (error) { console.log(error.code); }`;
    const answer = await machine.node("-e", [
      script,
      machine.windowsPath(file),
      machine.windowsPath(join(machine.shared, "shared.txt")),
      "C:\\Users\\ROOT\\back.txt",
      machine.windowsPath(join(PROJECT, "package.json")),
      "Z:\\plex-reclaim\\node_modules\\x",
    ]);
    expect(answer.stdout).toMatch(/^E\w+\nE\w+\n$/u);
    expect(readFileSync(machine.hostPath("c:\\USERS\\Root\\Back.TXT"), "utf8")).toBe("письмообщее");
    expect(machine.hostPath("Z:\\shared\\new\\file")).toBe(join(machine.shared, "new", "file"));
    expect(machine.hostPath("Z:\\plex-reclaim\\bin")).toBe(join(PROJECT, "bin"));
    expect(() => machine.windowsPath("/etc/hostname")).toThrow("/etc/hostname");
    expect(() => machine.hostPath("D:\\x")).toThrow("D:");
    expect(() => machine.hostPath("relative")).toThrow("relative");
  });

  it("reaches this system's servers on 127.0.0.1", async () => {
    const server = createServer((_, response) => response.end("from outside"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const { stdout } = await machine.node("-e", [
        `fetch("${url}").then((r) => r.text()).then(console.log)`,
      ]);
      expect(stdout).toBe("from outside\n");
    } finally {
      server.close();
    }
  });

  it("ends a program by a word, a deadline or a signal, and nothing else", async () => {
    const forever = ["-e", "console.log(process.pid); setInterval(() => {}, 1000)"];
    const running = async () => (await machine.run("tasklist.exe", ["/fo", "csv", "/nh"])).stdout;
    const process = machine.spawn(NODE_IN_WINE, forever);
    const pid = Number(await process.prints(/\d+\n/u));
    expect(await running()).toContain(`"node.exe","${pid}"`);
    process.kill();
    expect((await process.exit).status).toBeNull();
    expect(await running()).not.toContain("node.exe");
    expect((await machine.run(NODE_IN_WINE, forever, { timeoutMs: 1_000 })).status).toBeNull();
    const aborted = machine.run(NODE_IN_WINE, forever, { signal: AbortSignal.timeout(500) });
    expect((await aborted).status).toBeNull();
    const left = await running();
    expect(left).not.toContain("node.exe");
    expect(left).toContain("services.exe");
  });

  it("says what a program printed that ended without the awaited words", async () => {
    const process = machine.spawn(NODE_IN_WINE, ["-e", "console.log('something else')"]);
    await expect(process.prints("the words")).rejects.toThrow("something else");
    await process.exit;
  });

  it("keeps its services from call to call", async () => {
    const services = async () => {
      const { stdout } = await machine.run("tasklist.exe", ["/fo", "csv", "/nh"]);
      return /"services\.exe","(\d+)"/u.exec(stdout)?.[1];
    };
    const before = await services();
    expect(before).toMatch(/^\d+$/u);
    // Wine's server would end by itself three seconds after the last program.
    await sleep(4_000);
    expect(await services()).toBe(before);
  });

  describe("at a terminal", () => {
    const ASK = `
      const { createInterface } = require("readline");
      const lines = createInterface({ input: process.stdin, output: process.stdout });
      lines.on("SIGINT", () => { console.log("interrupted"); process.exit(4); });
      lines.question(process.stdin.isTTY + " name? ", (name) => { console.log("<" + name + ">"); process.exit(3); });`;

    it("types, and reads the screen and the status", async () => {
      const terminal = await machine.terminal(NODE_IN_WINE, ["-e", ASK]);
      await terminal.shows("true name?");
      await terminal.type("Яна; -l $HOME");
      await terminal.shows("$HOME");
      await terminal.press("Enter");
      expect(await terminal.ended()).toEqual({
        status: 3,
        screen: "true name? Яна; -l $HOME\n<Яна; -l $HOME>",
      });
      await terminal.close();
    });

    it.each([
      ["a key where single keys are read", ASK, 4, "true name? interrupted"],
      [
        "an event where lines are read",
        `process.on("SIGINT", () => { console.log("event"); process.exit(5); });
        process.stdin.on("data", () => {});
        console.log("name?");`,
        5,
        "name?\nevent",
      ],
      // STATUS_CONTROL_C_EXIT is 0xc000013a.
      [
        "the end of a program that does not listen",
        "console.log('name?'); setInterval(() => {}, 1000)",
        58,
        "name?",
      ],
    ])("presses Ctrl-C, which is %s", async (_, script, status, screen) => {
      const bystander = await machine.terminal(NODE_IN_WINE, ["-e", ASK]);
      const terminal = await machine.terminal(NODE_IN_WINE, ["-e", script]);
      try {
        await bystander.shows("name?");
        await terminal.shows("name?");
        await terminal.interrupt();
        expect(await terminal.ended()).toEqual({ status, screen });
        await bystander.type("still here");
        await bystander.press("Enter");
        expect((await bystander.ended()).status).toBe(3);
        await expect(terminal.interrupt()).rejects.toThrow("no program has");
        await expect(bystander.press("C-c")).rejects.toThrow("interrupt()");
      } finally {
        await terminal.close();
        await bystander.close();
      }
    });

    it("says what is on the screen when the awaited words never come", async () => {
      const terminal = await machine.terminal("cmd.exe", ["/c", "echo something else"]);
      await terminal.ended();
      await expect(terminal.shows("the words", 100)).rejects.toThrow("something else");
      await terminal.close();
    });

    it("takes the program along when its window is closed", async () => {
      const terminal = await machine.terminal(NODE_IN_WINE, ["-e", ASK]);
      await terminal.shows("name?");
      await terminal.close();
      const running = async () => (await machine.run("tasklist.exe", ["/fo", "csv", "/nh"])).stdout;
      expect(await running()).not.toContain("node.exe");
    });
  });

  describe("the bridge", () => {
    const key = { root: "HKEY_USERS", path: "S-1\\Software" } as const;

    it("carries properties, bytes, texts and nothing in both directions", async () => {
      const windows = await machine.bridge();
      try {
        expect(windows.self).toEqual({
          sid: "S-1-5-21-1-2-3-1000",
          elevated: true,
          split: false,
          session: 1,
        });
        expect(await windows.processes.list()).toEqual([
          { pid: windows.processes.ownPid, parent: 0, name: "node.exe" },
        ]);
        expect(await windows.registry.values(key)).toBeNull();
        const value = { name: "Яна", type: 3, bytes: Uint8Array.from({ length: 256 }, (_, byte) => byte) };
        expect(await windows.registry.setValue(key, value)).toBeUndefined();
        expect(await windows.registry.values(key)).toEqual([value]);
        const empty = { name: "", type: 1, bytes: new Uint8Array() };
        await windows.registry.setValue(key, empty);
        expect(await windows.registry.values(key)).toEqual([value, empty]);
      } finally {
        await windows.close();
      }
    });

    it("throws a refusal of the system as one, and everything else as what it is", async () => {
      const windows = await machine.bridge();
      try {
        const refusal = await windows.registry.flush(key).catch((error: unknown) => error);
        expect(refusal).toBeInstanceOf(SystemError);
        expect(refusal).toMatchObject({ code: "EACCES", call: "RegFlushKey", path: "HKEY_USERS\\S-1" });
        await expect(windows.registry.subkeys(key)).rejects.toThrow(
          "TypeError in the machine: no such thing",
        );
        await expect(windows.services.list()).rejects.toThrow("the system has no services list");
        const wrong = { name: "", type: Number.NaN, bytes: new Uint8Array() };
        await expect(windows.registry.setValue(key, wrong)).rejects.toThrow("type is NaN");
      } finally {
        await windows.close();
      }
    });

    it("makes several calls at once, over several bridges too", async () => {
      const [one, other] = await Promise.all([machine.bridge(), machine.bridge()]);
      try {
        expect(one.processes.ownPid).not.toBe(other.processes.ownPid);
        const calls = Array.from({ length: 20 }, () => [
          one.registry.unloadHive("20"),
          other.registry.unloadHive("20"),
        ]);
        await Promise.all(calls.flat());
        await one.close();
        expect(await other.processes.list()).toHaveLength(1);
      } finally {
        await one.close();
        await other.close();
      }
    });

    it("fails every call that can have no answer", async () => {
      const windows = await machine.bridge();
      const underWay = windows.registry.loadHive("a", "b").catch((error: Error) => error.message);
      // It has arrived when a later one is answered.
      await windows.processes.list();
      await windows.close();
      expect(await underWay).toBe("registry loadHive: the bridge was closed meanwhile");
      await expect(windows.processes.list()).rejects.toThrow("processes list: this bridge is closed");
      const dying = await machine.bridge();
      await expect(dying.registry.mayWrite(key)).rejects.toThrow(
        "registry mayWrite: no answer from the machine",
      );
      await dying.close();
    });
  });
});

describe.skipIf(reason !== null)(`several Windows${reason === null ? "" : ` (skipped: ${reason})`}`, () => {
  it("know nothing of each other, and leave nothing behind but the template as it was", async () => {
    const dist = builtFolder();
    const before = fingerprint(template());
    const [one, other] = await Promise.all([openWine({ dist }), openWine({ dist })]);
    const spaces = [one, other].map((machine) => spaceOf(initOf(machine)));
    try {
      await one.run("reg.exe", ["add", KEY, "/v", "FriendlyName", "/d", "one", "/f"]);
      writeFileSync(join(one.cDrive, "windows", "one.txt"), "one");
      expect((await one.run("reg.exe", ["query", KEY])).stdout).toContain("one");
      expect((await other.run("reg.exe", ["query", KEY])).status).toBe(1);
      expect(existsSync(join(other.cDrive, "windows", "one.txt"))).toBe(false);

      const bridge = await one.bridge();
      const underWay = one.spawn(NODE_IN_WINE, ["-e", "setInterval(() => {}, 1000)"]);
      const terminal = await one.terminal(NODE_IN_WINE, ["-i"]);
      await terminal.shows(">");
      await one.close();
      expect((await underWay.exit).status).toBeNull();
      await expect(bridge.processes.list()).rejects.toThrow("no answer from the machine");
      await bridge.close();
      expect((await other.run("cmd.exe", ["/c", "exit", "5"])).status).toBe(5);
    } finally {
      await Promise.all([one.close(), other.close()]);
      rmSync(dist, { recursive: true, force: true });
    }
    expect(spaces.flatMap(inSpace)).toEqual([]);
    for (const { shared } of [one, other]) {
      expect(existsSync(shared)).toBe(false);
      expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(shared);
    }
    expect(fingerprint(template())).toBe(before);
  });

  it("die with the process that opened them, even when that is killed", async () => {
    const dist = builtFolder();
    const script = `
      const { openWine, NODE_IN_WINE } = await import(${JSON.stringify(SUPPORT)});
      const machine = await openWine({ dist: ${JSON.stringify(dist)} });
      const program = machine.spawn(NODE_IN_WINE, ["-e", "console.log('up'); setInterval(() => {}, 1000)"]);
      await program.prints("up");
      process.stdout.write(machine.cDrive + "\\n" + machine.shared + "\\n");`;
    const owner = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const said = await new Promise<string>((resolve, reject) => {
        owner.stdout.once("data", (chunk: Buffer) => resolve(chunk.toString()));
        owner.once("exit", () => reject(new Error("it never came up")));
      });
      const [cDrive = "", shared = ""] = said.split("\n");
      const space = spaceOf(Number(cDrive.split("/")[2]));
      expect(inSpace(space).length).toBeGreaterThan(2);
      owner.kill("SIGKILL");
      while (inSpace(space).length > 0) await sleep(50);
      // Its folder goes when the next one is opened.
      const next = await openWine({ dist });
      await next.close();
      expect(existsSync(shared)).toBe(false);
    } finally {
      owner.kill("SIGKILL");
      rmSync(dist, { recursive: true, force: true });
    }
  });
});
