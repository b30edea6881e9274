/**
 * Steps: events of several ranks that consumers see together or not at all. The parts are ordinary events of the topic; a step is
 * one event more, its commit, in the companion topic `NAME.steps` (docs/formats/steps.md), written when all parts of all ranks are
 * stored. JavaScript thread.
 */
import { checkInteger, checkMembers, checkName, checkText, invalid } from "../check.js";
import { Consumer } from "../consumer/consumer.js";
import { WeftError, asError, isWeftError } from "../errors.js";
import { Communicator } from "../job/communicator.js";
import { waitUnlessAborted } from "../job/abortable.js";
import type { EventData, ProducerOptions, PushOptions } from "../producer/options.js";
import { Producer } from "../producer/producer.js";
import type { Receipt } from "../producer/receipt.js";
import { dataBytesOf } from "../producer/segments.js";
import type { TopicContext } from "../topic/context.js";
import { type ArrayPart, checkArrayPart } from "./assembly.js";
import { CommunicatorChannel, type StepChannel } from "./channel.js";
import { LogChannel, type LogGroup } from "./log-channel.js";
import {
  type CommitRecord,
  type PartRecord,
  commitPartition,
  companionConfig,
  companionName,
  encodeParts,
} from "./records.js";

export interface StepProducerOptions<Metadata> extends Omit<ProducerOptions<Metadata>, "name"> {
  /**
   * Whose steps these are: a communicator of all its ranks (collective over it), or without MPI this rank's number, how many there are,
   * and a text that is the same on all ranks and another one at each start. Default: this process alone.
   */
  readonly group?: Communicator | LogGroup | undefined;
  /** Of the producers, with `-RANK` behind it; default "steps". */
  readonly name?: string | undefined;
}

export interface StepPushOptions extends PushOptions {
  /** Where the data lies in a global array, for `step.assemble`. */
  readonly array?: ArrayPart | undefined;
}

interface PushedPart {
  readonly receipt: Receipt;
  readonly record: Omit<PartRecord, "partition" | "offset" | "epoch">;
}

/** How far back the last commit is looked for, behind those that were not. */
const commitsLookedAtMax = 1024;

/**
 * A step that is being made, from `producer.step`. Not a step for anybody before `commit` has resolved on all ranks.
 *
 * @example
 * ```ts
 * await using steps = await topic.stepProducer();
 * const step = steps.step((steps.lastStep ?? -1) + 1);
 * const array = { shape: [10, 10], origin: [0, 0], size: [10, 10], itemSize: 8 };
 * step.push({ step: step.number }, temperature, { array });
 * await step.commit({ signal: AbortSignal.timeout(60_000) });
 * ```
 */
export class OpenStep<Metadata> {
  /** Its number. */
  readonly number: number;
  readonly #producer: StepProducer<Metadata>;
  readonly #parts: PushedPart[] = [];
  #state: "open" | "committing" | "done" = "open";

  /** @internal */
  constructor(producer: StepProducer<Metadata>, number: number) {
    this.#producer = producer;
    this.number = number;
  }

  /**
   * Adds a part; as `push` of a producer, with its errors. `array` says where its data lies in a global array: then the data must
   * have as many bytes as that box. WEFT_CLOSED once the step was committed or given up. Local.
   */
  push(metadata: Metadata, data?: EventData, options: StepPushOptions = {}): Receipt {
    if (this.#state !== "open") throw new WeftError("WEFT_CLOSED", `step ${this.number} takes no more parts`);
    const { array, ...pushOptions } = options;
    const bytes = dataBytesOf(data);
    if (array !== undefined) checkArrayPart(`a part of step ${this.number}`, array, bytes);
    // As it is now, whatever becomes of the object.
    const kept = JSON.parse(JSON.stringify(metadata) ?? "null") as unknown;
    const receipt = this.#producer.parts.push(metadata, data, pushOptions);
    this.#parts.push({ receipt, record: { rank: this.#producer.rank, bytes, metadata: kept, array } });
    return receipt;
  }

  /**
   * Stores what was pushed, and makes the step visible once all ranks of the group have done so: consumers see all parts or none, also if
   * a rank or a server dies in the middle. Rejects on every rank if there can be no step: WEFT_STEP_FAILED, which says which rank and
   * why; the parts are then seen by nobody. WEFT_CANCELLED if the signal is aborted: whether there is a step is not known then, and
   * the producer is to be opened again. Collective over the group.
   */
  async commit(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.#finish(undefined, options.signal);
  }

  /** Gives the step up: `commit` rejects on the other ranks. Collective over the group. */
  async abandon(
    why: string = "it was given up",
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    await this.#finish(checkText("why", why), options.signal).catch((error: unknown) => {
      if ((error as WeftError).code !== "WEFT_STEP_FAILED") throw error;
    });
  }

  async #finish(abandoned: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    if (this.#state !== "open") throw new WeftError("WEFT_CLOSED", `step ${this.number} was ended before`);
    this.#state = "committing";
    try {
      let failure = abandoned;
      let parts: PartRecord[] = [];
      try {
        if (failure === undefined) parts = await this.#stored(signal);
      } catch (error) {
        failure = asError(error).message;
      }
      await this.#producer.agree({ step: this.number, rank: this.#producer.rank, parts, failure }, signal);
    } finally {
      this.#state = "done";
    }
  }

  async #stored(signal: AbortSignal | undefined): Promise<PartRecord[]> {
    await this.#producer.parts.flush({ signal });
    return await Promise.all(
      this.#parts.map(async ({ receipt, record }) => {
        const { partition, offset, epoch } = await receipt.wait({ signal });
        return { ...record, partition, offset, epoch };
      }),
    );
  }
}

