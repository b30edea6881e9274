// The order of events with `ordering: "strict"` and "loose": on real servers, over a restart, and beside a server that
// stands still.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type Job, type Ordering, type Producer, type Receipt, type Topic, attach } from "../../src/index.js";
import { launchers } from "../integration/support/launchers.js";
import { type ServerFacts, Workplace, cliPath, parseLines, until } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly from: string;
  readonly n: number;
}
interface Seen extends Numbered {
  readonly partition: number;
}

/** Only a launch has several slots from the start. */
const launcher = launchers.find(({ there }) => there);

const batchesSent = (job: Job): number => (job.counters() as { client: { batchesSent: number } }).client.batchesSent;

async function everything(topic: Topic<Numbered>): Promise<Seen[]> {
  const seen: Seen[] = [];
  for await (const { metadata, partition } of topic.consumer({ from: "earliest", until: "end" })) {
    seen.push({ ...metadata, partition });
  }
  return seen;
}

/** Every event once, and those of one producer in one partition in the order of the pushes. */
function expectAllInOrder(seen: readonly Seen[], producers: readonly string[], count: number): void {
  for (const from of producers) {
    const mine = seen.filter((event) => event.from === from);
    expect(mine.map(({ n }) => n).sort((left, right) => left - right)).toEqual([...Array(count).keys()]);
    const lastOf = new Map<number, number>();
    for (const { partition, n } of mine) {
      expect(n, `${from} in partition ${partition}`).toBeGreaterThan(lastOf.get(partition) ?? -1);
      lastOf.set(partition, n);
    }
  }
}

async function pushAll(out: Producer<Numbered>, from: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    out.push({ from, n });
    if (n % 50 === 0) await out.ready();
  }
  await out.flush();
}

describe("on one server", () => {
  let place: Place;
  beforeAll(async () => {
    place = await Place.open();
  });
  afterAll(async () => {
    await place.close();
  });

  it.each<Ordering>(["strict", "loose"])("%s: several producers at once keep their order", async (ordering) => {
    const topic = await place.job.createTopic<Numbered>(`concurrent-${ordering}`, { partitions: 4 });
    const producers = ["a", "b", "c"];
    await Promise.all(
      producers.map(async (from) => {
        const out = await topic.producer({ ordering, batchEvents: 8, maxInFlight: 4 });
        await pushAll(out, from, 2000);
        await out.close();
      }),
    );
    const seen = await everything(topic);
    expectAllInOrder(seen, producers, 2000);
    expect(new Set(seen.map(({ partition }) => partition)).size).toBe(4);
  });

  it("strict goes round event by event", async () => {
    const topic = await place.job.createTopic<Numbered>("round", { partitions: 4 });
    const out = await topic.producer({ ordering: "strict" });
    await pushAll(out, "a", 400);
    await out.close();
    const seen = (await everything(topic)).sort((left, right) => left.n - right.n);
    const first = seen[0]?.partition ?? NaN;
    expect(seen.map(({ partition }) => partition)).toEqual(seen.map(({ n }) => (first + n) % 4));
  });

  it("loose fills batches where strict sends one for each partition", async () => {
    const eventCount = 128;
    const batches: Record<string, number> = {};
    for (const ordering of ["strict", "loose"] as const) {
      const topic = await place.job.createTopic<Numbered>(`batches-${ordering}`, { partitions: 16 });
      const out = await topic.producer({ ordering, lingerMs: 60_000 });
      const before = batchesSent(place.job);
      for (let n = 0; n < eventCount; n++) out.push({ from: "a", n });
      await out.flush();
      batches[ordering] = batchesSent(place.job) - before;
      await out.close();
      expectAllInOrder(await everything(topic), ["a"], eventCount);
    }
    expect(batches).toEqual({ strict: 16, loose: 1 });
  });

  it("loose leaves events that name a partition or a key where they belong, in order", async () => {
    const topic = await place.job.createTopic<Numbered>("named", { partitions: 4 });
    const out = await topic.producer({ ordering: "loose", batchEvents: 4, maxInFlight: 1 });
    for (let n = 0; n < 500; n++) {
      out.push({ from: "any", n });
      out.push({ from: "named", n }, undefined, { partition: 2 });
      out.push({ from: "keyed", n }, undefined, { key: "k" });
      if (n % 20 === 0) await out.ready();
    }
    await out.close();
    const seen = await everything(topic);
    expectAllInOrder(seen, ["any", "named", "keyed"], 500);
    const partitionsOf = (from: string): Set<number> =>
      new Set(seen.filter((event) => event.from === from).map(({ partition }) => partition));
    expect(partitionsOf("named")).toEqual(new Set([2]));
    expect(partitionsOf("keyed").size).toBe(1);
  });

  it("loose is refused where the partition says something", async () => {
    const keyed = await place.job.createTopic("by-key", { partitions: 2, partitionSelector: "key-hash" });
    await errorOf("WEFT_INVALID_ARGUMENT", () => keyed.producer({ ordering: "loose" }));
    const plain = await place.job.createTopic("plain", { partitions: 2 });
    await errorOf("WEFT_INVALID_ARGUMENT", () => plain.producer({ ordering: "loose", selectPartition: () => 1 }));
    await errorOf("WEFT_INVALID_ARGUMENT", () => plain.producer({ ordering: "any" as Ordering }));
    const near = await place.job.createTopic("near", { partitions: 2, partitionSelector: "same-node" });
    const out = await near.producer({ ordering: "loose" });
    expect(await out.push({ n: 1 }).wait()).toMatchObject({ offset: 0 });
    await out.close();
  });
});

