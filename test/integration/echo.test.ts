// Echo: no server and no fabric, so that what is marshalled between JavaScript and native code is tried by itself, and
// programs can be tested without a job. A batch is checked as a server would, answered at once, and handed to the
// consumers of its topic in the same job.
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { isWeftError, type Job, join } from "../../src/index.js";

let job: Job;
beforeEach(async () => {
  job = await join({ echo: true, name: "echo" });
});
afterEach(() => job.close());

interface Step {
  step: number;
  text?: string;
}

describe("join({ echo: true })", () => {
  it("is a world of one without servers", async () => {
    expect([job.rank, job.size, job.serverCount, job.name, job.group]).toEqual([0, 1, 0, "echo", ""]);
    const topic = await job.topic("anything");
    expect([topic.name, topic.partitionCount, topic.serializer]).toEqual(["anything", 2, "json"]);
    expect((await job.topic("raw-bytes")).serializer).toBe("raw");
  });

  it("answers batches with ids, and hands out metadata and lengths of data as they were pushed", async () => {
    const topic = await job.topic<Step>("steps");
    await using consumer = await topic.consumer({ from: "earliest" }).open();
    await using out = await topic.producer({ batchEvents: 7 });
    const pushed = Array.from({ length: 500 }, (_, step) => ({ step, text: "é🙂".repeat(step % 50) }));
    const receipts = [];
    for (let index = 0; index < pushed.length; index++) {
      try {
        const data = index % 3 === 0 ? new Uint8Array(index * 100) : undefined;
        receipts.push(out.push(pushed[index] as Step, data, { partition: index % 2 }));
      } catch (error) {
        if (!isWeftError(error, "WEFT_BUSY")) throw error;
        await out.ready();
        index--;
      }
    }
    await out.flush();
    const ids = await Promise.all(receipts.map((receipt) => receipt.wait()));
    expect(ids.map(({ partition, offset }) => [partition, offset])).toEqual(
      pushed.map((_, index) => [index % 2, Math.floor(index / 2)]),
    );
    const seen: { step: Step; dataLength: number; at: number }[] = [];
    while (seen.length < pushed.length) {
      for (const event of await consumer.pull({ max: 64, timeoutMs: 10_000 })) {
        seen.push({ step: event.metadata, dataLength: event.dataLength, at: 2 * event.offset + event.partition });
      }
    }
    seen.sort((left, right) => left.at - right.at);
    expect(seen.map(({ step }) => step)).toEqual(pushed);
    expect(seen.map(({ dataLength }) => dataLength)).toEqual(
      pushed.map((_, index) => (index % 3 === 0 ? index * 100 : 0)),
    );
  });

  it("gives back raw metadata byte for byte", async () => {
    const topic = await job.topic<Uint8Array>("raw-bytes");
    await using consumer = await topic.consumer({ partitions: [1] }).open();
    await using out = await topic.producer();
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    out.push(bytes, undefined, { partition: 1 });
    out.push(new Uint8Array(0), undefined, { partition: 1 });
    await out.flush();
    const events = await consumer.pull({ timeoutMs: 10_000 });
    expect(events.map(({ metadata }) => [...metadata])).toEqual([[...bytes], []]);
  });

  it("counts, and has no server to ask", async () => {
    await using out = await (await job.topic<Step>("steps")).producer();
    await out.push({ step: 0 }).wait();
    expect(job.counters()).toMatchObject({ client: { batchesSent: 0 }, fabric: { peersUp: 0 } });
    // At once, not after the time limit.
    await expect(job.createTopic("steps")).rejects.toThrow(/WEFT_UNSUPPORTED: .*echo mode.*join without echo/);
  });
});
