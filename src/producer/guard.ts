/**
 * Finds memory that was written while it was lent: a checksum of referenced data at push, and again when its batch is
 * acknowledged. Costs two passes over the data with this thread; nothing where it is off. JavaScript thread.
 */
import { WeftError } from "../errors.js";
import type { NativeBinding } from "../native/binding.js";
import type { Segment, Watched } from "./batch-arena.js";

export class Guard {
  readonly #binding: NativeBinding;
  readonly #topic: string;
  readonly #producer: string;

  constructor(binding: NativeBinding, topicName: string, producerName: string | undefined) {
    this.#binding = binding;
    this.#topic = topicName;
    this.#producer = producerName === undefined ? "a producer without a name" : `producer '${producerName}'`;
  }

  /** The segments with checksums of those that will be referenced. */
  sign(segments: readonly Segment[]): readonly Segment[] {
    return segments.map((segment) =>
      segment.copy ? segment : { ...segment, checksum: this.#binding.crc32c(segment.bytes, 0) },
    );
  }

  /**
   * After the acknowledgement, before anybody is told: the receipts of events whose memory differs get WEFT_BUFFER_CHANGED.
   * The first such error.
   */
  check(watched: readonly Watched[], partition: number, firstOffset: number): WeftError | undefined {
    let first: WeftError | undefined;
    for (const { receipt, index, segments } of watched) {
      const changed = segments.findIndex(
        ({ bytes, checksum }) => checksum !== undefined && this.#binding.crc32c(bytes, 0) !== checksum,
      );
      const segment = segments[changed];
      if (segment === undefined) continue;
      const error = this.#error(segment, changed, segments.length, partition, firstOffset + index);
      receipt.spoil(error);
      first ??= error;
    }
    return first;
  }

  #error(
    { bytes, region, regionAt }: Segment,
    index: number,
    count: number,
    partition: number,
    offset: number,
  ): WeftError {
    const memory =
      region === undefined
        ? `memory of ${bytes.byteLength} bytes, ${bytes.byteOffset} bytes into its buffer of ${bytes.buffer.byteLength}`
        : `bytes ${regionAt} to ${regionAt + bytes.byteLength} of a region of ${region.length}`;
    const which = count === 1 ? "its data" : `segment ${index} of its ${count}`;
    return new WeftError(
      "WEFT_BUFFER_CHANGED",
      `event ${offset} in partition ${partition} of topic '${this.#topic}', from ${this.#producer}, is stored, but ${which}, ` +
        `${memory}, was written between push and acknowledgement: what is stored may be neither the old nor the new`,
      { next: "wait for the receipt, or for region.idle(), before that memory is written again" },
    );
  }
}
