// Batching, back-pressure and receipts of a producer on a native core in memory, whose batches the test completes.
import { beforeEach, describe, expect, it } from "vitest";

import { SlabStore } from "../../../src/job/slab-store.js";
import type { BatchHandle, JobHandle, NativeBatch, NativeBinding, TopicHandle } from "../../../src/native/binding.js";
import { Completions, completionKind } from "../../../src/native/completions.js";
import { PackedCodec } from "../../../src/packed/codec.js";
import type { PackedField } from "../../../src/packed/schema.js";
import { recordMemory } from "../../../src/packed/writer.js";
import type { ProducerOptions } from "../../../src/producer/options.js";
import { Producer } from "../../../src/producer/producer.js";
import type { TopicContext } from "../../../src/topic/context.js";

interface Submitted {
  readonly count: number;
  readonly metadata: string;
  readonly bytes: Buffer;
  readonly ends: number[];
  readonly tag: number;
  readonly arena: NativeBatch;
}

/** So much of the addon as a producer uses. */
class FakeCore {
  readonly submitted: Submitted[] = [];
  readonly queue: { kind: number; code: number; tag: number; value: number; handle?: object; text?: string }[] = [];
  referenced = false;
  private readonly free: NativeBatch[];
  private wake: () => void = () => undefined;

  constructor(arenas: number, events: number) {
    this.free = Array.from({ length: arenas }, () => ({
      handle: {} as BatchHandle,
      eventCapacity: events,
      metadataEnd: new ArrayBuffer(4 * events),
      timeDeltaUs: new ArrayBuffer(4 * events),
      dataLength: new ArrayBuffer(8 * events),
      metadata: new ArrayBuffer(4096),
      data: new ArrayBuffer(4096),
    }));
  }

  complete(completion: FakeCore["queue"][number]): void {
    this.queue.push(completion);
    this.wake();
  }
  /** Answers the oldest batch under way. */
  answer(code = 0): void {
    const first = this.submitted.shift();
    if (first === undefined) throw new Error("no batch is under way");
    this.free.push(first.arena);
    this.complete({ kind: completionKind.batch, code, tag: first.tag, value: 100, text: "why" });
  }

  readonly binding = {
    jobSetWake: (_job: JobHandle, wake: () => void) => (this.wake = wake),
    jobSetReferenced: (_job: JobHandle, referenced: boolean) => (this.referenced = referenced),
    jobPoll: (_job: JobHandle, records: ArrayBuffer, extras: unknown[]) => {
      const words = new Uint32Array(records);
      const taken = this.queue.splice(0);
      taken.forEach(({ kind, code, tag, value, handle, text }, index) => {
        words.set([kind, code, tag, 0, value, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0], 16 * index);
        extras[index] = handle ?? text;
      });
      return taken.length;
    },
    codeName: (code: number) => ({ 28: "WEFT_FENCED", 35: "WEFT_DELIVERY_TIMED_OUT" })[code] ?? "WEFT_INTERNAL",
    codeMeaning: () => "meaning",
    producerOpenAsync: (_topic: TopicHandle, _options: object, tag: number) => {
      this.complete({ kind: completionKind.producer, code: 0, tag, value: 0, handle: {} });
    },
    producerCloseAsync: (_producer: object, tag: number) => {
      this.complete({ kind: completionKind.closed, code: 0, tag, value: 0 });
    },
    batchOpen: () => this.free.shift() ?? null,
    batchCancel: () => undefined,
    batchSubmit: (handle: BatchHandle, _partition: number, count: number, bytes: number, ...rest: unknown[]) => {
      const arena = [...this.arenas].find((one) => one.handle === handle);
      if (arena === undefined) throw new Error("an unknown batch");
      const copy = Buffer.from(Buffer.from(arena.metadata, 0, bytes));
      const ends = [...new Uint32Array(arena.metadataEnd, 0, count)];
      this.submitted.push({ count, metadata: copy.toString(), bytes: copy, ends, tag: rest[3] as number, arena });
    },
  } as unknown as NativeBinding;

  private readonly arenas = new Set<NativeBatch>();
  /** Remembers the arenas before they are lent. */
  ready(): this {
    for (const arena of this.free) this.arenas.add(arena);
    return this;
  }
}

