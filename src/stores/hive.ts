import { win32 } from "node:path";
import { ProblemError } from "../model/problem.ts";
import type { Registry, RegistryKey, WindowsSystem } from "../world/windows-system.ts";
import { type Clock, SystemError } from "../world/world.ts";
import { textOfBytes } from "./registry-settings.ts";

/** Which account's hive is wanted, and how. */
export interface HiveRequest {
  readonly sid: string;
  /** The settings, for problems. */
  readonly path: string;
  /** False: only a hive that is loaded anyway. */
  readonly mayLoad: boolean;
  /** To wait between attempts; without it they follow one another at once. */
  readonly clock?: Pick<Clock, "sleep">;
}

/**
 * Works in the hive of an account, and answers what the work answers. `root` is the name below HKEY_USERS where the
 * hive is for now: the SID while the account is signed in or a service of it runs, else a mount of our own, loaded from
 * the account's profile for this one piece of work and unloaded on every way out of it.
 *
 * Nothing is held open or loaded between two pieces of work. An account that signs in while its hive hangs from our
 * mount cannot load it, and Windows gives it a temporary profile: so it hangs there as briefly as can be, and a mount
 * that a dead run left behind is unloaded before anything else, even where the SID is loaded (that may be just such a
 * temporary profile).
 *
 * The system unloads a hive when the last process of its account ends, so also under the work's hands. The work then
 * sees `ESTALE`, or `ENOENT` with its root gone, and is begun again where the hive is by now: it must bear that.
 *
 * Throws what the work throws; `NEEDS_PRIVILEGE` (this account may not load or unload a hive);
 * `HIVE_UNAVAILABLE`: `not-loaded` (and it may not be), `no-profile` (the machine knows none, or says where in a way
 * that is not understood), `no-file`, `busy` (somebody else has the file open), `still-loaded` (our mount cannot be
 * unloaded; the work itself was done), or the code of what the system refused.
 */
export async function inHive<T>(
  registry: Registry,
  request: HiveRequest,
  work: (root: string) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const place = await placeOf(registry, request);
    let gone = false;
    const noticing = async (root: string) => {
      try {
        return await work(root);
      } catch (error) {
        gone = await isGone(registry, root, error);
        throw error;
      }
    };
    try {
      return await workAt(registry, request, place, noticing);
    } catch (error) {
      if (!gone || attempt === ATTEMPTS) throw error;
    }
    await pause(request);
  }
}

/** Whether something is loaded below HKEY_USERS under the name. */
export async function isLoaded(registry: Registry, root: string): Promise<boolean> {
  return (await loaded(registry)).has(root.toUpperCase());
}

/**
 * Unloads every mount of ours, as runs that died have left them; for the start of a changing command. Answers the names
 * of those that are still there: this account may not unload them, or another run works in them right now.
 */
export async function unloadLeftOver(
  windows: Pick<WindowsSystem, "registry">,
  waiting: Pick<HiveRequest, "clock"> = {},
): Promise<readonly string[]> {
  const { registry } = windows;
  const ours = [...(await loaded(registry)).values()].filter((name) =>
    name.toUpperCase().startsWith(MOUNT_PREFIX.toUpperCase()),
  );
  const still: string[] = [];
  for (const mount of ours) {
    if ((await unload(registry, mount, waiting)) !== null) still.push(mount);
  }
  return still;
}

const MOUNT_PREFIX = "plex-reclaim-";
const ATTEMPTS = 3;
const UNLOAD_ATTEMPTS = 5;
const PAUSE_MS = 200;

const USERS: RegistryKey = { root: "HKEY_USERS", path: "" };
const WINDOWS_KEY = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";

interface Place {
  readonly root: string;
  /** It hangs there because of us. */
  readonly ours: boolean;
}

async function placeOf(registry: Registry, request: HiveRequest): Promise<Place> {
  const mount = `${MOUNT_PREFIX}${request.sid}`;
  if (request.mayLoad && (await isLoaded(registry, mount))) {
    const refusal = await unload(registry, mount, request);
    if (refusal?.code === "EPERM") throw asUnavailable(request, refusal);
  }
  for (let attempt = 1; ; attempt += 1) {
    const now = await loaded(registry);
    const own = now.get(request.sid.toUpperCase());
    if (own !== undefined) return { root: own, ours: false };
    if (!request.mayLoad) throw unavailable(request, "not-loaded");
    // Left over, and held open by somebody: then it is used as it is, and its unloading tried again afterwards.
    if (now.has(mount.toUpperCase())) return { root: mount, ours: true };
    const refusal = await load(registry, mount, request);
    if (refusal === null) return { root: mount, ours: true };
    // The account may be signing in, or its hive be on its way out: then it is elsewhere, or free, in a moment.
    if (refusal.code !== "EBUSY" || attempt === ATTEMPTS) throw asUnavailable(request, refusal);
    await pause(request);
  }
}

