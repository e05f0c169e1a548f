import { join } from "node:path";
import { type OpenFile, SystemError, type World } from "../world/world.ts";
import { carryMetadata, setOwnerAndMode } from "./carry-metadata.ts";
import { carryOnMac } from "./carry-on-mac.ts";
import {
  carryAccess,
  putInPlace,
  requireReplaceable,
  type WindowsReplacement,
} from "./replace-on-windows.ts";
import { asNotWritable, asWriteFailed, LeftoverError, ReadBackError } from "./replacement-errors.ts";
import type { FileMetadata } from "./store.ts";
import {
  changedMeanwhile,
  closeQuietly,
  entryAt,
  openTarget,
  sameBytes,
  sameFile,
  sameRecord,
  TARGET_CAP_BYTES,
  type Target,
  type TargetPlace,
  unsafe,
} from "./target-file.ts";

/** What a new file is made from. */
export interface Replacement {
  /** What must stand there now; null: nothing. */
  readonly expected: Uint8Array | null;
  readonly bytes: Uint8Array;
  /** Owner, group and mode to set; without it those of the file that is replaced. */
  readonly metadata?: FileMetadata;
  /** Owner, group and mode where nothing stood and `metadata` is not given. */
  readonly metadataOfNew: FileMetadata;
}

export type ReplaceWorld = Pick<
  World,
  "platform" | "run" | "randomHex" | "files" | "user" | "clock" | "windows"
>;

/** Whether what the system keeps beside the bytes was compared afterwards, or only copied. */
export type Carried = "checked" | "unchecked";

/**
 * Replaces a file in a pinned folder, whole or not at all: a new file beside it is written, read back, given
 * all that the old one had, made durable and renamed over it; then the name is opened again and must lead to
 * the new file with the right bytes. The caller holds the lock of these settings.
 *
 * After a throw the target is exactly as before or exactly the new one, and the new file under its temporary
 * name is gone; if even that could not be removed, the cause is an `AggregateError` of both refusals, and the
 * next call removes it. What a killed run left is removed first.
 *
 * The target is compared with `expected` at the start and again right before the rename. POSIX has no rename
 * on a condition: a change in the instant between can only be noticed afterwards, if it was made in place. On Windows
 * not even then, since the old file must be closed before it is replaced; but whoever holds it to change it keeps it
 * from being replaced, and where nothing stood the rename itself is on that condition.
 *
 * Throws `SETTINGS_CHANGED_MEANWHILE`, `SETTINGS_UNSAFE`, `METADATA_NOT_KEPT`, or `WRITE_FAILED` with the
 * POSIX name, or `read-back` for bytes that do not come back as they were written.
 */
export async function replaceFile(
  world: ReplaceWorld,
  place: TargetPlace,
  replacement: Replacement,
): Promise<Carried> {
  try {
    return await withTarget(world, place, async (old) => {
      await requireExpected(place, old, replacement.expected);
      return withTemporary(world, place, old, replacement, async (temporary, carried) => {
        await requireExpected(place, old, replacement.expected);
        await publish(world, place, temporary, old);
        await requirePublished(world, place, temporary, old, replacement.bytes);
        return carried;
      });
    });
  } catch (error) {
    throw asWriteFailed(error, place.path);
  }
}

/**
 * Does everything that `replaceFile` would, with as many bytes, except the rename: so that a full, read-only
 * or quota-bound disk, an immutable file, a refused owner, attributes that cannot be carried or a file that is
 * a mount point are known before anything depends on it. Leaves nothing behind.
 *
 * Throws `SETTINGS_NOT_WRITABLE`, `SETTINGS_UNSAFE`, `METADATA_NOT_KEPT`, or `SYSTEM_CALL_FAILED` for the rest.
 */
export async function rehearseReplacement(
  world: ReplaceWorld,
  place: TargetPlace,
  sizeBytes: number,
  metadataOfNew: FileMetadata,
): Promise<Carried> {
  try {
    return await withTarget(world, place, async (old) => {
      if (old !== null) await requireCanBeReplaced(world, place, old);
      // Letters and digits at random: a compressing file system cannot make them much smaller than settings.
      const bytes = Buffer.from(world.randomHex(Math.ceil(sizeBytes / 2)), "latin1").subarray(0, sizeBytes);
      const rehearsed = { expected: null, bytes, metadataOfNew };
      return withTemporary(world, place, old, rehearsed, async (temporary, carried) => {
        await place.folder.remove(temporary.name);
        return carried;
      });
    });
  } catch (error) {
    throw asNotWritable(error, place.path);
  }
}

