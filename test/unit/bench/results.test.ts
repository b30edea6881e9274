// The judge of `npm run bench:smoke`: made-up measurements on both sides of a floor.
import { describe, expect, it } from "vitest";

import { isMet, missedLines, ratioOf, reportOf, type Result, tableOf } from "../../../bench/smoke/results.js";

function result(change: Partial<Result> = {}): Result {
  return {
    ...{ name: "data", transport: "shm", unit: "MB/s", limitName: "copies" },
    ...{ measured: [50, 60, 70], limits: [100, 100, 100], kind: "rate", floor: 0.6 },
    ...change,
  };
}

describe("ratioOf", () => {
  it("is the median over the pairs, not the ratio of the medians", () => {
    // The machine was four times slower in the last pairs: each pair alone still shows a half.
    expect(ratioOf(result({ measured: [100, 25, 25], limits: [200, 50, 50] }))).toBe(0.5);
    expect(ratioOf(result({ measured: [10, 90, 30], limits: [100, 100, 100] }))).toBe(0.3);
  });

  it("is no number without measurements, or without their limits", () => {
    expect(ratioOf(result({ measured: [], limits: [] }))).toBeNaN();
    expect(ratioOf(result({ measured: [1], limits: [] }))).toBeNaN();
  });
});

describe("isMet", () => {
  it.each([
    ["a rate at its floor", { measured: [60], limits: [100] }, true],
    ["a rate below it", { measured: [59], limits: [100] }, false],
    ["a time at its floor", { kind: "time", measured: [60], limits: [100] }, true],
    ["a time above it", { kind: "time", measured: [61], limits: [100] }, false],
    ["a rate that nobody measured", { measured: [], limits: [] }, false],
    ["a time that nobody measured", { kind: "time", measured: [], limits: [] }, false],
    ["anything without a floor", { measured: [1], limits: [100], floor: undefined }, true],
  ] as [string, Partial<Result>, boolean][])("%s: %s", (_, change, met) => {
    expect(isMet(result(change))).toBe(met);
  });
});

describe("the outcome", () => {
  const missed = result({ name: "metadata", measured: [10], limits: [100] });

  it("names each miss, and only those", () => {
    expect(missedLines([result(), missed, result({ floor: undefined, measured: [1] })])).toEqual([
      "missed: metadata over shm: ratio 0.10, floor 0.6",
    ]);
    expect(missedLines([result()])).toEqual([]);
  });

  it("is a failure where nothing was measured", () => {
    expect(missedLines([])).toEqual([expect.stringContaining("nothing was measured")]);
  });

  it("shows in the table and in the report", () => {
    const rows = tableOf([result(), missed])
      .split("\n")
      .filter((line) => line.includes("shm"));
    expect(rows.map((row) => /ok|MISSED/.exec(row)?.[0])).toEqual(["ok", "MISSED"]);
    expect(reportOf([missed], { cores: 2 })).toMatchObject({
      machine: { cores: 2 },
      results: [{ ratio: 0.1, met: false }],
    });
  });
});
