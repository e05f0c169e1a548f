import { createHash } from "node:crypto";
import * as v from "valibot";
import { ProblemError } from "../model/problem.ts";
import type { Server, StoreKind } from "../model/server.ts";
import type { FileMetadata, Image, StoredImage } from "../stores/store.ts";
import type { Folder } from "../world/world.ts";
import { SystemError } from "../world/world.ts";
import { absentAsNull, readIfThere, release, removeIfThere, writeDurably } from "./durable.ts";
import { isDeadSignIn } from "./exchanges.ts";
import { timeName } from "./journal.ts";
import { pathInState, type StateDirectory, type StateWorld } from "./state-directory.ts";

/**
 * Backups of the settings, whole and in clear (0600 in 0700 folders). A backup exists when its folder has its
 * final name: it was written, made durable, read back and hashed before it got that.
 */
const ManifestSchema = v.object({
  version: v.literal(1),
  id: v.string(),
  /** Milliseconds since 1970. */
  createdAt: v.number(),
  server: v.string(),
  settings: v.string(),
  store: v.picklist(["xml", "plist", "registry"]),
  /** `ProcessedMachineIdentifier`, where the settings could still be read. */
  deviceId: v.nullable(v.string()),
  run: v.nullable(v.string()),
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  sizeBytes: v.number(),
  /** Fingerprint of the token in it (`exchanges.ts`); null when it holds none. */
  token: v.nullable(v.string()),
  /** Null where settings are no file. */
  metadata: v.nullable(v.object({ uid: v.number(), gid: v.number(), mode: v.number() })),
});
export type Manifest = v.InferOutput<typeof ManifestSchema>;

export interface Backup {
  readonly manifest: Manifest;
  readonly image: Image;
  readonly metadata: FileMetadata | null;
}

/** Kept for every server whatever their age, and whatever their number, by `tidyBackups`. */
export const KEEP_NEWEST = 10;
export const KEEP_DAYS = 30;

const MANIFEST = "manifest.json";
/** By their store, so that the platform's own programs know them: a `.reg` file can be double-clicked. */
const SETTINGS = {
  xml: "settings.xml",
  plist: "settings.plist",
  registry: "settings.reg",
} as const satisfies Record<StoreKind, string>;
const NAME = /^\d{8}-\d{6}-[0-9a-f]{4}$/;

/** Throws `BACKUP_FAILED`, with nothing half-made left under a final name. */
export async function createBackup(
  world: StateWorld,
  state: StateDirectory,
  source: {
    server: Server;
    settings: string;
    stored: StoredImage;
    deviceId: string | null;
    token: string | null;
    run: string | null;
  },
): Promise<Manifest> {
  const createdAt = world.clock.now();
  const id = `${timeName(createdAt)}-${world.randomHex(2)}`;
  const { image, metadata } = source.stored;
  const manifest: Manifest = {
    version: 1,
    id,
    createdAt,
    server: source.server.id,
    settings: source.settings,
    store: source.server.store,
    deviceId: source.deviceId,
    run: source.run,
    sha256: image.sha256,
    sizeBytes: image.bytes.length,
    token: source.token,
    metadata,
  };
  const unfinished = `.${id}.new`;
  try {
    await state.backups.makeFolder(unfinished, 0o700);
    const folder = await state.backups.openFolder(unfinished);
    try {
      await writeDurably(folder, SETTINGS[manifest.store], image.bytes);
      await writeDurably(folder, MANIFEST, manifestBytes(manifest));
    } finally {
      await release(() => folder.close());
    }
    await state.backups.rename(unfinished, id);
    await state.backups.sync();
  } catch (error) {
    await removeFolder(state, unfinished).catch(() => undefined);
    if (error instanceof SystemError) throw failed(state, id, error.code, error);
    throw error;
  }
  await readBackup(state, id);
  return manifest;
}

/** The manifests, newest first; names of what cannot be read as a backup apart. */
export async function listBackups(
  state: StateDirectory,
): Promise<{ backups: readonly Manifest[]; damaged: readonly string[] }> {
  const names = (await state.backups.list()).filter((name) => NAME.test(name)).sort();
  const backups: Manifest[] = [];
  const damaged: string[] = [];
  for (const id of names.reverse()) {
    const manifest = await readManifest(state, id).catch(() => null);
    if (manifest === null) damaged.push(id);
    else backups.push(manifest);
  }
  // Names tell seconds only.
  backups.sort((a, b) => b.createdAt - a.createdAt);
  return { backups, damaged };
}

/** Reads one whole and proves it: throws `BACKUP_NOT_FOUND` or `BACKUP_DAMAGED`. */
export async function readBackup(state: StateDirectory, id: string): Promise<Backup> {
  const manifest = await readManifest(state, id);
  const folder = await openBackup(state, id);
  try {
    const bytes = await readIfThere(folder, SETTINGS[manifest.store]);
    if (bytes === null) throw damagedBackup(id, "settings-missing");
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    if (sha256 !== manifest.sha256 || bytes.length !== manifest.sizeBytes) throw damagedBackup(id, "hash");
    return { manifest, image: { bytes, sha256 }, metadata: manifest.metadata };
  } finally {
    await release(() => folder.close());
  }
}

