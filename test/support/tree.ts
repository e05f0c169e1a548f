import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/**
 * Everything below a folder: kind, mode, owner, group, size, inode and content of each entry. Logs are left out: a
 * server that is asked something writes a line.
 */
export function treeOf(folder: string): Record<string, string> {
  const entries = (readdirSync(folder, { recursive: true }) as string[]).sort();
  const kept = entries.filter((entry) => !entry.includes("/Logs/"));
  return Object.fromEntries(kept.map((entry) => [entry, described(join(folder, entry))]));
}

function described(path: string): string {
  const stat = lstatSync(path);
  const owner = `${stat.mode.toString(8)} ${stat.uid}:${stat.gid} ${stat.ino}`;
  if (stat.isSymbolicLink()) return `${owner} -> ${readlinkSync(path)}`;
  if (!stat.isFile()) return owner;
  // The stand-in's executable is large, and nobody's business.
  const bytes = stat.size > 1_000_000 ? Buffer.alloc(0) : readFileSync(path);
  return `${owner} ${stat.size} ${stat.mtimeMs} ${createHash("sha256").update(bytes).digest("hex")}`;
}
