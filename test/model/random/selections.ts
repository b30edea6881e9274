// Random selections of an event's data, as plain data that prints itself, and what they mean by the plainest reference there
// is: the indices of the selected bytes, one by one.
import fc from "fast-check";

import {
  type ErrorCode,
  type Selection,
  all,
  box,
  metadataOnly,
  nothing,
  range,
  ranges,
  strided,
} from "../../../src/index.js";

/** Of 0 to 1,000: a share of the data, so that most of them lie in it whatever its length is. */
type Share = number;
export type Recipe =
  | { readonly kind: "nothing" | "metadataOnly" | "all" }
  | { readonly kind: "ranges"; readonly parts: readonly (readonly [Share, Share])[] }
  | {
      readonly kind: "strided";
      readonly start: number;
      readonly length: number;
      readonly stride: number;
      readonly count: number;
    }
  | { readonly kind: "box"; readonly sides: readonly Side[]; readonly itemSize: number }
  | { readonly kind: "narrow"; readonly outer: Recipe; readonly inner: Recipe }
  | { readonly kind: "outside" }
  | { readonly kind: "nonsense"; readonly way: number };
interface Side {
  readonly extent: number;
  readonly origin: number;
  readonly size: number;
}

const share = fc.integer({ min: 0, max: 1000 });
const part = fc.tuple(share, share).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
const side = fc.tuple(fc.integer({ min: 1, max: 7 }), share, share).map(([extent, a, b]): Side => {
  const [low, high] = [Math.min(a, b), Math.max(a, b)].map((one) => Math.floor((one * extent) / 1000));
  return { extent, origin: low ?? 0, size: (high ?? 0) - (low ?? 0) };
});

const runs: fc.Arbitrary<Recipe> = fc.oneof(
  fc.record({ kind: fc.constant("ranges" as const), parts: fc.array(part, { maxLength: 4 }) }),
  fc.record({
    kind: fc.constant("strided" as const),
    start: fc.nat(40),
    length: fc.nat(20),
    stride: fc.nat(60),
    count: fc.nat(12),
  }),
  fc.record({
    kind: fc.constant("box" as const),
    sides: fc.array(side, { minLength: 1, maxLength: 4 }),
    itemSize: fc.constantFrom(1, 2, 4, 8),
  }),
);
const plain = fc.constantFrom<Recipe>({ kind: "nothing" }, { kind: "metadataOnly" }, { kind: "all" }, { kind: "all" });
const bad: fc.Arbitrary<Recipe> = fc.oneof(
  fc.constant<Recipe>({ kind: "outside" }),
  fc.record({ kind: fc.constant("nonsense" as const), way: fc.nat(20) }),
);
const narrowed: fc.Arbitrary<Recipe> = fc.record({ kind: fc.constant("narrow" as const), outer: runs, inner: runs });

export const goodRecipe = fc.oneof({ weight: 2, arbitrary: plain }, { weight: 3, arbitrary: runs }, narrowed);
/** What `event.fetch` takes. */
export const dataRecipe = fc.oneof({ weight: 3, arbitrary: runs }, narrowed, fc.constant<Recipe>({ kind: "outside" }));
export const anyRecipe = fc.oneof({ weight: 8, arbitrary: goodRecipe }, { weight: 1, arbitrary: bad });

const at = (portion: Share, length: number): number => Math.floor((portion * length) / 1000);

/** What functions of a consumer return, or throw, that is no selection. */
const nonsense: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => 7,
  () => "all",
  () => ({ kind: "all", runs: [] }),
  () => [all],
  () => () => all,
  () => Promise.reject(new Error("said by the test")),
];
const throwing: readonly (() => never)[] = [
  () => {
    throw new Error("said by the test");
  },
  () => {
    throw undefined; // eslint-disable-line @typescript-eslint/only-throw-error -- what functions of users may do
  },
  () => {
    throw Object.create(null);
  },
];

/** The selection, made with the library; may throw, as a function of a user's may. `mayThrow`: else nonsense is returned. */
export function selectionOf(recipe: Recipe, length: number, mayThrow = true): Selection {
  switch (recipe.kind) {
    case "nothing":
      return nothing;
    case "metadataOnly":
      return metadataOnly;
    case "all":
      return all;
    case "ranges":
      return ranges(recipe.parts.map(([start, end]) => [at(start, length), at(end, length)]));
    case "strided":
      return strided({ start: recipe.start, length: recipe.length, stride: recipe.stride, count: recipe.count });
    case "box": {
      const { sides, itemSize } = recipe;
      return box({
        shape: sides.map(({ extent }) => extent),
        origin: sides.map(({ origin }) => origin),
        size: sides.map(({ size }) => size),
        itemSize,
      });
    }
    case "narrow":
      return selectionOf(recipe.outer, length).narrow(selectionOf(recipe.inner, lengthOf(recipe.outer, length)));
    case "outside":
      return range(0, length + 1);
    case "nonsense": {
      const ways = mayThrow ? [...nonsense, ...throwing] : nonsense;
      return ways[recipe.way % ways.length]?.() as Selection;
    }
  }
}

const lengthOf = (recipe: Recipe, length: number): number => indicesOf(recipe, length).length;

/** Which bytes, in their order; those beyond the data too. */
function indicesOf(recipe: Recipe, length: number): number[] {
  const taken: number[] = [];
  const take = (start: number, end: number): void => {
    for (let index = start; index < end; index++) taken.push(index);
  };
  switch (recipe.kind) {
    case "all":
      take(0, length);
      break;
    case "outside":
      take(0, length + 1);
      break;
    case "ranges":
      for (const [start, end] of recipe.parts) take(at(start, length), at(end, length));
      break;
    case "strided":
      for (let n = 0; n < recipe.count; n++) {
        const start = recipe.start + n * recipe.stride;
        take(start, start + recipe.length);
      }
      break;
    case "box": {
      const { sides, itemSize } = recipe;
      let items = [0];
      for (const { extent, origin, size } of sides) {
        items = items.flatMap((item) => Array.from({ length: size }, (_, n) => item * extent + origin + n));
      }
      for (const item of items) take(item * itemSize, (item + 1) * itemSize);
      break;
    }
    case "narrow": {
      const outer = indicesOf(recipe.outer, length);
      return indicesOf(recipe.inner, outer.length).map((index) => outer[index] ?? Infinity);
    }
    case "nothing":
    case "metadataOnly":
    case "nonsense":
  }
  return taken;
}

/** What an event of this data is to give: passed over, these bytes, or an error. */
export type Expected = "skip" | { readonly bytes: Uint8Array } | { readonly code: ErrorCode };

export function expectedOf(recipe: Recipe, data: Uint8Array): Expected {
  if (recipe.kind === "nothing") return "skip";
  if (recipe.kind === "nonsense") return { code: "WEFT_INVALID_ARGUMENT" };
  const indices = indicesOf(recipe, data.length);
  if (indices.some((index) => index >= data.length)) return { code: "WEFT_SELECTION_OUTSIDE" };
  return { bytes: Uint8Array.from(indices, (index) => data[index] ?? 0) };
}
