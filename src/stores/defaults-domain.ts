import { ProblemError } from "../model/problem.ts";
import { type MacUser, runAs } from "../services/mac-user.ts";
import { type RunOptions, type RunResult, SystemError, type World } from "../world/world.ts";
import { bytesOf, contentOf, type DomainContent } from "./defaults-content.ts";
import { failureOf, unendedOf } from "./defaults-failure.ts";
import { inPrivateFolder } from "./defaults-folder.ts";
import { LeftoverError } from "./replacement-errors.ts";

/** A preferences domain of an account, through `/usr/bin/defaults` as that account. */
export interface DefaultsDomain {
  readonly world: Pick<World, "run" | "user" | "files" | "processes">;
  readonly user: Pick<MacUser, "name" | "uid">;
  readonly name: string;
  /** For problems. */
  readonly path: string;
}

/**
 * What the preference daemon says of a domain; null where the tool refused to export it (exit status other than 0), as
 * it may for one that is not there. `export` goes to a file: to standard output it writes XML, which has no fractions of
 * a second (help of `defaults`, macOS 26.6). `sweeps`: what killed processes of ours exported before goes as well.
 *
 * Throws `SystemError` (`EPERM`: another account's; `ETIMEDOUT`, `EXIT_n`), and `SETTINGS_MALFORMED`,
 * `SETTINGS_UNSAFE` for what is exported.
 */
export async function exportDomain(domain: DefaultsDomain, sweeps: boolean): Promise<DomainContent | null> {
  const { world, user, path } = domain;
  return inPrivateFolder(world, { user, path, sweeps }, async (folder) => {
    const result = await defaults(domain, ["export", domain.name, folder.pathOf(EXPORTED)]);
    demandEnd(result, "defaults export", path);
    return result.status === 0 ? contentOf(await folder.read(EXPORTED), path) : null;
  });
}

/** Keys of a domain, handed over on standard input. Throws `SystemError` as above. */
export async function importDomain(domain: DefaultsDomain, content: DomainContent): Promise<void> {
  await importInto(domain, domain.name, content);
}

/**
 * Whether an import leaves the keys that are not handed over: two of one key each, into a domain of our own that is
 * named by the path of a file in a private folder (help of `defaults`: "path to an arbitrary plist file"; that both
 * kinds of domain are imported into alike is UNVERIFIED). Nothing of the account's is touched. False also where nobody
 * can tell. A daemon that makes the folder again when it writes that file leaves two names in it, no values of anybody.
 */
export async function importMerges(domain: DefaultsDomain): Promise<boolean> {
  const { world, user, path } = domain;
  try {
    return await inPrivateFolder(world, { user, path, sweeps: false }, async (folder) => {
      const probe = folder.pathOf("probe");
      for (const name of PROBES)
        await importInto(domain, probe, new Map([[name, { kind: "boolean", value: true }]]));
      demandSuccess(
        await defaults(domain, ["export", probe, folder.pathOf(EXPORTED)]),
        "defaults export",
        path,
      );
      const found = contentOf(await folder.read(EXPORTED), path);
      return found.size === PROBES.length && PROBES.every((name) => found.has(name));
    });
  } catch (error) {
    const first = error instanceof LeftoverError ? error.first : error;
    if (first instanceof SystemError || first instanceof ProblemError) return false;
    throw first;
  }
}

/** Throws `SystemError` as above: exit status 1 also where there is no such key, unless `mayBeGone`. */
export async function deleteKey(domain: DefaultsDomain, key: string, mayBeGone: boolean): Promise<void> {
  const result = await defaults(domain, ["delete", domain.name, key]);
  demandEnd(result, "defaults delete", domain.path);
  if (!mayBeGone) demandSuccess(result, "defaults delete", domain.path);
}

/** Whether the account has a domain of that name, in a file or only in the daemon's memory so far. */
export async function isListed(domain: DefaultsDomain): Promise<boolean> {
  const result = await defaults(domain, ["domains"]);
  demandSuccess(result, "defaults domains", domain.path);
  return result.stdout.split(",").some((name) => name.trim() === domain.name);
}

const EXPORTED = "settings.plist";
const PROBES = ["One", "Other"];
const TIMEOUT_MS = 30_000;

async function importInto(domain: DefaultsDomain, name: string, content: DomainContent): Promise<void> {
  const result = await defaults(domain, ["import", name, "-"], { stdin: bytesOf(content) });
  demandSuccess(result, "defaults import", domain.path);
}

function demandEnd(result: RunResult, call: string, path: string): void {
  const failure = unendedOf(result, call, path);
  if (failure !== null) throw failure;
}

function demandSuccess(result: RunResult, call: string, path: string): void {
  const failure = failureOf(result, call, path);
  if (failure !== null) throw failure;
}

function defaults(
  { world, user }: DefaultsDomain,
  words: readonly string[],
  options: Pick<RunOptions, "stdin"> = {},
): Promise<RunResult> {
  return runAs(world, user, "/usr/bin/defaults", words, { timeoutMs: TIMEOUT_MS, ...options });
}
