import { ProblemError } from "../model/problem.ts";
import { readBackup } from "../state/backups.ts";
import { type Entry, has, last } from "../state/journal.ts";
import { parkedCredentials } from "../state/parked-credentials.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import type { Image, StoredImage } from "../stores/store.ts";
import type { Target } from "./context.ts";

/** A write of several operations that died in the middle, and what it began from. */
export interface HalfWrite {
  /** What it was made over; null: there were no settings. */
  readonly before: Image | null;
  /** Whether this is what it left. */
  isIn(stored: StoredImage | null): stored is StoredImage;
  /** What stands there, with its parts as they were. */
  takenBack(stored: StoredImage): Image;
}

/**
 * The half of a write that a run may have left; null where its write is all or nothing, or was seen to be whole. The
 * backup is read only where there can be such a half.
 */
export async function halfWriteOf(
  state: StateDirectory,
  target: Target,
  entries: readonly Entry[],
): Promise<HalfWrite | null> {
  const parts = last(entries, "writing")?.parts;
  if (parts === undefined || has(entries, "written")) return null;
  const backup = last(entries, "backed-up");
  const before = backup === undefined ? null : (await readBackup(state, backup.backup)).image;
  return {
    before,
    isIn: (stored): stored is StoredImage =>
      stored !== null && target.store.isHalfWritten(stored.image, before, parts),
    takenBack: (stored) => target.store.withoutParts(stored.image, before, parts),
  };
}

/**
 * What is to stand there after an exchange: the old sign-in is dead, so the write is finished with the new one, over
 * whatever else the server has changed since. Throws `CREDENTIALS_NOT_KEPT` when the new one is nowhere any more.
 */
export async function finished(
  state: StateDirectory,
  target: Target,
  half: StoredImage,
  deviceId: string | null,
): Promise<Image> {
  const parked = deviceId === null ? null : await parkedCredentials(state, deviceId);
  if (parked === null) throw new ProblemError({ code: "CREDENTIALS_NOT_KEPT" });
  return target.store.preview(half.image, { kind: "replace", credentials: parked.credentials });
}
