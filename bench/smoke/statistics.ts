/** Medians and the like. */

export function sortedNumbers(numbers: Iterable<number>): number[] {
  return Array.from(numbers).sort((left, right) => left - right);
}

/** The value below which `part` of the sorted numbers lie. */
export function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.floor((sorted.length - 1) * part)] ?? NaN;
}

export function median(numbers: Iterable<number>): number {
  return quantile(sortedNumbers(numbers), 0.5);
}