const TEMPORARY_PREFIX = ".plex-reclaim-";
const TEMPORARY_NAME = /^\.plex-reclaim-[0-9a-f]{32}$/;

interface Temporary {
  readonly name: string;
  readonly file: OpenFile;
}

async function withTarget<T>(
  world: ReplaceWorld,
  place: TargetPlace,
  body: (old: Target | null) => Promise<T>,
): Promise<T> {
  await removeLeftovers(world, place);
  const old = await openTarget(place);
  try {
    return await body(old);
  } finally {
    await closeQuietly(old?.file ?? null);
  }
}

/** Makes the new file complete and durable, then hands it over; whatever is thrown, its name is removed. */
async function withTemporary<T>(
  world: ReplaceWorld,
  place: TargetPlace,
  old: Target | null,
  replacement: Replacement,
  body: (temporary: Temporary, carried: Carried) => Promise<T>,
): Promise<T> {
  const name = `${TEMPORARY_PREFIX}${world.randomHex(16)}`;
  let file: OpenFile | null = null;
  try {
    file = await createTemporary(world, place, name);
    await requireOneMount(world, place.path, old, file);
    const windows = onWindows(world, place);
    if (windows !== null && old !== null) await carryAccess(windows, old, name, file);
    await fill(file, replacement.bytes);
    const carried =
      windows === null ? await dress(world, place, old, { name, file }, replacement) : "checked";
    await file.sync();
    return await body({ name, file }, carried);
  } catch (error) {
    throw await afterRemoval(place, name, error);
  } finally {
    await closeQuietly(file);
  }
}

/** Null: not on Windows. */
function onWindows({ windows, clock }: ReplaceWorld, place: TargetPlace): WindowsReplacement | null {
  return windows === undefined ? null : { folders: windows.folders, clock, place };
}

async function createTemporary(world: ReplaceWorld, place: TargetPlace, name: string): Promise<OpenFile> {
  try {
    return await place.folder.createFile(name, 0o600);
  } catch (error) {
    // Node calls a mere denial of Windows by the name that elsewhere means an immutable folder.
    const denied = world.windows !== undefined && error instanceof SystemError && error.code === "EPERM";
    throw denied ? new SystemError("EACCES", error.call, error.path, { cause: error }) : error;
  }
}

async function fill(file: OpenFile, bytes: Uint8Array): Promise<void> {
  await file.write(bytes);
  const { size } = await file.stat();
  if (size !== bytes.length || !sameBytes(await file.read(bytes.length), bytes)) throw new ReadBackError();
}

async function dress(
  world: ReplaceWorld,
  place: TargetPlace,
  old: Target | null,
  { name, file }: Temporary,
  replacement: Replacement,
): Promise<Carried> {
  if (old === null) {
    await setOwnerAndMode(file, replacement.metadata ?? replacement.metadataOfNew);
    return "checked";
  }
  const { path } = place;
  const metadata = replacement.metadata ?? old.stat;
  if (world.platform !== "darwin") return carryMetadata(world, { from: old.file, to: file, metadata, path });
  const at = (entry: string) => join(place.folder.path, entry);
  const [from, to] = [
    { file: old.file, path: at(place.name) },
    { file, path: at(name) },
  ];
  await carryOnMac(world, { from, to, metadata, path });
  return "checked";
}

async function requireExpected(
  place: TargetPlace,
  old: Target | null,
  expected: Uint8Array | null,
): Promise<void> {
  const asExpected = old === null || expected === null ? old === expected : await holds(old.file, expected);
  if (!asExpected) throw changedMeanwhile(place.path);
}

async function holds(file: OpenFile, bytes: Uint8Array): Promise<boolean> {
  try {
    return sameBytes(await file.read(TARGET_CAP_BYTES), bytes);
  } catch (error) {
    if (error instanceof SystemError && error.code === "EFBIG") return false;
    throw error;
  }
}

async function publish(
  world: ReplaceWorld,
  place: TargetPlace,
  temporary: Temporary,
  old: Target | null,
): Promise<void> {
  const windows = onWindows(world, place);
  if (windows !== null) return putInPlace(windows, old, temporary, () => look(place, temporary, old));
  await look(place, temporary, old);
  try {
    await place.folder.rename(temporary.name, place.name);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EBUSY") throw error;
    throw unsafe(place.path, "single-file-mount", error);
  }
}

