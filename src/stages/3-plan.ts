import type { PlanView } from "../model/event.ts";
import { presentCredentials, type Settings } from "../model/settings.ts";
import { pathInState, type StateDirectory } from "../state/state-directory.ts";
import type { Target } from "./context.ts";

/** The plan as it is shown; `runChange` refuses to apply it to other values than these. */
export function makePlan(
  target: Target,
  settings: Settings | null,
  options: Pick<PlanView, "command" | "change"> & {
    running: boolean;
    keepStopped: boolean;
    stateDirectory: StateDirectory["path"];
  } & Partial<Pick<PlanView, "backup" | "deadSignIn" | "keepsSignIn" | "otherDifferences">>,
): PlanView {
  const { running, keepStopped, stateDirectory, ...rest } = options;
  return {
    ...rest,
    server: target.server.id,
    settingsPath: target.store.location,
    present: settings === null ? [] : presentCredentials(settings.credentials),
    stopLine: running ? target.service.stopLine : null,
    startLine: running && !keepStopped ? startLineOf(target) : null,
    backupFolder: pathInState(stateDirectory, "backups"),
  };
}

/** An application is started as its account, also where no line that could be typed here would do that. */
function startLineOf({ server, service }: Target): string | null {
  return service.startLine ?? (server.service.kind === "tray" ? "" : null);
}
