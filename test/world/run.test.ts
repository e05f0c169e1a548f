import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { realFiles } from "../../src/world/files.ts";
import { run } from "../../src/world/run.ts";
import { runOnWindows } from "../../src/world/run-on-windows.ts";
import { scratchFolder, until } from "./scratch.ts";

const generous = { timeoutMs: 60_000 };
const MEBIBYTE = 1024 * 1024;

/** Fields of /proc/PID/stat from the state (field 3) on; null when the process is no more. */
function stat(pid: number | "self"): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null;
  }
}

/** A zombie that nobody has collected yet does not live. */
function lives(pid: number): boolean {
  const state = stat(pid)?.[0];
  return state !== undefined && state !== "Z" && state !== "X";
}

test("output, errors and exit status come back", async () => {
  expect(await run("sh", ["-c", "echo out; echo err >&2; exit 7"], generous)).toEqual({
    status: 7,
    signal: null,
    timedOut: false,
    stdout: "out\n",
    stderr: "err\n",
  });
});

test("a program that was ended by a signal has no exit status", async () => {
  expect(await run("sh", ["-c", "kill -9 $$"], generous)).toMatchObject({ status: null, signal: "SIGKILL" });
});

test("a child sees a fixed environment and nothing of ours", async () => {
  process.env["PLEX_RECLAIM_TEST_SECRET"] = "leaked";
  onTestFinished(() => {
    delete process.env["PLEX_RECLAIM_TEST_SECRET"];
  });
  const { stdout } = await run("env", [], { ...generous, env: { GIVEN: "yes" } });
  expect(stdout.trim().split("\n").sort()).toEqual([
    "GIVEN=yes",
    "LANG=C",
    "LC_ALL=C",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  ]);
  expect((await run("pwd", [], generous)).stdout).toBe("/\n");
});

test("a child has a session of its own, out of reach of our terminal's Ctrl-C", async () => {
  const { stdout } = await run("cat", ["/proc/self/stat"], generous);
  const [, , group, session] = stdout.slice(stdout.lastIndexOf(")") + 2).split(" ");
  expect(session).toBe(stdout.split(" ")[0]);
  expect(group).toBe(session);
  expect(session).not.toBe(stat("self")?.[3]);
});

test("a command line runs in a shell, with its arguments in their places", async () => {
  const { stdout } = await run('echo "$1-$2" | tr a-z A-Z', ["one", "two words"], {
    ...generous,
    shell: true,
  });
  expect(stdout).toBe("ONE-TWO WORDS\n");
});

test("bytes that are no UTF-8 are replaced", async () => {
  expect((await run("printf", ["a\\377b\\303\\251"], generous)).stdout).toBe("a\uFFFDbé");
});

test("a program that is not there, or may not run, is a refused call", async () => {
  const plain = join(scratchFolder(), "plain");
  writeFileSync(plain, "text");
  chmodSync(plain, 0o644);
  await expect(run("/no/such/program", [], generous)).rejects.toMatchObject({
    name: "SystemError",
    code: "ENOENT",
    call: "spawn",
    path: "/no/such/program",
  });
  await expect(run(plain, [], generous)).rejects.toMatchObject({ code: "EACCES", call: "spawn" });
  await expect(run("a\0b", [], generous)).rejects.toMatchObject({ code: "EINVAL", call: "spawn" });
});

test("standard input is given, and need not be read", async () => {
  expect((await run("cat", [], { ...generous, stdin: "привет" })).stdout).toBe("привет");
  expect((await run("true", [], { ...generous, stdin: "x".repeat(5 * MEBIBYTE) })).status).toBe(0);
  expect((await run("cat", [], generous)).stdout).toBe("");
});

test("files are handed over as descriptors 3 and 4, and no other of ours", async () => {
  const base = scratchFolder();
  const folder = await realFiles().openFolder(base);
  const opened = [];
  for (const name of ["three", "four", "kept"]) {
    writeFileSync(join(base, name), name);
    opened.push(await folder.openFile(name, "read"));
  }
  const { stdout } = await run("sh", ["-c", "cat <&4; cat <&3; readlink /proc/self/fd/*"], {
    ...generous,
    pass: opened.slice(0, 2).reverse(),
  });
  expect(stdout.startsWith("threefour")).toBe(true);
  expect(stdout).toContain(join(base, "three"));
  expect(stdout).not.toContain(join(base, "kept"));
  expect(stdout.split("\n")).not.toContain(base);
  for (const file of opened) await file.close();
  await folder.close();
});

test("output past a mebibyte is read away, and the program ends by itself", async () => {
  const line = "head -c 5000000 /dev/zero | tr '\\0' x; head -c 5000000 /dev/zero | tr '\\0' y >&2; exit 3";
  const result = await run(line, [], { ...generous, shell: true });
  expect(result.status).toBe(3);
  expect(result.stdout).toBe("x".repeat(MEBIBYTE));
  expect(result.stderr).toBe("y".repeat(MEBIBYTE));
});

