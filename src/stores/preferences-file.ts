import { createHash } from "node:crypto";
import { basename, dirname, join, resolve } from "node:path";
import type { Note } from "../model/event.ts";
import { ProblemError } from "../model/problem.ts";
import { type FileStat, type Folder, SystemError, type World } from "../world/world.ts";
import { demandFoldersOfRoot, foldedName } from "./named-on-mac.ts";
import { type Carried, rehearseReplacement, replaceFile } from "./replace-file.ts";
import { asNotReadable } from "./replacement-errors.ts";
import { PREFERENCES_XML, type SettingsFormat } from "./settings-format.ts";
import type { FileMetadata, Image, SettingsStore, StoredImage } from "./store.ts";
import {
  changedMeanwhile,
  closeQuietly,
  entryAt,
  openTarget,
  sameRecord,
  TARGET_CAP_BYTES,
  type TargetPlace,
  unsafe,
} from "./target-file.ts";

/**
 * Settings that are a file: `Preferences.xml` in a server's data folder on Linux (support.plex.tv/articles/204281528), such a
 * file that was named on Windows, or a property list of macOS that no running server uses.
 *
 * The folder is pinned here, once, and everything happens in it whatever becomes of its name. A link as last
 * part of `path` is followed once, knowingly: made by root or the server's account, it must lead to a regular
 * file with one link that belongs to the server's account; that file is then replaced in its own folder.
 *
 * On a Mac root changes nothing in a folder that others could lead elsewhere (`folder-not-roots`, see
 * `demandFoldersOfRoot`).
 *
 * `expectedOwner` is the server's account where it is known, else the owner of the folder is taken for it. The
 * file must belong to that account or to root; for a caller who is not root also to the caller, who gains
 * nothing that was not theirs. A folder that others may write in is no reason to refuse: nothing in it is
 * reached by a name that they could redirect. On Windows, where the world knows no owners, no link is followed.
 *
 * Throws `SETTINGS_MISSING` (no such folder, or a link to nothing), `SETTINGS_UNSAFE`, `NEEDS_PRIVILEGE` (its
 * `line` is empty, here and in `readImage`: the command layer knows the line to type), `PRIVACY_PROTECTED` (on a Mac, which
 * closes `Desktop`, `Documents`, `Downloads` and other disks to a program that was not let in), `SYSTEM_CALL_FAILED`.
 */
export async function openPreferencesFile(
  world: PreferencesWorld,
  path: string,
  options: PreferencesOptions = {},
): Promise<SettingsStore> {
  try {
    const place = await settingsPlace(world, path, options);
    try {
      if (options.readOnly !== true) await demandFoldersOfRoot(world, place);
    } catch (error) {
      await closeQuietly(place.folder);
      throw error;
    }
    return new PreferencesFile(world, place, options);
  } catch (error) {
    throw asMissing(error, path) ?? asClosed(world, error, path) ?? asNotReadable(error, path);
  }
}

export type PreferencesWorld = Pick<
  World,
  "platform" | "run" | "randomHex" | "files" | "user" | "clock" | "windows"
>;

export interface PreferencesOptions {
  readonly expectedOwner?: { readonly uid: number };
  /** Only to be read: what would be refused to a change alone is refused when one is tried. */
  readonly readOnly?: boolean;
  /** `Preferences.xml` where it is not given. */
  readonly format?: SettingsFormat;
  /** Told once, with `METADATA_UNCHECKED`, when attributes were copied but could not be compared. */
  readonly onNote?: (note: Note) => void;
}

