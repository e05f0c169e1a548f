import { ProblemError, type UnsafeReason } from "../model/problem.ts";
import { type FileStat, type Folder, type OpenFile, SystemError } from "../world/world.ts";

/** No settings are larger: an attribute file of some kilobytes. */
export const TARGET_CAP_BYTES = 1024 * 1024;

/** A file by its name in a pinned folder, and whose it may be. */
export interface TargetPlace {
  readonly folder: Folder;
  readonly name: string;
  /** For problems. */
  readonly path: string;
  readonly acceptsOwner: (uid: number) => boolean;
}

export interface Target {
  readonly file: OpenFile;
  /** As it was when it was opened. */
  readonly stat: FileStat;
}

/**
 * Opens the file if it is nobody's trap: regular, one link, owned by whom it may be; null when there is none.
 *
 * It is looked at before it is opened, since opening a device may do something, and again by handle, since the
 * name may lead elsewhere by then. Throws `SETTINGS_UNSAFE`, or `SystemError` for what the system refuses.
 */
export async function openTarget(place: TargetPlace): Promise<Target | null> {
  const named = await entryAt(place.folder, place.name);
  if (named === null) return null;
  requireSafe(place, named);
  const file = await openNamed(place);
  if (file === null) return null;
  try {
    const stat = await file.stat();
    requireSafe(place, stat);
    return { file, stat };
  } catch (error) {
    await closeQuietly(file);
    throw error;
  }
}

/** What the name stands for, without following a link; null: nothing. */
export async function entryAt(folder: Folder, name: string): Promise<FileStat | null> {
  try {
    return await folder.lstat(name);
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENOENT") return null;
    throw error;
  }
}

/** The same file in the same state, as far as its record tells. */
export function sameRecord(a: FileStat, b: FileStat): boolean {
  return sameFile(a, b) && a.size === b.size && a.mtimeNs === b.mtimeNs;
}

export function sameFile(a: FileStat, b: FileStat): boolean {
  return a.kind === b.kind && a.dev === b.dev && a.ino === b.ino;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export function unsafe(path: string, reason: UnsafeReason, cause?: unknown): ProblemError {
  return new ProblemError({ code: "SETTINGS_UNSAFE", path, reason }, { cause });
}

export function changedMeanwhile(path: string): ProblemError {
  return new ProblemError({ code: "SETTINGS_CHANGED_MEANWHILE", path });
}

/** Closing tells nothing that an fsync before it has not told; it must not hide how the work itself ended. */
export async function closeQuietly(open: { close(): Promise<void> } | null): Promise<void> {
  try {
    await open?.close();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}

function requireSafe(place: TargetPlace, stat: FileStat): void {
  if (stat.kind === "link") throw unsafe(place.path, "link-target");
  if (stat.kind !== "file") throw unsafe(place.path, "not-regular");
  if (stat.links > 1) throw unsafe(place.path, "hard-link");
  if (!place.acceptsOwner(stat.uid)) throw unsafe(place.path, "foreign-owner");
}

async function openNamed(place: TargetPlace): Promise<OpenFile | null> {
  try {
    return await place.folder.openFile(place.name, "read");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === "ENOENT") return null;
    if (error.code === "ELOOP") throw unsafe(place.path, "link-target", error);
    // A socket cannot be opened.
    if (error.code === "ENXIO") throw unsafe(place.path, "not-regular", error);
    throw error;
  }
}
