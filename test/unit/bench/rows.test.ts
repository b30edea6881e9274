// Rows and ratios out of made-up runs, in the form that docs/benchmarks.md describes.
import { describe, expect, it } from "vitest";

import { type Series, ratioOf, ratiosOf, rowsOf } from "../../../bench/suite/rows.js";

function series(system: string, client: string, rates: (number | undefined)[], change: Partial<Series> = {}): Series {
  return {
    ...{ scenario: "base/produce", factor: "base", system, client, storage: "disk", durability: "written" },
    ...{ fabric: "tcp", isLatency: false },
    samples: rates.map((rate) =>
      rate === undefined
        ? undefined
        : {
            ...{ eventsPerSecond: rate, bytesPerSecond: rate * 256, cpuSecondsPerMillionEvents: null },
            latencyUs: { p50: rate, p99: 2 * rate, p999: 3 * rate },
          },
    ),
    ...change,
  };
}
const ours = series("weftline", "typescript", [100, 110, 30]);

describe("ratioOf", () => {
  it("is the median over runs of both, and leaves out what one of them lacks", () => {
    expect(ratioOf(ours, series("kafka", "node", [50, 55, 15]))).toBe(2);
    expect(ratioOf(ours, series("kafka", "node", [undefined, 55, undefined]))).toBe(2);
    expect(ratioOf(ours, series("kafka", "node", [undefined]))).toBeUndefined();
  });
});

describe("ratiosOf", () => {
  it("takes a system's best client, and never one that does less", () => {
    const all = [
      ours,
      series("kafka", "node", [50, 55, 15]),
      series("kafka", "perf-tools", [200, 220, 60], { doesLess: true }),
    ];
    expect(ratiosOf(all).ratios["base/produce"]).toEqual({ kafka: 2, "kafka/node": 2, "kafka/perf-tools": 0.5 });
  });

  it("takes the least of the limits of each run, without MPI", () => {
    const all = [
      ours,
      series("limit", "rma", [200, 500, 60]),
      series("limit", "file", [400, 220, 90]),
      series("limit", "mpi", [1, 1, 1]),
    ];
    expect(ratiosOf(all).ratios["base/produce"]?.["limit"]).toBe(0.5);
  });

  it("keeps latency apart, where less is better", () => {
    const latency = { isLatency: true, scenario: "latency/acknowledged" };
    const all = [series("weftline", "typescript", [10], latency), series("nats", "node", [40], latency)];
    const { ratios, latencyRatios } = ratiosOf(all);
    expect(ratios).toEqual({});
    expect(latencyRatios["latency/acknowledged"]).toEqual({ nats: 0.25, "nats/node": 0.25 });
  });
});

describe("rowsOf", () => {
  it("has medians, the range, and the part of the limit", () => {
    const [row] = rowsOf([ours, series("limit", "rma", [200, 220, 60])]);
    expect(row).toEqual({
      ...{ scenario: "base/produce", factor: "base", system: "weftline", client: "typescript" },
      ...{ storage: "disk", durability: "written", fabric: "tcp", runs: 3, min: 30, max: 110 },
      ...{ events_per_second: 100, bytes_per_second: 25_600, cpu_seconds_per_million_events: null },
      ...{ latency_us: { p50: 100, p99: 200, p999: 300 }, limit_ratio: 0.5 },
    });
  });

  it("leaves out what never ran", () => {
    expect(rowsOf([series("nats", "node", [undefined])])).toEqual([]);
  });
});
