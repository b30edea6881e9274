/**
 * How fast Weftline is, beside what this machine can do without it: one producer, one server, one consumer on one host,
 * each in a process of its own. Exits with 1 when a floor is not reached.
 *
 *   npm run bench:smoke -- [--json FILE] [--repetitions N] [--seconds N] [--only metadata,data,disk,event]
 *     [--transports tcp,shm] [--directory DIR] [--producer-node=ARGS] [--consumer-node=ARGS]
 *
 * --seconds: on a slow or busy machine fewer repetitions are made, at least two. --directory: on the device to measure.
 * --producer-node, --consumer-node: arguments for those processes' Node, such as --cpu-prof.
 */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { type Pair, measureData, measureDisk, measureEvents, measureMetadata } from "./smoke/measurements.js";
import { topicConfigs } from "./smoke/plan.js";
import { type Result, missedLines, reportOf, tableOf } from "./smoke/results.js";
import { Worker } from "./smoke/worker.js";
import {
  benchCommand,
  positiveInteger,
  positiveNumber,
  scratchFolder,
  someOf,
  writableFile,
  writableFolder,
} from "./suite/command.js";

const partNames = ["metadata", "data", "disk", "event"];
const options = benchCommand("npm run bench:smoke --", "Weftline beside what this machine can do; docs/performance.md")
  .option("--json <file>", "the results as JSON", writableFile)
  .option("--repetitions <number>", "of each measurement", positiveInteger, 5)
  .option("--seconds <number>", "in which fewer repetitions are made, at least two", positiveNumber, 200)
  .option("--only <parts>", `of ${partNames.join(",")}`, someOf(partNames), partNames)
  .option("--transports <names>", "of tcp,shm", someOf(["tcp", "shm"]), ["tcp", "shm"])
  .option("--directory <folder>", "on the device to measure", writableFolder, path.resolve("build"))
  .option("--producer-node <arguments>", "of the producers' Node, such as --producer-node=--cpu-prof", "")
  .option("--consumer-node <arguments>", "of the consumers' Node", "")
  .parse()
  .opts<{
    json?: string;
    repetitions: number;
    seconds: number;
    only: string[];
    transports: string[];
    directory: string;
    producerNode: string;
    consumerNode: string;
  }>();
const { repetitions, transports } = options;
const parts = new Set(options.only);
// Each of the measurements gets an equal part: those of pairs, and two on disk.
const measurementCount = transports.length * [...parts].filter((part) => part !== "disk").length + 2;
const effort = { repetitions, seconds: options.seconds / measurementCount };
const words = (text: string): string[] => text.split(" ").filter((word) => word !== "");

const scratch = scratchFolder(options.directory, "bench-smoke-");
const directory = scratch.folder;
const workers: Worker[] = [];
const worker = (name: string, program: string, nodeArguments: string[] = []): Worker => {
  const made = new Worker(name, program, nodeArguments);
  workers.push(made);
  return made;
};

function say(text: string): void {
  if (process.stderr.isTTY) console.error(text);
}

/** What is dirty in the page cache goes to the device now, and not in the middle of the next measurement. */
async function settle(): Promise<void> {
  await promisify(execFile)("sync", ["--file-system", directory]);
}

async function openPair(group: string, transport: string): Promise<Pair> {
  const producer = worker(`producer over ${transport}`, "producer.js", words(options.producerNode));
  const consumer = worker(`consumer over ${transport}`, "consumer.js", words(options.consumerNode));
  await producer.ask("attach", { group, transport });
  await consumer.ask("attach", { group, transport });
  return { transport, producer, consumer };
}

async function measureAll(): Promise<Result[]> {
  const server = worker("server", "server.js");
  const data = path.join(directory, "data");
  const group = await server.ask<string>("start", { data, topics: topicConfigs(parts, transports, repetitions) });
  const pairs: Pair[] = [];
  for (const transport of transports) pairs.push(await openPair(group, transport));
  const results: Result[] = [];
  const measure = async (part: string, of: (pair: Pair) => Promise<Result[]>, over: Pair[] = pairs): Promise<void> => {
    if (!parts.has(part)) return;
    for (const pair of over) {
      say(`${part} over ${pair.transport} …`);
      results.push(...(await of(pair)));
    }
  };
  await measure("metadata", (pair) => measureMetadata(pair, effort));
  await measure("event", (pair) => measureEvents(pair, effort, group));
  await measure("data", (pair) => measureData(pair, effort));
  const limitDirectory = path.join(directory, "limit");
  mkdirSync(limitDirectory);
  const syncCounters = async (): Promise<{ syncs: number; batches: number }> => {
    const { server: counters } = await server.ask<{ server: { syncs: number; syncBatches: number } }>("counters");
    return { syncs: counters.syncs, batches: counters.syncBatches };
  };
  // What one host uses by itself: the last transport named.
  for (const topic of ["written", "synced"] as const) {
    const disk = (pair: Pair): Promise<Result[]> =>
      measureDisk(pair, topic, effort, limitDirectory, syncCounters, settle);
    await measure("disk", disk, pairs.slice(-1));
  }
  return results;
}

function machine(): object {
  return {
    node: process.version,
    kernel: os.release(),
    processor: os.cpus()[0]?.model,
    cores: os.availableParallelism(),
    loadAverage: os.loadavg(),
    when: new Date().toISOString(),
  };
}

/** Clients first: a server drains at once when it has none. */
async function cleanUp(): Promise<void> {
  for (const one of workers.splice(0).reverse()) await one.end();
  scratch.remove();
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    void cleanUp().then(() => process.exit(1));
  });
}

let results: Result[];
try {
  results = await measureAll();
} finally {
  await cleanUp();
}
console.log(tableOf(results));
if (options.json !== undefined)
  writeFileSync(options.json, `${JSON.stringify(reportOf(results, machine()), null, 2)}\n`);
const missed = missedLines(results);
for (const line of missed) console.error(line);
process.exitCode = missed.length > 0 ? 1 : 0;
