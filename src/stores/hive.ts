import { win32 } from "node:path";
import { ProblemError } from "../model/problem.ts";
import type { Registry, RegistryKey } from "../world/windows-system.ts";
import { type Clock, type Files, SystemError } from "../world/world.ts";
import { textOfBytes } from "./registry-settings.ts";

/** Which account's hive is wanted, and how. */
export interface HiveRequest {
  readonly sid: string;
  /** The settings, for problems. */
  readonly path: string;
  /** To look at a hive's file before it is loaded. Null: none is loaded, only one that is there anyway is used. */
  readonly files: HiveFiles | null;
  /** To wait between attempts; without it they follow one another at once. */
  readonly clock?: Pick<Clock, "sleep">;
}

export type HiveFiles = Pick<Files, "lstat">;

/**
 * Works in the hive of an account, and answers what the work answers. `root` is the name below HKEY_USERS where the
 * hive is for now: the SID while the account is signed in or a service of it runs, else a mount of our own, loaded from
 * the account's profile for this one piece of work and unloaded on every way out of it.
 *
 * Nothing is held open or loaded between two pieces of work. An account that signs in while its hive hangs from our
 * mount cannot load it, and Windows gives it a temporary profile: so it hangs there as briefly as can be, and a mount
 * that a dead run left behind is unloaded before anything else, even where the SID is loaded (that may be just such a
 * temporary profile). Of two at work on one account each would take the other's for left behind: who loads hives holds
 * the lock of the settings.
 *
 * The file is opened past all access lists (that is the backup privilege), and the profile is its account's to fill: a
 * link there would give the account another one's hive to write in. Such a file is refused. Nothing of an account that is
 * not signed in runs to put one there in the moment after that look.
 *
 * The system unloads a hive when the last process of its account ends, so also under the work's hands. The work then
 * sees `ESTALE`, or `ENOENT` with its root gone, and is begun again where the hive is by now: it must bear that.
 *
 * Throws what the work throws; `NEEDS_PRIVILEGE` (this account may not load or unload a hive);
 * `HIVE_UNAVAILABLE`: `not-loaded` (and it may not be), `no-profile` (the machine knows none, or says where in a way
 * that is not understood), `no-file`, `link` (the profile folder or the file is a link, the file has another name
 * besides, or is none), `busy` (somebody else has the file open), `still-loaded` (our mount cannot be
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
 * That no mount of ours is in the account's way any more, as it must be before anything of it starts: Windows would give
 * it a temporary profile, in which a server makes itself a new identity. Waits for who still looks into it (a virus
 * scanner, say). Throws `HIVE_UNAVAILABLE` (`still-loaded`).
 */
export async function letGo(registry: Registry, request: HiveRequest): Promise<void> {
  const mount = `${MOUNT_PREFIX}${request.sid}`;
  for (let attempt = 1; await isLoaded(registry, mount); attempt += 1) {
    const refusal = await unload(registry, mount, request);
    if (refusal !== null && attempt === LET_GO_ATTEMPTS) throw unavailable(request, "still-loaded", refusal);
  }
}

const MOUNT_PREFIX = "plex-reclaim-";
/** Each is several looks with pauses between them: twenty seconds in all. */
const LET_GO_ATTEMPTS = 20;
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
  const { files } = request;
  if (files !== null && (await isLoaded(registry, mount))) {
    const refusal = await unload(registry, mount, request);
    if (refusal?.code === "EPERM") throw asUnavailable(request, refusal);
  }
  for (let attempt = 1; ; attempt += 1) {
    const now = await loaded(registry);
    const own = now.get(request.sid.toUpperCase());
    if (own !== undefined) return { root: own, ours: false };
    if (files === null) throw unavailable(request, "not-loaded");
    // Left over, and held open by somebody: then it is used as it is, and its unloading tried again afterwards.
    if (now.has(mount.toUpperCase())) return { root: mount, ours: true };
    const refusal = await load(registry, mount, request, files);
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
async function load(
  registry: Registry,
  mount: string,
  request: HiveRequest,
  files: HiveFiles,
): Promise<SystemError | null> {
  const profile = await profileOf(registry, request);
  const file = win32.join(profile, "NTUSER.DAT");
  return refusalOf(async () => {
    if (!(await isPlain(files, profile, file))) throw unavailable(request, "link");
    await registry.loadHive(mount, file);
  });
}

/** Whether the file is what its name says. What is above the profile folder is not the account's to change. */
async function isPlain(files: HiveFiles, profile: string, file: string): Promise<boolean> {
  const [folder, hive] = [await files.lstat(profile), await files.lstat(file)];
  return folder.kind === "folder" && hive.kind === "file" && hive.links === 1;
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
