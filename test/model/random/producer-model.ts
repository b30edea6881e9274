// A producer beside what it should have done: each event that it took waits here with its receipt, until a flush says where
// it is; then the topic's arrays have it there.
import { expect } from "vitest";
import fc from "fast-check";

import {
  type ErrorCode,
  type EventData,
  type Producer,
  type ProducerOptions,
  type Receipt,
  type Region,
  shared,
} from "../../../src/index.js";
import { errorOf } from "../support.js";
import { type ModelEvent, type Said, type TopicKind, type TopicModel, partitionOfKey, saidBy } from "./topic-model.js";

export interface ProducerKind {
  readonly name: string | undefined;
  readonly batchEvents: number | "adaptive";
  readonly batchBytes: number;
  readonly lingerMs: number | undefined;
  readonly maxInFlight: number;
  readonly isLoose: boolean;
  readonly guard: boolean;
}
export const producerKind: fc.Arbitrary<ProducerKind> = fc.record({
  name: fc.constantFrom(undefined, "p-0", "p-1"),
  batchEvents: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom("adaptive" as const, 128)),
  batchBytes: fc.constantFrom(1, 300, 512 * 1024),
  lingerMs: fc.constantFrom(undefined, undefined, 0, 3),
  maxInFlight: fc.integer({ min: 1, max: 5 }),
  isLoose: fc.boolean(),
  guard: fc.boolean(),
});

export const said: fc.Arbitrary<Said> = fc.record({
  n: fc.nat(1000),
  s: fc.oneof(
    { weight: 6, arbitrary: fc.string({ unit: "grapheme", maxLength: 20 }) },
    { weight: 1, arbitrary: fc.constant("long ".repeat(700)) },
  ),
});

/** The form that data comes in, and how much. */
export interface DataKind {
  readonly form: "none" | "bytes" | "buffer" | "words" | "list" | "region" | "slice" | "shared";
  readonly bytes: number;
}
export const dataKind: fc.Arbitrary<DataKind> = fc.record({
  form: fc.constantFrom<DataKind["form"]>(
    "none",
    "bytes",
    "bytes",
    "buffer",
    "words",
    "list",
    "region",
    "slice",
    "shared",
  ),
  bytes: fc.oneof(
    { weight: 6, arbitrary: fc.nat(300) },
    { weight: 1, arbitrary: fc.integer({ min: 16_380, max: 16_390 }) },
    { weight: 1, arbitrary: fc.integer({ min: 65_500, max: 65_600 }) },
    { weight: 1, arbitrary: fc.integer({ min: 100_000, max: 200_000 }) },
  ),
});

/** Bytes that no other event has. */
export function bytesOf({ bytes }: DataKind, salt: number): Uint8Array<ArrayBuffer> {
  const filled = new Uint8Array(bytes);
  for (let index = 0; index < bytes; index++) filled[index] = (index * 7 + (index >> 8) + salt * 31) & 255;
  return filled;
}

interface Pending {
  readonly event: ModelEvent;
  readonly receipt: Receipt;
  /** Undefined: any. */
  readonly partition: number | undefined;
  /** Goes to the partition behind that of the last such event. */
  readonly inTurn: boolean;
}

export class ProducerModel {
  readonly topic: TopicModel;
  readonly kind: ProducerKind;
  readonly handle: Producer;
  /** Partitions that it knows: those of the topic when that was opened. */
  readonly partitionCount: number;
  /** What its events fail with from now on. */
  dead: ErrorCode | undefined;
  #pending: Pending[] = [];
  #regions: Region[] = [];
  #lastInTurn: number | undefined;
  /** The last offset in each partition; with loose ordering of events that name it, and of those that do not. */
  readonly #lastOf = new Map<string, number>();

  constructor(topic: TopicModel, kind: ProducerKind, handle: Producer) {
    this.topic = topic;
    this.kind = kind;
    this.handle = handle;
    this.partitionCount = topic.handle.partitionCount;
  }

