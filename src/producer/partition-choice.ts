/** Which partition an event goes to, as the topic's selector or the producer's options have it. */
import { invalid } from "../check.js";
import { WeftError } from "../errors.js";
import type { NativeBinding } from "../native/binding.js";
import type { TopicContext } from "../topic/context.js";
import type { ProducerOptions, PushOptions } from "./options.js";

export type ChoosePartition<Metadata> = (metadata: Metadata, options: PushOptions | undefined) => number;

export function partitionChoice<Metadata>(
  topic: TopicContext,
  options: ProducerOptions<Metadata>,
  binding: NativeBinding,
): ChoosePartition<Metadata> {
  const count = topic.partitionCount;
  const check = (partition: number): number => {
    if (Number.isInteger(partition) && partition >= 0 && partition < count) return partition;
    throw new WeftError(
      "WEFT_PARTITION_RANGE",
      `topic '${topic.name}' has no partition ${partition}: they are 0 to ${count - 1}`,
    );
  };
  const byDefault = defaultChoice(topic, options);
  return (metadata, given) => {
    if (given?.partition !== undefined) return check(given.partition);
    if (given?.key !== undefined) {
      if (typeof given.key !== "string") throw invalid("the key", given.key, "a text");
      return binding.crc32c(Buffer.from(given.key), 0) % count;
    }
    return check(byDefault(metadata));
  };
}

function defaultChoice<Metadata>(
  topic: TopicContext,
  options: ProducerOptions<Metadata>,
): (metadata: Metadata) => number {
  const count = topic.partitionCount;
  const { selectPartition } = options;
  if (selectPartition !== undefined) return (metadata) => selectPartition(metadata, count);
  const demand = (member: string) => (): never => {
    throw new WeftError("WEFT_INVALID_ARGUMENT", `topic '${topic.name}' demands a ${member} with each event`, {
      next: `push(metadata, data, { ${member} })`,
    });
  };
  const selector = topic.description.partitionSelector;
  switch (selector) {
    case "explicit":
      return demand("partition");
    case "key-hash":
      return demand("key");
    case "producer-rank":
      return () => topic.job.rank % count;
    case "custom":
    case "same-node":
      throw new WeftError(
        "WEFT_UNSUPPORTED",
        `topic '${topic.name}' has the partition selector '${selector}', which needs a function`,
        { next: "give selectPartition in the producer's options" },
      );
    case "round-robin":
    default: {
      // Round robin; begins anywhere, so that many producers of few events do not all meet in partition 0.
      let next = (topic.job.rank + Math.floor(Math.random() * count)) % count;
      return () => {
        const partition = next;
        next = partition + 1 === count ? 0 : partition + 1;
        return partition;
      };
    }
  }
}
