/**
 * Frames of all partitions of a consumer as they arrive, up to the end that was asked for. JavaScript thread. Polling
 * gives ring memory back to the server at once, so whoever polls decides how much is under way.
 */
import type { WeftError } from "../errors.js";
import type { ConsumerHandle } from "../native/binding.js";
import type { Completions } from "../native/completions.js";
import type { PackedCodec } from "../packed/codec.js";
import type { TopicContext } from "../topic/context.js";
import type { DecodeMetadata } from "../topic/metadata-codec.js";
import { type Frame, FrameScratch } from "./frame-layout.js";
import type { ResolvedUntil } from "./options.js";

/** A frame with the part of it that is wanted: events `skip` to `end`. */
export interface WantedFrame {
  readonly frame: Frame;
  readonly end: number;
}

/** Why no more comes of a partition; of none: why no more comes at all. */
export interface FailedPartition {
  readonly partition: number | undefined;
  readonly error: WeftError;
}

export class FrameSource {
  readonly #completions: Completions;
  readonly #handle: ConsumerHandle;
  readonly #json: boolean;
  readonly #codec: PackedCodec | undefined;
  readonly #decode: DecodeMetadata | undefined;
  readonly #scratch = new FrameScratch();
  /** Where each partition ends; empty: never. */
  readonly #ends = new Map<number, number>();
  /** Behind the last frame of each partition. */
  readonly #next = new Map<number, number>();
  readonly #untilTimeNs: bigint | undefined;
  readonly #open: Set<number>;
  /** Of the first partition that ended, but without a producer that died: told when all have ended. */
  #loss: WeftError | undefined;
  /** There is no partition, and nothing that says yet when that is all. */
  #waitsInVain: boolean;
  #dry = false;

  constructor(
    completions: Completions,
    handle: ConsumerHandle,
    { serializer, codec, custom }: Pick<TopicContext, "serializer" | "codec" | "custom">,
    partitions: readonly number[],
    until: ResolvedUntil,
  ) {
    this.#completions = completions;
    this.#handle = handle;
    this.#json = serializer === "json";
    this.#codec = codec;
    this.#decode = custom?.decode;
    this.#open = new Set(partitions);
    this.#waitsInVain = partitions.length === 0 && !until.isNow && until.offset === undefined;
    this.#untilTimeNs = until.timeNs;
    for (const partition of partitions) {
      const { startOffset, visibleEnd } = completions.binding.consumerPosition(handle, partition);
      this.#next.set(partition, startOffset);
      if (until.isNow) this.limit(partition, visibleEnd);
      if (until.offset !== undefined) this.limit(partition, until.offset);
    }
  }

  /** A partition ends before this offset, or before one that was said before. */
  limit(partition: number, end: number): void {
    const limited = Math.min(end, this.#ends.get(partition) ?? Infinity);
    this.#ends.set(partition, limited);
    if ((this.#next.get(partition) ?? 0) >= limited) this.#open.delete(partition);
  }

  /** A partition is read from another place on, as the native side has it; it ends where it did. */
  move(partition: number): void {
    const { startOffset } = this.#completions.binding.consumerPosition(this.#handle, partition);
    this.#next.set(partition, startOffset);
    if (startOffset >= (this.#ends.get(partition) ?? Infinity)) this.#open.delete(partition);
    else this.#open.add(partition);
    this.#dry = false;
  }

  /** Nothing more comes: every partition reached its end or failed. */
  get ended(): boolean {
    return this.#open.size === 0 && !this.#waitsInVain;
  }

  /** The time has come that ends it: where there is no partition nothing else says so. */
  endWithoutPartitions(): void {
    this.#waitsInVain = false;
  }

  /** The native side says that there is something. */
  wake(): void {
    this.#dry = false;
  }

  /**
   * The next frame; undefined when none is there; the error of a partition whose stream failed, once. That the topic ended
   * is none, but that a producer of it died.
   */
  next(): WantedFrame | FailedPartition | undefined {
    while (!this.#dry && this.#open.size > 0) {
      let metadata: string | Uint8Array<ArrayBuffer> | null;
      try {
        metadata = this.#completions.binding.consumerPoll(this.#handle, this.#scratch.memory, this.#json);
      } catch (error) {
        const failed = error as WeftError;
        const wasOpen = this.#open.delete(this.#scratch.partition);
        const isEnd = failed.code === "WEFT_END_OF_STREAM" || failed.code === "WEFT_PRODUCER_LOST";
        if (!isEnd) return { partition: this.#scratch.partition, error: failed };
        if (wasOpen && failed.code === "WEFT_PRODUCER_LOST") this.#loss ??= failed;
        continue;
      }
      if (metadata === null) {
        this.#dry = true;
        return undefined;
      }
      const { partition } = this.#scratch;
      if (!this.#open.has(partition)) continue;
      const frame = this.#scratch.take(metadata, this.#json, this.#codec, this.#decode);
      // A batch is appended as a whole.
      if (this.#untilTimeNs !== undefined && frame.appendTimeNs >= this.#untilTimeNs) {
        this.#open.delete(partition);
        continue;
      }
      const next = frame.firstOffset + frame.count;
      this.#next.set(partition, next);
      const partitionEnd = this.#ends.get(partition);
      if (partitionEnd === undefined) return { frame, end: frame.count };
      if (next >= partitionEnd) this.#open.delete(partition);
      const end = Math.min(frame.count, partitionEnd - frame.firstOffset);
      if (end > frame.skip) return { frame, end };
    }
    if (!this.ended) return undefined;
    const error = this.#loss;
    this.#loss = undefined;
    return error === undefined ? undefined : { partition: undefined, error };
  }
}
