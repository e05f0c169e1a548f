import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, linkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A program in `folder` with the name of the real one: this very Node under another name. */
export function plexNamedProgram(folder: string): string {
  const program = join(folder, "Plex Media Server");
  try {
    linkSync(process.execPath, program);
  } catch {
    copyFileSync(process.execPath, program);
  }
  return program;
}

export interface Started {
  readonly child: ChildProcess;
  readonly pid: number;
}

/** Starts a program, waits for its first line of output, and ends it with the test. */
export async function started(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Started> {
  const child = spawn(program, args, {
    env: { PATH: "/usr/bin:/bin", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  await once(child.stdout, "data");
  return { child, pid: child.pid ?? -1 };
}

/** Gives a Node process the short name that the kernel would have given it; Node names itself `MainThread`. */
const SHORT_NAMED = 'require("node:fs").writeFileSync("/proc/self/comm", "Plex Media Serv");';

/** A script for Node that says it is there and then does nothing. */
export function idleScript(folder: string, before = SHORT_NAMED): string {
  const script = join(folder, "idle.cjs");
  writeFileSync(script, `${before}\nconsole.log("ready");\nsetInterval(() => undefined, 1000);\n`);
  return script;
}
