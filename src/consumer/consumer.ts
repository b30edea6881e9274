/**
 * A consumer: events of some partitions of a topic, one by one or many at a time, with as much of their data as was
 * selected. JavaScript thread; one pull or iteration at a time.
 *
 * Events come in groups (of one frame, with one data request), of which some are prepared, so that data of the next
 * group moves while this one is read (`./group-queue.ts`). An event that a timed-out or aborted pull did not hand out is handed out by the
 * next one.
 */
import type { Readable } from "node:stream";

import { checkSignal, invalid, signalOf } from "../check.js";
import { WeftError, throwIfAborted, wordsOf } from "../errors.js";
import { abortable, waitUnlessAborted } from "../job/abortable.js";
import type { Completions } from "../native/completions.js";
import type { TopicContext } from "../topic/context.js";
import { EventStream } from "./event-stream.js";
import type { Destination, Event, EventOwner } from "./event.js";
import { type OpenedConsumer, openConsumer } from "./opened-consumer.js";
import {
  type ConsumerOptions,
  type PullOptions,
  type ResolvedConsumerOptions,
  type ResolvedSeek,
  type RunOptions,
  type SeekOptions,
  type SeekTo,
  resolveConsumerOptions,
  resolvePullOptions,
  resolveRunOptions,
  resolveSeek,
  timerMsMax,
} from "./options.js";
import { Selection, destinationOf } from "./selection.js";
import { partitionsOfMember } from "./static-group.js";
import type { FetchedEvent, Step, WantedBytes } from "../steps/step.js";

/** How far a consumer is behind in one partition. */
export interface PartitionLag {
  readonly partition: number;
  /** Offset of the next event that is not acknowledged. */
  readonly position: number;
  /** Behind the newest event that is visible. */
  readonly visibleEnd: number;
  /** Events between them. */
  readonly events: number;
}

/** Between two questions about where the partitions end. */
const endAgainMs = 1000;

function handlerError(topicName: string, event: Event, cause: unknown): WeftError {
  const why = wordsOf(cause);
  return new WeftError("WEFT_HANDLER", `the handler of ${event.name} of topic '${topicName}' failed: ${why}`, {
    cause,
  });
}

/**
 * Events of some partitions of a topic, from `topic.consumer`; one pull or iteration at a time (WEFT_BUSY). All calls are
 * local. What opens it can reject with WEFT_PARTITION_UNAVAILABLE, WEFT_TIMED_OUT, WEFT_CANCELLED or WEFT_CLOSED.
 */
export class Consumer<Metadata = unknown> implements EventOwner, AsyncIterable<Event<Metadata>> {
  /** The topic that it reads. */
  readonly topic: TopicContext;
  readonly #completions: Completions;
  readonly #options: ResolvedConsumerOptions;
  readonly #signal: AbortSignal | undefined;
  readonly #readSteps: (() => AsyncGenerator<Step<Metadata>, void>) | undefined;
  #opening: Promise<OpenedConsumer> | undefined;
  #sharing: Promise<readonly number[]> | undefined;
  #forgetJob: (() => void) | undefined;
  #opened: OpenedConsumer | undefined;
  #closing: Promise<void> | undefined;
  #waiters: (() => void)[] = [];
  #taking = false;
  #filling = false;
  #seeking = false;
  /** Handed out to a stream that was ended before it gave them on. */
  #givenBack: Event[] = [];
  /** A stream that was ended gives back. */
  #leaving: Promise<void> | undefined;
  #dry = false;
  #endTimer: NodeJS.Timeout | undefined;
  #closedBy: WeftError | undefined;

  /** @internal Use `topic.consumer`. */
  constructor(
    topic: TopicContext,
    options: ConsumerOptions<Metadata>,
    readSteps?: (options: ConsumerOptions<Metadata>) => AsyncGenerator<Step<Metadata>, void>,
  ) {
    this.topic = topic;
    this.#readSteps = readSteps === undefined ? undefined : () => readSteps(options);
    this.#completions = topic.job.completions;
    this.#options = resolveConsumerOptions(topic, options);
    this.#signal = options.signal;
  }

