import { existsSync, readdirSync } from "node:fs";
import { isAbsolute, join, relative, sep, win32 } from "node:path";

/** A folder of the machine under both of its names. */
export interface MappedFolder {
  /** With a drive: `C:\` or `Z:\shared`. */
  readonly windows: string;
  readonly host: string;
}

/**
 * What a path of this system is called in the machine.
 *
 * @throws Error when it is in none of the folders
 */
export function toWindows(folders: readonly MappedFolder[], path: string): string {
  for (const { windows, host } of folders) {
    const inside = relative(host, path);
    if (inside === "") return windows;
    if (inside.split(sep)[0] === ".." || isAbsolute(inside)) continue;
    return win32.join(windows, inside.replaceAll("/", "\\"));
  }
  throw new Error(`not in this Windows: ${path}`);
}

/**
 * Where a path of the machine is on this system. Names that exist are found without regard to case, as Windows does;
 * the rest is kept as written.
 *
 * @throws Error when it is not absolute, or in none of the folders
 */
export function toHost(folders: readonly MappedFolder[], path: string): string {
  for (const { windows, host } of folders) {
    const inside = win32.relative(windows, path);
    if (inside.split("\\")[0] === ".." || win32.isAbsolute(inside) || !win32.isAbsolute(path)) continue;
    return inside.split("\\").reduce(entry, host);
  }
  throw new Error(`not reachable from here: ${path}`);
}

function entry(folder: string, name: string): string {
  const exact = join(folder, name);
  if (name === "" || existsSync(exact) || !existsSync(folder)) return exact;
  const same = readdirSync(folder).find((other) => other.toLowerCase() === name.toLowerCase());
  return join(folder, same ?? name);
}
