// Calls the native port on the Windows that runs this, and says what it saw: one line a check, `ok` or `FAILED`, then
// what it cost. Leaves nothing behind. Made for a real Windows as well, elevated and not:
//   node check.mjs [folder of the built program, default ../../../dist]
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { basename, join, resolve, win32 } from "node:path";
import { pathToFileURL } from "node:url";

const began = performance.now();
const dist =
  process.argv[2] ?? new URL("../../../dist", import.meta.url).pathname.replace(/^\/(?=[A-Za-z]:)/, "");
const { windowsSystem } = await import(pathToFileURL(resolve(dist, "world/windows/system.js")).href);
const imported = performance.now();
const windows = windowsSystem();
const self = windows.self;
const ready = performance.now();

let failures = 0;
async function check(what, body) {
  try {
    const seen = await body();
    console.log(`ok      ${what}${seen === undefined ? "" : `: ${JSON.stringify(seen)}`}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED  ${what}: ${error.stack}`);
  }
}

const refused = (code) => (error) => error.name === "SystemError" && error.code === code;
const { registry, accounts, processes, services, folders } = windows;

const name = `plex-reclaim check ${randomBytes(6).toString("hex")}`;
const key = { root: "HKEY_USERS", path: `${self.sid}\\Software\\${name}\\Plex, Inc.\\Büro 日本 🎬` };
const bytesOf = (...bytes) => Uint8Array.from(bytes);
const text = (value) => Uint8Array.from(Buffer.from(`${value}\0`, "utf16le"));
const VALUES = [
  { name: "", type: 1, bytes: text("the default value") },
  { name: "REG_NONE", type: 0, bytes: bytesOf(1, 2, 3) },
  { name: "REG_SZ", type: 1, bytes: text("Büro 日本 🎬 \ud800") },
  { name: "REG_SZ empty", type: 1, bytes: bytesOf() },
  { name: "REG_SZ of its NUL", type: 1, bytes: bytesOf(0, 0) },
  { name: "REG_SZ without NUL", type: 1, bytes: bytesOf(0x61, 0, 0x62, 0) },
  { name: "REG_SZ odd", type: 1, bytes: bytesOf(0x61, 0, 0x62) },
  { name: "REG_SZ of one byte", type: 1, bytes: bytesOf(0x61) },
  { name: "REG_SZ of two NULs", type: 1, bytes: bytesOf(0x61, 0, 0, 0, 0, 0) },
  { name: "REG_EXPAND_SZ", type: 2, bytes: text("%SystemRoot%\\x") },
  { name: "REG_EXPAND_SZ without NUL", type: 2, bytes: bytesOf(0x25, 0) },
  { name: "REG_BINARY", type: 3, bytes: bytesOf(0, 255, 0, 255) },
  { name: "REG_DWORD", type: 4, bytes: bytesOf(1, 0, 0, 0) },
  { name: "REG_DWORD of three bytes", type: 4, bytes: bytesOf(1, 0, 0) },
  { name: "REG_DWORD_BIG_ENDIAN", type: 5, bytes: bytesOf(0, 0, 0, 1) },
  { name: "REG_MULTI_SZ", type: 7, bytes: text("a\0b\0") },
  { name: "REG_MULTI_SZ without end", type: 7, bytes: bytesOf(0x61, 0) },
  { name: "REG_RESOURCE_LIST", type: 8, bytes: bytesOf(9) },
  { name: "REG_QWORD", type: 11, bytes: bytesOf(255, 255, 255, 255, 255, 255, 255, 127) },
  { name: "no type that is known", type: 0xfffffffe, bytes: bytesOf(7) },
  { name: '日本 🎬 \udfff "quoted" =;[]', type: 1, bytes: text("a name in any script") },
  { name: "back\\slash", type: 1, bytes: text("x") },
  { name: "n".repeat(16_383), type: 1, bytes: text("the longest name") },
  { name: "1 MB", type: 3, bytes: Uint8Array.from(randomBytes(1024 * 1024)) },
];
const sorted = (values) => [...values].sort((one, other) => (one.name < other.name ? -1 : 1));

