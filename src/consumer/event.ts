/**
 * An event as it is handed out. Metadata is decoded at its first use. Data, if some was selected, is a view of memory
 * that is reused: it ends with the next iteration (`copy()` keeps it). JavaScript thread.
 */
import { checkMembers } from "../check.js";
import { WeftError, wordsOf } from "../errors.js";
import type { Region, RegionSlice } from "../job/region.js";
import type { DecodeMetadata } from "../topic/metadata-codec.js";
import { readUtf8 } from "../packed/text.js";
import type { Frame } from "./frame-layout.js";
import type { Selection } from "./selection.js";
import type { ConsumeMemory } from "./slab-pool.js";

/** What an event can ask of its consumer. */
export interface EventOwner {
  acknowledge(partition: number, offset: number): void;
  fetch(event: Event, selection: Selection, into: Destination | undefined, signal?: AbortSignal): Promise<Uint8Array>;
}
export type Destination = ArrayBufferView | ArrayBuffer | Region | RegionSlice;

export interface FetchOptions {
  /** The caller's memory, at least as long as the selection; untouched until the promise settles. Default: new memory. */
  readonly into?: Destination | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * One event of a consumer. Its metadata stays; its data is a view that ends with the next iteration, `pull` or `close`
 * of the consumer.
 */
export class Event<Metadata = unknown> {
  /** Number of its partition. */
  readonly partition: number;
  /** Its offset there: with the partition its id, which is never used again. */
  readonly offset: number;
  /** Bytes of its data as stored, selected or not. */
  readonly dataLength: number;
  /** @internal */
  readonly frame: Frame;
  /** @internal Number in the frame. */
  readonly index: number;
  /** @internal */
  readonly owner: EventOwner;
  /** @internal The selected bytes, once they are there. */
  selected: Uint8Array<ArrayBuffer> | undefined = undefined;
  /** @internal Whose memory they lie in, if it is reused. */
  memory: ConsumeMemory | undefined = undefined;
  /** @internal Why there are none. */
  failure: WeftError | undefined = undefined;
  /** @internal */
  decoded: { readonly value: unknown } | undefined = undefined;

  /** @internal */
  constructor(owner: EventOwner, frame: Frame, index: number) {
    this.owner = owner;
    this.frame = frame;
    this.index = index;
    this.partition = frame.partition;
    this.offset = frame.firstOffset + index;
    this.dataLength = frame.dataLength === undefined ? 0 : (frame.dataLength[index] ?? 0);
  }

  /** Of the partition; grows when its end had to be cut at a recovery. */
  get epoch(): number {
    return this.frame.epoch;
  }
  /** When it was pushed: the producer's clock, nanoseconds since 1970. */
  get timeNs(): bigint {
    return this.frame.baseTimeNs + BigInt(this.frame.timeDeltaUs[this.index] ?? 0) * 1000n;
  }
  /** When the server appended its batch: monotone in a partition, nanoseconds since 1970. */
  get appendTimeNs(): bigint {
    return this.frame.appendTimeNs;
  }

