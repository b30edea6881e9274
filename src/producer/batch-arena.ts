/**
 * One open batch: the columns, metadata and data pieces of events on their way into an arena, which is native memory
 * that JavaScript writes into. No native call per event. JavaScript thread.
 *
 * JSON metadata gathers as one string and is written with a single call when the batch is sealed: 96 % of the rate of
 * JSON.stringify alone, where a write per event gives 80 % (docs/performance.md). Its ends are lengths in UTF-16 units
 * as long as all is ASCII, else they are counted again.
 */
import type { NativeBatch, NativePieceSource } from "../native/binding.js";
import type { Region } from "../job/region.js";
import type { PackedCodec } from "../packed/codec.js";
import { type RecordMemory, recordMemory } from "../packed/writer.js";
import { BatchOutcome, type Receipt } from "./receipt.js";

/** Data of an event begins at a multiple of it, so that typed views work. */
export const dataAlignmentBytes = 64;
/** Pieces of one batch that a message can name. */
export const batchPiecesMax = 512;
/**
 * A batch with so much referenced data is sent: larger ones would only make its events' receipts, and with them the
 * memory, wait for each other.
 */
export const batchReferencedBytesMax = 4 * 1024 * 1024;

const encoder = new TextEncoder();
const alignUp = (value: number): number => Math.ceil(value / dataAlignmentBytes) * dataAlignmentBytes;

/** A segment of an event's data, ready to be placed. */
export interface Segment {
  readonly bytes: Uint8Array;
  /** Copied into the arena; else referenced. */
  readonly copy: boolean;
  readonly region: Region | undefined;
  /** Of `bytes` in the region. */
  readonly regionAt: number;
  /** CRC32C at push, where a guard watches referenced memory. */
  readonly checksum?: number;
}

/** Data of one event in a batch, for the guard. */
export interface Watched {
  readonly receipt: Receipt;
  readonly index: number;
  readonly segments: readonly Segment[];
}

/** Views of an arena's memory; kept with it. */
interface ArenaViews {
  readonly metadataEnd: Uint32Array;
  readonly timeDeltaUs: Uint32Array;
  /** Low and high words of the u64 column. */
  readonly dataLength: Uint32Array;
  readonly metadata: RecordMemory;
  readonly data: Uint8Array;
}
const viewsOfArenas = new WeakMap<NativeBatch, ArenaViews>();

function viewsOf(arena: NativeBatch): ArenaViews {
  let views = viewsOfArenas.get(arena);
  if (views === undefined) {
    views = {
      metadataEnd: new Uint32Array(arena.metadataEnd),
      timeDeltaUs: new Uint32Array(arena.timeDeltaUs),
      dataLength: new Uint32Array(arena.dataLength),
      metadata: recordMemory(new Uint8Array(arena.metadata)),
      data: new Uint8Array(arena.data),
    };
    viewsOfArenas.set(arena, views);
  }
  return views;
}

/**
 * Metadata of an event on its way into a batch: JSON text, bytes, or a number of bytes that lie behind the metadata of the
 * open batch already (`BatchArena.write`).
 */
export type EncodedMetadata = string | Uint8Array | number;

/** A batch that cannot take any more. */
export interface SealedBatch {
  readonly count: number;
  readonly metadataBytes: number;
  readonly sources: readonly NativePieceSource[] | null;
  readonly numbers: Float64Array | null;
}

export class BatchArena {
  readonly arena: NativeBatch;
  /** Given when it is sent, where its events go to any partition. */
  partition: number;
  /** Of its first event, in the producer's count. */
  readonly firstNumber: number;
  readonly outcome = new BatchOutcome();
  readonly baseTimeMs: number;
  /** When it was handed over: from then on its delivery has a time limit. */
  submittedMs = 0;
  /** The regions of its events, one entry per event and region. */
  readonly holds: Region[] = [];
  /** For the guard, if there is one: events with data. */
  readonly watched: Watched[] = [];
  count = 0;

  readonly #views: ArenaViews;
  readonly #metadataBytesMax: number;
  #text = "";
  /** At most so many bytes of UTF-8 are in `#text`. */
  #textBytesAtMost = 0;
  /** From some event on: to count the joined text again for each would join it again. */
  #countsExactly = false;
  #rawBytes = 0;
  #hasData = false;
  #extentEnd = 0;
  #ownEnd = 0;
  #referencedBytes = 0;
  readonly #sources: NativePieceSource[] = [];
  readonly #numbers: number[] = [];

  constructor(arena: NativeBatch, partition: number, firstNumber: number, metadataBytesMax: number, nowMs: number) {
    this.arena = arena;
    this.partition = partition;
    this.firstNumber = firstNumber;
    this.baseTimeMs = Math.floor(nowMs);
    this.#views = viewsOf(arena);
    this.#metadataBytesMax = Math.min(metadataBytesMax, this.#views.metadata.bytes.byteLength);
  }

  get referencedBytes(): number {
    return this.#referencedBytes;
  }

