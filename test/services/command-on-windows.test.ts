import { describe, expect, it } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { commandService } from "../../src/services/command.ts";
import type { ServiceWorld } from "../../src/services/service.ts";
import type { WindowsSystem } from "../../src/world/windows-system.ts";
import { type RunOptions, type RunResult, SystemError } from "../../src/world/world.ts";

interface Run {
  readonly file: string;
  readonly args: readonly string[];
  readonly options: RunOptions;
}

const ENDED: RunResult = { status: 0, signal: null, timedOut: false, stdout: "", stderr: "" };

/** A Windows on which every program ends in this way. */
function windows(answer: RunResult | SystemError, env: Record<string, string> = {}) {
  const runs: Run[] = [];
  const world: ServiceWorld = {
    env,
    user: { uid: -1, gid: -1, name: "jane", home: "C:\\Users\\jane" },
    clock: { now: () => 0, monotonicMs: () => 0, sleep: async () => undefined },
    windows: {} as unknown as WindowsSystem,
    run: async (file, args, options) => {
      runs.push({ file, args, options });
      if (answer instanceof SystemError) throw answer;
      return answer;
    },
  };
  return { service: commandService(world, { stop: "net stop x", start: '"C:\\a b\\server.exe" -x' }), runs };
}

async function detailOf(work: Promise<void>): Promise<unknown> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error === null) return "none";
  if (!(error instanceof ProblemError)) throw error;
  return error.problem;
}

describe("on Windows, a user's start command", () => {
  it("is given three seconds to fail and is left running", async () => {
    const { service, runs } = windows({ ...ENDED, status: null, timedOut: true });
    expect(await detailOf(service.start({ resetLimit: false }))).toBe("none");
    expect(runs).toMatchObject([
      {
        file: '"C:\\a b\\server.exe" -x',
        args: [],
        options: { shell: true, leaveRunning: true, timeoutMs: 3_000 },
      },
    ]);
  });

  it.each([
    [ENDED, "none"],
    [{ ...ENDED, status: 3 }, "status=3"],
    [new SystemError("ENOENT", "spawn", "cmd.exe"), "ENOENT"],
  ])("that ends before counts by its end: %o", async (answer, detail) => {
    const told = await detailOf(windows(answer).service.start({ resetLimit: false }));
    expect(told).toEqual(
      detail === "none" ? "none" : { code: "START_FAILED", command: '"C:\\a b\\server.exe" -x', detail },
    );
  });
});

describe("on Windows, a user's stop command", () => {
  it("is waited for, and its deadline is a failure", async () => {
    const { service, runs } = windows({ ...ENDED, status: null, timedOut: true });
    expect(await detailOf(service.requestStop())).toEqual({
      code: "STOP_FAILED",
      command: "net stop x",
      detail: "timeout",
    });
    expect(runs[0]?.options.leaveRunning ?? false).toBe(false);
  });

  it("has what programs of Windows look for, and no claim code", async () => {
    const env = {
      APPDATA: "C:\\A",
      "PROGRAMFILES(X86)": "C:\\P",
      PATH: "C:\\x",
      PLEX_CLAIM: "secret",
      OTHER: "1",
    };
    const { service, runs } = windows(ENDED, env);
    await service.requestStop();
    expect(runs[0]?.options.env).toEqual({ APPDATA: "C:\\A", "PROGRAMFILES(X86)": "C:\\P", PATH: "C:\\x" });
  });
});
