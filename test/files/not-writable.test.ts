import { execFileSync } from "node:child_process";
import { chmodSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { imageOf } from "../../src/stores/preferences-file.ts";
import { realWorld } from "../../src/world/real.ts";
import { SystemError } from "../../src/world/world.ts";
import {
  contentOf,
  mounted,
  needs,
  overlay,
  PLEX,
  STRANGER,
  sandbox,
  storeProcess,
  strayEntries,
  tmpfs,
  tool,
} from "./sandbox.ts";
import { NEW, OLD, placeSettings, problemOf, storeAt } from "./settings-of-test.ts";
import { watchedWorld } from "./watched-world.ts";

const image = (text: string) => imageOf(Buffer.from(text));
const notWritable = (path: string, reason: string) => ({ code: "SETTINGS_NOT_WRITABLE", path, reason });

describe("proving that settings can be written", () => {
  it("leaves the settings, their record and the folder as they were", async () => {
    const folder = sandbox();
    const path = placeSettings(folder);
    const before = tool("stat", "--format=%i %h %u %g %a %s %y %z", path);
    await (await storeAt(path)).proveWritable(9_000);
    expect(tool("stat", "--format=%i %h %u %g %a %s %y %z", path)).toBe(before);
    expect(strayEntries(folder)).toEqual([]);
  });

  it("works where no settings stand yet", async () => {
    const store = await storeAt(join(sandbox(), "Preferences.xml"));
    await store.proveWritable(9_000);
  });

  it("tells a full disk", async (context) => {
    needs(context, "mount");
    const folder = tmpfs("64k");
    const path = placeSettings(folder);
    writeFileSync(join(folder, "filler"), Buffer.alloc(44_000));
    const store = await storeAt(path);
    await store.proveWritable(2_000);
    expect(await problemOf(store.proveWritable(9_000))).toEqual(notWritable(path, "no-space"));
    expect(strayEntries(folder, "filler")).toEqual([]);
    expect(contentOf(path)).toBe(OLD);
  });

  it("tells a read-only file system", async (context) => {
    needs(context, "mount");
    const folder = tmpfs("1m");
    const path = placeSettings(folder);
    tool("mount", "-o", "remount,ro", folder);
    expect(await problemOf((await storeAt(path)).proveWritable(9_000))).toEqual(
      notWritable(path, "read-only"),
    );
  });

  it.for([
    ["an immutable file", "+i", "file"],
    ["a file that may only grow", "+a", "file"],
    ["an immutable folder", "+i", "folder"],
    ["a folder that may only grow", "+a", "folder"],
  ] as const)("tells %s", async ([, flag, which], context) => {
    needs(context, "chattr");
    const folder = sandbox();
    const path = placeSettings(folder);
    const flagged = which === "file" ? path : folder;
    tool("chattr", flag, flagged);
    onTestFinished(() => void tool("chattr", "-ia", flagged));
    expect(await problemOf((await storeAt(path)).proveWritable(9_000))).toEqual(
      notWritable(path, "immutable"),
    );
    expect(contentOf(path)).toBe(OLD);
    // What was made in a folder that may only grow cannot be taken back: one file of random letters stays.
    expect(strayEntries(folder).length).toBe(flag === "+a" && which === "folder" ? 1 : 0);
  });

  it("tells a file that is mounted by itself, on the same disk and on another", async (context) => {
    needs(context, "mount");
    const folder = sandbox();
    const path = placeSettings(folder);
    for (const origin of [sandbox(), tmpfs("1m")]) {
      const source = placeSettings(origin);
      tool("mount", "--bind", source, path);
      const problem = await problemOf((await storeAt(path)).proveWritable(9_000)).finally(() =>
        tool("umount", "--lazy", path),
      );
      expect(problem).toEqual({ code: "SETTINGS_UNSAFE", path, reason: "single-file-mount" });
      expect(strayEntries(folder)).toEqual([]);
    }
  });

  it("tells such a mount by the refused rename where the system does not show mounts", async (context) => {
    needs(context, "mount");
    const folder = sandbox();
    const path = placeSettings(folder);
    tool("mount", "--bind", placeSettings(sandbox()), path);
    onTestFinished(() => void tool("umount", "--lazy", path));
    const world = watchedWorld(realWorld(), {
      before: ({ name }) => {
        if (name === "files.read") throw new SystemError("ENOENT", "open", "/proc/self/fdinfo");
      },
    });
    const store = await storeAt(path, { world });
    expect(await problemOf(store.write(image(OLD), image(NEW)))).toEqual({
      code: "SETTINGS_UNSAFE",
      path,
      reason: "single-file-mount",
    });
    expect(contentOf(path)).toBe(OLD);
    expect(strayEntries(folder)).toEqual([]);
  });

  it("does not take overlayfs, where files have device numbers of their own, for such a mount", async (context) => {
    needs(context, "mount");
    const folder = overlay((lower) => placeSettings(lower));
    const path = join(folder, "Preferences.xml");
    const store = await storeAt(path);
    await store.proveWritable(9_000);
    await store.write(image(OLD), image(NEW));
    expect(contentOf(path)).toBe(NEW);
  });

  it("finds a folder that is a mount point to be writable as any other", async (context) => {
    needs(context, "mount");
    const origin = sandbox();
    placeSettings(origin);
    const path = join(mounted(["--bind", origin]), "Preferences.xml");
    await (await storeAt(path)).proveWritable(9_000);
  });
});

describe("an account that is not root", () => {
  /** What the store says in a process of that account. */
  function asAccount(uid: number, ...args: string[]): { calls: number; problem?: unknown } {
    const { file, args: all } = storeProcess(...args);
    const output = execFileSync(file, all, { uid, gid: uid, encoding: "utf8", cwd: "/", env: {} });
    return JSON.parse(output) as { calls: number; problem?: unknown };
  }

  it("is told that it may not read, with the line left to the command layer", (context) => {
    needs(context, "mount");
    const path = placeSettings(sandbox(), PLEX);
    expect(asAccount(STRANGER, "read", path).problem).toEqual({ code: "NEEDS_PRIVILEGE", path, line: "" });
  });

  it("is told the same about a folder that it may not enter", (context) => {
    needs(context, "mount");
    const folder = sandbox();
    const path = placeSettings(folder, PLEX);
    chmodSync(folder, 0o700);
    expect(asAccount(STRANGER, "read", path).problem).toEqual({ code: "NEEDS_PRIVILEGE", path, line: "" });
  });

  it("is told that it may not write what it may read, and what it may not give away", (context) => {
    needs(context, "mount");
    const folder = sandbox();
    const path = placeSettings(folder, PLEX);
    chmodSync(path, 0o666);
    expect(asAccount(STRANGER, "read", path).problem).toBeUndefined();
    expect(asAccount(STRANGER, "prove", path).problem).toEqual(notWritable(path, "denied"));
    chmodSync(folder, 0o777);
    expect(asAccount(STRANGER, "prove", path).problem).toEqual(notWritable(path, "denied"));
    expect(readdirSync(folder)).toEqual(["Preferences.xml"]);
  });

  it("writes its own settings, also those that it made read-only", (context) => {
    needs(context, "mount");
    const folder = sandbox();
    const path = placeSettings(folder, PLEX);
    const bytes = join(sandbox(), "new");
    writeFileSync(bytes, NEW);
    chmodSync(path, 0o400);
    expect(asAccount(PLEX, "prove", path).problem).toBeUndefined();
    expect(asAccount(PLEX, "write", path, bytes).problem).toBeUndefined();
    expect(contentOf(path)).toBe(NEW);
    expect(statSync(path).uid).toBe(PLEX);
    expect(strayEntries(folder)).toEqual([]);
  });
});
