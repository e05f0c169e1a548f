import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { linuxProcesses } from "../../src/world/processes.ts";
import type { ProcessInfo } from "../../src/world/world.ts";
import { idleScript, plexNamedProgram, started } from "./plex-named-process.ts";
import { needs, scratchFolder, until } from "./scratch.ts";

const root = process.getuid?.() === 0;
const processes = linuxProcesses(process.pid);

async function found(pid: number): Promise<ProcessInfo | undefined> {
  return (await processes.plexMediaServers()).find((one) => one.pid === pid);
}

test("a server is found with all that there is to know about it", async () => {
  const base = scratchFolder();
  const program = plexNamedProgram(base);
  const script = idleScript(base);
  const { pid, child } = await started(program, [script, "two words", ""], {
    PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR: "/srv/with space=and sign",
    EMPTY: "",
  });

  const info = await found(pid);
  expect(info).toMatchObject({
    pid,
    parent: process.pid,
    uid: process.geteuid?.(),
    shortName: "Plex Media Serv",
    args: [program, script, "two words", ""],
    executable: program,
    sameNamespace: true,
    env: {
      PATH: "/usr/bin:/bin",
      PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR: "/srv/with space=and sign",
      EMPTY: "",
    },
    cgroup: readFileSync(`/proc/${pid}/cgroup`, "utf8"),
  });
  expect(["R", "S", "D"]).toContain(info?.state);
  const clockTicks = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  expect(info?.startTicks).toBeGreaterThan(0);
  expect(info?.startTicks).toBeLessThanOrEqual((uptime + 1) * clockTicks);
  expect((await found(pid))?.startTicks).toBe(info?.startTicks);

  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await found(pid)).toBeUndefined();
});

test("a server that gave itself a misleading name is found by its executable", async () => {
  const base = scratchFolder();
  const program = plexNamedProgram(base);
  const { pid } = await started(program, [idleScript(base, 'process.title = "x) Z 0 (y) 1";')]);
  await until("it has its new name", async () => (await found(pid))?.shortName === "x) Z 0 (y) 1");
  expect(await found(pid)).toMatchObject({ executable: program, parent: process.pid });
  expect((await found(pid))?.state).not.toBe("Z");
});

test("a server whose executable was replaced by an update is found under its old path", async () => {
  const base = scratchFolder();
  const program = plexNamedProgram(base);
  const { pid } = await started(program, [idleScript(base)]);
  rmSync(program);
  expect(readFileSync(`/proc/${pid}/comm`, "utf8")).toBe("Plex Media Serv\n");
  expect(await found(pid)).toMatchObject({ executable: program });
});

test("what only mentions a server is none", async () => {
  const base = scratchFolder();
  const log = join(base, "Plex Media Server.log");
  writeFileSync(log, "line\n");
  const tail = await started("tail", ["-f", log]);
  const node = await started(process.execPath, [idleScript(base, ""), join(base, "Plex Media Server")]);
  expect(await found(tail.pid)).toBeUndefined();
  expect(await found(node.pid)).toBeUndefined();
});

test("a program of another name is found where its path is asked for", async () => {
  const base = scratchFolder();
  const { pid } = await started(process.execPath, [idleScript(base, "")]);
  const executable = realpathSync(process.execPath);
  expect((await processes.plexMediaServers(executable)).map((one) => one.pid)).toContain(pid);
  const others = await processes.plexMediaServers(join(base, "another"));
  expect(others.map((one) => one.pid)).not.toContain(pid);
});

test("a script that bears the name shows the shell as its executable", async () => {
  const base = scratchFolder();
  const script = join(base, "Plex Media Server");
  writeFileSync(script, "#!/bin/sh\necho ready\nwhile :; do sleep 0.1; done\n");
  chmodSync(script, 0o755);
  const { pid } = await started(script, []);
  const info = await found(pid);
  expect(info?.shortName).toBe("Plex Media Serv");
  expect(info?.executable).not.toContain("Plex");
});

