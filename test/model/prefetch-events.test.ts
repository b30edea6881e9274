// Credits in events: a server sends no more events ahead than `prefetchEvents`, in each partition, whatever the metadata's
// bytes would allow; and all come, in order, also over a restart.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Consumer, type ConsumerOptions, type Topic } from "../../src/index.js";
import { until } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly n: number;
}
const partitionCount = 2;
const batchEvents = 10;
const eventCount = 2000;
/** Frames that a consumer takes out of its memory before their events are handed out. */
const framesInHandMax = 3;

let place: Place;
let topic: Topic<Numbered>;
beforeAll(async () => {
  place = await Place.open();
  topic = await place.job.createTopic<Numbered>("numbers", { partitions: partitionCount });
  await using out = await topic.producer({ batchEvents });
  for (let n = 0; n < eventCount; n++) {
    await out.ready();
    out.push({ n }, undefined, { partition: Math.floor(n / batchEvents) % 2 });
  }
  await out.flush();
});
afterAll(async () => {
  await place.close();
});

const sent = (): number => (place.server.counters() as { server: { eventsSent: number } }).server.eventsSent;
const open = async (options: ConsumerOptions<Numbered>): Promise<Consumer<Numbered>> =>
  await topic.consumer({ from: "earliest", until: "end", ...options }).open();

async function readAll(consumer: Consumer<Numbered>, each: (handedOut: number) => void = () => undefined) {
  const numbers: number[] = [];
  for await (const event of consumer) {
    numbers.push(event.metadata.n);
    each(numbers.length);
  }
  return numbers.sort((a, b) => a - b);
}
const everyNumber = Array.from({ length: eventCount }, (_, n) => n);

describe("prefetchEvents", () => {
  it.each([1, 7, 25, 100, 500])("of %i is how many events are sent ahead, and all come", async (prefetchEvents) => {
    // A batch of more events goes alone.
    const aheadMax = partitionCount * Math.max(prefetchEvents, batchEvents) + framesInHandMax * batchEvents;
    const before = sent();
    await using consumer = await open({ prefetchEvents });
    // Another one gets everything meanwhile: the server has had all the time that it needs.
    await using other = await open({});
    expect(await readAll(other)).toEqual(everyNumber);
    const ahead = sent() - before - eventCount;
    expect(ahead).toBeGreaterThan(0);
    expect(ahead).toBeLessThanOrEqual(aheadMax);
    const numbers = await readAll(consumer, (handedOut) => {
      expect(sent() - before - eventCount - handedOut).toBeLessThanOrEqual(aheadMax);
    });
    expect(numbers).toEqual(everyNumber);
    expect(sent() - before).toBe(2 * eventCount);
  });

  it("left out, is as much as fits: all of it is sent before the first is read", async () => {
    const before = sent();
    await using consumer = await open({});
    await until("all to be sent", () => sent() - before === eventCount);
    expect(await readAll(consumer)).toEqual(everyNumber);
  });

  it("holds over a restart of the servers, where the consumer that comes back begins in a batch", async () => {
    const options = { name: "restarted", prefetchEvents: 4 } as const;
    const first = topic.consumer({ from: "cursor", until: "end", ...options });
    const taken: number[] = [];
    for await (const event of first) {
      taken.push(event.metadata.n);
      event.ack();
      if (taken.length === 33) break;
    }
    await first.close();
    await place.restart();
    topic = await place.job.topic<Numbered>("numbers");
    const before = sent();
    await using second = topic.consumer({ from: "cursor", until: "end", ...options });
    const rest = await readAll(second);
    expect([...taken, ...rest].sort((a, b) => a - b)).toEqual(everyNumber);
    expect(sent() - before).toBe(eventCount - taken.length);
  });

  it("is told when it is nonsense", async () => {
    for (const bad of [0, -1, 1.5, 2 ** 31, "5", null, {}]) {
      const options = { prefetchEvents: bad } as ConsumerOptions<Numbered>;
      const error = await errorOf("WEFT_INVALID_ARGUMENT", () => topic.consumer(options));
      expect(error.message).toContain("prefetchEvents of consumer");
    }
  });
});
