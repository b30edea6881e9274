// The producer's clock: fractions of a millisecond, and corrections of the system clock followed within one.
import { afterEach, expect, it, vi } from "vitest";

import { Clock } from "../../../src/producer/clock.js";

afterEach(() => vi.restoreAllMocks());

it("follows a correction of the system clock, which it looks at once a millisecond", () => {
  let sinceMs = 1000;
  let systemMs = performance.timeOrigin + sinceMs;
  vi.spyOn(performance, "now").mockImplementation(() => sinceMs);
  const system = vi.spyOn(Date, "now").mockImplementation(() => systemMs);
  const clock = new Clock();
  const startMs = clock.nowMs();
  expect(startMs).toBeCloseTo(systemMs, 3);
  for (let step = 0; step < 9; step++) {
    sinceMs += 0.1;
    clock.nowMs();
  }
  expect(clock.nowMs() - startMs).toBeCloseTo(0.9, 3);
  expect(system).toHaveBeenCalledTimes(1);
  systemMs += 3_600_000;
  sinceMs += 0.2;
  expect(clock.nowMs() - startMs).toBeCloseTo(3_600_000, 3);
  systemMs += 10; // both go on, and a small deviation is none
  sinceMs += 20;
  expect(clock.nowMs() - startMs).toBeCloseTo(3_600_020, 3);
});
