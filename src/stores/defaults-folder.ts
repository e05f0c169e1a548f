import { posix } from "node:path";
import { type MacUser, runAs } from "../services/mac-user.ts";
import { type Folder, SystemError, type World } from "../world/world.ts";
import { failureOf } from "./defaults-failure.ts";
import { folderPrefixOf, removeFolder, removeLeftovers } from "./defaults-leftovers.ts";
import { LeftoverError } from "./replacement-errors.ts";
import { closeQuietly, openTarget, TARGET_CAP_BYTES, unsafe } from "./target-file.ts";

/** A folder into which a program of the account may write, and nobody else may look. */
export interface PrivateFolder {
  pathOf(name: string): string;
  /**
   * A file that is there now. Never through a link; of that account, with one name, regular. Throws `SystemError`
   * (`ENOENT`, `EFBIG` beyond 1 MiB, …) and `SETTINGS_UNSAFE`.
   */
  read(name: string): Promise<Uint8Array>;
}

export interface PrivateFolderOptions {
  readonly user: Pick<MacUser, "name" | "uid">;
  /** For problems. */
  readonly path: string;
  /** Whether what killed processes of ours have left beside it goes as well. */
  readonly sweeps: boolean;
}

/**
 * Does the work with such a folder, made and removed by the account itself (`mktemp -d`, `rm -rf`): root would make or
 * remove something by a name that the account can lead elsewhere.
 *
 * Throws what the work throws; `SystemError` for a folder that cannot be made or removed, `LeftoverError` for both.
 */
export async function inPrivateFolder<T>(
  world: PrivateFolderWorld,
  { user, path, sweeps }: PrivateFolderOptions,
  work: (folder: PrivateFolder) => Promise<T>,
): Promise<T> {
  const made = await makeFolder(world, user);
  const ended = await attempt(async () => {
    const folder = await openPrivate(world, user, made, path);
    try {
      return await work({
        pathOf: (name) => `${made}/${name}`,
        read: (name) => readFile(folder, name, user.uid, path),
      });
    } finally {
      await closeQuietly(folder);
    }
  });
  const removed = await attempt(() => removeFolder(world, user, made));
  if ("error" in ended)
    throw "error" in removed ? new LeftoverError(ended.error, removed.error) : ended.error;
  if ("error" in removed) throw removed.error;
  if (sweeps) await removeLeftovers(world, user, posix.dirname(made));
  return ended.value;
}

export type PrivateFolderWorld = Pick<World, "run" | "user" | "files" | "processes">;

const TIMEOUT_MS = 10_000;

type Attempt<T> = { readonly value: T } | { readonly error: unknown };

async function attempt<T>(work: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}

/**
 * With `-t` it is made in the account's own folder for such things (manual of mktemp of macOS). What is printed: one
 * absolute path, made of our prefix and what nobody can guess.
 */
async function makeFolder(world: PrivateFolderWorld, user: Pick<MacUser, "name" | "uid">): Promise<string> {
  const prefix = folderPrefixOf(world.processes.ownPid);
  const result = await runAs(world, user, "/usr/bin/mktemp", ["-d", "-t", prefix], { timeoutMs: TIMEOUT_MS });
  const failure = failureOf(result, "mktemp", prefix);
  if (failure !== null) throw failure;
  const [, made] = new RegExp(`^(/[^\\0\\n]*/${prefix}\\.[A-Za-z0-9]+)\\n$`).exec(result.stdout) ?? [];
  if (made === undefined) throw new SystemError("EINVAL", "mktemp", prefix);
  return made;
}

/** What root reads must be the account's own, wherever its name leads by then. */
async function openPrivate(
  world: Pick<World, "files">,
  { uid }: Pick<MacUser, "uid">,
  made: string,
  path: string,
): Promise<Folder> {
  const folder = await world.files.openFolder(await world.files.realPath(made));
  const stat = await folder.stat();
  if (stat.uid === uid && (stat.mode & 0o077) === 0) return folder;
  await closeQuietly(folder);
  throw unsafe(path, "foreign-owner");
}

async function readFile(folder: Folder, name: string, uid: number, path: string): Promise<Uint8Array> {
  const target = await openTarget({ folder, name, path, acceptsOwner: (owner) => owner === uid });
  if (target === null) throw new SystemError("ENOENT", "open", path);
  try {
    return await target.file.read(TARGET_CAP_BYTES);
  } finally {
    await closeQuietly(target.file);
  }
}
