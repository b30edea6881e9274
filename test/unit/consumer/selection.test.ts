import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  all,
  box,
  metadataOnly,
  nothing,
  packSelection,
  range,
  ranges,
  strided,
} from "../../../src/consumer/selection.js";
import type { Run } from "../../../src/consumer/selection-runs.js";
import type { Selection } from "../../../src/consumer/selection.js";

/** The positions that a run names, in order: what a server would send. */
function positionsOf(runs: readonly Run[]): number[] {
  const positions: number[] = [];
  for (const run of runs) {
    const walk = (level: number, base: number): void => {
      const at = run.levels[level];
      if (at === undefined) {
        for (let byte = 0; byte < run.length; byte++) positions.push(base + byte);
        return;
      }
      for (let repeat = 0; repeat < at.count; repeat++) walk(level - 1, base + repeat * at.stride);
    };
    walk(run.levels.length - 1, run.start);
  }
  return positions;
}

/** A box the slow way. */
function boxPositions(shape: number[], origin: number[], size: number[], itemSize: number): number[] {
  const positions: number[] = [];
  const walk = (dimension: number, index: number): void => {
    if (dimension === shape.length) {
      for (let byte = 0; byte < itemSize; byte++) positions.push(index * itemSize + byte);
      return;
    }
    for (let step = 0; step < (size[dimension] ?? 0); step++) {
      walk(dimension + 1, index * (shape[dimension] ?? 0) + (origin[dimension] ?? 0) + step);
    }
  };
  walk(0, 0);
  return positions;
}

const boxes = fc
  .array(
    fc
      .integer({ min: 1, max: 5 })
      .chain((extent) =>
        fc
          .integer({ min: 0, max: extent - 1 })
          .chain((origin) => fc.integer({ min: 0, max: extent - origin }).map((size) => ({ extent, origin, size }))),
      ),
    { minLength: 1, maxLength: 4 },
  )
  .chain((dimensions) => fc.constantFrom(1, 2, 8).map((itemSize) => ({ dimensions, itemSize })));

describe("box", () => {
  it("selects the bytes of every box of every shape, in order", () => {
    fc.assert(
      fc.property(boxes, ({ dimensions, itemSize }) => {
        const shape = dimensions.map(({ extent }) => extent);
        const origin = dimensions.map((one) => one.origin);
        const size = dimensions.map((one) => one.size);
        const selection = box({ shape, origin, size, itemSize });
        const expected = boxPositions(shape, origin, size, itemSize);
        expect(positionsOf(selection.runs)).toEqual(expected);
        expect(selection.byteLength).toBe(expected.length);
        expect(selection.end).toBe(expected.length === 0 ? 0 : Math.max(...expected) + 1);
      }),
    );
  });

  it("takes whole rows as one run", () => {
    const selection = box({ shape: [100, 10, 10], origin: [20, 0, 0], size: [30, 10, 10], itemSize: 8 });
    expect(selection.runs).toEqual([{ start: 16_000, length: 24_000, levels: [] }]);
  });

  it("names the dimension that reaches outside", () => {
    expect(() => box({ shape: [4, 4], origin: [0, 3], size: [4, 2], itemSize: 1 })).toThrow(/dimension 1, which has 4/);
    expect(() => box({ shape: [4], origin: [0, 0], size: [1], itemSize: 1 })).toThrow(/as many dimensions/);
    expect(() => box({ shape: [4], origin: [0], size: [1.5], itemSize: 1 })).toThrow(/whole number/);
  });
});

describe("ranges and strides", () => {
  const bytesOf = (selection: Selection): number[] => positionsOf(selection.runs);

  it("join in the order given", () => {
    expect(
      bytesOf(
        ranges([
          [6, 8],
          [0, 2],
          [4, 4],
        ]),
      ),
    ).toEqual([6, 7, 0, 1]);
    expect(bytesOf(range(3, 5))).toEqual([3, 4]);
    expect(bytesOf(strided({ start: 1, length: 2, stride: 5, count: 3 }))).toEqual([1, 2, 6, 7, 11, 12]);
    expect(strided({ length: 0, stride: 5, count: 3 }).byteLength).toBe(0);
  });

  it("refuse what is no range", () => {
    expect(() => range(5, 4)).toThrow(/WEFT_INVALID_ARGUMENT/);
    expect(() => range(-1, 4)).toThrow(/WEFT_INVALID_ARGUMENT/);
    expect(() => strided({ start: 2 ** 52, length: 8, stride: 2 ** 52, count: 3 })).toThrow(/below 2\^53/);
  });

  it("tell an event that they do not fit, with its length", () => {
    const problem = range(0, 101).problemFor(100, "event 0:7");
    expect(problem?.code).toBe("WEFT_SELECTION_OUTSIDE");
    expect(problem?.message).toContain("event 0:7, whose data has 100 bytes");
    expect(range(0, 100).problemFor(100, "event 0:7")).toBeUndefined();
    expect(all.into(new Uint8Array(10)).problemFor(11, "event 0:7")?.code).toBe("WEFT_INVALID_ARGUMENT");
  });
});

describe("what is packed for the native side", () => {
  it("is offset, place, runs with their levels", () => {
    const numbers: number[] = [];
    packSelection(numbers, 41, 128, box({ shape: [4, 8], origin: [1, 2], size: [2, 3], itemSize: 1 }), 32);
    packSelection(numbers, 42, 192, all, 77);
    expect(numbers).toEqual([41, 128, 1, 10, 3, 1, 8, 2, 42, 192, 1, 0, 77, 0]);
  });

  it("keeps nothing, metadataOnly and all apart", () => {
    expect([nothing.kind, metadataOnly.kind, all.kind]).toEqual(["skip", "none", "all"]);
    expect(all.bytesFor(9)).toBe(9);
  });
});
