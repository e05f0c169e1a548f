import { posix } from "node:path";
import { ProblemError } from "../model/problem.ts";
import { resolved } from "../services/data-folder.ts";
import type { MacProcess } from "../services/mac-processes.ts";
import type { MacUser } from "../services/mac-user.ts";
import { SystemError, type World } from "../world/world.ts";
import { macAccount } from "./macos-accounts.ts";
import { type DomainWorld, settingsPathOf } from "./macos-domain.ts";

/** What is known of this Mac: the accounts that were listed, and what runs. */
interface Known {
  readonly accounts: readonly MacUser[];
  readonly processes: readonly MacProcess[] | "unknown";
}

/**
 * Whose domain the preference daemon keeps in a file: that of one of the accounts, or of one that is in no list of ours
 * (of another directory, root, one of the system's). Null where it is nobody's: a copy, a backup, another disk's.
 *
 * Throws `SETTINGS_OWNER_UNKNOWN` for a file in the place of a domain whose account nobody tells, unless it is in a place
 * that is no home of this Mac, and for `/Library/Preferences`, which the daemon keeps for no account at all.
 */
export async function accountOfFile(world: DomainWorld, known: Known, path: string): Promise<MacUser | null> {
  for (const account of known.accounts)
    if (await isSameFile(world, path, settingsPathOf(account))) return account;
  const real = await withoutLinks(world, path);
  const home = DOMAIN_FILE.exec(real)?.[1];
  if (home === undefined) return null;
  const unknown = new ProblemError({ code: "SETTINGS_OWNER_UNKNOWN", path });
  if (home === "") throw unknown;
  let untold = false;
  for (const uid of await ownersUpTo(world, real, home)) {
    const account = known.accounts.find((each) => each.uid === uid) ?? (await macAccount(world, uid));
    if (account !== null && (await isSameFile(world, real, settingsPathOf(account)))) return account;
    if (account === null && !isNobodysHome(known, home, uid)) untold = true;
  }
  if (untold) throw unknown;
  return null;
}

/** In the home that comes before it; this file system does not mind case. */
const DOMAIN_FILE = /^(.*)\/Library\/Preferences\/com\.plexapp\.plexmediaserver\.plist$/iu;

/** Where no file is, or none yet, its folder may still be behind a link. */
async function withoutLinks({ files }: Pick<World, "files">, path: string): Promise<string> {
  const real = await resolved(files, path);
  return real === path ? posix.join(await resolved(files, posix.dirname(path)), posix.basename(path)) : real;
}

/**
 * Who owns the file, or one of the folders up to the home: an editor that root ran makes the file root's. Those that
 * may not be seen are left out; where none may, the file cannot be opened either.
 */
async function ownersUpTo({ files }: Pick<World, "files">, path: string, home: string): Promise<Set<number>> {
  const owners = new Set<number>();
  for (let each = path; each.length >= home.length; each = posix.dirname(each)) {
    try {
      owners.add((await files.stat(each)).uid);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }
  return owners;
}

/** On another disk, or within a person's own home, and nothing runs as that account. */
function isNobodysHome({ accounts, processes }: Known, home: string, uid: number): boolean {
  if (processes === "unknown" || processes.some((process) => process.uid === uid)) return false;
  return [...accounts.map((account) => account.home), "/Volumes"].some((each) => home.startsWith(`${each}/`));
}

/** By what it is, through links and another case; by its name where one of the two cannot be looked at. */
async function isSameFile(world: Pick<World, "files">, one: string, other: string): Promise<boolean> {
  if (one === other) return true;
  try {
    const [first, second] = [await world.files.stat(one), await world.files.stat(other)];
    return first.dev === second.dev && first.ino === second.ino;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return (await withoutLinks(world, one)) === (await withoutLinks(world, other));
  }
}
