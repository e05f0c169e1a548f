import type { BackupReport } from "../model/event.ts";
import { ProblemError } from "../model/problem.ts";
import { demandReady, isRunning } from "../stages/2-preflight.ts";
import { backUp } from "../stages/6-back-up.ts";
import { step, type Target } from "../stages/context.ts";
import { unsettledRuns } from "../stages/settle.ts";
import {
  type Backup,
  backupFolder,
  deleteBackup,
  holdsDeadSignIn,
  listBackups,
  type Manifest,
  readBackup,
} from "../state/backups.ts";
import { last } from "../state/journal.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import { acceptPlan, afterChange } from "./change.ts";
import { type Ending, ending } from "./ending.ts";
import type { ChangeOptions, CommonOptions, DeleteOptions, TargetOptions } from "./invocation.ts";
import { alone, locateOne, settledFirst, settleFirst, withTarget } from "./locate.ts";
import { planToPutBack, putBackupBack, type Returning, standing } from "./put-backup-back.ts";
import { demandAssent, plexTvOf, type Session, say, withExistingState, withState } from "./session.ts";

/** Every backup, newest first; of one server where `--server` names it. */
export async function backupList(session: Session, options: CommonOptions): Promise<Ending> {
  return withExistingState(session, options, async (state) => {
    if (state === null) return ending("OK", { backups: [] });
    const { backups, damaged } = await listBackups(state);
    for (const id of damaged) say(session, { code: "BACKUP_UNREADABLE", id });
    const wanted = backups.filter(
      (manifest) => options.server === undefined || manifest.server === options.server,
    );
    return ending("OK", { backups: await Promise.all(wanted.map((manifest) => report(state, manifest))) });
  });
}

export async function backupShow(session: Session, id: string, options: CommonOptions): Promise<Ending> {
  return withExistingState(session, options, async (state) => {
    if (state === null) throw new ProblemError({ code: "BACKUP_NOT_FOUND", id });
    const { manifest } = await readBackup(state, id);
    return ending("OK", { backups: [await report(state, manifest)] });
  });
}

/** Reads one, or every one, whole, and compares it with its hash. Throws `BACKUP_DAMAGED` for the first that differs. */
export async function backupVerify(
  session: Session,
  id: string | undefined,
  options: CommonOptions,
): Promise<Ending> {
  return withExistingState(session, options, async (state) => {
    if (state === null) {
      if (id !== undefined) throw new ProblemError({ code: "BACKUP_NOT_FOUND", id });
      return ending("OK", { backups: [] });
    }
    const { backups, damaged } = await listBackups(state);
    const [first] = damaged;
    if (id === undefined && first !== undefined) await readBackup(state, first);
    const ids = id === undefined ? backups.map((manifest) => manifest.id) : [id];
    const reports: BackupReport[] = [];
    for (const each of ids) reports.push(await report(state, (await readBackup(state, each)).manifest));
    return ending("OK", { backups: reports });
  });
}

/** A backup of the settings as they are now; the server goes on running. Never one of a change that is under way. */
export async function backupCreate(session: Session, options: TargetOptions): Promise<Ending> {
  const server = await locateOne(session, options);
  return withTarget(session, server, { readOnly: false }, (target) =>
    alone(session, target, { dryRun: false }, () =>
      withState(session, options, async (state) => {
        const stored = await target.store.readImage();
        if (stored === null)
          throw new ProblemError({ code: "SETTINGS_MISSING", path: target.store.location });
        const manifest = await step(session.context, "back-up", () =>
          backUp(session.context, state, target, stored, null),
        );
        return ending("OK", {
          backup: manifest.id,
          server: server.id,
          backups: [await report(state, manifest)],
        });
      }),
    ),
  );
}

export async function backupDelete(
  session: Session,
  id: string,
  options: CommonOptions & DeleteOptions,
): Promise<Ending> {
  if (!options.dryRun) demandAssent(session, options);
  return withExistingState(session, options, async (state) => {
    if (state === null) throw new ProblemError({ code: "BACKUP_NOT_FOUND", id });
    await demandNotInUse(state, id);
    const backups = await described(state, id);
    if (options.dryRun) return ending("DRY_RUN", { backups });
    if (!options.yes && !(await session.questions.confirm("prompt.delete-backup", { id }))) {
      throw new ProblemError({ code: "DECLINED" });
    }
    await deleteBackup(state, id);
    return ending("OK", { backups });
  });
}

/** A damaged backup may be deleted too: then there is nothing to say of it. */
async function described(state: StateDirectory, id: string): Promise<BackupReport[]> {
  try {
    return [await report(state, (await readBackup(state, id)).manifest)];
  } catch (error) {
    if (error instanceof ProblemError && error.problem.code === "BACKUP_DAMAGED") return [];
    throw error;
  }
}

