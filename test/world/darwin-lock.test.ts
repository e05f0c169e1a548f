import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  fstatSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { fileLock } from "../../src/world/darwin-lock.ts";
import { openAsOnMac } from "./kernel-lock.ts";
import { needs, refusal, scratchFolder, until } from "./scratch.ts";

const LOCK = new URL("../../src/world/darwin-lock.ts", import.meta.url).href;
const KERNEL_LOCK = new URL("./kernel-lock.ts", import.meta.url).href;
const STRANGER = 54_321;

/** As `/private/var/tmp`: everybody may make names there, and only remove their own. */
function folderOfAll(): string {
  const folder = scratchFolder();
  chmodSync(folder, 0o1777);
  return folder;
}

/** Another process that takes the lock and says how that went; with `stay` it then waits to be killed. */
function holder(folder: string, name: string, { stay = false, uid = -1 } = {}): ChildProcess {
  const script = `
    process.umask(0o077);
    const { fileLock } = await import(${JSON.stringify(LOCK)});
    const { openAsOnMac } = await import(${JSON.stringify(KERNEL_LOCK)});
    if (${uid} !== -1) process.setuid(${uid});
    const lock = fileLock(${JSON.stringify(folder)}, openAsOnMac);
    const said = await lock(${JSON.stringify(name)}).then((held) => (held === null ? "refused" : "held"), (error) => error.code);
    console.log(said);
    ${stay ? "setInterval(() => undefined, 1000);" : ""}
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

async function answerOf(child: ChildProcess): Promise<string> {
  const stdout = child.stdout ?? expect.unreachable();
  const [said] = (await once(stdout, "data")) as [Buffer];
  return String(said).trim();
}

/** The path of the lock of a name, which nobody holds then. */
async function pathOf(folder: string, name: string): Promise<string> {
  const held = await fileLock(folder, openAsOnMac)(name);
  const [file] = readdirSync(folder);
  await held?.release();
  return `${folder}/${file}`;
}

test("a lock that another process holds is refused, and free once that process is killed", async () => {
  const folder = folderOfAll();
  const lock = fileLock(folder, openAsOnMac);
  const name = randomUUID();
  const other = holder(folder, name, { stay: true });
  expect(await answerOf(other)).toBe("held");
  expect(await lock(name)).toBeNull();
  const elsewhere = await lock(`${name}-another`);
  expect(elsewhere).not.toBeNull();
  await elsewhere?.release();

  other.kill("SIGKILL");
  await until("the lock is free", async () => {
    const mine = await lock(name);
    await mine?.release();
    return mine !== null;
  });
  expect(readdirSync(folder), "nothing is left").toEqual([]);
});

test("a lock is held until it is released, also against its own process", async () => {
  const folder = folderOfAll();
  const lock = fileLock(folder, openAsOnMac);
  const first = await lock("name");
  expect(first).not.toBeNull();
  expect(await lock("name")).toBeNull();
  expect(await answerOf(holder(folder, "name"))).toBe("refused");
  await first?.release();
  const second = await lock("name");
  expect(second).not.toBeNull();
  await second?.release();
});

test("of many processes that want a lock at once, one has it at a time", async () => {
  const folder = folderOfAll();
  const others = [1, 2, 3, 4].map(() => holder(folder, "name", { stay: true }));
  const answers = await Promise.all(others.map(answerOf));
  expect(answers.sort()).toEqual(["held", "refused", "refused", "refused"]);
});

test("every account can take a lock that root or the same account has left behind", async (context) => {
  needs(context, process.getuid?.() === 0, "root");
  const folder = folderOfAll();
  const lock = fileLock(folder, openAsOnMac);
  const path = await pathOf(folder, "name");
  for (const owner of [0, STRANGER]) {
    writeFileSync(path, "", { mode: 0o400 });
    chownSync(path, owner, 0);
    if (owner === 0) chmodSync(path, 0o444);
    const other = holder(folder, "name", { stay: true, uid: STRANGER });
    expect(await answerOf(other)).toBe("held");
    expect(await lock("name")).toBeNull();
    other.kill("SIGKILL");
    await once(other, "exit");
    // Root may take what is a stranger's, which belongs to root from then on.
    const mine = await lock("name");
    expect(mine).not.toBeNull();
    expect(statSync(path)).toMatchObject({ uid: 0, nlink: 1, size: 0 });
    expect(statSync(path).mode & 0o7777).toBe(0o444);
    expect(await answerOf(holder(folder, "name", { uid: STRANGER }))).toBe("refused");
    await mine?.release();
  }
});

test("what another account has made keeps an ordinary account out, and it is told by its path", async (context) => {
  needs(context, process.getuid?.() === 0, "root");
  const folder = folderOfAll();
  const path = await pathOf(folder, "name");
  writeFileSync(path, "", { mode: 0o444 });
  chownSync(path, STRANGER + 1, 0);
  expect(await answerOf(holder(folder, "name", { uid: STRANGER }))).toBe("EPERM");
  expect(statSync(path).uid).toBe(STRANGER + 1);
});

test("a trap under the name is neither followed nor touched", async () => {
  const folder = folderOfAll();
  const lock = fileLock(folder, openAsOnMac);
  const path = await pathOf(folder, "name");
  const precious = `${scratchFolder()}/precious`;
  writeFileSync(precious, "", { mode: 0o640 });

  symlinkSync(precious, path);
  expect(await refusal(lock("name"))).toBe("ELOOP");
  unlinkSync(path);

  linkSync(precious, path);
  expect(await refusal(lock("name"))).toBe("EPERM");
  unlinkSync(path);
  expect(statSync(precious).mode & 0o7777).toBe(0o640);

  writeFileSync(path, "somebody's");
  expect(await refusal(lock("name"))).toBe("EPERM");
  unlinkSync(path);
  const held = await lock("name");
  expect(held).not.toBeNull();
  await held?.release();
});

test("a lock whose file loses its name meanwhile is taken again under the name", async () => {
  const folder = folderOfAll();
  const path = await pathOf(folder, "name");
  let opened = 0;
  const lock = fileLock(folder, (at) => {
    const fd = openAsOnMac(at);
    opened += 1;
    if (opened === 1) renameSync(at, `${folder}/aside`);
    return fd;
  });
  const held = await lock("name");
  expect(held).not.toBeNull();
  expect(statSync(path).isFile()).toBe(true);
  expect(await fileLock(folder, openAsOnMac)("name")).toBeNull();
  await held?.release();
});

test("a name that never stays is given up", async () => {
  const folder = folderOfAll();
  let opened = 0;
  const lock = fileLock(folder, (at) => {
    const fd = openAsOnMac(at);
    opened += 1;
    unlinkSync(at);
    return fd;
  });
  expect(await lock("name")).toBeNull();
  expect(opened).toBe(20);
});

test("a system that hands the same lock out twice is found out", async () => {
  const folder = folderOfAll();
  const opened: number[] = [];
  const lock = fileLock(folder, (path) => {
    const fd = openSync(path, "a+", 0o444);
    opened.push(fd);
    return fd;
  });
  expect(await refusal(lock("name"))).toBe("ENOLCK");
  for (const fd of opened) expect(() => fstatSync(fd), "is closed already").toThrow("EBADF");
});

test("this system, which does not know the flag, is found out as well", async () => {
  const { darwinLock } = await import("../../src/world/darwin-lock.ts");
  // No Mac: there is no such folder, or the flag means nothing.
  expect(await refusal(darwinLock(randomUUID()))).toMatch(/^(?:ENOENT|ENOLCK|EINVAL)$/);
});
