import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { testCache } from "../support/test-cache.ts";

const PROGRAM = fileURLToPath(new URL("../../bin/plex-reclaim.js", import.meta.url));

/** The oldest that the package allows, and the newest of each line that it is made for. */
const RUNTIMES = ["22.12.0", "22.23.3", "26.10.0"];

/** The last of a line that is too old. */
const TOO_OLD = "20.20.2";

/** A Node of that version from its npm package, unpacked into the cache once. */
function node(version: string): string {
  const folder = join(testCache(), `node-linux-${process.arch}-${version}`);
  const executable = join(folder, "package", "bin", "node");
  if (existsSync(executable)) return executable;
  mkdirSync(testCache(), { recursive: true });
  const temporary = mkdtempSync(join(testCache(), "node-"));
  try {
    const name = `node-linux-${process.arch}@${version}`;
    execFileSync("npm", ["pack", "--silent", name], {
      cwd: temporary,
      stdio: ["ignore", "ignore", "inherit"],
    });
    const [archive = ""] = readdirSync(temporary);
    execFileSync("tar", ["-xzf", archive], { cwd: temporary });
    rmSync(join(temporary, archive));
    rmSync(folder, { recursive: true, force: true });
    renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return executable;
}

function run(version: string, args: readonly string[]) {
  return spawnSync(node(version), [PROGRAM, ...args], {
    encoding: "utf8",
    env: { PATH: "/usr/bin:/bin", LANG: "C.UTF-8" },
    timeout: 100_000,
  });
}

describe.each(RUNTIMES)("on Node %s", (version) => {
  it("the whole demonstration goes as it must", () => {
    const { status, stdout, stderr } = run(version, ["demo", "--json"]);
    const last = JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as { code?: string; exitCode?: number };
    expect(last, stderr).toMatchObject({ type: "result", command: "demo", code: "OK", exitCode: 0 });
    expect(status).toBe(0);
  });
});

describe(`on Node ${TOO_OLD}, which is too old`, () => {
  it.each([["status"], ["reset", "--yes"], ["--version"]])(
    "%s says so in one sentence and ends with 2",
    (...args) => {
      const { status, stdout, stderr } = run(TOO_OLD, args);
      expect(status).toBe(2);
      expect(stdout).toBe("");
      expect(stderr).toBe(
        `plex-reclaim needs Node 22.12 or newer, and this is ${TOO_OLD}: nothing was changed.\n`,
      );
    },
  );
});
