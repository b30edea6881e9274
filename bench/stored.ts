/**
 * What stored events cost their server: its anonymous memory and CPU time per event while more and more are stored on
 * disk, and how long it takes to open what is there. Exits with 1 when one of them is not flat, or opening takes long.
 *
 *   npm run bench:stored -- [--events N] [--directory DIR]
 *
 * --events: at the end, default 100 million of 32 B of raw metadata each, in batches of 128 (about 6 GB).
 */
import path from "node:path";
import { attach } from "weftline";

import { Worker } from "./smoke/worker.js";
import { benchCommand, positiveInteger, scratchFolder, writableFolder } from "./suite/command.js";

const options = benchCommand("npm run bench:stored --", "What stored events cost their server")
  .option("--events <number>", "at the end", positiveInteger, 100_000_000)
  .option("--directory <folder>", "on the device to use", writableFolder, path.resolve("build"))
  .parse()
  .opts<{ events: number; directory: string }>();
const eventsWanted = options.events;
const metadataBytes = 32;
const batchEvents = 128;
/** Of the memory, and of the CPU per event, from the first stage to the last. */
const growthMax = 1.15;
const openSecondsMax = 2;
/** When it is measured, and how long: parts of all events. */
const marks = [0.01, 0.1, 0.5, 0.96];
const measuredPart = 0.04;

interface Usage {
  readonly processorSeconds: number;
  readonly anonymousBytes: number;
}
interface Stage {
  readonly events: number;
  readonly anonymousMebibytes: number;
  readonly nanosecondsPerEvent: number;
  readonly eventsPerSecond: number;
}

async function storeAll(server: Worker, group: string): Promise<Stage[]> {
  const job = await attach(group, { name: "bench-stored" });
  const producer = await (await job.topic<Uint8Array>("stored")).producer({ batchEvents });
  const metadata = Buffer.alloc(metadataBytes, "m");
  const stages: Stage[] = [];
  let stored = 0;
  const storeUntil = async (end: number): Promise<void> => {
    for (; stored < end; stored++) {
      metadata.writeUInt32LE(stored, 0);
      producer.push(metadata);
      if (stored % batchEvents === 0) await producer.ready();
    }
    await producer.flush();
  };
  for (const mark of marks) {
    await storeUntil(mark * eventsWanted);
    const from = stored;
    const before = await server.ask<Usage>("usage");
    const begun = performance.now();
    await storeUntil((mark + measuredPart) * eventsWanted);
    const seconds = (performance.now() - begun) / 1000;
    const after = await server.ask<Usage>("usage");
    stages.push({
      events: stored,
      anonymousMebibytes: after.anonymousBytes / 2 ** 20,
      nanosecondsPerEvent: ((after.processorSeconds - before.processorSeconds) / (stored - from)) * 1e9,
      eventsPerSecond: (stored - from) / seconds,
    });
  }
  await producer.close();
  await job.close();
  return stages;
}

const scratch = scratchFolder(options.directory, "bench-stored-");
const directory = scratch.folder;
const data = path.join(directory, "data");
const topics = { stored: { storage: "disk", durability: "written", serializer: "raw" } } as const;
const open: Worker[] = [];
const startServer = async (): Promise<{ server: Worker; group: string; seconds: number }> => {
  const server = new Worker("server", "server.js");
  open.push(server);
  await server.ask("counters"); // the process runs
  const begun = performance.now();
  const group = await server.ask<string>("start", { data, topics });
  return { server, group, seconds: (performance.now() - begun) / 1000 };
};
let stages: Stage[];
let openSeconds: number;
try {
  const { server, group } = await startServer();
  stages = await storeAll(server, group);
  await server.end();
  openSeconds = (await startServer()).seconds;
} finally {
  for (const server of open) await server.end();
  scratch.remove();
}
for (const { events, anonymousMebibytes, nanosecondsPerEvent, eventsPerSecond } of stages) {
  console.log(
    `${events.toLocaleString("en")} events stored: ${anonymousMebibytes.toFixed(1)} MiB of anonymous memory, ` +
      `${nanosecondsPerEvent.toFixed(0)} ns of CPU an event, ${Math.round(eventsPerSecond).toLocaleString("en")} events/s`,
  );
}
console.log(`opened again in ${openSeconds.toFixed(2)} s`);
const [first, last] = [stages[0], stages.at(-1)];
const memoryGrowth = (last?.anonymousMebibytes ?? NaN) / (first?.anonymousMebibytes ?? NaN);
const processorGrowth = (last?.nanosecondsPerEvent ?? NaN) / (first?.nanosecondsPerEvent ?? NaN);
console.log(`memory x ${memoryGrowth.toFixed(2)}, CPU x ${processorGrowth.toFixed(2)}, at most ${growthMax}`);
if (!(memoryGrowth <= growthMax && processorGrowth <= growthMax && openSeconds <= openSecondsMax)) process.exitCode = 1;
