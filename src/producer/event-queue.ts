/**
 * Events that wait in JavaScript while all batches of a producer are under way, and what becomes of one that finds no room. JavaScript
 * thread. Bounds: queueEvents and queueBytes; one event alone may have more bytes.
 */
import { WeftError } from "../errors.js";
import type { Segment } from "./batch-arena.js";
import type { ResolvedProducerOptions } from "./options.js";
import { BatchOutcome, type Receipt } from "./receipt.js";

export interface QueuedEvent {
  readonly number: number;
  readonly partition: number;
  readonly metadata: string | Uint8Array;
  readonly segments: readonly Segment[];
  readonly receipt: Receipt;
  readonly nowMs: number;
  /** That were copied for it. */
  readonly bytes: number;
}

export class EventQueue {
  readonly #topicName: string;
  readonly #options: Pick<ResolvedProducerOptions, "queueEvents" | "queueBytes" | "whenFull">;
  #events: QueuedEvent[] = [];
  #bytes = 0;
  #droppedCount = 0;

  constructor(topicName: string, options: Pick<ResolvedProducerOptions, "queueEvents" | "queueBytes" | "whenFull">) {
    this.#topicName = topicName;
    this.#options = options;
  }

  get length(): number {
    return this.#events.length;
  }
  /** Of the first event; `undefined`: there is none. */
  get firstNumber(): number | undefined {
    return this.#events[0]?.number;
  }
  /** Events that were dropped so far. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  push(event: QueuedEvent): void {
    this.#events.push(event);
    this.#bytes += event.bytes;
  }

  /** Whether an event of so many bytes finds no room. */
  isFull(bytes: number): boolean {
    const { queueEvents, queueBytes } = this.#options;
    return this.#events.length >= queueEvents || (this.#events.length > 0 && this.#bytes + bytes > queueBytes);
  }

  /** What `push` throws then. */
  fullError(batchesUnderWay: number): WeftError {
    const { queueEvents, queueBytes } = this.#options;
    return new WeftError(
      "WEFT_BUSY",
      `the producer of topic '${this.#topicName}' has ${batchesUnderWay} batches under way and ` +
        `${this.#events.length} events (${this.#bytes} bytes) waiting; the limits are queueEvents ${queueEvents} ` +
        `and queueBytes ${queueBytes}`,
      { next: "await producer.ready(), or raise the limit" },
    );
  }

  /** As many as make room for an event of so many bytes. */
  dropOldest(bytes: number): void {
    const { queueEvents, queueBytes } = this.#options;
    let count = 0;
    for (const { bytes: freed } of this.#events) {
      if (this.#events.length - count < queueEvents && this.#bytes + bytes <= queueBytes) break;
      this.#bytes -= freed;
      count++;
    }
    this.drop(this.#events.splice(0, count));
  }

  /** Events that are in no queue: never numbered, and WEFT_DROPPED for whoever waits for them. */
  drop(events: readonly Pick<QueuedEvent, "receipt" | "segments">[]): void {
    this.#droppedCount += events.length;
    failEvents(
      events,
      new WeftError(
        "WEFT_DROPPED",
        `the queue of the producer of topic '${this.#topicName}' was full, and whenFull is "${this.#options.whenFull}"`,
      ),
    );
  }

  /** Takes events from the front as long as they are placed. */
  takeWhile(place: (event: QueuedEvent) => boolean): void {
    let taken = 0;
    for (const event of this.#events) {
      if (!place(event)) break;
      taken++;
      this.#bytes -= event.bytes;
    }
    if (taken > 0) this.#events = this.#events.slice(taken);
  }

  /** Takes all that were pushed at that time or before. */
  takeUntil(oldestMs: number): QueuedEvent[] {
    const late = this.#events.findIndex(({ nowMs }) => nowMs > oldestMs);
    const expired = this.#events.splice(0, late < 0 ? this.#events.length : late);
    for (const { bytes } of expired) this.#bytes -= bytes;
    return expired;
  }

  takeAll(): QueuedEvent[] {
    this.#bytes = 0;
    return this.#events.splice(0);
  }
}

/** Events that came into no batch: their receipts say why, their memory is free. */
export function failEvents(events: readonly Pick<QueuedEvent, "receipt" | "segments">[], error: WeftError): void {
  const outcome = new BatchOutcome();
  outcome.failed(error);
  for (const { receipt, segments } of events) {
    receipt.place(outcome, 0);
    for (const { region } of segments) region?.unhold();
  }
}
