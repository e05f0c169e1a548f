import { playDemo } from "../demo/demo.ts";
import type { Narration } from "../model/event.ts";
import { ProblemError } from "../model/problem.ts";
import { type Ending, ending } from "./ending.ts";
import type { Invocation } from "./invocation.ts";
import type { Session } from "./session.ts";

/** Plays the demo. `DEMO_FAILED` when a step of it did not end as it must; `DEMO_NOT_HERE` where it cannot be played. */
export async function demo(
  session: Session,
  invocation: Extract<Invocation, { kind: "demo" }>,
): Promise<Ending> {
  const { options, keep } = invocation;
  const { platform } = session.world;
  // Its stand-ins are known by what /proc says of them.
  if (platform !== "linux") throw new ProblemError({ code: "DEMO_NOT_HERE", platform });
  const failed = await playDemo({
    keep,
    command: session.program.command,
    env: {
      ...(options.lang === undefined ? {} : { PLEX_RECLAIM_LANG: options.lang }),
      ...passedOn(session.world.env),
      ...(options.json ? { PLEX_RECLAIM_JSON: "1" } : {}),
      ...(options.noColor ? { PLEX_RECLAIM_NO_COLOR: "1" } : {}),
    },
    quiet: options.json,
    interrupt: session.context.interrupt,
    tell: (what: Narration) => session.context.emit({ type: "demo", ...what }),
  });
  if (failed === null) return ending("OK");
  return {
    problem: { code: "DEMO_FAILED", step: failed.args[0] ?? "" },
    aftermath: { kind: "nothing-changed" },
    data: {},
  };
}

/** How to speak and to draw; nothing else of our environment reaches the calls of the demo. */
function passedOn(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const names = ["LANG", "LC_ALL", "LC_MESSAGES", "TERM", "NO_COLOR", "FORCE_COLOR", "COLUMNS"];
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
