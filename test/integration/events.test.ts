// The TypeScript API against a server in a process of its own: what is pushed is what is consumed, whole or in part.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { all, attach, box, metadataOnly, nothing, range, ranges } from "../../src/index.js";
import type { Event, Job, Topic } from "../../src/index.js";
import { until, Workplace } from "./support/weftline.js";

let place: Workplace;
let group: string;
let job: Job;
let topicNumber = 0;

beforeAll(async () => {
  place = new Workplace();
  group = (await place.serve(["--data", "./weft"])).facts.group;
});
afterAll(() => place.close());
beforeEach(async () => {
  job = await attach(group);
});
afterEach(() => job.close());

interface Step {
  step: number;
  text?: string;
}

async function freshTopic<Metadata = Step>(config: Parameters<Job["createTopic"]>[1] = {}): Promise<Topic<Metadata>> {
  return await job.createTopic<Metadata>(`topic-${topicNumber++}`, config);
}

/** `count` events of metadata only. */
async function fill(topic: Topic<Step>, count: number): Promise<void> {
  await using out = await topic.producer();
  for (let step = 0; step < count; step++) out.push({ step });
  await out.flush();
}

function field(values: number, seed: number): Float64Array {
  return Float64Array.from({ length: values }, (_, index) => seed * 1e6 + index);
}

describe("push and consume", () => {
  it("gives back JSON metadata of any alphabet, in order, with ids", async () => {
    const topic = await freshTopic();
    const texts = ["plain", "é", "日本語", "🙂", "", '"quoted\\"', "x".repeat(5000)];
    await using out = await topic.producer();
    const receipts = texts.map((text, step) => out.push({ step, text }));
    await out.flush();
    const ids = await Promise.all(receipts.map((receipt) => receipt.wait()));
    expect(ids.map(({ offset }) => offset)).toEqual(texts.map((_, index) => index));
    expect(receipts.every((receipt) => receipt.completed)).toBe(true);
    const seen: string[] = [];
    for await (const event of topic.consumer({ until: "end" })) {
      seen.push(event.metadata.text ?? "");
      expect(event.metadataText).toBe(JSON.stringify(event.metadata));
      expect(Math.abs(Number(event.timeNs / 1_000_000n) - Date.now())).toBeLessThan(120_000);
      expect(event.appendTimeNs).toBeGreaterThan(0n);
    }
    expect(seen).toEqual(texts);
  });

  it("gives back long JSON metadata of any alphabet", async () => {
    const topic = await freshTopic();
    const texts = ["é", "日本語", "🙂", "plain"].map((text) => text.repeat(2000));
    await using out = await topic.producer({ lingerMs: 1000 });
    for (const [step, text] of texts.entries()) out.push({ step, text });
    await out.flush();
    const seen: string[] = [];
    for await (const event of topic.consumer({ until: "end" })) {
      seen.push(event.metadata.text ?? "");
      expect(event.metadataText).toBe(JSON.stringify(event.metadata));
      expect(Buffer.from(event.metadataBytes).toString()).toBe(event.metadataText);
    }
    expect(seen).toEqual(texts);
  });

  it("gives back raw metadata byte for byte", async () => {
    const topic = await freshTopic<Uint8Array>({ serializer: "raw" });
    const all256 = Uint8Array.from({ length: 256 }, (_, index) => index);
    await using out = await topic.producer();
    out.push(all256);
    out.push(new Uint8Array(0));
    out.push(Buffer.from("text"));
    await out.flush();
    const events = await topic.consumer({ until: "end" }).pull();
    expect(events.map(({ metadata }) => [...metadata])).toEqual([[...all256], [], [...Buffer.from("text")]]);
  });

  it("spreads many events over partitions and loses none", async () => {
    const topic = await freshTopic({ partitions: 3 });
    const count = 20_000;
    await using out = await topic.producer();
    for (let step = 0; step < count; step++) {
      try {
        out.push({ step });
      } catch (error) {
        expect(error).toMatchObject({ code: "WEFT_BUSY", canRetry: true });
        await out.ready();
        step--;
      }
    }
    await out.flush();
    const seen = new Set<number>();
    const partitions = new Set<number>();
    for await (const events of topic.consumer({ until: "end" }).batches()) {
      for (const event of events) {
        seen.add(event.metadata.step);
        partitions.add(event.partition);
      }
    }
    expect([seen.size, partitions.size]).toEqual([count, 3]);
  });

  it("sends an event alone without a flush, as soon as the line is free", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer();
    expect(await out.push({ step: 1 }).wait()).toMatchObject({ partition: 0, offset: 0 });
  });

  it("sends events of one key to one partition, and those of a named one there", async () => {
    const topic = await freshTopic({ partitions: 4 });
    await using out = await topic.producer();
    const ofKey = await Promise.all([1, 2, 3].map((step) => out.push({ step }, undefined, { key: "alpha" }).wait()));
    expect(new Set(ofKey.map(({ partition }) => partition)).size).toBe(1);
    expect((await out.push({ step: 4 }, undefined, { partition: 2 }).wait()).partition).toBe(2);
    expect(() => out.push({ step: 5 }, undefined, { partition: 4 })).toThrow(/WEFT_PARTITION_RANGE.*0 to 3/);
  });
});

