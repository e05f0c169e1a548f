import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { nowMs } from "./sighting.ts";

export const PROJECT = dirname(dirname(fileURLToPath(import.meta.url)));
export const PROGRAM = join(PROJECT, "bin", "plex-reclaim.js");

export interface Ended {
  readonly status: number | null;
  readonly output: string;
  /** From before the start of the process until it has ended. */
  readonly tookMs: number;
  /** The most memory that it had at once (VmHWM); seen every few milliseconds, 0 when it was too quick for that. */
  readonly peakMb: number;
}

/** Runs a program to its end, with an environment made from nothing. */
export async function run(
  file: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly watchMemory?: boolean } = {},
): Promise<Ended> {
  const startedMs = nowMs();
  const child = spawn(file, args, {
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  let peakMb = 0;
  const look = () => {
    peakMb = Math.max(peakMb, peakMbOf(child.pid ?? 0));
  };
  const timer = options.watchMemory === true ? setInterval(look, 10) : undefined;
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  clearInterval(timer);
  return { status, output, tookMs: nowMs() - startedMs, peakMb };
}

/** As `run`, and rejects with the output when it does not end with 0. */
export async function succeed(...call: Parameters<typeof run>): Promise<Ended> {
  const ended = await run(...call);
  if (ended.status !== 0) throw new Error(`status ${ended.status}: ${call[1].join(" ")}\n${ended.output}`);
  return ended;
}

function peakMbOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
