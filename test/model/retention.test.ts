// Retention: events go by bytes, by time, and once named consumers have them; what is read stays; who asks for what is gone
// hears what there is.
import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Topic, type TopicConfig, all, isWeftError } from "../../src/index.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  n: number;
}
const mebibyte = 1024 ** 2;
const eventBytes = 64 * 1024;

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

async function fill(topic: Topic<Numbered>, from: number, count: number): Promise<void> {
  await using out = await topic.producer({ batchEvents: 1 });
  for (let n = from; n < from + count; n++) {
    for (;;) {
      try {
        out.push({ n }, new Uint8Array(eventBytes).fill(n % 251));
        break;
      } catch (error) {
        if (!isWeftError(error, "WEFT_BUSY")) throw error;
        await out.ready();
      }
    }
  }
  await out.flush();
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > endMs) throw new Error(`it did not come true that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits until the partition begins beyond an offset. */
async function firstBeyond(topic: Topic<Numbered>, offset: number): Promise<number> {
  let first = 0;
  await until(`${topic.name} begins beyond ${offset}`, async () => {
    first = (await topic.partition(0)).firstOffset;
    return first > offset;
  });
  return first;
}

function bytesOnDisk(name: string): number {
  const base = path.join(place.directory, "data", "topics", name, "0");
  return ["metadata", "data"]
    .flatMap((kind) => readdirSync(path.join(base, kind)).map((file) => path.join(base, kind, file)))
    .reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.blocks ?? 0) * 512, 0); // one may go meanwhile
}

const storages = [
  ["disk", { storage: "disk", segmentBytes: mebibyte }],
  ["memory", { storage: "memory", memoryDataBytes: 64 * mebibyte }],
] as const satisfies [string, TopicConfig][];

describe.each(storages)("storage %s", (storage, config) => {
  it("keeps so many bytes, and says what there is to who asks for more", async () => {
    const name = `bytes-${storage}`;
    const topic = await place.job.createTopic<Numbered>(name, { ...config, retention: { bytes: 4 * mebibyte } });
    await fill(topic, 0, 192); // 12 MiB
    const first = await firstBeyond(topic, 100);
    expect(first).toBeLessThan(192 - 40); // up to a segment more than it must keep, and never less
    if (storage === "disk") await until("the files are gone", () => bytesOnDisk(name) < 8 * mebibyte);
    const gone = await errorOf("WEFT_OFFSET_GONE", () =>
      topic.consumer({ from: { offset: 0 }, until: "end" }).pull({ timeoutMs: 10_000 }),
    );
    // Retention may go on after any of these looks at it: each sees at least what the one before saw.
    const said = Number(/(?:first offset is|continue at) (\d+)/u.exec(gone.message)?.[1]);
    expect(said, gone.message).toBeGreaterThanOrEqual(first);
    const read: number[] = [];
    for await (const event of topic.consumer({ from: "earliest", until: "end", select: all })) {
      read.push(event.metadata.n);
      expect(event.data.every((byte) => byte === event.metadata.n % 251)).toBe(true);
    }
    const from = read[0] ?? -1;
    expect(from).toBeGreaterThanOrEqual(said);
    expect(from).toBeLessThan(192 - 40);
    expect(read).toEqual(Array.from({ length: 192 - from }, (_, at) => from + at));
  });

  it("keeps what was appended a short time ago", async () => {
    const topic = await place.job.createTopic<Numbered>(`age-${storage}`, { ...config, retention: { ageMs: 800 } });
    await fill(topic, 0, 40);
    if (storage === "disk") await fill(topic, 40, 16); // whatever is written at the moment stays
    await firstBeyond(topic, storage === "disk" ? 16 : 39);
  });

  it("keeps what one of the named consumers has not committed, and nothing more", async () => {
    const name = `consumed-${storage}`;
    const retention = { consumedBy: ["plots", "archive"] };
    const topic = await place.job.createTopic<Numbered>(name, { ...config, retention });
    await fill(topic, 0, 96);
    const consume = async (consumer: string, count: number): Promise<void> => {
      await using reader = topic.consumer({ name: consumer });
      let left = count;
      while (left > 0) {
        for (const event of await reader.pull({ max: left })) {
          event.ack();
          left--;
        }
      }
      await reader.commit();
    };
    await consume("plots", 96);
    await consume("archive", 48);
    const first = await firstBeyond(topic, 16);
    expect(first).toBeLessThanOrEqual(48);
    await consume("archive", 48);
    await firstBeyond(topic, first + 16);
    expect((await topic.partition(0)).visibleEnd).toBe(96);
  });
});

it("a full memory partition makes its producers wait for its consumers", async () => {
  const topic = await place.job.createTopic<Numbered>("staged", {
    storage: "memory",
    memoryDataBytes: 2 * mebibyte,
    retention: { consumedBy: ["reader"] },
    producers: 1,
  });
  const count = 400; // 25 MiB through 2 MiB
  const producing = (async () => {
    await using out = await topic.producer({ name: "writer", batchEvents: 4 });
    for (let n = 0; n < count; n++) {
      while (out.queued > 16) await out.ready();
      out.push({ n }, new Uint8Array(eventBytes).fill(n % 251));
    }
    await out.flush();
  })();
  const read: number[] = [];
  const consumer = topic.consumer({ name: "reader", select: all, ackEvery: 4, signal: AbortSignal.timeout(60_000) });
  for await (const event of consumer) {
    read.push(event.metadata.n);
    expect(event.data.every((byte) => byte === event.metadata.n % 251)).toBe(true);
    event.ack();
  }
  await producing;
  expect(read).toEqual(Array.from({ length: count }, (_, n) => n));
  await consumer.close();
});

it("one that reads while events go gets each event whole, or an error that says they are gone", async () => {
  const topic = await place.job.createTopic<Numbered>("moving", {
    segmentBytes: mebibyte,
    retention: { bytes: 2 * mebibyte },
    producers: 1,
  });
  const producing = (async () => {
    await using out = await topic.producer({ name: "writer", batchEvents: 4 });
    for (let n = 0; n < 600; n++) {
      while (out.queued > 16) await out.ready();
      out.push({ n }, new Uint8Array(eventBytes).fill(n % 251));
    }
    await out.flush();
  })();
  const consumer = topic.consumer({ from: "earliest", select: all, signal: AbortSignal.timeout(60_000) });
  let last = -1;
  try {
    for await (const event of consumer) {
      expect(event.metadata.n).toBe(last + 1);
      last = event.metadata.n;
      const { data } = event;
      expect(data.every((byte) => byte === last % 251)).toBe(true);
    }
    expect(last).toBe(599);
  } catch (error) {
    if (!isWeftError(error, "WEFT_OFFSET_GONE")) throw error;
  }
  await producing;
  await consumer.close();
});

it("stays as it is over a restart, and can be changed", async () => {
  const topic = await place.job.createTopic<Numbered>("changed", { segmentBytes: mebibyte });
  await fill(topic, 0, 96);
  expect((await topic.partition(0)).firstOffset).toBe(0);
  await place.job.alterTopic("changed", { retention: { bytes: "2 MiB" } });
  await firstBeyond(topic, 16);
  await place.restart();
  const again = await place.job.topic<Numbered>("changed");
  expect(again.description.retention).toEqual({ bytes: 2 * mebibyte });
  const { firstOffset } = await again.partition(0);
  await fill(again, 96, 64);
  await firstBeyond(again, firstOffset);
  await place.job.alterTopic("changed", { retention: null });
  expect((await place.job.topic("changed")).description.retention).toBeUndefined();
});
