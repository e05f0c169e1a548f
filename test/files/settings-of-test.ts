import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { type Problem, ProblemError } from "../../src/model/problem.ts";
import { openPreferencesFile, type PreferencesOptions } from "../../src/stores/preferences-file.ts";
import type { SettingsStore } from "../../src/stores/store.ts";
import { realWorld } from "../../src/world/real.ts";
import type { World } from "../../src/world/world.ts";

/** Settings as long as real ones often are; `mark` makes two of them different in one place. */
function settingsText(mark: string, length = 9_000): string {
  const start = `<?xml version="1.0" encoding="utf-8"?>\n<Preferences FriendlyName="${mark}" Filler="`;
  return `${start.padEnd(length - 4, "x")}"/>\n`;
}

export const OLD = settingsText("old");
export const NEW = settingsText("new");

/** Settings in a folder; both belong to `owner` when that is given. */
export function placeSettings(folder: string, owner?: number): string {
  const path = join(folder, "Preferences.xml");
  writeFileSync(path, OLD, { mode: 0o600 });
  if (owner !== undefined) {
    chownSync(folder, owner, owner);
    chownSync(path, owner, owner);
  }
  return path;
}

/** The store, closed after the test. */
export async function storeAt(
  path: string,
  options: PreferencesOptions & { world?: World } = {},
): Promise<SettingsStore> {
  const store = await openPreferencesFile(options.world ?? realWorld(), path, options);
  onTestFinished(() => store.close());
  return store;
}

/** The problem that ends the work; fails when it ends well or by anything else. */
export async function problemOf(work: Promise<unknown>): Promise<Problem> {
  const error = await errorOf(work);
  if (!(error instanceof ProblemError)) throw error;
  return error.problem;
}

export async function errorOf(work: Promise<unknown>): Promise<unknown> {
  const ended = await work.then(
    () => ({ error: undefined, well: true }),
    (error: unknown) => ({ error, well: false }),
  );
  expect(ended.well, "expected a refusal").toBe(false);
  return ended.error;
}
