/** Medians, percentiles, ranges. */
export { median, quantile, sortedNumbers } from "../smoke/statistics.js";
import { quantile, sortedNumbers } from "../smoke/statistics.js";

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

export function percentiles(samples: Iterable<number>): Percentiles {
  const sorted = sortedNumbers(samples);
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), p999: quantile(sorted, 0.999) };
}
