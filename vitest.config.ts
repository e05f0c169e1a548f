import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Deadlines in tests only end a hang; no test depends on a duration. Programs under Wine are slow on a busy machine.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    pool: "forks",
    // One worker fewer than there are cores is the default, which is one on a small machine; scenarios mostly wait.
    maxWorkers: 2,
    maxConcurrency: 4,
  },
});