/** Bytes with their SHA-256, as the stores and backups pass them around. */
export function imageOf(bytes: Uint8Array): Image {
  return { bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** Times that a file which changes under the reader is read again before that counts as an answer. */
const READ_ATTEMPTS = 5;
const READ_PAUSE_MS = 50;

interface SettingsPlace extends TargetPlace {
  readonly lockName: string;
  readonly followedFrom?: string;
  readonly metadataOfNew: FileMetadata;
}

class PreferencesFile implements SettingsStore {
  readonly kind: SettingsFormat["kind"];
  readonly location: string;
  readonly followedFrom?: string;
  readonly lockName: string;
  readonly #world: PreferencesWorld;
  readonly #place: SettingsPlace;
  readonly #format: SettingsFormat;
  readonly #onNote: (note: Note) => void;
  #noted = false;

  constructor(
    world: PreferencesWorld,
    place: SettingsPlace,
    { onNote, format = PREFERENCES_XML }: PreferencesOptions,
  ) {
    this.kind = format.kind;
    this.#format = format;
    this.location = place.path;
    if (place.followedFrom !== undefined) this.followedFrom = place.followedFrom;
    this.lockName = place.lockName;
    this.#world = world;
    this.#place = place;
    this.#onNote = onNote ?? ignoreNote;
  }

  async readImage(): Promise<StoredImage | null> {
    try {
      for (let attempt = 1; attempt <= READ_ATTEMPTS; attempt += 1) {
        const read = await readOnce(this.#place);
        if (read !== "changing") return read;
        await this.#world.clock.sleep(READ_PAUSE_MS);
      }
      throw changedMeanwhile(this.location);
    } catch (error) {
      throw asClosed(this.#world, error, this.location) ?? asNotReadable(error, this.location);
    }
  }

  parse(image: Image): ReturnType<SettingsStore["parse"]> {
    return this.#format.parse(image.bytes, this.location);
  }

  async preview(image: Image, change: Parameters<SettingsStore["preview"]>[1]): Promise<Image> {
    return imageOf(await this.#format.edit(image.bytes, change, this.location));
  }

  async proveWritable(sizeBytes: number): Promise<void> {
    await this.#demandFolders();
    this.#note(await rehearseReplacement(this.#world, this.#place, sizeBytes, this.#place.metadataOfNew));
  }

  differences(one: Image, other: Image): number {
    return this.#format.differences(one.bytes, other.bytes);
  }

  partsOf(): null {
    return null;
  }

  isHalfWritten(): boolean {
    return false;
  }

  withoutParts(standing: Image): Image {
    return standing;
  }

  async write(expected: Image | null, image: Image, metadata?: FileMetadata | null): Promise<void> {
    await this.#demandFolders();
    const carried = await replaceFile(this.#world, this.#place, {
      expected: expected?.bytes ?? null,
      bytes: image.bytes,
      metadataOfNew: this.#place.metadataOfNew,
      ...(metadata && { metadata }),
    });
    this.#note(carried);
  }

  async isDurable(): Promise<boolean> {
    // A write has flushed the file and its folder before it answered.
    return true;
  }

  async letGo(): Promise<void> {
    // A file stands in nobody's way.
  }

  async close(): Promise<void> {
    await closeQuietly(this.#place.folder);
  }

  async #demandFolders(): Promise<void> {
    try {
      await demandFoldersOfRoot(this.#world, this.#place);
    } catch (error) {
      throw asClosed(this.#world, error, this.location) ?? asNotReadable(error, this.location);
    }
  }

  #note(carried: Carried): void {
    if (carried === "checked" || this.#noted) return;
    this.#noted = true;
    this.#onNote({ code: "METADATA_UNCHECKED", path: this.location });
  }
}

/** A server that is running may be writing: what was read counts only if nothing moved meanwhile. */
async function readOnce(place: SettingsPlace): Promise<StoredImage | null | "changing"> {
  const target = await openTarget(place);
  if (target === null) return null;
  try {
    // Without a name since it was opened: somebody has just replaced it.
    if (target.stat.links === 0) return "changing";
    const { uid, gid, mode, size } = target.stat;
    if (size > TARGET_CAP_BYTES) throw tooLarge(place.path);
    const bytes = await target.file.read(TARGET_CAP_BYTES);
    if (bytes.length !== size || !sameRecord(await target.file.stat(), target.stat)) return "changing";
    return { image: imageOf(bytes), metadata: { uid, gid, mode } };
  } catch (error) {
    if (error instanceof SystemError && error.code === "EFBIG") throw tooLarge(place.path);
    throw error;
  } finally {
    await closeQuietly(target.file);
  }
}

async function settingsPlace(
  world: PreferencesWorld,
  path: string,
  options: PreferencesOptions,
): Promise<SettingsPlace> {
  const name = requireName(path, path);
  return inFolder(await openFolderAt(world, path), async (folder, keep) => {
    const folderStat = await folder.stat();
    const server = options.expectedOwner?.uid ?? folderStat.uid;
    const entry = await entryAt(folder, name);
    if (entry?.kind === "link") return followed(world, { path, folder, folderStat, name, entry, options });
    const acceptsOwner = anyOf(world, [server, 0]);
    return keep({
      folder,
      name,
      path: join(folder.path, name),
      acceptsOwner,
      ...names(world, folderStat, name, server),
    });
  });
}

interface LinkFound {
  readonly path: string;
  readonly folder: Folder;
  readonly folderStat: FileStat;
  readonly name: string;
  readonly entry: FileStat;
  readonly options: PreferencesOptions;
}

/**
 * What is checked about the target is checked again, by handle, whenever it is opened; a link that is changed
 * between these lines gains nothing, since every target has to pass.
 */
async function followed(world: PreferencesWorld, link: LinkFound): Promise<SettingsPlace> {
  if (world.windows !== undefined) throw unsafe(link.path, "link-target");
  const maker = link.options.expectedOwner?.uid ?? link.folderStat.uid;
  if (!anyOf(world, [maker, 0])(link.entry.uid)) throw unsafe(link.path, "link-target");
  const at = join(link.folder.path, link.name);
  const target = resolve(link.folder.path, await world.files.readLink(at));
  const name = requireName(target, link.path);
  return inFolder(await openFolderAt(world, target), async (folder, keep) => {
    const folderStat = await folder.stat();
    // A link that root made in a folder of root's names no account: then the one that owns the target's folder.
    const server = link.options.expectedOwner?.uid ?? (maker === 0 ? folderStat.uid : maker);
    const entry = await folder.lstat(name);
    if (entry.kind !== "file") throw unsafe(link.path, "link-target");
    const acceptsOwner = anyOf(world, [server]);
    const place = { folder, name, path: join(folder.path, name), acceptsOwner, followedFrom: at };
    await closeQuietly((await openTarget(place))?.file ?? null);
    return keep({ ...place, ...names(world, folderStat, name, server) });
  });
}

/** Closes the folder unless it is kept. */
async function inFolder(
  folder: Folder,
  body: (folder: Folder, keep: (place: SettingsPlace) => SettingsPlace) => Promise<SettingsPlace>,
): Promise<SettingsPlace> {
  let kept = false;
  const keep = (place: SettingsPlace): SettingsPlace => {
    kept = true;
    return place;
  };
  try {
    return await body(folder, keep);
  } finally {
    if (!kept) await closeQuietly(folder);
  }
}

/** Links in the path to the folder are the administrator's own affair: they are resolved before it is pinned. */
async function openFolderAt(world: PreferencesWorld, path: string): Promise<Folder> {
  return world.files.openFolder(await world.files.realPath(dirname(path)));
}

function names(
  { platform }: Pick<PreferencesWorld, "platform">,
  folderStat: FileStat,
  name: string,
  server: number,
): Pick<SettingsPlace, "lockName" | "metadataOfNew"> {
  const { dev, ino, gid } = folderStat;
  const file = platform === "darwin" ? foldedName(name) : name;
  const hash = createHash("sha256").update(file).digest("hex").slice(0, 16);
  return { lockName: `settings-${dev}-${ino}-${hash}`, metadataOfNew: { uid: server, gid, mode: 0o600 } };
}

function anyOf(world: PreferencesWorld, uids: readonly number[]): (uid: number) => boolean {
  const accepted = new Set(world.user.uid === 0 ? uids : [...uids, world.user.uid]);
  return (uid) => accepted.has(uid);
}

function requireName(path: string, asked: string): string {
  const name = basename(path);
  if (name === "" || name === "." || name === "..") throw unsafe(asked, "not-regular");
  return name;
}

function asMissing(error: unknown, path: string): ProblemError | null {
  if (!(error instanceof SystemError)) return null;
  if (error.code === "ENOENT" || error.code === "ENOTDIR") {
    return new ProblemError({ code: "SETTINGS_MISSING", path }, { cause: error });
  }
  return error.code === "ELOOP" ? unsafe(path, "link-target", error) : null;
}

/** On a Mac a mode or an access list says `EACCES`, and only what is above root `EPERM` (developer.apple.com/forums/thread/678819). */
function asClosed({ platform }: PreferencesWorld, error: unknown, path: string): ProblemError | null {
  if (platform !== "darwin" || !(error instanceof SystemError) || error.code !== "EPERM") return null;
  return new ProblemError({ code: "PRIVACY_PROTECTED", path }, { cause: error });
}

function tooLarge(path: string): ProblemError {
  return new ProblemError({ code: "SETTINGS_MALFORMED", path, reason: "too-large" });
}

function ignoreNote(): void {
  // Named, so that each use reads as a decision.
}
