import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, type TestContext } from "vitest";
import { SystemError } from "../../src/world/world.ts";

/** A folder of the running test's own, removed when it ends. */
export function scratchFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "plex-reclaim-world-")));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Waits for a state; the deadline only ends a hang. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The POSIX code of a refused call; fails when the call was not refused, or with a raw error. */
export async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => expect.unreachable("the call was not refused"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SystemError);
  return (error as SystemError).code;
}

/** Ends a test, with the reason, where the machine lacks what it needs; under `CI=true` that is a failure. */
export function needs(context: TestContext, isThere: boolean, what: string): void {
  if (isThere) return;
  if (process.env["CI"] === "true") throw new Error(`missing under CI: ${what}`);
  context.skip(`this machine lacks ${what}`);
}
