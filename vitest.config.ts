import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Deadlines in tests only end a hang; no test depends on a duration.
    testTimeout: 120_000,
    hookTimeout: 300_000,
    pool: "forks",
    // One worker fewer than there are cores is the default, which is one on a small machine; scenarios mostly wait.
    maxWorkers: 2,
    maxConcurrency: 8,
  },
});
