/** Wall-clock time in fractions of a millisecond, monotone between corrections of the system clock. */

/** A deviation from the system clock above this is a correction of it, which is followed. */
const deviationMsMax = 50;

export class Clock {
  #originMs = performance.timeOrigin;

  nowMs(): number {
    const sinceMs = performance.now();
    const systemMs = Date.now();
    const nowMs = this.#originMs + sinceMs;
    if (Math.abs(systemMs - nowMs) <= deviationMsMax) return nowMs;
    this.#originMs = systemMs - sinceMs;
    return systemMs;
  }
}