test("at the deadline a program is asked to end, and its last words are kept", async () => {
  const line = 'trap "echo bye; exit 5" TERM; echo ready; while :; do sleep 0.05; done';
  const result = await run(line, [], { timeoutMs: 1_500, shell: true });
  expect(result).toMatchObject({ status: null, signal: null, timedOut: true, stdout: "ready\nbye\n" });
});

test("at the deadline the whole group ends, also those that will not be asked", async () => {
  const line = 'trap "" TERM; sleep 1000 & echo $!; sleep 1000 & echo $!; echo $$; wait';
  const result = await run(line, [], { timeoutMs: 1_500, shell: true });
  expect(result).toMatchObject({ status: null, signal: "SIGKILL", timedOut: true });
  const pids = result.stdout.trim().split("\n").map(Number);
  expect(pids).toHaveLength(3);
  for (const pid of pids) await until(`process ${pid} is gone`, () => !lives(pid));
});

test("at the deadline a background process ends although its shell obeyed at once", async () => {
  const line = '(trap "" TERM; while :; do sleep 0.05; done) & echo $!; wait';
  const result = await run(line, [], { timeoutMs: 1_500, shell: true });
  expect(result.timedOut).toBe(true);
  const pid = Number(result.stdout);
  expect(pid).toBeGreaterThan(1);
  await until(`process ${pid} is gone`, () => !lives(pid));
});

test("who has called may end it before its deadline, its group with it", async () => {
  const caller = new AbortController();
  const base = scratchFolder();
  const line = 'trap "" TERM; sleep 1000 & echo $! >"$1.part"; mv "$1.part" "$1"; wait';
  const running = run(line, [join(base, "pid")], { ...generous, shell: true, signal: caller.signal });
  await until("it runs", () => existsSync(join(base, "pid")));
  const pid = Number(readFileSync(join(base, "pid"), "utf8"));
  expect(lives(pid)).toBe(true);
  caller.abort();
  expect(await running).toMatchObject({ status: null, timedOut: true });
  await until(`process ${pid} is gone`, () => !lives(pid));
});

test("who has left already gets no end of it, and one that ended is not ended again", async () => {
  const left = AbortSignal.abort();
  expect(await run("sleep", ["1000"], { ...generous, signal: left })).toMatchObject({ timedOut: true });
  const caller = new AbortController();
  const ended = await run("true", [], { ...generous, signal: caller.signal });
  caller.abort();
  expect(ended).toMatchObject({ status: 0, timedOut: false });
});

test("who has called may end it on Windows as well", async () => {
  const caller = new AbortController();
  const folder = scratchFolder();
  const path = join(folder, "pid");
  const words = ["-c", 'echo $$ >"$1"; exec /bin/sleep 1000', "sh", path];
  // Without its `taskkill` the program alone is ended.
  const running = runOnWindows(folder, "/bin/sh", words, { ...generous, signal: caller.signal });
  await until("it runs", () => existsSync(path) && readFileSync(path, "utf8").endsWith("\n"));
  caller.abort();
  expect(await running).toMatchObject({ status: null, timedOut: true });
  expect(lives(Number(readFileSync(path, "utf8")))).toBe(false);
});

test("a server left in the background neither holds us up nor dies of its next line", async () => {
  const base = scratchFolder();
  const beat = join(base, "beat");
  const line = '(while :; do echo out; echo err >&2; echo x >> "$1"; sleep 0.02; done) & echo $!';
  const result = await run(line, [beat], { ...generous, shell: true });
  const pid = Number(result.stdout.split("\n").find((word) => /^\d+$/.test(word)));
  onTestFinished(() => {
    if (lives(pid)) process.kill(pid, "SIGKILL");
  });
  expect(result).toMatchObject({ status: 0, timedOut: false });

  const beats = () => (existsSync(beat) ? readFileSync(beat).length : 0);
  const then = beats();
  await until("it has written many lines more", () => beats() > then + 40);
  expect(lives(pid)).toBe(true);

  process.kill(pid, "SIGKILL");
  await until("nothing of us is left behind it", () => ownChildren("cat").length === 0);
});

function ownChildren(name: string): string[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        const isNamed = readFileSync(`/proc/${pid}/comm`, "utf8").trim() === name;
        return isNamed && stat(Number(pid))?.[1] === String(process.pid) && lives(Number(pid));
      } catch {
        return false;
      }
    });
}

test("a mere name is looked for in the system's folders, and in no PATH", async () => {
  const folder = scratchFolder();
  for (const name of ["getfattr", "plex-reclaim-no-such-tool"]) {
    writeFileSync(join(folder, name), "#!/bin/sh\necho mine\n");
    chmodSync(join(folder, name), 0o755);
  }
  const env = { PATH: `${folder}:/usr/bin:/bin` };
  await expect(run("plex-reclaim-no-such-tool", [], { ...generous, env })).rejects.toMatchObject({
    code: "ENOENT",
    call: "spawn",
  });
  const ended = await run("getfattr", ["--version"], { ...generous, env }).catch(() => null);
  expect(ended?.stdout).not.toBe("mine\n");
  expect((await run(join(folder, "getfattr"), [], generous)).stdout).toBe("mine\n");
});