/** The backup of a run that was cut off is what settles it. */
async function demandNotInUse(state: StateDirectory, id: string): Promise<void> {
  for (const run of await unsettledRuns(state)) {
    if (last(run.entries, "backed-up")?.backup === id) {
      throw new ProblemError({ code: "RUN_NOT_SETTLED", run: run.id });
    }
  }
}

/**
 * Puts a whole backup back: stop → back up what stands there → restore → start → verify. Works on settings that
 * are empty, damaged or missing: that is what a backup is for. Only onto the server that it came from.
 */
export async function backupRestore(
  session: Session,
  id: string,
  options: TargetOptions & ChangeOptions,
): Promise<Ending> {
  if (!options.dryRun) demandAssent(session, options);
  const server = await locateOne(session, options);
  return withTarget(session, server, { readOnly: options.dryRun }, (target) =>
    alone(session, target, options, () =>
      options.dryRun
        ? withExistingState(session, options, (state) => restoreDryRun(session, id, options, target, state))
        : withState(session, options, (state) =>
            settledFirst(session, state, target, options, () => restore(session, id, options, target, state)),
          ),
    ),
  );
}

async function restoreDryRun(
  session: Session,
  id: string,
  options: TargetOptions & ChangeOptions,
  target: Target,
  state: StateDirectory | null,
): Promise<Ending> {
  if (state === null) throw new ProblemError({ code: "BACKUP_NOT_FOUND", id });
  await settleFirst(session, state, target, options);
  const { plan } = await prepare(session, id, options, target, state);
  session.context.emit({ type: "plan", plan });
  say(session, { code: "DRY_RUN" });
  return ending("DRY_RUN", { server: target.server.id, backup: id });
}

async function restore(
  session: Session,
  id: string,
  options: TargetOptions & ChangeOptions,
  target: Target,
  state: StateDirectory,
): Promise<Ending> {
  const { returning, plan } = await prepare(session, id, options, target, state);
  const { backup, running } = returning;
  await demandReady(session.context, state, target, { running, sizeBytes: backup.image.bytes.length });
  await acceptPlan(session, options, plan);
  const changed = await putBackupBack(session, options, state, target, returning, async () => backup.image);
  return afterChange(session, options, target, state, plexTvOf(session, options), {
    command: "restore",
    changed,
    wasRunning: running,
  });
}

async function prepare(
  session: Session,
  id: string,
  options: ChangeOptions,
  target: Target,
  state: StateDirectory,
) {
  const backup = await readBackup(state, id);
  const now = await standing(target);
  demandSameServer(session, backup, target, now.settings?.identity.processedMachineIdentifier);
  // A backup that was made of broken settings must not replace anything.
  target.store.parse(backup.image);
  const deviceId = now.settings?.identity.processedMachineIdentifier ?? null;
  const running = await isRunning(session.context, target, deviceId);
  const dead = await holdsDeadSignIn(state, backup.manifest);
  if (dead) say(session, { code: "OLD_SIGN_IN_IS_DEAD" });
  const endsRunning = running && !options.keepStopped;
  const returning: Returning = { command: "restore", backup, ...now, running, endsRunning };
  return { returning, plan: planToPutBack(target, options, state, returning, { deadSignIn: dead }) };
}

/**
 * Another server's identity on this one would make two servers with one name. At the place that it was made of a
 * backup may always return: a server whose settings were lost has made itself a new identity there.
 */
function demandSameServer(
  session: Session,
  backup: Backup,
  target: Target,
  deviceId: string | undefined,
): void {
  const otherKind = backup.manifest.store !== target.store.kind;
  if (!otherKind && deviceId !== undefined && backup.manifest.deviceId === deviceId) return;
  if (otherKind || backup.manifest.server !== target.server.id) {
    throw new ProblemError({ code: "BACKUP_OF_ANOTHER_SERVER", id: backup.manifest.id });
  }
  if (deviceId !== undefined) say(session, { code: "IDENTITY_RETURNS" });
}

async function report(state: StateDirectory, manifest: Manifest): Promise<BackupReport> {
  return {
    id: manifest.id,
    server: manifest.server,
    settings: manifest.settings,
    createdAt: isoTime(manifest.createdAt),
    run: manifest.run,
    sizeBytes: manifest.sizeBytes,
    signIn: manifest.token === null ? "absent" : "present",
    deadSignIn: await holdsDeadSignIn(state, manifest),
    folder: backupFolder(state, manifest.id),
  };
}

function isoTime(at: number): string {
  return new Date(at).toISOString();
}
