import { expect, it } from "vitest";

import { median, percentiles } from "../../../bench/suite/statistics.js";

it("takes the middle, of an even number the mean of the middle two", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([])).toBeNaN();
});

it("takes percentiles by rank", () => {
  expect(percentiles(Array.from({ length: 1001 }, (_, index) => index))).toEqual({ p50: 500, p99: 990, p999: 999 });
});
