import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { CursorTracker } from "../../../src/consumer/cursor-tracker.js";

describe("CursorTracker", () => {
  it("moves only over events without a gap, in whatever order they are acknowledged", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(Array.from({ length: 30 }, (_, index) => index)), (acknowledged) => {
        const tracker = new CursorTracker(0, 0);
        for (let offset = 0; offset < 30; offset++) tracker.handOut(offset);
        for (const offset of acknowledged) tracker.acknowledge(offset);
        let expected = 0;
        while (acknowledged.includes(expected)) expected++;
        expect(tracker.position).toBe(expected);
      }),
    );
  });

  it("passes offsets that never came, but not events that wait", () => {
    const tracker = new CursorTracker(3, 10);
    tracker.handOut(10);
    tracker.handOut(15); // 11 to 14 were removed
    tracker.acknowledge(15);
    expect(tracker.position).toBe(10);
    tracker.acknowledge(10);
    expect(tracker.position).toBe(16);
  });

  it("begins behind a gap at the start", () => {
    const tracker = new CursorTracker(0, 0);
    tracker.handOut(100);
    expect(tracker.position).toBe(100);
  });

  it("takes an acknowledgement twice as once", () => {
    const tracker = new CursorTracker(0, 0);
    tracker.handOut(0);
    tracker.handOut(1);
    tracker.acknowledge(0);
    tracker.acknowledge(0);
    expect(tracker.position).toBe(1);
  });
});
