/**
 * A producer: takes events, gathers them in batches, sends a batch with one native call, settles receipts. JavaScript
 * thread; `push` neither blocks nor returns a promise.
 *
 * An event is, in order: in the queue (only while all batches are under way), in an open batch, under way, done. Bounds:
 * queueEvents and queueBytes, the arenas (maxInFlight per partition). When the queue is full push throws WEFT_BUSY and
 * the event was not taken; `await producer.ready()` waits for room.
 */
import type { Writable } from "node:stream";

import { checkInteger } from "../check.js";
import { WeftError, throwIfAborted } from "../errors.js";
import { abortable, waitUnlessAborted } from "../job/abortable.js";
import { PingPong } from "../job/ping-pong.js";
import { Region } from "../job/region.js";
import type { SharedData } from "../job/shared.js";
import type { NativeBinding, ProducerHandle } from "../native/binding.js";
import type { CompletionRecord, Completions } from "../native/completions.js";
import type { TopicContext } from "../topic/context.js";
import type { PackedCodec } from "../packed/codec.js";
import { BatchArena, type EncodedMetadata, type Segment, batchReferencedBytesMax } from "./batch-arena.js";
import { Clock } from "./clock.js";
import { EventQueue, failEvents } from "./event-queue.js";
import { type FlushOptions, needsSync } from "./flush.js";
import { FreeLines } from "./free-lines.js";
import { Guard } from "./guard.js";
import { type EncodeMetadata, metadataBytesMax, metadataEncoder } from "./metadata.js";
import {
  type EventData,
  type ProducerOptions,
  type PushOptions,
  type ResolvedProducerOptions,
  resolveProducerOptions,
} from "./options.js";
import { type ChoosePartition, anyPartition, partitionChoice, topicSelection } from "./partition-choice.js";
import { Receipt, type StoredEvent } from "./receipt.js";
import { copyNow, lengthOf, segmentsOf } from "./segments.js";
import { type NamedValidator, loadValidators, validate } from "./validation.js";
import { writableOf } from "./writable.js";

/** A batch's body: its columns, 16 bytes an event, and its metadata. */
const batchBodyBytesMax = 2 * 1024 * 1024;

/** Between two looks for answers while `push` waits. */
const blockedLookMs = 1;
const sleeping = new Int32Array(new SharedArrayBuffer(4));

/** Takes events for a topic, from `topic.producer`. All calls are local. */
export class Producer<Metadata = unknown> {
  /** The topic that it writes to. */
  readonly topic: TopicContext;
  readonly #completions: Completions;
  readonly #binding: NativeBinding;
  readonly #handle: ProducerHandle;
  readonly #options: ResolvedProducerOptions;
  readonly #encode: EncodeMetadata;
  /** Of a topic of packed metadata. */
  readonly #codec: PackedCodec | undefined;
  readonly #choose: ChoosePartition<Metadata>;
  readonly #validators: readonly NamedValidator<Metadata>[];
  readonly #clock = new Clock();

