// Acknowledgements: in any order, twice, of consumers that are closed; when they are made durable, by number, by time and by
// hand; and what a consumer sees that comes back after an end, a restart of the servers, or a kill.
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import {
  type AckEvery,
  type Consumer,
  type ConsumerOptions,
  type Event,
  type Topic,
  metadataOnly,
  nothing,
} from "../../src/index.js";
import { Workplace, until } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly n: number;
}

const programs =
  process.env["WEFTLINE_TEST_PROGRAMS"] ?? fileURLToPath(new URL("../../build/ts/test/programs/", import.meta.url));
const eventCount = 60;
const upTo = (count: number, from = 0): number[] => Array.from({ length: count - from }, (_, index) => from + index);

let place: Place;
let topic: Topic<Numbered>;
beforeAll(async () => {
  place = await Place.open();
  topic = await place.job.createTopic<Numbered>("numbers");
  await using out = await topic.producer({ batchEvents: 7 });
  for (let n = 0; n < eventCount; n++) out.push({ n });
  await out.flush();
});
afterAll(async () => {
  await place.close();
});
afterEach(() => {
  vi.restoreAllMocks();
});

let names = 0;
const freshName = (): string => `reader-${names++}`;

/** Where a consumer that opens the name now begins. */
async function committedOf(name: string): Promise<number> {
  await using consumer = topic.consumer({ name, ackEvery: 0 });
  const [lag] = await consumer.lag();
  return lag?.position ?? -1;
}
async function eventsOf(consumer: Consumer<Numbered>, count = eventCount): Promise<Event<Numbered>[]> {
  const events: Event<Numbered>[] = [];
  while (events.length < count)
    events.push(...(await consumer.pull({ max: count - events.length, timeoutMs: 30_000 })));
  return events;
}
/** Waits until the name's position is there. */
async function untilCommitted(name: string, position: number): Promise<void> {
  const end = Date.now() + 30_000;
  for (let seen = await committedOf(name); seen !== position; seen = await committedOf(name)) {
    if (Date.now() > end) throw new Error(`${name} was committed up to ${seen}, not ${position}, within 30 s`);
  }
}
const commits = (): number => (place.job.counters() as { client: { commits: number } }).client.commits;

