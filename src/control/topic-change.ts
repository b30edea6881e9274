// What of a topic may be changed after it was created, and what it becomes. Pure.

import { WeftError } from "../errors.js";
import { formatPath, normalizeTopicConfig, type TopicConfig } from "../config/topic-config.js";
import type { RetentionConfig } from "../config/retention-config.js";
import { describeValue, nearest } from "../config/units.js";
import { type TopicDescription, placePartitions } from "./topic-description.js";

/** Members that are not given stay as they are. */
export interface TopicChange {
  /** null: none. */
  retention?: RetentionConfig | null;
  /** null: it ends only when it is sealed. */
  producers?: number | null;
  producerTimeoutMs?: number | string;
  /**
   * At least as many as there are. Who opens the topic from then on sees the new ones; with a hash of keys, keys go to other
   * partitions than before.
   */
  partitions?: number;
  /** Which slots hold the new partitions; default round robin. */
  slots?: number[];
}

const members: readonly string[] = ["retention", "producers", "producerTimeoutMs", "partitions", "slots"];

function refuse(topic: TopicDescription, message: string, next = "correct that member"): WeftError {
  return new WeftError("WEFT_CONFIG_INVALID", `topic '${topic.name}': change: ${message}`, { next });
}

/** The topic as it is after the change; WEFT_CONFIG_INVALID. `slotCount`: of the job; `topicsBefore` as of `placePartitions`. */
export function changedTopic(
  topic: TopicDescription,
  change: TopicChange,
  { slotCount, topicsBefore }: { slotCount: number; topicsBefore: number },
): TopicDescription {
  for (const member of Object.keys(change)) {
    if (members.includes(member)) continue;
    const guess = nearest(member, members);
    throw refuse(
      topic,
      `'${member}' cannot be changed${guess === undefined ? "" : `; did you mean '${guess}'?`}; what can be is ${members.join(", ")}`,
      "create another topic",
    );
  }
  // Through the same door as a new one: the members that are changed, beside those that they depend on.
  const { retention = topic.retention, producers = topic.producers, partitions = topic.partitions } = change;
  const config: TopicConfig = {
    partitions,
    ...(retention === undefined || retention === null ? {} : { retention }),
    ...(producers === undefined || producers === null ? {} : { producers }),
    ...(change.producerTimeoutMs === undefined ? {} : { producerTimeoutMs: change.producerTimeoutMs }),
  };
  const normalized = normalizeTopicConfig(config);
  if ("problem" in normalized) {
    const { path, message } = normalized.problem;
    throw refuse(topic, `${formatPath(path)}: ${message}`);
  }
  const { config: next } = normalized;
  const { retention: _retention, producers: _producers, producerTimeoutMs: timeoutBefore, ...kept } = topic;
  return {
    ...kept,
    partitions: next.partitions,
    slots: slotsAfter(topic, change, next.partitions, slotCount, topicsBefore),
    ...(next.retention === undefined ? {} : { retention: next.retention }),
    ...(next.producers === undefined
      ? {}
      : {
          producers: next.producers,
          producerTimeoutMs:
            (change.producerTimeoutMs === undefined ? timeoutBefore : undefined) ?? next.producerTimeoutMs ?? 0,
        }),
  };
}

function slotsAfter(
  topic: TopicDescription,
  { slots }: TopicChange,
  partitions: number,
  slotCount: number,
  topicsBefore: number,
): number[] {
  const more = partitions - topic.partitions;
  if (more < 0) throw refuse(topic, `partitions: ${partitions} are fewer than the ${topic.partitions} there are`);
  if (slots !== undefined && (!Array.isArray(slots) || slots.length !== more)) {
    throw refuse(topic, `slots: ${describeValue(slots)} does not name one slot for each of the ${more} new partitions`);
  }
  const beyond = slots?.find((slot) => !Number.isInteger(slot) || slot < 0 || slot >= slotCount);
  if (beyond !== undefined) throw refuse(topic, `slots: there is no slot ${beyond}, but ${slotCount} from 0`);
  if (more === 0) return [...topic.slots];
  if (topic.sealed === true) throw refuse(topic, "partitions: it is sealed, and takes no more events");
  if (topic.producers !== undefined) {
    // Those that are open know nothing of a new partition, which would wait for them in vain.
    throw refuse(topic, "partitions: its producers are counted; new partitions would never end");
  }
  const placed = placePartitions(topic.partitions + more, slotCount, topicsBefore).slice(topic.partitions);
  return [...topic.slots, ...(slots ?? placed)];
}
