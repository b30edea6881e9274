/** The consumer of a measurement, and beside it, in the same process, what JavaScript alone needs. */
import { type Job, all, attach, metadataOnly } from "weftline";

import { type BenchMetadata, metadataList } from "./metadata.js";
import { dataItemBytes } from "./plan.js";
import { answerAll } from "./worker.js";

let job: Job | undefined;
let texts: string[] = [];

function openJob(): Job {
  if (job === undefined) throw new Error("not attached");
  return job;
}

answerAll(
  {
    async attach({ group, transport }: { group: string; transport: string }): Promise<void> {
      job = await attach(group, { name: "bench-consumer", transports: transport });
    },
    prepareMetadata({ count }: { count: number }): void {
      texts = metadataList(count).map((object) => JSON.stringify(object));
    },
    parse(): { seconds: number; sum: number } {
      let sum = 0;
      const begun = performance.now();
      for (const text of texts) sum += (JSON.parse(text) as BenchMetadata).step;
      return { seconds: (performance.now() - begun) / 1000, sum };
    },
    /** The clock runs from before the opening to the last event. */
    async metadata({ topic, from, count }: { topic: string; from: number; count: number }): Promise<object> {
      const opened = await openJob().topic<BenchMetadata>(topic);
      const begun = performance.now();
      const consumer = opened.consumer({ from: { offset: from }, select: metadataOnly });
      let sum = 0;
      for (let seen = 0; seen < count;) {
        const events = await consumer.pull();
        for (const event of events) sum += event.metadata.step;
        seen += events.length;
      }
      const seconds = (performance.now() - begun) / 1000;
      await consumer.close();
      return { seconds, sum };
    },
    async data({ topic, from, count }: { topic: string; from: number; count: number }): Promise<number> {
      const opened = await openJob().topic(topic);
      const begun = performance.now();
      const consumer = opened.consumer({ from: { offset: from }, select: all });
      for (let seen = 0; seen < count;) {
        const events = await consumer.pull();
        for (const event of events) {
          if (event.data.byteLength !== dataItemBytes) throw new Error(`${event.data.byteLength} bytes of an event`);
        }
        seen += events.length;
      }
      const seconds = (performance.now() - begun) / 1000;
      await consumer.close();
      return seconds;
    },
    counters: () => job?.counters(),
  },
  async () => {
    await job?.close();
  },
);
