import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { demandEnd, onStage, quoted } from "../support/stage.ts";

const RESET = ["reset", "--yes", "--claim-code-file", "-"];

describe.concurrent("a claim code that is to come in on standard input", () => {
  test("is waited for until somebody interrupts", async () => {
    await onStage({}, async (stage) => {
      const pipe = join(stage.folder, "pipe");
      execFileSync("mkfifo", [pipe]);
      // Open for writing, too: nothing comes, and no end of it.
      const through = ["sh", "-c", `exec "$@" 0<>${quoted(pipe)}`, "sh"];
      const before = stage.settings;
      const run = stage.begin([...RESET, "--json"], { through });
      await run.reached("preflight", "end");
      run.kill("SIGINT");
      demandEnd(await run.end(), 130, "INTERRUPTED");
      expect(stage.settings).toBe(before);
    });
  });

  test("is asked for, and not shown, where that is a terminal", async () => {
    await onStage({}, async (stage) => {
      const code = await stage.plexTv.issueClaimCode(stage.server.owner.username);
      const run = stage.atTerminal([...RESET, "--accessible", "--lang", "en"]);
      await run.printed("Claim code:");
      run.type(`${code}\r`);
      demandEnd(await run.end(), 0);
      expect(await stage.isHealed()).toBe(true);
    });
  });
});
