import type { PlanView } from "../model/event.ts";
import type { Words } from "./words.ts";

/** The plan in lines, a heading first: which file, which names, which commands, where the backup goes. */
export function planLines(words: Words, plan: PlanView): string[] {
  const names = plan.present.join(", ");
  const lines = [
    words.say("heading.plan"),
    words.say(`plan.command.${plan.command}`, { server: plan.server }),
    words.say("plan.settings", { path: plan.settingsPath }),
    ...(plan.change === "replace" ? [words.say("plan.obtain")] : []),
    plan.stopLine === null ? words.say("plan.no-stop") : words.say("plan.stop", { stopLine: plan.stopLine }),
    words.say("plan.backup-folder", { folder: plan.backupFolder }),
    words.say(`plan.change.${plan.change}`, { names, backup: plan.backup ?? "" }),
  ];
  if (plan.otherDifferences !== undefined) {
    lines.push(words.say("plan.differences", { count: plan.otherDifferences }));
  }
  if (plan.keepsSignIn === true) lines.push(words.say("plan.keeps-sign-in"));
  if (plan.deadSignIn === true) lines.push(words.say("plan.dead-sign-in"));
  lines.push(
    plan.startLine === null
      ? words.say("plan.no-start")
      : words.say("plan.start", { startLine: plan.startLine }),
  );
  return lines;
}
