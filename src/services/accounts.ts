import { SystemError, type World } from "../world/world.ts";
import { runProgram } from "./program.ts";

/** An account of this machine, as `getent passwd` tells it (so also one from a directory service). */
export interface Account {
  readonly name: string;
  readonly uid: number;
  /** The primary group. */
  readonly gid: number;
  readonly home: string;
}

type AccountWorld = Pick<World, "run" | "files">;

/** The account with a name or a number, or null when there is none. */
export async function accountOf(world: AccountWorld, nameOrUid: string): Promise<Account | null> {
  const fields = await entry(world, "passwd", nameOrUid);
  const [name, , uid, gid, , home] = fields ?? [];
  if (name === undefined || home === undefined || !isNumber(uid) || !isNumber(gid)) return null;
  return { name, uid: Number(uid), gid: Number(gid), home };
}

/** The number of the group with a name or a number, or null when there is none. */
export async function groupIdOf(world: AccountWorld, nameOrGid: string): Promise<number | null> {
  if (isNumber(nameOrGid)) return Number(nameOrGid);
  const [, , gid] = (await entry(world, "group", nameOrGid)) ?? [];
  return isNumber(gid) ? Number(gid) : null;
}

async function entry(
  world: AccountWorld,
  database: "passwd" | "group",
  key: string,
): Promise<string[] | null> {
  if (key === "" || key.startsWith("-") || key.includes(":")) return null;
  const answer = await runProgram(world, "getent", [database, key], { timeoutMs: 10_000 });
  const lines = answer === null ? await plainFile(world, `/etc/${database}`) : answer.stdout;
  const rows = lines.split("\n").map((line) => line.split(":"));
  return rows.find(([name, , number]) => name === key || number === key) ?? null;
}

/** Small systems have no `getent`; their accounts are all in the file. */
async function plainFile(world: AccountWorld, path: string): Promise<string> {
  try {
    return new TextDecoder().decode(await world.files.read(path, 1_048_576));
  } catch (error) {
    if (error instanceof SystemError) return "";
    throw error;
  }
}

function isNumber(text: string | undefined): text is string {
  return text !== undefined && /^\d+$/u.test(text);
}
