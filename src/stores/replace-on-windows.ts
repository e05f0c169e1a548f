import { join } from "node:path";
import { ProblemError } from "../model/problem.ts";
import type { FolderAccess, KnownFile } from "../world/windows-system.ts";
import { type FileStat, type OpenFile, SystemError, type World } from "../world/world.ts";
import { changedMeanwhile, closeQuietly, type Target, type TargetPlace } from "./target-file.ts";

/**
 * What is done otherwise where Windows has the files. Everything here goes by name, with the number of the file that
 * the name must mean: Windows has no way from a handle of Node's to these calls.
 */
export interface WindowsReplacement {
  readonly folders: FolderAccess;
  readonly clock: Pick<World["clock"], "sleep">;
  readonly place: TargetPlace;
}

/**
 * Gives a new file what the old one has beside its bytes. Before it has any bytes: a folder may let in more accounts
 * than the old file did.
 *
 * Throws `METADATA_NOT_KEPT` with what differs then, or `unknown` where nobody can tell.
 */
export async function carryAccess(
  { folders, place }: WindowsReplacement,
  old: Target,
  name: string,
  file: OpenFile,
): Promise<void> {
  const [from, to] = [known(place, place.name, old.stat), known(place, name, await file.stat())];
  const lost = await whatDiffers(folders, place, from, to);
  if (lost.length > 0)
    throw new ProblemError({ code: "METADATA_NOT_KEPT", path: place.path, what: lost.join(", ") });
}

/**
 * Throws what keeps the file from being replaced: `SETTINGS_CHANGED_MEANWHILE` when it is another one, or `SystemError`:
 * `EPERM` (marked read-only), `EACCES`, `EBUSY` when somebody holds it and does not let go.
 */
export async function requireReplaceable(replacement: WindowsReplacement, old: Target): Promise<void> {
  await patiently(replacement, () => demandReplaceable(replacement, old));
}

/**
 * Puts the new file in the place of the old one, or where nothing stood. A file that anybody holds cannot be replaced,
 * ours included, so the old one is closed first. Who else holds it (a scanner) is waited for, a counted number of times,
 * and `look` looks again each time: they may have changed it.
 *
 * Throws what `look` throws, and as `requireReplaceable`.
 */
export async function putInPlace(
  replacement: WindowsReplacement,
  old: Target | null,
  temporary: { readonly name: string; readonly file: OpenFile },
  look: () => Promise<void>,
): Promise<void> {
  const { folders, place } = replacement;
  await closeQuietly(old?.file ?? null);
  await patiently(replacement, async () => {
    if (old !== null) await demandReplaceable(replacement, old);
    const ours = known(place, temporary.name, await temporary.file.stat());
    await look();
    try {
      await folders.rename(ours, place.path, old !== null);
    } catch (error) {
      if (error instanceof SystemError && error.code === "EEXIST") throw changedMeanwhile(place.path);
      throw error;
    }
  });
}

const IN_USE_WAIT_MS = 100;
const IN_USE_WAITS = 30;

async function patiently({ clock }: WindowsReplacement, body: () => Promise<void>): Promise<void> {
  for (let waits = 0; ; waits += 1) {
    try {
      return await body();
    } catch (error) {
      const inUse = error instanceof SystemError && error.code === "EBUSY";
      if (!inUse || waits === IN_USE_WAITS) throw error;
    }
    await clock.sleep(IN_USE_WAIT_MS);
  }
}

async function demandReplaceable({ folders, place }: WindowsReplacement, old: Target): Promise<void> {
  try {
    await folders.demandReplaceable(known(place, place.name, old.stat));
  } catch (error) {
    if (error instanceof SystemError && (error.code === "ESTALE" || error.code === "ENOENT"))
      throw changedMeanwhile(place.path);
    throw error;
  }
}

async function whatDiffers(
  folders: FolderAccess,
  place: TargetPlace,
  from: KnownFile,
  to: KnownFile,
): Promise<readonly string[]> {
  try {
    return await folders.copyAccess(from, to);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new ProblemError(
      { code: "METADATA_NOT_KEPT", path: place.path, what: "unknown" },
      { cause: error },
    );
  }
}

function known(place: TargetPlace, name: string, { dev, ino }: FileStat): KnownFile {
  return { path: join(place.folder.path, name), dev, ino };
}