/** Throws `BACKUP_NOT_FOUND`. Cut off in the middle, it leaves the backup whole, or none. */
export async function deleteBackup(state: StateDirectory, id: string): Promise<void> {
  const folder = await openBackup(state, id);
  // On Windows a folder is reached by its name: one that was opened under the old name leads nowhere any more.
  await release(() => folder.close());
  const gone = `.${id}.gone`;
  await state.backups.rename(id, gone);
  await state.backups.sync();
  await removeFolder(state, gone);
}

async function removeFolder(state: StateDirectory, name: string): Promise<void> {
  const folder = await state.backups.openFolder(name);
  try {
    for (const file of await folder.list()) await removeIfThere(folder, file);
  } finally {
    await release(() => folder.close());
  }
  await state.backups.removeFolder(name);
  await state.backups.sync();
}

/**
 * The retention rule: of each server the newest `KEEP_NEWEST` stay, and everything younger than `KEEP_DAYS`,
 * and everything that `inUse` names (the backups of runs that are not settled). Answers how many went.
 */
export async function tidyBackups(
  world: StateWorld,
  state: StateDirectory,
  inUse: ReadonlySet<string>,
): Promise<number> {
  const { backups } = await listBackups(state);
  const oldest = world.clock.now() - KEEP_DAYS * 24 * 60 * 60 * 1000;
  const seen = new Map<string, number>();
  let removed = 0;
  for (const manifest of backups) {
    const rank = (seen.get(manifest.server) ?? 0) + 1;
    seen.set(manifest.server, rank);
    if (rank <= KEEP_NEWEST || manifest.createdAt >= oldest || inUse.has(manifest.id)) continue;
    await deleteBackup(state, manifest.id);
    removed += 1;
  }
  await removeUnfinished(state, timeName(world.clock.now() - UNFINISHED_MS));
  return removed;
}

/** What a process that died while it made or removed a backup left; another run may be making a younger one just now. */
async function removeUnfinished(state: StateDirectory, before: string): Promise<void> {
  for (const name of await state.backups.list()) {
    const [, id] = UNFINISHED.exec(name) ?? [];
    if (id !== undefined && id < before) await removeFolder(state, name);
  }
}

const UNFINISHED = /^\.(\d{8}-\d{6}-[0-9a-f]{4})\.(?:new|gone)$/;
const UNFINISHED_MS = 60 * 60 * 1000;

/** Whether the sign-in in a backup is known to be dead: an exchange of ours replaced it, or came after it. */
export async function holdsDeadSignIn(state: StateDirectory, manifest: Manifest): Promise<boolean> {
  const { deviceId, token, createdAt } = manifest;
  if (deviceId === null || token === null) return false;
  return isDeadSignIn(state, deviceId, { token, savedAt: createdAt });
}

/** Where a person finds a backup, and the settings file in it. */
export function backupFolder(state: StateDirectory, id: string): string {
  return pathInState(state.path, "backups", id);
}

export function backupSettingsPath(state: StateDirectory, id: string, store: StoreKind): string {
  return pathInState(backupFolder(state, id), SETTINGS[store]);
}

async function openBackup(state: StateDirectory, id: string): Promise<Folder> {
  const folder = NAME.test(id) ? await absentAsNull(state.backups.openFolder(id)) : null;
  if (folder === null) throw new ProblemError({ code: "BACKUP_NOT_FOUND", id });
  return folder;
}

async function readManifest(state: StateDirectory, id: string): Promise<Manifest> {
  const folder = await openBackup(state, id);
  try {
    const bytes = await readIfThere(folder, MANIFEST);
    const manifest = bytes === null ? null : manifestIn(bytes);
    if (manifest?.id !== id) throw damagedBackup(id, "manifest");
    return manifest;
  } finally {
    await release(() => folder.close());
  }
}

/** The hash of the rest makes a manifest that was damaged known as such: a restore sets the owner it tells. */
function manifestBytes(manifest: Manifest): Uint8Array {
  const text = JSON.stringify({ ...manifest, check: checkOf(manifest) }, null, 2);
  return new TextEncoder().encode(`${text}\n`);
}

function manifestIn(bytes: Uint8Array): Manifest | null {
  const json = v.pipe(v.string(), v.parseJson(), v.looseObject({ check: v.string() }));
  const parsed = v.safeParse(json, new TextDecoder().decode(bytes));
  if (!parsed.success) return null;
  const { check, ...rest } = parsed.output;
  const manifest = v.safeParse(ManifestSchema, rest);
  return manifest.success && check === checkOf(rest) ? manifest.output : null;
}

function checkOf(manifest: object): string {
  return createHash("sha256").update(JSON.stringify(manifest)).digest("hex");
}

function damagedBackup(id: string, reason: string): ProblemError {
  return new ProblemError({ code: "BACKUP_DAMAGED", id, reason });
}

function failed(state: StateDirectory, id: string, reason: string, cause: unknown): ProblemError {
  return new ProblemError({ code: "BACKUP_FAILED", path: backupFolder(state, id), reason }, { cause });
}
