// `npm run bench:simulation` as a process: one round of four variants on a small grid, and its JSON.
import { readdirSync, readFileSync } from "node:fs";
import os from "node:os";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

import { launchers } from "./support/launchers.js";
import { Workplace } from "./support/weftline.js";

const program = fileURLToPath(new URL("../../build/ts/bench/simulation.js", import.meta.url));

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

interface Row {
  readonly variant: string;
  readonly rounds: number;
  readonly step_ms: number;
  readonly ratio: number;
  readonly samples: readonly { steps: number; published: number; push_s: number; wait_s: number; flush_s: number }[];
}

const family = launchers.find(({ there }) => there)?.mpi;

test.skipIf(family === undefined)("runs variants, which all compute the same, and writes rows", async () => {
  const json = place.path("rows.json");
  const small = ["--rounds", "1", "--ranks", "1", "--shape", "64x64", "--steps", "20", "--every", "5"];
  const tried = ["files", "streamed", "nice-bound"];
  const argv = [
    program,
    ...small,
    ...["--only", tried.join(), "--mpi", family ?? "", "--tries", "1", "--directory", place.directory],
    "--json",
    json,
  ];
  const { exitCode, output, words } = await place.startProgram(process.execPath, argv).finished;
  expect(exitCode, words).toBe(0);
  const { rows, failure } = JSON.parse(readFileSync(json, "utf8")) as { rows: Row[]; failure: string | null };
  expect(failure).toBeNull();
  // One core is not enough for a server bound to another one than the simulation.
  const possible = tried.filter((name) => name !== "nice-bound" || os.availableParallelism() > 1);
  expect(rows.map(({ variant }) => variant)).toEqual(["alone", ...possible]);
  for (const { variant, rounds, step_ms, ratio, samples } of rows) {
    expect(rounds, variant).toBe(1);
    expect(step_ms, variant).toBeGreaterThan(0);
    expect(ratio, variant).toBeGreaterThan(0);
    expect(samples, variant).toMatchObject([{ steps: 20, published: 4 }]);
    const [sample] = samples;
    const within = (sample?.push_s ?? NaN) + (sample?.flush_s ?? NaN);
    if (variant === "alone") expect(within).toBe(0);
    else expect(within, variant).toBeGreaterThan(0);
    expect(output.toString()).toContain(` ${variant} `);
  }
  expect(readdirSync(place.directory)).toEqual(["rows.json"]);
});

test.each([
  [["--shape", "64"], "It must be ROWSxCOLUMNS"],
  [["--steps", "4", "--every", "5"], "no step would be published"],
  [["--only", "boud"], "There is no 'boud', only files, streamed, nice, bound, nice-bound"],
  [["--mpi", "none-such"], "gray_scott_none-such is missing"],
])("what cannot be followed is said at once: %j", async (argv, said) => {
  const run = place.startProgram(process.execPath, [program, ...argv, "--directory", place.directory]);
  const { exitCode, words } = await run.finished;
  expect(exitCode).toBe(2);
  expect(words).toContain(said);
});
