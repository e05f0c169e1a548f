import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, lstatSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { From, Mac, MacUser } from "./mac.ts";

/** A stand-in Mac that real processes can be started on. */
export interface MacProcesses {
  /** What this system runs to have a program run there, in the place of that: it keeps the number of its process. */
  enter(user: MacUser, from: From, command: readonly string[]): { file: string; args: string[] };
  /** Ends what holds it; its mounts are gone with its last process. */
  close(): Promise<void>;
}

/** Why there can be none here, or null; under `CI=true` a missing part is an error instead. */
export function whyNoMacProcesses(): string | null {
  const missing = [...PROGRAMS, "unshare", "nsenter", "mount", "setfacl", "script", "python3"].filter(
    (name) => pathOf(name) === null,
  );
  const reason =
    process.platform !== "linux" || process.getuid?.() !== 0
      ? "a Mac for real processes needs Linux and root"
      : missing.length > 0
        ? `a Mac for real processes needs ${missing.join(", ")}`
        : null;
  if (reason !== null && process.env["CI"] === "true") throw new Error(reason);
  return reason;
}

/**
 * Makes the disk of a stand-in Mac the root of real processes: in a mount namespace of its own `/Users`,
 * `/Applications`, `/Library`, `/private`, `/tmp` and `/var` are the Mac's, and the tools of `test/mac/tools` stand at
 * their places in `/usr/bin` and `/bin` as programs. Accounts are accounts of the kernel, with their own rights: the
 * daemon's memory, which tools of every account share, is open to them by access control lists.
 *
 * Real, then: the process, its signals, terminal, standard input, its children, accounts, modes and owners, files by
 * their paths of a Mac. Not real: the kernel and file system are Linux's (letters differ by case), Node is a Linux Node
 * that says `darwin` (`test/mac/process/preload.ts`), `O_EXLOCK` is `flock`, sessions of launchd are groups, the
 * tools and the daemon are stand-ins, and `/etc`, `/usr/lib`, `/proc` and `/dev` are Linux's.
 */
