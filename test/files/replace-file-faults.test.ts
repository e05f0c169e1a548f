import { execFile, spawnSync } from "node:child_process";
import { appendFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { imageOf } from "../../src/stores/preferences-file.ts";
import { realWorld } from "../../src/world/real.ts";
import { SystemError, type World } from "../../src/world/world.ts";
import { contentOf, needs, PLEX, sandbox, storeProcess, strayEntries, tmpfs, tool } from "./sandbox.ts";
import { errorOf, NEW, OLD, placeSettings, storeAt } from "./settings-of-test.ts";
import { type Effect, type Watch, watchedWorld } from "./watched-world.ts";

const image = (text: string) => imageOf(Buffer.from(text));

/** One write under a watch that begins with it; `calls` are those of the write. */
async function watchedWrite(path: string, watch: Watch): Promise<{ calls: Effect[]; error?: unknown }> {
  const calls: Effect[] = [];
  let writing = false;
  const world: World = watchedWorld(realWorld(), {
    before: async (effect) => {
      if (!writing) return;
      const counted = { ...effect, index: calls.length };
      calls.push(counted);
      await watch.before?.(counted);
    },
    after: async ({ name, args }) => {
      if (writing) await watch.after?.({ name, args, index: calls.length - 1 });
    },
  });
  const store = await storeAt(path, { world });
  writing = true;
  const error = await store.write(image(OLD), image(NEW)).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  writing = false;
  return error === undefined ? { calls } : { calls, error };
}

/** Settings with an attribute, so that every program runs; answers how many calls a write of them makes. */
async function settingsAndCalls(): Promise<{ folder: string; path: string; calls: readonly Effect[] }> {
  const folder = sandbox();
  const path = decorated(folder);
  const { calls, error } = await watchedWrite(path, {});
  expect(error).toBeUndefined();
  return { folder, path, calls };
}

function decorated(folder: string): string {
  const path = placeSettings(folder, PLEX);
  tool("setfattr", "--name=trusted.note", "--value=kept", path);
  return path;
}

function expectKept(path: string): void {
  expect(statSync(path)).toMatchObject({ uid: PLEX, gid: PLEX, mode: 0o100600 });
  expect(tool("getfattr", "--absolute-names", "--dump", "--match=-", path)).toContain('trusted.note="kept"');
}

describe("when one call fails", () => {
  it.for(["before", "after"] as const)(
    "%s it is made: the settings are wholly old or wholly new, whichever call it is",
    async (phase, context) => {
      needs(context, "setfattr", "getfattr");
      const { folder, path, calls } = await settingsAndCalls();
      expect(calls.map(({ name }) => name)).toEqual(
        expect.arrayContaining(["folder.rename", "run.getfattr", "run.cp"]),
      );
      const outcomes = new Set<string>();
      for (let failing = 0; failing < calls.length; failing += 1) {
        decorated(folder);
        const { error } = await watchedWrite(path, {
          [phase]: ({ index, name }: Effect) => {
            if (index === failing) throw new SystemError("EIO", name, path);
          },
        });
        const which = `${failing} ${calls[failing]?.name}`;
        const renamed = calls.slice(0, phase === "before" ? failing : failing + 1).some(isRename);
        expect(contentOf(path), which).toBe(renamed || error === undefined ? NEW : OLD);
        expectKept(path);
        expect(strayEntries(folder), which).toEqual([]);
        // A comparison of the attributes that cannot be made counts as one that failed.
        const refusals = which.includes("run.") ? ["METADATA_NOT_KEPT"] : ["WRITE_FAILED"];
        if (error !== undefined) expect(refusals, which).toContain(codeOf(error));
        outcomes.add(error === undefined ? "done" : `threw with ${renamed ? "new" : "old"}`);
      }
      expect([...outcomes].sort()).toEqual(["done", "threw with new", "threw with old"]);
    },
  );

  it("and the removal of the new file fails too: the first refusal is told, the second kept, the next write tidies up", async () => {
    const folder = sandbox();
    const path = placeSettings(folder);
    const { error } = await watchedWrite(path, {
      before: ({ name }) => {
        if (name === "file.sync") throw new SystemError("ENOSPC", "fsync", path);
        if (name === "folder.remove") throw new SystemError("EIO", "unlink", path);
      },
    });
    expect(error).toMatchObject({
      problem: { code: "WRITE_FAILED", path, reason: "ENOSPC" },
      cause: { errors: [{ code: "ENOSPC" }, { code: "EIO" }] },
    });
    expect(strayEntries(folder)).toHaveLength(1);
    expect((await watchedWrite(path, {})).error).toBeUndefined();
    expect(strayEntries(folder)).toEqual([]);
  });

  const isRename = ({ name }: Effect): boolean => name === "folder.rename";
});

describe("when the process is killed", () => {
  it("the settings are wholly old or wholly new, at whichever call, and the next write tidies up", async (context) => {
    needs(context, "mount", "setfattr");
    const folder = sandbox();
    const path = decorated(folder);
    const bytes = join(sandbox(), "new");
    writeFileSync(bytes, NEW);
    const { file, args } = storeProcess("write", path, bytes);
    const { calls } = JSON.parse(spawnSync(file, args, { encoding: "utf8" }).stdout) as { calls: number };
    expect(calls).toBeGreaterThan(25);
    const seen = { old: 0, new: 0, left: 0 };
    for (let killAt = 0; killAt < calls; killAt += 1) {
      writeFileSync(path, OLD);
      const run = spawnSync(file, [...args, String(killAt)]);
      expect(run.signal).toBe("SIGKILL");
      const after = contentOf(path);
      expect([OLD, NEW]).toContain(after);
      expectKept(path);
      seen[after === OLD ? "old" : "new"] += 1;
      seen.left += strayEntries(folder).length;
      writeFileSync(path, OLD);
      expect((await watchedWrite(path, {})).error).toBeUndefined();
      expect(strayEntries(folder)).toEqual([]);
    }
    expect(Math.min(seen.old, seen.new, seen.left)).toBeGreaterThan(0);
  });
});

describe("when the disk refuses", () => {
  it("a nearly full one ends in an error with the old settings, or in the whole new ones", async (context) => {
    needs(context, "mount");
    const folder = tmpfs("96k");
    const path = placeSettings(folder);
    const outcomes = new Set<string>();
    for (let pages = 0; pages < 24; pages += 1) {
      writeFileSync(path, OLD);
      writeFileSync(join(folder, "filler"), Buffer.alloc(0));
      try {
        writeFileSync(join(folder, "filler"), Buffer.alloc(pages * 4096, 1));
      } catch {
        // Full to the last page.
      }
      const { error } = await watchedWrite(path, {});
      if (error !== undefined) expect(error).toMatchObject({ problem: { reason: "ENOSPC" } });
      expect(contentOf(path)).toBe(error === undefined ? NEW : OLD);
      expect(strayEntries(folder, "filler")).toEqual([]);
      outcomes.add(codeOf(error));
      rmSync(join(folder, "filler"));
    }
    expect([...outcomes].sort()).toEqual(["OK", "WRITE_FAILED"]);
  });

  it.for([
    ["fsync", "EIO"],
    ["rename", "EXDEV"],
    ["fchown", "EDQUOT"],
  ] as const)("%s with %s, the real call: an error, and the old settings", async ([call, errno], context) => {
    needs(context, "strace", "mount");
    const folder = sandbox();
    const path = placeSettings(folder);
    const bytes = join(sandbox(), "new");
    writeFileSync(bytes, NEW);
    const { file, args } = storeProcess("write", path, bytes);
    const inject = ["-f", "-qq", "-o", "/dev/null", "-e", `inject=${call}:error=${errno}:when=1`];
    const { stdout } = await promisify(execFile)("strace", [...inject, file, ...args]);
    expect(JSON.parse(stdout)).toMatchObject({ problem: { code: "WRITE_FAILED", path, reason: errno } });
    expect(contentOf(path)).toBe(OLD);
    expect(strayEntries(folder)).toEqual([]);
  });

  it("bytes that do not come back as they were written are not published", async () => {
    const folder = sandbox();
    const path = placeSettings(folder);
    const { error } = await watchedWrite(path, {
      after: ({ name }) => {
        const [temporary = ""] = strayEntries(folder);
        if (name === "file.write") writeFileSync(join(folder, temporary), NEW.replace("xx", "xy"));
      },
    });
    expect(error).toMatchObject({ problem: { code: "WRITE_FAILED", path, reason: "read-back" } });
    expect(contentOf(path)).toBe(OLD);
    expect(strayEntries(folder)).toEqual([]);
  });

  it("the new file is durable before it has the name, and the name before success is told", async () => {
    const { calls } = await watchedWrite(placeSettings(sandbox()), {});
    const [written, dressed, synced, renamed, named] = [
      "file.write",
      "file.chmod",
      "file.sync",
      "folder.rename",
      "folder.sync",
    ].map((each) => calls.map(({ name }) => name).lastIndexOf(each));
    expect(written).toBeGreaterThan(0);
    expect([written, dressed, synced, renamed, named]).toEqual(
      [written, dressed, synced, renamed, named].toSorted((a = 0, b = 0) => a - b),
    );
    expect(
      calls.slice((synced ?? 0) + 1, renamed).filter(({ name }) => /write|chown|chmod|run/.test(name)),
    ).toEqual([]);
  });

  it("a write of which the system takes only the first part is an error", async (context) => {
    needs(context, "mount");
    const path = placeSettings(sandbox());
    const bytes = join(sandbox(), "new");
    writeFileSync(bytes, NEW);
    const { file, args } = storeProcess("write", path, bytes);
    // A limit of the process: the system writes up to it, then refuses.
    const limited = `ulimit -f 4; trap '' XFSZ; exec "$@"`;
    const { stdout } = await promisify(execFile)("sh", ["-c", limited, "sh", file, ...args]);
    expect(JSON.parse(stdout)).toMatchObject({ problem: { code: "WRITE_FAILED", reason: "EFBIG" } });
    expect(contentOf(path)).toBe(OLD);
  });
});

describe("when somebody else changes the settings while they are written", () => {
  const FOREIGN = NEW.replace("new", "own");
  const changes: Record<string, (path: string) => void> = {
    "in place, same length": (path) => writeFileSync(path, FOREIGN),
    "in place, longer": (path) => appendFileSync(path, "<!-- more -->"),
    "in place, cut off": (path) => truncateSync(path, 100),
    "by a new file": (path) => {
      writeFileSync(`${path}.theirs`, FOREIGN);
      renameSync(`${path}.theirs`, path);
    },
    "by a new file with the same bytes": (path) => {
      writeFileSync(`${path}.theirs`, OLD);
      renameSync(`${path}.theirs`, path);
    },
    "by removing them": (path) => rmSync(path),
  };

  it("it is noticed and left standing, at whichever call before the rename", async (context) => {
    needs(context, "mount");
    const folder = tmpfs("1m");
    const path = placeSettings(folder);
    const { calls } = await watchedWrite(path, {});
    const rename = calls.findIndex(({ name }) => name === "folder.rename");
    // From the moment when the old bytes have been read; before it, a change is what is compared.
    const read = calls.findIndex(({ name }) => name === "file.read");
    // The last look at the name comes right before the rename: nothing can be noticed in time after it.
    const change = fc.constantFrom(...Object.keys(changes));
    await fc.assert(
      fc.asyncProperty(change, fc.integer({ min: read + 1, max: rename - 1 }), async (how, at) => {
        writeFileSync(path, OLD);
        let foreign: string | null = OLD;
        const { error } = await watchedWrite(path, {
          before: ({ index }) => {
            if (index !== at) return;
            changes[how]?.(path);
            foreign = contentOrNull(path);
          },
        });
        expect(codeOf(error)).toBe("SETTINGS_CHANGED_MEANWHILE");
        expect(contentOrNull(path)).toBe(foreign);
        expect(strayEntries(folder)).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it("a change in place in the last instant, between the last look and the rename, is at least told", async () => {
    const path = placeSettings(sandbox());
    const { error } = await watchedWrite(path, {
      before: ({ name }) => {
        if (name === "folder.rename") writeFileSync(path, FOREIGN);
      },
    });
    expect(codeOf(error)).toBe("SETTINGS_CHANGED_MEANWHILE");
    expect(contentOf(path)).toBe(NEW);
  });

  it("settings that appear where none stood are left standing", async () => {
    const folder = sandbox();
    const path = join(folder, "Preferences.xml");
    const world = watchedWorld(realWorld(), {
      before: ({ name }) => {
        if (name === "file.sync") writeFileSync(path, FOREIGN);
      },
    });
    const error = await errorOf((await storeAt(path, { world })).write(null, image(NEW)));
    expect(codeOf(error)).toBe("SETTINGS_CHANGED_MEANWHILE");
    expect(contentOf(path)).toBe(FOREIGN);
    expect(strayEntries(folder)).toEqual([]);
  });

  function contentOrNull(path: string): string | null {
    try {
      return contentOf(path);
    } catch {
      return null;
    }
  }
});

function codeOf(error: unknown): string {
  if (error === undefined) return "OK";
  return error instanceof ProblemError ? error.problem.code : String(error);
}