await check("who we are", () => {
  assert.match(self.sid, /^S-1-5-/);
  assert.equal(typeof self.elevated, "boolean");
  assert.equal(typeof self.split, "boolean");
  assert.ok(self.session >= 0);
  return self;
});

await check("where the system keeps its folders", () => {
  assert.match(windows.machine.systemFolder, /^[A-Z]:\\.*\\system32$/i);
  assert.ok(existsSync(join(windows.machine.systemFolder, "cmd.exe")));
  assert.equal(windows.machine.programData.toLowerCase(), process.env["ProgramData"].toLowerCase());
  return windows.machine;
});

await check("a key that is not there", async () => {
  assert.equal(await registry.values(key), null);
  assert.equal(await registry.subkeys(key), null);
  await assert.rejects(registry.mayWrite(key), refused("ENOENT"));
  await assert.rejects(registry.setValue(key, VALUES[0]), refused("ENOENT"));
  await assert.rejects(registry.flush(key), refused("ENOENT"));
});

await check("a key is made with its parents, and stays when made again", async () => {
  await registry.createKey(key);
  assert.deepEqual(await registry.values(key), []);
  assert.equal(await registry.mayWrite(key), true);
  await registry.setValue(key, VALUES[0]);
  await registry.createKey(key);
  assert.equal((await registry.values(key)).length, 1);
  const parent = { ...key, path: win32.dirname(key.path) };
  assert.deepEqual(await registry.subkeys(parent), ["Büro 日本 🎬"]);
});

await check(`${VALUES.length} values come back byte for byte`, async () => {
  for (const value of VALUES) await registry.setValue(key, value);
  assert.deepEqual(sorted(await registry.values(key)), sorted(VALUES));
  await registry.flush(key);
  for (const value of VALUES) await registry.setValue(key, value);
  assert.deepEqual(sorted(await registry.values(key)), sorted(VALUES));
});

await check("a value is taken away once, and a second time is no error", async () => {
  for (let times = 0; times < 2; times += 1) {
    await registry.deleteValue(key, "REG_SZ");
    await registry.deleteValue(key, "");
  }
  const names = new Set((await registry.values(key)).map((value) => value.name));
  assert.equal(names.size, VALUES.length - 2);
  assert.ok(!names.has("REG_SZ") && !names.has(""));
});

await check("names and sizes that Windows has not", async () => {
  await assert.rejects(registry.setValue(key, { ...VALUES[0], name: "a\0b" }), refused("EINVAL"));
  await assert.rejects(registry.setValue(key, { ...VALUES[0], name: "n".repeat(16_384) }), refused("EINVAL"));
  const bytes = new Uint8Array(16 * 1024 * 1024 + 1);
  await assert.rejects(registry.setValue(key, { name: "big", type: 3, bytes }), refused("EFBIG"));
  await assert.rejects(registry.values({ ...key, path: `${self.sid}\\\\Software` }), refused("EINVAL"));
  await assert.rejects(registry.values({ ...key, path: `${self.sid}\\` }), refused("EINVAL"));
});

await check("the hives of all who have one", async () => {
  const hives = await registry.subkeys({ ...key, path: "" });
  assert.ok(hives.includes(self.sid));
  return hives;
});

await check("HKEY_LOCAL_MACHINE, both views", async () => {
  const windowsKey = { root: "HKEY_LOCAL_MACHINE", path: "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion" };
  const version = async (view) => {
    const values = await registry.values({ ...windowsKey, ...view });
    const root = values?.find((value) => value.name === "SystemRoot");
    return root === undefined ? undefined : Buffer.from(root.bytes).toString("utf16le").replace(/\0$/, "");
  };
  assert.match(await version({}), /windows/i);
  assert.equal(await registry.values({ ...windowsKey, path: "SOFTWARE\\no such key" }), null);
  return { mayWrite: await registry.mayWrite(windowsKey), view32: await version({ view: "32" }) };
});

