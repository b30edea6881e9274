// Boxes of global arrays out of parts, against a reference that looks at each item.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  type ArrayBox,
  type ArrayPart,
  checkArrayPart,
  checkCovered,
  itemsOf,
  pieceOf,
  placeOf,
  scatter,
} from "../../../src/steps/assembly.js";
import { piecesOf } from "../../../src/consumer/selection-runs.js";

/** All indices of a box, in C order. */
function* indices(size: readonly number[]): Generator<number[]> {
  const index = size.map(() => 0);
  for (let left = itemsOf(size); left > 0; left--) {
    yield [...index];
    for (let dimension = size.length - 1; dimension >= 0; dimension--) {
      const next = (index[dimension] ?? 0) + 1;
      index[dimension] = next < (size[dimension] ?? 0) ? next : 0;
      if (index[dimension] !== 0) break;
    }
  }
}
const place = (index: readonly number[], shape: readonly number[]): number =>
  index.reduce((at, one, dimension) => at * (shape[dimension] ?? 0) + one, 0);
const plus = (left: readonly number[], right: readonly number[]): number[] =>
  left.map((one, at) => one + (right[at] ?? 0));

/** The data of a part: each item is its place in the whole array, in two bytes. */
function dataOf({ shape, origin, size }: ArrayPart): Uint8Array {
  const items = Uint16Array.from([...indices(size)].map((index) => place(plus(index, origin), shape)));
  return new Uint8Array(items.buffer);
}

/** A grid of parts over an array, cut anywhere, and a box of it. */
const splits = fc
  .array(fc.record({ extent: fc.integer({ min: 1, max: 7 }), cut: fc.nat(7) }), { minLength: 1, maxLength: 4 })
  .chain((dimensions) => {
    const shape = dimensions.map(({ extent }) => extent);
    const box = fc.tuple(...dimensions.map(({ extent }) => fc.tuple(fc.nat(extent), fc.nat(extent))));
    return box.map((ends) => ({
      shape,
      cuts: dimensions.map(({ extent, cut }) => cut % (extent + 1)),
      wanted: {
        origin: ends.map(([left, right]) => Math.min(left, right)),
        size: ends.map(([left, right]) => Math.abs(left - right)),
      },
    }));
  });

function partsOf(shape: readonly number[], cuts: readonly number[]): ArrayPart[] {
  let parts: { origin: number[]; size: number[] }[] = [{ origin: [], size: [] }];
  for (const [dimension, extent] of shape.entries()) {
    const cut = cuts[dimension] ?? 0;
    parts = parts.flatMap(({ origin, size }) => [
      { origin: [...origin, 0], size: [...size, cut] },
      { origin: [...origin, cut], size: [...size, extent - cut] },
    ]);
  }
  return parts.filter(({ size }) => itemsOf(size) > 0).map((part) => ({ ...part, shape, itemSize: 2 }));
}

function selectedOf(data: Uint8Array, runs: Parameters<typeof piecesOf>[0]): Uint8Array {
  const pieces = piecesOf(runs, 100_000) ?? [];
  return Uint8Array.from(pieces.flatMap(({ start, length }) => [...data.subarray(start, start + length)]));
}

function assembled(parts: readonly ArrayPart[], wanted: ArrayBox): Uint16Array {
  const box = new Uint8Array(itemsOf(wanted.size) * 2);
  const pieces = parts.flatMap((part) => {
    const piece = pieceOf(part, wanted);
    return piece === undefined ? [] : [{ part, piece }];
  });
  checkCovered(
    "a box",
    pieces.map(({ piece }) => piece),
    wanted.size,
  );
  for (const { part, piece } of pieces) {
    const bytes = selectedOf(dataOf(part), piece.selection.runs);
    expect(bytes.byteLength).toBe(piece.bytes);
    const at = placeOf(piece, wanted.size, 2);
    if (at === undefined) scatter(bytes, piece, box, wanted.size, 2);
    else box.set(bytes, at);
  }
  return new Uint16Array(box.buffer);
}

describe("a box out of parts", () => {
  it("has the items of the whole array, whatever the parts are", () => {
    fc.assert(
      fc.property(splits, ({ shape, cuts, wanted }) => {
        const expected = [...indices(wanted.size)].map((index) => place(plus(index, wanted.origin), shape));
        expect([...assembled(partsOf(shape, cuts), wanted)]).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it("is the same with parts that overlap", () => {
    const shape = [4, 6];
    const parts = [
      { shape, origin: [0, 0], size: [3, 6], itemSize: 2 },
      { shape, origin: [1, 0], size: [3, 6], itemSize: 2 },
    ];
    const all = Array.from({ length: 24 }, (_, at) => at);
    expect([...assembled(parts, { origin: [0, 0], size: shape })]).toEqual(all);
  });

  it("that its parts do not cover is refused, also where as many items overlap as are missing", () => {
    const shape = [4];
    const part = (origin: number, size: number): ArrayPart => ({ shape, origin: [origin], size: [size], itemSize: 2 });
    const whole = { origin: [0], size: [4] };
    expect(() => assembled([part(0, 3)], whole)).toThrow(/WEFT_SELECTION_OUTSIDE/);
    expect(() => assembled([part(0, 2), part(0, 2)], whole)).toThrow(/at least 2 of 4 items are missing/);
    expect([...assembled([part(0, 3)], { origin: [1], size: [2] })]).toEqual([1, 2]);
  });

  it("writes a piece at once where it lies there in one piece", () => {
    const shape = [4, 6];
    const rows = pieceOf({ shape, origin: [2, 0], size: [2, 6], itemSize: 8 }, { origin: [1, 0], size: [3, 6] });
    expect(rows && placeOf(rows, [3, 6], 8)).toBe(48);
    const columns = pieceOf({ shape, origin: [0, 0], size: [4, 3], itemSize: 8 }, { origin: [0, 0], size: [4, 6] });
    expect(columns && placeOf(columns, [4, 6], 8)).toBeUndefined();
  });
});

it.each<[Partial<ArrayPart>, string]>([
  [{ origin: [3, 0] }, "takes 3 to 5 of dimension 0"],
  [{ size: [2] }, "of as many dimensions"],
  [{ itemSize: 0 }, "itemSize"],
  [{ size: [1, 4] }, "1 x 4 items of 8 bytes"],
  [{ name: 5 as unknown as string }, "name of"],
])("the description of a part is checked: %j", (change, words) => {
  const part = { shape: [4, 4], origin: [0, 0], size: [2, 4], itemSize: 8, ...change };
  expect(() => checkArrayPart("a part", part, 64)).toThrow(words);
});
