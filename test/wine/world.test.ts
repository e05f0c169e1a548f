import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { windowsLine } from "../../src/model/windows-word.ts";
import { openWine, PROGRAM_IN_WINE, PROJECT_IN_WINE, type WineMachine } from "../support/wine.ts";
import { whyNoWine } from "../support/wine-launch.ts";
import { until } from "../world/scratch.ts";

const reason = whyNoWine();
const SCRIPT = `${PROJECT_IN_WINE}\\test\\wine\\world-in-windows.mjs`;
const SYSTEM = "C:\\windows\\system32";
const LONG = `C:\\${"long".repeat(55)}\\${"longer".repeat(30)}`;

describe.skipIf(reason !== null).for(["22", "24", "26"] as const)(
  `on Windows, with Node %s, ${reason ?? ""}`,
  (node) => {
    let machine: WineMachine;
    let folders = 0;

    beforeAll(async () => {
      machine = await openWine({ node });
    });

    afterAll(async () => {
      await machine?.close();
    });

    /** A new folder, by its Windows path. */
    function folder(...parts: readonly string[]): string {
      folders += 1;
      const path = `C:\\test-${folders}`;
      for (const part of ["", ...parts]) mkdirSync(machine.hostPath(`${path}\\${part}`), { recursive: true });
      return path;
    }

    const world = (...args: readonly string[]) => worldWith({}, ...args);

    async function worldWith(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
      const { status, stdout, stderr } = await machine.node(SCRIPT, args, { env });
      if (status !== 0) throw new Error(`${args[0]} ended with ${status}: ${stdout}${stderr}`);
      return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as unknown;
    }

    it("the world knows us, and finds every variable in capitals", async () => {
      expect(await world("us")).toEqual({
        platform: "win32",
        user: { uid: -1, gid: -1, name: "root", home: "C:\\users\\root" },
        systemRoot: ["C:\\windows", "C:\\windows"],
        windows: true,
        machine: { systemFolder: SYSTEM, programData: "C:\\ProgramData" },
        plex: "ENOSYS",
      });
    });

    it("no variable says where the system's folders are, or what its programs are", async () => {
      const path = folder("System32");
      const moved = { SystemRoot: path, windir: path, SystemDrive: "D:", ProgramData: path };
      const env = { LATER_ENVIRONMENT: JSON.stringify(moved) };
      const us = await worldWith(env, "us");
      expect(us).toMatchObject({
        systemRoot: [path, path],
        machine: { systemFolder: SYSTEM, programData: "C:\\ProgramData" },
      });
      const line = "echo %SystemRoot%& echo %windir%& echo %ComSpec%& cd";
      const ran = await worldWith(env, "run", line, '{"shell":true}');
      expect(ran).toMatchObject({
        status: 0,
        stdout: ["C:\\windows", "C:\\windows", `${SYSTEM}\\cmd.exe`, SYSTEM, ""].join("\r\n"),
      });
      expect(await worldWith(env, "run", "hostname", "{}")).toMatchObject({ status: 0 });
    });

    it("files keep the contract of the world, and no name leads elsewhere", async () => {
      const path = folder();
      expect(await world("files", path)).toEqual({
        again: "EEXIST",
        stat: { kind: "file", mode: 0o600, links: 1, size: 2 },
        text: "new",
        names: ["one", "sub"],
        refused: Object.fromEntries(
          ["", ".", "..", "a\\b", "a/b", "one:stream", "a\0b", "C:"].map((name) => [name, "EINVAL"]),
        ),
        missing: "ENOENT",
        notAFolder: "ENOTDIR",
        full: "ENOTEMPTY",
        folderMode: 0o700,
        real: path,
        capped: "EFBIG",
        closed: "EBADF",
      });
    });

    it("a folder that was moved away is refused as soon as its name leads elsewhere", async () => {
      expect(await world("moved", folder("plex"))).toEqual({ gone: "ENOENT", another: "ESTALE", made: [] });
    });

    it("a file that somebody else holds open is replaced when they let go, and left alone when they do not", async () => {
      expect(await world("held", folder(), "700")).toEqual({ renamed: "done", text: "new" });
      expect(await world("held", folder(), "600000")).toEqual({ renamed: "EPERM", text: "old" });
    });

    it("a lock that another process holds is refused, and free once that process is killed", async () => {
      const name = `registry:S-1-5-21-1-2-3-1001\\Software\\Plex, Inc.\\${node}`;
      const holder = machine.spawn("Z:\\node\\node.exe", [SCRIPT, "lock", name, "stay"]);
      await holder.prints('"held"');
      expect(await world("lock", name)).toBe("over");
      const { stdout } = await machine.node(SCRIPT, ["lock", name]);
      expect(stdout).toContain('"refused"');
      holder.kill();
      await until("the lock is free", async () => (await world("lock", name, "again")) === "held again");
    });

    it("a lock calls nobody, and who has a pipe of its name does not hold it", async () => {
      expect(await world("lured", `lured-${node}`)).toEqual({ others: 0, held: true });
    });

    it("a lock is refused where something else has its name", async () => {
      expect(await world("taken", `taken-${node}`)).toBe("refused");
    });

    it("a lock whose name would have to be cut is refused", async () => {
      expect(await world("longLock", "x".repeat(240))).toBe("ENAMETOOLONG");
      expect(await world("longLock", "x".repeat(239))).toBe("held");
    });

    it("programs are found in the system's folder alone, and tell how they ended", async () => {
      expect(await world("run", "hostname", "{}")).toMatchObject({ status: 0, stdout: "PLEXBOX\r\n" });
      expect(await world("run", "node", "{}")).toBe("ENOENT");
      expect(await world("run", "Z:\\node\\node.exe", "-p", "process.argv[1]", "a  b", "{}")).toMatchObject({
        status: 0,
        stdout: "a  b\n",
      });
    });

    it("a command line is cmd's, in the system's folder, with nothing of our environment", async () => {
      const env = { foo: "x y", path: "C:\\q" };
      const line = `echo "a  b"& echo %FOO%& echo %PATH%& cd& echo %PLEX_CLAIM%& exit 7`;
      const { stdout } = await machine.node(SCRIPT, ["run", line, JSON.stringify({ shell: true, env })], {
        env: { PLEX_CLAIM: "claim-secret" },
      });
      const { status, stdout: said } = JSON.parse(stdout) as { status: number; stdout: string };
      expect(said.split("\r\n").map((each) => each.trimEnd())).toEqual([
        '"a  b"',
        "x y",
        "C:\\q",
        SYSTEM,
        "%PLEX_CLAIM%",
        "",
      ]);
      expect(status).toBe(7);
    });

    it("at the deadline a command ends with all that it has started", async () => {
      const sleeper = "console.log(process.pid);setInterval(()=>0,1000)";
      const line = `Z:\\node\\node.exe -e "${sleeper}"`;
      const options = JSON.stringify({ shell: true, timeoutMs: 3_000 });
      const ran = (await world("run", line, options)) as { stdout: string };
      expect(ran).toMatchObject({ status: null, timedOut: true });
      const pid = /^\d+/.exec(ran.stdout)?.[0] ?? expect.unreachable("it never ran");
      await until("it has ended", async () => (await world("process", pid)) === null);
    });

    it("a start command may be the server itself: it is left running, and lives on without us", async () => {
      const path = folder();
      const beat = `require('fs').appendFileSync('${path.replaceAll("\\", "/")}/beats','.')`;
      const start = `Z:\\node\\node.exe -e "setInterval(()=>{console.log('line');${beat}},50)"`;
      expect(await world("command", "exit 0", start)).toEqual({ stopped: "none", started: "none" });
      const beats = () => readFileSync(machine.hostPath(`${path}\\beats`)).length;
      const before = beats();
      await until("it goes on", () => beats() > before + 20);
      expect(await world("command", "exit 5", "exit 3")).toEqual({
        stopped: { code: "STOP_FAILED", command: "exit 5", detail: "status=5" },
        started: { code: "START_FAILED", command: "exit 3", detail: "status=3" },
      });
    });

    it("a start command that is still at work when we end goes on to its end", async () => {
      const path = folder();
      const go = `require('fs').existsSync('${path.replaceAll("\\", "/")}/go')`;
      const wait = `Z:\\node\\node.exe -e "const t=setInterval(()=>{if(${go})clearInterval(t)},50)"`;
      const line = `${wait}& echo over> ${path}\\end`;
      expect(await world("command", "exit 0", line)).toEqual({ stopped: "none", started: "none" });
      const end = machine.hostPath(`${path}\\end`);
      expect(existsSync(end), "nobody has waited for it").toBe(false);
      writeFileSync(machine.hostPath(`${path}\\go`), "");
      await until("it has come to its end", () => existsSync(end));
    });

    it.each(["default", LONG])("the state directory is made and found again (%s)", async (path) => {
      const answer = await world("state", path);
      const at = path === "default" ? "C:\\users\\root\\AppData\\Local\\plex-reclaim" : path;
      expect(answer).toMatchObject({ at, before: null, again: at, backup: "second", journal: "{}\n[]\n" });
    });

    it("a folder that others may enter is no state directory", async () => {
      const path = folder();
      expect(await world("state", path)).toMatchObject({
        problem: { code: "STATE_DIRECTORY_UNUSABLE", path, reason: "mode" },
      });
    });

    it("a word of a line is itself for a program that cmd starts", async () => {
      const words = [
        "plain",
        "two  blanks",
        "C:\\with blank\\",
        'say "hi" & <bye>',
        "100%",
        "%PATH%",
        "%PATH:~0,3%",
        "a^b",
        "(x)",
        "Привет",
        "",
      ];
      const print = "console.log(JSON.stringify(process.argv.slice(1)))";
      const line = windowsLine(["Z:\\node\\node.exe", "-e", print, "--", ...words]);
      const ran = (await world("run", line, JSON.stringify({ shell: true }))) as { stdout: string };
      expect(JSON.parse(ran.stdout)).toEqual(words);
    });

    it("text for a file is in the console's code page, and JSON is ASCII", async () => {
      const path = folder();
      const program = `Z:\\node\\node.exe ${PROGRAM_IN_WINE}`;
      const terminal = await machine.terminal("cmd.exe", [
        "/c",
        `chcp 866 & ${program} help status --lang ru > ${path}\\text & ${program} status --json --settings C:\\Привет > ${path}\\json`,
      ]);
      expect(await terminal.ended()).toMatchObject({ status: 0 });
      await terminal.close();
      const text = new TextDecoder("ibm866").decode(readFileSync(machine.hostPath(`${path}\\text`)));
      expect(text).toContain("Посмотреть на все серверы.");
      const json = readFileSync(machine.hostPath(`${path}\\json`), "latin1");
      expect(json).toMatch(/^[\0-\x7f]+$/);
      expect(JSON.parse(json)).toMatchObject({ servers: [{ settings: "C:\\Привет" }] });
    });

    it("a question is answered at the console itself while standard input holds something else", async () => {
      const asker = `${PROJECT_IN_WINE}\\test\\terminal\\ask.ts`;
      const line = `echo no terminal | Z:\\node\\node.exe ${asker} confirm input-taken`;
      const terminal = await machine.terminal("cmd.exe", ["/c", line]);
      await terminal.shows("[y/N]");
      await terminal.type("y");
      await terminal.press("Enter");
      expect((await terminal.ended()).screen).toContain("<true true>");
      await terminal.close();
    });
  },
);
