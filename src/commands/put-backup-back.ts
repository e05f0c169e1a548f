import type { PlanView } from "../model/event.ts";
import { type ServerAccount, uidOf } from "../model/server.ts";
import type { Settings } from "../model/settings.ts";
import { makePlan } from "../stages/3-plan.ts";
import { readable } from "../stages/6-back-up.ts";
import type { Target } from "../stages/context.ts";
import { type Changed, runChange } from "../stages/run.ts";
import { portIsOurs } from "../stages/settle.ts";
import type { Backup } from "../state/backups.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import type { FileMetadata, Image, StoredImage } from "../stores/store.ts";
import type { ChangeOptions, TargetOptions } from "./invocation.ts";
import { ownLine } from "./privileged-line.ts";
import type { Session } from "./session.ts";

/** A backup that is to come back, and what it comes back over. */
export interface Returning {
  readonly command: "undo" | "restore";
  /** For `undo`: the run that it undoes. */
  readonly undoes?: string;
  readonly backup: Backup;
  /** What stands in the settings now; null when there are none. */
  readonly stored: StoredImage | null;
  /** The same, where it can be read. */
  readonly settings: Settings | null;
  readonly running: boolean;
  readonly endsRunning: boolean;
}

/** What stands in the settings before a backup comes back. */
export async function standing(target: Target): Promise<Pick<Returning, "stored" | "settings">> {
  const stored = await target.store.readImage();
  return { stored, settings: stored === null ? null : readable(target.store, stored.image) };
}

export function planToPutBack(
  target: Target,
  options: ChangeOptions,
  state: StateDirectory,
  { command, backup, stored, settings, running }: Omit<Returning, "endsRunning">,
  sign: Pick<PlanView, "deadSignIn" | "keepsSignIn">,
): PlanView {
  return makePlan(target, settings, {
    ...sign,
    command,
    change: "restore",
    backup: backup.manifest.id,
    running,
    keepStopped: options.keepStopped,
    stateDirectory: state.path,
    otherDifferences: stored === null ? 0 : target.store.differences(stored.image, backup.image),
  });
}

/**
 * Carries it out, on the path of every change. `image` makes what is to stand in the settings: the backup, or the backup
 * with another sign-in.
 */
export async function putBackupBack(
  session: Session,
  options: TargetOptions & ChangeOptions,
  state: StateDirectory,
  target: Target,
  returning: Returning,
  image: (now: StoredImage | null) => Promise<Image>,
): Promise<Changed> {
  const { command, undoes, backup, settings, running, endsRunning } = returning;
  const machineIdentifier = settings?.identity.processedMachineIdentifier ?? null;
  return runChange(session.context, state, target, {
    command,
    ...(undoes === undefined ? {} : { undoes }),
    wasRunning: running,
    keepStopped: options.keepStopped,
    endsRunning,
    undoLine: (run) => ownLine(session, "undo", options, run),
    expectation: {
      machineIdentifier,
      ...(backup.manifest.deviceId === null ? {} : { startsAs: backup.manifest.deviceId }),
      portIsOurs: await portIsOurs(session.context, target.server.url, machineIdentifier),
    },
    planned: settings,
    obtain: null,
    target: async (now) => ({ image: await image(now), metadata: metadataFor(target, now, backup) }),
  });
}

/**
 * Owner and mode as the backup has them; but where the server runs under another account by now (a new
 * installation, another machine), the owner of today: a file of the old one would be closed to it.
 */
function metadataFor(target: Target, now: StoredImage | null, backup: Backup): FileMetadata | null {
  const { metadata } = backup;
  const account = uidOf(target.server);
  if (metadata === null || account === undefined) return metadata;
  if (account === metadata.uid || metadata.uid === 0) return metadata;
  const today = now?.metadata ?? ownership(target.server.account);
  if (today === null) return metadata;
  return { uid: today.uid, gid: today.gid, mode: metadata.mode };
}

function ownership(account: ServerAccount | undefined): { uid: number; gid: number } | null {
  return account !== undefined && "uid" in account ? account : null;
}
