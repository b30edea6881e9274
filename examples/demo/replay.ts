/**
 * The consumers of the second launch: `--as new` reads everything from the first event and computes the checksums of
 * what it gets; `--as analysis` goes on under the name of the first launch's analysis and says where it began.
 * They report; the driver judges.
 */
import { parseArgs } from "node:util";
import { all, type Job, join, metadataOnly, type Topic } from "weftline";
import { crc32c } from "./crc32c.js";
import {
  type FieldMetadata,
  type FlightsMetadata,
  needed,
  progress,
  type ReplayReport,
  type ResumeReport,
  runRank,
  RunningChecksum,
  topics,
  writeReport,
} from "./shared.js";

const { values } = parseArgs({ options: { as: { type: "string" }, reports: { type: "string" } } });

type Mutable<T> = { -readonly [Member in keyof T]: T[Member] };

async function replayField(topic: Topic<FieldMetadata>, report: Mutable<ReplayReport>): Promise<void> {
  const blocks: { rank: number; step: number; crc32c: string }[] = [];
  const beganMs = performance.now();
  for await (const event of topic.consumer({ from: "earliest", until: "end", select: all })) {
    const { metadata, data } = event;
    if (metadata.last === true) continue;
    report.fieldEvents++;
    report.fieldBytes += data.byteLength;
    blocks.push({ rank: metadata.rank, step: metadata.step, crc32c: crc32c(data) });
  }
  report.blocks = blocks;
  report.fieldSeconds = (performance.now() - beganMs) / 1000;
  progress(`replay ${report.fieldEvents} blocks`);
}

async function replayFlights(topic: Topic<FlightsMetadata>, report: Mutable<ReplayReport>): Promise<void> {
  const checksum = new RunningChecksum();
  const beganMs = performance.now();
  for await (const events of topic.consumer({ from: "earliest", until: "end" }).batches({ max: 4096 })) {
    for (const event of events) {
      const text = event.metadataText ?? "";
      // Only the last event begins so; all others go into the checksum as they are stored.
      if (text.startsWith('{"last":')) continue;
      report.flightsEvents++;
      report.flightsBytes += Buffer.byteLength(text);
      checksum.add(text);
    }
  }
  report.sha256 = checksum.value();
  report.flightsSeconds = (performance.now() - beganMs) / 1000;
  progress(`replay ${report.flightsEvents} flights`);
}

async function replay(job: Job): Promise<ReplayReport> {
  const report: Mutable<ReplayReport> = {
    ...{ fieldEvents: 0, fieldBytes: 0, fieldSeconds: 0, blocks: [] },
    ...{ flightsEvents: 0, flightsBytes: 0, flightsSeconds: 0, sha256: "" },
  };
  await replayField(await job.topic<FieldMetadata>("field"), report);
  await replayFlights(await job.topic<FlightsMetadata>("flights"), report);
  return report;
}

async function resume(job: Job): Promise<ResumeReport> {
  const report: Mutable<ResumeReport["topics"][number]>[] = [];
  for (const name of Object.keys(topics)) {
    const topic = await job.topic(name);
    const consumer = await topic.consumer({ name: "analysis", until: "end", select: metadataOnly, ackEvery: 0 }).open();
    const parts = Array.from({ length: topic.partitionCount }, (_, partition) => ({
      ...{ topic: name, partition, first: null as number | null, events: 0, contiguous: true, end: 0, lag: 0 },
    }));
    for await (const events of consumer.batches({ max: 4096 })) {
      for (const event of events) {
        const part = parts[event.partition];
        if (part === undefined) throw new Error(`an event of partition ${event.partition} of topic ${name}`);
        part.first ??= event.offset;
        part.contiguous &&= event.offset === part.first + part.events;
        part.events++;
        event.ack();
      }
    }
    await consumer.commit();
    for (const { partition, visibleEnd, events } of await consumer.lag()) {
      const part = parts[partition];
      if (part !== undefined) Object.assign(part, { end: visibleEnd, lag: events });
    }
    await consumer.close();
    report.push(...parts);
  }
  progress(`analysis went on with ${report.reduce((sum, part) => sum + part.events, 0)} events`);
  return { topics: report };
}

await runRank("replay", async () => {
  const reports = needed("reports", values.reports);
  const isNew = values.as === "new";
  if (!isNew && values.as !== "analysis") throw new Error(`--as is '${values.as ?? ""}'; it must be new or analysis`);
  const job = await join({ name: isNew ? "replay" : "analysis" });
  const { world } = job;
  writeReport(reports, isNew ? "replay" : "resume", isNew ? await replay(job) : await resume(job));
  await world.barrier();
  await job.close();
});
