/**
 * Which partition an event goes to, as the topic's selector or the producer's options have it. With loose ordering most
 * events get none here: `anyPartition`, and their batch gets one when it is sent (`./free-lines.ts`).
 */

import { checkMembers, forget, invalid } from "../check.js";
import { isModuleConfig } from "../config/module-config.js";
import type { PartitionSelector } from "../config/topic-config.js";
import { WeftError, wordsOf } from "../errors.js";
import type { NativeBinding } from "../native/binding.js";
import type { TopicContext } from "../topic/context.js";
import { localSlots } from "../topic/local-slots.js";
import { loadSelector, typeOf } from "../topic/modules.js";
import type { Segment } from "./batch-arena.js";
import { valueOf } from "./metadata.js";
import type { ProducerOptions, PushOptions, SelectPartition } from "./options.js";
import { describeData } from "./segments.js";

/** In the place of a partition: their number. Such events wait for the partition that is free. */
export const anyPartition = ({ partitionCount }: TopicContext): number => partitionCount;

/** `segments` is the event's data. */
export type ChoosePartition<Metadata> = (
  metadata: Metadata,
  options: PushOptions | undefined,
  segments: readonly Segment[],
) => number;

/** Partitions whose server is on this host; all, if there is none. */
async function localPartitions(topic: TopicContext): Promise<number[]> {
  const { slots } = topic.description;
  const isLocal = await localSlots(topic, slots);
  const local = [...slots.keys()].filter((partition) => isLocal.has(slots[partition] ?? -1));
  return local.length > 0 ? local : [...slots.keys()];
}

/** What has to be found out before a producer chooses partitions as its topic says. */
export interface TopicSelection {
  /** The function of the topic's module. */
  readonly select?: SelectPartition;
  /** For "same-node". */
  readonly partitions?: readonly number[];
}

/** WEFT_MODULE. */
export async function topicSelection(topic: TopicContext): Promise<TopicSelection> {
  const { partitionSelector } = topic.description;
  if (isModuleConfig(partitionSelector)) return { select: await loadSelector(topic.name, partitionSelector) };
  return partitionSelector === "same-node" ? { partitions: await localPartitions(topic) } : {};
}

export function partitionChoice<Metadata>(
  topic: TopicContext,
  options: ProducerOptions<Metadata>,
  binding: NativeBinding,
  selection: TopicSelection,
): ChoosePartition<Metadata> {
  const count = topic.partitionCount;
  const check = (partition: number): number => {
    if (Number.isInteger(partition) && partition >= 0 && partition < count) return partition;
    throw new WeftError(
      "WEFT_PARTITION_RANGE",
      `topic '${topic.name}' has no partition ${wordsOf(partition)}: they are 0 to ${count - 1}`,
    );
  };
  const partitionOfKey = (key: string): number => binding.crc32c(Buffer.from(key), 0) % count;
  const select = options.selectPartition ?? selection.select;
  if (options.ordering === "loose") checkLoose(topic, options.selectPartition !== undefined);
  const any = anyPartition(topic);
  const byDefault: ChoosePartition<Metadata> =
    options.ordering === "loose"
      ? () => any
      : select === undefined
        ? topicChoice(topic, partitionOfKey, selection.partitions)
        : (metadata, _given, segments) =>
            check(selected(topic.name, () => select(valueOf(metadata), count, describeData(segments))));
  return (metadata, given, segments) => {
    if (given !== undefined) checkPushOptions(given);
    if (given?.partition !== undefined) return check(given.partition);
    if (given?.key === undefined) return byDefault(metadata, given, segments);
    if (typeof given.key !== "string") throw invalid("the key", given.key, "a text");
    return partitionOfKey(given.key);
  };
}

const pushMembers = ["partition", "key"];

/** A misspelt option must not be ignored. Of every push: without a list of its members. */
function checkPushOptions(given: unknown): void {
  let isKnown = typeof given === "object" && given !== null && !Array.isArray(given);
  for (const member in given as object) isKnown &&= member === "partition" || member === "key";
  if (!isKnown) checkMembers("push", given, pushMembers);
}

