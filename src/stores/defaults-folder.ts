import { type MacUser, runAs } from "../services/mac-user.ts";
import { type Folder, SystemError, type World } from "../world/world.ts";
import { failureOf } from "./defaults-failure.ts";
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

/**
 * Does the work with such a folder, made and removed by the account itself (`mktemp -d`, `rm -rf`): root would make or
 * remove something by a name that the account can lead elsewhere. `path` goes into problems.
 *
 * Throws what the work throws; `SystemError` for a folder that cannot be made or removed, `LeftoverError` for both.
 */
export async function inPrivateFolder<T>(
  world: Pick<World, "run" | "user" | "files">,
  user: Pick<MacUser, "name" | "uid">,
  path: string,
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
  return ended.value;
}

const PREFIX = "plex-reclaim";
const TIMEOUT_MS = 10_000;
const REMOVE_ATTEMPTS = 2;

/** What `mktemp` prints: one absolute path, made of our prefix and what nobody can guess. */
const MADE = new RegExp(`^(/[^\\0\\n]*/${PREFIX}\\.[A-Za-z0-9]+)\\n$`);

type Attempt<T> = { readonly value: T } | { readonly error: unknown };

async function attempt<T>(work: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}

/** With `-t` it is made in the account's own folder for such things (manual of mktemp of macOS). */
async function makeFolder(
  world: Pick<World, "run" | "user">,
  user: Pick<MacUser, "name" | "uid">,
): Promise<string> {
  const result = await runAs(world, user, "/usr/bin/mktemp", ["-d", "-t", PREFIX], { timeoutMs: TIMEOUT_MS });
  const failure = failureOf(result, "mktemp", PREFIX);
  if (failure !== null) throw failure;
  const made = MADE.exec(result.stdout)?.[1];
  if (made === undefined) throw new SystemError("EINVAL", "mktemp", PREFIX);
  return made;
}

async function removeFolder(
  world: Pick<World, "run" | "user">,
  user: Pick<MacUser, "name" | "uid">,
  made: string,
): Promise<void> {
  for (let left = REMOVE_ATTEMPTS; ; left -= 1) {
    const options = { timeoutMs: TIMEOUT_MS };
    const ended = await attempt(() => runAs(world, user, "/bin/rm", ["-rf", "--", made], options));
    const failure = "error" in ended ? ended.error : failureOf(ended.value, "rm", made);
    if (failure === null) return;
    if (left === 1) throw failure;
  }
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
