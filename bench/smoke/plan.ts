/** What is measured, in numbers: the same for the product and for its limits. */

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
export const floors = { produced: 0.4, consumed: 0.4, memory: 0.6, written: 0.6, synced: 0.6 } as const;

/** The topics' configuration: room for `repetitions` and the warm-up, for nothing is removed in between. */
export function topicConfigs(repetitions: number): Record<string, object> {
  const rounds = repetitions + 1;
  const configs: Record<string, object> = {};
  for (const transport of ["tcp", "shm"]) {
    configs[`metadata-${transport}`] = {
      storage: "memory",
      memoryDataBytes: mebibyte,
      memoryMetadataBytes: roundUp(rounds * metadataEvents * (metadataBytes + 16) * 1.2),
    };
    configs[`data-${transport}`] = {
      storage: "memory",
      memoryDataBytes: ringMebibytes(repetitions) * mebibyte,
      memoryMetadataBytes: 4 * mebibyte,
    };
    configs[`event-${transport}`] = {
      storage: "memory",
      memoryDataBytes: mebibyte,
      memoryMetadataBytes: 32 * mebibyte,
    };
  }
  configs["written"] = { storage: "disk", durability: "written" };
  configs["synced"] = { storage: "disk", durability: "synced" };
  return configs;
}

/** Memory of a partition for large data, and of the ring in its limit. */
export function ringMebibytes(repetitions: number): number {
  return ((repetitions + 1) * dataItems * dataItemBytes) / mebibyte;
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / mebibyte) * mebibyte;
}
