// What a limit's program is asked to do, and what is read out of its answer.
import { expect, it } from "vitest";

import { limitPlan, rateOf } from "../../../bench/suite/limits.js";
import { allScenarios } from "../../../bench/suite/scenarios.js";

it("an item holds a batch of small events, or a part of a large one", () => {
  for (const one of allScenarios()) {
    const { itemBytes, eventsPerItem, count, slots } = limitPlan(one);
    expect(itemBytes % 8, one.name).toBe(0);
    expect(slots, one.name).toBeLessThanOrEqual(count);
    const eventBytes = itemBytes / eventsPerItem;
    expect(eventBytes, one.name).toBeGreaterThanOrEqual(one.dataBytes);
  }
});

it("rates are of events: their number a second, and the processor time of a million", () => {
  const plan = { itemBytes: 1000, eventsPerItem: 10, count: 100, slots: 8 };
  const rate = rateOf({ bytes: 100_000, seconds: 2, cpuSeconds: 3 }, plan);
  expect(rate).toEqual({ eventsPerSecond: 500, cpuSecondsPerMillionEvents: 3000 });
});
