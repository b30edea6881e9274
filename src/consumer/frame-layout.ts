/** Where consumerPoll puts a frame's header and columns (native/addon/consumer.cc). Little-endian. */

import type { PackedCodec } from "../packed/codec.js";
import type { DecodeMetadata } from "../topic/metadata-codec.js";
import { type RecordMemory, recordMemory } from "../packed/writer.js";

/** Most events of one frame. */
export const frameEventsMax = 65_536;
const headerBytes = 64;
const metadataEndAt = headerBytes;
const timeDeltaAt = metadataEndAt + 4 * frameEventsMax;
const dataLengthAt = timeDeltaAt + 4 * frameEventsMax;
export const scratchBytes = dataLengthAt + 8 * frameEventsMax;

const flagHasData = 1;

/** A batch of events as it was stored; owns its memory. */
export interface Frame {
  readonly partition: number;
  readonly epoch: number;
  readonly count: number;
  /** Events before this one were not asked for. */
  readonly skip: number;
  readonly firstOffset: number;
  readonly baseTimeNs: bigint;
  readonly appendTimeNs: bigint;
  /** Of the partition, when the frame was sent. */
  readonly visibleEnd: number;
  /** Cumulative, in units of `text` or bytes of `bytes`. */
  readonly metadataEnd: Uint32Array;
  readonly timeDeltaUs: Uint32Array;
  /** undefined: no event has data. */
  readonly dataLength: Float64Array | undefined;
  /** Whether the topic's metadata is JSON. */
  readonly json: boolean;
  /** JSON metadata of all events as one string … */
  readonly text: string | undefined;
  /** … or the bytes: raw metadata, or JSON that is not UTF-8, or of 1 KiB an event and more. */
  readonly bytes: Uint8Array | undefined;
  /** The same of JSON, as a Buffer. */
  readonly textBytes: Buffer | undefined;
  /** Of packed metadata: how and where its records are read. */
  readonly packed: { readonly codec: PackedCodec; readonly memory: RecordMemory } | undefined;
  /** Of a topic with a serializer of its own. */
  readonly decode: DecodeMetadata | undefined;
}

export class FrameScratch {
  readonly memory = new ArrayBuffer(scratchBytes);
  readonly #words = new Uint32Array(this.memory, 0, headerBytes / 4);
  readonly #wide = new BigUint64Array(this.memory, 0, headerBytes / 8);
  readonly #metadataEnd = new Uint32Array(this.memory, metadataEndAt, frameEventsMax);
  readonly #timeDelta = new Uint32Array(this.memory, timeDeltaAt, frameEventsMax);
  readonly #dataLength = new Uint32Array(this.memory, dataLengthAt, 2 * frameEventsMax);

  /** Of the frame, or of the partition whose error was thrown. */
  get partition(): number {
    return this.#words[0] ?? 0;
  }

  /** Takes what consumerPoll left here. */
  take(metadata: string | Uint8Array<ArrayBuffer>, json: boolean, codec?: PackedCodec, decode?: DecodeMetadata): Frame {
    const words = this.#words;
    const count = words[1] ?? 0;
    return {
      partition: words[0] ?? 0,
      count,
      skip: words[2] ?? 0,
      epoch: words[3] ?? 0,
      firstOffset: this.#whole(6),
      baseTimeNs: this.#wide[4] ?? 0n,
      appendTimeNs: this.#wide[5] ?? 0n,
      visibleEnd: this.#whole(12),
      metadataEnd: this.#metadataEnd.slice(0, count),
      timeDeltaUs: this.#timeDelta.slice(0, count),
      dataLength: ((words[4] ?? 0) & flagHasData) === 0 ? undefined : this.#lengths(count),
      json,
      text: typeof metadata === "string" ? metadata : undefined,
      bytes: typeof metadata === "string" ? undefined : metadata,
      textBytes: json && typeof metadata !== "string" ? asBuffer(metadata) : undefined,
      packed:
        codec === undefined || typeof metadata === "string" ? undefined : { codec, memory: recordMemory(metadata) },
      decode,
    };
  }

  #whole(word: number): number {
    return (this.#words[word] ?? 0) + (this.#words[word + 1] ?? 0) * 4_294_967_296;
  }
  #lengths(count: number): Float64Array {
    const lengths = new Float64Array(count);
    for (let index = 0; index < count; index++) {
      lengths[index] = (this.#dataLength[2 * index] ?? 0) + (this.#dataLength[2 * index + 1] ?? 0) * 4_294_967_296;
    }
    return lengths;
  }
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
