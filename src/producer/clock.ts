/** Wall-clock time in fractions of a millisecond, monotone between corrections of the system clock. */

/** A deviation from the system clock above this is a correction of it, which is followed. */
const deviationMsMax = 50;
/** The system clock is looked at no more often: reading it costs as much again as `performance.now`, 45 ns. */
const checkEveryMs = 1;

export class Clock {
  #originMs = performance.timeOrigin;
  #checkAtMs = 0;

  nowMs(): number {
    const sinceMs = performance.now();
    const nowMs = this.#originMs + sinceMs;
    if (sinceMs < this.#checkAtMs) return nowMs;
    this.#checkAtMs = sinceMs + checkEveryMs;
    const systemMs = Date.now();
    if (Math.abs(systemMs - nowMs) <= deviationMsMax) return nowMs;
    this.#originMs = systemMs - sinceMs;
    return systemMs;
  }
}
