/**
 * The events of a consumer as a `Readable` of Node. It reads ahead; when it is ended before it gave all of that on, the rest goes
 * back to the consumer, which waits for that before its next pull. JavaScript thread.
 */
import { Readable } from "node:stream";

import { asError } from "../errors.js";
import type { Event } from "./event.js";

/** Events that it reads ahead. */
const eventsAheadMax = 16;

export interface StreamedConsumer<Metadata> {
  next(signal: AbortSignal): Promise<IteratorResult<Event<Metadata>, undefined>>;
  /** `rest`: what was not given on, in order, when nothing is under way any more. */
  leave(rest: Promise<Event<Metadata>[]>): Promise<void>;
}

export class EventStream<Metadata> extends Readable {
  readonly #consumer: StreamedConsumer<Metadata>;
  readonly #stop = new AbortController();
  /** The last that were pushed, at least as many as the stream may hold. */
  #ahead: Event<Metadata>[] = [];
  #reading: Promise<Event<Metadata> | undefined> | undefined;

  constructor(consumer: StreamedConsumer<Metadata>) {
    super({ objectMode: true, highWaterMark: eventsAheadMax });
    this.#consumer = consumer;
  }

  override _read(): void {
    if (this.#reading !== undefined || this.#stop.signal.aborted) return;
    this.#reading = this.#readOne();
  }

  /** The event, where the stream was ended meanwhile. */
  async #readOne(): Promise<Event<Metadata> | undefined> {
    try {
      const { done, value } = await this.#consumer.next(this.#stop.signal);
      const event = value?.keep();
      if (this.#stop.signal.aborted) return event;
      this.#reading = undefined; // push may ask for the next
      if (done === true || event === undefined) this.push(null);
      else {
        this.#ahead.push(event);
        if (this.#ahead.length > 4 * eventsAheadMax) this.#ahead = this.#ahead.slice(-2 * eventsAheadMax);
        this.push(event);
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) this.destroy(asError(error));
    }
    return undefined;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stop.abort();
    const held = this.readableLength;
    const rest = held === 0 ? [] : this.#ahead.slice(-held);
    const under = this.#reading ?? Promise.resolve(undefined);
    const all = under.then((event) => (event === undefined ? rest : [...rest, event]));
    this.#consumer.leave(all).then(
      () => {
        done(error);
      },
      (reason: unknown) => {
        done(error ?? asError(reason));
      },
    );
  }
}
