import { ProblemError } from "../model/problem.ts";
import { identity } from "../plex/server.ts";
import { processesOf } from "../services/processes.ts";
import { heedInterrupt, note, type PathContext, type Target, WAITS } from "./context.ts";

/**
 * Starts the server and proves it: `/identity` answers with the same machine identifier. A 503 (start-up
 * maintenance) is waited for, to a deadline of its own.
 *
 * Answers `"started"`, or `"maintenance"` when it is up but still busy at that deadline. Throws `START_FAILED`,
 * `START_TIMEOUT`, `IDENTITY_CHANGED`, `INTERRUPTED`. Starting a server that runs already only waits for it.
 */
export async function startServer(
  context: PathContext,
  target: Target,
  expected: { machineIdentifier: string | null; portIsOurs: boolean; resetLimit: boolean },
): Promise<"started" | "maintenance"> {
  const running = await processesOf(context.world, target.server);
  if (running === "unknown" || running.length === 0) {
    await target.store.letGo();
    await target.service.start({ resetLimit: expected.resetLimit });
    if (expected.resetLimit && target.server.service.kind === "systemd") {
      note(context, { code: "START_LIMIT_RESET", unit: target.server.service.unit });
    }
  }
  return expected.portIsOurs ? waitForIdentity(context, target, expected) : waitForProcess(context, target);
}

async function waitForIdentity(
  context: PathContext,
  target: Target,
  expected: { machineIdentifier: string | null },
): Promise<"started" | "maintenance"> {
  const { clock } = context.world;
  const { url } = target.server;
  const startedMs = clock.monotonicMs();
  let lastProcessMs = startedMs;
  for (;;) {
    heedInterrupt(context);
    const answer = await identity(context.world, url);
    const nowMs = clock.monotonicMs();
    if (answer.kind === "answers") {
      if (expected.machineIdentifier !== null && answer.machineIdentifier !== expected.machineIdentifier) {
        throw new ProblemError({ code: "IDENTITY_CHANGED", url });
      }
      return "started";
    }
    if (answer.kind === "maintenance") {
      if (nowMs - startedMs > WAITS.maintenanceMs) return "maintenance";
    } else if (nowMs - startedMs > WAITS.startMs) {
      throw new ProblemError({ code: "START_TIMEOUT", seconds: WAITS.startMs / 1000, url });
    }
    // While it lives its manager need not be asked: that runs a program, on a machine that is busy starting it.
    if (await hasProcess(context, target)) lastProcessMs = nowMs;
    else await demandNotFailed(target, nowMs - lastProcessMs);
    await clock.sleep(WAITS.pollMs, context.interrupt);
  }
}

/** Another server has the port, as it had before: all that can be proven is that a process of it is there. */
async function waitForProcess(context: PathContext, target: Target): Promise<"started"> {
  const { clock } = context.world;
  const startedMs = clock.monotonicMs();
  while (!(await hasProcess(context, target))) {
    heedInterrupt(context);
    await demandNotFailed(target, clock.monotonicMs() - startedMs);
    await clock.sleep(WAITS.pollMs, context.interrupt);
  }
  return "started";
}

async function hasProcess(context: PathContext, target: Target): Promise<boolean> {
  const processes = await processesOf(context.world, target.server);
  return processes === "unknown" || processes.length > 0;
}

async function demandNotFailed(target: Target, withoutProcessMs: number): Promise<void> {
  const condition = await target.service.condition();
  const dead = condition === "failed" || withoutProcessMs > WAITS.noProcessMs;
  if (!dead) return;
  throw new ProblemError({
    code: "START_FAILED",
    command: target.service.startLine ?? "",
    detail: condition,
  });
}