describe("acknowledging", () => {
  it("in any order moves the position only over events without a gap", async () => {
    const name = freshName();
    await using consumer = topic.consumer({ name, ackEvery: 0 });
    const events = await eventsOf(consumer, 10);
    for (const index of [3, 1, 9, 2]) events[index]?.ack();
    await consumer.commit();
    expect(await committedOf(name)).toBe(0);
    events[0]?.ack();
    expect((await consumer.lag())[0]?.position).toBe(4);
    expect(await committedOf(name)).toBe(0); // not before it is committed
    await consumer.commit();
    expect(await committedOf(name)).toBe(4);
    for (const index of [8, 7, 6, 5, 4]) events[index]?.ack();
    await consumer.commit();
    expect(await committedOf(name)).toBe(10);
  });

  it("twice is as once, also when it was committed in between", async () => {
    const name = freshName();
    await using consumer = topic.consumer({ name, ackEvery: 0 });
    const events = await eventsOf(consumer, 5);
    for (let round = 0; round < 3; round++) {
      for (const event of events) event.ack();
      events[0]?.ack();
      await consumer.commit();
      expect(await committedOf(name)).toBe(5);
    }
  });

  it("an event of another consumer counts there, whatever this one has", async () => {
    const [one, other] = [freshName(), freshName()];
    await using first = topic.consumer({ name: one, ackEvery: 0 });
    await using second = topic.consumer({ name: other, ackEvery: 0 });
    const ofFirst = await eventsOf(first, 4);
    for (const event of await eventsOf(second, 8)) event.ack();
    await first.commit();
    await second.commit();
    expect([await committedOf(one), await committedOf(other)]).toEqual([0, 8]);
    for (const event of ofFirst) event.ack();
    await second.commit();
    expect([await committedOf(one), await committedOf(other)]).toEqual([0, 8]);
    await first.commit();
    expect([await committedOf(one), await committedOf(other)]).toEqual([4, 8]);
  });

  it("an event of a consumer that was closed is refused: it comes again", async () => {
    const name = freshName();
    const consumer = topic.consumer({ name });
    const events = await eventsOf(consumer, 6);
    for (const event of events.slice(0, 2)) event.ack();
    const closing = consumer.close();
    const error = await errorOf("WEFT_CLOSED", () => events[2]?.ack());
    expect(error.message).toContain("event 0:2 of topic 'numbers'");
    await closing;
    await errorOf("WEFT_CLOSED", () => events[3]?.ack());
    await errorOf("WEFT_CLOSED", () => consumer.commit());
    expect(await committedOf(name)).toBe(2);
    await using next = topic.consumer({ name });
    expect((await eventsOf(next, 3)).map(({ metadata }) => metadata.n)).toEqual([2, 3, 4]);
  });

  it("passes over events of which nothing is wanted, but not over one before them", async () => {
    const name = freshName();
    await using consumer = topic.consumer({
      name,
      until: "end",
      ackEvery: 0,
      select: ({ n }) => (n === 5 || n === 9 ? metadataOnly : nothing),
    });
    const [five, nine] = await eventsOf(consumer, 2);
    await consumer.commit();
    expect(await committedOf(name)).toBe(5);
    nine?.ack();
    await consumer.commit();
    expect(await committedOf(name)).toBe(5);
    five?.ack();
    expect(await consumer.pull()).toEqual([]);
    await consumer.commit();
    expect(await committedOf(name)).toBe(eventCount);
  });

  it("is nothing to commit without a name", async () => {
    await using consumer = topic.consumer({ from: "earliest", ackEvery: { events: 1, ms: 1 } });
    for (const event of await eventsOf(consumer, 5)) event.ack();
    expect((await consumer.lag())[0]?.position).toBe(5);
    const before = commits();
    await errorOf("WEFT_INVALID_ARGUMENT", () => consumer.commit());
    expect(commits()).toBe(before);
  });
});

describe("ackEvery", () => {
  it("of a number commits behind so many events, and has no timer", async () => {
    const name = freshName();
    await using consumer = topic.consumer({ name, ackEvery: 20 });
    const events = await eventsOf(consumer);
    const timers = vi.spyOn(globalThis, "setTimeout");
    for (const event of events.slice(0, 19)) event.ack();
    const before = commits();
    events[19]?.ack();
    expect(timers).not.toHaveBeenCalled();
    timers.mockRestore();
    await until("the commit", () => commits() > before);
    await untilCommitted(name, 20);
  });

  it("of milliseconds commits so long after the first that is not committed: with one timer, which holds nobody", async () => {
    const name = freshName();
    const ms = 150;
    await using consumer = topic.consumer({ name, ackEvery: { events: 0, ms } });
    const events = await eventsOf(consumer);
    const before = commits();
    const timers = vi.spyOn(globalThis, "setTimeout");
    const begun = performance.now();
    for (const event of events.slice(0, 30)) event.ack();
    expect(timers).toHaveBeenCalledTimes(1);
    expect((timers.mock.results[0]?.value as NodeJS.Timeout).hasRef()).toBe(false);
    timers.mockRestore();
    await until("the commit", () => commits() > before);
    expect(performance.now() - begun).toBeGreaterThan(ms - 2);
    await untilCommitted(name, 30);
    expect(commits()).toBe(before + 1);
    // And again, with the next one.
    events[30]?.ack();
    await untilCommitted(name, 31);
  });

  it("of both commits with whichever comes first, and a commit by hand takes the timer's work", async () => {
    const name = freshName();
    await using consumer = topic.consumer({ name, ackEvery: { events: 10, ms: 2 ** 31 - 1 } });
    const events = await eventsOf(consumer);
    for (const event of events.slice(0, 10)) event.ack();
    await untilCommitted(name, 10);
    const timers = vi.spyOn(globalThis, "clearTimeout");
    events[10]?.ack();
    await consumer.commit();
    expect(timers).toHaveBeenCalled();
    expect(await committedOf(name)).toBe(11);
    // The count begins again with a commit by hand.
    for (const event of events.slice(11, 20)) event.ack();
    const before = commits();
    expect(await committedOf(name)).toBe(11);
    expect(commits()).toBe(before);
    events[20]?.ack();
    await untilCommitted(name, 21);
  });

  it.each<AckEvery>([{ events: 0, ms: 60_000 }, { ms: 60_000 }, { events: 50 }, {}])(
    "%o commits what is left at the end of an iteration and at close",
    async (ackEvery) => {
      const name = freshName();
      const consumer = topic.consumer({ name, ackEvery });
      let seen = 0;
      for await (const event of consumer) {
        event.ack();
        if (++seen === 3) break;
      }
      expect(await committedOf(name)).toBe(3);
      const [event] = await consumer.pull({ max: 1 });
      event?.ack();
      await consumer.close();
      expect(await committedOf(name)).toBe(4);
    },
  );

  it.each([0, { events: 0 }])("%o leaves it to commit()", async (ackEvery) => {
    const name = freshName();
    const consumer = topic.consumer({ name, ackEvery });
    for (const event of await eventsOf(consumer, 5)) event.ack();
    await consumer.close();
    expect(await committedOf(name)).toBe(0);
  });

  it("is told when it is nonsense", async () => {
    const bad: unknown[] = [
      ...[-1, 1.5, NaN, "5", null, true, []],
      ...[{ events: -1 }, { events: null }, { ms: 0 }, { ms: 2 ** 31 }, { ms: "5" }, { every: 5 }],
    ];
    for (const ackEvery of bad) {
      const options = { name: "x", ackEvery } as ConsumerOptions<Numbered>;
      const error = await errorOf("WEFT_INVALID_ARGUMENT", () => topic.consumer(options));
      expect(error.message).toContain("ackEvery");
    }
  });
});

