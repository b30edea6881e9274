// A worker thread with a job of its own that it shares with others of its process: what test/model/workers.test.ts
// starts. `workerData` says what it does; it posts what it saw.
import { parentPort, workerData } from "node:worker_threads";

import { all, isWeftError, type Job, type JobTicket, openShared, type Producer } from "weftline";

export interface SharedWork {
  readonly task: "round-trip" | "forget" | "busy" | "steady" | "until-closed" | "limits" | "misuse";
  readonly ticket: JobTicket;
  readonly worker: number;
  readonly eventCount?: number;
}

export interface Numbered {
  readonly worker: number;
  readonly n: number;
}

/** Long enough to be referenced and not copied: the server reads it from this thread's memory. */
const referencedBytes = 40_000;

const work = workerData as SharedWork;
const { worker, ticket, eventCount = 0 } = work;
const say = (message: unknown): void => parentPort?.postMessage(message);

function dataOf(n: number): Uint8Array {
  return new Uint8Array(n % 5 === 0 ? referencedBytes : 16).fill(n % 251);
}

async function producerOf(job: Job): Promise<Producer<Numbered>> {
  return await (await job.topic<Numbered>("shared")).producer();
}

/** Pushes its own and reads them back among those of the others. */
async function roundTrip(job: Job): Promise<number> {
  await using out = await producerOf(job);
  for (let n = 0; n < eventCount; n++) {
    out.push({ worker, n }, dataOf(n));
    if (n % 100 === 99) await out.ready();
  }
  await out.flush();
  const topic = await job.topic<Numbered>("shared");
  let read = 0;
  for await (const event of topic.consumer({ from: "earliest", until: "end", select: all })) {
    const { worker: of, n } = event.metadata;
    if (of !== worker) continue;
    const wanted = dataOf(n);
    if (Buffer.compare(event.data, wanted) !== 0) throw new Error(`event ${n} came with other data`);
    read++;
  }
  return read;
}

/** Until it is terminated: pushes, reads with data, fetches into registered memory, opens and closes. */
async function busy(job: Job): Promise<never> {
  const out = await producerOf(job);
  const topic = await job.topic<Numbered>("shared");
  const region = job.register(new Uint8Array(referencedBytes));
  void (async () => {
    for (;;) for await (const event of topic.consumer({ from: "earliest", until: "end", select: all })) void event;
  })();
  void (async () => {
    for (;;) await (await topic.producer()).close();
  })();
  for (let n = 0; ; n++) {
    await region.idle();
    region.bytes.fill(n % 251);
    const receipt = out.push({ worker, n }, n % 3 === 0 ? region : dataOf(n));
    if (n % 40 === 39) {
      await receipt.wait();
      say({ acknowledged: n });
    }
  }
}

/** Until it is told to end: one event after the other, all of which must be stored. */
async function steady(job: Job): Promise<number> {
  const out = await producerOf(job);
  let ends = false;
  parentPort?.once("message", () => (ends = true));
  let n = 0;
  for (; !ends; n++) {
    await out.push({ worker, n }, dataOf(n)).wait();
    if (n === 0) say("begun");
  }
  await job.close();
  return n;
}

async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return "none";
  } catch (error) {
    return isWeftError(error) ? error.code : String(error);
  }
}

/** Pushes and pulls until the job that it shares is closed; then says how each kind of call ends. */
async function untilClosed(job: Job): Promise<Record<string, string>> {
  const out = await producerOf(job);
  const topic = await job.topic<Numbered>("shared");
  const consumer = topic.consumer({ from: "latest" });
  const pulled = codeOf(async () => {
    for (;;) await consumer.pull();
  });
  const pushed = await codeOf(async () => {
    for (let n = 0; ; n++) {
      const receipt = out.push({ worker, n }, dataOf(n));
      if (n % 10 === 9) await receipt.wait();
      if (n === 20) say("begun");
    }
  });
  const codes = {
    pushed,
    pulled: await pulled,
    receipt: await codeOf(() => out.push({ worker, n: -1 }).wait()),
    topic: await codeOf(() => job.topic("shared")),
    producer: await codeOf(() => topic.producer()),
    list: await codeOf(() => job.listTopics()),
    alloc: await codeOf(() => job.alloc(4096)),
    register: await codeOf(() => job.register(new Uint8Array(4096))),
    partition: await codeOf(() => topic.partition(0)),
    share: await codeOf(() => job.share()),
    again: await codeOf(() => openShared(ticket)),
    name: job.name,
  };
  await codeOf(() => job.close());
  return { ...codes, closed: await codeOf(() => job.topic("shared")) };
}

async function limits(job: Job): Promise<unknown> {
  const further = openShared(job.share());
  const topics = (await further.listTopics()).map(({ name }) => name);
  await further.close();
  return {
    world: await codeOf(() => job.world),
    barrier: await codeOf(() => job.barrier()),
    facts: { rank: job.rank, role: job.role, name: job.name, group: job.group, serverCount: job.serverCount },
    topics,
    peersUp: (job.counters()["fabric"] as { readonly peersUp: number }).peersUp,
    ticket: job.share(),
    created: (await job.createTopic(`of-worker-${worker}`, { storage: "memory" })).name,
  };
}

if (work.task === "misuse") {
  const wrong: unknown[] = [undefined, null, 7, {}, { ...ticket, process: "00" }, { ...ticket, job: 0 }, ticket];
  say(await Promise.all(wrong.map((each) => codeOf(() => openShared(each as JobTicket)))));
} else {
  const job = openShared(ticket);
  switch (work.task) {
    case "round-trip":
      say(await roundTrip(job));
      await job.close();
      break;
    case "forget": {
      // The end of the thread sends what is with the library; receipts say what that is.
      const out = await producerOf(job);
      await out.push({ worker, n: 0 }, dataOf(0)).wait();
      say("pushed");
      process.exit(3);
      break;
    }
    case "busy":
      await busy(job);
      break;
    case "steady":
      say(await steady(job));
      break;
    case "until-closed":
      say(await untilClosed(job));
      break;
    case "limits":
      say(await limits(job));
      await job.close();
      break;
  }
}
