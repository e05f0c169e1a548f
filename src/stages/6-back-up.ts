import { ProblemError } from "../model/problem.ts";
import { hasToken, type Settings } from "../model/settings.ts";
import { createBackup, type Manifest } from "../state/backups.ts";
import { fingerprint } from "../state/exchanges.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import type { Image, SettingsStore, StoredImage } from "../stores/store.ts";
import type { PathContext, Target } from "./context.ts";

/**
 * Backs up what stands in the settings now: written, made durable, read back and hashed before this returns.
 * Settings that cannot be parsed are backed up all the same: a restore replaces just those.
 */
export async function backUp(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  stored: StoredImage,
  run: string | null,
): Promise<Manifest> {
  const settings = readable(target.store, stored.image);
  return createBackup(context.world, state, {
    server: target.server,
    settings: target.store.location,
    stored,
    deviceId: settings?.identity.processedMachineIdentifier ?? null,
    token: settings === null ? null : tokenFingerprint(settings),
    run,
  });
}

function tokenFingerprint(settings: Settings): string | null {
  const { token } = settings.credentials;
  return token !== undefined && hasToken(settings) ? fingerprint(token) : null;
}

/** The settings in an image, or null when they are not such as we would edit. */
export function readable(store: SettingsStore, image: Image): Settings | null {
  try {
    return store.parse(image);
  } catch (error) {
    if (error instanceof ProblemError) return null;
    throw error;
  }
}
