import { type ByHand, ProblemError } from "../model/problem.ts";
import { uidOf } from "../model/server.ts";
import { identity } from "../plex/server.ts";
import { processesOf } from "../services/processes.ts";
import { backupSettingsPath, readBackup } from "../state/backups.ts";
import { type Entry, has, type Journal, last } from "../state/journal.ts";
import { parkedCredentials } from "../state/parked-credentials.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import type { StoredImage } from "../stores/store.ts";
import { stopServer } from "./5-stop.ts";
import { backUp, readable } from "./6-back-up.ts";
import { asProblem } from "./as-problem.ts";
import { type PathContext, type Target, WAITS } from "./context.ts";
import { finished, halfWriteOf } from "./half-write.ts";

/** What putting back needs to know of a server besides its target. */
export interface Expectation {
  readonly machineIdentifier: string | null;
  /** Who it is to be after the change, where that is somebody else: a restore gives a lost identity back. */
  readonly startsAs?: string;
  /** Whether the port answered as this server before (or nobody did). */
  readonly portIsOurs: boolean;
}

/** What to do with settings that somebody has changed since our write: of a crash, nobody knows how long ago. */
export type Later = "restore" | "leave";

/**
 * The settings as they were before the write. What stands there now may be that already, or what we wrote (or half of
 * it), or what the server made of it since: then the server must not run while it is put back, and what only it or its
 * owner has is backed up first, or stays.
 *
 * Answers true when the settings have moved on after a crash (the owner has signed in, say) and are to be left.
 */
export async function restoreBefore(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  journal: Journal,
  expectation: Expectation,
  later: Later,
): Promise<boolean> {
  const writing = last(journal.entries, "writing");
  const backup = last(journal.entries, "backed-up");
  const standing = await target.store.readImage();
  if (writing === undefined || (standing?.image.sha256 ?? null) === writing.from) return false;
  const half = await halfWriteOf(state, target, journal.entries);
  const isOurs = (stored: StoredImage | null) =>
    stored?.image.sha256 === writing.to || half?.isIn(stored) === true;
  // Over nothing: whole settings that are there now are better than none.
  if (backup === undefined && half?.isIn(standing) !== true) return false;
  if (later === "leave" && !isOurs(standing)) return true;
  await stopStarted(context, target, expectation.machineIdentifier);
  const now = await target.store.readImage();
  if (later === "leave" && !sameSignIn(target, standing, now)) return true;
  if (half?.isIn(now) === true) {
    await target.store.write(now.image, half.takenBack(now));
    return false;
  }
  if (backup === undefined) return false;
  const before = await readBackup(state, backup.backup);
  if (now?.image.sha256 === before.image.sha256) return false;
  if (now !== null && !isOurs(now)) await backUp(context, state, target, now, journal.id);
  await target.store.write(now?.image ?? null, before.image, before.metadata);
  return false;
}

/**
 * After an exchange what was written stays, and half of it is finished. Answers false: nothing has moved on that would
 * have to be left alone.
 */
export async function goForward(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  entries: readonly Entry[],
  expectation: Expectation,
): Promise<boolean> {
  const backup = last(entries, "backed-up");
  if (backup === undefined) return false;
  const half = await halfWriteOf(state, target, entries);
  if (half?.isIn(await target.store.readImage()) !== true) {
    await restoreIdentity(context, state, target, backup.backup, expectation);
    return false;
  }
  await stopStarted(context, target, expectation.machineIdentifier);
  const now = await target.store.readImage();
  if (!half.isIn(now)) return false;
  const { manifest } = await readBackup(state, backup.backup);
  const image = await finished(state, target, now, manifest.deviceId);
  if (image.sha256 !== now.image.sha256) await target.store.write(now.image, image);
  return false;
}

/**
 * What a person can do with the backup. A registry file brings values back and takes none away (so may a property list
 * that is imported into its domain), so it is of use only where values were removed; and never after an exchange, for
 * the sign-in in it is dead. Nor can another account read a backup of root's. `undo`: that line is all.
 */
export function settingsByHand(
  { world }: PathContext,
  state: StateDirectory,
  { store, server }: Target,
  entries: readonly Entry[],
): ByHand | "undo" {
  const backup = last(entries, "backed-up");
  if (backup === undefined) return "undo";
  const [from, to] = [backupSettingsPath(state, backup.backup, store.kind), store.location];
  if (store.kind === "xml" || store.kind === "plist") return { do: "copy", from, to };
  if (store.kind === "defaults" && uidOf(server) !== world.user.uid) return "undo";
  const parts = last(entries, "writing")?.parts ?? [];
  const onlyRemoves = !has(entries, "exchanged") && parts.every((part) => part.to === null);
  return onlyRemoves ? { do: "import", from, to } : "undo";
}

/** Whether the server may be running. */
export async function mayRun(context: PathContext, target: Target): Promise<boolean> {
  const running = await processesOf(context.world, target.server);
  return running === "unknown" || running.length > 0;
}

function sameSignIn(target: Target, one: StoredImage | null, other: StoredImage | null): boolean {
  const tokenOf = (stored: StoredImage | null) =>
    stored === null ? undefined : readable(target.store, stored.image)?.credentials.token?.reveal();
  return tokenOf(one) === tokenOf(other);
}

/**
 * After an exchange what was written stays, unless the server came up as another one: it would write its new identity
 * over ours when it ends. Then the settings of before come back, with the new sign-in.
 */
async function restoreIdentity(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  backup: string,
  { machineIdentifier, portIsOurs }: Expectation,
): Promise<void> {
  if (machineIdentifier === null || !portIsOurs) return;
  const answer = await identity(context.world, target.server.url);
  if (answer.kind !== "answers" || answer.machineIdentifier === machineIdentifier) return;
  await stopStarted(context, target, answer.machineIdentifier);
  const now = await target.store.readImage();
  const settings = now === null ? null : readable(target.store, now.image);
  if (settings?.identity.processedMachineIdentifier === machineIdentifier) return;
  const [before, parked] = [
    await readBackup(state, backup),
    await parkedCredentials(state, machineIdentifier),
  ];
  if (parked === null) throw new ProblemError({ code: "CREDENTIALS_NOT_KEPT" });
  const { credentials } = parked;
  const image = await target.store.preview(before.image, { kind: "replace", credentials });
  await target.store.write(now?.image ?? null, image, before.metadata);
}

/**
 * A server that was started a moment ago may not be ready to be stopped (its pid file, say, is still to come): a
 * stop that failed is asked for again, a few times and no more.
 */
async function stopStarted(
  context: PathContext,
  target: Target,
  machineIdentifier: string | null,
): Promise<void> {
  for (let tries = 1; await mayRun(context, target); tries += 1) {
    try {
      return await stopServer(context, target, machineIdentifier);
    } catch (error) {
      if (asProblem(error).code !== "STOP_FAILED" || tries === STOP_TRIES) throw error;
      await context.world.clock.sleep(WAITS.stopAgainMs);
    }
  }
}

const STOP_TRIES = 3;