test("a server in another process namespace is marked so", async (context) => {
  needs(context, root, "root, for a process namespace or another account");
  const base = scratchFolder();
  const program = plexNamedProgram(base);
  const { pid } = await started("unshare", ["--pid", "--fork", "--kill-child", program, idleScript(base)]);
  const info = (await processes.plexMediaServers()).find((one) => one.parent === pid);
  expect(info).toMatchObject({ executable: program, sameNamespace: false });
});

test("another account sees what it may, and null for the rest", async (context) => {
  needs(context, root, "root, for a process namespace or another account");
  const base = scratchFolder();
  chmodSync(base, 0o755);
  writeFileSync(join(base, "unnamed.cjs"), 'console.log("ready"); setInterval(() => undefined, 1000);');
  const program = plexNamedProgram(base);
  const script = idleScript(base);
  const near = await started(program, [script]);
  const plain = await started(program, [join(base, "unnamed.cjs")]);
  const far = await started("unshare", ["--pid", "--fork", "--kill-child", program, script]);

  const view = join(base, "view.mjs");
  const source = new URL("../../src/world/processes.ts", import.meta.url).pathname;
  const bundle = execFileSync(process.execPath, [
    "--input-type=module",
    "-e",
    STRIP,
    source,
    join(base, "stripped"),
  ]);
  expect(bundle.toString()).toBe("");
  writeFileSync(
    view,
    `import { linuxProcesses } from "./stripped/processes.mjs";
     console.log(JSON.stringify(await linuxProcesses(process.pid).plexMediaServers()));`,
  );
  const output = execFileSync("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", program, view]);
  const seen: ProcessInfo[] = JSON.parse(output.toString());

  expect(seen.find((one) => one.pid === near.pid)).toMatchObject({
    uid: 0,
    shortName: "Plex Media Serv",
    args: [program, script],
    executable: null,
    env: null,
    sameNamespace: true,
  });
  const unnamed = seen.find((one) => one.pid === plain.pid);
  expect(unnamed).toMatchObject({ args: [program, join(base, "unnamed.cjs")], executable: null });
  expect(unnamed?.shortName).not.toContain("Plex");
  expect(seen.find((one) => one.parent === far.pid)).toMatchObject({
    executable: null,
    sameNamespace: false,
  });
});

/** Writes the source and what it imports as plain JavaScript to where any account can read it. */
const STRIP = `
  import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
  import { stripTypeScriptTypes } from "node:module";
  import { dirname, join } from "node:path";
  process.removeAllListeners("warning").on("warning", () => undefined);
  const [source, target] = process.argv.slice(1);
  mkdirSync(target, { mode: 0o755 });
  for (const name of ["processes", "attempt", "world"]) {
    const code = stripTypeScriptTypes(readFileSync(join(dirname(source), name + ".ts"), "utf8"));
    writeFileSync(join(target, name + ".mjs"), code.replace(/(from "[^"]+)\\.ts"/g, '$1.mjs"'));
  }
`;

test("entries that vanish or make no sense are left out, and never throw", async () => {
  const base = scratchFolder();
  mkdirSync(join(base, "12"));
  const stat = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.string({ maxLength: 20 }).map((name) => `12 (Plex Media Serv) S ${name}`),
  );
  await fc.assert(
    fc.asyncProperty(stat, fc.option(fc.string()), fc.option(fc.string()), async (line, status, environ) => {
      for (const [name, content] of Object.entries({ stat: line, status, environ })) {
        if (content === null) rmSync(join(base, "12", name), { force: true });
        else writeFileSync(join(base, "12", name), content);
      }
      expect(await linuxProcesses(1, base).plexMediaServers()).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

test("a folder of processes that cannot be listed is a refused call", async () => {
  const nowhere = linuxProcesses(1, join(scratchFolder(), "none"));
  await expect(nowhere.plexMediaServers()).rejects.toMatchObject({ name: "SystemError", code: "ENOENT" });
});
