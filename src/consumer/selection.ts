/**
 * Which bytes of an event's data a consumer wants: values, checked when they are made, applied to any number of events.
 * The selected bytes arrive one after another, without what lies between them.
 */
import { invalid } from "../check.js";
import { WeftError } from "../errors.js";
import { Region, type RegionSlice, ownedBytes } from "../job/region.js";
import type { Completions } from "../native/completions.js";
import { type Run, type RunLevel, foldPieces, mapPieces, piecesOf } from "./selection-runs.js";

/** Limits of the wire format. */
const runsMax = 1024;
const runLevelsMax = 8;
/** Of a selection out of a selection. */
const piecesMax = 1_000_000;

/** Where selected bytes go instead of memory of the library. */
export interface Destination {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly region: Region | undefined;
}

/**
 * Which bytes of an event's data are wanted: from `all`, `metadataOnly`, `nothing`, `range`, `ranges`, `strided` or `box`.
 *
 * @example
 * ```ts
 * const memory = new Float64Array(64 * 64);
 * const corner = box({ shape: [512, 512], origin: [0, 0], size: [64, 64], itemSize: 8 }).into(memory);
 * ```
 */
export class Selection {
  /** "skip": the event is not handed out; "none": no data; else "all" or "runs". */
  readonly kind: "skip" | "none" | "all" | "runs";
  /** For "runs". */
  readonly runs: readonly Run[];
  /** Selected bytes; of "all" only the event knows. */
  readonly byteLength: number;
  /** Behind the last byte that is touched. */
  readonly end: number;
  /** Set by `into`. */
  readonly destination: Destination | undefined;

  /** @internal Use `all`, `range`, `ranges`, `strided`, `box`. */
  constructor(kind: Selection["kind"], runs: readonly Run[], destination?: Destination) {
    this.kind = kind;
    this.runs = runs;
    this.destination = destination;
    let length = 0;
    let end = 0;
    for (const run of runs) {
      const repeats = run.levels.reduce((product, level) => product * level.count, 1);
      const reach = run.levels.reduce((sum, level) => sum + level.stride * (level.count - 1), run.start + run.length);
      length += run.length * repeats;
      end = Math.max(end, reach);
    }
    if (!Number.isSafeInteger(length) || !Number.isSafeInteger(end)) {
      throw invalid("the selection's end", end, "below 2^53");
    }
    this.byteLength = length;
    this.end = end;
  }

  /** The same bytes, written into the caller's memory: it must be long enough, and untouched until they are there. */
  into(memory: ArrayBufferView | ArrayBuffer | Region | RegionSlice): Selection {
    return new Selection(this.kind, this.runs, destinationOf(memory, "the destination"));
  }

  /**
   * What `inner` selects among the bytes of this selection, counted along them: a column of a box, every second of the ranges.
   * WEFT_SELECTION_OUTSIDE if it reaches beyond them; WEFT_LIMIT if it has more than a million contiguous pieces, or more runs than
   * one selection can have.
   *
   * @example
   * ```ts
   * const plane = box({ shape: [8, 8, 16], origin: [1, 0, 0], size: [1, 8, 16], itemSize: 8 });
   * const column = plane.narrow(box({ shape: [8, 16], origin: [0, 5], size: [8, 1], itemSize: 8 }));
   * const values = await event.fetch(column);
   * ```
   */
  narrow(inner: Selection): Selection {
    if (!(inner instanceof Selection)) throw invalid("the inner selection", inner, "range(…), box(…), …");
    if (this.kind === "skip" || this.kind === "none" || inner.kind === "all") return this;
    if (this.kind === "all" || inner.kind !== "runs") return new Selection(inner.kind, inner.runs, this.destination);
    if (inner.end > this.byteLength) {
      throw new WeftError(
        "WEFT_SELECTION_OUTSIDE",
        `the inner selection reaches byte ${inner.end} of a selection of ${this.byteLength} bytes`,
        { next: `select within ${this.byteLength} bytes` },
      );
    }
    const outerPieces = piecesOf(this.runs, piecesMax);
    const innerPieces = piecesOf(inner.runs, piecesMax);
    const pieces = outerPieces && innerPieces && mapPieces(outerPieces, innerPieces, piecesMax);
    const runs = pieces && foldPieces(pieces, runLevelsMax);
    if (runs === undefined || runs.length > runsMax) {
      const what = runs === undefined ? `more than ${piecesMax} contiguous pieces` : `${runs.length} runs`;
      throw new WeftError(
        "WEFT_LIMIT",
        `the selection out of a selection has ${what}; a selection has at most ${runsMax} runs`,
        {
          next: "fetch it in parts, or select more and choose from that",
        },
      );
    }
    return new Selection("runs", runs, this.destination);
  }

