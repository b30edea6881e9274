/**
 * Ranges of the caller's memory that data of events comes into. A range is lent until its event was handed out: two
 * events in the same bytes at once would overwrite each other. One that a lost server may still write into is never lent
 * again. Pure; as many ranges as the events of the groups that are prepared.
 */

export interface LentRange {
  readonly buffer: ArrayBuffer;
  readonly start: number;
  readonly end: number;
  /** Whose data, for messages. */
  readonly name: string;
  /** A server that was lost may still write into it. */
  spoiled: boolean;
}

export class LentMemory {
  /** Of each buffer in order, none overlapping. They go with the buffer. */
  readonly #ranges = new WeakMap<ArrayBuffer, LentRange[]>();

  /** Lends the bytes, or returns a range that has some of them. */
  lend(bytes: Uint8Array<ArrayBuffer>, name: string): { readonly range: LentRange; readonly isNew: boolean } {
    const { buffer, byteOffset: start, byteLength } = bytes;
    const end = start + byteLength;
    const ranges = this.#ranges.get(buffer) ?? [];
    const at = firstFrom(ranges, start);
    for (const other of [ranges[at - 1], ranges[at]]) {
      if (other !== undefined && other.start < end && start < other.end) return { range: other, isNew: false };
    }
    const range = { buffer, start, end, name, spoiled: false };
    ranges.splice(at, 0, range);
    this.#ranges.set(buffer, ranges);
    return { range, isNew: true };
  }

  /** Ranges whose events were handed out. */
  giveBack(lent: readonly LentRange[]): void {
    for (const range of lent) {
      if (range.spoiled) continue;
      const ranges = this.#ranges.get(range.buffer) ?? [];
      const at = firstFrom(ranges, range.start);
      if (ranges[at] === range) ranges.splice(at, 1);
    }
  }
}

/** The first index whose range begins at or behind `start`. */
function firstFrom(ranges: readonly LentRange[], start: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle]?.start ?? Infinity) < start) low = middle + 1;
    else high = middle;
  }
  return low;
}
