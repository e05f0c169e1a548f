// What the World of the program, as built, does on Windows: one part a call, one line of JSON as the answer.
// node world-in-windows.mjs PART [ARGUMENT…]
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { openWorld } from "../../dist/world/real.js";

// Wine gives a program its own values of some variables: these are changed when it runs.
Object.assign(process.env, JSON.parse(process.env.LATER_ENVIRONMENT ?? "{}"));
const world = await openWorld();
const { files } = world;
const [part = "", ...args] = process.argv.slice(2);

/** What a call answers, or the code of its refusal. */
async function outcome(call) {
  try {
    const value = await call;
    return value === undefined ? "done" : value;
  } catch (error) {
    if (error?.name !== "SystemError") throw error;
    return error.code;
  }
}

async function written(folder, name, text) {
  const file = await folder.createFile(name, 0o600);
  await file.write(Buffer.from(text));
  await file.sync();
  await file.close();
}

async function content(folder, name) {
  const file = await folder.openFile(name, "read");
  const bytes = await file.read(1024);
  await file.close();
  return Buffer.from(bytes).toString();
}

const parts = {
  async us() {
    const { platform, user, env } = world;
    const systemRoot = [env.SystemRoot, env.SYSTEMROOT];
    return {
      platform,
      user,
      systemRoot,
      windows: world.windows !== undefined,
      machine: world.windows.machine,
      plex: await outcome(world.processes.plexMediaServers()),
    };
  },

  async files(path) {
    const folder = await files.openFolder(`${path}\\`);
    await written(folder, "one", "1");
    const again = await outcome(folder.createFile("one", 0o600));
    const appended = await folder.openFile("one", "append");
    await appended.append(Buffer.from("2"));
    await appended.chmod(0o400);
    await appended.chown(1, 1);
    const { kind, mode, links, size } = await appended.stat();
    await appended.close();
    await folder.makeFolder("sub", 0o700);
    const sub = await folder.openFolder("sub");
    await written(sub, "inner", "i");
    await sub.sync();
    await sub.close();
    await written(folder, "two", "new");
    await folder.rename("two", "one");
    await folder.sync();
    const names = (await folder.list()).sort();
    const refused = {};
    for (const name of ["", ".", "..", "a\\b", "a/b", "one:stream", "a\0b", "C:"]) {
      refused[name] = await outcome(folder.openFile(name, "read"));
    }
    const answer = {
      again,
      stat: { kind, mode, links, size },
      text: await content(folder, "one"),
      names,
      refused,
      missing: await outcome(folder.openFile("none", "read")),
      notAFolder: await outcome(folder.openFolder("one")),
      full: await outcome(folder.removeFolder("sub")),
      folderMode: (await folder.stat()).mode,
      real: await files.realPath(path),
      capped: await outcome(files.read(`${path}\\one`, 2)),
    };
    await folder.close();
    return { ...answer, closed: await outcome(folder.list()) };
  },

  async moved(path) {
    const folder = await files.openFolder(`${path}\\plex`);
    await written(folder, "one", "1");
    const parent = await files.openFolder(path);
    await parent.rename("plex", "moved");
    const gone = await outcome(folder.lstat("one"));
    await parent.makeFolder("plex", 0o700);
    const another = await outcome(folder.createFile("two", 0o600));
    return { gone, another, made: await files.list(`${path}\\plex`) };
  },

  // Somebody else holds the file for a moment, as a scanner does, or for good.
  async held(path, holdMs) {
    const folder = await files.openFolder(path);
    await written(folder, "old", "old");
    await written(folder, "new", "new");
    const holder = await folder.openFile("old", "read");
    void sleep(Number(holdMs), undefined, { ref: false }).then(() => holder.close());
    const renamed = await outcome(folder.rename("new", "old"));
    return { renamed, text: await content(folder, "old") };
  },

  async lock(name, how) {
    const held = await world.lock(name);
    console.log(JSON.stringify(held === null ? "refused" : "held"));
    if (how === "stay") await sleep(120_000);
    await held?.release();
    if (how === "again") return (await world.lock(name)) === null ? "refused" : "held again";
    return "over";
  },

  async longLock(name) {
    const held = await outcome(world.lock(name));
    return typeof held === "string" ? held : "held";
  },

  // Something else has the name.
  async taken(name) {
    const { systemLibrary, wide } = await import("../../dist/world/windows/native.js");
    const kernel32 = systemLibrary("kernel32.dll");
    const create = kernel32("CreateEventW", "handle", "memory", "int32", "int32", "memory");
    const made = create(null, 0, 0, wide(`Global\\plex-reclaim-${name}`)) !== 0n;
    return made && (await world.lock(name)) === null ? "refused" : "held";
  },

  // Somebody has made a pipe of that name and waits for whom it may act as.
  async lured(name) {
    const pipe = `\\\\.\\pipe\\plex-reclaim-${name}`;
    let callers = 0;
    const server = createServer((caller) => {
      callers += 1;
      caller.on("error", () => undefined).destroy();
    });
    await once(server.listen(pipe), "listening");
    const held = await world.lock(name);
    await held?.release();
    // Whoever came before this one was seen before it.
    await once(connect(pipe).resume(), "close");
    server.close();
    return { others: callers - 1, held: held !== null };
  },

  async run(file, ...rest) {
    const options = JSON.parse(rest.pop() ?? "{}");
    return outcome(world.run(file, rest, { timeoutMs: 60_000, ...options }));
  },

  async process(pid) {
    const details = await world.windows.processes.details(Number(pid));
    return details === null ? null : details.executable;
  },

  async command(stop, start) {
    const { commandService } = await import("../../dist/services/command.js");
    const service = commandService(world, { stop, start });
    const problem = (call) =>
      call.then(
        () => "none",
        (error) => error.problem ?? Promise.reject(error),
      );
    return {
      stopped: await problem(service.requestStop()),
      started: await problem(service.start({ resetLimit: false })),
    };
  },

  async state(path) {
    const { openStateDirectory, existingStateDirectory, closeStateDirectory, stateDirectoryPath } =
      await import("../../dist/state/state-directory.js");
    const { writeDurably, appendLine, readIfThere } = await import("../../dist/state/durable.js");
    const at = path === "default" ? stateDirectoryPath(world) : path;
    try {
      const before = await existingStateDirectory(world, at);
      const state = await openStateDirectory(world, at);
      await writeDurably(state.backups, "settings.reg", Buffer.from("first"));
      await writeDurably(state.backups, "settings.reg", Buffer.from("second"));
      await appendLine(state.runs, "journal.jsonl", "{}");
      await appendLine(state.runs, "journal.jsonl", "[]");
      const answer = {
        at,
        before,
        backup: Buffer.from(await readIfThere(state.backups, "settings.reg")).toString(),
        journal: Buffer.from(await readIfThere(state.runs, "journal.jsonl")).toString(),
        access: await world.windows.folders.accessOf(at),
        self: world.windows.self,
      };
      await closeStateDirectory(state);
      const again = await existingStateDirectory(world, at);
      return { ...answer, again: again?.path };
    } catch (error) {
      if (error?.name !== "ProblemError") throw error;
      return { at, problem: error.problem, self: world.windows.self, cause: String(error.cause) };
    }
  },
};

console.log(JSON.stringify(await parts[part]?.(...args)));
