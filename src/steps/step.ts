/** A committed step as consumers see it: all its parts, and boxes of global arrays out of them. JavaScript thread. */
import { invalid } from "../check.js";
import type { Destination, FetchOptions } from "../consumer/event.js";
import { type Selection, all, destinationOf } from "../consumer/selection.js";
import { WeftError } from "../errors.js";
import { type ArrayBox, type ArrayPart, checkCovered, itemsOf, pieceOf, placeOf, scatter } from "./assembly.js";
import type { CommitRecord, PartRecord } from "./records.js";

/** An event of a step. */
export interface FetchedEvent {
  readonly partition: number;
  readonly offset: number;
  readonly dataLength: number;
  readonly name: string;
}

/** Selected bytes of one event, for one place of a destination. */
export interface WantedBytes {
  readonly partition: number;
  readonly offset: number;
  readonly dataLength: number;
  readonly selection: Selection;
  /** Byte in the destination. */
  readonly at: number;
}

/** Where the parts' data comes from. */
export interface StepSource {
  readonly topicName: string;
  fetch(
    event: FetchedEvent,
    selection: Selection,
    into: Destination | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array>;
  /** One data request for each server that has some of them. */
  fetchMany(
    wanted: readonly WantedBytes[],
    bytes: Uint8Array<ArrayBuffer>,
    signal: AbortSignal | undefined,
  ): Promise<void>;
  acknowledge(step: Step): void;
}

export interface AssembleOptions {
  /** Which array of the step, where it has several; default "". */
  readonly array?: string | undefined;
  /** The caller's memory, at least as long as the box; untouched until the promise settles. Default: new memory. */
  readonly into?: Destination | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * One part of a step: an event that some rank pushed.
 *
 * @example
 * ```ts
 * for await (const step of topic.consumer({ until: "end" }).steps()) {
 *   const bytes = await Promise.all(step.parts.map((part) => part.fetch()));
 * }
 * ```
 */
export class StepPart<Metadata = unknown> implements FetchedEvent {
  /** As it was pushed. */
  readonly metadata: Metadata;
  /** Of the rank in its group. */
  readonly rank: number;
  /** Number of its partition. */
  readonly partition: number;
  /** Its offset there: with the partition its id. */
  readonly offset: number;
  /** @internal */
  readonly epoch: number;
  /** Bytes of its data. */
  readonly dataLength: number;
  /** Where its data lies in a global array. */
  readonly array: ArrayPart | undefined;
  readonly #source: StepSource;

  /** @internal */
  constructor(source: StepSource, record: PartRecord) {
    this.#source = source;
    this.metadata = record.metadata as Metadata;
    this.rank = record.rank;
    this.partition = record.partition;
    this.offset = record.offset;
    this.epoch = record.epoch;
    this.dataLength = record.bytes;
    this.array = record.array;
  }

  /** For messages. */
  get name(): string {
    return `event ${this.partition}:${this.offset}`;
  }

  /** Its data, or the selected part of it; as `event.fetch`, with its errors. Local. */
  async fetch(selection: Selection = all, { into, signal }: FetchOptions = {}): Promise<Uint8Array> {
    return await this.#source.fetch(this, selection, into, signal);
  }
}

/** A step, from `consumer.steps()`. */
export class Step<Metadata = unknown> {
  /** Its number. */
  readonly number: number;
  /** How many ranks made it. */
  readonly ranks: number;
  /** All of it, in order of rank. */
  readonly parts: readonly StepPart<Metadata>[];
  /** @internal Of its commit. */
  readonly offset: number;
  readonly #source: StepSource;

  /** @internal */
  constructor(source: StepSource, { step, ranks }: CommitRecord, parts: readonly PartRecord[], offset: number) {
    this.#source = source;
    this.number = step;
    this.ranks = ranks;
    this.offset = offset;
    this.parts = parts.map((record) => new StepPart<Metadata>(source, record));
  }

  /** Done with it: whoever opens the consumer's name later begins behind it. Local. */
  ack(): void {
    this.#source.acknowledge(this);
  }

