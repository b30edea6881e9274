// What Kafka's own tools print.
import { describe, expect, it } from "vitest";

import { parseConsumer, parseProducer } from "../../../bench/peers/kafka/perf-tools.js";

describe("parseProducer", () => {
  const line = (rate: string): string =>
    `200064 records sent, ${rate} records/sec (18.16 MB/sec), 1523.10 ms avg latency, 2126.00 ms max latency, ` +
    "1907 ms 50th, 2095 ms 95th, 2112 ms 99th, 2119 ms 99.9th.";

  it("takes the last line, which is that of the measured part", () => {
    expect(parseProducer(`${line("1.0")}\n${line("74400.892525")}\n`)).toEqual({
      eventsPerSecond: 74400.892525,
      latencyUs: { p50: 1_907_000, p99: 2_112_000, p999: 2_119_000 },
    });
  });

  it("says what it got instead", () => {
    expect(() => parseProducer("no broker")).toThrow(/said something else: no broker/);
  });
});

describe("parseConsumer", () => {
  it("takes the rate without the rebalance", () => {
    const line =
      "2026-11-26 12:00:01:000, 2026-11-26 12:00:02:000, 97.68, 97.6, 400128, 400000.0, 339, 661, 147.7, 605337.3";
    expect(parseConsumer(`${line}\n`)).toEqual({ eventsPerSecond: 605_337.3, latencyUs: null });
  });

  it("says what it got instead", () => {
    expect(() => parseConsumer("")).toThrow(/said something else/);
  });
});