describe("an event that cannot be taken", () => {
  it("is refused with its reason, and the others are stored", async () => {
    const topic = await freshTopic<unknown>();
    await using out = await topic.producer();
    out.push({ step: 0 });
    expect(() => out.push({ big: 1n })).toThrow(/WEFT_METADATA_INVALID/);
    expect(() => out.push(undefined)).toThrow(/WEFT_METADATA_INVALID/);
    expect(() => out.push({ text: "x".repeat(2 ** 20) })).toThrow(/WEFT_EVENT_TOO_LARGE/);
    expect(() => out.push({}, "text" as never)).toThrow(/WEFT_INVALID_ARGUMENT/);
    out.push({ step: 1 });
    await out.flush();
    const events = await topic.consumer({ until: "end" }).pull();
    expect(events.map(({ metadata }) => metadata)).toEqual([{ step: 0 }, { step: 1 }]);
  });

  it("is refused by the producer's validator", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer({ validate: ({ step }) => step >= 0 || "step is negative" });
    expect(() => out.push({ step: -1 })).toThrow(/WEFT_VALIDATOR_REJECTED: .*step is negative/);
  });

  it("is refused when it is larger than a memory partition takes", async () => {
    const topic = await freshTopic({ storage: "memory", memoryDataBytes: 1024 * 1024 });
    await using out = await topic.producer();
    expect(() => out.push({ step: 1 }, new Uint8Array(2 * 1024 * 1024))).toThrow(/WEFT_EVENT_TOO_LARGE/);
    expect((await out.push({ step: 2 }, new Uint8Array(1024)).wait()).offset).toBe(0);
  });
});

describe("a signal", () => {
  it("of a consumer ends an iteration that waits; nothing is lost by it", async () => {
    const topic = await freshTopic();
    await fill(topic, 3);
    const controller = new AbortController();
    const steps: number[] = [];
    const reading = async (consumer: AsyncIterable<Event<Step>>): Promise<void> => {
      for await (const event of consumer) {
        steps.push(event.metadata.step);
        if (steps.length === 3) setImmediate(() => controller.abort());
        event.ack();
      }
    };
    await using consumer = topic.consumer({ name: "stopped", signal: controller.signal });
    await expect(reading(consumer)).rejects.toMatchObject({ code: "WEFT_CANCELLED" });
    await expect(reading(consumer)).rejects.toMatchObject({ code: "WEFT_CANCELLED" });
    await expect(consumer.pull()).rejects.toMatchObject({ code: "WEFT_CANCELLED" });
    expect(steps).toEqual([0, 1, 2]);
    await consumer.close();
    await fill(topic, 1);
    const [next] = await topic.consumer({ name: "stopped" }).pull();
    expect(next?.offset).toBe(3);
  });

  it("ends the waiting for a close, not the close", async () => {
    const other = await attach(group);
    const topic = await other.topic((await freshTopic()).name);
    const out = await topic.producer();
    const receipt = out.push({ step: 0 });
    const consumer = await topic.consumer().open();
    const signal = AbortSignal.abort();
    for (const one of [out, consumer, other]) {
      await expect(one.close({ signal })).rejects.toMatchObject({ code: "WEFT_CANCELLED" });
      await one.close();
    }
    expect(receipt.completed).toBe(true);
    await expect(other.listTopics()).rejects.toMatchObject({ code: "WEFT_CLOSED" });
  });
});

