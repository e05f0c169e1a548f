import { test } from "vitest";
import { COMMANDS, HANG_MS } from "./every-effect.ts";
import { everyEffectThrows } from "./throws.ts";

for (const command of COMMANDS) {
  test(
    `${command} on macOS: whichever effect fails once, the server ends as found or as wanted, and the exit code is true`,
    () => everyEffectThrows(command, "mac"),
    HANG_MS,
  );
}
