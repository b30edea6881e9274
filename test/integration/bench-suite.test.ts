// `npm run bench` as a process, with Weftline alone: real ranks under an mpiexec, one scenario of each kind, the JSON.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

import { Workplace } from "./support/weftline.js";

const program = fileURLToPath(new URL("../../build/ts/bench/main.js", import.meta.url));
const hasMpi = ["mpiexec", "mpiexec.mpich", "mpiexec.openmpi"].some((name) => spawnSync("which", [name]).status === 0);

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

test.skipIf(!hasMpi)("measures, checks what came, and writes rows", async () => {
  const json = place.path("result.json");
  const argv = ["--quick", "--only", "batch-1,both,latency-1000", "--runs", "1", "--systems", "weftline"];
  const run = place.startProgram(process.execPath, [program, ...argv, "--json", json, "--directory", place.directory]);
  const { exitCode, words, output } = await run.finished;
  expect(exitCode, words).toBe(0);
  expect(output.toString()).toContain("batch-1/produce");
  const result = JSON.parse(readFileSync(json, "utf8")) as {
    version: number;
    rows: { scenario: string; events_per_second: number; latency_us: { p50: number } | null }[];
    failures: unknown[];
  };
  expect(result.version).toBe(1);
  expect(result.failures).toEqual([]);
  const names = result.rows.map(({ scenario }) => scenario);
  for (const name of ["batch-1/produce", "batch-1/consume", "both/both"]) expect(names).toContain(name);
  const delivered = result.rows.find(({ scenario }) => scenario === "latency-1000/delivered");
  expect(delivered?.latency_us?.p50).toBeGreaterThan(0);
  for (const row of result.rows) expect(row.events_per_second).toBeGreaterThan(0);
});

test("an unknown scenario is refused with the names there are", async () => {
  const { exitCode, words } = await place.startProgram(process.execPath, [program, "--only", "bse"]).finished;
  expect(exitCode).not.toBe(0);
  expect(words).toContain("no scenario 'bse'");
});