describe("data", () => {
  const sizes = [0, 1, 63, 64, 65, 16 * 1024, 16 * 1024 + 1, 300_000, 3_000_000];

  it("of every size arrives whole, copied or referenced, from buffers, regions and lists", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer();
    const sent: Uint8Array[] = [];
    for (const size of sizes) {
      const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 7 + size) % 251);
      out.push({ step: sent.length }, bytes);
      sent.push(bytes);
    }
    const region = out.alloc(100_000);
    region.bytes.set(Uint8Array.from({ length: 100_000 }, (_, index) => index % 253));
    out.push({ step: sent.length }, region.slice(10, 90_010));
    sent.push(region.bytes.slice(10, 90_010));
    const pieces = [new Uint8Array([1, 2, 3]), new Uint8Array(40_000).fill(9), region.slice(0, 5), Buffer.from("end")];
    out.push({ step: sent.length }, pieces);
    sent.push(Buffer.concat(pieces.map((piece) => ("region" in piece ? region.bytes.slice(0, 5) : piece))));
    await out.flush();
    await using consumer = topic.consumer({ until: "end", select: all });
    let count = 0;
    for await (const event of consumer) {
      const expected = sent[event.metadata.step] ?? new Uint8Array(0);
      expect(event.dataLength).toBe(expected.byteLength);
      expect(Buffer.compare(event.data, expected)).toBe(0);
      count++;
    }
    expect(count).toBe(sent.length);
    region.release();
    expect(region.bytes.byteLength).toBe(0);
  });

  it("that does not fit one buffer is refused with what to do, and is read by ranges", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer();
    expect(() => out.alloc(2 ** 33)).toThrow(/WEFT_BUFFER_TOO_LARGE/);
    await out.push({ step: 0 }, field(1000, 0)).wait();
    await using consumer = topic.consumer({ until: "end", select: all, eventBytesMax: 4000 });
    const [event] = await consumer.pull();
    expect(event?.dataLength).toBe(8000);
    expect(() => event?.data).toThrow(/WEFT_BUFFER_TOO_LARGE: .*8000 bytes of event 0:0/);
    await expect(event?.fetch(all)).rejects.toMatchObject({ code: "WEFT_BUFFER_TOO_LARGE" });
    const halves = [await event?.fetch(range(0, 4000)), await event?.fetch(range(4000, 8000))];
    expect(halves.map((half) => half?.byteLength)).toEqual([4000, 4000]);
  });

  it("of many small segments is joined into one event", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer();
    const segments = Array.from({ length: 2000 }, (_, index) => new Uint8Array([index % 256, index >> 8]));
    await out.push({ step: 0 }, segments).wait();
    const [event] = await topic.consumer({ until: "end", select: all }).pull();
    expect(Buffer.compare(event?.data ?? new Uint8Array(0), Buffer.concat(segments))).toBe(0);
  });

  it("of a region may change once it is idle", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer();
    const values = new Float64Array(10_000);
    const region = out.register(values);
    for (let step = 0; step < 5; step++) {
      values.fill(step);
      out.push({ step }, region);
      expect(region.busy).toBe(true);
      expect(() => region.release()).toThrow(/WEFT_BUSY/);
      await region.idle();
    }
    await out.flush();
    for await (const event of topic.consumer({ until: "end", select: all })) {
      expect(event.float64().every((value) => value === event.metadata.step)).toBe(true);
    }
  });

  it("is selected by box, range and ranges; nothing passes an event over", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer();
    for (let step = 0; step < 40; step++) out.push({ step }, field(64 * 64, step));
    await out.flush();
    const corner = box({ shape: [64, 64], origin: [2, 3], size: [4, 5], itemSize: 8 });
    await using consumer = topic.consumer({
      until: "end",
      select: ({ step }) =>
        step % 10 === 0 ? corner : step % 10 === 1 ? range(8, 24) : step % 10 === 2 ? metadataOnly : nothing,
    });
    const steps: number[] = [];
    for await (const event of consumer) {
      const { step } = event.metadata;
      steps.push(step);
      const values = [...event.float64()].map((value) => value - step * 1e6);
      const expected = [0, 1, 2, 3].flatMap((row) => [0, 1, 2, 3, 4].map((column) => (row + 2) * 64 + column + 3));
      expect(values).toEqual(step % 10 === 0 ? expected : step % 10 === 1 ? [1, 2] : []);
      if (step % 10 === 2) {
        const bytes = await event.fetch(
          ranges([
            [0, 8],
            [32_760, 32_768],
          ]),
        );
        expect([...new Float64Array(bytes.buffer)]).toEqual([step * 1e6, step * 1e6 + 4095]);
      }
    }
    expect(steps).toEqual([0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32]);
  });

  it("goes into the caller's memory", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer();
    for (let step = 0; step < 3; step++) out.push({ step }, field(1000, step));
    await out.flush();
    const memory = new Float64Array(3000);
    await using consumer = topic.consumer({
      until: "end",
      select: ({ step }) => all.into(memory.subarray(step * 1000, step * 1000 + 1000)),
    });
    for await (const event of consumer) expect(event.data.buffer).toBe(memory.buffer);
    expect([...memory]).toEqual([0, 1, 2].flatMap((step) => [...field(1000, step)]));
    const again = new Float64Array(1000);
    const [first] = await topic.consumer({ until: "end" }).pull({ max: 1 });
    await first?.fetch(all, { into: again });
    expect([...again]).toEqual([...field(1000, 0)]);
  });

  it("that was not selected within the event is the event's own error; the next ones are not disturbed", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer();
    out.push({ step: 0 }, new Uint8Array(10));
    out.push({ step: 1 }, new Uint8Array(20).fill(1));
    await out.flush();
    const [short, long] = await topic.consumer({ until: "end", select: range(0, 20) }).pull();
    expect(() => short?.data).toThrow(/WEFT_SELECTION_OUTSIDE: .*event 0:0, whose data has 10 bytes/);
    expect(long?.data.byteLength).toBe(20);
    await expect(short?.fetch(range(5, 11))).rejects.toMatchObject({ code: "WEFT_SELECTION_OUTSIDE" });
    expect((await short?.fetch(range(5, 10)))?.byteLength).toBe(5);
  });

  it("larger than a slab gets memory of its own; slabs are reused, and old views end", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer();
    for (let step = 0; step < 30; step++) out.push({ step }, field(step === 15 ? 20_000 : 1000, step));
    await out.flush();
    await using consumer = topic.consumer({ until: "end", select: all, slabBytes: 20_000, slabs: 2 });
    let before: { event: Event<Step>; view: Uint8Array; copy: Uint8Array } | undefined;
    let ended = 0;
    for await (const event of consumer) {
      const { step } = event.metadata;
      expect(event.float64()[1]).toBe(step * 1e6 + 1);
      if (before !== undefined && before.view.byteLength === 0) {
        ended++;
        const { event: old } = before;
        expect(() => old.data).toThrow(/WEFT_CLOSED.*released/);
        expect(before.copy.byteLength).toBeGreaterThan(0);
      }
      before = { event, view: event.data, copy: event.copy() };
    }
    expect(ended).toBeGreaterThan(5);
  });
});