describe("a consumer that comes back", () => {
  it("goes on behind what its name committed, also when the servers were started again in between", async () => {
    await using out = await (await place.job.createTopic<Numbered>("kept", { partitions: 3 })).producer();
    for (let n = 0; n < 90; n++) out.push({ n }, undefined, { partition: n % 3 });
    await out.flush();
    const seen: number[] = [];
    for (let round = 0; round < 3; round++) {
      const kept = await place.job.topic<Numbered>("kept");
      const consumer = kept.consumer({ name: "reader", until: "end", ackEvery: { events: 0, ms: 60_000 } });
      for (const event of await eventsOf(consumer, 30)) {
        seen.push(event.metadata.n);
        event.ack();
      }
      await consumer.close();
      await place.restart();
    }
    expect(seen.sort((a, b) => a - b)).toEqual(upTo(90));
    const kept = await place.job.topic<Numbered>("kept");
    await using last = kept.consumer({ name: "reader", until: "end" });
    expect(await last.pull()).toEqual([]);
    // Another name has all of them.
    await using other = kept.consumer({ name: "other", until: "end" });
    expect(await eventsOf(other, 90)).toHaveLength(90);
    topic = await place.job.topic<Numbered>("numbers");
  });

  it("after a kill -9 between acknowledging and the commit sees those again, and loses none", async () => {
    const work = new Workplace();
    try {
      const name = freshName();
      const [committed, acknowledged] = [17, 41];
      const arguments_ = [place.server.group, "numbers", name, `${committed}`, `${acknowledged}`];
      const reader = work.startProgram(process.execPath, [`${programs}/acknowledging-consumer.js`, ...arguments_]);
      await until("the acknowledgements", () => {
        if (reader.ended) throw new Error(`the reader ended: ${reader.words}`);
        return reader.output.includes("\n");
      });
      expect((await reader.end("SIGKILL")).signal).toBe("SIGKILL");
      const { seen } = JSON.parse(reader.output.toString()) as { seen: number[] };
      expect(seen).toEqual(upTo(acknowledged));
      expect(await committedOf(name)).toBe(committed);
      await using consumer = topic.consumer({ name, until: "end" });
      const again: number[] = [];
      for await (const event of consumer) again.push(event.metadata.n);
      expect(again).toEqual(upTo(eventCount, committed));
    } finally {
      await work.close();
    }
  });
});
