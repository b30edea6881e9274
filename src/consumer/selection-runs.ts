/**
 * Runs of bytes, and a selection out of a selection: which bytes of the data are the ones that the second chooses among those of the first. Exact, by
 * mapping contiguous pieces; what comes out is folded again into runs with levels, as boxes and strides make them. Pure.
 */

/** A run of `length` bytes at `start`, repeated by each level, the first level fastest. */
export interface Run {
  readonly start: number;
  readonly length: number;
  readonly levels: readonly RunLevel[];
}
export interface RunLevel {
  /** In bytes. */
  readonly stride: number;
  readonly count: number;
}

interface Piece {
  readonly start: number;
  readonly length: number;
}

/** Contiguous pieces of a selection, in order; neighbours are one. Undefined: more than `piecesMax`. */
export function piecesOf(runs: readonly Run[], piecesMax: number): Piece[] | undefined {
  const pieces: Piece[] = [];
  for (const { start, length, levels } of runs) {
    const index = levels.map(() => 0);
    for (let isMore = length > 0; isMore;) {
      const at = levels.reduce((sum, { stride }, level) => sum + stride * (index[level] ?? 0), start);
      if (!append(pieces, at, length, piecesMax)) return undefined;
      isMore = false;
      for (let level = 0; level < levels.length; level++) {
        const next = (index[level] ?? 0) + 1;
        index[level] = next;
        isMore = next < (levels[level]?.count ?? 0);
        if (isMore) break;
        index[level] = 0;
      }
    }
  }
  return pieces;
}

function append(pieces: Piece[], start: number, length: number, piecesMax: number): boolean {
  const last = pieces.at(-1);
  if (last !== undefined && last.start + last.length === start) {
    pieces[pieces.length - 1] = { start: last.start, length: last.length + length };
    return true;
  }
  pieces.push({ start, length });
  return pieces.length <= piecesMax;
}

/** The pieces of the data that `inner` means, whose bytes are counted along those of `outer`. */
export function mapPieces(outer: readonly Piece[], inner: readonly Piece[], piecesMax: number): Piece[] | undefined {
  const ends = new Float64Array(outer.length);
  let end = 0;
  for (const [index, { length }] of outer.entries()) {
    end += length;
    ends[index] = end;
  }
  const mapped: Piece[] = [];
  for (const { start, length } of inner) {
    let at = start;
    let left = length;
    for (let index = firstBehind(ends, at); left > 0; index++) {
      const piece = outer[index];
      if (piece === undefined) throw new RangeError("the inner selection reaches beyond the outer one");
      const skipped = at - ((ends[index] ?? 0) - piece.length);
      const taken = Math.min(left, piece.length - skipped);
      if (!append(mapped, piece.start + skipped, taken, piecesMax)) return undefined;
      at += taken;
      left -= taken;
    }
  }
  return mapped;
}

/** The first index whose end is behind `at`. */
function firstBehind(ends: Float64Array, at: number): number {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ends[middle] ?? Infinity) > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Pieces of one length at equal distances become one run with a level, runs of one shape one with another level, and so on. */
export function foldPieces(pieces: readonly Piece[], levelsMax: number): Run[] {
  let runs: Run[] = pieces.map(({ start, length }) => ({ start, length, levels: [] }));
  for (let level = 0; level < levelsMax; level++) {
    const folded = foldOnce(runs);
    if (folded.length === runs.length) break;
    runs = folded;
  }
  return runs;
}

function foldOnce(runs: readonly Run[]): Run[] {
  const folded: Run[] = [];
  for (let first = 0; first < runs.length;) {
    const run = runs[first];
    const second = runs[first + 1];
    if (run === undefined) break;
    const stride = second === undefined ? 0 : second.start - run.start;
    let count = 1;
    while (stride > 0 && isShifted(run, runs[first + count], stride * count)) count++;
    folded.push(count === 1 ? run : { ...run, levels: [...run.levels, { stride, count }] });
    first += count;
  }
  return folded;
}

function isShifted(run: Run, other: Run | undefined, by: number): boolean {
  if (other?.start !== run.start + by || other.length !== run.length) return false;
  if (other.levels.length !== run.levels.length) return false;
  const isSame = (level: RunLevel, index: number): boolean =>
    level.stride === other.levels[index]?.stride && level.count === other.levels[index].count;
  return run.levels.every(isSame);
}
