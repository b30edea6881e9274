// One event of more than 4 GiB from TypeScript, more than an ArrayBuffer can show: a list of segments of one region, stored
// on disk and read back by ranges, each compared, without ever being in memory as a whole. Takes 5 GB of disk.
import { statfsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { attach, range } from "../../src/index.js";
import { Workplace } from "../integration/support/weftline.js";

const segmentBytes = 64 * 1024 ** 2;
const segments = 65;
const tailBytes = 12_345;
const totalBytes = segments * segmentBytes + tailBytes;
const line = 2 ** 32;

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

function diskBytesFree(): number {
  const { bavail, bsize } = statfsSync(place.directory);
  return bavail * bsize;
}

describe.each(["tcp", "shm"])("over %s", (transports) => {
  it("an event of more than 4 GiB is read back by ranges", { timeout: 1_200_000 }, async ({ skip }) => {
    skip(diskBytesFree() < 2 * totalBytes, `needs ${2 * totalBytes} bytes of disk at ${place.directory}`);
    const { group } = (await place.serve(["--data", "./weft"])).facts;
    await using job = await attach(group, { transports });
    const topic = await job.createTopic<{ step: number }>("large");
    const region = job.alloc(segmentBytes);
    const words = new Uint32Array(region.bytes.buffer);
    for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1);
    const residentBytes = process.memoryUsage.rss();
    {
      await using out = await topic.producer();
      const whole = Array.from({ length: segments }, () => region);
      await out.push({ step: 0 }, [...whole, region.slice(0, tailBytes)]).wait();
    }

    await using consumer = topic.consumer({ until: "end" });
    const [event] = await consumer.pull();
    if (event === undefined) throw new Error("the event is not there");
    expect(event.dataLength).toBe(totalBytes);
    const into = new Uint8Array(segmentBytes);
    for (let i = 0; i < segments; i++) {
      const got = await event.fetch(range(i * segmentBytes, (i + 1) * segmentBytes), { into });
      expect([i, Buffer.compare(got, region.bytes)]).toEqual([i, 0]);
    }
    const tail = await event.fetch(range(segments * segmentBytes, totalBytes));
    expect(Buffer.compare(tail, region.bytes.subarray(0, tailBytes))).toBe(0);
    // Across the 4 GiB line, at odd places.
    const across = await event.fetch(range(line - 4097, line + 4094));
    const cut = (start: number, end: number): Uint8Array => region.bytes.subarray(start, end);
    expect(Buffer.compare(across, Buffer.concat([cut(segmentBytes - 4097, segmentBytes), cut(0, 4094)]))).toBe(0);
    // The buffers that were asked for and a little more: never a part of the event that grows with it.
    expect(process.memoryUsage.rss()).toBeLessThan(residentBytes + 512 * 1024 ** 2);
    await expect(event.fetch(range(totalBytes - 1, totalBytes + 1))).rejects.toMatchObject({
      code: "WEFT_SELECTION_OUTSIDE",
    });
  });
});
