// A selection out of a selection is exactly what the second selects among the bytes of the first, whatever they are.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  type Selection,
  all,
  box,
  metadataOnly,
  nothing,
  range,
  ranges,
  strided,
} from "../../../src/consumer/selection.js";

/** The naive reference: the bytes themselves. */
function selected(selection: Selection, data: readonly number[]): number[] {
  if (selection.kind === "none" || selection.kind === "skip") return [];
  const taken: number[] = [];
  for (const { start, length, levels } of selection.runsFor(data.length)) {
    const walk = (level: number, at: number): void => {
      const one = levels[level];
      if (one === undefined) taken.push(...data.slice(at, at + length));
      else for (let index = 0; index < one.count; index++) walk(level - 1, at + index * one.stride);
    };
    walk(levels.length - 1, start);
  }
  return taken;
}

/** Any selection within so many bytes. */
function selectionOf(bytes: number): fc.Arbitrary<Selection> {
  const at = fc.integer({ min: 0, max: bytes });
  const someRanges = fc
    .array(fc.tuple(at, at), { maxLength: 6 })
    .map((pairs) => ranges(pairs.map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)));
  const pieces = fc
    .record({ start: at, length: fc.integer({ min: 0, max: 8 }), stride: fc.integer({ min: 0, max: 12 }) })
    .chain(({ start, length, stride }) => {
      const room = bytes - start - length;
      const most = room < 0 ? 0 : stride === 0 ? 3 : Math.floor(room / stride) + 1;
      return fc.integer({ min: 0, max: Math.min(most, 40) }).map((count) => strided({ start, length, stride, count }));
    });
  const boxes = fc
    .tuple(fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }), fc.constantFrom(1, 2, 4))
    .filter(([shape, itemSize]) => shape.reduce((product, extent) => product * extent, itemSize) <= bytes)
    .chain(([shape, itemSize]) =>
      fc
        .tuple(
          ...shape.map((extent) => fc.tuple(fc.integer({ min: 0, max: extent }), fc.integer({ min: 0, max: extent }))),
        )
        .map((corners) => {
          const origin = corners.map(([a, b]) => Math.min(a, b));
          const size = corners.map(([a, b], index) =>
            Math.min(Math.abs(a - b), (shape[index] ?? 0) - (origin[index] ?? 0)),
          );
          return box({ shape, origin, size, itemSize });
        }),
    );
  const choices = bytes >= 4 ? [someRanges, pieces, boxes] : [someRanges, pieces];
  return fc.oneof(...choices, fc.constant(all), fc.constant(metadataOnly));
}

const data = Array.from({ length: 400 }, (_, index) => index);

describe("Selection.narrow", () => {
  it("is exact, for stacks of any selections", () => {
    const stack = fc
      .array(fc.nat(), { minLength: 1, maxLength: 4 })
      .chain((seeds) => fc.tuple(selectionOf(data.length), fc.constant(seeds), fc.gen()));
    fc.assert(
      fc.property(stack, ([first, seeds, generate]) => {
        let whole = first;
        let expected = selected(first, data);
        for (const _seed of seeds) {
          const inner = generate(() => selectionOf(expected.length));
          whole = whole.narrow(inner);
          expected = selected(inner, expected);
          expect(selected(whole, data)).toEqual(expected);
          expect(whole.kind === "all" ? data.length : whole.byteLength).toBe(expected.length);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("knows rows, columns and the last of them", () => {
    const shape = [20, 20];
    const window = box({ shape, origin: [5, 5], size: [10, 10], itemSize: 1 });
    const inside = [10, 10];
    const cases: [inner: Selection, expected: Selection][] = [
      [
        box({ shape: inside, origin: [9, 0], size: [1, 10], itemSize: 1 }),
        box({ shape, origin: [14, 5], size: [1, 10], itemSize: 1 }),
      ],
      [
        box({ shape: inside, origin: [0, 9], size: [10, 1], itemSize: 1 }),
        box({ shape, origin: [5, 14], size: [10, 1], itemSize: 1 }),
      ],
      [
        box({ shape: inside, origin: [2, 3], size: [4, 5], itemSize: 1 }),
        box({ shape, origin: [7, 8], size: [4, 5], itemSize: 1 }),
      ],
      [range(95, 100), range(14 * 20 + 10, 14 * 20 + 15)],
      [range(0, 0), range(0, 0)],
    ];
    for (const [inner, expected] of cases) {
      const narrowed = window.narrow(inner);
      // As few runs as the box that means the same.
      expect(narrowed.runs).toEqual(expected.runs);
    }
  });

  it("stays small where the selections are regular", () => {
    const cube = box({ shape: [100, 100, 100], origin: [10, 10, 10], size: [50, 50, 50], itemSize: 8 });
    const column = cube.narrow(box({ shape: [50, 50, 50], origin: [0, 7, 7], size: [50, 1, 1], itemSize: 8 }));
    expect(column.runs).toHaveLength(1);
    expect(cube.narrow(strided({ length: 8, stride: 400, count: 2500 })).runs).toHaveLength(1);
    const halves = cube.narrow(strided({ length: 8, stride: 16, count: 62_500 }));
    expect(halves.runs).toHaveLength(1);
    expect(halves.byteLength).toBe(500_000);
  });

  it("says what does not fit", () => {
    const window = range(10, 20);
    expect(() => window.narrow(range(5, 11))).toThrow(/WEFT_SELECTION_OUTSIDE: .* byte 11 of a selection of 10 bytes/);
    expect(() => strided({ length: 1, stride: 2, count: 2_000_000 }).narrow(range(0, 5))).toThrow(/WEFT_LIMIT/);
    const irregular = ranges(
      Array.from({ length: 1000 }, (_, index) => [index * (index + 9), index * (index + 9) + 8]),
    );
    const across = ranges(Array.from({ length: 999 }, (_, index) => [8 * index + 3, 8 * index + 10]));
    expect(() => irregular.narrow(across)).toThrow(/WEFT_LIMIT: .* 1998 runs/);
  });

  it("keeps where the bytes go, and what hands out nothing", () => {
    const memory = new Uint8Array(4);
    expect(range(0, 10).into(memory).narrow(range(0, 4)).destination?.bytes.buffer).toBe(memory.buffer);
    expect(nothing.narrow(range(0, 4))).toBe(nothing);
    expect(metadataOnly.narrow(all)).toBe(metadataOnly);
    expect(range(0, 4).narrow(metadataOnly).kind).toBe("none");
    expect(range(0, 4).narrow(nothing).kind).toBe("skip");
    expect(all.narrow(range(2, 4)).runs).toEqual(range(2, 4).runs);
  });
});