  /**
   * Opens it, which the first use does by itself. With `until: "end"` this is the moment that counts. Local; with `share`
   * a Communicator collective over it.
   */
  async open(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<this> {
    await this.#open(signalOf("consumer.open", options));
    return this;
  }

  /** With `until: "end"`: all was handed out. */
  get ended(): boolean {
    const opened = this.#opened;
    return opened?.groups.isEmpty === true && this.#givenBack.length === 0 && opened.source.ended && this.#dry;
  }

  /**
   * The next events, at least one unless the time is over or the end was reached (`ended`): then none. A pull that
   * timed out or was aborted (WEFT_CANCELLED) loses nothing. Views of earlier events' data end with this call. An error
   * of one partition, such as WEFT_TRUNCATED, WEFT_OFFSET_GONE or WEFT_CORRUPT, is thrown once, and the others go on.
   * WEFT_BUSY while another pull or iteration waits. Local.
   *
   * @example
   * ```ts
   * const events = await consumer.pull({ max: 100, timeoutMs: 500 });
   * ```
   */
  async pull(options: PullOptions = {}): Promise<Event<Metadata>[]> {
    const { max, timeoutMs, signal } = resolvePullOptions(options);
    throwIfAborted("pull", signal);
    throwIfAborted("pull", this.#signal);
    return await this.#exclusively(async () => {
      const endMs = timeoutMs === -1 ? Infinity : performance.now() + timeoutMs;
      await this.#open(signal);
      this.#releaseLent();
      for (;;) {
        this.#fill();
        const events: Event[] = [];
        while (events.length < max) {
          const event = this.#take(events.length > 0);
          if (event === undefined) break;
          events.push(event);
        }
        const leftMs = endMs - performance.now();
        if (events.length > 0 || this.ended || leftMs <= 0) return events as Event<Metadata>[];
        await this.#wait("pull", leftMs, this.#eitherSignal(signal));
      }
    });
  }

