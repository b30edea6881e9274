/** What is measured, in numbers: the same for the product and for its limits. */

import type { TopicConfig } from "weftline";

export const kibibyte = 1024;
export const mebibyte = 1024 * kibibyte;

/** Events of metadata only, a repetition. */
export const metadataEvents = 60_000;
export const metadataBytes = 256;
export const batchEvents = 128;

/** Events of large data, a repetition: as much as the producer has distinct memory. */
export const dataItemBytes = mebibyte;
export const dataItems = 256;
/** RMA operations under way in the limit: as many slabs as the server uses for one batch. */
export const dataInFlight = 8;
/** A batch of referenced data is sent at so much. */
export const dataItemsPerBatch = 4;
/** Default size of a segment file. */
export const segmentMebibytes = 256;

/** Events pushed, flushed and acknowledged one after another, a repetition. */
export const singleEvents = 1500;
/** Of the crossings and round trips that they are compared with. */
export const singleLimits = 3000;

/** Parts of the limits that have to be reached. */
export const floors = { produced: 0.5, consumed: 0.7, memory: 0.6, written: 0.6, synced: 0.6 } as const;

/** The topics of the parts to measure, with room for all repetitions and a warm-up: nothing is removed in between. */
export function topicConfigs(
  parts: ReadonlySet<string>,
  transports: readonly string[],
  repetitions: number,
): Record<string, TopicConfig> {
  const memory = { storage: "memory", memoryDataBytes: mebibyte, memoryMetadataBytes: 32 * mebibyte } as const;
  const metadata = roundUp((repetitions + 1) * metadataEvents * (metadataBytes + 16) * 1.2);
  const configs: Record<string, TopicConfig> = {};
  for (const transport of transports) {
    if (parts.has("metadata")) configs[`metadata-${transport}`] = { ...memory, memoryMetadataBytes: metadata };
    if (parts.has("event")) configs[`event-${transport}`] = memory;
    if (parts.has("data")) {
      configs[`data-${transport}`] = { ...memory, memoryDataBytes: ringMebibytes(repetitions) * mebibyte };
    }
  }
  if (parts.has("disk")) {
    configs["written"] = { storage: "disk", durability: "written" };
    configs["synced"] = { storage: "disk", durability: "synced" };
  }
  return configs;
}

/** Memory of a partition for large data, and of the ring in its limit. */
export function ringMebibytes(repetitions: number): number {
  return ((repetitions + 1) * dataItems * dataItemBytes) / mebibyte;
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / mebibyte) * mebibyte;
}
