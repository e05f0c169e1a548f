import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

/** Everything below a folder, by its path in there: what a process that dies leaves behind. */
export type FolderImage = ReadonlyMap<string, Entry>;

interface Entry {
  readonly mode: number;
  /** Null: a folder. */
  readonly bytes: Uint8Array | null;
}

/** Folders stand before what is in them. Of a folder that is not there: nothing. */
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
  if (existsSync(folder)) take("");
  return image;
}

/** Makes a folder hold what is in the image, and nothing else; what is so already is left as it is. */
export function restoreFolder(folder: string, image: FolderImage): void {
  const standing = imageOfFolder(folder);
  for (const [path, entry] of standing) {
    const wanted = image.get(path);
    if (wanted !== undefined && (wanted.bytes === null) === (entry.bytes === null)) continue;
    rmSync(join(folder, path), { recursive: true, force: true });
  }
  for (const [path, entry] of image) {
    const found = standing.get(path);
    if (isSame(entry, found)) continue;
    const full = join(folder, path);
    if (entry.bytes !== null) writeFileSync(full, entry.bytes);
    else if (found?.bytes !== null) mkdirSync(full);
    chmodSync(full, entry.mode);
  }
}

function isSame(one: Entry, other: Entry | undefined): boolean {
  if (one.mode !== other?.mode) return false;
  if (one.bytes === null || other.bytes === null) return one.bytes === other.bytes;
  return Buffer.compare(one.bytes, other.bytes) === 0;
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