  /**
   * A box of a global array, in C order, out of the parts that have some of it (default: the whole array); one data request for
   * each server that does. Where parts overlap, the one of the higher rank counts. WEFT_SELECTION_OUTSIDE if the box does not lie in
   * the array, or the parts do not cover it; WEFT_INVALID_ARGUMENT if the step has no such array, or its parts do not agree on it; else
   * as `event.fetch`. Local.
   *
   * @example
   * ```ts
   * for await (const step of topic.consumer({ until: "end" }).steps()) {
   *   const bytes = await step.assemble({ origin: [0, 0], size: [4, 4] });
   *   const corner = new Float64Array(bytes.buffer, bytes.byteOffset, 16);
   * }
   * ```
   */
  async assemble(wanted?: ArrayBox, options: AssembleOptions = {}): Promise<Uint8Array> {
    const { array: name = "", into, signal } = options;
    const what = `array '${name}' of step ${this.number} of topic '${this.#source.topicName}'`;
    const parts = this.parts.filter(({ array }) => array !== undefined && (array.name ?? "") === name);
    const whole = wholeArray(what, parts);
    const target = wanted ?? { origin: whole.shape.map(() => 0), size: whole.shape };
    checkBox(what, target, whole.shape);
    const chosen = parts.flatMap((part) => {
      const piece = part.array === undefined ? undefined : pieceOf(part.array, target);
      return piece === undefined ? [] : [{ part, piece }];
    });
    checkCovered(
      what,
      chosen.map(({ piece }) => piece),
      target.size,
    );
    const bytes = itemsOf(target.size) * whole.itemSize;
    const memory = into === undefined ? new Uint8Array(bytes) : destinationOf(into, "the destination").bytes;
    if (memory.byteLength < bytes) {
      throw invalid("the destination's length", memory.byteLength, `at least ${bytes}`);
    }
    // What lies in the box in one piece goes there; rows come one behind the other, and are copied to their places.
    let scattered = 0;
    const plan = chosen.map(({ part, piece }) => {
      const place = placeOf(piece, target.size, whole.itemSize);
      const at = place ?? scattered;
      if (place === undefined) scattered += piece.bytes;
      return { part, piece, at, isDirect: place !== undefined };
    });
    const rows = new Uint8Array(scattered);
    const joined = scattered === 0 ? memory : new Uint8Array(bytes + scattered);
    const direct = joined.subarray(0, bytes);
    const behind = scattered === 0 ? rows : joined.subarray(bytes);
    const requested = plan.map(({ part, piece, at, isDirect }) => ({
      partition: part.partition,
      offset: part.offset,
      dataLength: part.dataLength,
      selection: piece.selection,
      at: isDirect ? at : bytes + at,
    }));
    await this.#source.fetchMany(requested, joined, signal);
    if (joined !== memory) memory.set(direct);
    for (const { piece, at, isDirect } of plan) {
      if (isDirect) continue;
      scatter(behind.subarray(at, at + piece.bytes), piece, memory, target.size, whole.itemSize);
    }
    return memory.subarray(0, bytes);
  }
}

function wholeArray(what: string, parts: readonly StepPart[]): { shape: readonly number[]; itemSize: number } {
  const first = parts[0]?.array;
  if (first === undefined) {
    throw new WeftError(
      "WEFT_INVALID_ARGUMENT",
      `there is no ${what}: no part of it says that it is one of that array`,
      {
        next: "name an array that the step has",
      },
    );
  }
  for (const { array, rank } of parts) {
    if (array === undefined) continue;
    const isAlike = array.itemSize === first.itemSize && array.shape.join() === first.shape.join();
    if (isAlike) continue;
    throw new WeftError(
      "WEFT_INVALID_ARGUMENT",
      `the parts of ${what} do not agree: rank ${rank} says ${array.shape.join(" x ")} of ${array.itemSize} bytes, another ${first.shape.join(" x ")} of ${first.itemSize}`,
      { next: "correct the program that writes the step" },
    );
  }
  return first;
}

function checkBox(what: string, { origin, size }: ArrayBox, shape: readonly number[]): void {
  if (origin.length !== shape.length || size.length !== shape.length) {
    throw invalid(
      `the box of ${what}`,
      `origin ${origin.length}, size ${size.length}`,
      `of ${shape.length} dimensions`,
    );
  }
  for (const [dimension, extent] of shape.entries()) {
    const [from, count] = [origin[dimension] ?? -1, size[dimension] ?? -1];
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(count) || from < 0 || count < 0) {
      throw invalid(`the box of ${what}`, `${from} and ${count} in dimension ${dimension}`, "whole numbers from 0");
    }
    if (from + count <= extent) continue;
    throw new WeftError(
      "WEFT_SELECTION_OUTSIDE",
      `the box of ${what} takes ${from} to ${from + count} of dimension ${dimension}, which has ${extent} items`,
    );
  }
}
