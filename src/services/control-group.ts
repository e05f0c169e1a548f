import type { ProcessInfo } from "../world/world.ts";

/** Whether a process is in a unit's control group (as `systemctl show -p ControlGroup` names it), or below it. */
export function inControlGroup(process: ProcessInfo, group: string | null): "exactly" | "below" | "no" {
  if (group === null || group === "" || group === "/") return "no";
  const own = controlGroupPath(process);
  if (own === group) return "exactly";
  return own?.startsWith(`${group}/`) ? "below" : "no";
}

/**
 * The system's own unit that a process runs in, or null. A unit of a user's manager and a log-in session are
 * none: `user@1000.service` holds everything that a person does, and is never stopped for one server.
 */
export function systemUnitOf(process: ProcessInfo): string | null {
  const parts = controlGroupPath(process)?.split("/") ?? [];
  const unit = parts.find((part) => part !== "" && !part.endsWith(".slice"));
  return unit?.endsWith(".service") && !unit.startsWith("user@") ? unit : null;
}

/** Where systemd keeps it: the named hierarchy of the old layout, else the one unified hierarchy. */
function controlGroupPath(process: ProcessInfo): string | null {
  const lines = process.cgroup.split("\n");
  const line =
    lines.find((one) => /^\d+:name=systemd:/u.test(one)) ?? lines.find((one) => one.startsWith("0::"));
  return line?.replace(/^\d+:[^:]*:/u, "") ?? null;
}
