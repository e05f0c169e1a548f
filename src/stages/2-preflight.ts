import type { Note } from "../model/event.ts";
import { ProblemError } from "../model/problem.ts";
import type { Server, ServerProcess } from "../model/server.ts";
import type { Settings } from "../model/settings.ts";
import { identity } from "../plex/server.ts";
import { processesOf } from "../services/processes.ts";
import { serviceOf } from "../services/service-of.ts";
import { release, removeIfThere, writeDurably } from "../state/durable.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import type { StoredImage } from "../stores/store.ts";
import { openStore } from "../stores/store-of.ts";
import { SystemError, type World } from "../world/world.ts";
import { note, type PathContext, type Target } from "./context.ts";
import type { Expectation } from "./put-settings-back.ts";
import { portIsOurs } from "./settle.ts";

/**
 * Opens what a server's settings and its service are worked on through; `closeTarget` frees it. `readOnly`: for what
 * changes nothing at all.
 */
export async function openTarget(
  context: PathContext,
  server: Server,
  { readOnly }: { readonly readOnly: boolean },
): Promise<Target> {
  const { world } = context;
  const store = await openStore(world, server, { readOnly, onNote: (what) => note(context, what) });
  return { server, store, service: serviceOf(world, server) };
}

export async function closeTarget(target: Target): Promise<void> {
  await release(() => target.store.close());
}

/** A server as it was found, with settings that may be edited. */
export interface Found {
  readonly stored: StoredImage;
  readonly settings: Settings;
  readonly running: boolean;
  readonly expectation: Expectation;
}

/**
 * Reads what a change starts from. Throws `SETTINGS_MISSING`, `SETTINGS_*`, `IDENTITY_LOST`, `NEEDS_PRIVILEGE`.
 */
export async function readTarget(context: PathContext, target: Target): Promise<Found> {
  const stored = await target.store.readImage();
  if (stored === null) throw new ProblemError({ code: "SETTINGS_MISSING", path: target.store.location });
  const settings = target.store.parse(stored.image);
  const machineIdentifier = settings.identity.processedMachineIdentifier;
  const { url } = target.server;
  const ours = await portIsOurs(context, url, machineIdentifier);
  if (!ours) note(context, { code: "PORT_TAKEN_BY_ANOTHER", url });
  const running = await isRunning(context, target, machineIdentifier);
  return { stored, settings, running, expectation: { machineIdentifier, portIsOurs: ours } };
}

/**
 * Whether it runs. Throws `NEEDS_PRIVILEGE` when this account may not see that, `STILL_ANSWERING` when no process of it
 * is seen and it answers all the same (in a container, under another name). A file that was named may be a copy, beside
 * which the server runs: then that is only told.
 */
export async function isRunning(
  context: PathContext,
  target: Target,
  machineIdentifier: string | null,
): Promise<boolean> {
  const processes = await visibleProcesses(context.world, target);
  if (processes.length > 0) return true;
  const { url, install } = target.server;
  if (machineIdentifier === null || !(await answersAs(context, url, machineIdentifier))) return false;
  if (install !== "settings-file") throw new ProblemError({ code: "STILL_ANSWERING", url });
  note(context, { code: "SAME_SERVER_ANSWERS", url });
  return false;
}

async function answersAs({ world }: PathContext, url: string, machineIdentifier: string): Promise<boolean> {
  const answer = await identity(world, url);
  return answer.kind === "answers" && answer.machineIdentifier === machineIdentifier;
}

/**
 * Everything that can be known to go wrong, before a claim code is spent or the server is stopped: that the
 * server can be stopped *and* started again, that the new settings can be written where they belong, and that
 * the state directory takes a backup. Leaves nothing behind.
 */
export async function demandReady(
  context: PathContext,
  state: StateDirectory,
  target: Target,
  options: { running: boolean; sizeBytes: number },
): Promise<void> {
  if (options.running) {
    const { interrupt } = context;
    const company = { interrupt, tell: (what: Note) => note(context, what) };
    await target.service.demandControl(target.store.location, company);
  }
  await target.store.proveWritable(options.sizeBytes);
  await demandSpace(state, options.sizeBytes);
}

const PROBE = "probe";

/** The backup, its manifest, the journal and the parked credentials, generously. */
async function demandSpace(state: StateDirectory, sizeBytes: number): Promise<void> {
  try {
    await writeDurably(state.root, PROBE, new Uint8Array(2 * sizeBytes + 64 * 1024));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new ProblemError({ code: "STATE_DIRECTORY_UNUSABLE", path: state.path, reason: error.code });
  } finally {
    await removeIfThere(state.root, PROBE);
    await removeIfThere(state.root, `.${PROBE}.new`);
  }
}

async function visibleProcesses(world: World, target: Target): Promise<readonly ServerProcess[]> {
  const processes = await processesOf(world, target.server);
  if (processes !== "unknown") return processes;
  throw new ProblemError({ code: "NEEDS_PRIVILEGE", path: target.store.location, line: "" });
}
