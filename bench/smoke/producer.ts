/** The producer of a measurement, and beside it, in the same process, what JavaScript alone needs. */
import { createRequire } from "node:module";
import { type Job, type Producer, type Region, attach, isWeftError } from "weftline";

import { type BenchMetadata, metadataList } from "./metadata.js";
import { batchEvents, dataItemBytes } from "./plan.js";
import { sortedNumbers } from "./statistics.js";
import { answerAll } from "./worker.js";

interface Crossing {
  start(onReturn: () => void): void;
  cross(): void;
  stop(): void;
}

let job: Job | undefined;
const producers = new Map<string, Producer<unknown>>();
let objects: BenchMetadata[] = [];
let region: Region | undefined;

async function producerOf(topic: string): Promise<Producer<unknown>> {
  let producer = producers.get(topic);
  if (producer === undefined) {
    if (job === undefined) throw new Error("not attached");
    producer = await (await job.topic(topic)).producer({ batchEvents });
    producers.set(topic, producer);
  }
  return producer;
}

/** Pushes, and waits for room only when there is none. */
async function pushWithRoom(
  producer: Producer<unknown>,
  metadata: unknown,
  data?: Parameters<typeof producer.push>[1],
) {
  for (;;) {
    try {
      return producer.push(metadata, data);
    } catch (error) {
      if (!isWeftError(error, "WEFT_BUSY")) throw error;
      await producer.ready();
    }
  }
}

function secondsSince(begun: number): number {
  return (performance.now() - begun) / 1000;
}

answerAll(
  {
    async attach({ group, transport }: { group: string; transport: string }): Promise<void> {
      job = await attach(group, { name: "bench-producer", transports: transport });
    },
    prepareMetadata({ count }: { count: number }): void {
      objects = metadataList(count);
    },
    stringify(): { seconds: number; characters: number } {
      let characters = 0;
      const begun = performance.now();
      for (const object of objects) characters += JSON.stringify(object).length;
      return { seconds: secondsSince(begun), characters };
    },
    async metadata({ topic }: { topic: string }): Promise<number> {
      const producer = await producerOf(topic);
      const begun = performance.now();
      for (const [index, object] of objects.entries()) {
        producer.push(object);
        if (index % batchEvents === batchEvents - 1) await producer.ready();
      }
      await producer.flush();
      return secondsSince(begun);
    },
    prepareData({ count }: { count: number }): void {
      if (job === undefined) throw new Error("not attached");
      region = job.alloc(count * dataItemBytes);
      const words = region.float64();
      for (let index = 0; index < words.length; index++) words[index] = index * 1.000_000_1;
    },
    async data({ topic, count }: { topic: string; count: number }): Promise<number> {
      const producer = await producerOf(topic);
      if (region === undefined) throw new Error("no data");
      const begun = performance.now();
      for (let index = 0; index < count; index++) {
        const start = index * dataItemBytes;
        await pushWithRoom(producer, { index }, region.slice(start, start + dataItemBytes));
      }
      await producer.flush();
      return secondsSince(begun);
    },
    /** Microseconds, sorted. */
    async events({ topic, count }: { topic: string; count: number }): Promise<number[]> {
      const producer = await producerOf(topic);
      const times = new Float64Array(count);
      for (let index = 0; index < count; index++) {
        const begun = performance.now();
        producer.push({ index });
        await producer.flush();
        times[index] = (performance.now() - begun) * 1000;
      }
      return sortedNumbers(times);
    },
    /** Microseconds, sorted: JavaScript -> native thread -> JavaScript. */
    async crossings({ module, count }: { module: string; count: number }): Promise<number[]> {
      const crossing = createRequire(import.meta.url)(module) as Crossing;
      let returned: () => void = () => undefined;
      crossing.start(() => {
        returned();
      });
      const times = new Float64Array(count);
      for (let index = 0; index < count; index++) {
        const begun = performance.now();
        await new Promise<void>((resolve) => {
          returned = resolve;
          crossing.cross();
        });
        times[index] = (performance.now() - begun) * 1000;
      }
      crossing.stop();
      return sortedNumbers(times);
    },
    counters: () => job?.counters(),
  },
  async () => {
    await job?.close();
  },
);
