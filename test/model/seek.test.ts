// Where a consumer begins and where it ends, and where it goes on from: offsets, times that have passed and times to come,
// while events are on their way and when there are none any more.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type Consumer,
  type ConsumeUntil,
  type Event,
  type SeekTo,
  type Topic,
  all,
  attach,
  isWeftError,
} from "../../src/index.js";
import { Workplace } from "../integration/support/weftline.js";
import { Place, errorOf, eventually } from "./support.js";

interface Numbered {
  readonly n: number;
}

let place: Place;
let topic: Topic<Numbered>;
/** When the second half began, by the server's clock. */
let half: bigint;
beforeAll(async () => {
  place = await Place.open();
  topic = await place.job.createTopic<Numbered>("halves", { partitions: 2 });
  await using out = await topic.producer({ batchEvents: 7 });
  const push = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) out.push({ n }, undefined, { partition: n % 2 });
    await out.flush();
  };
  await push(0, 40);
  await new Promise((resolve) => setTimeout(resolve, 20));
  half = BigInt(Date.now()) * 1_000_000n;
  await new Promise((resolve) => setTimeout(resolve, 20));
  await push(40, 100);
});
afterAll(async () => {
  await place.close();
});

async function numbers(consumer: Consumer<Numbered>): Promise<number[]> {
  const seen: number[] = [];
  for await (const { metadata } of consumer) seen.push(metadata.n);
  await consumer.close();
  return seen.sort((a, b) => a - b);
}
const upTo = (count: number, from = 0): number[] => Array.from({ length: count - from }, (_, index) => from + index);
const until = (end: ConsumeUntil): Promise<number[]> => numbers(topic.consumer({ from: "earliest", until: end }));

describe("a consumer", () => {
  it("ends before an offset of each partition", async () => {
    expect(await until({ offset: 10 })).toEqual(upTo(20));
    expect(await until({ offset: 0 })).toEqual([]);
    expect(await numbers(topic.consumer({ from: { offset: 5 }, until: { offset: 9 } }))).toEqual(upTo(18, 10));
    expect(await numbers(topic.consumer({ from: { offset: 9 }, until: { offset: 9 } }))).toEqual([]);
  });

  it("waits for an offset that is still to come", async () => {
    const later = await place.job.createTopic<Numbered>("later");
    const out = await later.producer();
    const waiting = numbers(later.consumer({ from: "earliest", until: { offset: 3 } }));
    for (let n = 0; n < 5; n++) {
      out.push({ n });
      await out.flush();
    }
    expect(await waiting).toEqual([0, 1, 2]);
    await out.close();
  });

  it("begins and ends at a time", async () => {
    expect(await until({ timeNs: half })).toEqual(upTo(40));
    expect(await until({ time: new Date(Number(half / 1_000_000n)) })).toEqual(upTo(40));
    expect(await until({ timeNs: 0n })).toEqual([]);
    expect(await until({ time: new Date() })).toEqual(upTo(100));
    expect(await numbers(topic.consumer({ from: { timeNs: half }, until: "end" }))).toEqual(upTo(100, 40));
  });

  it("ends by itself when a time has come, with what was appended until then", async () => {
    const live = await place.job.createTopic<Numbered>("live");
    const out = await live.producer();
    out.push({ n: 0 });
    await out.flush();
    const end = new Date(Date.now() + 400);
    const consumer = live.consumer({ from: "earliest", until: { time: end } });
    const waiting = numbers(consumer);
    out.push({ n: 1 });
    await out.flush();
    const begun = Date.now();
    expect(await waiting).toEqual([0, 1]);
    expect(Date.now()).toBeGreaterThanOrEqual(end.getTime());
    expect(Date.now() - begun).toBeLessThan(20_000);
    // An event behind the time ends it as well.
    const soon = new Date(Date.now() + 300);
    const second = numbers(live.consumer({ from: "earliest", until: { time: soon } }));
    while (Date.now() < soon.getTime() + 50) await new Promise((resolve) => setTimeout(resolve, 10));
    out.push({ n: 2 });
    await out.close();
    expect(await second).toEqual([0, 1]);
  });

  it("says what is no place", async () => {
    const bad: unknown[] = [
      { offset: -1 },
      { offset: 1.5 },
      { time: new Date(NaN) },
      { timeNs: -1n },
      {},
      3,
      null,
      "ende",
    ];
    for (const end of bad) {
      await errorOf("WEFT_INVALID_ARGUMENT", () => topic.consumer({ until: end as ConsumeUntil }));
      await errorOf("WEFT_INVALID_ARGUMENT", () => topic.consumer({ from: end as never }));
    }
  });
});