/** Elsewhere the partition says something, and an event must not go to another one because that is free. */
function checkLoose(topic: TopicContext, chosenByOption: boolean): void {
  const { partitionSelector } = topic.description;
  const byTurn = partitionSelector === "round-robin" || partitionSelector === "same-node";
  if (byTurn && !chosenByOption) return;
  const by = chosenByOption ? "the producer's selectPartition" : `its selector ${JSON.stringify(partitionSelector)}`;
  throw new WeftError(
    "WEFT_INVALID_ARGUMENT",
    `ordering of a producer of topic '${topic.name}' is "loose", but ${by} chooses the partition of each event`,
    { next: 'leave ordering out, or use the selector "round-robin" or "same-node"' },
  );
}

function selected(topicName: string, select: () => number): number {
  try {
    const partition = select();
    forget(partition);
    return partition;
  } catch (cause) {
    const why = wordsOf(cause);
    throw new WeftError("WEFT_INVALID_ARGUMENT", `the partition selector of topic '${topicName}' threw: ${why}`, {
      cause,
      next: "correct the function, or name the partition in push",
    });
  }
}

function topicChoice<Metadata>(
  topic: TopicContext,
  partitionOfKey: (key: string) => number,
  partitions: readonly number[] | undefined,
): (metadata: Metadata) => number {
  const count = topic.partitionCount;
  const demand = (member: string) => (): never => {
    throw new WeftError("WEFT_INVALID_ARGUMENT", `topic '${topic.name}' demands a ${member} with each event`, {
      next: `push(metadata, data, { ${member} })`,
    });
  };
  const selector = topic.description.partitionSelector as PartitionSelector | undefined;
  if (typeof selector === "object" && "keyAt" in selector) {
    const keyOf = keyAt(topic.name, selector.keyAt);
    return (metadata) => partitionOfKey(keyOf(valueOf(metadata)));
  }
  switch (selector) {
    case "explicit":
      return demand("partition");
    case "key-hash":
      return demand("key");
    case "producer-rank":
      return () => topic.job.rank % count;
    case "same-node":
      return inTurn(partitions ?? [], topic.job.rank);
    case "custom":
      throw new WeftError(
        "WEFT_UNSUPPORTED",
        `topic '${topic.name}' has the partition selector '${selector}', which needs a function`,
        { next: "give selectPartition in the producer's options" },
      );
    case "round-robin":
    case undefined: // where a test has no catalogue
      return inTurn([...Array(count).keys()], topic.job.rank);
    default:
      throw new WeftError(
        "WEFT_UNSUPPORTED",
        `topic '${topic.name}' has a partition selector that is not known: ${JSON.stringify(selector)}`,
        { next: "use the version of Weftline that created it, or give selectPartition in the producer's options" },
      );
  }
}

/** Begins anywhere, so that many producers of few events do not all meet in the first partition. */
function inTurn(partitions: readonly number[], rank: number): () => number {
  let next = (rank + Math.floor(Math.random() * partitions.length)) % partitions.length;
  return () => {
    const partition = partitions[next] ?? 0;
    if (++next === partitions.length) next = 0;
    return partition;
  };
}

/** The value at a JSON pointer, as a text. */
function keyAt(topicName: string, pointer: string): (metadata: unknown) => string {
  const steps = pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  return (metadata) => {
    let value: unknown = metadata;
    for (const step of steps) {
      const isThere = typeof value === "object" && value !== null && Object.hasOwn(value, step);
      value = isThere ? (value as Record<string, unknown>)[step] : undefined;
    }
    if (typeof value === "string") return value;
    if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
    throw new WeftError(
      "WEFT_METADATA_INVALID",
      `an event for topic '${topicName}' has no key: at ${pointer} its metadata has ${value === undefined ? "nothing" : typeOf(value)}`,
      { next: "push metadata with a text or a number there, or give the key or the partition" },
    );
  };
}
