/** Medians and the like. */

export function sortedNumbers(numbers: Iterable<number>): number[] {
  return Array.from(numbers).sort((left, right) => left - right);
}

/** The value below which `part` of the sorted numbers lie. */
export function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.floor((sorted.length - 1) * part)] ?? NaN;
}

/** Of an even number of them the mean of the middle two. */
export function median(numbers: Iterable<number>): number {
  const sorted = sortedNumbers(numbers);
  const upper = Math.floor(sorted.length / 2);
  const last = sorted[upper] ?? NaN;
  return sorted.length % 2 === 1 ? last : ((sorted[upper - 1] ?? NaN) + last) / 2;
}
