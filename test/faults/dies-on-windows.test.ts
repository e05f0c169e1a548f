import { test } from "vitest";
import { everyDeath, everyDeathOfTheSettler } from "./dies.ts";
import { COMMANDS, HANG_MS } from "./every-effect.ts";

for (const command of COMMANDS) {
  test(
    `${command} on Windows: wherever the process dies, status says so, undo and the next reset settle it, and no new sign-in is lost`,
    () => everyDeath(command, "windows"),
    HANG_MS,
  );
}

for (const command of ["reset", "reset with a code"] as const) {
  test(
    `${command} on Windows: when the process that settles a cut-off run dies as well, the next one still settles it`,
    () => everyDeathOfTheSettler(command, "windows"),
    HANG_MS,
  );
}
