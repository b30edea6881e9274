/**
 * A box of a global array out of parts that several ranks wrote: which bytes of each part are wanted, and where they go.
 * Pure. Arrays are in C order (the last dimension is contiguous); all numbers are items, not bytes.
 */
import { invalid } from "../check.js";
import type { Selection } from "../consumer/selection.js";
import { box } from "../consumer/selection.js";
import { WeftError } from "../errors.js";

/** Where a part lies in its array. */
export interface ArrayPart {
  /** Of several arrays in a step; default "". */
  readonly name?: string | undefined;
  /** Of the whole array. */
  readonly shape: readonly number[];
  readonly origin: readonly number[];
  readonly size: readonly number[];
  /** Bytes of an item. */
  readonly itemSize: number;
}

/** A box of the whole array. */
export interface ArrayBox {
  readonly origin: readonly number[];
  readonly size: readonly number[];
}

/** What one part gives to a box. */
export interface Piece {
  /** Of the part's data. */
  readonly selection: Selection;
  /** Selected bytes. */
  readonly bytes: number;
  /** In the box: where the piece begins, and how large it is. */
  readonly origin: readonly number[];
  readonly size: readonly number[];
}

export const itemsOf = (size: readonly number[]): number => size.reduce((product, count) => product * count, 1);

/** WEFT_INVALID_ARGUMENT, WEFT_SELECTION_OUTSIDE: what is wrong with the description of a part. */
export function checkArrayPart(what: string, part: ArrayPart, dataLength: number): void {
  if (part.name !== undefined && typeof part.name !== "string") throw invalid(`name of ${what}`, part.name, "a text");
  box(part); // whole numbers, of as many dimensions, inside the shape
  const bytes = itemsOf(part.size) * part.itemSize;
  if (bytes !== dataLength) {
    throw invalid(
      `the data of ${what}`,
      `${dataLength} bytes`,
      `${part.size.join(" x ")} items of ${part.itemSize} bytes`,
    );
  }
}

/** The part of `part` that lies in `wanted`; undefined if there is none. */
export function pieceOf(part: ArrayPart, wanted: ArrayBox): Piece | undefined {
  const from = part.origin.map((at, dimension) => Math.max(at, wanted.origin[dimension] ?? 0));
  const size = part.origin.map((at, dimension) => {
    const end = Math.min(
      at + (part.size[dimension] ?? 0),
      (wanted.origin[dimension] ?? 0) + (wanted.size[dimension] ?? 0),
    );
    return end - (from[dimension] ?? 0);
  });
  if (size.some((count) => count <= 0)) return undefined;
  const inPart = from.map((at, dimension) => at - (part.origin[dimension] ?? 0));
  const inBox = from.map((at, dimension) => at - (wanted.origin[dimension] ?? 0));
  const selection = box({ shape: part.size, origin: inPart, size, itemSize: part.itemSize });
  return { selection, bytes: itemsOf(size) * part.itemSize, origin: inBox, size };
}

/** Byte where the piece begins in the box, if it lies there in one piece; else undefined. */
export function placeOf({ origin, size }: Piece, boxSize: readonly number[], itemSize: number): number | undefined {
  let stride = itemSize;
  let at = 0;
  let isWhole = true; // all dimensions behind are taken whole
  for (let dimension = boxSize.length - 1; dimension >= 0; dimension--) {
    const count = size[dimension] ?? 0;
    if (!isWhole && count > 1) return undefined;
    at += (origin[dimension] ?? 0) * stride;
    stride *= boxSize[dimension] ?? 0;
    isWhole &&= count === boxSize[dimension];
  }
  return at;
}

/** Copies the bytes of a piece into the box, row by row. */
export function scatter(
  bytes: Uint8Array,
  piece: Piece,
  into: Uint8Array,
  boxSize: readonly number[],
  itemSize: number,
): void {
  const last = boxSize.length - 1;
  const rowBytes = (piece.size[last] ?? 0) * itemSize;
  const strides = new Array<number>(boxSize.length).fill(itemSize);
  for (let dimension = last - 1; dimension >= 0; dimension--) {
    strides[dimension] = (strides[dimension + 1] ?? 0) * (boxSize[dimension + 1] ?? 0);
  }
  const index = new Array<number>(boxSize.length).fill(0);
  let at = piece.origin.reduce((sum, origin, dimension) => sum + origin * (strides[dimension] ?? 0), 0);
  for (let from = 0; from < bytes.byteLength; from += rowBytes) {
    into.set(bytes.subarray(from, from + rowBytes), at);
    for (let dimension = last - 1; dimension >= 0; dimension--) {
      at += strides[dimension] ?? 0;
      const next = (index[dimension] ?? 0) + 1;
      index[dimension] = next;
      if (next < (piece.size[dimension] ?? 0)) break;
      at -= next * (strides[dimension] ?? 0);
      index[dimension] = 0;
    }
  }
}

/** WEFT_SELECTION_OUTSIDE unless the pieces cover the whole box. Parts may overlap. */
export function checkCovered(what: string, pieces: readonly Piece[], size: readonly number[]): void {
  const wanted = itemsOf(size);
  const given = pieces.reduce((sum, piece) => sum + itemsOf(piece.size), 0);
  let missing = wanted - given;
  if (missing === 0 && !overlap(pieces)) return;
  if (missing <= 0) {
    const covered = new Uint8Array(wanted);
    for (const piece of pieces) scatter(new Uint8Array(itemsOf(piece.size)).fill(1), piece, covered, size, 1);
    missing = covered.reduce((sum, one) => sum + 1 - one, 0);
    if (missing === 0) return;
  }
  throw new WeftError(
    "WEFT_SELECTION_OUTSIDE",
    `${what}: its parts have not all of the box, at least ${missing} of ${wanted} items are missing`,
    {
      next: "ask for a box that its parts cover",
    },
  );
}

function overlap(pieces: readonly Piece[]): boolean {
  const sorted = [...pieces].sort((left, right) => (left.origin[0] ?? 0) - (right.origin[0] ?? 0));
  for (const [index, piece] of sorted.entries()) {
    const end = (piece.origin[0] ?? 0) + (piece.size[0] ?? 0);
    for (const other of sorted.slice(index + 1)) {
      if ((other.origin[0] ?? 0) >= end) break;
      const meets = piece.origin.every((at, dimension) => {
        const [otherAt, size, otherSize] = [
          other.origin[dimension] ?? 0,
          piece.size[dimension] ?? 0,
          other.size[dimension] ?? 0,
        ];
        return at < otherAt + otherSize && otherAt < at + size;
      });
      if (meets) return true;
    }
  }
  return false;
}
