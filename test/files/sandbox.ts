import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished, type TestContext } from "vitest";

/** An account that owns nothing on a usual machine. */
export const STRANGER = 65_534;
/** Stands for the server's account. */
export const PLEX = 4_242;

const TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A new empty folder of the caller's, open to be walked through by anybody; removed after the test. */
export function sandbox(): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "plex-reclaim-files-"));
  chmodSync(folder, 0o755);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder inside a sandbox with a file system of its own, unmounted after the test. */
export function mounted(options: readonly string[], name = "mounted"): string {
  const folder = join(sandbox(), name);
  mkdirSync(folder);
  tool("mount", ...options, folder);
  onTestFinished(() => {
    tool("umount", "--lazy", folder);
  });
  return folder;
}

export function tmpfs(size: string): string {
  return mounted(["-t", "tmpfs", "-o", `size=${size}`, "tmpfs"]);
}

/** ext4 on a loop device in a file of its own. */
export function ext4(): string {
  const image = join(sandbox(), "disk.img");
  tool("truncate", "--size=8M", image);
  tool("mkfs.ext4", "-q", "-F", image);
  return mounted(["-o", "loop", image]);
}

/** overlayfs, as in a container; `lower` holds what the image came with. */
export function overlay(fill: (lower: string) => void): string {
  const base = sandbox();
  const [lower, upper, work] = ["lower", "upper", "work"].map((name) => join(base, name));
  for (const folder of [lower, upper, work]) mkdirSync(folder ?? "");
  fill(lower ?? "");
  return mounted(["-t", "overlay", "-o", `lowerdir=${lower},upperdir=${upper},workdir=${work}`, "overlay"]);
}

export function tool(name: string, ...args: string[]): string {
  return execFileSync(name, args, {
    encoding: "utf8",
    env: { PATH: TOOL_PATH, LANG: "C" },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Skips with the reason where root or a program is missing, and fails instead where everything must run. */
export function needs(context: TestContext, ...programs: string[]): void {
  const missing = programs.filter((each) => !TOOL_PATH.split(":").some((at) => existsSync(join(at, each))));
  const lacks = [...(process.getuid?.() === 0 ? [] : ["root"]), ...missing];
  if (lacks.length === 0) return;
  if (process.env["CI"] === "true") throw new Error(`needs ${lacks.join(", ")}`);
  context.skip(`needs ${lacks.join(", ")}`);
}

/** What is in a folder besides the settings: nothing, when all went well. */
export function strayEntries(folder: string, ...expected: string[]): string[] {
  return readdirSync(folder).filter((name) => name !== "Preferences.xml" && !expected.includes(name));
}

export function contentOf(path: string): string {
  return readFileSync(path, "utf8");
}

const REPOSITORY = realpathSync(join(import.meta.dirname, "../.."));

/**
 * The command line that runs `store-process.ts` from a place that any account may read, wherever the checkout
 * is: a bind mount of it inside a sandbox.
 */
export function storeProcess(...args: string[]): { file: string; args: string[] } {
  const seen = mounted(["--bind", REPOSITORY], "checkout");
  const here = (path: string): string =>
    path.startsWith(REPOSITORY) ? seen + path.slice(REPOSITORY.length) : path;
  return {
    file: here(realpathSync(process.execPath)),
    args: [here(fileURLToPath(import.meta.resolve("./store-process.ts"))), ...args],
  };
}
