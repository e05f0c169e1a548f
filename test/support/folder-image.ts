import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Everything below a folder, by its path in there: what a process that dies leaves behind. */
export type FolderImage = ReadonlyMap<string, Entry>;

interface Entry {
  readonly mode: number;
  /** Null: a folder. */
  readonly bytes: Uint8Array | null;
}

/** Folders stand before what is in them. */
export function imageOfFolder(folder: string): FolderImage {
  const image = new Map<string, Entry>();
  const take = (at: string) => {
    for (const entry of readdirSync(join(folder, at), { withFileTypes: true })) {
      const path = join(at, entry.name);
      const full = join(folder, path);
      const { mode } = lstatSync(full);
      image.set(path, { mode: mode & 0o7777, bytes: entry.isDirectory() ? null : readFileSync(full) });
      if (entry.isDirectory()) take(path);
    }
  };
  take("");
  return image;
}

/** Makes a folder hold what is in the image, and nothing else. */
export function restoreFolder(folder: string, image: FolderImage): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  for (const [path, { mode, bytes }] of image) {
    if (bytes === null) mkdirSync(join(folder, path), { mode });
    else writeFileSync(join(folder, path), bytes, { mode });
  }
}

/** The same folder in which one file ends with these bytes too. */
export function withMoreBytes(image: FolderImage, path: string, more: Uint8Array): FolderImage {
  const entry = image.get(path);
  if (entry === undefined || entry.bytes === null) throw new Error(`no file ${path}`);
  return new Map(image).set(path, { mode: entry.mode, bytes: Buffer.concat([entry.bytes, more]) });
}

/** Equal for folders with the same content. */
export function digestOf(image: FolderImage): string {
  const hash = createHash("sha256");
  for (const path of [...image.keys()].sort()) {
    const entry = image.get(path);
    hash.update(JSON.stringify([path, entry?.mode, entry?.bytes?.length ?? null]));
    hash.update(entry?.bytes ?? "");
  }
  return hash.digest("hex");
}
