import { test } from "vitest";
import { everyDeath, everyDeathOfTheSettler } from "./dies.ts";
import { COMMANDS, HANG_MS } from "./every-effect.ts";

for (const command of COMMANDS) {
  test(
    `${command} on macOS: wherever the process dies, status says so, undo and the next reset settle it, and no new sign-in is lost`,
    () => everyDeath(command, "mac"),
    HANG_MS,
  );
}

for (const command of ["reset", "reset with a code"] as const) {
  test(
    `${command} on macOS: when the process that settles a cut-off run dies as well, the next one still settles it`,
    () => everyDeathOfTheSettler(command, "mac"),
    HANG_MS,
  );
}