describe("on servers that fail", () => {
  let workplace: Workplace;
  let job: Job;
  beforeEach(() => {
    workplace = new Workplace();
  });
  afterEach(async () => {
    await job.close();
    await workplace.close();
  });

  it.each<Ordering>(["strict", "loose"])("%s: repeats nothing and keeps the order over a kill -9", async (ordering) => {
    const server = await workplace.serve(["--data", "./weft"]);
    job = await attach(server.facts.group);
    const topic = await job.createTopic<Numbered>("killed", { partitions: 4 });
    const out = await topic.producer({ ordering, batchEvents: 16, maxInFlight: 8 });
    const count = 6000;
    const pushing = pushAll(out, "a", count);
    await until("events to be stored", () => out.stored > 1000);
    await server.end("SIGKILL");
    await workplace.serve(["--data", "./weft"]);
    await pushing;
    await out.close();
    expectAllInOrder(await everything(topic), ["a"], count);
  });

  async function twoSlots(): Promise<ServerFacts[]> {
    const { program = "", argv = [], env = {} } = launcher ?? {};
    const serve = [process.execPath, cliPath, "serve", "--json", "--data", workplace.path("weft-{rank}")];
    const launch = workplace.startProgram(program, [...argv, "-n", "2", ...serve], { env });
    return await until("the start of both", () => {
      const found = parseLines<ServerFacts>(launch.output.toString().replace(/[^\n]*$/, ""));
      return found.length === 2 && found.sort((left, right) => left.slot - right.slot);
    });
  }
  /** Partition 5 of 16 is on slot 1. */
  const slots = Array.from({ length: 16 }, (_, partition) => (partition === 5 ? 1 : 0));

  it.skipIf(launcher === undefined)("loose goes on beside a slot that stands still, and strict does not", async () => {
    const servers = await twoSlots();
    const stopped = servers[1]?.pid ?? NaN;
    job = await attach(servers[0]?.group ?? "");
    const topic = await job.createTopic<Numbered>("still", { partitions: 16, slots });
    const open = (ordering: Ordering): Promise<Producer<Numbered>> =>
      topic.producer({ ordering, batchEvents: 8, maxInFlight: 2 });
    const loose = await open("loose");
    const strict = await open("strict");
    process.kill(stopped, "SIGSTOP");
    const count = 8000;
    const strictly = pushAll(strict, "strict", count);
    await until("strict to begin", () => strict.stored > 1000);
    const pushing = pushAll(loose, "loose", count);
    // What a flush waits for is the two batches for the partition that stands still.
    await until("the others to be stored", () => loose.stored >= count - 2 * 8);
    // One of 16 events of strict is for that partition, and in the end all its batches are: it waits with the rest.
    const batches = 16 * (2 + 1);
    expect(strict.stored).toBeLessThan(batches * 8 * 16);
    expect(batches * 8 * 16).toBeLessThan(count - count / 16);
    process.kill(stopped, "SIGCONT");
    await Promise.all([pushing, strictly]);
    await loose.close();
    await strict.close();
    const seen = await everything(topic);
    expectAllInOrder(seen, ["loose", "strict"], count);
  });

  it.skipIf(launcher === undefined)(
    "loose loses no more to a lost slot than was under way, and comes back to it",
    async () => {
      const servers = await twoSlots();
      const stopped = servers[1]?.pid ?? NaN;
      job = await attach(servers[0]?.group ?? "", { deliveryTimeoutMs: 1000 });
      const topic = await job.createTopic<Numbered>("lost", { partitions: 16, slots });
      const out = await topic.producer({ ordering: "loose", batchEvents: 8, maxInFlight: 2 });
      process.kill(stopped, "SIGSTOP");
      const receipts: Receipt[] = [];
      const failedCount = (): number => receipts.filter(({ error }) => error !== undefined).length;
      const push = async (): Promise<void> => {
        for (let count = 0; count < 40; count++) receipts.push(out.push({ from: "a", n: receipts.length }));
        // Not ready(): that waits for nothing once an event failed.
        do await new Promise((resolve) => setImmediate(resolve));
        while (out.queued > 0);
      };
      const end = performance.now() + 60_000;
      while (failedCount() === 0) {
        expect(performance.now(), "a batch fails").toBeLessThan(end);
        await push();
      }
      // Twice as long again: nothing of this is given to the slot that does not answer.
      for (const later = performance.now() + 2000; performance.now() < later;) await push();
      await errorOf("WEFT_DELIVERY_TIMED_OUT", () => out.flush());
      expect(failedCount()).toBeLessThanOrEqual(2 * 8);
      process.kill(stopped, "SIGCONT");
      const before = receipts.length;
      while (!receipts.slice(before).some(({ id }) => id?.partition === 5)) {
        expect(performance.now(), "the partition is used again").toBeLessThan(end);
        await push();
      }
      await out.flush();
      await out.close();
    },
  );
});
