/**
 * Receipts: what became of a pushed event. A receipt costs a small object; promises exist only where somebody waits, one
 * per batch. JavaScript thread.
 */
import { signalOf } from "../check.js";
import { abortable } from "../job/abortable.js";
import { WeftError } from "../errors.js";

/** The place of an event for ever: never given to another one. */
export interface EventId {
  readonly partition: number;
  readonly offset: number;
  /** Of the partition; grows when its end had to be cut at a recovery. */
  readonly epoch: number;
}

/** Where an event lies. */
export type StoredEvent = Pick<EventId, "partition" | "offset">;

/** The outcome of one batch, shared by the receipts of its events. */
export class BatchOutcome {
  state: "open" | "stored" | "failed" = "open";
  partition = 0;
  firstOffset = 0;
  epoch = 0;
  error: WeftError | undefined;
  #waiters: (() => void)[] | undefined;
  #settled: Promise<void> | undefined;

  stored(partition: number, firstOffset: number, epoch: number): void {
    this.partition = partition;
    this.firstOffset = firstOffset;
    this.epoch = epoch;
    this.#settle("stored");
  }
  failed(error: WeftError): void {
    this.error = error;
    this.#settle("failed");
  }
  /** Resolves once settled: one promise for all who wait. */
  get settled(): Promise<void> {
    return (this.#settled ??= new Promise((resolve) => this.onSettled(resolve)));
  }
  /** Calls once settled; returns what takes it back. */
  onSettled(waiter: () => void): () => void {
    const waiters = (this.#waiters ??= []);
    waiters.push(waiter);
    return () => {
      const at = waiters.indexOf(waiter);
      if (at >= 0) waiters.splice(at, 1);
    };
  }

  #settle(state: "stored" | "failed"): void {
    this.state = state;
    const waiters = this.#waiters;
    this.#waiters = undefined;
    if (waiters !== undefined) for (const waiter of waiters) waiter();
  }
}

/**
 * What became of one event, from `producer.push`. All calls are local.
 *
 * @example
 * ```ts
 * const receipt = out.push({ step: 1 });
 * const { partition, offset } = await receipt.wait();
 * ```
 */
export class Receipt {
  #outcome: BatchOutcome | undefined;
  #index = 0;
  #waiting: (() => void)[] | undefined;

  /** @internal The event has its place in a batch. */
  place(outcome: BatchOutcome, index: number): void {
    this.#outcome = outcome;
    this.#index = index;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) for (const next of waiting) next();
  }

  /** @internal The event's own end, whatever its batch's is. */
  spoil(error: WeftError): void {
    this.#outcome = new BatchOutcome();
    this.#outcome.failed(error);
  }

  /** Whether the event is stored at the topic's durability. */
  get completed(): boolean {
    return this.#outcome?.state === "stored";
  }
  /** Why it was not stored; undefined while it is open or when it was. */
  get error(): WeftError | undefined {
    return this.#outcome?.error;
  }
  /** The event's id once it is stored. */
  get id(): EventId | undefined {
    const outcome = this.#outcome;
    if (outcome?.state !== "stored") return undefined;
    return { partition: outcome.partition, offset: outcome.firstOffset + this.#index, epoch: outcome.epoch };
  }

  /**
   * Resolves with the event's id when it is stored; rejects with why it was not (as `producer.flush`), or with
   * WEFT_CANCELLED. Local.
   */
  async wait(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<EventId> {
    const signal = signalOf("receipt.wait", options);
    const outcome = this.#outcome ?? (await this.#placed(signal));
    if (outcome.state === "open") {
      if (signal === undefined) await outcome.settled;
      else await abortable("waiting for a receipt", signal, (resolve) => outcome.onSettled(resolve));
    }
    const id = this.id;
    if (id === undefined) throw this.error ?? new WeftError("WEFT_INTERNAL", "a batch ended without an outcome");
    return id;
  }

  async #placed(signal: AbortSignal | undefined): Promise<BatchOutcome> {
    await abortable("waiting for a receipt", signal, (resolve) => {
      const waiting = (this.#waiting ??= []);
      waiting.push(resolve);
      return () => {
        const at = waiting.indexOf(resolve);
        if (at >= 0) waiting.splice(at, 1);
      };
    });
    if (this.#outcome === undefined) throw new WeftError("WEFT_INTERNAL", "an event was placed in no batch");
    return this.#outcome;
  }
}