/**
 * One rank's door to the steps of a topic, from `topic.stepProducer`. A topic has one group of producers of steps at a time: the
 * newest fences those before it (WEFT_FENCED).
 */
export class StepProducer<Metadata = unknown> {
  /** @internal Of the parts. */
  readonly parts: Producer<Metadata>;
  readonly #channel: StepChannel;
  /** Rank 0's. */
  readonly #commits: Producer | undefined;
  #last: number | undefined;
  #open: OpenStep<Metadata> | undefined;
  #broken: WeftError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    parts: Producer<Metadata>,
    channel: StepChannel,
    commits: Producer | undefined,
    last: number | undefined,
  ) {
    this.parts = parts;
    this.#channel = channel;
    this.#commits = commits;
    this.#last = last;
  }

  /** @internal Use `topic.stepProducer`. */
  static async open<Metadata>(
    topic: TopicContext,
    options: StepProducerOptions<Metadata>,
  ): Promise<StepProducer<Metadata>> {
    const { group = { rank: 0, size: 1, run: crypto.randomUUID() }, name: given, ...producerOptions } = options;
    const { signal } = options;
    const name = checkName("name of stepProducer", given) ?? "steps";
    if (!(group instanceof Communicator)) checkGroup(group);
    if (topic.serializer !== "json") {
      throw new WeftError(
        "WEFT_UNSUPPORTED",
        `topic '${topic.name}' has the serializer ${topic.serializer}; the parts of steps have JSON metadata`,
        { next: 'create a topic with the serializer "json"' },
      );
    }
    const companion = await openCompanion(topic);
    const last = await lastCommit(companion, signal);
    const channel =
      group instanceof Communicator
        ? await CommunicatorChannel.open(group, crypto.randomUUID(), signal)
        : await LogChannel.open(companion, group, last, signal);
    try {
      const step = await channel.ofFirst(last.commit?.step ?? null, signal);
      const parts = await Producer.open(topic, { ...producerOptions, name: `${name}-${channel.rank}` });
      const commits =
        channel.rank === 0
          ? await Producer.open<unknown>(companion, { name: "commits", batchEvents: 1, signal })
          : undefined;
      return new StepProducer(parts, channel, commits, step ?? undefined);
    } catch (error) {
      await channel.close();
      throw error;
    }
  }

  /** In the group. */
  get rank(): number {
    return this.#channel.rank;
  }
  /** Of the group. */
  get size(): number {
    return this.#channel.size;
  }
  /** The last step that was committed, of this start of the group or one before it; undefined: there is none. */
  get lastStep(): number | undefined {
    return this.#last;
  }

  /**
   * Begins a step, all ranks the same: above `lastStep`. WEFT_BUSY while one is open; WEFT_INVALID_ARGUMENT for a number that was
   * there. Local; its `commit` is collective.
   *
   * @example
   * ```ts
   * await using steps = await topic.stepProducer();
   * const step = steps.step((steps.lastStep ?? -1) + 1);
   * const array = { shape: [10, 10], origin: [0, 0], size: [10, 10], itemSize: 8 };
   * step.push({ step: step.number }, temperature, { array });
   * await step.commit();
   * ```
   */
  step(number: number): OpenStep<Metadata> {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#closing !== undefined) throw new WeftError("WEFT_CLOSED", "the producer of steps was closed");
    if (this.#open !== undefined) {
      throw new WeftError("WEFT_BUSY", `step ${this.#open.number} is open`, { next: "commit or abandon it first" });
    }
    const least = (this.#last ?? -1) + 1;
    if (!Number.isSafeInteger(number) || number < least) {
      throw invalid("the number of a step", number, `a whole number from ${least}: steps before were committed`);
    }
    return (this.#open = new OpenStep(this, number));
  }

  /** @internal */
  async agree(vote: Parameters<StepChannel["agree"]>[0], signal: AbortSignal | undefined): Promise<void> {
    const { run, size } = this.#channel;
    try {
      await this.#channel.agree(
        vote,
        async ({ step, round, votesEnd, aborted }, parts) => {
          const record: CommitRecord = { step, run, round, ranks: size, parts: parts.length, votesEnd, aborted };
          await this.#commits?.push(record, encodeParts(parts), { partition: commitPartition }).wait({ signal });
        },
        signal,
      );
      this.#last = vote.step;
    } catch (error) {
      // Elsewhere it may have been committed: only what the log says counts.
      if ((error as WeftError).code !== "WEFT_STEP_FAILED") {
        this.#broken = new WeftError("WEFT_CLOSED", `what became of step ${vote.step} is not known`, {
          cause: error,
          next: "open the producer of steps again, and go on behind its lastStep",
        });
      }
      throw isWeftError(error, "WEFT_CANCELLED") ? this.#cancelled(vote.step, error) : error;
    } finally {
      this.#open = undefined;
    }
  }

  #cancelled(step: number, error: WeftError): WeftError {
    const what = `the commit of step ${step} of topic '${this.parts.topic.name}'`;
    return new WeftError(
      "WEFT_CANCELLED",
      `${what} was cancelled by its signal while it waited for ${this.#channel.waitsFor}`,
      {
        cause: error.cause ?? error,
        next: "open the producer of steps again: its lastStep says whether the step was committed",
      },
    );
  }

  /** Closes its producers; a step that is open is not committed. Local. */
  async close(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await waitUnlessAborted("closing a producer of steps", (this.#closing ??= this.#close()), options.signal);
  }
  /** As `close`. Local. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // The topic's producers last: when a topic ends with them, all commits are there.
  async #close(): Promise<void> {
    await this.#channel.close();
    await this.#commits?.close();
    await this.parts.close();
  }
}

function checkGroup(group: LogGroup): void {
  checkMembers("group of stepProducer", group, ["rank", "size", "run"]);
  const size = checkInteger("size of the group", group.size, 1, 1_000_000, undefined);
  if (size === undefined) throw invalid("size of the group", group.size, "a whole number from 1");
  if (checkInteger("rank in the group", group.rank, 0, size - 1, undefined) === undefined) {
    throw invalid("rank in the group", group.rank, `a whole number of 0 to ${size - 1}`);
  }
  if (checkText("run of the group", group.run) === undefined) throw invalid("run of the group", group.run, "a text");
}

/** The topic beside this one, made where it is not there. WEFT_TOPIC_EXISTS if it is somebody else's. */
export async function openCompanion(topic: TopicContext): Promise<TopicContext> {
  const name = companionName(topic.name);
  const companion = await topic.companion(name, companionConfig(topic.description));
  if (companion.description.options["stepsOf"] === topic.name) return companion;
  throw new WeftError("WEFT_TOPIC_EXISTS", `topic '${name}' is not that of the steps of '${topic.name}'`, {
    next: "give one of the two another name",
  });
}

/** What the log says of the last step, and where the next one's commits and votes can begin. */
async function lastCommit(
  companion: TopicContext,
  signal: AbortSignal | undefined,
): Promise<{ commit: CommitRecord | undefined; votesFrom: number; commitsFrom: number }> {
  const { firstOffset, visibleEnd } = await companion.partition(commitPartition, { signal });
  const from = Math.max(firstOffset, visibleEnd - commitsLookedAtMax);
  let commit: CommitRecord | undefined;
  let votesFrom = 0;
  const options = { partitions: [commitPartition], from: { offset: from }, until: { offset: visibleEnd }, signal };
  const consumer = new Consumer<CommitRecord>(companion, options);
  try {
    for await (const { metadata } of consumer) {
      votesFrom = Math.max(votesFrom, metadata.votesEnd);
      if (metadata.aborted === undefined) commit = metadata;
    }
  } finally {
    await consumer.close();
  }
  return { commit, votesFrom, commitsFrom: visibleEnd };
}
