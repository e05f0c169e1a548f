import { test } from "vitest";
import { HANG_MS } from "./every-effect.ts";
import { everyEffectThrows } from "./throws.ts";

test(
  "reset with a code: whichever effect fails once, the server ends as found or as wanted, and the exit code is true",
  () => everyEffectThrows("reset with a code"),
  HANG_MS,
);