async function workAt<T>(
  registry: Registry,
  request: HiveRequest,
  { root, ours }: Place,
  work: (root: string) => Promise<T>,
): Promise<T> {
  if (!ours) return work(root);
  let answer: T;
  try {
    answer = await work(root);
  } catch (error) {
    try {
      await unload(registry, root, request);
    } catch {
      // What the work ran into stays the first error; the next changing command finds the mount.
    }
    throw error;
  }
  const refusal = await unload(registry, root, request);
  if (refusal !== null) throw unavailable(request, "still-loaded", refusal);
  return answer;
}

async function isGone(registry: Registry, root: string, error: unknown): Promise<boolean> {
  if (!(error instanceof SystemError)) return false;
  return error.code === "ESTALE" || (error.code === "ENOENT" && !(await isLoaded(registry, root)));
}

/** Null: loaded. */
async function load(registry: Registry, mount: string, request: HiveRequest): Promise<SystemError | null> {
  const file = win32.join(await profileOf(registry, request), "NTUSER.DAT");
  return refusalOf(() => registry.loadHive(mount, file));
}

/**
 * Null: it is not there any more. A key that anybody has open in a hive keeps it loaded, which the system calls denied
 * (RegUnLoadKey: ERROR_ACCESS_DENIED); programs that look at new hives let go of them soon.
 */
async function unload(
  registry: Registry,
  mount: string,
  waiting: Pick<HiveRequest, "clock">,
): Promise<SystemError | null> {
  for (let attempt = 1; ; attempt += 1) {
    const refusal = await refusalOf(() => registry.unloadHive(mount));
    if (refusal === null || !(await isLoaded(registry, mount))) return null;
    if (refusal.code === "EPERM" || attempt === UNLOAD_ATTEMPTS) return refusal;
    await pause(waiting);
  }
}

/**
 * The account's profile folder as the machine lists it. The variables are those of the machine, from the registry: our
 * own environment is the caller's.
 */
async function profileOf(registry: Registry, request: HiveRequest): Promise<string> {
  const listed = await machineText(
    registry,
    `${WINDOWS_KEY}\\ProfileList\\${request.sid}`,
    "ProfileImagePath",
  );
  const systemRoot = await machineText(registry, WINDOWS_KEY, "SystemRoot");
  if (listed === null || systemRoot === null) throw unavailable(request, "no-profile");
  const folder = listed.replace(/^%(SystemDrive|SystemRoot)%/i, (_all, name: string) =>
    name.toUpperCase() === "SYSTEMROOT" ? systemRoot : systemRoot.slice(0, 2),
  );
  if (!/^[A-Z]:\\[^%]*$/i.test(folder)) throw unavailable(request, "no-profile");
  return folder;
}

/** Null when there is no such value, or it is no text. */
async function machineText(registry: Registry, path: string, name: string): Promise<string | null> {
  const values = await registry.values({ root: "HKEY_LOCAL_MACHINE", path });
  const value = values?.find((other) => other.name.toUpperCase() === name.toUpperCase());
  return value === undefined || (value.type !== REG_SZ && value.type !== REG_EXPAND_SZ)
    ? null
    : textOfBytes(value.bytes);
}

const REG_SZ = 1;
const REG_EXPAND_SZ = 2;

/** Names below HKEY_USERS by their upper-case form. */
async function loaded(registry: Registry): Promise<ReadonlyMap<string, string>> {
  const names = (await registry.subkeys(USERS)) ?? [];
  return new Map(names.map((name) => [name.toUpperCase(), name]));
}

async function refusalOf(call: () => Promise<void>): Promise<SystemError | null> {
  try {
    await call();
    return null;
  } catch (error) {
    if (error instanceof SystemError) return error;
    throw error;
  }
}

async function pause({ clock }: Pick<HiveRequest, "clock">): Promise<void> {
  await clock?.sleep(PAUSE_MS);
}

function asUnavailable(request: HiveRequest, refusal: SystemError): ProblemError {
  switch (refusal.code) {
    case "EPERM":
    case "EACCES":
      return new ProblemError({ code: "NEEDS_PRIVILEGE", path: request.path, line: "" }, { cause: refusal });
    case "ENOENT":
      return unavailable(request, "no-file", refusal);
    case "EBUSY":
      return unavailable(request, "busy", refusal);
    default:
      return unavailable(request, refusal.code, refusal);
  }
}

function unavailable({ path }: HiveRequest, reason: string, cause?: unknown): ProblemError {
  return new ProblemError({ code: "HIVE_UNAVAILABLE", path, reason }, { cause });
}
