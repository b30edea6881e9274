/**
 * What streaming costs a simulation: the step time of the Gray-Scott solver (examples/gray-scott) alone, with its field
 * written to plain files, and with it streamed to a server on the same node, which is nice or has a core of its own or
 * not. In rounds, each variant once in each; a run from which other processes took more than a tenth of the cores is made
 * again, and the one that lost least counts. Exits with 1 when a run failed or computed something else.
 *
 *   npm run bench:simulation -- [--json FILE] [--only NAMES] [--rounds N] [--ranks 1,2] [--shape RxC] [--steps N] [--every N]
 *     [--tries N] [--mpi mpich] [--directory DIR]
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { InvalidArgumentError } from "commander";

import { quiet, withOthers } from "./simulation/quiet.js";
import { type Row, rowOf, type Sample, tableOf, type Timing } from "./simulation/results.js";
import { commandLine, isPossible, type Simulation, type Variant, variants } from "./simulation/variants.js";
import {
  benchCommand,
  names,
  positiveInteger,
  refuse,
  scratchFolder,
  someOf,
  writableFile,
  writableFolder,
} from "./suite/command.js";
import { machineFacts } from "./suite/machine.js";

const cores = os.availableParallelism();
const runTimeoutMs = 180_000;
const patienceMs = 2_000;
const othersMax = 0.1;
const shapeOf = (text: string): string => {
  if (/^[1-9]\d{0,5}x[1-9]\d{0,5}$/.test(text)) return text;
  throw new InvalidArgumentError("It must be ROWSxCOLUMNS.");
};
const [reference = "", ...variantNames] = variants.map(({ name }) => name);
const options = benchCommand("npm run bench:simulation --", "What streaming costs a simulation; docs/performance.md")
  .option("--json <file>", "every sample", writableFile)
  .option("--only <variants>", `beside alone: ${variantNames.join(",")}`, someOf(variantNames), variantNames)
  .option("--rounds <number>", "in each of which each variant runs once; medians count", positiveInteger, 7)
  .option("--ranks <numbers>", "of the simulation", (text) => names(text).map(positiveInteger), [
    ...new Set([Math.max(1, cores - 1), cores]),
  ])
  .option("--shape <shape>", "cells of the grid", shapeOf, "1024x1024")
  .option("--steps <number>", "of each run", positiveInteger, 200)
  .option("--every <number>", "which step is published: one of so many", positiveInteger, 10)
  .option("--tries <number>", "of a run, where other processes took much of the cores", positiveInteger, 3)
  .option("--mpi <family>", "mpich or openmpi; the first that is built")
  .option(
    "--directory <folder>",
    "for the files of both, on the device to measure",
    writableFolder,
    path.resolve("build"),
  )
  .parse()
  .opts<{
    json?: string;
    only: string[];
    rounds: number;
    ranks: number[];
    shape: string;
    steps: number;
    every: number;
    tries: number;
    mpi?: string;
    directory: string;
  }>();
if (options.steps < options.every) refuse("no step would be published: --steps is below --every");

/** From build/ts/bench, where this runs. */
const examples = fileURLToPath(new URL("../../native/examples", import.meta.url));
const programOf = (family: string): string => path.join(examples, `gray_scott_${family}`);
const mpi = [options.mpi, process.env["WEFTLINE_MPI"], "mpich", "openmpi"].find(
  (family) => family !== undefined && family !== "" && existsSync(programOf(family)),
);
if (mpi === undefined || (options.mpi ?? mpi) !== mpi) {
  refuse(`${programOf(options.mpi ?? "mpich")} is missing; install that MPI and build: npm run build`);
}

const scratch = scratchFolder(options.directory, "bench-simulation-");
let running: ChildProcess | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    running?.kill("SIGTERM");
    scratch.remove();
    process.exit(1);
  });
}

/** Runs to its end; what it said on stdout. */
async function outputOf([program = "", ...args]: readonly string[]): Promise<string> {
  const child = spawn(program, args, {
    env: { ...process.env, WEFTLINE_MPI: mpi },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running = child;
  let output = "";
  let words = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (words = (words + text).slice(-4096)));
  const ask = setTimeout(() => child.kill("SIGTERM"), runTimeoutMs);
  const kill = setTimeout(() => child.kill("SIGKILL"), runTimeoutMs + 60_000);
  const status = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  clearTimeout(ask);
  clearTimeout(kill);
  running = undefined;
  if (status !== 0) throw new Error(`${program} ended with ${String(status)}: ${words}`);
  return output;
}

/** What all runs compute in the end, or NaN's in the place of it. */
let checksum: string | undefined;

async function measure(variant: Variant, simulation: Simulation): Promise<Timing> {
  const directory = path.join(scratch.folder, "run");
  mkdirSync(directory);
  // What is dirty goes to the device now, and not while the next one computes.
  await promisify(execFile)("sync", ["--file-system", directory]);
  const { words, timingFile } = commandLine(variant, simulation, directory);
  const found = [...(await outputOf(words)).matchAll(/^step \d+ checksum ([0-9a-f]{16})/gm)].at(-1)?.[1];
  checksum ??= found;
  if (found === undefined || found !== checksum) {
    throw new Error(`it computed ${found ?? "nothing"}, and the first run ${checksum ?? "nothing"}`);
  }
  const timing = JSON.parse(readFileSync(timingFile, "utf8")) as Timing;
  rmSync(directory, { recursive: true });
  return timing;
}

async function sampleOf(variant: Variant, simulation: Simulation): Promise<Sample> {
  let best: Sample | undefined;
  for (let tries = 0; tries < options.tries && (best === undefined || best.others > othersMax); tries++) {
    if (options.tries > 1) await quiet(patienceMs);
    const { result, others } = await withOthers(() => measure(variant, simulation));
    if (best === undefined || others < best.others) best = { ...result, others };
  }
  return best as Sample;
}

/** Each round begins with another variant, so that none always follows the same one. */
async function measureAll(ranks: number): Promise<Row[]> {
  const { shape, steps, every, rounds } = options;
  const simulation: Simulation = { program: programOf(mpi ?? ""), mpi: mpi ?? "", ranks, cores, shape, steps, every };
  const wanted = new Set([reference, ...options.only]);
  const possible = variants.filter((variant) => wanted.has(variant.name) && isPossible(variant, simulation));
  const samples = new Map<Variant, Sample[]>(possible.map((variant) => [variant, []]));
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < possible.length; at++) {
      const variant = possible[(at + round) % possible.length] as Variant;
      if (process.stderr.isTTY) console.error(`${ranks} ranks, round ${round + 1} of ${rounds}: ${variant.name} …`);
      try {
        samples.get(variant)?.push(await sampleOf(variant, simulation));
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`${variant.name} with ${ranks} ranks: ${why}`, { cause: error });
      }
    }
  }
  const [alone = []] = samples.values();
  return [...samples].map(([variant, all]) => rowOf(ranks, variant.name, all, alone));
}

const rows: Row[] = [];
let failure: string | undefined;
try {
  for (const ranks of options.ranks) rows.push(...(await measureAll(ranks)));
} catch (error) {
  failure = error instanceof Error ? error.message : String(error);
} finally {
  scratch.remove();
}
console.log(tableOf(rows));
if (failure !== undefined) console.error(failure);
if (options.json !== undefined) {
  const report = { version: 1, machine: machineFacts(), mpi, options, rows, failure: failure ?? null };
  writeFileSync(options.json, `${JSON.stringify(report, null, 1)}\n`);
}
process.exitCode = failure === undefined ? 0 : 1;
