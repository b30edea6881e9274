/** A worker thread of bench/workers.ts: encodes or pushes its events when it is told to, and says that it is done. */
import { parentPort, workerData } from "node:worker_threads";
import { type JobTicket, openShared } from "weftline";

import { metadataList } from "../smoke/metadata.js";

export interface PushWork {
  readonly ticket: JobTicket;
  readonly topic: string;
  readonly metadata: "small" | "large";
  /** Encode alone, for the machine's own limit. */
  readonly onlyEncode: boolean;
  readonly eventCount: number;
}

const { ticket, topic, metadata, onlyEncode, eventCount } = workerData as PushWork;

/** 256 bytes of JSON each; or of about 4 KiB, with 200 numbers to be written out. */
const small = metadataList(128);
const events: readonly unknown[] =
  metadata === "small"
    ? small
    : small.map((one, at) => ({ ...one, profile: Array.from({ length: 200 }, (_, n) => Math.sin(at + n) * 1000) }));

async function told(): Promise<void> {
  parentPort?.postMessage("ready");
  await new Promise((resolve) => parentPort?.once("message", resolve));
}

if (onlyEncode) {
  await told();
  let bytes = 0;
  for (let n = 0; n < eventCount; n++) bytes += JSON.stringify(events[n % events.length]).length;
  parentPort?.postMessage(bytes);
} else {
  await using job = openShared(ticket);
  await using out = await (await job.topic(topic)).producer();
  await told();
  for (let n = 0; n < eventCount; n++) {
    out.push(events[n % events.length]);
    if (n % 128 === 127) await out.ready();
  }
  await out.flush();
  parentPort?.postMessage(out.stored);
}
