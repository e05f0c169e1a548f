import { test } from "vitest";
import { everyEffectThrows } from "./throws.ts";

test("undo: whichever effect fails once, the server ends as found or as wanted, and the exit code is true", () =>
  everyEffectThrows("undo"));
