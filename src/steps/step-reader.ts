/**
 * The steps of a topic, in the order of their commits, as a consumer reads them: commits come from the companion topic, the parts'
 * data from the topic itself, whose end is also that of the steps. JavaScript thread.
 */
import { Consumer } from "../consumer/consumer.js";
import type { ConsumerOptions } from "../consumer/options.js";
import type { Event } from "../consumer/event.js";
import { type Selection, all, nothing, range } from "../consumer/selection.js";
import { WeftError, asError, isWeftError } from "../errors.js";
import type { TopicContext } from "../topic/context.js";
import { type CommitRecord, commitPartition, decodeParts } from "./records.js";
import { Step, type StepPart, type StepSource, type WantedBytes } from "./step.js";
import { openCompanion } from "./step-producer.js";

/** Those of a consumer that mean something for steps. */
export type StepsOptions = Pick<ConsumerOptions<unknown>, "name" | "from" | "until" | "signal">;

const prefetchBytes = 2 * 1024 * 1024 + 64 * 1024; // the least: nothing of it is wanted

/** So long what a partition said of its first event is taken for true: retention looks about twice a second. */
const firstOffsetMs = 200;

export class StepReader<Metadata> implements StepSource {
  readonly topicName: string;
  readonly #topic: TopicContext;
  readonly #options: StepsOptions;
  /** Of the parts: nothing is read from it but their data. */
  readonly #data: Consumer;
  #commits: Consumer<CommitRecord> | undefined;
  /** Of the step that is out. */
  readonly #events = new Map<number, Event<CommitRecord>>();
  #loss: WeftError | undefined;
  /** Behind the parts of steps that were acknowledged, by partition, not committed yet. */
  readonly #reached = new Map<number, number>();
  #committing: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(topic: TopicContext, options: StepsOptions) {
    this.#topic = topic;
    this.topicName = topic.name;
    this.#options = options;
    const { name } = options;
    this.#data = new Consumer(topic, { from: "latest", select: nothing, prefetchBytes, name, ackEvery: 0 });
  }

  async *read(): AsyncGenerator<Step<Metadata>, void> {
    const { name, from, until, signal } = this.#options;
    const companion = await openCompanion(this.#topic);
    const partitions = [commitPartition];
    const options = { name, from, until, signal, partitions, select: all, ackEvery: 1 };
    const commits = new Consumer<CommitRecord>(companion, options);
    this.#commits = commits;
    try {
      await this.#data.open({ signal });
      await commits.open({ signal });
      void this.#watchEnd(commits);
      // Who begins where there is still something begins with the first step that is whole.
      let passesOver =
        from === "earliest" || ((from === undefined || from === "cursor") && !commits.hadCursor(commitPartition));
      for await (const event of commits) {
        const step = await this.#stepOf(event, signal).catch((error: unknown) => {
          if (passesOver && isWeftError(error, "WEFT_OFFSET_GONE")) return undefined;
          throw error;
        });
        if (step === undefined) {
          if (name !== undefined) event.ack();
          continue;
        }
        passesOver = false;
        this.#events.set(step.offset, event);
        yield step;
        this.#events.delete(step.offset);
      }
      if (this.#loss !== undefined) throw this.#loss;
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    await this.#committing;
    try {
      await this.#commits?.close();
    } finally {
      await this.#data.close();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  async fetch(
    part: StepPart,
    selection: Selection,
    into: Parameters<StepSource["fetch"]>[2],
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    return await this.#data.fetch(part, selection, into, signal);
  }

  async fetchMany(
    wanted: readonly WantedBytes[],
    bytes: Uint8Array<ArrayBuffer>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await this.#data.fetchMany(wanted, bytes, signal);
  }

  acknowledge(step: Step): void {
    this.#events.get(step.offset)?.ack();
    if (this.#options.name === undefined) return;
    // With retention by consumers, parts go as commits do.
    const ends = new Map<number, number>();
    for (const { partition, offset } of step.parts) ends.set(partition, Math.max(ends.get(partition) ?? 0, offset + 1));
    for (const [partition, end] of ends) this.#reached.set(partition, end);
    this.#committing ??= this.#commitReached();
  }

  /** One after the other; a failure is told at the end. */
  async #commitReached(): Promise<void> {
    try {
      while (this.#reached.size > 0) {
        const ends = [...this.#reached];
        this.#reached.clear();
        await Promise.all(ends.map(async ([partition, end]) => await this.#data.commitAt(partition, end)));
      }
    } catch (error) {
      this.#failure ??= asError(error);
    } finally {
      this.#committing = undefined;
    }
  }

  /** When the topic has ended, all commits are there: its producers close after them. */
  async #watchEnd(commits: Consumer<CommitRecord>): Promise<void> {
    try {
      for await (const _ of this.#data);
    } catch (error) {
      // One that was closed, or whose server is away, says nothing of the end.
      if ((error as WeftError).code !== "WEFT_PRODUCER_LOST") return;
      this.#loss = error as WeftError;
    }
    if (this.#data.ended) await commits.endHere();
  }

  /** Undefined for one that was not committed. A step of which something is gone is an error, and never a part of it. */
  async #stepOf(event: Event<CommitRecord>, signal: AbortSignal | undefined): Promise<Step<Metadata> | undefined> {
    const record = event.metadata;
    if (record.aborted !== undefined) return undefined;
    const what = `step ${record.step} of topic '${this.topicName}'`;
    const parts = decodeParts(event.data, what);
    if (parts.length !== record.parts) {
      throw new WeftError("WEFT_CORRUPT", `${what} names ${parts.length} parts, its commit ${record.parts}`);
    }
    const step = new Step<Metadata>(this, record, parts, event.offset);
    await this.#checkThere(step, what, signal);
    // A partition that was cut since: what the step names may be gone.
    for (const part of step.parts) {
      if (part.dataLength === 0 || part.epoch >= (await this.#epochOf(part.partition, signal))) continue;
      try {
        await part.fetch(range(0, 1), { signal });
      } catch (error) {
        const { code, message } = asError(error) as WeftError;
        throw new WeftError(code ?? "WEFT_TRUNCATED", `${what} is not whole any more: ${part.name}: ${message}`, {
          cause: error,
          next: "go on with the next step",
        });
      }
    }
    return step;
  }

  /** That retention has left all parts. It may remove one a moment later: then who fetches its data hears of it. */
  async #checkThere(step: Step, what: string, signal: AbortSignal | undefined): Promise<void> {
    if (this.#topic.description.retention === undefined) return;
    for (const part of step.parts) {
      const first = await this.#firstOffsetOf(part.partition, signal);
      if (part.offset >= first) continue;
      throw new WeftError(
        "WEFT_OFFSET_GONE",
        `${what} is not whole any more: retention removed ${part.name}; the partition's first event is ${first}`,
        { next: 'read from: "earliest", which begins with the first step that is whole' },
      );
    }
  }

  readonly #firstOffsets = new Map<number, { readonly offset: number; readonly askedMs: number }>();
  async #firstOffsetOf(partition: number, signal: AbortSignal | undefined): Promise<number> {
    const known = this.#firstOffsets.get(partition);
    const nowMs = performance.now();
    if (known !== undefined && nowMs - known.askedMs < firstOffsetMs) return known.offset;
    const { firstOffset } = await this.#topic.partition(partition, { signal });
    this.#firstOffsets.set(partition, { offset: firstOffset, askedMs: nowMs });
    return firstOffset;
  }

  readonly #epochs = new Map<number, number>();
  async #epochOf(partition: number, signal: AbortSignal | undefined): Promise<number> {
    let epoch = this.#epochs.get(partition);
    if (epoch === undefined) {
      ({ epoch } = await this.#topic.partition(partition, { signal }));
      this.#epochs.set(partition, epoch);
    }
    return epoch;
  }
}
