import type { MacUser } from "../services/mac-user.ts";
import { runProgram } from "../services/program.ts";
import type { World } from "../world/world.ts";

type AccountWorld = Pick<World, "run" | "user">;

/**
 * The accounts of people on this Mac, each once, in the order of their numbers: those of the local directory, our own,
 * and those of `running` (numbers of accounts that have a server), also where only another directory knows them. Root
 * and accounts of the system (below 500) are none of them but for those that are running one. One whose home the
 * directory does not tell is left out.
 */
export async function macAccounts(world: AccountWorld, running: readonly number[]): Promise<MacUser[]> {
  const { user } = world;
  const names = await localNames(world);
  for (const uid of running.filter((each) => !names.has(each))) {
    const name = await nameOf(world, uid);
    if (name !== "") names.set(uid, name);
  }
  names.set(user.uid, user.name);
  const accounts: MacUser[] = [];
  for (const [uid, name] of [...names].sort(([one], [other]) => one - other)) {
    if (uid < FIRST_PERSON && !running.includes(uid)) continue;
    const account = uid === user.uid ? user : await accountNamed(world, uid, name);
    if (account !== null) accounts.push({ name, uid, gid: account.gid, home: account.home });
  }
  return accounts;
}

/** The account with a number, whoever it is and whatever directory knows it; null where none tells its name and home. */
export async function macAccount(world: AccountWorld, number: number): Promise<MacUser | null> {
  const { uid, gid, name, home } = world.user;
  if (number === uid) return { name, uid, gid, home };
  const known = await nameOf(world, number);
  return known === "" ? null : accountNamed(world, number, known);
}

/** Apple gives people numbers from 501 on, and kept 500 for them in old versions. */
const FIRST_PERSON = 500;
const DSCL = "/usr/bin/dscl";
const TOOL_MS = 15_000;

/** Its record has two homes, `/var/root /private/var/root`, which could as well be one with a blank. */
const ROOT: MacUser = { name: "root", uid: 0, gid: 0, home: "/var/root" };

/** Nothing where there is no such account, or nobody tells. */
async function nameOf(world: AccountWorld, uid: number): Promise<string> {
  return (await answerOf(world, "/usr/bin/id", ["-un", String(uid)])).trim();
}

/** Lines of a name, blanks and a number; more than one account may have a number, and the first one has it. */
async function localNames(world: AccountWorld): Promise<Map<number, string>> {
  const names = new Map<number, string>();
  const rows = await answerOf(world, DSCL, [".", "-list", "/Users", "UniqueID"]);
  for (const [, name = "", uid] of rows.matchAll(/^(\S+)\s+(-?\d+)\s*$/gmu)) {
    if (!names.has(Number(uid))) names.set(Number(uid), name);
  }
  return names;
}

/** Out of every directory that this Mac searches. */
async function accountNamed(world: AccountWorld, uid: number, name: string): Promise<MacUser | null> {
  if (uid === ROOT.uid) return ROOT;
  const path = `/Users/${name}`;
  const record = await answerOf(world, DSCL, [
    "/Search",
    "-read",
    path,
    "NFSHomeDirectory",
    "PrimaryGroupID",
  ]);
  const home = valueIn(record, "NFSHomeDirectory");
  const gid = valueIn(record, "PrimaryGroupID");
  if (home === null || !home.startsWith("/") || gid === null || !/^\d+$/u.test(gid)) return null;
  return { name, uid, gid: Number(gid), home };
}

/** A value with a blank in it may stand on the next line, behind one blank. */
function valueIn(record: string, key: string): string | null {
  const found = new RegExp(`^${key}:(?: |\\n )(.*)$`, "mu").exec(record);
  return found?.[1] ?? null;
}

/** What a tool says; nothing where it fails. */
async function answerOf(world: AccountWorld, file: string, words: readonly string[]): Promise<string> {
  const answer = await runProgram(world, file, words, { timeoutMs: TOOL_MS });
  return answer?.status === 0 ? answer.stdout : "";
}
