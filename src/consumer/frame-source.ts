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

/** A frame with the part of it that is wanted: events `skip` to `end`. */
export interface WantedFrame {
  readonly frame: Frame;
  readonly end: number;
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
  readonly #open: Set<number>;
  #dry = false;

  constructor(
    completions: Completions,
    handle: ConsumerHandle,
    { serializer, codec, custom }: Pick<TopicContext, "serializer" | "codec" | "custom">,
    partitions: readonly number[],
    untilEnd: boolean,
  ) {
    this.#completions = completions;
    this.#handle = handle;
    this.#json = serializer === "json";
    this.#codec = codec;
    this.#decode = custom?.decode;
    this.#open = new Set(partitions);
    if (!untilEnd) return;
    for (const partition of partitions) {
      const { startOffset, visibleEnd } = completions.binding.consumerPosition(handle, partition);
      this.#ends.set(partition, visibleEnd);
      if (startOffset >= visibleEnd) this.#open.delete(partition);
    }
  }

  /** Nothing more comes: every partition reached its end or failed. */
  get ended(): boolean {
    return this.#open.size === 0;
  }

  /** The native side says that there is something. */
  wake(): void {
    this.#dry = false;
  }

  /** The next frame; undefined when none is there; the error of a partition whose stream failed, once. */
  next(): WantedFrame | WeftError | undefined {
    while (!this.#dry && !this.ended) {
      let metadata: string | Uint8Array<ArrayBuffer> | null;
      try {
        metadata = this.#completions.binding.consumerPoll(this.#handle, this.#scratch.memory, this.#json);
      } catch (error) {
        this.#open.delete(this.#scratch.partition);
        return error as WeftError;
      }
      if (metadata === null) {
        this.#dry = true;
        return undefined;
      }
      const { partition } = this.#scratch;
      if (!this.#open.has(partition)) continue;
      const frame = this.#scratch.take(metadata, this.#json, this.#codec, this.#decode);
      const partitionEnd = this.#ends.get(partition);
      if (partitionEnd === undefined) return { frame, end: frame.count };
      if (frame.firstOffset + frame.count >= partitionEnd) this.#open.delete(partition);
      const end = Math.min(frame.count, partitionEnd - frame.firstOffset);
      if (end > frame.skip) return { frame, end };
    }
    return undefined;
  }
}
