// The test projects. Integration tests mostly wait for processes of their own: two files at a time. Those of the package
// build, so they run alone. Time limits are for a loaded two-core machine.
import { defineConfig } from "vitest/config";

const oneFileAtATime = { fileParallelism: false, pool: "forks" as const };

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/scripts/**/*.test.ts"],
          pool: "forks",
          testTimeout: 20_000,
          hookTimeout: 20_000,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          pool: "forks",
        },
      },
      {
        test: {
          name: "launch",
          include: ["test/launch/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // Each launch is several processes, and the lab of one file is a machine of its own.
          ...oneFileAtATime,
        },
      },
      {
        test: {
          name: "model",
          include: ["test/model/**/*.test.ts"],
          // Memory that a test lends is not written before it is free.
          env: { WEFTLINE_GUARD: "1" },
          testTimeout: 120_000,
          hookTimeout: 120_000,
          pool: "forks",
        },
      },
      {
        test: {
          name: "package",
          include: ["test/package/**/*.test.ts"],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          ...oneFileAtATime,
        },
      },
      {
        test: {
          name: "long",
          include: ["test/long/**/*.test.ts"],
          testTimeout: 7_200_000,
          hookTimeout: 600_000,
          ...oneFileAtATime,
        },
      },
    ],
  },
});
