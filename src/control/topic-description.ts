// The description of a topic: what the catalogue keeps, partition.json repeats and clients get as JSON
// (docs/formats/control.md). Plain data and pure functions.

import {
  demandsJavaScript,
  DURABILITIES,
  type NormalizedTopicConfig,
  describeFunction,
  serializerNumber,
  STORAGES,
} from "../config/topic-config.js";
import type { NativePartitionRules } from "../native/binding.js";
import { typeText } from "../packed/layout.js";
import type { PackedField } from "../packed/schema.js";

export interface TopicDescription extends NormalizedTopicConfig {
  name: string;
  /** 36 characters, lower case. */
  uuid: string;
  /** RFC 3339. */
  createdAt: string;
  demandsJavaScript: boolean;
  /** The slot of each partition. */
  slots: number[];
  /** It takes no more events. */
  sealed?: boolean;
}

export interface TopicSummary {
  name: string;
  uuid: string;
  createdAt: string;
  partitions: number;
  storage: string;
  durability: string;
  serializer: string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isUuid(value: unknown): value is string {
  return typeof value === "string" && UUID.test(value);
}

export function uuidBytes(uuid: string): Uint8Array {
  return new Uint8Array(Buffer.from(uuid.replaceAll("-", ""), "hex"));
}

export function describeTopic(
  name: string,
  uuid: string,
  createdAt: string,
  config: NormalizedTopicConfig,
  slots: number[],
): TopicDescription {
  return { name, uuid, createdAt, ...config, slots, demandsJavaScript: demandsJavaScript(config) };
}

export function summarizeTopic(topic: TopicDescription): TopicSummary {
  const { name, uuid, createdAt, partitions, storage, durability, serializer } = topic;
  return { name, uuid, createdAt, partitions, storage, durability, serializer: describeFunction(serializer) };
}

/** Numbers of the C ABI (weft_topic_facts). */
export function topicNumbers(topic: TopicDescription): {
  storage: number;
  durability: number;
  serializer: number;
  flags: number;
  eventDataBytesMax: number;
} {
  return {
    storage: STORAGES.indexOf(topic.storage),
    durability: DURABILITIES.indexOf(topic.durability),
    serializer: serializerNumber(topic.serializer),
    flags: (topic.demandsJavaScript ? 1 : 0) | (topic.allowUnvalidated ? 2 : 0),
    // An event in a file may be as large as the device; one in memory has to fit its partition.
    eventDataBytesMax: topic.storage === "memory" ? topic.memoryDataBytes : Number.MAX_SAFE_INTEGER,
  };
}

/** What each of its partitions is told of its end and its retention. */
export function rulesOf({ sealed, producers, producerTimeoutMs, retention }: TopicDescription): NativePartitionRules {
  return {
    sealed: sealed === true ? 1 : 0,
    producers: producers ?? 0,
    producerTimeoutMs: producerTimeoutMs ?? 0,
    retentionBytes: retention?.bytes ?? 0,
    retentionMs: retention?.ageMs ?? 0,
    retentionConsumedBy: retention?.consumedBy?.join(","),
  };
}

/** Partitions of the topic that lie on the slot. */
export function partitionsOnSlot(topic: TopicDescription, slot: number): number[] {
  return topic.slots.flatMap((at, partition) => (at === slot ? [partition] : []));
}

/** Round robin over all slots, beginning at a slot that moves on with each topic, so that small topics spread too. */
export function placePartitions(partitions: number, slotCount: number, topicsBefore: number): number[] {
  return Array.from({ length: partitions }, (_, partition) => (topicsBefore + partition) % slotCount);
}

/** The first member of `wanted` that a topic has otherwise, for "exists already, but"; undefined if none differs. */
export function firstDifference(
  wanted: Partial<NormalizedTopicConfig>,
  topic: TopicDescription,
): { member: string; wanted: unknown; is: unknown } | undefined {
  for (const [member, value] of Object.entries(wanted)) {
    const is = (topic as unknown as Record<string, unknown>)[member];
    if (stableJson(value) === stableJson(is)) continue;
    if (member === "packed" && wanted.packed !== undefined && topic.packed !== undefined) {
      return differenceOfFields(wanted.packed.fields, topic.packed.fields);
    }
    return { member, wanted: value, is };
  }
  return undefined;
}

/** The first field that differs: a schema as a whole is too long to say. */
function differenceOfFields(
  wanted: readonly PackedField[],
  is: readonly PackedField[],
): { member: string; wanted: unknown; is: unknown } {
  const text = (field: PackedField | undefined): string => (field ? `${field.name}: ${typeText(field)}` : "no field");
  const at = wanted.findIndex((field, index) => stableJson(field) !== stableJson(is[index]));
  const index = at < 0 ? wanted.length : at;
  return { member: `packed.fields[${index}]`, wanted: text(wanted[index]), is: text(is[index]) };
}

/** JSON with the members of objects in order of name, so that equal values have equal texts. */
export function stableJson(value: unknown): string {
  return (
    JSON.stringify(value, (_key, inner: unknown) =>
      inner !== null && typeof inner === "object" && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)))
        : inner,
    ) ?? "undefined"
  );
}
