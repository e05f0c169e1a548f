import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { realFiles } from "../../src/world/files.ts";
import type { WindowsSelf, WindowsSystem } from "../../src/world/windows-system.ts";
import { type Folder, SystemError, type World } from "../../src/world/world.ts";

/** Whose a folder is, and who may enter it. */
type Access = Awaited<ReturnType<WindowsSystem["folders"]["accessOf"]>>;

export interface WindowsDrive {
  readonly world: Pick<World, "files" | "user" | "env" | "clock" | "randomHex"> & {
    readonly windows: WindowsSystem;
  };
  /** By Windows path; may be changed. */
  readonly access: Map<string, Access>;
  /** What was made for its owner alone, in this order. */
  readonly madePrivate: string[];
  /** Where a Windows path is on this system. */
  hostPath(path: string): string;
}

/** A Windows of which only drives (folders below `base`) and who may enter their folders are played. */
export function windowsDrive(
  base: string,
  self: Partial<WindowsSelf>,
  env: Readonly<Record<string, string>>,
  real: Pick<World, "clock" | "randomHex">,
): WindowsDrive {
  const hostPath = (path: string) => join(base, ...path.split(/[\\/:]+/));
  const me = { sid: "S-1-5-21-1-2-3-1001", elevated: false, split: false, session: 1, ...self };
  const access = new Map<string, Access>();
  const madePrivate: string[] = [];
  const owner = me.elevated ? "S-1-5-32-544" : me.sid;
  const named = (folder: Folder, path: string): Folder => ({
    path,
    stat: () => folder.stat(),
    list: () => folder.list(),
    lstat: (name) => folder.lstat(name),
    openFile: (name, how) => folder.openFile(name, how),
    createFile: (name, mode) => folder.createFile(name, mode),
    openFolder: async (name) => named(await folder.openFolder(name), `${path}\\${name}`),
    makeFolder: (name, mode) => folder.makeFolder(name, mode),
    rename: (from, to) => folder.rename(from, to),
    remove: (name) => folder.remove(name),
    removeFolder: (name) => folder.removeFolder(name),
    sync: () => folder.sync(),
    close: () => folder.close(),
  });
  const files = realFiles();
  mkdirSync(hostPath("C:\\"), { recursive: true });
  const onlyFolders = {
    makePrivate: async (path: string) => {
      try {
        mkdirSync(hostPath(path));
      } catch (error) {
        const code = error instanceof Error && "code" in error ? String(error.code) : "EIO";
        throw new SystemError(code, "CreateDirectoryW", path, { cause: error });
      }
      madePrivate.push(path);
      access.set(path, { owner, allowed: [...new Set(["S-1-5-18", "S-1-5-32-544", owner])] });
    },
    accessOf: async (path: string) => {
      const found = access.get(path);
      if (found === undefined) throw new SystemError("ENOENT", "GetNamedSecurityInfoW", path);
      return found;
    },
  };
  const machine = { systemFolder: "C:\\Windows\\system32", programData: "E:\\ProgramData" };
  const windows = new Proxy({ self: me, machine, folders: onlyFolders } as unknown as WindowsSystem, {
    get: (target, name) => {
      if (name === "self" || name === "machine" || name === "folders") return target[name];
      throw new Error(`nobody plays ${String(name)} here`);
    },
  });
  return {
    access,
    madePrivate,
    hostPath,
    world: {
      ...real,
      windows,
      env,
      user: { uid: -1, gid: -1, name: "jane", home: "C:\\Users\\jane" },
      files: {
        openFolder: async (path) => named(await files.openFolder(hostPath(path)), path),
        stat: (path) => files.stat(hostPath(path)),
        lstat: (path) => files.lstat(hostPath(path)),
        readLink: (path) => files.readLink(hostPath(path)),
        realPath: async (path) => path,
        list: (path) => files.list(hostPath(path)),
        read: (path, capBytes) => files.read(hostPath(path), capBytes),
      },
    },
  };
}