describe("pull", () => {
  it("that timed out or was aborted loses nothing", async () => {
    const topic = await freshTopic();
    await using consumer = topic.consumer({ from: "earliest" });
    expect(await consumer.pull({ timeoutMs: 0 })).toEqual([]);
    expect(await consumer.pull({ timeoutMs: 20 })).toEqual([]);
    const controller = new AbortController();
    const aborted = consumer.pull({ signal: controller.signal });
    await expect(consumer.pull()).rejects.toMatchObject({ code: "WEFT_BUSY" });
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: "WEFT_CANCELLED" });
    const filling = fill(topic, 1000);
    const steps: number[] = [];
    while (steps.length < 1000) {
      for (const event of await consumer.pull({ max: 7, timeoutMs: 1 })) steps.push(event.metadata.step);
    }
    await filling;
    expect(steps).toEqual(Array.from({ length: 1000 }, (_, index) => index));
  });

  it("and every other wait may be longer than the timers of Node, which end at 2^31 ms", async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on("warning", warned);
    const timeoutMs = 2 ** 31 + 5;
    await using patient = await attach(group, { timeoutMs, deliveryTimeoutMs: timeoutMs });
    const topic = await patient.createTopic<Step>(`topic-${topicNumber++}`, {}, { timeoutMs });
    await using consumer = topic.consumer({ from: "earliest" });
    await using out = await topic.producer();
    let pending = true;
    const pulled = consumer.pull({ timeoutMs }).finally(() => (pending = false));
    // Were the time cut to its lower bits it would be over before the server answered this.
    await patient.control(0, { op: "status" }, { timeoutMs: Number.MAX_SAFE_INTEGER });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(pending).toBe(true);
    await out.push({ step: 7 }).wait();
    expect((await pulled).map(({ metadata }) => metadata.step)).toEqual([7]);
    process.removeListener("warning", warned);
    expect(warnings).toEqual([]);
  });

  it("and iteration take turns, a break between them loses nothing", async () => {
    const topic = await freshTopic();
    await fill(topic, 300);
    await using consumer = topic.consumer({ until: "end" });
    const steps: number[] = [];
    for await (const event of consumer) {
      steps.push(event.metadata.step);
      if (steps.length === 50) break;
    }
    for (const event of await consumer.pull({ max: 60 })) steps.push(event.metadata.step);
    for await (const event of consumer) steps.push(event.metadata.step);
    expect(steps).toEqual(Array.from({ length: 300 }, (_, index) => index));
    expect(consumer.ended).toBe(true);
    expect(await consumer.pull()).toEqual([]);
  });

  it("begins where it is told", async () => {
    const topic = await freshTopic();
    await fill(topic, 10);
    const between = BigInt(Date.now()) * 1_000_000n + 1_000_000n;
    await until("the clock passes on", () => BigInt(Date.now()) * 1_000_000n > between);
    await fill(topic, 5);
    const first = async (from: Parameters<typeof topic.consumer>[0]): Promise<number | undefined> => {
      await using consumer = topic.consumer({ ...from, until: "end" });
      return (await consumer.pull({ max: 1 }))[0]?.offset;
    };
    expect(await first({ from: { offset: 7 } })).toBe(7);
    expect(await first({ from: { timeNs: between } })).toBe(10);
    expect(await first({ from: "earliest" })).toBe(0);
    expect(await first({ from: "latest" })).toBeUndefined();
  });
});

