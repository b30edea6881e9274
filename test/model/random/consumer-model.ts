// A consumer beside what it should hand out: for each partition where it goes on, what is acknowledged, and which bytes of
// each event it is to give.
import fc from "fast-check";
import { expect } from "vitest";

import {
  type Allocate,
  type Consumer,
  type ConsumerOptions,
  type ErrorCode,
  type Event,
  type FrameFacts,
  type Job,
  type Region,
  type Select,
  type Selection,
  isWeftError,
} from "../../../src/index.js";
import { type Expected, type Recipe, anyRecipe, expectedOf, selectionOf } from "./selections.js";
import { type ModelEvent, type TopicModel, saidBy } from "./topic-model.js";

export type Begin = "earliest" | "latest" | "cursor" | { readonly offset: number };
export type Memory = "library" | "plain" | "region" | { readonly bad: number };
export interface ConsumerKind {
  readonly name: string | undefined;
  /** Bits of a mask; of the partitions that there are none: all. */
  readonly partitions: number;
  readonly from: Begin;
  readonly until: "end" | "never" | { readonly offset: number };
  readonly how: "one" | "each" | "frame" | "badFrame";
  readonly recipes: readonly Recipe[];
  readonly memory: Memory;
  /** Undefined: the default, 1,000. */
  readonly ackEvery: number | undefined;
  readonly prefetchEvents: number | undefined;
  readonly slabs: number;
  readonly slabBytes: number;
}

export const begin: fc.Arbitrary<Begin> = fc.oneof(
  fc.constantFrom<Begin>("earliest", "earliest", "latest", "cursor", "cursor"),
  fc.record({ offset: fc.nat(40) }),
);
export const consumerKind: fc.Arbitrary<ConsumerKind> = fc.record({
  name: fc.constantFrom(undefined, "c-0", "c-1", "c-2"),
  partitions: fc.nat(15),
  from: begin,
  until: fc.oneof(fc.constantFrom("end" as const, "never" as const), fc.record({ offset: fc.nat(40) })),
  how: fc.constantFrom<ConsumerKind["how"]>("one", "each", "each", "frame", "frame", "badFrame"),
  recipes: fc.array(anyRecipe, { minLength: 1, maxLength: 5 }),
  memory: fc.oneof(fc.constantFrom<Memory>("library", "library", "plain", "region"), fc.record({ bad: fc.nat(20) })),
  ackEvery: fc.constantFrom(0, 0, 3, undefined),
  prefetchEvents: fc.constantFrom(undefined, undefined, 1, 7),
  slabs: fc.integer({ min: 1, max: 3 }),
  slabBytes: fc.constantFrom(4096, 65_536, 1024 ** 2),
});

interface PartitionModel {
  next: number;
  /** Before it all is done, and behind it what `done` has. */
  position: number;
  readonly done: Set<number>;
  /** Where iteration ends. */
  readonly limit: number;
  /** It was moved, and no event acknowledged since. */
  isMoved: boolean;
  /** What the consumer may take for committed: a position that is that is not committed again. */
  committed: ReadonlySet<number>;
}

/** What an allocator gives that is no good. */
const badMemory: readonly ((job: Job, bytes: number) => unknown)[] = [
  (_job, bytes) => new Uint8Array(bytes - 1),
  (_job, bytes) => {
    const memory = new Uint8Array(bytes);
    structuredClone(memory.buffer, { transfer: [memory.buffer] });
    return memory;
  },
  (_job, bytes) => {
    const { buffer } = new Uint8Array(bytes);
    structuredClone(buffer, { transfer: [buffer] });
    return buffer;
  },
  (job, bytes) => {
    const region = job.alloc(bytes);
    region.release();
    return region;
  },
  (_job, bytes) => new SharedArrayBuffer(bytes),
  () => "memory",
  () => null,
  () => Promise.reject(new Error("said by the test")),
  () => {
    throw Object.create(null);
  },
];

export class ConsumerModel {
  readonly topic: TopicModel;
  readonly kind: ConsumerKind;
  readonly handle: Consumer;
  readonly partitions = new Map<number, PartitionModel>();
  /** The last ones, for acknowledgements. */
  readonly handed: Event[] = [];
  readonly #regions: Region[];

