import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/**
 * The program as it is built from the source of now: `npm test` builds it first, and where that was not done, or
 * the source has changed since, it is built here, once, whichever of several test processes comes first.
 */
export function demandBuilt(project: string): Promise<void> {
  built ??= build(project);
  return built;
}

let built: Promise<void> | undefined;

const DEADLINE_MS = 120_000;

async function build(project: string): Promise<void> {
  const lock = join(project, "node_modules", ".scenarios-build");
  const end = performance.now() + DEADLINE_MS;
  while (isStale(project)) {
    if (taken(lock)) {
      if (performance.now() > end) throw new Error(`dist/ is older than src/, and ${lock} is in the way`);
      await sleep(100);
      continue;
    }
    try {
      if (isStale(project)) await compile(project);
    } finally {
      rmSync(lock, { recursive: true, force: true });
    }
  }
}

async function compile(project: string): Promise<void> {
  const compiler = join(project, "node_modules", "typescript", "bin", "tsc");
  await promisify(execFile)(process.execPath, [compiler, "-p", join(project, "tsconfig.json")]);
}

function isStale(project: string): boolean {
  return newest(join(project, "src")) > newest(join(project, "dist"));
}

function newest(folder: string): number {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    return Math.max(0, ...files.map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs));
  } catch {
    return 0;
  }
}

function taken(lock: string): boolean {
  try {
    mkdirSync(lock);
    return false;
  } catch {
    return true;
  }
}