export async function openMacProcesses(mac: Mac): Promise<MacProcesses> {
  const folder = await mkdtemp(join(tmpdir(), "mac-processes-"));
  const root = join(folder, "root");
  try {
    await layOutAccounts(mac);
    const mounts = await layOutRoot(mac, root);
    const holder = await held(root, mounts);
    return {
      enter: (user, from, command) => enter(holder, user, sessionGroup(mac, user, from), command),
      close: async () => {
        const ended = new Promise((resolve) => holder.once("close", resolve));
        holder.stdin?.end();
        await ended;
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Of the Linux beneath; a Mac has the first three as well. */
const PROGRAMS = ["sh", "cat", "env", "setpriv", "flock"] as const;
const PLACES: Record<(typeof PROGRAMS)[number], string> = {
  sh: "/bin/sh",
  cat: "/bin/cat",
  env: "/usr/bin/env",
  setpriv: "/usr/libexec/stand-in/setpriv",
  flock: "/usr/bin/flock",
};
const FOLDERS = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"];
const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const TOOLS = join(PROJECT, "test", "mac", "tools");
const WRAPPER = fileURLToPath(new URL("../mac/process/tool.py", import.meta.url));
/** For the sessions of launchd; see `tool.py`. */
const DESKTOP_GROUPS = 20_000;
const OUTSIDE_GROUPS = 30_000;
const CACHE = join(PROJECT, "node_modules", ".cache", "on-mac");

/** Where programs of that Mac may keep compiled code. */
export const COMPILE_CACHE = CACHE;
export const PROGRAM_ON_MAC = join(PROJECT, "bin", "plex-reclaim.js");

const run = promisify(execFile);

function pathOf(name: string): string | null {
  if (name === "python3") return "python3";
  return FOLDERS.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

/** Every home is its owner's, with the modes of a Mac; what every account may write to is there. */
async function layOutAccounts(mac: Mac): Promise<void> {
  for (const path of ["/private/tmp", "/private/var/tmp"]) {
    await mkdir(mac.real(path), { recursive: true });
    await chmod(mac.real(path), 0o1777);
  }
  await mkdir(mac.real("/Library/Application Support"), { recursive: true });
  await mkdir(mac.real("/private/etc"), { recursive: true });
  for (const user of mac.users) {
    const { uid, gid, home } = user;
    const own = `/private/var/folders/zz/${uid}`;
    await mkdir(mac.real(`${own}/T`), { recursive: true });
    for (const path of [own, `${own}/T`]) {
      await chmod(mac.real(path), 0o700);
      await chown(mac.real(path), uid, gid);
    }
    await run("chown", ["-R", "-h", `${uid}:${gid}`, mac.real(uid === 0 ? `/private${home}` : home)]);
    await chmod(mac.real(uid === 0 ? `/private${home}` : home), uid === 0 ? 0o700 : 0o750);
  }
  const entries = mac.users.flatMap(({ uid }) => [`u:${uid}:rwX`, `d:u:${uid}:rwX`]).join(",");
  await run("setfacl", ["-R", "-m", entries, mac.state()]);
  await chmod(dirname(mac.disk), 0o755);
}

/** Makes what is no mount; answers the mounts: what, where, whether it may be written to. */
async function layOutRoot(mac: Mac, root: string): Promise<Mount[]> {
  const python = pythonHere();
  for (const path of ["proc", "dev", "bin", "usr/bin", "usr/sbin", "usr/libexec/stand-in", "etc"])
    await mkdir(join(root, path), { recursive: true });
  for (const name of ["tmp", "var"]) await symlink(`private/${name}`, join(root, name));
  const accounts = mac.users.map(({ name, uid, gid, home }) => `${name}:*:${uid}:${gid}::${home}:/bin/sh\n`);
  await writeFile(join(root, "etc/passwd"), accounts.join(""));
  await writeFile(join(root, "etc/group"), "wheel:*:0:\nstaff:*:20:\n");
  await writeFile(join(root, "etc/hosts"), "127.0.0.1 localhost\n");
  const about = {
    mac: dirname(mac.disk),
    tools: TOOLS,
    program: PROGRAM_ON_MAC,
    cache: CACHE,
    desktopGroups: DESKTOP_GROUPS,
    outsideGroups: OUTSIDE_GROUPS,
  };
  await writeFile(join(root, "usr/libexec/stand-in/about.json"), JSON.stringify(about));
  const tool = join(root, "usr/libexec/stand-in/tool");
  await writeFile(tool, `#!${python.executable} -BSEs\n${readFileSync(WRAPPER, "utf8")}`, { mode: 0o755 });
  for (const path of toolPaths()) await symlink("/usr/libexec/stand-in/tool", join(root, path));
  await mkdir(CACHE, { recursive: true });
  await chmod(CACHE, 0o1777);
  return [
    ...["/Users", "/Applications", "/Library", "/private"].map((to) => ({
      from: mac.real(to),
      to,
      rw: true,
    })),
    ...PROGRAMS.map((name) => ({ from: realpathSync(pathOf(name) ?? ""), to: PLACES[name] })),
    ...[...(await systemFolders(root)), ...python.paths, process.execPath, PROJECT].map(same),
    ...["/etc/ld.so.cache"].filter((path) => existsSync(path)).map(same),
    ...[CACHE, dirname(mac.disk)].map((path) => ({ ...same(path), rw: true })),
  ];
}

interface Mount {
  readonly from: string;
  readonly to: string;
  readonly rw?: boolean;
}

function same(path: string): Mount {
  return { from: path, to: path };
}

/** Where a Mac has the tools that stand in `test/mac/tools`: as they know of each other. */
function toolPaths(): string[] {
  const known = readFileSync(join(TOOLS, "mac_machine.py"), "utf8");
  return [...known.matchAll(/^ {4}"(\/(?:usr\/)?bin\/[a-z_]+)": "/gmu)].map(([, path = ""]) => path);
}

/** Where libraries are on this system, as links or as folders. */
async function systemFolders(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const path of ["/usr/lib", "/usr/lib64", "/usr/share", "/usr/local", "/lib", "/lib64"]) {
    if (!existsSync(path)) continue;
    if (lstatSync(path).isSymbolicLink()) await symlink(readlinkSync(path), join(root, path));
    else found.push(path);
  }
  return found;
}

/** The Python of this system, and what of it does not lie in the system's own folders. */
function pythonHere(): { executable: string; paths: string[] } {
  const script = "import sys, os; print(os.path.realpath(sys.executable)); print(sys.base_prefix)";
  const said = execFileSync("python3", ["-c", script], { encoding: "utf8" });
  const [executable = "", prefix = ""] = said.split("\n");
  return { executable, paths: ["/usr", "/usr/local"].includes(prefix) ? [executable] : [prefix, executable] };
}

/** Everything is mounted, and something stays there until nobody holds its standard input any more. */
async function held(root: string, mounts: readonly Mount[]): Promise<ChildProcess> {
  const words = mounts.flatMap(({ from, to, rw = false }) => [from, to, rw ? "rw" : "ro"]);
  const args = ["--mount", "--propagation", "private", "sh", "-euc", HOLD, "sh", root, ...words];
  const child = spawn("unshare", args, { env: { PATH: FOLDERS.join(":") }, stdio: "pipe" });
  let said = "";
  await new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer) => {
      said += chunk.toString("utf8");
      if (said.includes("ready\n")) resolve();
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("error", reject);
    child.once("close", () => reject(new Error(`no root for a Mac: ${said}`)));
  });
  return child;
}

const HOLD = `
root=$1
shift
while [ $# -gt 0 ]; do
  if [ ! -e "$root$2" ]; then
    if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$(dirname "$root$2")"; : >"$root$2"; fi
  fi
  if [ "$3" = ro ]; then mount -o bind,ro "$1" "$root$2"; else mount --bind "$1" "$root$2"; fi
  shift 3
done
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" /bin/sh -c 'echo ready; read -r forever'
`;

function sessionGroup(mac: Mac, { uid }: MacUser, from: From): number[] {
  const about = JSON.parse(readFileSync(join(dirname(mac.disk), "mac.json"), "utf8"));
  const { desktops } = about as { desktops: number[] };
  const seat = uid === 0 ? desktops[0] : desktops.find((each) => each === uid);
  if (from === "desktop" && seat !== undefined) return [DESKTOP_GROUPS + seat];
  return uid === 0 ? [] : [OUTSIDE_GROUPS + uid];
}

function enter(
  { pid }: ChildProcess,
  { uid, gid }: MacUser,
  groups: readonly number[],
  command: readonly string[],
): { file: string; args: string[] } {
  const account = [`--reuid=${uid}`, `--regid=${gid}`, `--groups=${[gid, ...groups].join(",")}`];
  const spaces = ["--target", String(pid), "--mount", "--root", "--wd"];
  return { file: "nsenter", args: [...spaces, PLACES.setpriv, ...account, "--", ...command] };
}
