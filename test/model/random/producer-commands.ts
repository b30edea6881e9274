// Commands on producers: opening, pushing what is taken and what is refused, flushing, closing.
import { expect } from "vitest";
import fc from "fast-check";

import { EncodedJson, type ErrorCode, type EventData } from "../../../src/index.js";
import { errorOf } from "../support.js";
import { closeProducer } from "./close.js";
import {
  type DataKind,
  type ProducerKind,
  ProducerModel,
  dataKind,
  producerKind,
  producerOptions,
  refusalOf,
  said,
} from "./producer-model.js";
import { type Said, metadataOf } from "./topic-model.js";
import { type Command, type World, pick, shown, which } from "./world.js";

const producersMax = 5;
/** Of a partition in memory, which has room for twice as much. */
const memoryBytesMax = 3 * 1024 ** 2;

class OpenProducer implements Command {
  constructor(
    readonly topic: number,
    readonly kind: ProducerKind,
  ) {}
  check = (world: World): boolean => world.topics.length > 0 && world.producers.length < producersMax;
  async run(world: World): Promise<void> {
    const topic = pick(world.topics, this.topic);
    await world.settle(topic);
    const options = producerOptions(topic, this.kind);
    if (topic.kind.validator === "custom") {
      await errorOf("WEFT_UNSUPPORTED", () => topic.handle.producer({ ...options, validate: undefined }));
    }
    if (topic.sealed) {
      await errorOf("WEFT_TOPIC_SEALED", () => topic.handle.producer(options));
      return;
    }
    const handle = await topic.handle.producer(options);
    const { name } = this.kind;
    if (name !== undefined) {
      for (const other of world.producers)
        if (other.topic === topic && other.kind.name === name) other.dead ??= "WEFT_FENCED";
    }
    for (let partition = 0; partition < topic.handle.partitionCount; partition++) {
      const last = name === undefined ? undefined : topic.lastOf.get(name)?.get(partition);
      expect(handle.storedBefore(partition)?.offset).toBe(last);
    }
    world.producers.push(new ProducerModel(topic, this.kind, handle));
  }
  toString = (): string => `openProducer(${shown(this.topic, this.kind)})`;
}

interface Item {
  readonly said: Said;
  readonly data: DataKind;
  /** Of the partition or the key that is given, if one is. */
  readonly place: number;
  readonly how: "topic" | "partition" | "key";
}

class Push implements Command {
  constructor(
    readonly producer: number,
    readonly items: readonly Item[],
  ) {}
  check = (world: World): boolean =>
    world.producers.length > 0 && pick(world.producers, this.producer).topic.bytes < memoryBytesMax;
  async run(world: World): Promise<void> {
    const producer = pick(world.producers, this.producer);
    const { kind } = producer.topic;
    for (const { said: one, data, place, how } of this.items) {
      const partition = place % producer.partitionCount;
      const options = how === "partition" ? { partition } : how === "key" ? { key: `key ${place % 5}` } : {};
      const code = refusalOf(kind, one, how !== "topic");
      const push = (): void => {
        producer.push(metadataOf(kind, one), one, data, world.nextSalt(), options);
      };
      if (code === undefined) push();
      else await errorOf(code, push);
    }
  }
  toString = (): string => `push(${shown(this.producer, this.items)})`;
}

