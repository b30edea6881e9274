// Producers of a `synced` partition share its syncs: on a device whose fdatasync takes 5 ms, which a preloaded library makes of any,
// four of them have their batches synced together.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";

import { Workplace } from "./support/weftline.js";

const programs =
  process.env["WEFTLINE_TEST_PROGRAMS"] ?? fileURLToPath(new URL("../../build/ts/test/programs", import.meta.url));
const producers = 4;
const batches = 100;
const batchEvents = 16;
const syncMs = 5;

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

it("four producers of small events have at least four batches in each sync", async () => {
  const library = place.path("slow_fdatasync.so");
  const source = fileURLToPath(new URL("support/slow_fdatasync.c", import.meta.url));
  execFileSync("cc", ["-std=gnu11", "-Wall", "-Werror", "-shared", "-fPIC", source, "-o", library]);
  const argv = [`${programs}/synced-producers.js`, place.path("weft"), producers, batches, batchEvents].map(String);
  const run = place.startProgram(process.execPath, argv, {
    env: { LD_PRELOAD: library, FDATASYNC_MS: String(syncMs) },
  });
  const { exitCode, output, words } = await run.finished;
  expect(exitCode, words).toBe(0);
  const { ms, counters } = JSON.parse(output.toString()) as { ms: number; counters: Record<string, number> };
  const { syncs = NaN, syncBatches = NaN, batchesStored, eventsStored } = counters;
  expect(eventsStored).toBe(producers * batches * batchEvents);
  expect(syncBatches).toBe(batchesStored); // none was acknowledged without
  expect(syncBatches / syncs, JSON.stringify(counters)).toBeGreaterThanOrEqual(4);
  expect(ms, "the library was not used").toBeGreaterThan(syncs * syncMs);
});
