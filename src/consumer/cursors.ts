/**
 * Acknowledgements and commits of a consumer: a tracker per partition, the requests that make positions durable, and, where
 * time decides, one timer from the first acknowledgement that no commit has taken up. JavaScript thread.
 */
import type { WeftError } from "../errors.js";
import type { ConsumerHandle } from "../native/binding.js";
import type { Completions } from "../native/completions.js";
import type { ResolvedAckEvery } from "./options.js";
import { CursorTracker } from "./cursor-tracker.js";

const isAcknowledged = (tracker: CursorTracker): boolean => !tracker.isMoved;

export class Cursors {
  readonly #completions: Completions;
  readonly #handle: ConsumerHandle;
  readonly #trackers = new Map<number, CursorTracker>();
  readonly #ackEvents: number;
  readonly #ackMs: number;
  #acknowledged = 0;
  #timer: NodeJS.Timeout | undefined;
  #committing: Promise<void> | undefined;
  #failure: WeftError | undefined;
  #closed = false;

  constructor(
    completions: Completions,
    handle: ConsumerHandle,
    partitions: readonly number[],
    ackEvery: ResolvedAckEvery,
  ) {
    this.#completions = completions;
    this.#handle = handle;
    this.#ackEvents = ackEvery.events;
    this.#ackMs = ackEvery.ms;
    for (const partition of partitions) {
      const { startOffset } = completions.binding.consumerPosition(handle, partition);
      this.#trackers.set(partition, new CursorTracker(partition, startOffset));
    }
  }

  handOut(partition: number, offset: number): void {
    this.#trackers.get(partition)?.handOut(offset);
  }

  acknowledge(partition: number, offset: number): void {
    this.#trackers.get(partition)?.acknowledge(offset);
    if (this.#ackMs !== 0 && this.#timer === undefined) this.#startTimer();
    if (this.#ackEvents === 0 || ++this.#acknowledged < this.#ackEvents || this.#committing !== undefined) return;
    this.#commitByItself();
  }

  #startTimer(): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // One after the other: what this one does not take up waits for another turn of the timer.
      if (this.#committing === undefined) this.#commitByItself();
      else this.#startTimer();
    }, this.#ackMs).unref();
  }

  /** Nobody waits for it: the next commit tells its failure, and makes the same position durable. */
  #commitByItself(): void {
    this.#commitOf(isAcknowledged, undefined).catch((error: unknown) => {
      const failure = error as WeftError;
      this.#failure ??= failure;
      if (this.#ackMs !== 0 && this.#timer === undefined && failure.canRetry && !this.#closed) this.#startTimer();
    });
  }

  /** No more commits by themselves. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Events of a partition are handed out from another place on, as the native side has it. After `settled`. */
  move(partition: number): void {
    const { startOffset } = this.#completions.binding.consumerPosition(this.#handle, partition);
    this.#trackers.get(partition)?.move(startOffset);
  }

  /** When no commit is under way. */
  async settled(): Promise<void> {
    while (this.#committing !== undefined) await this.#committing.catch(() => undefined);
  }

  /** The offset of the next event that is not done. */
  position(partition: number): number {
    return this.#trackers.get(partition)?.position ?? 0;
  }

  /** Makes all positions durable, one commit after the other. */
  async commit(signal: AbortSignal | undefined): Promise<void> {
    await this.#commitOf(() => true, signal);
  }

  async #commitOf(isWanted: (tracker: CursorTracker) => boolean, signal: AbortSignal | undefined): Promise<void> {
    const before = this.#committing;
    const work = (async (): Promise<void> => {
      await before?.catch(() => undefined); // its own caller gets its error
      await this.#commitAll(isWanted, signal);
    })();
    this.#committing = work;
    try {
      await work;
      this.#failure = undefined;
    } finally {
      if (this.#committing === work) this.#committing = undefined;
    }
  }

  /** At the end of an iteration and at close: what was acknowledged becomes durable. */
  async commitAcknowledged(): Promise<void> {
    if (this.#ackEvents === 0 && this.#ackMs === 0) return;
    const failure = this.#failure;
    this.#failure = undefined;
    await this.#commitOf(isAcknowledged, undefined);
    if (failure !== undefined && !failure.canRetry) throw failure;
  }

  /** Makes one position durable, whatever was acknowledged. */
  async commitAt(partition: number, position: number, signal: AbortSignal | undefined): Promise<void> {
    await this.#completions.request(
      `committing position ${position} of partition ${partition}`,
      (tag) => {
        this.#completions.binding.commitAsync(this.#handle, partition, position, tag);
      },
      { signal },
    );
  }

  async #commitAll(isWanted: (tracker: CursorTracker) => boolean, signal: AbortSignal | undefined): Promise<void> {
    this.#acknowledged = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const moved = [...this.#trackers].filter(
      ([, tracker]) => tracker.position !== tracker.committed && isWanted(tracker),
    );
    const outcomes = await Promise.allSettled(
      moved.map(async ([partition, tracker]) => {
        const { position } = tracker;
        await this.commitAt(partition, position, signal);
        tracker.committed = position;
      }),
    );
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}
