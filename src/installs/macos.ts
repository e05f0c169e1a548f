import { createHash } from "node:crypto";
import { posix } from "node:path";
import type { Server } from "../model/server.ts";
import { resolved } from "../services/data-folder.ts";
import {
  isServerExecutable,
  listMacProcesses,
  type MacProcess,
  processesIn,
} from "../services/mac-processes.ts";
import type { MacUser } from "../services/mac-user.ts";
import { isPlistName } from "../stores/settings-format.ts";
import {
  addressFor,
  commandsFor,
  type FindOptions,
  type FoundServer,
  type FoundServers,
} from "./find-servers.ts";
import { macAccounts } from "./macos-accounts.ts";
import {
  type DomainWorld,
  foldersOf,
  mayActAs,
  mayBeFolder,
  settingsOf,
  settingsPathOf,
} from "./macos-domain.ts";
import { accountOfFile } from "./macos-file-owner.ts";

/**
 * Every Plex Media Server of this Mac: one for each account that has its preferences, or runs it. A person sees the own
 * one, root those of all; of others `unseen` names the settings where a server of theirs runs, or its executable where
 * nobody tells their home. With `settings` only that one, found or not: a file is one alone, but for an account's own,
 * which the preference daemon keeps.
 *
 * Never throws for what it may not see: where `ps` does not show everything, that stands in a server's `unseen`. Throws
 * `SETTINGS_OWNER_UNKNOWN` for `settings` of which cannot be told whether the daemon keeps them.
 */
export async function findServersOnMac(world: DomainWorld, options: FindOptions): Promise<FoundServers> {
  const all = await listMacProcesses(world);
  const { processMatch } = options;
  const named = processMatch === undefined ? {} : { executable: await resolved(world.files, processMatch) };
  const given: Given = { ...options, ...named, all };
  const running = runningServers(given);
  const accounts = await macAccounts(
    world,
    running.map(({ uid }) => uid),
  );
  if (options.settings !== undefined) {
    return { servers: [await namedServer(world, accounts, given, options.settings)], unseen: [] };
  }
  const servers: FoundServer[] = [];
  const unseen: string[] = [];
  for (const account of accounts) {
    const runs = running.some(({ uid }) => uid === account.uid);
    const settings = mayActAs(world, account) ? await settingsOf(world, account) : "unseen";
    if (settings === "there" || (runs && mayActAs(world, account))) {
      servers.push(await ofAccount(world, account, given, settings === "unseen"));
    } else if (settings === "unseen" && (runs || mayActAs(world, account))) {
      unseen.push(settingsPathOf(account));
    }
  }
  for (const { uid, path } of running) {
    if (accounts.every((account) => account.uid !== uid) && !unseen.includes(path)) unseen.push(path);
  }
  servers.sort((one, other) => (one.server.settingsPath < other.server.settingsPath ? -1 : 1));
  return { servers, unseen };
}

/** What a person said, with the executable resolved, and what runs. */
type Given = FindOptions & {
  readonly executable?: string;
  readonly all: readonly MacProcess[] | "unknown";
};

function runningServers({ all, executable }: Given): MacProcess[] {
  if (all === "unknown") return [];
  return all.filter(({ path }) => isServerExecutable(path) || path === executable);
}

async function ofAccount(
  world: DomainWorld,
  account: MacUser,
  given: Given,
  settingsUnseen: boolean,
): Promise<FoundServer> {
  const { name, uid, gid } = account;
  const settingsPath = settingsPathOf(account);
  const application = await applicationOf(world, account, given);
  const executable = given.executable ?? (application === null ? null : `${application}${IN_BUNDLE}`);
  const found = application === null ? ({ kind: "none" } as const) : macService(application);
  const server: Server = {
    id: idOf(settingsPath),
    install: "mac-application",
    store: "defaults",
    settingsPath,
    ...(await foldersOf(world, account)),
    ...(executable !== null && { executable }),
    account: { name, uid, gid },
    service: commandsFor(given) ?? found,
    url: addressFor(given),
  };
  return withProcesses(given, server, settingsUnseen ? [settingsPath] : []);
}

function macService(application: string) {
  return { kind: "mac-application", application } as const;
}

async function ofFile(world: DomainWorld, given: Given, path: string): Promise<FoundServer> {
  const { executable } = given;
  const server: Server = {
    id: idOf(await resolved(world.files, path)),
    install: "settings-file",
    store: isPlistName(path) ? "plist" : "xml",
    settingsPath: path,
    dataFolder: posix.dirname(path),
    ...(executable !== undefined && { executable }),
    service: commandsFor(given) ?? { kind: "none" },
    url: addressFor(given),
  };
  return withProcesses(given, server, []);
}

/** An account's own file is its domain's: the daemon would write over what is changed in it. */
async function namedServer(
  world: DomainWorld,
  accounts: readonly MacUser[],
  given: Given,
  named: string,
): Promise<FoundServer> {
  const path = posix.resolve(named);
  const account = await accountOfFile(world, { accounts, processes: given.all }, path);
  return account === null ? ofFile(world, given, path) : ofAccount(world, account, given, false);
}

/**
 * The bundle that runs, else the one in the usual places; null where there is none. What macOS runs from a place that it
 * has made up (an application that was never moved out of the downloads, App Translocation) is gone when it has ended.
 */
async function applicationOf(
  world: DomainWorld,
  { home, uid }: MacUser,
  given: Given,
): Promise<string | null> {
  const own = runningServers(given).filter((process) => process.uid === uid);
  const bundles = own.flatMap(({ path }) =>
    path.endsWith(IN_BUNDLE) ? [path.slice(0, -IN_BUNDLE.length)] : [],
  );
  const lasting = bundles.filter((path) => path.startsWith("/") && !path.includes("/AppTranslocation/"));
  const usual = `/Applications/${BUNDLE_NAME}`;
  for (const path of [...lasting, usual, posix.join(home, "Applications", BUNDLE_NAME)]) {
    if (await mayBeFolder(world, path)) return path;
  }
  return null;
}

const BUNDLE_NAME = "Plex Media Server.app";
const IN_BUNDLE = "/Contents/MacOS/Plex Media Server";

function withProcesses({ all }: Given, server: Server, unseen: readonly string[]): FoundServer {
  const processes = processesIn(all, server);
  return { server, processes, unseen: processes === "unknown" ? [...unseen, "/bin/ps"] : unseen };
}

/** Eight hex digits of the SHA-256 of where the settings are. */
function idOf(settingsPath: string): string {
  return createHash("sha256").update(settingsPath).digest("hex").slice(0, 8);
}
