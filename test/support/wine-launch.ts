import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What a machine shows to its programs, all of it read-only but `shared`. */
export interface Fittings {
  /** Folder with node.exe: `Z:\node`. */
  readonly node: string;
  /** Folder of the npm package of koffi for Windows. */
  readonly koffi: string;
  /** The program as built; null is the project's own. */
  readonly dist: string | null;
}

/** A Debian with Wine in spaces of its own: files, processes, name; the network is this system's. */
export interface Launched {
  /** Of this system; its processes end with it. */
  readonly init: number;
  /** Folder of this system that the machine has as `Z:\shared`. */
  readonly shared: string;
  /** A folder for what programs print; the machine does not see it. */
  readonly output: string;
  /** What this system runs to have a program run in there. Killed, it takes that program along. */
  enter(command: readonly string[]): { readonly file: string; readonly args: string[] };
  /** Ends it at once, waits until nothing of it runs, and leaves nothing. */
  stop(): Promise<void>;
}

/** Why no Windows program can be run here, or null; under `CI=true` a missing part is an error instead. */
export function whyNoWine(): string | null {
  const tools = ["mmdebstrap", "unshare", "nsenter", "setpriv", "flock", "chroot", "tar"];
  const missing = tools.filter((tool) => !FOLDERS.some((folder) => existsSync(join(folder, tool))));
  const reason =
    process.platform !== "linux" || process.arch !== "x64"
      ? "running Windows programs needs Linux on x64"
      : process.getuid?.() !== 0
        ? "making a Windows needs root"
        : missing.length > 0
          ? `making a Windows needs ${missing.join(", ")}`
          : null;
  if (reason !== null && process.env["CI"] === "true") throw new Error(reason);
  return reason;
}

/**
 * Starts a machine over the root that `scripts/build-wine-root.sh` keeps. All that it changes is in memory and is
 * gone with it. It dies with this process, whatever way this process dies.
 */
export async function launch({ node, koffi, dist }: Fittings): Promise<Launched> {
  const root = (await run(join(PROJECT, "scripts/build-wine-root.sh"), [])).stdout.trim();
  sweep();
  const folder = await mkdtemp(join(tmpdir(), `${NAME}${process.pid}-`));
  const machine = join(folder, "machine");
  const shared = join(folder, "shared");
  const output = join(folder, "output");
  for (const path of [machine, shared, output]) mkdirSync(path);
  const spaces = ["--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private"];
  const given = [root, machine, shared, PROJECT, node, koffi, dist ?? ""];
  const child = spawn(
    "setpriv",
    ["--pdeathsig", "KILL", "unshare", ...spaces, "sh", "-ec", INIT, "sh", ...given],
    { env: { PATH: FOLDERS.join(":") }, stdio: ["ignore", "pipe", "pipe"] },
  );
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async (init: number) => {
    kill(init);
    await ended;
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const init = await ready(child, ended);
    return { init, shared, output, enter: (command) => enter(init, command), stop: () => stop(init) };
  } catch (error) {
    child.kill("SIGKILL");
    await stop(0);
    throw error;
  }
}

const FOLDERS = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"];
const NAME = "plex-reclaim-wine-";
/** A root that is not there yet is built first. */
const BUILD_MS = 280_000;
const READY_MS = 60_000;
const run = (file: string, args: string[]) => promisify(execFile)(file, args, { timeout: BUILD_MS });

/**
 * The first process of the machine, and at last its init. The kernel lets nobody write to the lower side of a layered
 * folder, and here that is mounted read-only besides. npm does not install koffi for another system than its own, so
 * its package is laid over the project's.
 */
const INIT = `
root=$1 machine=$2 shared=$3 project=$4 node=$5 koffi=$6 dist=$7
read -r init rest </proc/self/stat
echo plexbox >/proc/sys/kernel/hostname
mount -t tmpfs -o mode=755 tmpfs "$machine"
cd "$machine"
mkdir template upper work root packages koffi koffi/@koromix
mount -o bind,ro "$root" template
mount -t overlay -o lowerdir=template,upperdir=upper,workdir=work overlay root
printf '127.0.0.1 localhost plexbox\\n' >root/etc/hosts
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount --bind "$shared" root/shared
mount -o bind,ro "$node" root/node
mount -o bind,ro "$project" root/plex-reclaim
mount -o bind,ro "$project/node_modules" packages
cp -R "$koffi" koffi/@koromix/koffi-win32-x64
mount -t overlay -o ro,lowerdir=koffi:packages overlay root/plex-reclaim/node_modules
[ -z "$dist" ] || mount -o bind,ro "$dist" root/plex-reclaim/dist
exec chroot root sh -c 'echo "ready $1"; exec >/dev/null 2>&1; while :; do sleep 3600 & wait $!; done' sh "$init"
`;

/** The pid that its init has in this system, when everything is in its place. */
async function ready(child: ChildProcess, ended: Promise<void>): Promise<number> {
  let said = "";
  const told = new Promise<void>((resolve) => {
    const hear = (chunk: Buffer) => {
      said += chunk.toString("utf8");
      if (READY.test(said)) resolve();
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
  });
  const late = new AbortController();
  const tooLate = sleep(READY_MS, undefined, { signal: late.signal }).catch(() => undefined);
  await Promise.race([told, ended, tooLate]);
  late.abort();
  const [, pid] = READY.exec(said) ?? [];
  if (pid === undefined) throw new Error(`no Windows came up: ${said}`);
  return Number(pid);
}

const READY = /^ready (\d+)\n/mu;

/** A program that the caller's end would leave behind is killed with who called it. */
function enter(init: number, command: readonly string[]): { file: string; args: string[] } {
  const spaces = ["--target", String(init), "--mount", "--uts", "--ipc", "--pid", "--root", "--wd"];
  return { file: "nsenter", args: [...spaces, "setpriv", "--pdeathsig", "KILL", ...command] };
}

function kill(pid: number): void {
  if (pid <= 1) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

/** Folders of machines whose owner was killed. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const [, owner] = /^plex-reclaim-wine-(\d+)-/u.exec(name) ?? [];
    if (owner === undefined || existsSync(`/proc/${owner}`)) continue;
    rmSync(join(tmpdir(), name), { recursive: true, force: true, maxRetries: 5 });
  }
}
