/** Two regions for a loop that computes: one is written while the other is sent. JavaScript thread. */
import { WeftError } from "../errors.js";
import type { Completions } from "../native/completions.js";
import { Region } from "./region.js";

/**
 * Two regions of one size, from `producer.pingPong`, of which one is written while the other is sent. All calls are local.
 *
 * @example
 * ```ts
 * const buffers = out.pingPong(512 * 512 * 8);
 * for (let step = 0; step < 3; step++) {
 *   const region = await buffers.next(); // nothing of it is under way
 *   region.float64().fill(step);
 *   out.push({ step }, region);
 * }
 * await out.flush();
 * buffers.release();
 * ```
 */
export class PingPong {
  /** Both; for what is done once with each. */
  readonly regions: readonly [Region, Region];
  #turn: 0 | 1 = 0;

  /** @internal Use `producer.pingPong`. */
  constructor(completions: Completions, length: number) {
    const first = Region.allocate(completions, length);
    try {
      this.regions = [first, Region.allocate(completions, length)];
    } catch (error) {
      first.release();
      throw error;
    }
  }

  /**
   * The two in turn, each as soon as no event pushed from it is under way: then it may be written. Sends what was pushed
   * from the other one, so that this goes on meanwhile. An aborted signal (WEFT_CANCELLED) takes no turn. Local.
   */
  async next(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Region> {
    const turn = this.#turn;
    const region = this.regions[turn];
    if (region.released) throw new WeftError("WEFT_CLOSED", "the two regions were released", { next: "make new ones" });
    this.regions[turn === 0 ? 1 : 0].send();
    await region.idle(options);
    this.#turn = turn === 0 ? 1 : 0;
    return region;
  }

  /** Gives both back. WEFT_BUSY while events of one are under way, and then neither is; a second call does nothing. */
  release(): void {
    const [first, second] = this.regions;
    if (!first.busy && second.busy) second.release(); // throws
    first.release();
    second.release();
  }
  /** As `release`. */
  [Symbol.dispose](): void {
    this.release();
  }
}
