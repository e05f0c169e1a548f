import { ProblemError } from "../model/problem.ts";
import { type OpenFile, SystemError, type World } from "../world/world.ts";
import { setOwnerAndMode } from "./carry-metadata.ts";
import type { FileMetadata } from "./store.ts";

/**
 * Gives a new file what its predecessor had, on a Mac: owner, group, mode, and those extended attributes that can be
 * handed over. Nothing here can write an access list or a flag through a handle, so both must be the same already:
 * none, or what the folder gives to every file in it.
 *
 * What is there is asked of `/bin/ls` by path, and counts only for the file with the right number; attributes are read
 * and written by `/usr/bin/xattr` through handles, which it opens itself (Apple's file_cmds, ls/print.c and
 * xattr/xattr.c at 9f23dc6). UNVERIFIED on a Mac: that it can open `/dev/fd/3`; before macOS 12.3 it was another program.
 *
 * Not carried, since the system or their maker says that new bytes have none of them: what the system alone may set
 * (`com.apple.provenance`, `com.apple.macl`), and what Apple's own safe save leaves behind, among it the quarantine of
 * bytes that came from elsewhere (copyfile, xattr_flags.c at 5481fd6; xattr_name_with_flags(3)). Nor where and when a browser
 * or AirDrop got the old bytes: the new ones were not got there, and such an address may be a secret, which must not be
 * among the words of a program.
 *
 * Throws `METADATA_NOT_KEPT`: `acl`, `flags`, the names of attributes, or `unknown` where `ls` cannot tell;
 * `SystemError` when owner or mode are refused.
 */
export async function carryOnMac(world: Pick<World, "run">, carry: CarryOnMac): Promise<void> {
  const { from, to, metadata, path } = carry;
  const [old, fresh] = [await describe(world, from), await describe(world, to)];
  if (old === null || fresh === null) throw notKept(path, ["unknown"]);
  const wanted = [...old.attributes].filter(([name]) => !isLeftBehind(name));
  const others = wanted.filter(([name, size]) => !CARRIED.has(name) || size > VALUE_CAP_BYTES);
  const lost = [
    ...(old.accessList === fresh.accessList ? [] : ["acl"]),
    ...(old.flags === fresh.flags ? [] : ["flags"]),
    ...others.map(([name]) => name),
  ];
  if (lost.length > 0) throw notKept(path, lost);
  for (const [name] of wanted) {
    if (!(await carryAttribute(world, carry, name))) throw notKept(path, [name]);
  }
  await setOwnerAndMode(to.file, metadata);
}

export interface CarryOnMac {
  readonly from: NamedFile;
  readonly to: NamedFile;
  readonly metadata: FileMetadata;
  /** The settings, for problems. */
  readonly path: string;
}

/** An open file, and where it is. */
export interface NamedFile {
  readonly file: OpenFile;
  readonly path: string;
}

const TIMEOUT_MS = 15_000;
/** A value is among the words of a program, where every account may read it for a moment: these tell nothing. */
const CARRIED: ReadonlySet<string> = new Set([
  "com.apple.FinderInfo",
  "com.apple.TextEncoding",
  "com.apple.lastuseddate#PS",
  "com.apple.metadata:_kMDItemUserTags",
]);
const VALUE_CAP_BYTES = 1024;
const LEFT_BEHIND: ReadonlySet<string> = new Set([
  "com.apple.metadata:kMDItemDownloadedDate",
  "com.apple.metadata:kMDItemWhereFroms",
  "com.apple.macl",
  "com.apple.provenance",
  "com.apple.quarantine",
]);
/** Behind the last `#` of a name: it depends on the content (C), is never kept (N), or in backups alone (B). */
const SAYS_LEFT_BEHIND = /#[A-Za-z]*[BCN][A-Za-z]*$/;
/** About how the bytes are kept, and who watches them. */
const FLAGS_OF_SYSTEM: ReadonlySet<string> = new Set(["-", "compressed", "dataless", "tracked"]);

interface Described {
  /** The entries, a line each. */
  readonly accessList: string;
  readonly flags: string;
  /** Names with the sizes of their values. */
  readonly attributes: ReadonlyMap<string, number>;
}

function isLeftBehind(name: string): boolean {
  return LEFT_BEHIND.has(name) || SAYS_LEFT_BEHIND.test(name);
}

/** Null: not told, or of another file. A line that is not understood may be anything. */
async function describe(world: Pick<World, "run">, { file, path }: NamedFile): Promise<Described | null> {
  const answer = await tool(world, "/bin/ls", ["-ldine@O", path]);
  if (answer === null) return null;
  const [first = "", ...lines] = answer.replace(/\n$/, "").split("\n");
  const [, inode, flags = ""] = ENTRY.exec(first) ?? [];
  if (inode !== (await file.stat()).ino) return null;
  const attributes = new Map<string, number>();
  const entries: string[] = [];
  for (const line of lines) {
    const [, name, size] = ATTRIBUTE.exec(line) ?? [];
    if (name !== undefined) attributes.set(name, Number(size));
    else if (ACCESS_ENTRY.test(line)) entries.push(line);
    else return null;
  }
  return { accessList: entries.join("\n"), flags: flagsIn(flags), attributes };
}

/** `12345 -rw-------@ 1 501 20 hidden 9000 Nov 22 08:41 /path`; the flags are a hyphen where there are none. */
const ENTRY = /^ *(\d+) -[-rwxsStT]{9}[ +@%]? +\d+ +\d+ +\d+ +([-a-z,]+) +\d+ /;
const ATTRIBUTE = /^\t(.+)\t *(\d+) *$/;
const ACCESS_ENTRY = /^ \d+: /;

function flagsIn(text: string): string {
  const flags = text.split(",").filter((flag) => !FLAGS_OF_SYSTEM.has(flag));
  return flags.sort().join(",");
}

/** What `xattr` says is not believed: the value is read back. */
async function carryAttribute(
  world: Pick<World, "run">,
  { from, to }: CarryOnMac,
  name: string,
): Promise<boolean> {
  const pass = [from.file, to.file];
  const value = hexIn(await tool(world, XATTR, ["-p", "-x", name, FROM], pass));
  if (value === null) return false;
  await tool(world, XATTR, ["-w", "-x", name, value, TO], pass);
  return hexIn(await tool(world, XATTR, ["-p", "-x", name, TO], pass)) === value;
}

const XATTR = "/usr/bin/xattr";
const FROM = "/dev/fd/3";
const TO = "/dev/fd/4";

/** Two digits a byte, with blanks and line breaks between them. */
function hexIn(text: string | null): string | null {
  const hex = text?.replace(/\s/g, "").toUpperCase() ?? "?";
  return /^([0-9A-F]{2})*$/.test(hex) ? hex : null;
}

/** What it says; null: it failed, or cannot be started. */
async function tool(
  world: Pick<World, "run">,
  file: string,
  args: readonly string[],
  pass: readonly OpenFile[] = [],
): Promise<string | null> {
  try {
    const { status, stdout } = await world.run(file, args, { timeoutMs: TIMEOUT_MS, pass });
    return status === 0 ? stdout : null;
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

function notKept(path: string, what: readonly string[]): ProblemError {
  return new ProblemError({ code: "METADATA_NOT_KEPT", path, what: what.join(", ") });
}
