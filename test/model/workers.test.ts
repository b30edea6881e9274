// Worker threads that share a job: each has its own producers and consumers, and ends, in whatever way, alone.
import { execFile } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { all, attach, type Job, openShared } from "../../src/index.js";
import type { Numbered, SharedWork } from "../programs/shared-worker.js";
import { errorOf, Place } from "./support.js";

const programs =
  process.env["WEFTLINE_TEST_PROGRAMS"] ?? fileURLToPath(new URL("../../build/ts/test/programs/", import.meta.url));
const program = pathToFileURL(`${programs}/shared-worker.js`);
const limitMs = 60_000;

let place: Place;
/** That the workers share; closed by each test or after it. */
let job: Job;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});
beforeEach(async () => {
  job = await attach(place.server.group, { name: "sharer" });
  await job.createTopic("shared", { partitions: 2 });
});
afterEach(async () => {
  await job.close();
  await place.job.deleteTopic("shared");
});

/** A worker whose failure ends the test. */
class Running {
  readonly worker: Worker;
  readonly exited: Promise<number>;
  readonly #failed: Promise<never>;

  constructor(work: Omit<SharedWork, "ticket">, ticket = job.share()) {
    this.worker = new Worker(program, { workerData: { ...work, ticket } });
    this.exited = once(this.worker, "exit").then(([code]) => code as number);
    this.#failed = new Promise((_resolve, reject) => this.worker.once("error", reject));
    this.#failed.catch(() => undefined);
  }
  async said(): Promise<unknown> {
    const [message] = (await Promise.race([
      once(this.worker, "message", { signal: AbortSignal.timeout(limitMs) }),
      this.#failed,
    ])) as unknown[];
    return message;
  }
  async ended(): Promise<number> {
    return await Promise.race([this.exited, this.#failed]);
  }
}

/** All that is stored, by worker; each event with the data that its worker gave it. */
async function stored(): Promise<Map<number, Set<number>>> {
  const topic = await place.job.topic<Numbered>("shared");
  const found = new Map<number, Set<number>>();
  await using consumer = topic.consumer({ from: "earliest", until: "end", select: all });
  for await (const event of consumer) {
    const { worker, n } = event.metadata;
    expect(event.data.every((byte) => byte === n % 251)).toBe(true);
    const numbers = found.get(worker) ?? new Set();
    expect(numbers.has(n)).toBe(false);
    found.set(worker, numbers.add(n));
  }
  return found;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come`);
    await delay(5);
  }
}

describe("worker threads that share a job", () => {
  it.each([2, 4])("%i of them: each pushes to its own producer and reads it back", async (count) => {
    const eventCount = 1000;
    const workers = Array.from({ length: count }, (_, worker) => {
      return new Running({ task: "round-trip", worker, eventCount });
    });
    expect(await Promise.all(workers.map((each) => each.said()))).toEqual(workers.map(() => eventCount));
    expect(await Promise.all(workers.map((each) => each.ended()))).toEqual(workers.map(() => 0));
    const found = await stored();
    expect([...found.values()].map(({ size }) => size)).toEqual(workers.map(() => eventCount));
    // The job that was shared goes on.
    await using out = await (await job.topic<Numbered>("shared")).producer();
    await out.push({ worker: count, n: 0 }).wait();
  });

  it("have its facts, its connections, and no collectives", async () => {
    const running = new Running({ task: "limits", worker: 0 });
    const { rank, role, name, group, serverCount } = job;
    expect(await running.said()).toEqual({
      world: "WEFT_UNSUPPORTED",
      barrier: "WEFT_UNSUPPORTED",
      facts: { rank, role, name, group, serverCount },
      topics: ["shared"],
      peersUp: 1,
      ticket: job.share(),
      created: "of-worker-0",
    });
    expect(await running.ended()).toBe(0);
    await job.deleteTopic("of-worker-0");
  });

  it("one that ends without closing leaves what it pushed", async () => {
    const running = new Running({ task: "forget", worker: 5 });
    expect(await running.said()).toBe("pushed");
    expect(await running.ended()).toBe(3);
    expect(await stored()).toEqual(new Map([[5, new Set([0])]]));
  });

  it.each([
    ["inprocess", 20],
    ["shm", 10],
    ["tcp", 10],
  ])("one that is terminated loses nothing acknowledged and disturbs nobody: over %s, %i times", async (by, rounds) => {
    await using sharer = await attach(place.server.group, { transports: by });
    const bystander = new Running({ task: "steady", worker: 100 }, sharer.share());
    expect(await bystander.said()).toBe("begun");
    const acknowledged: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const running = new Running({ task: "busy", worker: round }, sharer.share());
      let last = -1;
      running.worker.on("message", (message: { readonly acknowledged: number }) => (last = message.acknowledged));
      // In the middle of its work, each time at another place.
      await until("an acknowledgement", () => last >= 39 + 40 * (round % 3));
      await delay(round);
      await running.worker.terminate();
      acknowledged.push(last);
    }
    bystander.worker.postMessage("end");
    const pushed = (await bystander.said()) as number;
    expect(await bystander.ended()).toBe(0);
    const found = await stored();
    expect(found.get(100)?.size).toBe(pushed);
    acknowledged.forEach((last, round) => {
      const numbers = found.get(round) ?? new Set();
      for (let n = 0; n <= last; n++) expect(numbers.has(n), `event ${n} of round ${round}`).toBe(true);
    });
    // Nothing of them is left, here or at the server.
    const { client, fabric } = sharer.counters() as {
      readonly client: Record<string, number>;
      readonly fabric: { readonly transports: object };
    };
    expect(Object.keys(fabric.transports)).toEqual([by]);
    expect(client["memoryQuarantinedBytes"]).toBe(0);
    const server = (): Record<string, number> => place.server.counters()["server"] as Record<string, number>;
    const open = (): unknown => ({ producers: server()["producers"], consumers: server()["consumers"] });
    await expect.poll(open, { timeout: limitMs }).toEqual({ producers: 0, consumers: 0 });
  });

  it("are told WEFT_CLOSED when the job that they share is closed first", async () => {
    const workers = [0, 1, 2].map((worker) => new Running({ task: "until-closed", worker }));
    await Promise.all(workers.map((each) => each.said()));
    const saying = workers.map((each) => each.said());
    await job.close();
    const closed = "WEFT_CLOSED";
    for (const said of await Promise.all(saying)) {
      expect(said).toEqual({
        ...{ pushed: closed, pulled: closed, receipt: closed, topic: closed, producer: closed, list: closed },
        ...{ alloc: closed, register: closed, partition: closed, share: closed, again: closed, closed },
        name: "sharer",
      });
    }
    expect(await Promise.all(workers.map((each) => each.ended()))).toEqual([0, 0, 0]);
    // The server and other jobs did not notice.
    await stored();
  });

  it("may be terminated while the job is being closed", async () => {
    for (let round = 0; round < 5; round++) {
      const sharer = await attach(place.server.group);
      const workers = [0, 1].map((worker) => new Running({ task: "busy", worker: 2 * round + worker }, sharer.share()));
      await Promise.all(workers.map((each) => each.said()));
      const [first, second] = workers;
      await Promise.all([first?.worker.terminate(), sharer.close(), second?.worker.terminate()]);
    }
    await stored();
  });
});

describe("a ticket", () => {
  it("opens nothing when it is none, or its job is closed", async () => {
    const closed = await attach(place.server.group);
    const ticket = closed.share();
    await closed.close();
    const running = new Running({ task: "misuse", worker: 0 }, ticket);
    const invalid = Array.from({ length: 6 }, () => "WEFT_INVALID_ARGUMENT");
    expect(await running.said()).toEqual([...invalid, "WEFT_CLOSED"]);
    expect(await running.ended()).toBe(0);
    await errorOf("WEFT_CLOSED", () => closed.share());
    const error = await errorOf("WEFT_CLOSED", () => openShared(ticket));
    expect(error.message).toContain("share one that is open");
  });

  it("is good in its own process only", async () => {
    const text = `const { openShared } = await import(${JSON.stringify(
      new URL("../../dist/index.js", import.meta.url).href,
    )});
      try { openShared(JSON.parse(process.argv[1])); } catch (error) { console.log(error.code, error.message); }`;
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...["--input-type=module", "-e", text, JSON.stringify(job.share())],
    ]);
    expect(stdout).toMatch(/^WEFT_INVALID_ARGUMENT .*the ticket is of another process/);
  });

  it("may be opened by the thread that made it, and is closed alone", async () => {
    const shared = openShared(job.share());
    const topic = await shared.topic<Numbered>("shared");
    const out = await topic.producer();
    out.push({ worker: 1, n: 1 }, new Uint8Array(16).fill(1));
    await shared.close();
    expect(await stored()).toEqual(new Map([[1, new Set([1])]]));
    expect((await job.topic("shared")).name).toBe("shared");
  });
});
