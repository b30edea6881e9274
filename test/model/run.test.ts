// Handlers and streams: consumer.run, consumer.toReadable, producer.toWritable.
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Event, type Topic, all } from "../../src/index.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly n: number;
}

let place: Place;
let topics = 0;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

async function filled(count: number): Promise<Topic<Numbered>> {
  const topic = await place.job.createTopic<Numbered>(`run-${topics++}`);
  await using out = await topic.producer();
  for (let n = 0; n < count; n++) {
    out.push({ n }, Float64Array.of(n, n + 0.5));
    if (n % 100 === 99) await out.ready();
  }
  await out.flush();
  return topic;
}
const upTo = (count: number, from = 0): number[] => Array.from({ length: count - from }, (_, index) => from + index);

describe("consumer.run", () => {
  it("handles every event once, so many at a time, with its data, and goes on where it was", async () => {
    const topic = await filled(250);
    const seen: number[] = [];
    let running = 0;
    let most = 0;
    const handler = async (event: Event<Numbered>): Promise<void> => {
      running++;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, event.metadata.n % 3));
      expect([...event.float64()]).toEqual([event.metadata.n, event.metadata.n + 0.5]);
      seen.push(event.metadata.n);
      running--;
    };
    await topic.consumer({ name: "all", until: "end", select: all }).run(handler, { concurrency: 8 });
    expect(seen.sort((a, b) => a - b)).toEqual(upTo(250));
    expect(most).toBe(8);
    await using out = await topic.producer();
    out.push({ n: 250 });
    await out.flush();
    await topic.consumer({ name: "all", until: "end" }).run(({ metadata }) => seen.push(metadata.n));
    expect(seen).toEqual(upTo(251));
  });

  it("that has a handler which fails says which event, acknowledges the others, and begins with it again", async () => {
    const topic = await filled(10);
    const consumer = topic.consumer({ name: "failing", until: "end" });
    const seen: number[] = [];
    const handler = ({ metadata: { n } }: Event<Numbered>): void => {
      if (n === 4) throw new RangeError("four");
      seen.push(n);
    };
    const error = await errorOf("WEFT_HANDLER", () => consumer.run(handler, { concurrency: 3 }));
    expect(error.message).toContain("event 0:4");
    expect(error.cause).toBeInstanceOf(RangeError);
    expect(seen).toEqual([0, 1, 2, 3, 5]);
    // The same consumer goes on behind it.
    await consumer.run(handler);
    expect(seen).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9]);
    await consumer.close();
    const again: number[] = [];
    await topic.consumer({ name: "failing", until: "end" }).run(({ metadata }) => again.push(metadata.n));
    expect(again).toEqual(upTo(10, 4));
  });

  it("ends with its signal, and says what is no handler or option", async () => {
    const topic = await filled(3);
    const consumer = topic.consumer({ from: "earliest" });
    const controller = new AbortController();
    let handled = 0;
    const running = consumer.run(
      () => {
        if (++handled === 3) controller.abort();
      },
      { signal: controller.signal },
    );
    await errorOf("WEFT_CANCELLED", () => running);
    await errorOf("WEFT_INVALID_ARGUMENT", () => consumer.run("x" as never));
    await errorOf("WEFT_INVALID_ARGUMENT", () => consumer.run(() => 0, { concurrency: 0 }));
    await errorOf("WEFT_INVALID_ARGUMENT", () => consumer.run(() => 0, { concurency: 2 } as never));
    await consumer.close();
  });
});

describe("streams", () => {
  it("take events into a topic and out of it, with their data, at the pace of the slower", async () => {
    const topic = await place.job.createTopic<Numbered>("streams", { storage: "memory" });
    const out = await topic.producer({ queueEvents: 8, batchEvents: 4, maxInFlight: 1 });
    const source = Readable.from(upTo(500).map((n) => ({ metadata: { n }, data: Float64Array.of(n) })));
    await pipeline(source, out.toWritable());
    expect(out.stored).toBe(500);
    await out.close();
    const seen: number[] = [];
    const consumer = topic.consumer({ from: "earliest", until: "end", select: all });
    const kept: Event<Numbered>[] = [];
    await pipeline(consumer.toReadable(), async (events: AsyncIterable<Event<Numbered>>) => {
      for await (const event of events) {
        if (event.metadata.n % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
        kept.push(event);
        seen.push(event.metadata.n);
      }
    });
    expect(seen).toEqual(upTo(500));
    // Long after the iteration: it is their own.
    expect(kept.map((event) => event.float64()[0])).toEqual(upTo(500));
    await consumer.close();
  });

  it("fail with what cannot be pushed, and leave the producer and the consumer open", async () => {
    const topic = await place.job.createTopic<unknown>("bad-streams");
    const out = await topic.producer();
    await errorOf("WEFT_METADATA_INVALID", () =>
      pipeline(Readable.from([{ metadata: 1 }, { metadata: undefined }]), out.toWritable()),
    );
    await errorOf("WEFT_INVALID_ARGUMENT", () => pipeline(Readable.from([{ meta: 1 }]), out.toWritable()));
    out.push(2);
    await out.close();
    const consumer = topic.consumer({ from: "earliest", until: "end" });
    for await (const event of consumer.toReadable()) {
      expect((event as Event).metadata).toBe(1);
      break;
    }
    expect((await consumer.pull({ timeoutMs: 0 })).map(({ metadata }) => metadata)).toEqual([2]);
    await consumer.close();
  });

  it("give back what they read ahead when they are ended", async () => {
    const topic = await filled(100);
    const consumer = topic.consumer({ name: "ahead", from: "earliest", until: "end", select: all });
    const seen: number[] = [];
    for (let round = 0; round < 5; round++) {
      for await (const event of consumer.toReadable() as AsyncIterable<Event<Numbered>>) {
        seen.push(event.metadata.n);
        event.ack();
        if (seen.length % 7 === 0) break;
      }
    }
    for await (const event of consumer) {
      expect(event.float64()[0]).toBe(event.metadata.n);
      seen.push(event.metadata.n);
      event.ack();
    }
    expect(seen).toEqual(upTo(100));
    await consumer.close();
    await using next = topic.consumer({ name: "ahead", until: "end" });
    expect(await next.pull({ timeoutMs: 0 })).toEqual([]);
  });
});
