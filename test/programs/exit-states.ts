// Ends in the way that its first argument names, with the job of the group directory in the second (the states that serve
// or join make their own, with data in the directory of the third): a child process of test/integration/exit.test.ts.
// Prints "ready" when it is in that state.
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

import { attach, type Job, type JobTicket, join, openShared, type Producer, serve, type Server } from "weftline";

interface State {
  readonly job: Job;
  readonly out: Producer;
}

async function enter(group: string): Promise<State> {
  return await stateOf(await attach(group, { name: "exit-states" }));
}

async function stateOf(job: Job): Promise<State> {
  const topic = await job.topic("exits");
  return { job, out: await topic.producer() };
}

/** Work under way in every kind: batches with copied and referenced data, a pull that waits, slabs that are lent. */
async function busy({ job, out }: State): Promise<void> {
  const topic = await job.topic("exits");
  const consumer = topic.consumer({ from: "earliest", select: (await import("weftline")).all });
  for (let index = 0; index < 200; index++) out.push({ index }, new Uint8Array(index % 2 === 0 ? 100 : 100_000));
  await consumer.pull({ max: 5 });
  for (let index = 0; index < 200; index++) out.push({ index }, new Uint8Array(index % 2 === 0 ? 100 : 100_000));
  void topic.consumer({ from: "latest" }).pull();
}

/** A server in this process, and a client of it beside it, both busy. */
async function busyServer(data: string): Promise<Server> {
  const server = await serve({ data, topics: { exits: {} } });
  await busy(await enter(server.group));
  return server;
}

const states: Record<string, (group: string, data: string) => Promise<void>> = {
  async closed(group) {
    const { job, out } = await enter(group);
    out.push({ index: 0 });
    await job.close();
  },
  async forgotten(group) {
    const { out } = await enter(group);
    await out.push({ index: 0 }).wait();
  },
  async exit(group) {
    await busy(await enter(group));
    console.log("ready");
    process.exit(7);
  },
  async "exit-at-once"(group) {
    void attach(group);
    await Promise.resolve();
    console.log("ready");
    process.exit(7);
  },
  async throw(group) {
    await busy(await enter(group));
    console.log("ready");
    setImmediate(() => {
      throw new Error("uncaught on purpose");
    });
  },
  async waiting(group) {
    const { job } = await enter(group);
    console.log("ready");
    await (await job.topic("exits")).consumer({ from: "latest" }).pull();
  },
  async "serve-closed"(_group, data) {
    await using server = await serve({ data, topics: { exits: {} } });
    const { job, out } = await enter(server.group);
    out.push({ index: 0 });
    await job.close();
  },
  async "serve-exit"(_group, data) {
    await busyServer(data);
    console.log("ready");
    process.exit(7);
  },
  async "serve-throw"(_group, data) {
    await busyServer(data);
    console.log("ready");
    setImmediate(() => {
      throw new Error("uncaught on purpose");
    });
  },
  async "serve-in-worker"(_group, data) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { group: "", state: "serve-busy", data } });
    const ended = new Promise((resolve) => worker.once("exit", resolve));
    const group = await new Promise<string>((resolve) => worker.once("message", resolve));
    const { job, out } = await enter(group);
    await out.push({ index: 0 }).wait();
    await job.close();
    await worker.terminate();
    await ended;
  },
  async "rank-serve"(_group, data) {
    await using server = await serve({ data, topics: { exits: {} } });
    await server.closed;
  },
  async "rank-throw"() {
    const job = await join({ name: "exit-states" });
    const topic = await job.topic("exits");
    await busy({ job, out: await topic.producer() });
    console.log("ready");
    setImmediate(() => {
      throw new Error("uncaught on purpose");
    });
  },
  async worker(group) {
    await inWorker(group, "busy");
    await inWorker(group, "forgotten");
    await inWorker(group, "closed");
    await inWorker(group, "exit");
    const { job } = await enter(group);
    await job.close();
  },
  async "shared-and-exit"(group) {
    const state = await enter(group);
    await Promise.all([shareWithWorker(state.job), shareWithWorker(state.job), busy(state)]);
    console.log("ready");
    process.exit(7);
  },
  async "shared-forgotten"(group) {
    const { job } = await enter(group);
    const worker = await shareWithWorker(job);
    await worker.terminate();
    (await shareWithWorker(job)).unref();
  },
  async "worker-and-exit"(group) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { group, state: "busy" } });
    await new Promise((resolve) => worker.once("message", resolve));
    await busy(await enter(group));
    console.log("ready");
    process.exit(7);
  },
};

/** A worker thread that is busy with this thread's job. */
async function shareWithWorker(job: Job): Promise<Worker> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { state: "shared", ticket: job.share() } });
  await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  return worker;
}

/** A worker thread that comes to a state, then is terminated if it does not end by itself. */
async function inWorker(group: string, state: string): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { group, state } });
  const ended = new Promise((resolve) => worker.once("exit", resolve));
  if (state === "busy") {
    await new Promise((resolve) => worker.once("message", resolve));
    await worker.terminate();
  }
  await ended;
}

if (isMainThread) {
  const [, , state = "", group = "", data = ""] = process.argv;
  await states[state]?.(group, data);
} else {
  const { group, state, data } = workerData as { group: string; state: string; data: string };
  if (state === "shared") {
    await busy(await stateOf(openShared((workerData as { readonly ticket: JobTicket }).ticket)));
    parentPort?.postMessage("ready");
    setInterval(() => undefined, 1000);
  } else if (state === "busy") {
    await busy(await enter(group));
    parentPort?.postMessage("ready");
    setInterval(() => undefined, 1000);
  } else if (state === "serve-busy") {
    const server = await serve({ data, topics: { exits: {} } });
    parentPort?.postMessage(server.group);
  } else await states[state]?.(group, data);
}
console.log("ready");
