import { PROGRAM, run, succeed } from "./program.ts";
import { openStage } from "./stage.ts";

/** Milliseconds from start to end, one value a round. */
export interface StartUps {
  readonly bare: number[];
  readonly version: number[];
  readonly help: number[];
  /** On a running stand-in server, with plex.tv asked. */
  readonly status: number[];
}

/** Measures what it takes to start: a Node that does nothing, then ours on the same Node, in turn. */
export async function measureStartUps(rounds: number): Promise<StartUps> {
  const times: StartUps = { bare: [], version: [], help: [], status: [] };
  const stage = await openStage("own commands");
  const ours = (...args: string[]) => succeed(process.execPath, [PROGRAM, ...args], { env: stage.env });
  try {
    await ours("status");
    for (let round = 0; round < rounds; round += 1) {
      times.bare.push((await run(process.execPath, ["-e", "0"])).tookMs);
      times.version.push((await ours("--version")).tookMs);
      times.help.push((await ours("--help")).tookMs);
      times.status.push((await ours("status")).tookMs);
    }
  } finally {
    await stage.end();
  }
  return times;
}