let core: FakeCore;
async function open<Metadata = number>(
  options: ProducerOptions<Metadata>,
  arenas = 2,
  metadata: "json" | "raw" | PackedField[] = "json",
): Promise<Producer<Metadata>> {
  core = new FakeCore(arenas, Number(options.batchEvents ?? 128)).ready();
  const topic = {
    name: "fake",
    partitionCount: 1,
    serializer: typeof metadata === "string" ? metadata : "packed",
    codec: typeof metadata === "string" ? undefined : new PackedCodec({ fields: metadata }, "fake"),
    eventDataBytesMax: Infinity,
    description: { partitionSelector: "round-robin" },
    job: {
      rank: 0,
      completions: new Completions(core.binding, {} as JobHandle),
      opened: new Set(),
      slabs: new SlabStore(),
    },
    handle: {},
  } as unknown as TopicContext;
  return await Producer.open<Metadata>(topic, options);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
let out: Producer<number>;

describe("a producer", () => {
  beforeEach(async () => {
    out = await open({ batchEvents: 4, queueEvents: 4 });
  });

  it("sends what was pushed in one turn as one batch, then what gathers while that is under way", async () => {
    out.push(1);
    out.push(2);
    expect(core.submitted).toHaveLength(0);
    await turn();
    expect(core.submitted.map(({ metadata }) => metadata)).toEqual(["12"]);
    out.push(3);
    await turn();
    out.push(4);
    await turn();
    expect(core.submitted).toHaveLength(1);
    core.answer();
    expect(core.submitted.map(({ metadata }) => metadata)).toEqual(["34"]);
  });

  it("names the topic, the reason and the next step when its validator rejects an event", async () => {
    const strict = await open({ validate: (value) => value < 10 || "it is not below 10" });
    let thrown: unknown;
    try {
      strict.push(10);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({
      code: "WEFT_VALIDATOR_REJECTED",
      message: expect.stringMatching(/topic 'fake' rejected an event: it is not below 10/) as string,
      next: expect.stringContaining("validate function") as string,
    });
    expect(core.submitted).toHaveLength(0);
  });

  it("sends a full batch at once", () => {
    for (let value = 1; value <= 9; value++) out.push(value);
    expect(core.submitted.map(({ metadata }) => metadata)).toEqual(["1234", "5678"]);
    expect(out.queued).toBe(1);
  });

  it("queues up to its limit, says WEFT_BUSY, and takes the events in order later", async () => {
    const receipts = Array.from({ length: 12 }, (_, index) => out.push(index));
    expect([out.batchesUnderWay, out.queued]).toEqual([2, 4]);
    expect(() => out.push(12)).toThrow(/WEFT_BUSY: .*2 batches under way and 4 events .*queueEvents 4/);
    let isReady = false;
    const ready = out.ready().then(() => (isReady = true));
    core.answer();
    await turn();
    expect([out.queued, out.batchesUnderWay, isReady]).toEqual([0, 2, false]); // the next push would wait
    core.answer();
    await ready; // half of the batches are free
    await out.ready();
    expect(core.submitted.map(({ metadata }) => metadata)).toEqual(["891011"]);
    core.answer();
    expect(await receipts[11]?.wait()).toEqual({ partition: 0, offset: 103, epoch: 5 });
  });

  // `weftline produce` read on for hours when its server was gone: each batch of a long queue waited for the limit anew.
  it("lets queued events run into the time limit that a batch which came later ran into, and no younger ones", async () => {
    out = await open({ batchEvents: 4, queueEvents: 20 });
    const passSomeTime = async (): Promise<void> => {
      const began = performance.now();
      while (performance.now() < began + 20) await turn();
    };
    const receipts = Array.from({ length: 24 }, (_, index) => out.push(index));
    expect([out.batchesUnderWay, out.queued, out.failure]).toEqual([2, 16, undefined]);
    await passSomeTime();
    const ready = out.ready();
    core.answer(35); // and the next batch of the queue is sent
    await ready; // whoever waits for room hears of a failure
    expect(out.failure).toMatchObject({ code: "WEFT_DELIVERY_TIMED_OUT" });
    core.answer(35);
    await turn();
    expect([out.batchesUnderWay, out.queued]).toEqual([2, 8]);
    await passSomeTime();
    receipts.push(out.push(24));
    const flushed = out.flush();
    core.answer(35); // sent after the 8 had been pushed
    core.answer();
    core.answer();
    const late = { code: "WEFT_DELIVERY_TIMED_OUT" };
    await expect(flushed).rejects.toMatchObject(late);
    expect(out.failure).toBeUndefined();
    await expect(receipts[23]?.wait()).rejects.toMatchObject(late);
    expect(await receipts[15]?.wait()).toMatchObject({ offset: 103 });
    expect(await receipts[24]?.wait()).toMatchObject({ offset: 100 });
  });

  it("flushes what was pushed before, not what comes after", async () => {
    out.push(1);
    const flushed = out.flush();
    out.push(2);
    core.answer();
    await flushed;
    expect(core.submitted.map(({ metadata }) => metadata)).toEqual(["2"]);
  });

  it("tells the first failure at the next flush, once, and to its receipts", async () => {
    const receipt = out.push(1);
    const flushed = expect(out.flush()).rejects.toMatchObject({ code: "WEFT_FENCED" });
    core.answer(28);
    await flushed;
    await expect(receipt.wait()).rejects.toMatchObject({ code: "WEFT_FENCED" });
    await expect(out.flush()).resolves.toBeUndefined();
  });

  it("keeps the process alive only while batches are under way", async () => {
    expect(core.referenced).toBe(false);
    out.push(1);
    await turn();
    expect(core.referenced).toBe(true);
    core.answer();
    expect(core.referenced).toBe(false);
  });

  it("fails what is under way when the job is closed", async () => {
    const receipts = Array.from({ length: 10 }, (_, index) => out.push(index));
    out.topic.job.completions.close();
    for (const receipt of receipts) await expect(receipt.wait()).rejects.toMatchObject({ code: "WEFT_CLOSED" });
    expect(() => out.push(1)).toThrow(/WEFT_CLOSED/);
  });
});

describe("options of a producer", () => {
  it("are refused by name", async () => {
    await expect(open({ batchEvents: 0 })).rejects.toThrow(
      /batchEvents of producer is 0; it must be a whole number of 1/,
    );
    await expect(open({ batchSize: 3 } as never)).rejects.toThrow(/producer has no option 'batchSize'/);
    await expect(open({ name: ".hidden" })).rejects.toThrow(/name of producer/);
  });

  it("lingerMs holds a batch back until its time", async () => {
    out = await open({ lingerMs: 5 });
    const receipt = out.push(1);
    await turn();
    expect(core.submitted).toHaveLength(0);
    await expect.poll(() => core.submitted.length).toBe(1);
    core.answer();
    expect((await receipt.wait()).offset).toBe(100);
  });
});

describe("a producer of packed records", () => {
  const fields: PackedField[] = [
    { name: "step", type: "u32" },
    { name: "note", type: "string" },
  ];
  interface Step {
    step: number;
    note: string;
  }
  const codec = new PackedCodec({ fields }, "fake");
  /** Steps and notes of the batches under way. */
  const stored = (): unknown[][] =>
    core.submitted.map(({ bytes, ends }) =>
      ends.map((end, index) => {
        const record = Uint8Array.from(bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
        expect(codec.problemOf(recordMemory(record).view, 0, record.length)).toBeUndefined();
        return Object.values(codec.read(recordMemory(record), 0)).join(":");
      }),
    );
  let packed: Producer<Step>;
  beforeEach(async () => {
    packed = await open<Step>({ batchEvents: 4, queueEvents: 4 }, 2, fields);
  });

  it("writes them into batches, and in order into those that follow a queue", async () => {
    for (let step = 0; step < 11; step++) packed.push({ step, note: "n".repeat(step) });
    expect(packed.queued).toBe(3);
    expect(stored()).toEqual([
      ["0:", "1:n", "2:nn", "3:nnn"],
      ["4:nnnn", "5:nnnnn", "6:nnnnnn", "7:nnnnnnn"],
    ]);
    core.answer();
    await turn();
    core.answer();
    await turn();
    expect(stored()).toEqual([["8:nnnnnnnn", "9:nnnnnnnnn", "10:nnnnnnnnnn"]]);
  });

  it("does not take what a field does not take, whether a batch is open or not, and disturbs nothing else", async () => {
    const wrong = { step: -1, note: "" };
    expect(() => packed.push(wrong)).toThrow(/field 'step' \(u32\) is -1/); // no batch is open
    packed.push({ step: 1, note: "one" });
    expect(() => packed.push({ step: 2 } as Step)).toThrow(/field 'note' \(string\) is missing/);
    expect(() => packed.push({ step: 2, note: "\ud800" })).toThrow(/half a surrogate pair/);
    packed.push({ step: 3, note: "three" });
    await turn();
    expect(stored()).toEqual([["1:one", "3:three"]]);
    core.answer();
    await packed.flush();
  });

  it("begins another batch for a record that has no room, and refuses one that no batch can take", () => {
    packed.push({ step: 1, note: "x".repeat(2000) });
    packed.push({ step: 2, note: "y".repeat(2500) }); // the arenas of this test have 4,096 bytes
    expect(stored()).toEqual([[`1:${"x".repeat(2000)}`]]);
    expect(() => packed.push({ step: 3, note: "z".repeat(1024 * 1024) })).toThrow(/has 1048577 bytes; the limit is/);
  });

  it("takes the bytes of a record, and no event from a getter of another", async () => {
    packed.push({ step: 1, note: "one" });
    packed.push(Uint8Array.of(2, 0, 0, 0, 1, 0, 0, 0, 65) as unknown as Step);
    const nested = {
      step: 4,
      get note() {
        packed.push({ step: 3, note: "inner" });
        return "outer";
      },
    };
    expect(() => packed.push(nested)).toThrow(/push was called by a getter of metadata/);
    packed.push({ step: 5, note: "five" });
    await turn();
    expect(stored()).toEqual([["1:one", "2:A", "5:five"]]);
  });

  it("stores a record whose getter flushed the batch that it was written into", async () => {
    packed.push({ step: 1, note: "one" });
    packed.push({
      step: 2,
      get note() {
        void packed.flush();
        return "two";
      },
    });
    expect(stored()).toEqual([["1:one"]]);
    core.answer();
    await turn();
    expect(stored()).toEqual([["2:two"]]);
  });
});

it("keeps its own copy of raw metadata that waits, also of a Buffer", async () => {
  const raw = await open<Uint8Array>({ batchEvents: 1, queueEvents: 4 }, 1, "raw");
  const reused = Buffer.from("a");
  for (const text of ["a", "b", "c"]) {
    reused.write(text);
    raw.push(reused);
  }
  const seen: string[] = [];
  while (core.submitted.length > 0) {
    seen.push(...core.submitted.map(({ metadata }) => metadata));
    core.answer();
    await turn();
  }
  expect(seen).toEqual(["a", "b", "c"]);
});