await check("a hive that is no hive", async () => {
  const file = join(tmpdir(), name);
  writeFileSync(file, "no hive");
  try {
    await assert.rejects(registry.loadHive(name, file), (error) => {
      assert.equal(error.name, "SystemError");
      console.log(`        loadHive: ${error.code}`);
      return true;
    });
  } finally {
    rmSync(file, { force: true });
  }
  await assert.rejects(registry.loadHive(name, "relative"), refused("EINVAL"));
  // Wine is content with a hive that is not there.
  await registry.unloadHive(name).then(
    () => console.log("        unloadHive: no error"),
    (error) => console.log(`        unloadHive: ${error.code}`),
  );
});

await check("accounts", async () => {
  const own = await accounts.nameOf(self.sid);
  assert.match(own, /\\/);
  assert.equal(await accounts.sidOf(own), self.sid);
  assert.equal(await accounts.sidOf("LocalSystem"), "S-1-5-18");
  assert.equal(await accounts.sidOf("NT AUTHORITY\\LocalService"), "S-1-5-19");
  assert.match(await accounts.nameOf("S-1-5-18"), /\\/);
  assert.equal(await accounts.nameOf("S-1-5-21-1-2-3-4"), null);
  assert.equal(await accounts.nameOf("nonsense"), null);
  assert.equal(await accounts.sidOf("no such account 4711"), null);
  assert.equal(await accounts.sidOf(""), null);
  const service = await accounts.sidOf("NT SERVICE\\no such service 4711");
  return { own, everybody: await accounts.nameOf("S-1-1-0"), service, computer: hostname() };
});

await check("the account by its short names", async () => {
  const own = await accounts.nameOf(self.sid);
  const short = win32.basename(own);
  assert.equal(await accounts.sidOf(short), self.sid);
  assert.equal(await accounts.sidOf(`.\\${short}`), self.sid);
});

await check("processes", async () => {
  const list = await processes.list();
  const own = list.find((process) => process.pid === processes.ownPid);
  assert.equal(own.name.toLowerCase(), basename(process.execPath).toLowerCase());
  assert.equal(own.parent, process.ppid);
  const details = await processes.details(processes.ownPid);
  assert.equal(details.executable.toLowerCase(), process.execPath.toLowerCase());
  assert.deepEqual(details.owner, { sid: self.sid, elevated: self.elevated });
  assert.equal(details.session, self.session);
  const started = details.startedMs - 11_644_473_600_000;
  assert.ok(Math.abs(started - (Date.now() - 1_000 * process.uptime())) < 5_000);
  assert.equal(await processes.details(0x7ffffffc), null);
  return list.length;
});

await check("every process says what may be seen of it", async () => {
  const seen = { own: 0, others: 0, another: 0, hidden: 0, ended: 0 };
  for (const { pid } of await processes.list()) {
    const details = await processes.details(pid);
    if (details === null) seen.ended += 1;
    else if (typeof details.owner === "string") seen[details.owner] += 1;
    else seen[details.owner.sid === self.sid ? "own" : "others"] += 1;
    if (details !== null) assert.notEqual(details.session, null);
  }
  return seen;
});

await check("windows of a process that has none", async () => {
  assert.equal(await processes.closeWindows(0x7ffffffc), 0);
});

await check("services", async () => {
  const list = await services.list();
  assert.ok(list.length > 0);
  for (const service of list) {
    assert.notEqual(service.name, "");
    assert.notEqual(service.command, "");
    assert.notEqual(service.account, "");
    assert.equal(service.pid === 0, service.state === "stopped");
  }
  const [first] = list;
  assert.equal((await services.query(first.name)).command, first.command);
  assert.equal(await services.query("no such service"), null);
  await assert.rejects(services.mayControl("no such service"), refused("ENOENT"));
  await assert.rejects(services.stop("no such service"), refused("ENOENT"));
  await assert.rejects(services.start("no such service"), refused("ENOENT"));
  return { number: list.length, first, mayControl: await services.mayControl(first.name) };
});

