// Where a consumer begins and where it ends: offsets, times that have passed and times to come.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Consumer, type ConsumeUntil, type Topic } from "../../src/index.js";
import { Place, errorOf } from "./support.js";

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
