import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { imageOf } from "../../src/stores/preferences-file.ts";
import { windowsRules } from "../../src/world/file-rules-windows.ts";
import { realFiles } from "../../src/world/files.ts";
import { realWorld } from "../../src/world/real.ts";
import type { FolderAccess, WindowsSystem } from "../../src/world/windows-system.ts";
import { SystemError, type World } from "../../src/world/world.ts";
import { fileAccessOnHost } from "../support/file-access-on-host.ts";
import { contentOf, sandbox, strayEntries } from "./sandbox.ts";
import { NEW, OLD, placeSettings, problemOf, storeAt } from "./settings-of-test.ts";
import { type Effect, type Watch, watchedWorld } from "./watched-world.ts";

const image = (text: string) => imageOf(Buffer.from(text));
const FOREIGN = NEW.replace("new", "own");

/** Windows' rules, with files of this system; waits take no time. */
function windowsWorld(access: Partial<FolderAccess> = {}): World {
  const real = realWorld();
  const folders = { ...fileAccessOnHost(), ...access };
  return {
    ...real,
    platform: "win32",
    user: { uid: -1, gid: -1, name: "jane", home: "C:\\Users\\jane" },
    files: realFiles("", windowsRules),
    clock: { ...real.clock, sleep: async () => undefined },
    windows: { folders } as unknown as WindowsSystem,
  };
}