  /** The caller's data, in the form that was asked for. */
  #formOf({ form }: DataKind, bytes: Uint8Array<ArrayBuffer>): EventData | undefined {
    switch (form) {
      case "none":
        return undefined;
      case "bytes":
        return bytes;
      case "buffer":
        return bytes.buffer;
      case "words":
        return new DataView(bytes.buffer, 0, bytes.length);
      case "list": {
        const third = Math.floor(bytes.length / 3);
        return [bytes.subarray(0, third), new Uint8Array(), bytes.slice(third)];
      }
      case "shared": {
        const memory = new Uint8Array(new SharedArrayBuffer(bytes.length));
        memory.set(bytes);
        return shared(memory);
      }
      case "region":
      case "slice": {
        const ahead = form === "slice" ? 24 : 0;
        const region = this.handle.alloc(bytes.length + ahead + 1);
        this.#regions.push(region);
        region.bytes.set(bytes, ahead);
        return region.slice(ahead, ahead + bytes.length);
      }
    }
  }

  /** Pushes what the topic takes. */
  push(
    metadata: unknown,
    one: Said,
    data: DataKind,
    salt: number,
    options: { partition?: number; key?: string },
  ): void {
    const bytes = bytesOf(data, salt);
    const { kind } = this.topic;
    const where = this.#partitionOf(kind, one, options);
    const given = Object.keys(options).length === 0 ? undefined : options;
    const receipt = this.handle.push(metadata, this.#formOf(data, bytes), given);
    const event = { ...one, data: data.form === "none" ? new Uint8Array() : bytes };
    const inTurn = where === undefined && !this.isLoose;
    this.#pending.push({ event, receipt, partition: where, inTurn });
  }

  get isLoose(): boolean {
    const { selector } = this.topic.kind;
    return this.kind.isLoose && (selector === "round-robin" || selector === "same-node");
  }

  #partitionOf(
    { selector }: TopicKind,
    { n, s }: Said,
    options: { partition?: number; key?: string },
  ): number | undefined {
    if (options.partition !== undefined) return options.partition;
    if (options.key !== undefined) return partitionOfKey(options.key, this.partitionCount);
    if (selector === "keyAt") return partitionOfKey(s, this.partitionCount);
    if (selector === "producer-rank") return 0;
    return selector === "custom" ? Math.abs(n) % this.partitionCount : undefined;
  }

  /** Flushes, and brings what was stored into the model. */
  async settle(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    const flushed = this.handle.flush({ signal: AbortSignal.timeout(60_000) });
    if (this.dead !== undefined && pending.length > 0) {
      await errorOf(this.dead, () => flushed);
      for (const { receipt } of pending) {
        expect(receipt.completed).toBe(false);
        expect(receipt.id).toBe(undefined);
        await errorOf(this.dead, () => receipt.wait());
      }
    } else {
      await flushed;
      for (const one of pending) this.#store(one);
    }
    for (const region of this.#regions.splice(0)) {
      await region.idle();
      region.release();
    }
  }

  #store({ event, receipt, partition, inTurn }: Pending): void {
    expect(receipt.completed).toBe(true);
    expect(receipt.error).toBe(undefined);
    const { id } = receipt;
    if (id === undefined) throw new Error("a receipt that completed has no id");
    const { topic, partitionCount } = this;
    if (partition !== undefined) expect(id.partition).toBe(partition);
    if (inTurn && this.#lastInTurn !== undefined) expect(id.partition).toBe((this.#lastInTurn + 1) % partitionCount);
    if (inTurn) this.#lastInTurn = id.partition;
    const events = topic.partitions[id.partition];
    if (events === undefined) throw new Error(`partition ${id.partition} of topic ${topic.name} is not there`);
    // Others may have stored in between, and are asked later: no id twice, and no gap in the end (`checkWhole`).
    expect(events[id.offset]).toBe(undefined);
    events[id.offset] = event;
    expect(id.epoch).toBeGreaterThanOrEqual(topic.epochMin);
    const kindOfOrder = `${id.partition} ${this.isLoose && partition === undefined ? "any" : "named"}`;
    expect(id.offset).toBeGreaterThan(this.#lastOf.get(kindOfOrder) ?? -1);
    this.#lastOf.set(kindOfOrder, id.offset);
    const { name } = this.kind;
    if (name === undefined) return;
    const last = topic.lastOf.get(name) ?? new Map<number, number>();
    topic.lastOf.set(name, last);
    last.set(id.partition, Math.max(last.get(id.partition) ?? -1, id.offset));
  }
}

/** No event is missing between others. */
export function checkWhole(topic: TopicModel): void {
  for (const events of topic.partitions)
    for (let offset = 0; offset < events.length; offset++) expect(events[offset]).toBeDefined();
}

/** The options that make it that kind, with functions that refuse some of what is said (`refusalOf`). */
export function producerOptions(topic: TopicModel, kind: ProducerKind): ProducerOptions<unknown> {
  const { validator, selector } = topic.kind;
  const { isLoose, ...options } = kind;
  const canBeLoose = selector === "round-robin" || selector === "same-node";
  return {
    ...options,
    ...(isLoose && canBeLoose ? { ordering: "loose" as const } : {}),
    ...(validator === "custom" ? { validate: (metadata: unknown) => verdictOn(saidBy(topic.kind, metadata)) } : {}),
    ...(selector === "custom"
      ? { selectPartition: (metadata: unknown, count: number) => choiceOf(saidBy(topic.kind, metadata), count) }
      : {}),
  };
}

/** Of a validator that misbehaves for some numbers. */
function verdictOn({ n }: Said): boolean | string {
  if (n % 11 === 10) return `${n} is no number for us`;
  if (n % 11 === 9) return false;
  if (n % 11 === 8) throw Object.create(null);
  if (n % 11 === 7) return Promise.reject(new Error("said by the test")) as unknown as boolean;
  return true;
}
/** Of a selector that does. */
function choiceOf({ n }: Said, count: number): number {
  if (n % 13 === 12) return count;
  if (n % 13 === 11) return Promise.reject(new Error("said by the test")) as unknown as number;
  if (n % 13 === 10) throw new RangeError("said by the test");
  if (n % 13 === 9) return Object.create(null) as number;
  return Math.abs(n) % count;
}

/** What `push` says to that, where the metadata itself is well formed; undefined: it takes it. */
export function refusalOf(
  { validator, selector, serializer }: TopicKind,
  { n, s }: Said,
  isPlaced: boolean,
): ErrorCode | undefined {
  if (validator === "topic" && n < 0) return "WEFT_VALIDATOR_REJECTED";
  if (validator === "custom" && [8, 9, 10].includes(n % 11)) return "WEFT_VALIDATOR_REJECTED";
  if (validator === "custom" && n % 11 === 7) return "WEFT_INVALID_ARGUMENT";
  if (serializer === "module" && ["unspeakable", "nothing", "later"].includes(s)) return "WEFT_METADATA_INVALID";
  if (!isPlaced) {
    if (selector === "explicit" || selector === "key-hash") return "WEFT_INVALID_ARGUMENT";
    if (selector === "custom" && [9, 11, 12].includes(n % 13)) return "WEFT_PARTITION_RANGE";
    if (selector === "custom" && n % 13 === 10) return "WEFT_INVALID_ARGUMENT";
  }
  return undefined;
}