  /** Whether one more event of this shape fits. The first always does: its sizes were checked before. */
  fits(metadata: EncodedMetadata, segments: readonly Segment[], extentBytesMax: number): boolean {
    if (this.count === 0) return true;
    if (this.count >= this.arena.eventCapacity) return false;
    if (!this.#metadataFits(metadata)) return false;
    if (segments.length === 0) return true;
    if (this.#sources.length + segments.length > batchPiecesMax) return false;
    let copied = alignUp(this.#ownEnd);
    let all = alignUp(this.#extentEnd);
    for (const { bytes, copy } of segments) {
      all += bytes.byteLength;
      if (copy) copied += bytes.byteLength + dataAlignmentBytes;
    }
    return copied <= this.#views.data.byteLength && all <= extentBytesMax;
  }

  #metadataFits(metadata: EncodedMetadata): boolean {
    if (typeof metadata === "number") return this.#rawBytes + metadata <= this.#metadataBytesMax;
    if (typeof metadata !== "string") return this.#rawBytes + metadata.byteLength <= this.#metadataBytesMax;
    // A UTF-16 unit becomes at most three bytes; count exactly only once that bound does not do.
    if (this.#textBytesAtMost + metadata.length * 3 <= this.#metadataBytesMax) return true;
    if (!this.#countsExactly) this.#textBytesAtMost = Buffer.byteLength(this.#text);
    this.#countsExactly = true;
    return this.#textBytesAtMost + Buffer.byteLength(metadata) <= this.#metadataBytesMax;
  }

  /**
   * Writes a packed record behind the metadata that is there, for `add` to take: how many bytes, or -1 if there is no
   * room for its variable part. An event with the fixed part of it and its segments must fit. Throws what the codec
   * throws; until `add` nothing has changed.
   */
  write(codec: PackedCodec, record: unknown): number {
    const end = codec.write(this.#views.metadata, this.#rawBytes, this.#metadataBytesMax, record);
    return end < 0 ? -1 : end - this.#rawBytes;
  }

  /** Takes an event that fits; returns its number in the batch. */
  add(metadata: EncodedMetadata, segments: readonly Segment[], nowMs: number): number {
    const index = this.count++;
    const { metadataEnd, timeDeltaUs } = this.#views;
    timeDeltaUs[index] = Math.max(0, Math.min(0xffff_ffff, (nowMs - this.baseTimeMs) * 1000));
    if (typeof metadata === "string") {
      this.#text += metadata;
      this.#textBytesAtMost += this.#countsExactly ? Buffer.byteLength(metadata) : metadata.length * 3;
      metadataEnd[index] = this.#text.length;
    } else {
      if (typeof metadata === "number") this.#rawBytes += metadata;
      else {
        this.#views.metadata.bytes.set(metadata, this.#rawBytes);
        this.#rawBytes += metadata.byteLength;
      }
      metadataEnd[index] = this.#rawBytes;
    }
    if (segments.length > 0) this.#addData(index, segments);
    else if (this.#hasData) this.#setDataLength(index, 0);
    return index;
  }

  /** Writes what gathered into the arena. Afterwards the batch takes no event. */
  seal(): SealedBatch {
    const metadataBytes = this.#text === "" ? this.#rawBytes : this.#writeText();
    const sources = this.#hasData && this.#sources.length > 0 ? this.#sources : null;
    return {
      count: this.count,
      metadataBytes,
      sources,
      numbers: sources === null ? null : Float64Array.from(this.#numbers),
    };
  }

  #writeText(): number {
    const { metadataEnd } = this.#views;
    const text = this.#text;
    const { written } = encoder.encodeInto(text, this.#views.metadata.bytes);
    if (written !== text.length) {
      let unit = 0;
      let byte = 0;
      for (let index = 0; index < this.count; index++) {
        const end = metadataEnd[index] ?? 0;
        byte += Buffer.byteLength(text.slice(unit, end));
        unit = end;
        metadataEnd[index] = byte;
      }
    }
    return written;
  }

  #addData(index: number, segments: readonly Segment[]): void {
    let length = 0;
    for (const { bytes } of segments) length += bytes.byteLength;
    if (!this.#hasData) {
      if (length === 0) return;
      this.#hasData = true;
      this.#views.dataLength.fill(0, 0, 2 * index);
    }
    this.#setDataLength(index, length);
    if (length === 0) return;
    let at = alignUp(this.#extentEnd);
    for (const segment of segments) {
      if (segment.bytes.byteLength === 0) continue;
      if (segment.copy) this.#copy(segment.bytes, at);
      else this.#reference(segment, at);
      at += segment.bytes.byteLength;
    }
    this.#extentEnd = at;
  }

  #setDataLength(index: number, length: number): void {
    this.#views.dataLength[2 * index] = length % 4_294_967_296;
    this.#views.dataLength[2 * index + 1] = Math.floor(length / 4_294_967_296);
  }

  /**
   * Copies to a place in the arena's data that lies as the extent does (modulo 64), so that copied events in a row are
   * one piece; the padding between is cleared, for it holds bytes of earlier batches.
   */
  #copy(bytes: Uint8Array, extentAt: number): void {
    const { data } = this.#views;
    const last = this.#sources.length - 1;
    const lastAt = this.#numbers[3 * last] ?? 0;
    const lastExtent = this.#numbers[3 * last + 2] ?? 0;
    const follows =
      last >= 0 && this.#sources[last] === null && this.#ownEnd + dataAlignmentBytes > extentAt - lastExtent + lastAt;
    if (follows) {
      const at = lastAt + (extentAt - lastExtent);
      data.fill(0, this.#ownEnd, at);
      data.set(bytes, at);
      this.#ownEnd = at + bytes.byteLength;
      this.#numbers[3 * last + 1] = this.#ownEnd - lastAt;
      return;
    }
    const at = alignUp(this.#ownEnd) + (extentAt % dataAlignmentBytes);
    data.set(bytes, at);
    this.#ownEnd = at + bytes.byteLength;
    this.#push(null, at, bytes.byteLength, extentAt);
  }

  #reference(segment: Segment, extentAt: number): void {
    const { bytes, region } = segment;
    this.#referencedBytes += bytes.byteLength;
    if (region === undefined) this.#push(bytes, 0, bytes.byteLength, extentAt);
    else this.#push(region.handle, segment.regionAt, bytes.byteLength, extentAt);
  }

  #push(source: NativePieceSource, at: number, length: number, extentAt: number): void {
    this.#sources.push(source);
    this.#numbers.push(at, length, extentAt);
  }
}