/** Calls of `push` that it refuses, whatever the topic is: the next ones go on as if they had not been. */
const refusals: readonly {
  readonly what: string;
  readonly codes: readonly ErrorCode[];
  readonly push: (producer: ProducerModel, metadata: unknown) => unknown;
}[] = [
  ...[-1, 4096, 0.5, NaN, "0", null, 1n].map((partition) => ({
    what: `partition ${String(partition)}`,
    codes: ["WEFT_PARTITION_RANGE"] as const,
    push: ({ handle }: ProducerModel, metadata: unknown) =>
      handle.push(metadata, undefined, { partition: partition as number }),
  })),
  ...[7, null, {}].map((key) => ({
    what: `key ${JSON.stringify(key)}`,
    codes: ["WEFT_INVALID_ARGUMENT"] as const,
    push: ({ handle }: ProducerModel, metadata: unknown) => handle.push(metadata, undefined, { key: key as string }),
  })),
  ...[null, 5, "0", [], { partiton: 0 }].map((options) => ({
    what: `options ${JSON.stringify(options)}`,
    codes: ["WEFT_INVALID_ARGUMENT"] as const,
    push: ({ handle }: ProducerModel, metadata: unknown) => handle.push(metadata, undefined, options as object),
  })),
  ...(
    [
      ["null", () => null],
      ["a number", () => 7],
      ["a text", () => "text"],
      ["an object", () => ({})],
      ["a list with a number", () => [new Uint8Array(3), 7]],
      ["bare shared memory", () => new SharedArrayBuffer(8)],
      ["a detached view", () => detached()],
      ["a detached buffer", () => detached().buffer],
      ["a list with a detached view", () => [new Uint8Array(3), detached()]],
      [
        "a large resizable buffer",
        () => new (ArrayBuffer as ResizableConstructor)(100_000, { maxByteLength: 200_000 }),
      ],
      ["a slice of no region", () => ({ region: {}, start: 0, end: 1 })],
    ] as const
  ).map(([what, data]) => ({
    what: `data that is ${what}`,
    codes: ["WEFT_INVALID_ARGUMENT"] as const,
    push: ({ handle }: ProducerModel, metadata: unknown) =>
      handle.push(metadata, data() as unknown as EventData, { partition: 0 }),
  })),
  ...[
    [-8, 8],
    [0, 1e9],
    [8, 0],
    [0.5, 8.5],
    [NaN, NaN],
  ].map(([start, end]) => ({
    what: `a slice from ${start} to ${end}`,
    codes: ["WEFT_INVALID_ARGUMENT"] as const,
    push: ({ handle }: ProducerModel, metadata: unknown) => {
      const region = handle.alloc(64);
      try {
        return handle.push(metadata, { region, start: start ?? 0, end: end ?? 0 }, { partition: 0 });
      } finally {
        region.release();
      }
    },
  })),
  {
    what: "a region that was released",
    codes: ["WEFT_CLOSED"],
    push: ({ handle }, metadata) => {
      const region = handle.alloc(64);
      const slice = region.slice(8);
      region.release();
      return handle.push(metadata, slice, { partition: 0 });
    },
  },
  ...[undefined, () => 1, Symbol("s"), 1n, circular()].map((metadata) => ({
    what: `metadata that is a ${typeof metadata}`,
    codes: ["WEFT_METADATA_INVALID", "WEFT_VALIDATOR_REJECTED"] as const,
    push: ({ handle, topic }: ProducerModel) => {
      // A validator or serializer of the test's own would have to look at it first.
      if (topic.kind.validator === "custom" || topic.kind.serializer === "module") throw notTried;
      return handle.push(metadata, undefined, { partition: 0 });
    },
  })),
  {
    what: "metadata in detached memory",
    codes: ["WEFT_METADATA_INVALID"],
    push: ({ handle, topic }) => {
      if (topic.kind.serializer !== "raw" || topic.kind.validator === "custom") throw notTried;
      return handle.push(detached(), undefined, { partition: 0 });
    },
  },
  {
    what: "metadata of more than a mebibyte",
    codes: ["WEFT_EVENT_TOO_LARGE"],
    push: ({ handle, topic }) => {
      const one = { n: 0, s: "x".repeat(1024 ** 2 + 1) };
      return handle.push(metadataOf(topic.kind, one), undefined, { partition: 0 });
    },
  },
  ...[5, undefined, null, {}].map((text) => ({
    what: `EncodedJson of a ${typeof text}`,
    codes: ["WEFT_INVALID_ARGUMENT"] as const,
    push: ({ handle }: ProducerModel) => handle.push(new EncodedJson(text as string), undefined, { partition: 0 }),
  })),
];

type ResizableConstructor = new (bytes: number, options: { readonly maxByteLength: number }) => ArrayBuffer;
const notTried = new Error("this topic has a function of its own there");

function detached(): Uint8Array {
  const memory = new Uint8Array(100);
  structuredClone(memory.buffer, { transfer: [memory.buffer] });
  return memory;
}
function circular(): object {
  const one: Record<string, unknown> = {};
  one["itself"] = one;
  return one;
}

class PushRefused implements Command {
  constructor(
    readonly producer: number,
    readonly refusal: number,
  ) {}
  check = (world: World): boolean => world.producers.length > 0;
  async run(world: World): Promise<void> {
    const producer = pick(world.producers, this.producer);
    const { codes, push } = pick(refusals, this.refusal);
    const { handle, topic } = producer;
    const before = [handle.queued, handle.stored];
    try {
      push(producer, metadataOf(topic.kind, { n: 0, s: "refused" }));
    } catch (error) {
      if (error === notTried) return;
      expect(codes).toContain((error as { code?: unknown }).code ?? error);
      expect(handle.queued).toBe(before[0]);
      return;
    }
    throw new Error("push took it");
  }
  toString = (): string => `pushRefused(${this.producer}, ${this.refusal} /* ${pick(refusals, this.refusal).what} */)`;
}

class Flush implements Command {
  constructor(readonly producer: number) {}
  check = (world: World): boolean => world.producers.length > 0;
  run = async (world: World): Promise<void> => {
    await pick(world.producers, this.producer).settle();
  };
  toString = (): string => `flush(${this.producer})`;
}

class CloseProducer implements Command {
  constructor(readonly producer: number) {}
  check = (world: World): boolean => world.producers.length > 0;
  async run(world: World): Promise<void> {
    const producer = pick(world.producers, this.producer);
    await closeProducer(world, producer);
    const { handle, topic } = producer;
    await errorOf("WEFT_CLOSED", () =>
      handle.push(metadataOf(topic.kind, { n: 0, s: "" }), undefined, { partition: 0 }),
    );
    await handle.close();
  }
  toString = (): string => `closeProducer(${this.producer})`;
}

const item: fc.Arbitrary<Item> = fc.record({
  said: fc.oneof(
    { weight: 12, arbitrary: said },
    { weight: 1, arbitrary: fc.constantFrom("unspeakable", "nothing", "later").map((s) => ({ n: 0, s })) },
    { weight: 1, arbitrary: fc.constant({ n: -1, s: "below" }) },
  ),
  data: dataKind,
  place: which,
  how: fc.constantFrom<Item["how"]>("topic", "topic", "partition", "key"),
});

export const producerCommands = {
  open: fc.tuple(which, producerKind).map(([topic, kind]) => new OpenProducer(topic, kind)),
  push: fc
    .tuple(which, fc.array(item, { minLength: 1, maxLength: 25 }))
    .map(([producer, items]) => new Push(producer, items)),
  pushRefused: fc.tuple(which, which).map(([producer, refusal]) => new PushRefused(producer, refusal)),
  flush: which.map((producer) => new Flush(producer)),
  close: which.map((producer) => new CloseProducer(producer)),
};