  constructor(topic: TopicModel, kind: ConsumerKind, handle: Consumer, regions: Region[]) {
    this.topic = topic;
    this.kind = kind;
    this.handle = handle;
    this.#regions = regions;
    for (const partition of partitionsOf(topic, kind)) {
      const start = startOf(topic, kind, partition);
      const { until } = kind;
      const limit = until === "end" ? topic.countOf(partition) : until === "never" ? Infinity : until.offset;
      const committed = new Set([start]);
      this.partitions.set(partition, {
        next: start,
        position: start,
        done: new Set(),
        limit,
        isMoved: false,
        committed,
      });
    }
  }

  recipeOf(offset: number): Recipe {
    return this.kind.recipes[(this.kind.how === "one" ? 0 : offset) % this.kind.recipes.length] ?? { kind: "all" };
  }
  #event(partition: number, offset: number): ModelEvent {
    const event = this.topic.partitions[partition]?.[offset];
    if (event === undefined) throw new Error(`the model has no event ${partition}:${offset} of ${this.topic.name}`);
    return event;
  }
  #isSkipped(partition: number, offset: number): boolean {
    if (this.kind.how === "badFrame") return false;
    return this.expected(partition, offset) === "skip";
  }

  /** What reading the event's data gives. */
  expected(partition: number, offset: number): Expected {
    const { how, memory } = this.kind;
    const { data } = this.#event(partition, offset);
    if (how === "badFrame") return { code: "WEFT_INVALID_ARGUMENT" };
    const recipe = this.recipeOf(offset);
    const expected = expectedOf(recipe, data);
    const isBad = typeof memory === "object" && typeof expected === "object" && "bytes" in expected;
    if (!isBad || expected.bytes.length === 0) return expected;
    return { code: memory.bad % badMemory.length === 3 ? "WEFT_CLOSED" : "WEFT_INVALID_ARGUMENT" };
  }

  #end(partition: number, { limit }: PartitionModel): number {
    return Math.min(limit, this.topic.countOf(partition));
  }

  /** Events that it has still to hand out of what is there. */
  get left(): number {
    let count = 0;
    for (const [partition, one] of this.partitions) {
      for (let offset = one.next; offset < this.#end(partition, one); offset++)
        if (!this.#isSkipped(partition, offset)) count++;
    }
    return count;
  }
  /** Nothing more can come. */
  get isOver(): boolean {
    if (this.left > 0) return false;
    return [...this.partitions].every(
      ([partition, { limit, next }]) => this.topic.sealed || limit <= Math.max(next, this.topic.countOf(partition)),
    );
  }

  /** An event was handed out: it must be the next one, and say what was pushed. */
  take(event: Event): void {
    const { partition, offset } = event;
    const one = this.partitions.get(partition);
    if (one === undefined) throw new Error(`partition ${partition} is not read`);
    while (one.next < this.#end(partition, one) && this.#isSkipped(partition, one.next)) one.next++;
    expect(`${partition}:${offset}`).toBe(`${partition}:${one.next}`);
    expect(offset).toBeLessThan(this.#end(partition, one));
    one.next++;
    const stored = this.#event(partition, offset);
    expect(saidBy(this.topic.kind, event.metadata)).toEqual({ n: stored.n, s: stored.s });
    expect(event.dataLength).toBe(stored.data.length);
    expect(event.epoch).toBeGreaterThanOrEqual(this.topic.epochMin);
    this.checkData(event);
    this.handed.push(event);
    if (this.handed.length > 100) this.handed.shift();
  }

  checkData(event: Event): void {
    const expected = this.expected(event.partition, event.offset);
    if (expected === "skip") throw new Error(`${event.partition}:${event.offset} was to be passed over`);
    expect(codeOfData(event)).toBe("code" in expected ? expected.code : undefined);
    if ("bytes" in expected) expect(Buffer.compare(event.data, expected.bytes)).toBe(0);
  }

  acknowledge(event: Event): void {
    event.ack();
    const one = this.partitions.get(event.partition);
    if (one === undefined) return;
    one.isMoved = false;
    if (event.offset >= one.position) one.done.add(event.offset);
    this.#advance(one);
  }
  #advance(one: PartitionModel): void {
    while (one.done.delete(one.position)) one.position++;
  }

  /**
   * Between which offsets the position lies: events that are passed over count as acknowledged as soon as the consumer has
   * looked at them, which may be ahead of what was handed out.
   */
  positionRange(partition: number): [low: number, high: number] {
    const one = this.partitions.get(partition);
    if (one === undefined) throw new Error(`partition ${partition} is not read`);
    const upTo = (seen: number): number => {
      let at = one.position;
      while (one.done.has(at) || (at < seen && this.#isSkipped(partition, at))) at++;
      return at;
    };
    return [upTo(one.next), upTo(this.#end(partition, one))];
  }

  moveTo(partition: number, start: number): void {
    const one = this.partitions.get(partition);
    if (one === undefined) return;
    one.next = start;
    one.position = start;
    one.done.clear();
    one.isMoved = true;
  }

  /** Regions that its allocator made, when it is closed. */
  async releaseRegions(): Promise<void> {
    for (const region of this.#regions.splice(0)) {
      await region.idle();
      region.release();
    }
  }
}

export function codeOfData(event: Event): ErrorCode | undefined {
  try {
    void event.data;
    return undefined;
  } catch (error) {
    if (isWeftError(error)) return error.code;
    throw error;
  }
}

/** Those that it reads: of the topic as it is now. */
export function partitionsOf(topic: TopicModel, { partitions: mask }: ConsumerKind): number[] {
  const all = Array.from({ length: topic.handle.partitionCount }, (_, partition) => partition);
  const chosen = all.filter((partition) => (mask >> partition) & 1);
  return chosen.length === 0 ? all : chosen;
}

export function startOf(
  topic: TopicModel,
  { name, from }: Pick<ConsumerKind, "name" | "from">,
  partition: number,
): number {
  if (from === "earliest") return 0;
  if (from === "latest") return topic.countOf(partition);
  return from === "cursor" ? (topic.cursorOf(name, partition) ?? 0) : from.offset;
}

/** The options that make it that kind. */
export function consumerOptions(
  topic: TopicModel,
  kind: ConsumerKind,
  job: Job,
  regions: Region[],
): ConsumerOptions<unknown> {
  const { name, from, until, how, recipes, memory, ackEvery, prefetchEvents, slabs, slabBytes } = kind;
  const recipe = (offset: number): Recipe => recipes[offset % recipes.length] ?? { kind: "all" };
  const select: Select<unknown> = (_metadata, { offset, dataLength }) =>
    selectionOf(recipe(how === "one" ? 0 : offset), dataLength);
  const selectFrame = (events: readonly FrameFacts<unknown>[]): readonly Selection[] => {
    if (how === "badFrame") return [];
    return events.map(({ offset, dataLength }) => selectionIn(recipe(offset), dataLength));
  };
  const allocate: Allocate<unknown> = (_metadata, { bytes }) => {
    if (typeof memory === "object") return badMemory[memory.bad % badMemory.length]?.(job, bytes) as Uint8Array;
    if (memory === "plain") return new Uint8Array(bytes + 3);
    const region = job.alloc(bytes + 8);
    regions.push(region);
    return region.slice(8);
  };
  return {
    ...{ name, from, until, ackEvery, prefetchEvents, slabs, slabBytes },
    prefetchBytes: 2 * 1024 ** 2 + 64 * 1024,
    partitions: partitionsOf(topic, kind),
    ...(how === "frame" || how === "badFrame" ? { selectFrame } : { select }),
    ...(memory === "library" ? {} : { allocate }),
  };
}

/** In a list that has one for each event, what one of them is must not throw. */
function selectionIn(recipe: Recipe, length: number): Selection {
  try {
    return selectionOf(recipe, length, false);
  } catch {
    return selectionOf({ kind: "outside" }, length);
  }
}