  /** @internal Its runs for an event of this length. */
  runsFor(dataLength: number): readonly Run[] {
    return this.kind === "all" ? [{ start: 0, length: dataLength, levels: [] }] : this.runs;
  }
  /** @internal Selected bytes of an event of this length. */
  bytesFor(dataLength: number): number {
    return this.kind === "all" ? dataLength : this.byteLength;
  }
  /** @internal Why it does not fit an event; undefined if it does. */
  problemFor(dataLength: number, what: string): WeftError | undefined {
    if (this.end > dataLength) {
      return new WeftError(
        "WEFT_SELECTION_OUTSIDE",
        `the selection reaches byte ${this.end} of ${what}, whose data has ${dataLength} bytes`,
        { next: `select within ${dataLength} bytes` },
      );
    }
    const wanted = this.bytesFor(dataLength);
    if (this.destination !== undefined && wanted > this.destination.bytes.byteLength) {
      return new WeftError(
        "WEFT_INVALID_ARGUMENT",
        `${what}: ${wanted} bytes were selected into memory of ${this.destination.bytes.byteLength} bytes`,
        { next: "give longer memory, or select less" },
      );
    }
    return undefined;
  }
}

/** The event is passed over: it is not handed out, and counts as acknowledged. */
export const nothing = new Selection("skip", []);
/** The event is handed out without data (what happens without `select`); `event.fetch` can still get some. */
export const metadataOnly = new Selection("none", []);
/** All of the event's data. */
export const all = new Selection("all", []);

function checkWhole(what: string, value: number, low = 0): number {
  if (!Number.isSafeInteger(value) || value < low) throw invalid(what, value, `a whole number from ${low}`);
  return value;
}

/** It may have members of its caller's own, as parts of steps do. */
function checkIsObject(what: string, options: unknown): void {
  if (typeof options !== "object" || options === null) throw invalid(`the options of ${what}`, options, "an object");
}

/**
 * Bytes `start` up to, without, `end`.
 * @example
 * ```ts
 * const header = await event.fetch(range(0, 512));
 * ```
 */
export function range(start: number, end: number): Selection {
  return ranges([[start, end]]);
}

/** Several ranges, joined in this order; at most 1,024. */
export function ranges(list: readonly (readonly [start: number, end: number])[]): Selection {
  if (!Array.isArray(list)) throw invalid("the ranges", list, "a list of [start, end]");
  const runs: Run[] = [];
  for (const one of list as readonly (readonly [number, number])[]) {
    if (!Array.isArray(one)) throw invalid("a range", one, "[start, end]");
    const [start, end] = one as readonly [number, number];
    checkWhole("the start of a range", start);
    checkWhole("the end of a range", end, start);
    if (end > start) runs.push({ start, length: end - start, levels: [] });
  }
  if (runs.length > runsMax) throw invalid("the number of ranges", runs.length, `at most ${runsMax}`);
  return new Selection("runs", runs);
}

/** `count` pieces of `length` bytes, each `stride` bytes behind the one before, the first at `start` (default 0). */
export function strided(options: {
  readonly start?: number;
  readonly length: number;
  readonly stride: number;
  readonly count: number;
}): Selection {
  checkIsObject("strided", options);
  const start = checkWhole("start of strided", options.start === undefined ? 0 : options.start);
  const length = checkWhole("length of strided", options.length);
  const stride = checkWhole("stride of strided", options.stride);
  const count = checkWhole("count of strided", options.count);
  if (length === 0 || count === 0) return new Selection("runs", []);
  const levels = count === 1 ? [] : [{ stride, count }];
  return new Selection("runs", [{ start, length, levels }]);
}

