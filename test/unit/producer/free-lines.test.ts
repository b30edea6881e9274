// Where batches without order go, with times of our own.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { FreeLines, askAgainMs, silentMs } from "../../../src/producer/free-lines.js";

const never = (): Promise<never> => Promise.reject(new Error("nobody asks"));
const room = { free: false };

describe("free lines", () => {
  it("go in turn while all are equal", () => {
    const lines = new FreeLines([3, 5, 7], 4, never, 1);
    const chosen = Array.from({ length: 6 }, () => {
      const partition = lines.choose(0, room) ?? NaN;
      lines.sent(partition, 0);
      return partition;
    });
    expect(chosen).toEqual([5, 7, 3, 5, 7, 3]);
  });

  it("never hold more than they may, and the next batch goes where the fewest are", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.oneof(fc.constant("send"), fc.nat(7)), { maxLength: 200 }),
        (count, underWayMax, steps) => {
          const lines = new FreeLines([...Array(count).keys()], underWayMax, never, 0);
          const underWay = new Array<number>(count).fill(0);
          for (const step of steps) {
            if (typeof step === "number") {
              const partition = step % count;
              if ((underWay[partition] ?? 0) === 0) continue;
              underWay[partition] = (underWay[partition] ?? 0) - 1;
              lines.stored(partition, 0);
              continue;
            }
            const fewest = Math.min(...underWay);
            const partition = lines.choose(0, room);
            expect(partition === undefined).toBe(fewest === underWayMax);
            expect(lines.choose(0, { free: true }) === undefined).toBe(fewest > 0);
            if (partition === undefined) continue;
            expect(underWay[partition]).toBe(fewest);
            underWay[partition] = fewest + 1;
            lines.sent(partition, 0);
          }
        },
      ),
    );
  });

  it("pass over one that owes an answer for long, until it answers or all do", () => {
    const lines = new FreeLines([0, 1], 2, never, 0);
    lines.sent(0, 0);
    lines.sent(1, silentMs);
    lines.sent(1, silentMs);
    expect(lines.choose(silentMs, room)).toBe(0);
    expect(lines.choose(silentMs + 1, room)).toBeUndefined(); // what 1 is given comes through: it is waited for
    expect(lines.choose(2 * silentMs + 1, room)).toBe(0);
    lines.stored(0, 2 * silentMs);
    expect(lines.choose(2 * silentMs + 1, { free: true })).toBe(0);
  });

  it("pass over one that failed until its server answers a question, asked now and then", async () => {
    let answer = (): Promise<unknown> => Promise.reject(new Error("it is away"));
    let asked = 0;
    const ask = (): Promise<unknown> => {
      asked++;
      return answer();
    };
    const lines = new FreeLines([0, 1], 4, ask, 0);
    const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    lines.sent(0, 0);
    lines.failed(0, 0, false);
    for (let n = 0; n < 3; n++) {
      expect(lines.choose(0, room)).toBe(1);
      lines.sent(1, 0);
    }
    expect(asked).toBe(0);
    lines.choose(askAgainMs, room);
    lines.choose(askAgainMs, room);
    await settled();
    expect(asked).toBe(1);
    lines.stored(1, askAgainMs);
    expect(lines.choose(askAgainMs, room)).toBe(1);
    answer = () => Promise.resolve();
    lines.choose(2 * askAgainMs, room);
    await settled();
    expect(asked).toBe(2);
    lines.stored(1, 2 * askAgainMs);
    expect(lines.choose(2 * askAgainMs, room)).toBe(0);
  });

  it("never ask for one that was fenced", () => {
    const lines = new FreeLines([0, 1], 1, never, 0);
    lines.sent(0, 0);
    lines.failed(0, 0, true);
    expect(lines.choose(1e9, room)).toBe(1);
    lines.sent(1, 1e9);
    lines.failed(1, 1e9, true);
    expect(lines.choose(2e9, room)).toBeDefined(); // somewhere it must fail
  });
});
