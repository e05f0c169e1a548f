import { ProblemError } from "../model/problem.ts";
import { type OpenFile, type RunResult, SystemError, type World } from "../world/world.ts";
import type { FileMetadata } from "./store.ts";

/**
 * Gives a new file what its predecessor had: access control lists, extended attributes and labels from `from`,
 * owner, group and mode from `metadata` (set-user-id and set-group-id bits never). Everything goes by handle.
 *
 * Answers `checked` when both files were read back and found equal, `unchecked` when only the copying tool's
 * word is there (no `getfattr` on this machine). What belongs to the bytes rather than to the file
 * (capabilities, IMA and EVM signatures) is not carried: a write in place would drop it as well.
 *
 * Throws `METADATA_NOT_KEPT` with the names that differ, or `unknown` where nothing here can read or copy them;
 * `SystemError` when owner or mode are refused. Reasons and measurements: docs/decisions/0004-file-metadata.md.
 */
export async function carryMetadata(world: CarryWorld, carry: Carry): Promise<"checked" | "unchecked"> {
  const differing = await differences(world, carry);
  if (differing === null) {
    await copyOnTrust(world, carry);
    await setOwnerAndMode(carry.to, carry.metadata);
    return "unchecked";
  }
  if (differing.length > 0) await copyWithTool(world, carry, differing);
  await setOwnerAndMode(carry.to, carry.metadata);
  if (differing.length > 0) await requireCarried(world, carry);
  return "checked";
}

export type CarryWorld = Pick<World, "run">;

export interface Carry {
  readonly from: OpenFile;
  readonly to: OpenFile;
  readonly metadata: FileMetadata;
  /** The settings, for problems. */
  readonly path: string;
}

/** Owner first: the change of owner strips what a mode or a copied capability would give, the mode comes last. */
export async function setOwnerAndMode(file: OpenFile, metadata: FileMetadata): Promise<void> {
  await file.chown(metadata.uid, metadata.gid);
  await file.chmod(metadata.mode & WITHOUT_SET_ID);
}

const WITHOUT_SET_ID = 0o1777;
const TOOL_TIMEOUT_MS = 15_000;
const OUTPUT_CAP_CHARACTERS = 1024 * 1024;
/** Descriptors 3 and 4 of the child: opened again through /proc, they lead to the file whatever its name is now. */
const FROM = "/proc/self/fd/3";
const TO = "/proc/self/fd/4";
const BOUND_TO_CONTENT: ReadonlySet<string> = new Set([
  "security.capability",
  "security.ima",
  "security.evm",
]);

/** One attribute as `getfattr` names it (quoted) with its value in hex. */
type Attributes = ReadonlyMap<string, string>;

interface Difference {
  readonly name: string;
  /** The value in hex that the old file has; null: it has none. */
  readonly wanted: string | null;
}

async function requireCarried(world: CarryWorld, carry: Carry): Promise<void> {
  const left = await remaining(world, carry);
  if (left.length === 0) return;
  await restore(world, carry, left);
  // An access control list brings a mode of its own.
  await setOwnerAndMode(carry.to, carry.metadata);
  const lost = await remaining(world, carry);
  if (lost.length > 0) throw notKept(carry.path, lost.map(({ name }) => name).join(", "));
}

/** What still differs. Another mode changes what the system derives from it, so that is not compared then. */
async function remaining(world: CarryWorld, carry: Carry): Promise<Difference[]> {
  const differing = await differences(world, carry);
  if (differing === null) throw notKept(carry.path, "unknown");
  const { mode } = await carry.from.stat();
  const sameMode = ((mode ^ carry.metadata.mode) & 0o777) === 0;
  return differing.filter(({ name }) => sameMode || !name.startsWith("system."));
}

/** Null: cannot be known on this machine. */
async function differences(world: CarryWorld, carry: Carry): Promise<Difference[] | null> {
  const args = ["--dump", "--match=-", "--encoding=hex", "--absolute-names", "--", FROM, TO];
  const answer = await tool(world, "getfattr", args, carry);
  if (answer?.status !== 0 || answer.stdout.length >= OUTPUT_CAP_CHARACTERS) return null;
  const from = attributesOf(answer.stdout, FROM);
  const to = attributesOf(answer.stdout, TO);
  const names = new Set([...from.keys(), ...to.keys()]);
  return [...names]
    .filter((name) => !BOUND_TO_CONTENT.has(name) && from.get(name) !== to.get(name))
    .map((name) => ({ name, wanted: from.get(name) ?? null }));
}

function attributesOf(dump: string, file: string): Attributes {
  const found = new Map<string, string>();
  let here = false;
  for (const line of dump.split("\n")) {
    if (line.startsWith("# file: ")) here = line === `# file: ${file}`;
    else if (here && line !== "") {
      const [name = "", value = ""] = splitAtEqualsSign(line);
      found.set(name, value);
    }
  }
  return found;
}

/** `getfattr` writes an equals sign inside a name as an octal number; an empty value has none. */
function splitAtEqualsSign(line: string): [string, string] {
  const at = line.indexOf("=");
  return at === -1 ? [line, ""] : [line.slice(0, at), line.slice(at + 1)];
}

/** What it says is not believed: the files are compared afterwards. */
async function copyWithTool(
  world: CarryWorld,
  carry: Carry,
  differing: readonly Difference[],
): Promise<void> {
  // `mode` brings the access control list, and the old mode for a moment: only where there is such a list.
  const lists = differing.some(({ name }) => name.startsWith("system."));
  await copy(world, carry, lists ? "mode,xattr" : "xattr");
}

/**
 * Without a way to read attributes, the copying tool's word must do; GNU's is good (it fails when it leaves one
 * behind that was asked for by name), others have said 0 and copied nothing.
 */
async function copyOnTrust(world: CarryWorld, carry: Carry): Promise<void> {
  const version = await tool(world, "cp", ["--version"], carry);
  if (!version?.stdout.startsWith("cp (GNU coreutils)")) throw notKept(carry.path, "unknown");
  const copied = await copy(world, carry, "mode,xattr");
  if (copied?.status !== 0) throw notKept(carry.path, "unknown");
}

/** `--attributes-only` neither truncates nor writes; named attributes, unlike `all`, must be carried or it fails. */
function copy(world: CarryWorld, carry: Carry, what: string): Promise<RunResult | null> {
  return tool(world, "cp", ["--attributes-only", `--preserve=${what}`, "--", FROM, TO], carry);
}

/** For what `cp` skips by its configuration, or where it is none of GNU's. */
async function restore(world: CarryWorld, carry: Carry, left: readonly Difference[]): Promise<void> {
  const lines = left.filter(({ wanted }) => wanted !== null).map(({ name, wanted }) => `${name}=${wanted}\n`);
  if (lines.length > 0) {
    await tool(world, "setfattr", ["--restore=-"], carry, `# file: ${TO}\n${lines.join("")}`);
  }
  for (const { name, wanted } of left) {
    if (wanted === null) await tool(world, "setfattr", [`--remove=${name}`, "--", TO], carry);
  }
}

/** Of the system, by its name (see `World.run`). Null: there is no such program, or it cannot be started. */
async function tool(
  world: CarryWorld,
  name: string,
  args: readonly string[],
  carry: Carry,
  stdin?: string,
): Promise<RunResult | null> {
  const options = { timeoutMs: TOOL_TIMEOUT_MS, pass: [carry.from, carry.to] };
  try {
    return await world.run(name, args, stdin === undefined ? options : { ...options, stdin });
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

function notKept(path: string, what: string): ProblemError {
  return new ProblemError({ code: "METADATA_NOT_KEPT", path, what });
}
