import { posix } from "node:path";
import { listMacProcesses, type MacProcess } from "../services/mac-processes.ts";
import { type MacUser, runAs } from "../services/mac-user.ts";
import { type FileStat, SystemError, type World } from "../world/world.ts";
import { failureOf } from "./defaults-failure.ts";

/** What a folder of a process is called, before what `mktemp` adds to it: whose it is can be told when it is found. */
export function folderPrefixOf(pid: number): string {
  return `${PREFIX}-${pid}`;
}

/** Removes such a folder as its account, which cannot be led to anything that is not its own; tried twice. */
export async function removeFolder(
  world: Pick<World, "run" | "user">,
  user: Pick<MacUser, "name" | "uid">,
  folder: string,
): Promise<void> {
  for (let left = REMOVE_ATTEMPTS; ; left -= 1) {
    const failure = await failureOfRemoval(world, user, folder);
    if (failure === null) return;
    if (left === 1) throw failure;
  }
}

/**
 * Removes what processes of ours left in `parent` (the account's own folder for things that do not last) when they were
 * killed: an exported domain has a token in it. The system removes such a file itself, but only when nobody has
 * looked at it for three days (confstr(3), `_CS_DARWIN_USER_TEMP_DIR`).
 *
 * Only folders of that account with a name of ours, whose process does not run any more; a few at a time. Never throws
 * what the system refuses: what stays does no harm to the work at hand, and has its turn the next time.
 */
export async function removeLeftovers(
  world: Pick<World, "run" | "user" | "files">,
  user: Pick<MacUser, "name" | "uid">,
  parent: string,
): Promise<void> {
  try {
    const found = await foundIn(world, user, parent);
    if (found.length === 0) return;
    const running = await listMacProcesses(world);
    if (running === "unknown") return;
    for (const { path } of found.filter((each) => !isInUse(each, running))) {
      await removeFolder(world, user, path);
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}

const PREFIX = "plex-reclaim";
const NAME = new RegExp(`^${PREFIX}-(\\d{1,10})\\.[A-Za-z0-9]+$`);
const AT_MOST = 16;
const REMOVE_ATTEMPTS = 2;
const TIMEOUT_MS = 10_000;
/** The moments of `ps` are whole seconds, and a clock may be put right meanwhile. */
const CLOCK_SLACK_S = 60;

interface Found {
  readonly path: string;
  readonly pid: number;
  /** Seconds since 1970. */
  readonly touched: number;
}

async function foundIn(
  world: Pick<World, "files">,
  { uid }: Pick<MacUser, "uid">,
  parent: string,
): Promise<Found[]> {
  const found: Found[] = [];
  for (const name of (await world.files.list(parent)).sort()) {
    const [, pid] = NAME.exec(name) ?? [];
    if (pid === undefined || found.length === AT_MOST) continue;
    const path = posix.join(parent, name);
    const stat = await lookedAt(world, path);
    if (stat?.kind !== "folder" || stat.uid !== uid) continue;
    found.push({ path, pid: Number(pid), touched: Number(BigInt(stat.mtimeNs) / 1_000_000_000n) });
  }
  return found;
}

/** Null: another process has just removed it. */
async function lookedAt({ files }: Pick<World, "files">, path: string): Promise<FileStat | null> {
  try {
    return await files.lstat(path);
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

/** A process that began after the folder was last touched only has the number of the one that made it. */
function isInUse({ pid, touched }: Found, running: readonly MacProcess[]): boolean {
  return running.some((process) => process.pid === pid && process.startTicks <= touched + CLOCK_SLACK_S);
}

async function failureOfRemoval(
  world: Pick<World, "run" | "user">,
  user: Pick<MacUser, "name" | "uid">,
  folder: string,
): Promise<SystemError | null> {
  try {
    const result = await runAs(world, user, "/bin/rm", ["-rf", "--", folder], { timeoutMs: TIMEOUT_MS });
    return failureOf(result, "rm", folder);
  } catch (error) {
    if (error instanceof SystemError) return error;
    throw error;
  }
}