/** The looks before the rename are the cheapest there are, to leave as little time as possible after them. */
async function look(place: TargetPlace, temporary: Temporary, old: Target | null): Promise<void> {
  const ours = await temporary.file.stat();
  const named = await entryAt(place.folder, temporary.name);
  // Whoever owns the folder can put something else under our name; what is renamed must be ours.
  if (named === null || !sameRecord(named, ours)) throw new SystemError("ESTALE", "rename", place.path);
  const now = await entryAt(place.folder, place.name);
  const unchanged = now === null || old === null ? now === old : sameRecord(now, old.stat);
  if (!unchanged) throw changedMeanwhile(place.path);
}

async function requirePublished(
  world: ReplaceWorld,
  place: TargetPlace,
  temporary: Temporary,
  old: Target | null,
  bytes: Uint8Array,
): Promise<void> {
  await place.folder.sync();
  // Whose it may be was asked of the old one; the new one belongs to whom we gave it.
  const now = await openTarget({ ...place, acceptsOwner: () => true });
  try {
    if (now === null || !sameFile(now.stat, await temporary.file.stat())) throw changedMeanwhile(place.path);
    if (!(await holds(now.file, bytes))) throw new ReadBackError();
  } finally {
    await closeQuietly(now?.file ?? null);
  }
  // The old file has no name any more, but we still hold it (not on Windows): a late change in place shows there.
  if (world.windows === undefined && old !== null && !sameRecord(await old.file.stat(), old.stat))
    throw changedMeanwhile(place.path);
}

/**
 * A file that is mounted by itself (a container's single-file volume) cannot be renamed over. Device numbers do
 * not show that (the same disk) or show what is not so (overlayfs); the mount that a handle belongs to does.
 */
async function requireOneMount(
  world: ReplaceWorld,
  path: string,
  old: Target | null,
  file: OpenFile,
): Promise<void> {
  if (old === null || world.windows !== undefined) return;
  const [target, beside] = [await mountOf(world, old.file), await mountOf(world, file)];
  if (target !== null && beside !== null && target !== beside) throw unsafe(path, "single-file-mount");
}

/** Null where this system does not tell; then the rename's `EBUSY` does. Source: proc_pid_fdinfo(5). */
async function mountOf(world: ReplaceWorld, file: OpenFile): Promise<string | null> {
  try {
    const info = await world.files.read(`/proc/self/fdinfo/${file.fd}`, 4096);
    return /^mnt_id:\s*(\d+)$/m.exec(Buffer.from(info).toString("latin1"))?.[1] ?? null;
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

async function requireCanBeReplaced(world: ReplaceWorld, place: TargetPlace, old: Target): Promise<void> {
  const windows = onWindows(world, place);
  await (windows === null ? requireOpensForWriting(place) : requireReplaceable(windows, old));
}

/**
 * Shows what a new file beside it does not: that this one is immutable or may only grow. That its mode forbids
 * writing is no obstacle to replacing it.
 */
async function requireOpensForWriting(place: TargetPlace): Promise<void> {
  try {
    await closeQuietly(await place.folder.openFile(place.name, "read-write"));
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EACCES") throw error;
  }
}

/** What a killed run left. One that cannot be removed does no harm, and must not stop a person's repair. */
async function removeLeftovers(world: ReplaceWorld, place: TargetPlace): Promise<void> {
  const names = await place.folder.list();
  for (const name of names.filter((each) => TEMPORARY_NAME.test(each))) {
    const found = await entryAt(place.folder, name);
    const ours = found?.uid === world.user.uid || (found !== null && place.acceptsOwner(found.uid));
    if (!ours || found?.kind !== "file") continue;
    try {
      await place.folder.remove(name);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }
}

/** Removes the temporary file, if it is there, and answers what to throw. */
async function afterRemoval(place: TargetPlace, name: string, error: unknown): Promise<unknown> {
  try {
    // Never made, already renamed, or already removed.
    if ((await entryAt(place.folder, name)) === null) return error;
    await place.folder.remove(name);
    return error;
  } catch (refusal) {
    return new LeftoverError(error, refusal);
  }
}
