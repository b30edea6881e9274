// The scenarios: one factor at a time, whole rounds, every event in one partition and with one consumer.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  baseScenario,
  countsByPartition,
  partitionsOfConsumer,
  problemOf,
  scenario,
  selectedBytes,
  shortened,
  wantsData,
} from "../../../bench/suite/scenario.js";
import { allScenarios, chooseScenarios, quickNames } from "../../../bench/suite/scenarios.js";

describe("allScenarios", () => {
  const all = allScenarios();

  it("has each name once, and those of --quick among them", () => {
    const names = all.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining([...quickNames]));
  });

  it("gives every producer as many events, and a warm-up that ends at one offset", () => {
    for (const one of [...all, ...allScenarios(0.1)]) {
      expect(one.events % one.producers, one.name).toBe(0);
      const counts = countsByPartition(one, 0, one.warmUpEvents);
      expect(new Set(counts).size, one.name).toBe(1);
    }
  });

  it("has no scenario that ranks cannot go through", () => {
    for (const one of [...all, ...allScenarios(0.1)]) expect(problemOf(one), one.name).toBeUndefined();
  });

  it("is chosen from by name, by factor and by the beginning of names", () => {
    const names = (only: string[]): string[] => chooseScenarios(all, only).map(({ name }) => name);
    expect(names([])).toHaveLength(all.length);
    expect(names(["base"])).toEqual(["base"]);
    expect(names(["partitions"])).toEqual(["partitions-4", "partitions-16"]);
    expect(names(["latency-shm"])).toEqual(["latency-shm-1000"]);
    expect(() => names(["bse"])).toThrow(/no scenario 'bse'; there are base/);
  });
});

it("a shortened scenario is the same in every factor", () => {
  for (const one of allScenarios()) {
    const short = shortened(one, 0.1);
    expect({ ...short, events: one.events, warmUpEvents: one.warmUpEvents }).toEqual(one);
    expect(short.events).toBeLessThanOrEqual(one.events);
    expect(short.events % one.producers).toBe(0);
  }
});

describe("partitions", () => {
  it("hold every event once, and each is read by one consumer", () => {
    const numbers = fc.record({
      partitions: fc.integer({ min: 1, max: 8 }),
      consumers: fc.integer({ min: 1, max: 8 }),
      batch: fc.constantFrom(1, 16, 128),
      first: fc.integer({ min: 0, max: 1000 }),
      count: fc.integer({ min: 0, max: 2000 }),
    });
    fc.assert(
      fc.property(numbers, ({ partitions, consumers, batch, first, count }) => {
        const one = { ...scenario("x", "x", { partitions, batch }), consumers };
        const counts = countsByPartition(one, first, count);
        expect(counts.reduce((sum, of) => sum + of, 0)).toBe(count);
        const read = Array.from({ length: consumers }, (_, consumer) => partitionsOfConsumer(one, consumer)).flat();
        expect(read.sort((left, right) => left - right)).toEqual(counts.map((_, partition) => partition));
      }),
    );
  });
});

it("selects a part of the events and of their data", () => {
  const one = { ...baseScenario, dataBytes: 1000, selectData: 10, selectEvents: 10 };
  expect(selectedBytes(one)).toBe(100);
  expect([0, 1, 9, 10].map((step) => wantsData(one, step))).toEqual([true, false, false, true]);
});

it.each([
  [{ partitions: 0 }, "its 'partitions' is 0"],
  [{ batch: 0.5 }, "its 'batch' is 0.5"],
  [{ producers: 3, events: 1000 }, "1000 'events' are not shared equally by 3 producers"],
  [{ consumers: 2 }, "2 consumers for 1 partitions"],
  [{ partitions: 2, warmUpEvents: 100 }, "make them a multiple of 256"],
])("says why ranks cannot go through a scenario: %j", (change, words) => {
  expect(problemOf({ ...scenario("odd", "none"), ...change })).toContain(words);
});
