import { ProblemError } from "../model/problem.ts";
import { differingNames, type Settings } from "../model/settings.ts";
import type { Journal } from "../state/journal.ts";
import type { FileMetadata, Image } from "../stores/store.ts";
import { demandStopped } from "./5-stop.ts";
import type { PathContext, Target } from "./context.ts";

/**
 * The plan was over the four values and the identity, not over bytes: the server rewrites its file at every
 * exit. Throws `PLAN_CHANGED`, naming what differs, when the values after the stop are not those of the plan.
 */
export function demandAsPlanned(planned: Settings, found: Settings): void {
  const names = differingNames(planned, found);
  if (names.length > 0) throw new ProblemError({ code: "PLAN_CHANGED", names: names.join(", ") });
}

/**
 * The one write, journalled before and after. Nothing of the server may run on either side of it: a process
 * that read the old values would write them back when it exits.
 */
export async function edit(
  context: PathContext,
  target: Target,
  journal: Journal,
  change: { from: Image | null; to: Image; metadata?: FileMetadata | null },
): Promise<void> {
  await demandStopped(context, target);
  const parts = target.store.partsOf(change.from, change.to);
  await journal.note({
    kind: "writing",
    from: change.from?.sha256 ?? null,
    to: change.to.sha256,
    ...(parts === null ? {} : { parts: [...parts] }),
  });
  await target.store.write(change.from, change.to, change.metadata);
  await journal.note({ kind: "written" });
  await demandStopped(context, target);
}