/** One write under a watch that begins with it. */
async function watchedWrite(
  path: string,
  watch: Watch = {},
  expected: string | null = OLD,
): Promise<{ calls: Effect[]; code: string; problem: unknown }> {
  const calls: Effect[] = [];
  let writing = false;
  const world = watchedWorld(windowsWorld(), {
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
  const error: unknown = await store.write(expected === null ? null : image(expected), image(NEW)).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  writing = false;
  if (error === undefined) return { calls, code: "OK", problem: null };
  if (!(error instanceof ProblemError)) throw error;
  return { calls, code: error.problem.code, problem: error.problem };
}

const named = (calls: readonly Effect[]): string[] => calls.map(({ name }) => name);
const isRename = ({ name }: Effect): boolean => name === "access.rename";

describe("a settings file that is replaced by Windows' rules", () => {
  it("is closed before it is replaced, and the new one is dressed before it is written and durable before it is named", async () => {
    const path = placeSettings(sandbox());
    const { calls, code } = await watchedWrite(path);
    expect([code, contentOf(path)]).toEqual(["OK", NEW]);
    const order = [
      "access.copyAccess",
      "file.write",
      "file.sync",
      "file.close",
      "access.rename",
      "folder.sync",
    ];
    const at = order.map((name) => named(calls).indexOf(name));
    expect(at).toEqual(at.toSorted((a, b) => a - b));
    expect(at[0]).toBeGreaterThan(0);
    // The last looks come right before the rename.
    expect(named(calls).slice((at[4] ?? 0) - 2, at[4])).toEqual(["folder.lstat", "folder.lstat"]);
    expect(named(calls).filter((name) => name.startsWith("run."))).toEqual([]);
  });

  it.for(["before", "after"] as const)(
    "is wholly old or wholly new, whichever call fails %s it is made",
    async (phase) => {
      const { calls } = await watchedWrite(placeSettings(sandbox()));
      const outcomes = new Set<string>();
      for (let failing = 0; failing < calls.length; failing += 1) {
        const folder = sandbox();
        const path = placeSettings(folder);
        const { code } = await watchedWrite(path, {
          [phase]: ({ index, name }: Effect) => {
            if (index === failing) throw new SystemError("EIO", name, path);
          },
        });
        const which = `${failing} ${calls[failing]?.name}`;
        const renamed = calls.slice(0, phase === "before" ? failing : failing + 1).some(isRename);
        expect(contentOf(path), which).toBe(renamed || code === "OK" ? NEW : OLD);
        expect(strayEntries(folder), which).toEqual([]);
        expect(["OK", which.includes("copyAccess") ? "METADATA_NOT_KEPT" : "WRITE_FAILED"]).toContain(code);
        outcomes.add(code === "OK" ? "done" : `threw with ${renamed ? "new" : "old"}`);
      }
      expect([...outcomes].sort()).toEqual(["done", "threw with new", "threw with old"]);
    },
  );

  const changes: Record<string, (path: string) => void> = {
    "in place": (path) => writeFileSync(path, FOREIGN),
    "by a new file": (path) => {
      writeFileSync(`${path}.theirs`, FOREIGN);
      renameSync(`${path}.theirs`, path);
    },
    "by a new file with the same bytes": (path) => {
      writeFileSync(`${path}.theirs`, OLD);
      renameSync(`${path}.theirs`, path);
    },
    "by removing it": (path) => rmSync(path),
  };

  it("is left standing when somebody changes it, at whichever call before the last look", async () => {
    const { calls } = await watchedWrite(placeSettings(sandbox()));
    const [read, rename] = [named(calls).indexOf("file.read"), calls.findIndex(isRename)];
    const folder = sandbox();
    const path = placeSettings(folder);
    const change = fc.constantFrom(...Object.keys(changes));
    await fc.assert(
      fc.asyncProperty(change, fc.integer({ min: read + 1, max: rename - 1 }), async (how, at) => {
        writeFileSync(path, OLD);
        let foreign: string | null = OLD;
        const { code } = await watchedWrite(path, {
          before: ({ index }) => {
            if (index !== at) return;
            changes[how]?.(path);
            foreign = existsSync(path) ? contentOf(path) : null;
          },
        });
        // A new one that is there before its access is asked for is not known to be the old one.
        const told = code === "METADATA_NOT_KEPT" && at < named(calls).indexOf("file.write");
        expect(told || code === "SETTINGS_CHANGED_MEANWHILE", `${how} at ${at}: ${code}`).toBe(true);
        expect(existsSync(path) ? contentOf(path) : null).toBe(foreign);
        expect(strayEntries(folder)).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it("is left standing when somebody holds it, changes it and lets go while we wait", async () => {
    const path = placeSettings(sandbox());
    const holder = openSync(path, "r+");
    let attempts = 0;
    const { code } = await watchedWrite(path, {
      before: ({ name }) => {
        if (name !== "access.demandReplaceable") return;
        attempts += 1;
        if (attempts !== 3) return;
        writeFileSync(path, FOREIGN);
        closeSync(holder);
      },
    });
    expect([code, contentOf(path)]).toEqual(["SETTINGS_CHANGED_MEANWHILE", FOREIGN]);
  });

  it("is replaced when who holds it lets go, and left as it is when they do not", async () => {
    const folder = sandbox();
    const path = placeSettings(folder);
    const holder = openSync(path, "r");
    expect((await watchedWrite(path)).problem).toEqual({ code: "WRITE_FAILED", path, reason: "EBUSY" });
    expect([contentOf(path), strayEntries(folder)]).toEqual([OLD, []]);
    let tries = 0;
    const { code } = await watchedWrite(path, {
      before: (effect) => {
        if (!isRename(effect)) return;
        tries += 1;
        if (tries === 4) closeSync(holder);
      },
    });
    expect([code, tries, contentOf(path)]).toEqual(["OK", 4, NEW]);
  });

  it("is left standing when it appears where nothing stood, even in the last instant", async () => {
    const folder = sandbox();
    const path = join(folder, "Preferences.xml");
    const appears: Watch = {
      before: (effect) => {
        if (isRename(effect)) writeFileSync(path, FOREIGN);
      },
    };
    expect((await watchedWrite(path, appears, null)).code).toBe("SETTINGS_CHANGED_MEANWHILE");
    expect([contentOf(path), strayEntries(folder)]).toEqual([FOREIGN, []]);
    rmSync(path);
    expect((await watchedWrite(path, {}, null)).code).toBe("OK");
    expect(contentOf(path)).toBe(NEW);
  });

  it.for([
    ["what differs is named", async () => ["owner", ":Zone.Identifier"], "owner, :Zone.Identifier"],
    [
      "or that nobody can tell",
      async () => {
        throw new SystemError("EACCES", "CreateFileW", "x");
      },
      "unknown",
    ],
  ] as const)("is kept where it cannot be matched: %s", async ([, copyAccess, what]) => {
    const folder = sandbox();
    const path = placeSettings(folder);
    const store = await storeAt(path, { world: windowsWorld({ copyAccess }) });
    const kept = { code: "METADATA_NOT_KEPT", path, what };
    expect(await problemOf(store.proveWritable(9_000))).toEqual(kept);
    expect(await problemOf(store.write(image(OLD), image(NEW)))).toEqual(kept);
    expect([contentOf(path), strayEntries(folder)]).toEqual([OLD, []]);
  });

  it("is refused when it is marked read-only, may not be replaced, or is in use", async () => {
    const folder = sandbox();
    const path = placeSettings(folder);
    chmodSync(path, 0o400);
    const refusal = async (access: Partial<FolderAccess> = {}) => {
      const store = await storeAt(path, { world: windowsWorld(access) });
      return problemOf(store.proveWritable(9_000));
    };
    const refusing = (code: string): Partial<FolderAccess> => ({
      demandReplaceable: async () => {
        throw new SystemError(code, "CreateFileW", path);
      },
    });
    expect(await refusal()).toEqual({ code: "SETTINGS_NOT_WRITABLE", path, reason: "immutable" });
    expect(await refusal(refusing("EACCES"))).toMatchObject({ reason: "denied" });
    const inUse = { code: "SYSTEM_CALL_FAILED", what: "CreateFileW", path, reason: "EBUSY" };
    expect(await refusal(refusing("EBUSY"))).toEqual(inUse);
    expect([contentOf(path), strayEntries(folder)]).toEqual([OLD, []]);
  });

  it("is refused as denied where no file may be made, which Node calls EPERM there", async () => {
    const path = placeSettings(sandbox());
    const world = watchedWorld(windowsWorld(), {
      before: ({ name }) => {
        if (name === "folder.createFile") throw new SystemError("EPERM", "open", path);
      },
    });
    const denied = { code: "SETTINGS_NOT_WRITABLE", path, reason: "denied" };
    expect(await problemOf((await storeAt(path, { world })).proveWritable(9_000))).toEqual(denied);
  });

  it("is never reached through a link, whoever made it", async () => {
    const [folder, elsewhere] = [sandbox(), sandbox()];
    const target = placeSettings(elsewhere);
    const path = join(folder, "Preferences.xml");
    symlinkSync(target, path);
    const refused = { code: "SETTINGS_UNSAFE", path, reason: "link-target" };
    expect(await problemOf(storeAt(path, { world: windowsWorld() }))).toEqual(refused);
  });
});
