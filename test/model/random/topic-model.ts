// What the servers should have: topics as arrays of events, one for each partition, and the positions of consumers' names.
// The topics of the test come in all kinds; each kind says what metadata it takes, and where an event goes.
import fc from "fast-check";

import type { ErrorCode, Topic, TopicConfig } from "../../../src/index.js";

/** What an event says: stored as the topic's serializer has it. */
export interface Said {
  readonly n: number;
  readonly s: string;
}
export interface ModelEvent extends Said {
  readonly data: Uint8Array;
}

export interface TopicKind {
  readonly partitions: number;
  readonly storage: "disk" | "memory";
  readonly durability: "memory" | "written" | "synced";
  readonly serializer: "json" | "raw" | "packed" | "module";
  readonly validator: "none" | "topic" | "custom";
  readonly selector: "round-robin" | "explicit" | "key-hash" | "keyAt" | "producer-rank" | "same-node" | "custom";
}

export const topicKind: fc.Arbitrary<TopicKind> = fc
  .record({
    partitions: fc.integer({ min: 1, max: 4 }),
    storage: fc.constantFrom("disk" as const, "disk" as const, "memory" as const),
    durability: fc.constantFrom("memory" as const, "written" as const, "synced" as const),
    serializer: fc.constantFrom("json" as const, "json" as const, "raw" as const, "packed" as const, "module" as const),
    validator: fc.constantFrom("none" as const, "topic" as const, "custom" as const),
    selector: fc.constantFrom<TopicKind["selector"]>(
      ...(["round-robin", "round-robin", "explicit", "key-hash", "keyAt"] as const),
      ...(["producer-rank", "same-node", "custom"] as const),
    ),
  })
  .map((kind) => ({
    ...kind,
    durability: kind.storage === "memory" ? "memory" : kind.durability,
    // Bytes have no fields.
    validator: kind.serializer === "raw" && kind.validator === "topic" ? "none" : kind.validator,
    selector: kind.serializer === "raw" && kind.selector === "keyAt" ? "key-hash" : kind.selector,
  }));

/** A serializer that turns the JSON round, and fails for an `s` of "unspeakable". */
export const codecModule = `
export default () => ({
  encode({ n, s }) {
    if (s === "unspeakable") throw Object.create(null);
    if (s === "nothing") return undefined;
    if (s === "later") return Promise.reject(new Error("said by the test"));
    return [...JSON.stringify({ n, s })].reverse().join("");
  },
  decode: (bytes) => JSON.parse([...new TextDecoder().decode(bytes)].reverse().join("")),
});`;

export function configOf(kind: TopicKind, module: string): TopicConfig {
  const { partitions, storage, durability, serializer, validator, selector } = kind;
  const fields = [
    { name: "n", type: "i32" },
    { name: "s", type: "string" },
  ] as const;
  const schema = {
    type: "object",
    properties: { n: { type: "integer", minimum: 0 }, s: { type: "string" } },
    required: ["n"],
  };
  return {
    ...{ partitions, storage, durability },
    ...(serializer === "packed"
      ? { packed: { fields } }
      : { serializer: serializer === "module" ? { module } : serializer }),
    ...(validator === "none" ? {} : { validator: validator === "topic" ? { schema } : validator }),
    partitionSelector: selector === "keyAt" ? { keyAt: "/s" } : selector,
    ...(storage === "memory" ? { memoryDataBytes: "8 MiB", memoryMetadataBytes: "2 MiB" } : {}),
  };
}

/** What is pushed for that, and what comes back. */
export function metadataOf(kind: TopicKind, { n, s }: Said): unknown {
  return kind.serializer === "raw" ? Buffer.from(JSON.stringify({ n, s })) : { n, s };
}
export function saidBy(kind: TopicKind, metadata: unknown): Said {
  const { n, s } = (
    kind.serializer === "raw" ? JSON.parse(Buffer.from(metadata as Uint8Array).toString()) : metadata
  ) as Said;
  return { n, s };
}

/** CRC32C, bit by bit. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
export const partitionOfKey = (key: string, partitions: number): number => crc32c(Buffer.from(key)) % partitions;

export class TopicModel {
  readonly name: string;
  readonly kind: TopicKind;
  handle: Topic;
  /** By partition, then by offset. */
  readonly partitions: ModelEvent[][];
  /** Lowest epoch that a stored event may have: it grows when a partition in memory begins anew. */
  epochMin = 0;
  sealed = false;
  deleted = false;
  /** By name of a consumer and partition; none: never committed. */
  readonly cursors = new Map<string, Map<number, number>>();
  /** By name of a producer and partition: the offset of the last event stored under it. */
  readonly lastOf = new Map<string, Map<number, number>>();

  constructor(name: string, kind: TopicKind, handle: Topic) {
    this.name = name;
    this.kind = kind;
    this.handle = handle;
    this.partitions = Array.from({ length: kind.partitions }, () => []);
  }

  countOf(partition: number): number {
    return this.partitions[partition]?.length ?? 0;
  }
  /** Roughly what a partition in memory holds at most. */
  get bytes(): number {
    return Math.max(
      0,
      ...this.partitions.map((events) => events.reduce((sum, { data }) => sum + data.length + 256, 0)),
    );
  }
  /** What a restart leaves. */
  restarted(): void {
    if (this.kind.storage === "disk") return;
    for (const events of this.partitions) events.length = 0;
    this.cursors.clear();
    this.lastOf.clear();
    this.epochMin++;
  }
  cursorOf(name: string | undefined, partition: number): number | undefined {
    return name === undefined ? undefined : this.cursors.get(name)?.get(partition);
  }
}

/** A call that must fail, with one of these codes. */
export type Codes = readonly ErrorCode[];