  /** By partition; behind them the one of `anyPartition`. */
  readonly #open: (BatchArena | undefined)[];
  readonly #underWayOf: number[];
  readonly #underWay = new Set<BatchArena>();
  readonly #guard: Guard | undefined;
  /** With loose ordering: where the batches of `anyPartition` go. */
  readonly #lines: FreeLines | undefined;
  /** The batch of `anyPartition` should have been sent, and no line had room. */
  #looseIsDue = false;
  /** A record is being written: a getter of it must not push into the same place. */
  #writing = false;
  readonly #queue: EventQueue;
  #scheduled = false;
  #flushing = 0;
  #failure: WeftError | undefined;
  /** Events taken so far; their numbers order what a flush waits for. */
  #acceptedCount = 0;
  #storedCount = 0;
  #advancing = false;
  #flushes: { readonly target: number; readonly resolve: () => void }[] = [];
  /** Batches under way at which those who wait for room go on. */
  #resumeAt = 0;
  #roomWaiters: { readonly resolve: () => void }[] = [];
  #closing: Promise<void> | undefined;
  readonly #forgetJob: () => void;
  readonly #sendAll = (): void => {
    this.#sendOpen(true);
  };

  private constructor(
    topic: TopicContext,
    handle: ProducerHandle,
    options: ProducerOptions<Metadata>,
    choose: ChoosePartition<Metadata>,
    validators: readonly NamedValidator<Metadata>[],
    partitions: readonly number[] | undefined,
  ) {
    this.topic = topic;
    this.#completions = topic.job.completions;
    this.#binding = this.#completions.binding;
    this.#handle = handle;
    this.#options = resolveProducerOptions(options);
    const bytesMax = Math.min(metadataBytesMax, batchBodyBytesMax - 16 * this.#options.batchEvents - 64);
    this.#queue = new EventQueue(topic.name, this.#options);
    this.#encode = metadataEncoder(topic, bytesMax);
    this.#codec = topic.codec;
    this.#choose = choose;
    this.#validators = validators;
    this.#open = new Array<BatchArena | undefined>(topic.partitionCount + 1).fill(undefined);
    if (this.#options.guard) this.#guard = new Guard(this.#binding, topic.name, this.#options.name);
    if (this.#options.ordering === "loose") this.#lines = this.#freeLines(partitions);
    this.#underWayOf = new Array<number>(topic.partitionCount).fill(0);
    this.#forgetJob = this.#completions.onClosed((error) => {
      this.#abandon(error);
    });
    topic.job.opened.add(this);
  }

  /** @internal Use `topic.producer`. */
  static async open<Metadata>(topic: TopicContext, options: ProducerOptions<Metadata>): Promise<Producer<Metadata>> {
    const resolved = resolveProducerOptions(options);
    const { completions } = topic.job;
    const { binding } = completions;
    // What the topic demands and the options lack is said before the opening.
    const selection = await topicSelection(topic);
    const choose = partitionChoice(topic, options, binding, selection);
    const validators = await loadValidators(topic, options.validate);
    throwIfAborted(`opening a producer of topic '${topic.name}'`, options.signal);
    const { handle } = await completions.request(
      `opening a producer of topic '${topic.name}'`,
      (tag) => {
        const { name, batchEvents, batchBytes, batchDataBytes, maxInFlight } = resolved;
        const native = { name, batchEvents, batchBytes, batchDataBytes, batchesInFlight: maxInFlight };
        binding.producerOpenAsync(topic.handle, native, tag);
      },
      {
        signal: options.signal,
        late: (completion) => {
          // Nobody has it: close it again, and nobody waits for that either.
          const tag = completions.watch(() => {
            completions.unwatch(tag);
          });
          binding.producerCloseAsync(completion.handle as ProducerHandle, tag);
        },
      },
    );
    return new Producer<Metadata>(topic, handle as ProducerHandle, options, choose, validators, selection.partitions);
  }

  /**
   * Where a program that was started again goes on: the last event that was stored in a partition (default 0) under this
   * producer's name before it was opened, whatever became of the process that pushed it; undefined if there is none, as
   * without a name. Older producers of the name are fenced and store nothing behind it. Local.
   *
   * WEFT_PARTITION_UNAVAILABLE: its server was away at the opening and has not answered yet, ask again. WEFT_PARTITION_RANGE,
   * WEFT_CLOSED.
   *
   * @example
   * ```ts
   * const last = out.storedBefore();
   * for (let step = last === undefined ? 0 : last.offset + 1; step < 10; step++) out.push({ step });
   * ```
   */
  storedBefore(partition = 0): StoredEvent | undefined {
    const { name, partitionCount } = this.topic;
    if (!Number.isInteger(partition) || partition < 0 || partition >= partitionCount) {
      throw new WeftError(
        "WEFT_PARTITION_RANGE",
        `topic '${name}' has no partition ${String(partition)}: they are 0 to ${partitionCount - 1}`,
      );
    }
    const next = this.#binding.producerStoredBefore(this.#handle, partition);
    return next === 0 ? undefined : { partition, offset: next - 1 };
  }

  /** Events that wait in JavaScript for a free batch. */
  get queued(): number {
    return this.#queue.length;
  }
  /** Events that were acknowledged so far: stored at the topic's durability. */
  get stored(): number {
    return this.#storedCount;
  }
  /** Events that were dropped so far, as `whenFull` has it. */
  get dropped(): number {
    return this.#queue.droppedCount;
  }
  /** Batches under way. */
  get batchesUnderWay(): number {
    return this.#underWay.size;
  }

  /**
   * Takes one event: metadata, and data that is copied up to 16 KiB per segment and referenced above. Referenced memory
   * must not change until the receipt completed (for a Region: `region.idle()`). Local; never blocks, but with `whenFull: "block"`.
   *
   * WEFT_METADATA_INVALID, WEFT_EVENT_TOO_LARGE, WEFT_VALIDATOR_REJECTED, WEFT_PARTITION_RANGE: this event was not
   * taken, all others are undisturbed. WEFT_BUSY: the queue is full, `await ready()` (`whenFull` may say otherwise). WEFT_CLOSED.
   *
   * @example
   * ```ts
   * const receipt = out.push({ step: 3, rank: job.rank }, temperature);
   * console.log((await receipt.wait()).offset);
   * ```
   */
  push(metadata: Metadata, data?: EventData, options?: PushOptions): Receipt {
    if (this.#closing !== undefined) {
      throw new WeftError("WEFT_CLOSED", `the producer of topic '${this.topic.name}' was closed`);
    }
    let segments = segmentsOf(data, this.#options.batchDataBytes);
    if (segments.length > 0) this.#checkLength(segments);
    if (this.#validators.length > 0) validate(this.#validators, metadata, segments);
    const text = this.#codec === undefined ? this.#encode(metadata) : undefined;
    const partition = this.#choose(metadata, options, segments);
    const encoded = text ?? this.#writeRecord(metadata, partition, segments);
    const nowMs = this.#clock.nowMs();
    const receipt = new Receipt();
    if (this.#guard !== undefined) segments = this.#guard.sign(segments);
    if (segments.length > 0) for (const { region } of segments) region?.hold(this.#sendAll);
    try {
      if (this.#queue.length > 0 || !this.#place(partition, encoded, segments, receipt, nowMs)) {
        // A record that was written into the open batch has its place there.
        if (!this.#enqueue(partition, encoded as string | Uint8Array, segments, receipt, nowMs)) return receipt;
      }
    } catch (error) {
      if (segments.length > 0) for (const { region } of segments) region?.unhold();
      throw error;
    }
    this.#acceptedCount++;
    return receipt;
  }

  /** The first failure since the last flush, which will reject with it; `undefined`: none so far. Local. */
  get failure(): WeftError | undefined {
    return this.#failure;
  }

  /**
   * Resolves at once while no pushed event waits for a batch; else when all of them have one and half of the batches are
   * free; or when an event failed, as `failure` says. To wait for it after each burst of pushes is the fastest way. Local.
   */
  async ready(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    throwIfAborted("producer.ready", options.signal);
    if (this.#hasRoom()) return;
    await abortable("producer.ready", options.signal, (resolve) => addWaiter(this.#roomWaiters, { resolve }));
  }

  /**
   * Sends what is open and resolves when all that was pushed before is stored at the topic's durability; rejects with
   * the first failure since the last flush, once: WEFT_DELIVERY_TIMED_OUT, WEFT_FENCED, WEFT_NO_SPACE, WEFT_SYNC_FAILED,
   * WEFT_PARTITION_UNAVAILABLE, … With `durability` above the topic's it resolves when that is reached for all that this producer
   * was ever acknowledged, and rejects also with WEFT_UNSUPPORTED (of a topic in memory, before anything is sent),
   * WEFT_TRUNCATED (a server has lost acknowledged events since) or WEFT_TIMED_OUT (no answer for `deliveryTimeoutMs` of the job). Local.
   *
   * @example
   * ```ts
   * await using out = await topic.producer();
   * for (let step = 1; step <= 10; step++) out.push({ step });
   * await out.flush({ durability: "synced" }); // a point to restart from
   * ```
   */
  async flush(options: FlushOptions = {}): Promise<void> {
    const sync = needsSync(this.topic.name, this.topic.description, options);
    throwIfAborted("producer.flush", options.signal);
    this.#flushing++;
    try {
      this.#sendOpen(true);
      const target = this.#acceptedCount;
      if (this.#doneBefore() < target) {
        await abortable("producer.flush", options.signal, (resolve) => addWaiter(this.#flushes, { target, resolve }));
      }
    } finally {
      this.#flushing--;
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
    if (!sync) return;
    const what = `making events of topic '${this.topic.name}' durable`;
    const synced = this.#completions.request(what, (tag) => {
      this.#binding.producerSyncAsync(this.#handle, tag);
    });
    await waitUnlessAborted(what, synced, options.signal);
  }

  /**
   * A stream that takes `{ metadata, data, partition, key }`, for pipelines of Node; it waits where `push` would be WEFT_BUSY, and
   * flushes at its end. What `push` rejects, or an event that could not be stored, is its error. The producer stays open. Local.
   *
   * @example
   * ```ts
   * const stream = out.toWritable();
   * stream.write({ metadata: { step: 1 }, data: temperature });
   * stream.end();
   * ```
   */
  toWritable(): Writable {
    return writableOf(this);
  }

  /** Registers memory once, so that events may reference it without a copy. Local. */
  register(memory: ArrayBufferView | SharedData): Region {
    return Region.register(this.#completions, memory);
  }
  /** Registered memory of the library; up to 4 GiB. Local. */
  alloc(bytes: number): Region {
    return Region.allocate(
      this.#completions,
      checkInteger("the length of a region", bytes, 1, Number.MAX_SAFE_INTEGER, 0),
    );
  }

  /** Two regions of `alloc`, of which one is written while the other is sent. Local. */
  pingPong(bytes: number): PingPong {
    return new PingPong(
      this.#completions,
      checkInteger("the length of a region", bytes, 1, Number.MAX_SAFE_INTEGER, 0),
    );
  }

  /**
   * Flushes, for at most twice the `deliveryTimeoutMs` of the job (an event may wait for that long, and then be sent), then
   * closes, also when the flush failed (it then rejects with that). Aborting the signal ends the waiting (WEFT_CANCELLED), not the closing. A second call waits for the same. Local.
   */
  async close(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const what = `closing a producer of topic '${this.topic.name}'`;
    await waitUnlessAborted(what, (this.#closing ??= this.#close()), options.signal);
  }
  /** As `close`. Local. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      this.#forgetJob();
      this.topic.job.opened.delete(this);
      await this.#completions.request(`closing a producer of topic '${this.topic.name}'`, (tag) => {
        this.#binding.producerCloseAsync(this.#handle, tag);
      });
    }
  }

  #checkLength(segments: readonly Segment[]): void {
    const length = lengthOf(segments);
    const limit = this.topic.eventDataBytesMax;
    if (length <= limit) return;
    throw new WeftError(
      "WEFT_EVENT_TOO_LARGE",
      `the event's data has ${length} bytes; a partition of topic '${this.topic.name}' takes ${limit}`,
      { next: "push smaller events, or raise the topic's limit" },
    );
  }

  /**
   * A packed record: written straight into the open batch where there is one with room, so that it is not written twice;
   * else into memory of the encoder.
   */
  #writeRecord(metadata: unknown, partition: number, segments: readonly Segment[]): EncodedMetadata {
    if (this.#writing) {
      throw new WeftError(
        "WEFT_INVALID_ARGUMENT",
        `push was called by a getter of metadata that is being pushed to topic '${this.topic.name}'`,
        { next: "push plain objects" },
      );
    }
    this.#writing = true;
    try {
      const batch = this.#open[partition];
      const codec = this.#codec;
      if (batch !== undefined && codec !== undefined && this.#queue.length === 0) {
        if (batch.fits(codec.fixedBytes, segments, this.topic.eventDataBytesMax)) {
          const bytes = batch.write(codec, metadata);
          // A getter of the record may have flushed, and so sent the batch.
          if (bytes >= 0 && this.#open[partition] === batch) return bytes;
        }
      }
      return this.#encode(metadata);
    } finally {
      this.#writing = false;
    }
  }

  /** False: the event was dropped. */
  #enqueue(
    partition: number,
    metadata: string | Uint8Array,
    segments: readonly Segment[],
    receipt: Receipt,
    nowMs: number,
  ): boolean {
    const copied = copyNow(segments);
    let bytes = typeof metadata === "string" ? metadata.length : metadata.byteLength;
    for (const segment of copied) if (segment.copy) bytes += segment.bytes.byteLength;
    // A copy: the bytes are the caller's again. Buffer takes small ones from a pool: memory of its own for each event
    // would cost more than all the rest.
    const kept = typeof metadata === "string" ? metadata : Buffer.from(metadata);
    if (this.#queue.isFull(bytes)) {
      if (this.#options.whenFull === "error") throw this.#queue.fullError(this.#underWay.size);
      if (this.#options.whenFull === "block") {
        if (
          this.#waitForRoom(
            () => this.#queue.length === 0 && this.#place(partition, kept, copied, receipt, nowMs),
            bytes,
          )
        )
          return true;
      } else if (this.#options.whenFull === "drop-oldest") {
        this.#queue.dropOldest(bytes);
      } else {
        this.#queue.drop([{ receipt, segments }]);
        return false;
      }
    }
    const number = this.#acceptedCount;
    if (this.#queue.length === 0) this.#resumeAt = Math.floor(this.#underWay.size / 2);
    this.#queue.push({ number, partition, metadata: kept, segments: copied, receipt, nowMs, bytes });
    return true;
  }

  /**
   * With this thread: answers of servers are taken here, for the event loop stands still. It ends with the time limit of the batches
   * under way at the latest. True: `place` found room in a batch; false: there is room in the queue.
   */
  #waitForRoom(place: () => boolean, bytes: number): boolean {
    if (this.#completions.draining) throw this.#queue.fullError(this.#underWay.size); // called by who takes the answers
    for (;;) {
      // Nothing else sends open batches meanwhile.
      this.#sendOpen(true);
      this.#completions.drain();
      if (this.#closing !== undefined) throw new WeftError("WEFT_CLOSED", "the producer was closed while push waited");
      if (place()) return true;
      if (!this.#queue.isFull(bytes)) return false;
      Atomics.wait(sleeping, 0, 0, blockedLookMs);
    }
  }

  /** Puts an event into the open batch of its partition; false if no batch is free. */
  #place(
    partition: number,
    metadata: EncodedMetadata,
    segments: readonly Segment[],
    receipt: Receipt,
    nowMs: number,
    number = this.#acceptedCount,
  ): boolean {
    let batch = this.#open[partition];
    if (batch !== undefined && !batch.fits(metadata, segments, this.topic.eventDataBytesMax)) {
      if (!this.#submit(batch)) return false;
      batch = undefined;
    }
    if (batch === undefined) {
      const arena = this.#binding.batchOpen(this.#handle);
      if (arena === null) return false;
      batch = new BatchArena(arena, partition, number, this.#options.batchBytes, nowMs);
      this.#open[partition] = batch;
    }
    const index = batch.add(metadata, segments, nowMs);
    receipt.place(batch.outcome, index);
    if (this.#guard !== undefined && segments.length > 0) batch.watched.push({ receipt, index, segments });
    if (segments.length > 0) for (const { region } of segments) if (region !== undefined) batch.holds.push(region);
    if (batch.count >= this.#options.batchEvents || batch.referencedBytes >= batchReferencedBytesMax) {
      this.#submit(batch);
    } else if (!this.#scheduled) this.#schedule(partition);
    return true;
  }

  #schedule(partition: number): void {
    const { lingerMs } = this.#options;
    // Adaptive: while a batch of the partition is under way, its acknowledgement sends the next one.
    if (lingerMs === undefined && (this.#underWayOf[partition] ?? 0) > 0) return;
    this.#scheduled = true;
    const run = (): void => {
      this.#scheduled = false;
      this.#sendOpen(lingerMs !== undefined);
    };
    if (lingerMs === undefined) setImmediate(run);
    else setTimeout(run, lingerMs);
  }

  /** Sends open batches: all, or those whose partition has nothing under way. */
  #sendOpen(all: boolean): void {
    for (let partition = 0; partition < this.#open.length; partition++) {
      const batch = this.#open[partition];
      if (batch !== undefined && (all || (this.#underWayOf[partition] ?? 0) === 0)) this.#submit(batch, !all);
    }
  }

  /** `free`: only if a line is. False: it stays open, since every line that it could take is busy. */
  #submit(batch: BatchArena, free = false): boolean {
    batch.submittedMs = this.#clock.nowMs();
    this.#open[batch.partition] = undefined;
    if (this.#lines !== undefined && !this.#takeLine(this.#lines, batch, free)) return false;
    const { partition } = batch;
    this.#underWay.add(batch);
    this.#underWayOf[partition] = (this.#underWayOf[partition] ?? 0) + 1;
    this.#completions.holdBegin();
    const tag = this.#completions.watch((record) => {
      this.#completions.unwatch(tag);
      this.#complete(batch, record);
    });
    try {
      const { count, metadataBytes, sources, numbers } = batch.seal();
      const baseTimeNs = BigInt(batch.baseTimeMs) * 1_000_000n;
      const { handle } = batch.arena;
      this.#binding.batchSubmit(handle, partition, count, metadataBytes, baseTimeNs, sources, numbers, tag);
    } catch (error) {
      this.#completions.unwatch(tag);
      this.#binding.batchCancel(batch.arena.handle);
      this.#end(batch, error as WeftError);
      this.#advance();
    }
    return true;
  }

  /** With loose ordering: the partition of a batch that may go to any. */
  #takeLine(lines: FreeLines, batch: BatchArena, free: boolean): boolean {
    const any = anyPartition(this.topic);
    if (batch.partition === any) {
      const partition = lines.choose(batch.submittedMs, { free });
      if (partition === undefined) {
        this.#open[any] = batch;
        if (!free) this.#looseIsDue = true;
        return false;
      }
      this.#looseIsDue = false;
      batch.partition = partition;
    }
    lines.sent(batch.partition, batch.submittedMs);
    return true;
  }

  #freeLines(partitions: readonly number[] = [...Array(this.topic.partitionCount).keys()]): FreeLines {
    const ask = (partition: number): Promise<unknown> =>
      this.#completions.request(`asking for partition ${partition} of topic '${this.topic.name}'`, (tag) => {
        this.#binding.partitionQueryAsync(this.topic.handle, partition, tag);
      });
    const first = this.topic.job.rank + Math.floor(Math.random() * partitions.length);
    return new FreeLines(partitions, this.#options.maxInFlight, ask, first);
  }

  #complete(batch: BatchArena, record: CompletionRecord): void {
    if (record.code === 0) {
      const changed = this.#guard?.check(batch.watched, batch.partition, record.value(0));
      if (changed !== undefined) this.#failure ??= changed;
      batch.outcome.stored(batch.partition, record.value(0), record.value(2));
      this.#storedCount += batch.count;
      this.#end(batch, undefined);
    } else this.#end(batch, record.error());
    this.#advance();
  }

  /** A batch is no longer under way. */
  #end(batch: BatchArena, error: WeftError | undefined): void {
    if (!this.#underWay.delete(batch)) return;
    this.#underWayOf[batch.partition] = (this.#underWayOf[batch.partition] ?? 1) - 1;
    this.#completions.holdEnd();
    if (this.#lines !== undefined) {
      const nowMs = this.#clock.nowMs();
      if (error === undefined) this.#lines.stored(batch.partition, nowMs);
      else this.#lines.failed(batch.partition, nowMs, error.code === "WEFT_FENCED");
    }
    if (error !== undefined) {
      batch.outcome.failed(error);
      this.#failure ??= error;
      if (error.code === "WEFT_DELIVERY_TIMED_OUT") this.#expire(batch.submittedMs, error);
    }
    for (const region of batch.holds) region.unhold();
  }

  /**
   * Queued events have the time limit of their delivery from the push: what is as old as a batch was that ran into it has
   * run into it too. Else each batch's worth of a long queue waited for the limit anew.
   */
  #expire(oldestMs: number, error: WeftError): void {
    const expired = this.#queue.takeUntil(oldestMs);
    if (expired.length > 0) this.#fail(expired, error);
  }

  /** A batch came back: queued events first, then batches that waited for a free line, then those who wait. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    const due = this.#looseIsDue ? this.#open[anyPartition(this.topic)] : undefined;
    if (due !== undefined) this.#submit(due);
    this.#queue.takeWhile((event) => {
      const { partition, metadata, segments, receipt, nowMs, number } = event;
      try {
        return this.#place(partition, metadata, segments, receipt, nowMs, number);
      } catch (error) {
        // The producer takes no batch any more: the event was accepted, so its receipt and the next flush say so.
        this.#fail([event], error as WeftError);
        return true;
      }
    });
    if (this.#flushing > 0) this.#sendOpen(true);
    else if (this.#options.lingerMs === undefined) this.#sendOpen(false);
    this.#advancing = false;
    if (this.#roomWaiters.length > 0 && (this.#hasRoom() || this.#failure !== undefined))
      for (const { resolve } of this.#roomWaiters.splice(0)) resolve();
    if (this.#flushes.length > 0) this.#endFlushes();
  }

  #endFlushes(): void {
    const done = this.#doneBefore();
    const waiting = this.#flushes;
    this.#flushes = waiting.filter(({ target }) => target > done);
    for (const { target, resolve } of waiting) if (target <= done) resolve();
  }

  /** All events of a smaller number are done. */
  #doneBefore(): number {
    let first = this.#queue.firstNumber ?? this.#acceptedCount;
    for (const batch of this.#underWay) first = Math.min(first, batch.firstNumber);
    for (const batch of this.#open) if (batch !== undefined) first = Math.min(first, batch.firstNumber);
    return first;
  }

  /**
   * Whether the next events find a batch. After events had to queue, not before half of the batches are back: then a
   * burst is pushed for each time that somebody waits, and not one batch.
   */
  #hasRoom(): boolean {
    return this.#queue.length === 0 && (this.#roomWaiters.length === 0 || this.#underWay.size <= this.#resumeAt);
  }

  /** The job is closed under it: everything ends with that. */
  #abandon(error: WeftError): void {
    this.#closing ??= Promise.resolve();
    for (const batch of [...this.#underWay]) this.#end(batch, error);
    this.#open.forEach((batch, partition) => {
      if (batch === undefined) return;
      this.#open[partition] = undefined;
      batch.outcome.failed(error);
      for (const region of batch.holds) region.unhold();
    });
    this.#fail(this.#queue.takeAll(), error);
    this.#advance();
  }

  /** Events that came into no batch. */
  #fail(events: Parameters<typeof failEvents>[0], error: WeftError): void {
    failEvents(events, error);
    this.#failure ??= error;
  }
}

function addWaiter<Waiter>(waiters: Waiter[], waiter: Waiter): () => void {
  waiters.push(waiter);
  return () => {
    const at = waiters.indexOf(waiter);
    if (at >= 0) waiters.splice(at, 1);
  };
}
