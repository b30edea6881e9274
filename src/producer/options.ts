/** Options of producers and of `push`, their defaults and their check. */
import { checkFunction, checkInteger, checkMembers, checkName, checkSignal, invalid } from "../check.js";
import type { Region, RegionSlice } from "../job/region.js";
import type { SharedData } from "../job/shared.js";
import type { DataDescription, Validate } from "../validator/validator.js";

/** The partition of an event, from 0 to `partitionCount` - 1. Must not be asynchronous. */
export type SelectPartition<Metadata = unknown> = (
  metadata: Metadata,
  partitionCount: number,
  data: DataDescription,
) => number;

/** Data of an event: bytes, or a list of segments that are joined in order. */
export type EventSegment = ArrayBufferView | ArrayBuffer | Region | RegionSlice | SharedData;
export type EventData = EventSegment | readonly EventSegment[];

export interface ProducerOptions<Metadata> {
  /** A stable name: the newest producer of a name fences older ones. Default: a random identity. */
  readonly name?: string | undefined;
  /**
   * A batch is sent at so many events; 1 to 65,536, default 128. "adaptive": at no number (but the format's, 65,536 less four), so
   * that whatever gathered while the line was busy is one batch, within batchBytes and batchDataBytes. Each batch in use then
   * takes 1 MiB more of memory.
   */
  readonly batchEvents?: number | "adaptive" | undefined;
  /** … or so many bytes of metadata; default 512 KiB, at most 1 MiB. */
  readonly batchBytes?: number | undefined;
  /** … or so many bytes of copied data; default 1 MiB, at most 1 GiB. */
  readonly batchDataBytes?: number | undefined;
  /**
   * … or after so long, in milliseconds. Default: adaptively, as soon as the line is free: at the end of this turn of
   * the event loop if nothing is under way, else with the next acknowledgement.
   */
  readonly lingerMs?: number | undefined;
  /** Batches under way per partition; 1 to 64, default 16. */
  readonly maxInFlight?: number | undefined;
  /** Events that wait in JavaScript while all batches are under way; beyond it `whenFull` says what happens. Default 1,024. */
  readonly queueEvents?: number | undefined;
  /** … or bytes that were copied for them; default 16 MiB. */
  readonly queueBytes?: number | undefined;
  /**
   * "strict" (default): round robin event by event; an event that finds all batches of the producer under way waits, and all behind
   * it too. "loose": events that name neither partition nor key go whole batches at a time to the partition whose line is free,
   * so that batches are full and one slow or lost partition holds up no other. Only where the topic chooses by "round-robin" or
   * "same-node"; else WEFT_INVALID_ARGUMENT.
   */
  readonly ordering?: Ordering | undefined;
  /** What `push` does when the queue is full; default "error". */
  readonly whenFull?: WhenFull | undefined;
  /**
   * Finds memory that is written too early: CRC32C of data that is referenced (not copied) at push and when its batch is
   * acknowledged. If they differ, the receipt and the next flush reject with WEFT_BUFFER_CHANGED. It costs two passes over
   * the data with this thread. Default: whether WEFTLINE_GUARD is 1.
   */
  readonly guard?: boolean | undefined;
  /**
   * Rejects metadata: false or a text (why) makes push throw WEFT_VALIDATOR_REJECTED. Beside the topic's validator; needed
   * where that is "custom", unless the topic allows unvalidated events.
   */
  readonly validate?: Validate<Metadata> | undefined;
  /** Chooses the partition of events that name none. Default: as the topic says; needed where that is "custom". */
  readonly selectPartition?: SelectPartition<Metadata> | undefined;
  /** For the opening. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * What a producer promises of the order of events that name no partition. Events that name one, or a key, keep their order
 * among each other in it with both; so do events that name none and fell into the same partition.
 */
export type Ordering = (typeof orderingNames)[number];
const orderingNames = ["strict", "loose"] as const;

/**
 * "error": it throws WEFT_BUSY. "block": it waits for room, with this thread, and no other JavaScript runs meanwhile.
 * "drop-newest": the event is dropped. "drop-oldest": as many of those that wait as make room are dropped. A receipt of an
 * event that was dropped, which never had a number, rejects with WEFT_DROPPED; flush does not.
 */
export type WhenFull = (typeof whenFullNames)[number];
const whenFullNames = ["error", "block", "drop-newest", "drop-oldest"] as const;

export interface PushOptions {
  /** Number of the partition; default as the topic or `selectPartition` says. WEFT_PARTITION_RANGE. */
  readonly partition?: number | undefined;
  /** Events of one key go to one partition: CRC32C of its UTF-8 bytes modulo the partitions. */
  readonly key?: string | undefined;
}

/** What `producer.toWritable()` takes. */
export interface StreamedEvent<Metadata = unknown> extends PushOptions {
  readonly metadata: Metadata;
  readonly data?: EventData | undefined;
}

export interface ResolvedProducerOptions {
  readonly name: string | undefined;
  readonly batchEvents: number;
  readonly batchBytes: number;
  readonly batchDataBytes: number;
  readonly lingerMs: number | undefined;
  readonly maxInFlight: number;
  readonly queueEvents: number;
  readonly queueBytes: number;
  readonly ordering: Ordering;
  readonly whenFull: WhenFull;
  readonly guard: boolean;
}

/** Defaults, in one place. */
export const producerDefaults = {
  batchEvents: 128,
  batchBytes: 512 * 1024,
  batchDataBytes: 1024 * 1024,
  maxInFlight: 16,
  queueEvents: 1024,
  queueBytes: 16 * 1024 * 1024,
} as const;

/** Of an adaptive batch: the format's limit, less what leaves room for the largest metadata of one event beside the columns. */
export const adaptiveEventsMax = 65_532;

const members = [
  ...["name", "batchEvents", "batchBytes", "batchDataBytes", "lingerMs", "maxInFlight"],
  ...["queueEvents", "queueBytes", "ordering", "whenFull", "guard", "validate", "selectPartition", "signal"],
];

export function resolveProducerOptions<Metadata>(options: ProducerOptions<Metadata>): ResolvedProducerOptions {
  checkMembers("producer", options, members);
  checkSignal("signal of producer", options.signal);
  checkFunction("validate of producer", options.validate);
  checkFunction("selectPartition of producer", options.selectPartition);
  const { guard, ordering, whenFull } = options;
  if (guard !== undefined && typeof guard !== "boolean") throw invalid("guard of producer", guard, "true or false");
  if (ordering !== undefined && !orderingNames.includes(ordering)) {
    throw invalid("ordering of producer", ordering, orderingNames.join(", "));
  }
  if (whenFull !== undefined && !whenFullNames.includes(whenFull)) {
    throw invalid("whenFull of producer", whenFull, whenFullNames.join(", "));
  }
  const whole = (name: Exclude<keyof typeof producerDefaults, "batchEvents">, high: number): number =>
    checkInteger(`${name} of producer`, options[name], 1, high, producerDefaults[name]);
  return {
    name: checkName("name of producer", options.name),
    batchEvents: batchEvents(options.batchEvents),
    batchBytes: whole("batchBytes", 1024 * 1024),
    batchDataBytes: whole("batchDataBytes", 1024 ** 3),
    lingerMs: checkInteger("lingerMs of producer", options.lingerMs, 0, 3_600_000, undefined),
    maxInFlight: whole("maxInFlight", 64),
    queueEvents: whole("queueEvents", 1_000_000),
    queueBytes: whole("queueBytes", 1024 ** 3),
    ordering: ordering ?? "strict",
    whenFull: whenFull ?? "error",
    guard: guard ?? process.env["WEFTLINE_GUARD"] === "1",
  };
}

function batchEvents(given: unknown): number {
  if (given === "adaptive") return adaptiveEventsMax;
  if (typeof given === "string") {
    throw invalid("batchEvents of producer", given, 'a whole number of 1 to 65536, or "adaptive"');
  }
  return checkInteger("batchEvents of producer", given, 1, 65_536, producerDefaults.batchEvents);
}
