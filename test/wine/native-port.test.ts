import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../../src/standins/server-process.ts";
import type { RegistryKey, RegistryValue, WindowsProcess } from "../../src/world/windows-system.ts";
import { whyNoWindowsStandIns, windowsStandIns } from "../support/windows-stand-ins.ts";
import { NODE_IN_WINE, openWine, PROJECT_IN_WINE, type WineMachine } from "../support/wine.ts";
import type { WindowsBridge } from "../support/wine-bridge.ts";
import { whyNoWine } from "../support/wine-launch.ts";

const missing = whyNoWine();
const withoutCompiler = whyNoWindowsStandIns();
const SCRIPTS = `${PROJECT_IN_WINE}\\test\\wine\\native`;
const NOTEPAD = "C:\\windows\\system32\\notepad.exe";
const ANOTHER_PROGRAM = "C:\\windows\\system32\\winver.exe";
const WAIT_MS = 30_000;

describe.skipIf(missing !== null)(`the native port ${missing ?? ""}`, () => {
  it.for(["22", "24", "26"] as const)("does all that check.mjs demands of it under Node %s", async (node) => {
    const machine = await openWine({ node });
    try {
      const { status, stdout, stderr } = await machine.node(`${SCRIPTS}\\check.mjs`);
      expect(stdout + stderr).not.toContain("FAILED");
      expect(stdout).toContain("ok      nothing is left");
      expect(status).toBe(0);
    } finally {
      await machine.close();
    }
  });

  describe("called from outside", () => {
    let machine: WineMachine;
    let port: WindowsBridge;
    let software: string;

    beforeAll(async () => {
      machine = await openWine();
      port = await machine.bridge();
      software = `${port.self.sid}\\Software`;
    });

    afterAll(async () => {
      await machine?.close();
    });

    const below = (path: string): RegistryKey => ({ root: "HKEY_USERS", path: `${software}\\${path}` });
    /** A window that is only coming up may not heed the first request. */
    const closed = async (pid: number): Promise<void> => {
      let asked = 0;
      const gone = async () => {
        asked += await port.processes.closeWindows(pid);
        return (await port.processes.details(pid)) === null;
      };
      await until(gone, WAIT_MS, "NEVER_ENDED");
      expect(asked).toBeGreaterThan(0);
    };
    const named = async (name: string): Promise<WindowsProcess[]> =>
      (await port.processes.list()).filter((process) => process.name.toLowerCase() === name);
    const refused = (code: string) => expect.objectContaining({ name: "SystemError", code });

    it("writes what the registry's own program reads, and reads what that wrote", async () => {
      const key = below("Second opinion");
      const path = `HKU\\${key.path}`;
      await port.registry.createKey(key);
      await port.registry.setValue(key, { name: "Ours", type: 4, bytes: Uint8Array.of(42, 0, 0, 0) });
      const seen = await machine.run("reg.exe", ["query", path, "/v", "Ours"]);
      expect(seen.stdout).toMatch(/Ours {4}REG_DWORD {4}0x2a\r\n/u);
      await machine.run("reg.exe", ["add", path, "/v", "Theirs", "/t", "REG_SZ", "/d", "abc", "/f"]);
      const theirs = (await port.registry.values(key))?.find((value) => value.name === "Theirs");
      expect(theirs).toEqual({ name: "Theirs", type: 1, bytes: bytesOf("abc\0") });
    });

    describe("where a user has put a link into the registry", () => {
      const value: RegistryValue = { name: "planted", type: 1, bytes: bytesOf("x\0") };

      beforeAll(async () => {
        await port.registry.createKey(at("target\\inner"));
        await port.registry.createKey(at("here"));
        const [from, to] = ["here\\link", "target"].map((path) => `${software}\\Links\\${path}`);
        const made = await machine.node(`${SCRIPTS}\\link.mjs`, [from ?? "", to ?? ""]);
        expect(made.stderr).toBe("");
      });

      const at = (path: string): RegistryKey => below(`Links\\${path}`);

      it("the system itself follows it", async () => {
        const path = `HKU\\${software}\\Links\\here\\link`;
        expect((await machine.run("reg.exe", ["query", path])).stdout).toContain("inner");
      });

      it.for(["here\\link", "here\\link\\inner", "HERE\\LINK\\inner"])(
        "nothing is done through %s",
        async (path) => {
          const { registry } = port;
          const key = at(path);
          const elsewhere = refused("ELOOP");
          await expect(registry.values(key)).rejects.toEqual(elsewhere);
          await expect(registry.subkeys(key)).rejects.toEqual(elsewhere);
          await expect(registry.mayWrite(key)).rejects.toEqual(elsewhere);
          await expect(registry.setValue(key, value)).rejects.toEqual(elsewhere);
          await expect(registry.deleteValue(key, value.name)).rejects.toEqual(elsewhere);
          await expect(registry.flush(key)).rejects.toEqual(elsewhere);
          await expect(registry.createKey(key)).rejects.toEqual(elsewhere);
          await expect(registry.createKey({ ...key, path: `${key.path}\\new` })).rejects.toEqual(elsewhere);
          expect(await registry.values(at("target"))).toEqual([]);
          expect(await registry.subkeys(at("target"))).toEqual(["inner"]);
          expect(await registry.values(at("target\\inner"))).toEqual([]);
          expect(await registry.subkeys(at("target\\inner"))).toEqual([]);
        },
      );

      it("no link is made by us", async () => {
        const made = { name: "SymbolicLinkValue", type: 6, bytes: bytesOf("\\Registry\\User") };
        await expect(port.registry.setValue(at("target"), made)).rejects.toEqual(refused("ELOOP"));
      });
    });

    it("a program that it starts goes on without us, and has nothing of what we were told", async () => {
      const told = join(machine.shared, "told.json");
      const env = {
        PLEX_CLAIM: "claim-secret-of-the-test",
        Plex_Reclaim_State: "ours",
        PLEX_CLAIMS: "somebody's",
        TOLD_TO: "Z:\\shared\\told.json",
        NODE_OPTIONS: `--require ${SCRIPTS.replaceAll("\\", "/")}/environment.cjs`,
      };
      // The starter loads the same file; what it tells is overwritten, and it is ended.
      const starter = machine.spawn(NODE_IN_WINE, [`${SCRIPTS}\\start.mjs`, NODE_IN_WINE], { env });
      const seenBy = async () => {
        const text = existsSync(told) ? await readFile(told, "utf8") : "{}";
        return JSON.parse(text) as {
          env?: Record<string, string>;
          folder?: string;
          pid?: number;
          args?: string[];
        };
      };
      await until(async () => (await seenBy()).args?.length === 0, WAIT_MS, "NEVER_STARTED");
      starter.kill();
      await starter.exit;
      const { env: given = {}, folder, pid = 0 } = await seenBy();
      const names = Object.keys(given).map((name) => name.toUpperCase());
      expect(names).not.toContain("PLEX_CLAIM");
      expect(names).not.toContain("PLEX_RECLAIM_STATE");
      expect(given).toMatchObject({ PLEX_CLAIMS: "somebody's", USERNAME: "root" });
      expect(JSON.stringify(given)).not.toContain("secret-of-the-test");
      expect(folder?.toLowerCase()).toBe("z:\\node");
      const details = await port.processes.details(pid);
      const { sid, elevated, session } = port.self;
      expect(details).toMatchObject({ executable: NODE_IN_WINE, session, owner: { sid, elevated } });
      await machine.run("taskkill.exe", ["/f", "/pid", String(pid)]);
      await until(async () => (await port.processes.details(pid)) === null, WAIT_MS, "NEVER_ENDED");
    });

    it("asks the windows of one process to close, and no other's", async () => {
      await port.processes.start(NOTEPAD);
      await port.processes.start(NOTEPAD);
      const [one, other] = await named("notepad.exe");
      if (one === undefined || other === undefined) throw new Error("two were started");
      await closed(one.pid);
      expect(await named("notepad.exe")).toEqual([other]);
      expect(await port.processes.closeWindows(one.pid)).toBe(0);
      await closed(other.pid);
    });

    it("starts a program like one that runs", async () => {
      await port.processes.startLike(port.processes.ownPid, port.self.sid, NOTEPAD);
      const [started] = await named("notepad.exe");
      if (started === undefined) throw new Error("none was started");
      const like = await port.processes.details(port.processes.ownPid);
      expect(await port.processes.details(started.pid)).toMatchObject({
        owner: like?.owner,
        session: like?.session,
      });
      await closed(started.pid);
      const gone = port.processes.startLike(started.pid, port.self.sid, NOTEPAD);
      await expect(gone).rejects.toEqual(refused("ESRCH"));
    });

    it("starts none like a process of another account, or with an administrator's rights", async () => {
      const { ownPid, startLike } = port.processes;
      await expect(startLike(ownPid, "S-1-5-18", NOTEPAD)).rejects.toEqual(refused("ESRCH"));
      const made = await machine.node(`${SCRIPTS}\\elevated.mjs`, [ANOTHER_PROGRAM]);
      expect(made.stderr).toBe("");
      const elevated = Number(made.stdout);
      const { sid } = port.self;
      const details = await port.processes.details(elevated);
      expect(details).toMatchObject({ owner: { sid, elevated: true } });
      await expect(startLike(elevated, sid, NOTEPAD)).rejects.toEqual(refused("ESRCH"));
      expect(await named("notepad.exe")).toEqual([]);
      await machine.run("taskkill.exe", ["/f", "/pid", String(elevated)]);
      await until(async () => (await port.processes.details(elevated)) === null, WAIT_MS, "NEVER_ENDED");
    });

    it("says why a program does not start", async () => {
      const { processes } = port;
      await expect(processes.start("C:\\windows\\none.exe")).rejects.toEqual(refused("ENOENT"));
      await expect(processes.start("C:\\windows\\win.ini")).rejects.toEqual(refused("WIN32_193"));
      await expect(processes.start("notepad.exe")).rejects.toEqual(refused("EINVAL"));
      await expect(processes.start('C:\\a" b.exe')).rejects.toEqual(refused("EINVAL"));
    });

    it.skipIf(withoutCompiler !== null)(`starts and stops a service ${withoutCompiler ?? ""}`, async () => {
      const folder = join(machine.cDrive, "a service");
      const command = '"C:\\a service\\plex-service.exe" Watched';
      await mkdir(folder);
      await copyFile((await windowsStandIns()).service, join(folder, "plex-service.exe"));
      const options = `\uFEFF[Watched]\r\nserver=${NOTEPAD}\r\n`;
      await writeFile(join(folder, "stand-in.ini"), Buffer.from(options, "utf16le"));
      const made = await machine.run("sc.exe", [
        "create",
        "Watched",
        "binPath=",
        command,
        "obj=",
        "LocalSystem",
      ]);
      expect(made.status).toBe(0);

      const { services, processes } = port;
      const state = async () => (await services.query("Watched"))?.state;
      const stopped = { name: "Watched", state: "stopped", pid: 0, command, account: "LocalSystem" };
      expect(await services.query("Watched")).toEqual(stopped);
      expect(await services.list()).toContainEqual(stopped);
      expect(await services.mayControl("Watched")).toBe(true);
      await services.stop("Watched");
      await services.start("Watched");
      await services.start("Watched");
      await until(async () => (await state()) === "running", WAIT_MS, "NEVER_RAN");
      const { pid } = (await services.query("Watched")) ?? { pid: 0 };
      expect((await processes.details(pid))?.executable).toBe("C:\\a service\\plex-service.exe");
      await until(
        async () => (await named("notepad.exe")).some(({ parent }) => parent === pid),
        WAIT_MS,
        "NO_CHILD",
      );
      await services.stop("Watched");
      await services.stop("Watched");
      await until(async () => (await state()) === "stopped", WAIT_MS, "NEVER_STOPPED");
      expect(await processes.details(pid)).toBeNull();
    });

    it.for([
      ["866", "Привет", "8fe0a8a2a5e2"],
      ["1251", "Привет", "cff0e8e2e5f2"],
      ["65001", "Привет", "d09fd180d0b8d0b2d0b5d182"],
    ] as const)("writes for a console of code page %s", async ([page, text, start]) => {
      const script = `${SCRIPTS}\\console.mjs`;
      const file = `Z:\\shared\\${page}`;
      const line = `chcp ${page} > nul & ${NODE_IN_WINE} ${script} ${file} ${text}`;
      const terminal = await machine.terminal("cmd.exe", ["/c", line]);
      await terminal.ended();
      await terminal.close();
      expect((await readFile(machine.hostPath(file))).toString("hex").slice(0, start.length)).toBe(start);
      const { status } = await machine.node(script, [`${file}-piped`, text]);
      expect(status).toBe(0);
      expect(await readFile(machine.hostPath(`${file}-piped`), "utf8"), "no console").toBe(text);
    });
  });
});

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "utf16le"));
}
