import { lstatSync, readdirSync, readlinkSync, renameSync } from "node:fs";
import type { FolderAccess, KnownFile } from "../../src/world/windows-system.ts";
import { SystemError } from "../../src/world/world.ts";

/**
 * Windows' rules about replacing files, for real files of this system: none that anybody in this process holds is
 * replaced, nor one that is read-only (`u-w`). Access lists are not played: nothing ever differs.
 */
export function fileAccessOnHost(): Pick<FolderAccess, "copyAccess" | "demandReplaceable" | "rename"> {
  return {
    copyAccess: async (from, to) => {
      for (const file of [from, to]) requireSame(file);
      return [];
    },
    demandReplaceable: async (file) => {
      if (requireSame(file).mode & 0o200n) return;
      throw new SystemError("EPERM", "demandReplaceable", file.path);
    },
    rename: async (file, to, replacing) => {
      requireSame(file);
      const there = lstatSync(to, { throwIfNoEntry: false });
      if (there !== undefined && !replacing) throw new SystemError("EEXIST", "rename", to);
      if (there !== undefined && isHeld(to)) throw new SystemError("EBUSY", "rename", to);
      renameSync(file.path, to);
    },
  };
}

function requireSame({ path, dev, ino }: KnownFile): { readonly mode: bigint } {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) throw new SystemError("ENOENT", "open", path);
  if (String(stat.dev) !== dev || String(stat.ino) !== ino) throw new SystemError("ESTALE", "open", path);
  return stat;
}

function isHeld(path: string): boolean {
  return readdirSync("/proc/self/fd").some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      // The descriptor that listed them.
      return false;
    }
  });
}
