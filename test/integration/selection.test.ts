// A hundredth of large events is wanted: by the counters of the server no more is read from storage than the blocks that it lies
// in, and no more is sent than was asked for; and it takes less time than all of them.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Job, type Selection, all, attach, box, range, serve, type Server, type Topic } from "../../src/index.js";
import { Workplace } from "./support/weftline.js";

const mebibyte = 1024 * 1024;
/** Of stored data: each has a checksum, so it is read whole. */
const blockBytes = 64 * 1024;
const eventBytes = 8 * mebibyte;
const wantedBytes = Math.floor(eventBytes / 100);
const eventCount = 32;

interface Used {
  readonly bytesRead: number;
  readonly bytesSent: number;
  readonly bytesWritten: number;
  readonly ms: number;
}

let place: Workplace;
let server: Server;
let job: Job;
let topic: Topic<{ step: number }>;
beforeAll(async () => {
  place = new Workplace();
  server = await serve({ data: place.path("weft"), signals: false });
  // Over the network, so that there is a transport whose bytes can be counted
  job = await attach(server.group, { transports: "tcp" });
  topic = await job.createTopic<{ step: number }>("field", { partitions: 1 });
  await using out = await topic.producer();
  const region = out.alloc(eventBytes);
  const words = region.float64();
  for (let step = 0; step < eventCount; step++) {
    for (let index = 0; index < words.length; index++) words[index] = step * words.length + index;
    out.push({ step }, region);
    await region.idle();
  }
  await out.flush();
}, 60_000);
afterAll(async () => {
  await job.close();
  await server.close();
  await place.close();
});

function counted(): Omit<Used, "ms"> {
  const { server: hosted, fabric } = server.counters() as Record<string, Record<string, number>>;
  const { tcp } = fabric?.["transports"] as unknown as Record<string, Record<string, number>>;
  return {
    bytesRead: hosted?.["dataBytesRead"] ?? NaN,
    bytesSent: hosted?.["dataBytesSent"] ?? NaN,
    bytesWritten: tcp?.["writeBytes"] ?? NaN,
  };
}

/** Reads the selection of every event; `check` looks at each. */
async function readAll(select: Selection, check: (values: Float64Array, step: number) => void): Promise<Used> {
  const before = counted();
  const begun = performance.now();
  await using consumer = topic.consumer({ from: "earliest", until: "end", select });
  let events = 0;
  for await (const event of consumer) {
    check(event.float64(), event.metadata.step);
    events++;
  }
  const ms = performance.now() - begun;
  expect(events).toBe(eventCount);
  const after = counted();
  return {
    bytesRead: after.bytesRead - before.bytesRead,
    bytesSent: after.bytesSent - before.bytesSent,
    bytesWritten: after.bytesWritten - before.bytesWritten,
    ms,
  };
}

const firstOf = (step: number): number => (step * eventBytes) / 8;
/** Frames of metadata go the same way. */
const metadataBytesMax = 64 * 1024;

describe("a hundredth of each event of 8 MiB", () => {
  const aligned = wantedBytes - (wantedBytes % 8);

  it("from its begin: that, and at most the rest of one block", async () => {
    const { bytesRead, bytesSent, bytesWritten } = await readAll(range(0, aligned), (values, step) => {
      expect(values).toHaveLength(aligned / 8);
      expect([values[0], values.at(-1)]).toEqual([firstOf(step), firstOf(step) + aligned / 8 - 1]);
    });
    expect(bytesSent).toBe(eventCount * aligned);
    expect(bytesRead).toBeLessThanOrEqual(eventCount * (wantedBytes + blockBytes));
    expect(bytesWritten).toBeLessThanOrEqual(eventCount * wantedBytes + metadataBytesMax);
  });

  it("from inside a block: that, and at most the rest of the first and the last one", async () => {
    const start = 4 * mebibyte + blockBytes - 5000;
    const { bytesRead, bytesSent } = await readAll(range(start, start + aligned), (values, step) => {
      expect(values[0]).toBe(firstOf(step) + start / 8);
    });
    expect(bytesSent).toBe(eventCount * aligned);
    expect(bytesRead).toBeLessThan(eventCount * (wantedBytes + 2 * blockBytes));
  });

  it("as a box of many rows: each block once, whatever the number of runs in it", async () => {
    const [rows, columns] = [102, 103];
    const corner = box({ shape: [1024, 1024], origin: [300, 200], size: [rows, columns], itemSize: 8 });
    const { bytesRead, bytesSent } = await readAll(corner, (values, step) => {
      expect(values).toHaveLength(rows * columns);
      expect(values[columns]).toBe(firstOf(step) + 301 * 1024 + 200);
    });
    expect(bytesSent).toBe(eventCount * rows * columns * 8);
    const spannedBytes = rows * 1024 * 8;
    expect(bytesRead).toBeLessThan(eventCount * (spannedBytes + 2 * blockBytes));
    expect(bytesRead).toBeLessThanOrEqual(eventCount * (bytesSent / eventCount + rows * blockBytes));
  });

  // All of them, 100 times the bytes, took 7 to 9 times as long: opening a consumer is most of what is left of the hundredth.
  it("takes less than half of the time that all takes", async () => {
    const look = (): void => undefined;
    const times = { part: Infinity, whole: Infinity };
    for (let round = 0; round < 5; round++) {
      times.part = Math.min(times.part, (await readAll(range(0, aligned), look)).ms);
      times.whole = Math.min(times.whole, (await readAll(all, look)).ms);
    }
    expect(times.part, JSON.stringify(times)).toBeLessThan(times.whole / 2);
  });
});
