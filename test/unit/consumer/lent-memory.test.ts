// Ranges of memory that are lent: no byte twice at a time, whatever is lent and given back, beside a plain list.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { LentMemory, type LentRange } from "../../../src/consumer/lent-memory.js";

const bufferBytes = 64;

const step = fc.oneof(
  fc.record({
    buffer: fc.nat({ max: 1 }),
    start: fc.nat({ max: bufferBytes - 1 }),
    length: fc.integer({ min: 1, max: 20 }),
  }),
  fc.record({ giveBack: fc.nat({ max: 10 }), spoiled: fc.boolean() }),
);

describe("LentMemory", () => {
  it("lends what overlaps nothing that is lent, and names what it overlaps", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const lent = new LentMemory();
        const buffers = [new ArrayBuffer(bufferBytes), new ArrayBuffer(bufferBytes)];
        const held: LentRange[] = [];
        for (const [index, one] of steps.entries()) {
          if ("giveBack" in one) {
            const at = one.giveBack % Math.max(1, held.length);
            const range = held[at];
            if (range === undefined) continue;
            range.spoiled ||= one.spoiled;
            lent.giveBack([range]);
            lent.giveBack([range]); // as once
            if (!range.spoiled) held.splice(at, 1);
            continue;
          }
          const buffer = buffers[one.buffer] ?? new ArrayBuffer(0);
          const end = Math.min(one.start + one.length, bufferBytes);
          const overlapped = held.filter(
            (range) => range.buffer === buffer && range.start < end && one.start < range.end,
          );
          const { range, isNew } = lent.lend(new Uint8Array(buffer, one.start, end - one.start), `event ${index}`);
          expect(isNew).toBe(overlapped.length === 0);
          if (isNew) held.push(range);
          else expect(overlapped).toContain(range);
        }
      }),
      { numRuns: 500 },
    );
  });
});
