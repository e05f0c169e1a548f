import { execFile } from "node:child_process";
import { join } from "node:path";
import { demandNoSecret } from "./canary.ts";
import { type Ended, jsonLines, PROJECT } from "./stage.ts";

/** Calls the built program with `--json`, in an environment of its own, with nothing else around it. */
export function callProgram(args: readonly string[]): Promise<Ended> {
  const words = [join(PROJECT, "bin", "plex-reclaim.js"), ...args, "--json"];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, words, { env: {}, cwd: "/" }, (_error, stdout, stderr) => {
      demandNoSecret(stdout + stderr, "the output");
      const lines = jsonLines(stdout);
      resolve({ exitCode: child.exitCode, stdout, stderr, lines, result: lines.at(-1) ?? {} });
    });
  });
}