  /**
   * Events one by one. `break` gives the memory back and, with a name, commits what was acknowledged; the consumer stays
   * open, and a new iteration goes on behind the last event that was handed out. Errors are those of `pull`; the
   * consumer's `signal` ends the waiting. Local.
   */
  [Symbol.asyncIterator](): AsyncIterator<Event<Metadata>, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.#releaseLent();
        await this.#opened?.cursors.commitAcknowledged();
        return { done: true, value: undefined };
      },
    };
  }

  /**
   * Events as they arrive, many at a time: a promise for each list instead of each event. Options as of `pull`, without
   * a time limit. Local.
   */
  async *batches(options: Omit<PullOptions, "timeoutMs"> = {}): AsyncGenerator<Event<Metadata>[], void> {
    try {
      for (;;) {
        const events = await this.pull(options);
        if (events.length === 0) return;
        yield events;
      }
    } finally {
      if (this.#closing === undefined) await this.#opened?.cursors.commitAcknowledged();
    }
  }

  /**
   * Calls `handler` for each event, `concurrency` of them at a time, and acknowledges those whose handler ended well; resolves at the
   * end of the stream, with what was acknowledged committed. The next events are taken when all handlers of these have ended,
   * so that the events' data stays until then. A handler that throws or rejects ends it with WEFT_HANDLER, whose `cause` is what was
   * thrown, once the others have ended: that event is not acknowledged, and whoever opens the name later begins with it; this
   * consumer goes on behind it. All other errors are those of `pull`. Local.
   *
   * @example
   * ```ts
   * await topic.consumer({ name: "means", until: "end", select: all }).run(
   *   async (event) => console.log(event.offset, event.float64().length),
   *   { concurrency: 8 },
   * );
   * ```
   */
  async run(handler: (event: Event<Metadata>) => unknown, options: RunOptions = {}): Promise<void> {
    if (typeof handler !== "function") throw invalid("the handler of run", handler, "a function");
    const { max, signal } = resolveRunOptions(options);
    for await (const events of this.batches({ max, signal })) {
      const outcomes = await Promise.allSettled(events.map(async (event) => await handler(event)));
      let failure: WeftError | undefined;
      for (const [index, event] of events.entries()) {
        const outcome = outcomes[index];
        if (outcome?.status === "rejected") failure ??= handlerError(this.topic.name, event, outcome.reason);
        else event.ack();
      }
      if (failure !== undefined) throw failure;
    }
  }

  /**
   * The steps of the topic, in the order in which they were committed: all parts of each, or none (`topic.stepProducer`). Of the
   * options `name`, `from`, `until` and `signal` count, and are about steps; offsets and times are those of commits. `break` ends it, with what
   * was acknowledged committed; the consumer itself stays as it is. A step of which something is gone is an error, WEFT_OFFSET_GONE or
   * WEFT_TRUNCATED, and the next iteration of the name goes on behind the steps that were acknowledged. Local.
   *
   * @example
   * ```ts
   * for await (const step of topic.consumer({ name: "plots", until: "end" }).steps()) {
   *   const whole = await step.assemble();
   *   step.ack();
   * }
   * ```
   */
  steps(): AsyncGenerator<Step<Metadata>, void> {
    if (this.#readSteps === undefined) throw new WeftError("WEFT_UNSUPPORTED", "this consumer has no steps");
    return this.#readSteps();
  }

  /** @internal Whether its name had a position in the partition when it was opened. */
  hadCursor(partition: number): boolean {
    const handle = this.#opened?.handle;
    return handle !== undefined && this.#completions.binding.consumerPosition(handle, partition).hadCursor;
  }

  /** @internal What is visible now is the end. */
  async endHere(): Promise<void> {
    await this.#endNow();
  }

  /** @internal Makes one position durable, whatever was acknowledged. Needs a name. */
  async commitAt(partition: number, position: number): Promise<void> {
    const { cursors } = await this.#open(undefined);
    await cursors.commitAt(partition, position, undefined);
  }

  /** @internal One data request for each server that has some of the events. */
  async fetchMany(
    wanted: readonly WantedBytes[],
    bytes: Uint8Array<ArrayBuffer>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    throwIfAborted("fetching data", signal);
    const { requests } = await this.#open(signal);
    await requests.fetchMany(wanted, bytes, signal);
  }

  /**
   * A stream of the events, for pipelines of Node. Their data is copied, for a stream reads ahead. Ends as an iteration does; destroying it
   * leaves the consumer open, which goes on with what the stream had not given out. Local.
   *
   * @example
   * ```ts
   * for await (const event of consumer.toReadable()) {
   *   console.log((event as { offset: number }).offset);
   *   break;
   * }
   * ```
   */
  toReadable(): Readable {
    return new EventStream<Metadata>({
      next: (signal) => this.#next(signal),
      leave: async (rest) => {
        const left = (async () => {
          this.#givenBack.push(...(await rest));
          if (this.#closing === undefined) await this.#opened?.cursors.commitAcknowledged();
        })();
        // Who goes on with the consumer waits for it; how it ended the stream says.
        const leaving = left
          .catch(() => undefined)
          .finally(() => {
            if (this.#leaving === leaving) this.#leaving = undefined;
          });
        this.#leaving = leaving;
        await left;
      },
    });
  }

  /**
   * Makes durable, in each partition, the position behind the highest event up to which all were acknowledged: a
   * consumer that opens this name later begins there. Resolves when it is. WEFT_INVALID_ARGUMENT without a name;
   * WEFT_PARTITION_UNAVAILABLE, WEFT_TIMED_OUT, WEFT_NO_SPACE, WEFT_SYNC_FAILED. Local.
   *
   * @example
   * ```ts
   * for (const event of await consumer.pull()) event.ack();
   * await consumer.commit();
   * ```
   */
  async commit(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const signal = signalOf("commit", options);
    throwIfAborted("commit", signal);
    if (this.#options.native.name === undefined) {
      throw new WeftError(
        "WEFT_INVALID_ARGUMENT",
        `a consumer of '${this.topic.name}' without a name has no cursor to commit`,
        {
          next: "give the consumer a name",
        },
      );
    }
    const { cursors } = await this.#open(signal);
    await cursors.commit(signal);
  }

  /**
   * Goes on from another place in all partitions that it reads, or in some: in all of them or, with an error, in none. What was sent
   * ahead is dropped; views of earlier events' data end with this call. Between pulls, or in the body of an iteration; else WEFT_BUSY. A partition that
   * had failed or ended begins anew; `until` stays as it is.
   *
   * What is acknowledged is counted anew from there: the next acknowledged event, or `commit`, makes the name's position one of there,
   * before or behind what was committed. The seek alone makes nothing durable.
   *
   * WEFT_TRUNCATED for an offset behind the end, which the message names; WEFT_OFFSET_GONE for one that retention removed: it
   * names the first there is; WEFT_PARTITION_RANGE for a partition that it does not read; WEFT_PARTITION_UNAVAILABLE, WEFT_TIMED_OUT,
   * WEFT_CANCELLED, WEFT_CLOSED. Local.
   *
   * @example
   * ```ts
   * await consumer.seek("earliest");
   * await consumer.seek({ time: new Date(Date.now() - 60_000) });
   * for (const event of await consumer.pull({ max: 1 })) await consumer.seek(event); // it comes again
   * ```
   */
  async seek(to: SeekTo, options: SeekOptions = {}): Promise<void> {
    const resolved = resolveSeek(this.topic, to, options);
    throwIfAborted("seek", resolved.signal);
    const seeking = this.#exclusively(async () => {
      await this.#seek(await this.#open(resolved.signal), resolved);
    });
    await waitUnlessAborted("seek", seeking, resolved.signal);
  }

  async #seek(opened: OpenedConsumer, { to, partitions }: ResolvedSeek): Promise<void> {
    const { handle, source, builder, cursors, groups } = opened;
    const moved = new Set(partitions ?? opened.partitions);
    const foreign = [...moved].find((partition) => !opened.partitions.includes(partition));
    if (foreign !== undefined) {
      throw new WeftError(
        "WEFT_PARTITION_RANGE",
        `this consumer of topic '${this.topic.name}' does not read partition ${foreign}: it reads ${opened.partitions.join(", ") || "none"}`,
        { next: "seek in partitions that it reads" },
      );
    }
    if (handle === undefined) return; // a member without partitions
    // What is polled meanwhile could be of before or of behind.
    this.#seeking = true;
    try {
      this.#releaseLent();
      await cursors.settled();
      await this.#completions.request(`seeking in topic '${this.topic.name}'`, (tag) => {
        this.#completions.binding.consumerSeekAsync(handle, { ...to, partitions: [...moved] }, tag);
      });
      await groups.settled(moved);
      this.#throwIfClosed(); // that gives them back
      groups.drop(moved);
      this.#givenBack = this.#givenBack.filter(({ partition }) => !moved.has(partition));
      builder.drop(moved);
      for (const partition of moved) {
        source.move(partition);
        cursors.move(partition);
      }
    } finally {
      this.#seeking = false;
      this.#fill();
    }
  }

  /** How many events are visible and not acknowledged; asks the servers. WEFT_PARTITION_UNAVAILABLE. Local. */
  async lag(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<PartitionLag[]> {
    const signal = signalOf("lag", options);
    const { cursors, partitions } = await this.#open(signal);
    return await Promise.all(
      partitions.map(async (partition) => {
        const { values } = await this.#completions.request(
          `asking for partition ${partition} of topic '${this.topic.name}'`,
          (tag) => {
            this.#completions.binding.partitionQueryAsync(this.topic.handle, partition, tag);
          },
          { signal },
        );
        const position = cursors.position(partition);
        return { partition, position, visibleEnd: values[1], events: Math.max(0, values[1] - position) };
      }),
    );
  }

  /**
   * Commits what was acknowledged (with a name; rejects with what hindered that), gives all memory back, closes. Aborting
   * the signal ends the waiting (WEFT_CANCELLED), not the closing. A second call waits for the same. Local.
   */
  async close(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const what = `closing a consumer of topic '${this.topic.name}'`;
    const signal = signalOf("consumer.close", options);
    await waitUnlessAborted(what, (this.#closing ??= this.#close()), signal);
  }
  /** As `close`. Local. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @internal */
  acknowledge(partition: number, offset: number): void {
    if (this.#closedBy !== undefined) throw this.#notAcknowledged(partition, offset, this.#closedBy);
    this.#opened?.cursors.acknowledge(partition, offset);
  }

  #notAcknowledged(partition: number, offset: number, cause: WeftError): WeftError {
    return new WeftError(
      "WEFT_CLOSED",
      `event ${partition}:${offset} of topic '${this.topic.name}' was not acknowledged: its consumer was closed`,
      { cause, next: "acknowledge events before the consumer is closed; whoever opens its name next gets it again" },
    );
  }

  /** @internal */
  async fetch(
    event: FetchedEvent,
    selection: Selection,
    into: Destination | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    checkSignal("signal of event.fetch", signal);
    throwIfAborted("event.fetch", signal);
    if (!(selection instanceof Selection)) throw invalid("the selection", selection, "all, range(…), box(…), …");
    const { requests } = await this.#open(signal);
    const problem = selection.problemFor(event.dataLength, event.name);
    if (problem !== undefined) throw problem;
    const bytes = selection.kind === "all" || selection.kind === "runs" ? selection.bytesFor(event.dataLength) : 0;
    if (bytes > this.#options.selector.eventBytesMax) {
      throw new WeftError("WEFT_BUFFER_TOO_LARGE", `${bytes} bytes of ${event.name} do not fit one buffer`, {
        next: "fetch ranges of it",
      });
    }
    const destination =
      into === undefined
        ? (selection.destination ?? { bytes: new Uint8Array(bytes), region: undefined })
        : destinationOf(into, "the destination", this.#completions);
    if (destination.bytes.byteLength < bytes) {
      throw invalid("the destination's length", destination.bytes.byteLength, `at least ${bytes}`);
    }
    if (bytes > 0) await requests.fetch(event, selection, destination, signal);
    return destination.bytes.subarray(0, bytes);
  }

  async #next(signal?: AbortSignal): Promise<IteratorResult<Event<Metadata>, undefined>> {
    throwIfAborted("the iteration", this.#signal);
    if (!this.#taking && this.#leaving === undefined && this.#opened !== undefined) {
      this.#releaseLent();
      const event = this.#take(false);
      if (event !== undefined) return { done: false, value: event as Event<Metadata> };
    }
    return await this.#exclusively(async () => {
      const { cursors } = await this.#open(undefined);
      this.#releaseLent();
      for (;;) {
        this.#fill();
        const next = this.#take(false);
        if (next !== undefined) return { done: false, value: next as Event<Metadata> };
        if (this.ended) {
          await cursors.commitAcknowledged();
          return { done: true, value: undefined };
        }
        await this.#wait("the iteration", Infinity, this.#eitherSignal(signal));
      }
    });
  }

  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (this.#leaving !== undefined) await this.#leaving;
    if (this.#taking) {
      throw new WeftError(
        "WEFT_BUSY",
        `another pull, iteration or seek of this consumer of '${this.topic.name}' waits`,
        {
          next: "await it first, or open a consumer for each",
        },
      );
    }
    this.#taking = true;
    try {
      return await work();
    } finally {
      this.#taking = false;
    }
  }

  /**
   * The next event whose data is there. A failed partition's error is thrown, but not while the caller holds events
   * that were taken in the same pull (`keepError`).
   */
  #take(keepError: boolean): Event | undefined {
    const opened = this.#opened;
    if (opened === undefined) return undefined;
    const before = this.#givenBack.shift();
    if (before !== undefined) return before;
    for (;;) {
      const event = opened.groups.take();
      if (event !== undefined) {
        opened.cursors.handOut(event.partition, event.offset);
        return event;
      }
      const next = opened.groups.advance(keepError);
      if (next === undefined) return undefined;
      this.#fill();
      if (next !== "moved") throw next;
    }
  }

  #releaseLent(): void {
    if (this.#opened?.groups.hasLent !== true) return;
    this.#opened.groups.releaseLent();
    this.#fill();
  }

  /** Prepares groups as long as there are frames and memory. */
  #fill(): void {
    const opened = this.#opened;
    if (opened === undefined || this.#closing !== undefined || this.#filling || this.#seeking) return;
    this.#filling = true;
    try {
      while (!opened.groups.isFull) {
        const built = opened.builder.build();
        this.#dry = built === "dry";
        if (built === "dry" || built === "full") break;
        if (built === "later") {
          setImmediate(() => {
            this.#fill();
            this.#wakeWaiters();
          });
          break;
        }
        opened.groups.add(built, () => {
          this.#wakeWaiters();
        });
      }
    } finally {
      this.#filling = false;
    }
  }

  #wakeWaiters(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  #throwIfClosed(): void {
    if (this.#closedBy !== undefined) throw this.#closedBy;
  }

  /** That of a call and that of the consumer. */
  #eitherSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
    if (signal === undefined || this.#signal === undefined) return signal ?? this.#signal;
    return AbortSignal.any([signal, this.#signal]);
  }

  async #wait(what: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    this.#throwIfClosed();
    const release = this.#completions.hold();
    let timer: NodeJS.Timeout | undefined;
    try {
      await abortable(what, signal, (resolve) => {
        this.#waiters.push(resolve);
        // A longer wait is taken up again by the caller.
        if (timeoutMs !== Infinity) timer = setTimeout(resolve, Math.min(Math.ceil(timeoutMs), timerMsMax));
        return () => {
          this.#waiters = this.#waiters.filter((one) => one !== resolve);
        };
      });
    } finally {
      clearTimeout(timer);
      release();
    }
    this.#throwIfClosed();
  }

  async #open(signal: AbortSignal | undefined): Promise<OpenedConsumer> {
    if (this.#closing !== undefined || this.#closedBy !== undefined) {
      throw this.#closedBy ?? new WeftError("WEFT_CLOSED", `the consumer of topic '${this.topic.name}' was closed`);
    }
    if (this.#opened !== undefined) return this.#opened;
    this.#opening ??= this.#openAll(this.#eitherSignal(signal)).finally(() => {
      this.#opening = undefined;
    });
    return await this.#opening;
  }

  /** At a time that is still to come: what is visible then ends it, where no event says so before. */
  #endAt(timeNs: bigint): void {
    const leftMs = Number(timeNs / 1_000_000n) + 1 - Date.now();
    this.#endTimer = setTimeout(
      () => {
        if (leftMs > timerMsMax) this.#endAt(timeNs);
        else void this.#endNow();
      },
      Math.max(0, Math.min(leftMs, timerMsMax)),
    ).unref();
  }

  async #endNow(): Promise<void> {
    try {
      const states = await this.lag();
      for (const { partition, visibleEnd } of states) this.#opened?.source.limit(partition, visibleEnd);
      this.#opened?.source.endWithoutPartitions();
    } catch {
      // A server is away, or this was closed: again, until it says.
      if (this.#closing === undefined && this.#closedBy === undefined) {
        this.#endTimer = setTimeout(() => void this.#endNow(), endAgainMs).unref();
      }
      return;
    }
    this.#onFrames();
  }

  async #openAll(signal: AbortSignal | undefined): Promise<OpenedConsumer> {
    const { until } = this.#options;
    const onFrames = (): void => {
      this.#onFrames();
    };
    const partitions = await this.#partitions(signal);
    const opened = await openConsumer(this.topic, this.#options, partitions, this, onFrames, signal);
    this.#forgetJob = this.#completions.onClosed((error) => {
      this.#closedBy = error;
      this.#wakeWaiters();
    });
    this.topic.job.opened.add(this);
    if (until.timeNs !== undefined && !until.isNow) this.#endAt(until.timeNs);
    return (this.#opened = opened);
  }

  /** Settled once: an opening that failed behind it is tried again without the other members. */
  async #partitions(signal: AbortSignal | undefined): Promise<readonly number[]> {
    const { share, partitions } = this.#options;
    if (share === undefined) return partitions;
    this.#sharing ??= partitionsOfMember(this.topic, share);
    const what = `sharing the partitions of topic '${this.topic.name}'`;
    return await waitUnlessAborted(what, this.#sharing, signal);
  }

  #onFrames(): void {
    if (this.#opened === undefined) return; // the first look at the frames comes with the opening's end
    this.#opened.source.wake();
    this.#fill();
    this.#wakeWaiters();
  }

  async #close(): Promise<void> {
    const opened = this.#opened ?? (await this.#opening?.catch(() => undefined));
    if (opened === undefined) return;
    this.#closedBy ??= new WeftError("WEFT_CLOSED", `the consumer of topic '${this.topic.name}' was closed`);
    clearTimeout(this.#endTimer);
    this.#wakeWaiters();
    const failures: WeftError[] = [];
    opened.cursors.close();
    await opened.cursors.commitAcknowledged().catch((error: unknown) => {
      failures.push(error as WeftError);
    });
    // Requests under way write into our memory: it goes when they were answered.
    await opened.groups.settled();
    opened.groups.releaseLent();
    opened.groups.drop();
    this.#forgetJob?.();
    this.topic.job.opened.delete(this);
    this.#completions.unwatch(opened.tag);
    const { handle } = opened;
    if (handle !== undefined) {
      await this.#completions.request(`closing a consumer of topic '${this.topic.name}'`, (tag) => {
        this.#completions.binding.consumerCloseAsync(handle, tag);
      });
    }
    opened.pool.close();
    const [failure] = failures;
    if (failure !== undefined) throw failure;
  }
}
