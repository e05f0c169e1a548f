import * as v from "valibot";
import { Secret } from "../model/secret.ts";
import type { NewCredentials } from "../model/settings.ts";
import { readIfThere, removeWithRemains, writeDurably } from "./durable.ts";
import type { StateDirectory } from "./state-directory.ts";

/**
 * New credentials between the exchange and the write. plex.tv keeps one token per account and device, so after
 * an exchange the old one is dead and these are the only ones that work: they are durable (0600) before the
 * server is stopped, and removed only when the settings that hold them were read back.
 */
export interface ParkedCredentials {
  readonly credentials: NewCredentials;
  /** The run that obtained them. */
  readonly run: string;
  /** Whether their account may have the server: the owner's own, or one that was agreed to. */
  readonly accepted: boolean;
}

const ParkedSchema = v.object({
  version: v.literal(1),
  deviceId: v.string(),
  run: v.string(),
  accepted: v.boolean(),
  token: v.pipe(v.string(), v.nonEmpty()),
  username: v.string(),
  mail: v.string(),
});

export async function parkCredentials(
  state: StateDirectory,
  deviceId: string,
  parked: ParkedCredentials,
): Promise<void> {
  const { token, username, mail } = parked.credentials;
  const { run, accepted } = parked;
  const content = { version: 1, deviceId, run, accepted, token: token.reveal(), username, mail };
  await writeDurably(state.parked, fileName(deviceId), new TextEncoder().encode(JSON.stringify(content)));
}

/** Those of a device, or null; a file that is not ours to understand counts as none. */
export async function parkedCredentials(
  state: StateDirectory,
  deviceId: string,
): Promise<ParkedCredentials | null> {
  const bytes = await readIfThere(state.parked, fileName(deviceId));
  if (bytes === null) return null;
  const parsed = v.safeParse(
    v.pipe(v.string(), v.parseJson(), ParkedSchema),
    new TextDecoder().decode(bytes),
  );
  if (!parsed.success || parsed.output.deviceId !== deviceId) return null;
  const { token, username, mail, run, accepted } = parsed.output;
  return { credentials: { token: new Secret(token), username, mail }, run, accepted };
}

export async function removeParked(state: StateDirectory, deviceId: string): Promise<void> {
  await removeWithRemains(state.parked, fileName(deviceId));
  await state.parked.sync();
}

/** Device ids are 40 hex digits, but they are read from a file: anything else must not become a path. */
function fileName(deviceId: string): string {
  return `${deviceId.replaceAll(/[^0-9A-Za-z]/g, "_").slice(0, 64)}.json`;
}