/** The next numbers, one by one. */
/** So many events: a pull gives what has arrived, which may be fewer. */
async function take(consumer: Consumer<Numbered>, count: number): Promise<Event<Numbered>[]> {
  const taken: Event<Numbered>[] = [];
  while (taken.length < count) {
    const events = await consumer.pull({ max: count - taken.length, timeoutMs: 30_000 });
    if (events.length === 0) throw new Error(`only ${taken.length} of ${count} events came`);
    taken.push(...events);
  }
  return taken;
}
async function next(consumer: Consumer<Numbered>, count: number): Promise<number[]> {
  return (await take(consumer, count)).map(({ metadata }) => metadata.n);
}

describe("seek", () => {
  // Of partition 0: the even numbers, the offset is half of it.
  const only = (consumer = topic.consumer({ from: "earliest", partitions: [0] })): Consumer<Numbered> => consumer;

  it("goes to the first event, behind the last, to an offset, an id or a time, again and again", async () => {
    await using consumer = only();
    expect(await next(consumer, 3)).toEqual([0, 2, 4]);
    const places: [SeekTo, number[]][] = [
      ["earliest", [0, 2]],
      [{ offset: 30 }, [60, 62, 64]],
      [{ partition: 0, offset: 7 }, [14, 16]],
      [{ timeNs: half }, [40, 42]],
      [{ time: new Date(Number(half / 1_000_000n)) }, [40]],
      [{ timeNs: 0n }, [0, 2, 4]],
      [{ offset: 49 }, [98]],
    ];
    for (const [to, numbersThen] of [...places, ...places.reverse()]) {
      await consumer.seek(to);
      expect(await next(consumer, numbersThen.length)).toEqual(numbersThen);
    }
    for (const end of ["latest", { offset: 50 }, { time: new Date() }] satisfies SeekTo[]) {
      await consumer.seek(end);
      expect(await consumer.pull({ timeoutMs: 50 })).toEqual([]);
    }
    await consumer.seek("earliest");
    const [event] = await consumer.pull({ max: 1 });
    if (event === undefined) throw new Error("no event came");
    await consumer.seek(event);
    expect(await next(consumer, 2)).toEqual([0, 2]);
  });

  it("may be the first thing that is asked of a consumer", async () => {
    await using consumer = topic.consumer({ partitions: [1] });
    await consumer.seek({ offset: 48 });
    expect(await next(consumer, 2)).toEqual([97, 99]);
  });

  it("moves some partitions, and the others go on where they were", async () => {
    await using consumer = topic.consumer({ from: { offset: 10 }, until: "end" });
    const seen: Record<number, number[]> = { 0: [], 1: [] };
    for (const { partition, metadata } of await consumer.pull({ max: 6 })) seen[partition]?.push(metadata.n);
    const before = seen[1]?.length ?? 0;
    await consumer.seek({ partition: 0, offset: 45 });
    const after: Record<number, number[]> = { 0: [], 1: [] };
    for await (const { partition, metadata } of consumer) after[partition]?.push(metadata.n);
    expect(after[0]).toEqual([90, 92, 94, 96, 98]);
    expect(after[1]).toEqual(upTo(40 - before).map((n) => 2 * (n + 10 + before) + 1));
    await consumer.seek("earliest", { partitions: [1] });
    expect((await numbers(consumer)).every((n) => n % 2 === 1)).toBe(true);
  });

  it("in the body of an iteration: what was sent ahead is dropped, and views of before end", async () => {
    const data = await place.job.createTopic<Numbered>("with-data");
    await using out = await data.producer({ batchEvents: 5 });
    for (let n = 0; n < 60; n++) out.push({ n }, new Uint8Array(30_000).fill(n));
    await out.flush();
    await using consumer = data.consumer({ from: "earliest", until: "end", select: all, slabs: 2, slabBytes: 100_000 });
    const seen: number[] = [];
    let view: Uint8Array | undefined;
    for await (const event of consumer) {
      const { n } = event.metadata;
      expect(event.data.every((byte) => byte === n)).toBe(true);
      seen.push(n);
      if (view === undefined) {
        view = event.data;
        await consumer.seek({ offset: 40 });
        expect(view.byteLength).toBe(0);
        expect(() => event.data).toThrow("WEFT_CLOSED");
        expect((await event.fetch(all)).every((byte) => byte === 0)).toBe(true);
      } else if (n === 44 && seen.length < 7) await consumer.seek({ offset: 42 });
    }
    expect(seen).toEqual([0, 40, 41, 42, 43, 44, ...upTo(60, 42)]);
    expect(consumer.ended).toBe(true);
    await consumer.seek({ offset: 58 });
    expect(consumer.ended).toBe(false);
    expect(await numbersOf(consumer)).toEqual([58, 59]);
  });

  it("with memory of the caller's gives back what was lent ahead", async () => {
    const region = place.job.alloc(30_000);
    const data = await place.job.topic<Numbered>("with-data");
    await using consumer = data.consumer({ from: "earliest", select: all, allocate: () => region });
    for (const offset of [20, 5, 59, 0]) {
      await consumer.seek({ offset });
      const [event] = await consumer.pull({ max: 1 });
      expect(event?.data.every((byte) => byte === offset)).toBe(true);
    }
    await consumer.seek("latest");
    await region.idle();
    await consumer.close();
    region.release();
  });

  it("beyond the end is refused with where that is, and nothing has moved", async () => {
    await using consumer = topic.consumer({ from: "earliest", until: { offset: 4 } });
    const [first] = await next(consumer, 1);
    for (const to of [{ offset: 51 }, { partition: 0, offset: 1e9 }, { offset: Number.MAX_SAFE_INTEGER }]) {
      const { message } = await errorOf("WEFT_TRUNCATED", () => consumer.seek(to));
      expect(message).toContain("continue at 50");
    }
    const uneven = await place.job.createTopic<Numbered>("uneven", { partitions: 2 });
    await using out = await uneven.producer();
    for (let n = 0; n < 5; n++) out.push({ n }, undefined, { partition: 0 });
    await out.flush();
    await using reader = uneven.consumer({ from: "earliest", until: "end" });
    expect(await next(reader, 2)).toEqual([0, 1]);
    await errorOf("WEFT_TRUNCATED", () => reader.seek({ offset: 1 }));
    expect(await next(reader, 3)).toEqual([2, 3, 4]);
    const rest = await numbers(consumer);
    expect([first, ...rest].sort((a = 0, b = 0) => a - b)).toEqual(upTo(8));
  });

  it("to what retention removed is refused with the first event there is, which can be read", async () => {
    const config = { segmentBytes: 1024 ** 2, retention: { bytes: 2 * 1024 ** 2 } };
    const kept = await place.job.createTopic<Numbered>("kept-short", config);
    await using out = await kept.producer({ batchEvents: 1 });
    const push = async (from: number, to: number): Promise<void> => {
      for (let n = from; n < to; n++) out.push({ n }, new Uint8Array(64 * 1024));
      await out.flush();
    };
    await push(0, 20);
    await using consumer = kept.consumer({ from: "earliest" });
    expect(await next(consumer, 1)).toEqual([0]);
    await push(20, 100);
    let first = 0;
    await eventually("the first events are gone", async () => (first = (await kept.partition(0)).firstOffset) > 20);
    const error = await errorOf("WEFT_OFFSET_GONE", () => consumer.seek({ offset: 3 }));
    const named = Number(/the first offset is (\d+)/.exec(error.message)?.[1]);
    expect(named).toBeGreaterThanOrEqual(first);
    expect(named).toBeLessThan(100);
    await consumer.seek({ offset: (await kept.partition(0)).firstOffset });
    const [event] = await consumer.pull({ max: 1 });
    expect(event?.metadata.n).toBe(event?.offset);
    await consumer.seek("earliest");
    expect((await consumer.pull({ max: 1 }))[0]?.offset).toBeGreaterThanOrEqual(first);
  });

  it("makes a partition go on whose stream had failed, or whose topic had ended", async () => {
    const sealed = await place.job.createTopic<Numbered>("sealed");
    await using out = await sealed.producer();
    for (let n = 0; n < 5; n++) out.push({ n });
    await out.flush();
    await place.job.sealTopic("sealed");
    await using consumer = sealed.consumer({ from: "earliest" });
    expect(await numbersOf(consumer)).toEqual(upTo(5));
    await consumer.seek({ offset: 2 });
    expect(await numbersOf(consumer)).toEqual([2, 3, 4]);
    await consumer.seek("latest");
    expect(await numbersOf(consumer)).toEqual([]);
  });

  it("counts what is done anew, and makes nothing durable by itself", async () => {
    const committed = async (): Promise<number | undefined> => {
      await using reader = topic.consumer({ name: "mover", partitions: [0], ackEvery: 0 });
      return (await reader.lag())[0]?.position;
    };
    const consumer = topic.consumer({ name: "mover", partitions: [0], from: "earliest" });
    const events = await take(consumer, 20);
    for (const event of events) event.ack();
    await consumer.commit();
    expect(await committed()).toBe(20);
    await consumer.seek({ offset: 5 });
    expect((await consumer.lag())[0]?.position).toBe(5);
    for await (const event of consumer) {
      expect(event.offset).toBe(5);
      break; // which commits what was acknowledged: nothing
    }
    expect(await committed()).toBe(20);
    await consumer.seek("cursor");
    expect(await next(consumer, 1)).toEqual([40]);
    await consumer.seek({ offset: 5 });
    // One of before is done wherever it is read again.
    events[6]?.ack();
    const [five] = await consumer.pull({ max: 1 });
    five?.ack();
    await consumer.commit();
    expect(await committed()).toBe(7);
    await consumer.seek({ offset: 30 });
    await consumer.commit();
    expect(await committed()).toBe(30);
    await consumer.seek("earliest");
    await consumer.close();
    expect(await committed()).toBe(30);
  });

  it("takes its turn, and can be given up; a close in the middle waits for it", async () => {
    const consumer = topic.consumer({ from: "earliest" });
    await consumer.open();
    await errorOf("WEFT_CANCELLED", () => consumer.seek("earliest", { signal: AbortSignal.abort() }));
    const stop = new AbortController();
    const given = errorOf("WEFT_CANCELLED", () => consumer.seek({ offset: 20 }, { signal: stop.signal }));
    const busy = [consumer.pull(), consumer.seek("latest"), consumer[Symbol.asyncIterator]().next()];
    for (const call of busy) await errorOf("WEFT_BUSY", () => call);
    stop.abort();
    await given;
    const end = Date.now() + 30_000;
    for (;;) {
      try {
        expect((await consumer.pull({ max: 1, timeoutMs: 30_000 }))[0]?.offset).toBe(20);
        break;
      } catch (error) {
        if (!isWeftError(error, "WEFT_BUSY") || Date.now() > end) throw error;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const seeking = consumer.seek("earliest").then(
      () => "done",
      (error: unknown) => (isWeftError(error) ? error.code : error),
    );
    await consumer.close();
    expect(["done", "WEFT_CLOSED"]).toContain(await seeking);
  });

  it("many times at once with other consumers, none loses or repeats an event", async () => {
    await Promise.all(
      Array.from({ length: 8 }, async (_, reader) => {
        await using consumer = topic.consumer({ from: "earliest", partitions: [reader % 2], prefetchEvents: 3 });
        for (let round = 0; round < 25; round++) {
          const offset = (round * 7 + reader * 3) % 45;
          await consumer.seek({ offset });
          expect(await next(consumer, 5)).toEqual(upTo(5).map((n) => 2 * (offset + n) + (reader % 2)));
        }
      }),
    );
  });

  it("says that a server is away, and goes on when it is back", async () => {
    const work = new Workplace();
    try {
      const server = await work.serve(["--data", "./weft"]);
      await using job = await attach(server.facts.group);
      const far = await job.createTopic<Numbered>("far");
      await using out = await far.producer();
      for (let n = 0; n < 10; n++) out.push({ n });
      await out.flush();
      await using consumer = far.consumer({ from: "earliest", until: "end" });
      expect(await next(consumer, 10)).toEqual(upTo(10));
      process.kill(server.facts.pid, "SIGKILL");
      await server.finished;
      await eventually("the client has noticed", async () => {
        try {
          await consumer.seek("earliest");
          return false;
        } catch (error) {
          if (isWeftError(error, "WEFT_PARTITION_UNAVAILABLE") || isWeftError(error, "WEFT_PEER_LOST")) return true;
          throw error;
        }
      });
      await work.serve(["--data", "./weft"]);
      await eventually("it can be read again", async () => {
        try {
          await consumer.seek({ offset: 7 });
          return true;
        } catch (error) {
          if (isWeftError(error) && error.canRetry) return false;
          throw error;
        }
      });
      expect(await next(consumer, 3)).toEqual([7, 8, 9]);
    } finally {
      await work.close();
    }
  });
});

async function numbersOf(consumer: Consumer<Numbered>): Promise<number[]> {
  const seen: number[] = [];
  for await (const { metadata } of consumer) seen.push(metadata.n);
  return seen;
}
