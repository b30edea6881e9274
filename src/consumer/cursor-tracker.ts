/**
 * Which events of one partition are done: the position behind the highest event up to which all are. Acknowledgements
 * may come in any order; the position moves only over those without a gap.
 */
import { WeftError } from "../errors.js";

/** Events acknowledged behind one that was not. */
export const outOfOrderMax = 1_000_000;

export class CursorTracker {
  readonly #partition: number;
  /** Ranges that are done, start to end, all behind the position. */
  readonly #done = new Map<number, number>();
  #position: number;
  /** Behind the last event that was handed out. */
  #handedOut: number;
  /** What the last commit that was sent said. */
  committed: number;
  /** Since it was moved none was acknowledged: that alone is nothing to commit by itself. */
  #isMoved = false;

  constructor(partition: number, start: number) {
    this.#partition = partition;
    this.#position = start;
    this.#handedOut = start;
    this.committed = start;
  }

  /** The offset of the next event that is not done. */
  get position(): number {
    return this.#position;
  }

  get isMoved(): boolean {
    return this.#isMoved;
  }

  /** Events are handed out from another place on: what is done is counted anew from there. */
  move(start: number): void {
    this.#done.clear();
    this.#position = start;
    this.#handedOut = start;
    this.#isMoved = true;
  }

  /** An event is handed out. Offsets before it that never came (removed by retention) are done. */
  handOut(offset: number): void {
    if (offset > this.#handedOut) this.#finish(this.#handedOut, offset);
    this.#handedOut = Math.max(this.#handedOut, offset + 1);
  }

  /** An event is done. Again, or one from before the position: nothing happens. */
  acknowledge(offset: number): void {
    this.#isMoved = false;
    if (offset >= this.#position) this.#finish(offset, offset + 1);
  }

  #finish(start: number, end: number): void {
    if (start > this.#position) {
      if (this.#done.size >= outOfOrderMax && !this.#done.has(start)) {
        throw new WeftError(
          "WEFT_LIMIT",
          `partition ${this.#partition}: event ${this.#position} was never acknowledged, but ${outOfOrderMax} behind it`,
          { next: `acknowledge event ${this.#position}` },
        );
      }
      this.#done.set(start, end);
      return;
    }
    this.#position = Math.max(this.#position, end);
    for (;;) {
      const next = this.#done.get(this.#position);
      if (next === undefined) return;
      this.#done.delete(this.#position);
      this.#position = next;
    }
  }
}
