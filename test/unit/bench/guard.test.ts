// What the guard says of counts.
import { expect, test } from "vitest";

import { type SmokeResult, compareRatios, worseText } from "../../../bench/guard/ratios.js";
import { compare, instructionsPerEvent, type Stored, verdictOf } from "../../../bench/guard/compare.js";

const stored: Stored = { tolerance: 0.05, compiler: "12", architecture: "x64", perEvent: { produce: 1000 } };
const counted = (produce: number): Stored => ({ ...stored, perEvent: { produce } });

test("the cost of an event is the difference of two runs", () => {
  expect(instructionsPerEvent(41_000_000, 191_000_000, 100_000)).toBe(1500);
});

test.each([
  [1050, "ok", false],
  [1051, "MORE", true],
  [950, "ok", false],
  [949, "less: store it", false],
] as const)("%d instructions beside 1000: %s", (produce, verdict, failed) => {
  const rows = compare(counted(produce), stored);
  expect(rows).toMatchObject([{ name: "produce", now: produce, before: 1000, verdict }]);
  expect(verdictOf(rows).failed).toBe(failed);
});

test("a failure names the count and what to do", () => {
  expect(verdictOf(compare(counted(1200), stored)).text).toMatch(/produce: 1200 .* 1000 .*--store/);
});

test("other compilers are told apart, and nothing to compare with is no success", () => {
  const other = compare({ ...counted(9000), compiler: "14" }, stored);
  expect(verdictOf(other)).toEqual({ failed: false, text: expect.stringContaining("another compiler") as string });
  expect(verdictOf(compare({ ...stored, perEvent: { consume: 1 } }, stored)).failed).toBe(true);
  expect(verdictOf([])).toEqual({ failed: true, text: "nothing was counted" });
});

test.each([
  ["rate", 0.75, "ok"],
  ["rate", 0.74, "WORSE"],
  ["rate", NaN, "WORSE"],
  ["rate", 1.26, "better: store it"],
  ["time", 1.33, "ok"],
  ["time", 1.34, "WORSE"],
  ["time", 0.79, "better: store it"],
] as const)("a %s of %d beside 1: %s", (kind, ratio, verdict) => {
  const result: SmokeResult = { name: "pushed", transport: "tcp", kind, ratio };
  const rows = compareRatios([result], { tolerance: 0.25, values: { "pushed, tcp": 1 } });
  expect(rows).toMatchObject([{ name: "pushed, tcp", verdict }]);
  expect(worseText(rows) === "").toBe(verdict !== "WORSE");
  expect(compareRatios([result], { tolerance: 0.25, values: {} })).toMatchObject([{ verdict: "not stored" }]);
});