describe("acknowledging", () => {
  it("moves the committed position over events without a gap", async () => {
    const topic = await freshTopic();
    await fill(topic, 20);
    {
      await using consumer = topic.consumer({ name: "reader", ackEvery: 0 });
      const events = await consumer.pull({ max: 20 });
      for (const event of events) if (event.offset < 5 || event.offset === 8) event.ack();
      await consumer.commit();
      expect(await consumer.lag()).toEqual([{ partition: 0, position: 5, visibleEnd: 20, events: 15 }]);
      for (const event of events) event.ack(); // not committed
    }
    {
      await using consumer = topic.consumer({ name: "reader", ackEvery: 0 });
      expect((await consumer.pull({ max: 1 }))[0]?.offset).toBe(5);
    }
    await expect(topic.consumer().commit()).rejects.toMatchObject({ code: "WEFT_INVALID_ARGUMENT" });
  });

  it("commits by itself at the end of an iteration and at close", async () => {
    const topic = await freshTopic();
    await fill(topic, 20);
    const read = async (stopAt: number): Promise<number[]> => {
      const offsets: number[] = [];
      await using consumer = topic.consumer({ name: "reader", until: "end" });
      for await (const event of consumer) {
        offsets.push(event.offset);
        event.ack();
        if (event.offset === stopAt) break;
      }
      return offsets;
    };
    expect(await read(6)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect((await read(19))[0]).toBe(7);
    expect(await read(19)).toEqual([]);
  });

  it("survives a restart of the server on other ports", async () => {
    const other = new Workplace();
    try {
      const first = await other.serve(["--data", "./weft"]);
      const before = await attach(first.facts.group);
      const topic = await before.createTopic<Step>("kept");
      await fill(topic, 30);
      const consumer = topic.consumer({ name: "reader" });
      for (const event of await consumer.pull({ max: 12 })) event.ack();
      await consumer.commit();
      await before.close();
      await first.end("SIGTERM");
      const second = await other.serve(["--data", "./weft"]);
      const after = await attach(second.facts.group);
      const reader = (await after.topic<Step>("kept")).consumer({ name: "reader", until: "end" });
      expect((await reader.pull()).map(({ metadata }) => metadata.step)).toEqual(
        Array.from({ length: 18 }, (_, index) => index + 12),
      );
      await after.close();
    } finally {
      await other.close();
    }
  });
});

describe("topics", () => {
  it("are created, listed, described; unknown and repeated names are named", async () => {
    const topic = await freshTopic({ partitions: 2, durability: "synced" });
    expect((await job.describeTopic(topic.name)).durability).toBe("synced");
    expect((await job.listTopics()).map(({ name }) => name)).toContain(topic.name);
    expect((await job.createTopic(topic.name, { partitions: 2 }, { ifExists: "open" })).partitionCount).toBe(2);
    await expect(job.createTopic(topic.name)).rejects.toMatchObject({ code: "WEFT_TOPIC_EXISTS" });
    await expect(job.topic("no-such-topic")).rejects.toMatchObject({ code: "WEFT_TOPIC_UNKNOWN" });
    await fill(topic, 4);
    expect(await topic.partition(0)).toMatchObject({ firstOffset: 0, visibleEnd: 2 });
  });
});

describe("a signal", () => {
  it("that is aborted stops every call before it begins, and waits when it comes", async () => {
    const topic = await freshTopic();
    await using out = await topic.producer();
    await using consumer = topic.consumer({ name: "reader" });
    const signal = AbortSignal.abort(new Error("why"));
    const cancelled = { code: "WEFT_CANCELLED" };
    await expect(attach(group, { signal })).rejects.toMatchObject(cancelled);
    await expect(job.topic(topic.name, { signal })).rejects.toMatchObject(cancelled);
    await expect(topic.producer({ signal })).rejects.toMatchObject(cancelled);
    await expect(out.flush({ signal })).rejects.toMatchObject(cancelled);
    await expect(consumer.pull({ signal })).rejects.toMatchObject(cancelled);
    await expect(consumer.commit({ signal })).rejects.toMatchObject(cancelled);
    await expect(job.listTopics({ signal })).rejects.toMatchObject(cancelled);
    const late = new AbortController();
    const waiting = consumer.pull({ signal: late.signal });
    late.abort();
    await expect(waiting).rejects.toMatchObject(cancelled);
    expect((await out.push({ step: 1 }).wait()).offset).toBe(0);
    expect((await consumer.pull())[0]?.metadata.step).toBe(1);
  });
});

describe("closing", () => {
  it("ends everything of a job, and later calls say so", async () => {
    const topic = await freshTopic();
    const out = await topic.producer();
    const consumer = topic.consumer();
    const waiting = consumer.pull();
    const receipt = out.push({ step: 1 });
    await expect(waiting).resolves.toHaveLength(1);
    const again = expect(consumer.pull()).rejects.toMatchObject({ code: "WEFT_CLOSED" });
    await job.close();
    await again;
    expect(receipt.completed).toBe(true); // close flushes
    await expect(consumer.pull()).rejects.toMatchObject({ code: "WEFT_CLOSED" });
    expect(() => out.push({ step: 2 })).toThrow(/WEFT_CLOSED/);
    await expect(job.topic(topic.name)).rejects.toMatchObject({ code: "WEFT_CLOSED" });
    await job.close();
  });
});