  /**
   * Decoded at its first use: of a "json" topic the value, of a "packed" one an object with the fields (u64 and i64 as
   * bigint), else the bytes. WEFT_METADATA_INVALID if what is stored is not JSON, or no record of the topic's schema.
   */
  get metadata(): Metadata {
    return (this.decoded ??= this.#decode()).value as Metadata;
  }
  /**
   * One field of packed metadata, without making the object: for loops over many events. The same values as in
   * `metadata`; bytes are a view. WEFT_INVALID_ARGUMENT where the topic's schema has no such field;
   * WEFT_METADATA_INVALID. Local.
   */
  field<Name extends keyof Metadata & string>(name: Name): Metadata[Name] {
    const { packed } = this.frame;
    const read = packed?.codec.field(name);
    if (packed === undefined || read === undefined) throw this.#noField(name);
    return read(packed.memory, this.#recordStart(packed)) as Metadata[Name];
  }
  /** The JSON text as it was stored; undefined in topics of another serializer. */
  get metadataText(): string | undefined {
    const { text, textBytes, json } = this.frame;
    if (!json) return undefined;
    const start = this.index === 0 ? 0 : (this.frame.metadataEnd[this.index - 1] ?? 0);
    const end = this.frame.metadataEnd[this.index] ?? start;
    if (text !== undefined) return text.slice(start, end);
    return textBytes === undefined ? "" : readUtf8(textBytes, start, end);
  }
  /** The metadata's bytes as they were stored. They stay valid. */
  get metadataBytes(): Uint8Array {
    const { bytes, metadataEnd } = this.frame;
    if (bytes === undefined) return Buffer.from(this.metadataText ?? "");
    const start = this.index === 0 ? 0 : (metadataEnd[this.index - 1] ?? 0);
    return bytes.subarray(start, metadataEnd[this.index] ?? start);
  }

  /**
   * The selected bytes; none if none were selected. A view until the next iteration, `pull` or `close`: afterwards
   * WEFT_CLOSED, and views that were kept are detached (length 0); in memory of the caller's (`allocate`, `into`) they stay. Throws why they could not be had:
   * WEFT_SELECTION_OUTSIDE, WEFT_BUFFER_TOO_LARGE, WEFT_CORRUPT, …; the event can then still `fetch`.
   */
  get data(): Uint8Array<ArrayBuffer> {
    if (this.failure !== undefined) throw this.failure;
    if (this.memory?.released === true) {
      throw new WeftError("WEFT_CLOSED", `the data of ${this.name} was released by the next iteration`, {
        next: "use it before, or keep a copy: event.copy()",
      });
    }
    return (this.selected ??= new Uint8Array(0));
  }
  /**
   * The selected bytes as doubles; a view as `data` is. WEFT_INVALID_ARGUMENT if they are no whole doubles.
   *
   * @example
   * ```ts
   * const mean = event.float64().reduce((sum, value) => sum + value, 0) / event.float64().length;
   * ```
   */
  float64(): Float64Array<ArrayBuffer> {
    const [buffer, at, count] = this.#items(8);
    return new Float64Array(buffer, at, count);
  }
  /** As `float64`, as floats of 32 bits. */
  float32(): Float32Array<ArrayBuffer> {
    const [buffer, at, count] = this.#items(4);
    return new Float32Array(buffer, at, count);
  }
  /** As `float64`, as signed integers of 32 bits. */
  int32(): Int32Array<ArrayBuffer> {
    const [buffer, at, count] = this.#items(4);
    return new Int32Array(buffer, at, count);
  }
  /** As `float64`, as unsigned integers of 32 bits. */
  uint32(): Uint32Array<ArrayBuffer> {
    const [buffer, at, count] = this.#items(4);
    return new Uint32Array(buffer, at, count);
  }
  /** Its selected data in memory of its own from now on, so that it outlives the next iteration. Returns the event. */
  keep(): this {
    if (this.memory !== undefined && this.failure === undefined) this.selected = this.data.slice();
    this.memory = undefined;
    return this;
  }
  /** The selected bytes in memory of their own. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.data.slice();
  }

  /**
   * Gets (other) bytes of this event's data, at any time while the consumer is open. WEFT_SELECTION_OUTSIDE,
   * WEFT_BUFFER_TOO_LARGE, WEFT_OFFSET_GONE, WEFT_CORRUPT, WEFT_PARTITION_UNAVAILABLE, WEFT_CANCELLED, WEFT_CLOSED. Local.
   *
   * @example
   * ```ts
   * const rows = await event.fetch(range(0, 4096));
   * ```
   */
  async fetch(selection: Selection, options: FetchOptions = {}): Promise<Uint8Array> {
    checkMembers("event.fetch", options, ["into", "signal"]);
    return await this.owner.fetch(this, selection, options.into, options.signal);
  }

  /**
   * The event is done. Local: `consumer.commit()`, or `ackEvery`, makes the position durable. In any order; twice is as
   * once. WEFT_CLOSED once the consumer was closed: the event will come again. WEFT_LIMIT when a million were acknowledged
   * behind one that was not.
   */
  ack(): void {
    this.owner.acknowledge(this.partition, this.offset);
  }

  /** @internal For messages. */
  get name(): string {
    return `event ${this.partition}:${this.offset}`;
  }

  #items(itemBytes: number): [buffer: ArrayBuffer, at: number, count: number] {
    const { buffer, byteOffset, byteLength } = this.data;
    if (byteOffset % itemBytes === 0 && byteLength % itemBytes === 0)
      return [buffer, byteOffset, byteLength / itemBytes];
    throw new WeftError(
      "WEFT_INVALID_ARGUMENT",
      `${this.name}: ${byteLength} selected bytes at ${byteOffset} are no items of ${itemBytes} bytes`,
      { next: "select whole items" },
    );
  }

  /** Where the event's record lies; WEFT_METADATA_INVALID if it has not the length that it must have. */
  #recordStart({ codec, memory }: NonNullable<Frame["packed"]>): number {
    const { metadataEnd } = this.frame;
    const start = this.index === 0 ? 0 : (metadataEnd[this.index - 1] ?? 0);
    const problem = codec.problemOf(memory.view, start, (metadataEnd[this.index] ?? start) - start);
    if (problem === undefined) return start;
    throw new WeftError("WEFT_METADATA_INVALID", `the metadata of ${this.name} ${problem}`, {
      next: "look at its producer; event.metadataBytes has what is stored",
    });
  }

  #noField(name: string): WeftError {
    const { packed } = this.frame;
    const known = packed?.codec.layout.fields.map((field) => field.name).join(", ");
    return new WeftError(
      "WEFT_INVALID_ARGUMENT",
      packed === undefined
        ? `${this.name} has no field '${name}': the topic's metadata is not packed`
        : `${this.name} has no field '${name}'; the topic's schema has ${known}`,
      { next: packed === undefined ? "use event.metadata" : "correct the name" },
    );
  }

  #decodeWith(decode: DecodeMetadata): unknown {
    try {
      return decode(this.metadataBytes);
    } catch (cause) {
      const why = wordsOf(cause);
      throw new WeftError(
        "WEFT_METADATA_INVALID",
        `the topic's serializer cannot read the metadata of ${this.name}: ${why}`,
        {
          cause,
          next: "look at the serializer and at the producer; event.metadataBytes has what is stored",
        },
      );
    }
  }

  #decode(): { value: unknown } {
    const { packed, decode } = this.frame;
    if (packed !== undefined) return { value: packed.codec.read(packed.memory, this.#recordStart(packed)) };
    if (decode !== undefined) return { value: this.#decodeWith(decode) };
    if (!this.frame.json) return { value: this.metadataBytes };
    const text = this.metadataText ?? "";
    try {
      return { value: JSON.parse(text) as unknown };
    } catch (cause) {
      const why = wordsOf(cause);
      throw new WeftError("WEFT_METADATA_INVALID", `the metadata of ${this.name} is not JSON: ${why}`, {
        cause,
        next: "look at its producer; event.metadataBytes has what is stored",
      });
    }
  }
}