await check("a private folder, in a path of more than 260 characters too", async () => {
  const base = mkdtempSync(join(tmpdir(), "plex-reclaim-check-"));
  try {
    let path = base;
    const seen = [];
    for (let depth = 0; depth < 5; depth += 1) {
      path = join(path, `${depth}-${"ü".repeat(80)}`);
      await folders.makePrivate(path);
      await assert.rejects(folders.makePrivate(path), refused("EEXIST"));
      assert.ok(existsSync(path));
      const access = await folders.accessOf(path);
      seen.push(access);
    }
    writeFileSync(join(path, "file"), "x");
    const file = await folders.accessOf(join(path, "file"));
    await assert.rejects(folders.makePrivate(join(base, "none", "below")), refused("ENOENT"));
    await assert.rejects(folders.accessOf(join(base, "none")), refused("ENOENT"));
    return {
      path: path.length,
      folder: seen[0],
      same: new Set(seen.map((one) => JSON.stringify(one))).size === 1,
      file,
    };
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
});

await check("no handle is left open, whatever the answer is", async () => {
  const { systemLibrary } = await import(pathToFileURL(resolve(dist, "world/windows/native.js")).href);
  const kernel32 = systemLibrary("kernel32.dll");
  const create = kernel32("CreateEventW", "handle", "memory", "int32", "int32", "memory");
  const close = kernel32("CloseHandle", "int32", "handle");
  // Handles are numbered, and the lowest free number is the next.
  const nextHandle = () => {
    const handle = create(null, 0, 0, null);
    close(handle);
    return Number(handle);
  };
  const nothing = { ...key, path: `${key.path}\\none\\none` };
  const [service] = await services.list();
  const calls = [
    () => registry.values(key),
    () => registry.subkeys(key),
    () => registry.values(nothing),
    () => registry.setValue(nothing, VALUES[0]),
    () => registry.setValue(key, { ...VALUES[0], name: "a\0b" }),
    () => registry.createKey(key),
    () => registry.deleteValue(key, "none"),
    () => registry.flush(key),
    () => registry.loadHive(name, join(tmpdir(), "none")),
    () => accounts.nameOf(self.sid),
    () => processes.list(),
    () => processes.details(process.pid),
    () => processes.details(0x7ffffffc),
    () => processes.start(join(tmpdir(), "none.exe")),
    () => processes.startLike(process.pid, self.sid, join(tmpdir(), "none.exe")),
    () => services.query(service.name),
    () => services.query("no such service"),
    () => services.mayControl(service.name),
    () => folders.makePrivate(tmpdir()),
    () => folders.accessOf(tmpdir()),
  ];
  const all = async () => {
    for (const call of calls) await call().catch(() => undefined);
  };
  await all();
  const before = nextHandle();
  const times = 50;
  for (let time = 0; time < times; time += 1) await all();
  const grown = (nextHandle() - before) / 4;
  assert.ok(grown < times / 2, `${grown} more after ${times} times`);
  return grown;
});

async function cost(what, times, body) {
  await body();
  const from = performance.now();
  for (let time = 0; time < times; time += 1) await body();
  console.log(`cost    ${what}: ${((performance.now() - from) / times).toFixed(3)} ms`);
}

for (const value of VALUES.slice(-1)) await registry.deleteValue(key, value.name);
console.log(
  `cost    import: ${(imported - began).toFixed(1)} ms, native module and self: ${(ready - imported).toFixed(1)} ms`,
);
await cost(`values of a key with ${VALUES.length - 3}`, 200, () => registry.values(key));
await cost("set one value", 200, () => registry.setValue(key, VALUES[2]));
await cost("list of processes", 20, () => processes.list());
await cost("details of one process", 200, () => processes.details(process.pid));
await cost("list of services", 5, () => services.list());
await cost("one service", 50, () => services.query("EventLog"));

await check("nothing is left", async () => {
  const top = { ...key, path: `${self.sid}\\Software\\${name}` };
  const reg = win32.join(process.env["SystemRoot"], "System32", "reg.exe");
  spawnSync(reg, ["delete", `HKU\\${top.path}`, "/f"], { stdio: "ignore" });
  assert.equal(await registry.values(top), null);
});
process.exitCode = failures === 0 ? 0 : 1;
