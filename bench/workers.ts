/**
 * What worker threads gain that share a job: JSON metadata pushed by one thread and by several, to one server in a process
 * of its own, and beside it the same objects encoded and not pushed, which is what the machine's cores allow.
 *
 *   npm run bench:workers -- [--workers 1,2] [--rounds N] [--events N]
 */
import { once } from "node:events";
import path from "node:path";
import { Worker as WorkerThread } from "node:worker_threads";
import { InvalidArgumentError } from "commander";
import { attach, type Job } from "weftline";

import { median } from "./smoke/statistics.js";
import { Worker } from "./smoke/worker.js";
import { benchCommand, names, positiveInteger, scratchFolder, writableFolder } from "./suite/command.js";
import type { PushWork } from "./workers/pusher.js";

const counts = (text: string): number[] => {
  const given = names(text).map(positiveInteger);
  if (given.length === 0) throw new InvalidArgumentError("Give numbers of workers, such as 1,2.");
  return given;
};
const options = benchCommand("npm run bench:workers --", "What worker threads that share a job gain")
  .option("--workers <list>", "numbers of threads", counts, [1, 2])
  .option("--rounds <number>", "of each, interleaved; the median counts", positiveInteger, 5)
  .option(
    "--events <number>",
    "of small metadata in a round, of all threads; a tenth of large",
    positiveInteger,
    400_000,
  )
  .option("--directory <folder>", "for the server's files", writableFolder, path.resolve("build"))
  .parse()
  .opts<{ workers: number[]; rounds: number; events: number; directory: string }>();

const topic = "workers";

/** Events a second of all threads together, from the word to begin to the last one that is done. */
async function rateOf(job: Job, workerCount: number, work: Pick<PushWork, "metadata" | "onlyEncode">): Promise<number> {
  const total = work.metadata === "small" ? options.events : options.events / 10;
  const eventCount = Math.floor(total / workerCount);
  if (!work.onlyEncode) await job.createTopic(topic, { storage: "memory", memoryMetadataBytes: "1GiB" });
  const workerData: PushWork = { ...work, ticket: job.share(), topic, eventCount };
  const threads = Array.from({ length: workerCount }, () => {
    return new WorkerThread(new URL("workers/pusher.js", import.meta.url), { workerData });
  });
  await Promise.all(threads.map((thread) => once(thread, "message")));
  const exits = threads.map((thread) => once(thread, "exit"));
  const done = threads.map((thread) => once(thread, "message"));
  const begun = performance.now();
  for (const thread of threads) thread.postMessage("begin");
  await Promise.all(done);
  const seconds = (performance.now() - begun) / 1000;
  await Promise.all(exits);
  if (!work.onlyEncode) await job.deleteTopic(topic);
  return (eventCount * workerCount) / seconds;
}

const scratch = scratchFolder(options.directory, "bench-workers-");
const server = new Worker("server", "server.js");
try {
  const group = await server.ask<string>("start", { data: path.join(scratch.folder, "data"), topics: {} });
  const job = await attach(group, { name: "bench-workers" });
  for (const metadata of ["small", "large"] as const) {
    for (const onlyEncode of [true, false]) {
      const rates = new Map<number, number[]>(options.workers.map((workerCount) => [workerCount, []]));
      for (let round = 0; round < options.rounds; round++) {
        for (const [workerCount, all] of rates) all.push(await rateOf(job, workerCount, { metadata, onlyEncode }));
      }
      const [reference = NaN] = [...rates.values()].map(median);
      for (const [workerCount, all] of rates) {
        const what = `${metadata} metadata, ${onlyEncode ? "encoded only" : "pushed"}, ${workerCount} threads`;
        const rate = Math.round(median(all)).toLocaleString("en").padStart(11);
        console.log(`${what.padEnd(44)} ${rate} events/s ${(median(all) / reference).toFixed(2)} x`);
      }
    }
  }
  await job.close();
} finally {
  await server.end();
  scratch.remove();
}
