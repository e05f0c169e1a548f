import { spawn } from "node:child_process";

/** One call of this program by the demo. */
export interface Call {
  readonly command: readonly string[];
  /** The whole environment besides PATH. */
  readonly env: Readonly<Record<string, string>>;
  readonly show: boolean;
  readonly interrupt: AbortSignal;
}

/**
 * Runs it to its end. Its output goes to ours as it comes, or is only collected. An interruption is passed on:
 * the call puts things back and ends by itself.
 */
export async function runProgram(call: Call): Promise<{ exitCode: number | null; stdout: string }> {
  const [file = "", ...args] = call.command;
  const child = spawn(file, args, {
    // A group of its own: Ctrl-C at the terminal reaches it through us, once.
    detached: true,
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", ...call.env },
    stdio: ["ignore", call.show ? "inherit" : "pipe", call.show ? "inherit" : "ignore"],
  });
  let stdout = "";
  child.stdout?.on("data", (chunk) => {
    stdout += String(chunk);
  });
  const stop = () => child.kill("SIGINT");
  call.interrupt.addEventListener("abort", stop, { once: true });
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code));
    });
    return { exitCode, stdout };
  } finally {
    call.interrupt.removeEventListener("abort", stop);
  }
}
