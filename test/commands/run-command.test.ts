import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { parse } from "../../src/commands/parse.ts";
import type { Performable } from "../../src/commands/perform.ts";
import { runCommand } from "../../src/run-command.ts";

test("every signal that asks a program to end is heard, those of Windows' consoles, too", async () => {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"] as const;
  const before = signals.map((signal) => process.listeners(signal));
  const state = mkdtempSync(join(tmpdir(), "plex-reclaim-signals-"));
  onTestFinished(() => {
    rmSync(state, { recursive: true, force: true });
    for (const [index, signal] of signals.entries()) {
      for (const listener of process.listeners(signal)) {
        if (!before[index]?.includes(listener)) process.off(signal, listener);
      }
    }
  });
  const args = ["backup", "list", "--json", "--state-dir", join(state, "none")];
  const stream = { write: () => undefined, isTTY: false };
  const streams = { env: {}, out: stream, err: stream };
  const output = { json: true, noColor: true, accessible: false, verbose: false };
  const call = { args, output, language: "en", streams, reports: streams } as const;
  expect(await runCommand(parse(args, {}) as Performable, call)).toBe(0);
  const added = signals.map((signal, index) => process.listenerCount(signal) - (before[index]?.length ?? 0));
  expect(added).toEqual([1, 1, 1, 1]);
});
