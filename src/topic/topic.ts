/** A topic that was opened: its facts, and the door to its producers and consumers. JavaScript thread. */
import { checkInteger, signalOf } from "../check.js";
import { isModuleConfig } from "../config/module-config.js";
import { formatPath, type TopicConfig } from "../config/topic-config.js";
import type { TopicDescription } from "../control/topic-description.js";
import { Consumer } from "../consumer/consumer.js";
import type { ConsumerOptions } from "../consumer/options.js";
import { WeftError } from "../errors.js";
import type { JobContext } from "../job/context.js";
import type { NativeTopicFacts, TopicHandle } from "../native/binding.js";
import { PackedCodec } from "../packed/codec.js";
import { type PackedSchema, problemOfSchema } from "../packed/schema.js";
import type { ProducerOptions } from "../producer/options.js";
import { Producer } from "../producer/producer.js";
import { StepProducer, type StepProducerOptions } from "../steps/step-producer.js";
import { StepReader } from "../steps/step-reader.js";
import type { PartitionState, TopicContext } from "./context.js";
import type { MetadataCodec } from "./metadata-codec.js";
import { loadCodec } from "./modules.js";

/** A schema of a later version, or one that is damaged, must not be taken for another layout. */
function codecOf(topicName: string, schema: PackedSchema): PackedCodec {
  const problem = problemOfSchema(schema);
  if (problem === undefined) return new PackedCodec(schema, topicName);
  const newer = problem.path[0] === "version";
  throw new WeftError(
    newer ? "WEFT_FORMAT_NEWER" : "WEFT_CONFIG_INVALID",
    `topic '${topicName}': packed.${formatPath(problem.path)}: ${problem.message}`,
    { next: newer ? "use a newer Weftline" : "create the topic again with a schema that is valid" },
  );
}

/** A topic of a job, from `job.topic` or `job.createTopic`. All calls are local; WEFT_CLOSED once the job is closed. */
export class Topic<Metadata = unknown> implements TopicContext {
  /** Its name. */
  readonly name: string;
  /** Partitions are numbered from 0. */
  readonly partitionCount: number;
  /** What metadata is: a JSON value, bytes, a record of the fields in `description.packed`, or what a module takes. */
  readonly serializer: "json" | "raw" | "packed" | "custom";
  /** @internal Of packed metadata. */
  readonly codec: PackedCodec | undefined;
  /** @internal Of metadata with a serializer of its own. */
  readonly custom: MetadataCodec | undefined;
  /** Largest data of one event that a partition can take, in bytes. */
  readonly eventDataBytesMax: number;
  /** What the catalogue says of it: storage, durability, the slot of each partition, … */
  readonly description: TopicDescription;
  /** @internal */
  readonly job: JobContext;
  /** @internal */
  readonly handle: TopicHandle;

  private constructor(
    job: JobContext,
    handle: TopicHandle,
    facts: NativeTopicFacts,
    description: TopicDescription,
    custom: MetadataCodec | undefined,
  ) {
    this.job = job;
    this.handle = handle;
    this.name = facts.name;
    this.partitionCount = facts.partitionCount;
    this.eventDataBytesMax = facts.eventDataBytesMax === 0 ? Number.MAX_SAFE_INTEGER : facts.eventDataBytesMax;
    this.description = description;
    this.custom = custom;
    const { packed } = description;
    this.codec = packed === undefined ? undefined : codecOf(this.name, packed);
    this.serializer = facts.serializer === 0 ? "json" : custom ? "custom" : this.codec === undefined ? "raw" : "packed";
  }

  /** @internal Use `job.topic`. */
  static async open<Metadata>(job: JobContext, handle: TopicHandle): Promise<Topic<Metadata>> {
    const facts = job.completions.binding.topicFacts(handle);
    const description = JSON.parse(facts.json === "" ? "{}" : facts.json) as TopicDescription;
    const { serializer } = description;
    const custom = isModuleConfig(serializer) ? await loadCodec(facts.name, serializer) : undefined;
    return new Topic<Metadata>(job, handle, facts, description, custom);
  }

  /**
   * Opens a producer. With a `name` events keep their identity over restarts, and the newest producer of a name fences
   * the older ones (WEFT_FENCED there). WEFT_TOPIC_SEALED; WEFT_UNSUPPORTED if the topic demands a function that the options lack;
   * WEFT_PARTITION_UNAVAILABLE, WEFT_TIMED_OUT, WEFT_CANCELLED. Of more than 16 partitions a producer without a name
   * opens 16, and the others with its first batch for them. Local.
   *
   * @example
   * ```ts
   * await using out = await topic.producer({ name: "solver" });
   * out.push({ step: 1 });
   * ```
   */
  async producer(options: ProducerOptions<Metadata> = {}): Promise<Producer<Metadata>> {
    return await Producer.open(this, options);
  }

  /**
   * A consumer. Nothing happens before its first use: then it opens, and what is wrong is said there. Here only
   * WEFT_INVALID_ARGUMENT and WEFT_PARTITION_RANGE. Local.
   *
   * @example
   * ```ts
   * for await (const event of topic.consumer({ name: "plots", until: "end" })) {
   *   console.log(event.partition, event.offset, event.metadata);
   *   event.ack();
   * }
   * ```
   */
  consumer(options: ConsumerOptions<Metadata> = {}): Consumer<Metadata> {
    return new Consumer(this, options, (of) => new StepReader<Metadata>(this, of).read());
  }

  /**
   * Opens a producer of steps: parts that several ranks push, and that consumers see together or not at all. Topics with the
   * serializer "json" only (WEFT_UNSUPPORTED). Steps of a topic are kept in the topic `NAME.steps`, which is made with the first;
   * WEFT_TOPIC_EXISTS if that is somebody else's. Collective over the group of its options.
   *
   * @example
   * ```ts
   * await using steps = await topic.stepProducer(); // or of a group: { group: solvers }
   * console.log(steps.lastStep);
   * ```
   */
  async stepProducer(options: StepProducerOptions<Metadata> = {}): Promise<StepProducer<Metadata>> {
    return await StepProducer.open(this, options);
  }

  /** @internal */
  async companion(name: string, config: TopicConfig): Promise<TopicContext> {
    return (await this.job.createTopic(name, config, { ifExists: "open" })) as Topic;
  }

  /** How far a partition reaches now; asks its server. WEFT_PARTITION_UNAVAILABLE, WEFT_TIMED_OUT, WEFT_CANCELLED. Local. */
  async partition(
    partition: number,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<PartitionState> {
    const { completions } = this.job;
    const signal = signalOf("topic.partition", options);
    checkInteger("the partition", partition, 0, this.partitionCount - 1, 0);
    const { values } = await completions.request(
      `asking for partition ${partition} of topic '${this.name}'`,
      (tag) => {
        completions.binding.partitionQueryAsync(this.handle, partition, tag);
      },
      { signal },
    );
    return { partition, firstOffset: values[0], visibleEnd: values[1], epoch: values[2] };
  }
}
