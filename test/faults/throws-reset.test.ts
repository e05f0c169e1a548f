import { test } from "vitest";
import { HANG_MS } from "./every-effect.ts";
import { everyEffectThrows } from "./throws.ts";

test(
  "reset: whichever effect fails once, the server ends as found or as wanted, and the exit code is true",
  () => everyEffectThrows("reset"),
  HANG_MS,
);