/**
 * A box of an n-dimensional array in C order (the last dimension is contiguous). Sizes are in items of `itemSize` bytes.
 * WEFT_SELECTION_OUTSIDE if it does not lie in the shape.
 * @example
 * ```ts
 * const corner = box({ shape: [512, 512], origin: [0, 0], size: [64, 64], itemSize: 8 }); // 32 KiB of 2 MiB
 * ```
 */
export function box(options: {
  readonly shape: readonly number[];
  readonly origin: readonly number[];
  readonly size: readonly number[];
  readonly itemSize: number;
}): Selection {
  checkIsObject("box", options);
  const { shape, origin, size } = options;
  for (const [name, list] of Object.entries({ shape, origin, size })) {
    if (!Array.isArray(list)) throw invalid(`${name} of box`, list, "a list of whole numbers");
  }
  const itemSize = checkWhole("itemSize of box", options.itemSize, 1);
  const dimensions = shape.length;
  if (dimensions === 0 || origin.length !== dimensions || size.length !== dimensions) {
    throw invalid(
      "box",
      `shape ${shape.length}, origin ${origin.length}, size ${size.length}`,
      "of as many dimensions",
    );
  }
  let start = 0;
  let length = itemSize;
  let stride = itemSize;
  // As long as whole rows are taken, the run grows over the dimensions.
  let contiguous = true;
  const levels: RunLevel[] = [];
  for (let dimension = dimensions - 1; dimension >= 0; dimension--) {
    const extent = checkWhole("shape of box", shape[dimension] ?? -1);
    const from = checkWhole("origin of box", origin[dimension] ?? -1);
    const count = checkWhole("size of box", size[dimension] ?? -1);
    if (from + count > extent) {
      throw new WeftError(
        "WEFT_SELECTION_OUTSIDE",
        `the box takes ${from} to ${from + count} of dimension ${dimension}, which has ${extent} items`,
      );
    }
    if (count === 0) return new Selection("runs", []);
    start += from * stride;
    if (contiguous) length *= count;
    else if (count > 1) levels.push({ stride, count });
    contiguous &&= count === extent;
    stride *= extent;
  }
  if (levels.length > runLevelsMax) {
    throw invalid(
      "the dimensions of box",
      dimensions,
      `such that at most ${runLevelsMax} remain behind the contiguous ones`,
    );
  }
  return new Selection("runs", [{ start, length, levels }]);
}

/**
 * The bytes of memory for selected data. WEFT_INVALID_ARGUMENT for what is none, or a slice beyond its region; WEFT_CLOSED
 * for a region that was released; with `completions` also WEFT_INVALID_ARGUMENT for a region of another job.
 */
export function destinationOf(memory: unknown, what: string, completions?: Completions): Destination {
  const isSlice = typeof memory === "object" && memory !== null && "region" in memory;
  const region = memory instanceof Region ? memory : isSlice ? memory.region : undefined;
  if (!(region instanceof Region)) return { bytes: ownedBytes(what, memory), region: undefined };
  if (region.released) throw new WeftError("WEFT_CLOSED", `${what} is a region that was released`);
  if (completions !== undefined) checkJobOf(region, what, completions);
  if (memory === region) return { bytes: region.bytes, region };
  const { start, end } = memory as RegionSlice;
  if (!(
    Number.isSafeInteger(start) &&
    Number.isSafeInteger(end) &&
    start >= 0 &&
    start <= end &&
    end <= region.length
  )) {
    throw invalid(what, `${start} to ${end} of a region`, `a slice within its ${region.length} bytes`);
  }
  return { bytes: region.bytes.subarray(start, end), region };
}

/** WEFT_INVALID_ARGUMENT for a region of another job. */
export function checkJobOf(region: Region, what: string, completions: Completions): void {
  if (region.isOf(completions)) return;
  throw new WeftError("WEFT_INVALID_ARGUMENT", `${what} is a region of another job`, {
    next: "register the memory with the job that the consumer belongs to",
  });
}

/** Numbers of one selection as dataFetchAsync takes them, appended to `numbers`. */
export function packSelection(
  numbers: number[],
  offset: number,
  destinationAt: number,
  selection: Selection,
  dataLength: number,
): void {
  const runs = selection.runsFor(dataLength);
  numbers.push(offset, destinationAt, runs.length);
  for (const run of runs) {
    numbers.push(run.start, run.length, run.levels.length);
    for (const { stride, count } of run.levels) numbers.push(stride, count);
  }
}
