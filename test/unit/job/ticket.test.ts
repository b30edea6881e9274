// A ticket travels as plain text and a number: it comes back as it was, and nothing else is taken for one.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { nativeTicket, ticketOf } from "../../../src/job/ticket.js";
import { errorOf } from "../../model/support.js";

const native = fc.record({
  process: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  number: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
});

describe("a ticket", () => {
  it("is the same after a clone or JSON", () => {
    fc.assert(
      fc.property(native, ({ process, number }) => {
        const ticket = ticketOf({ process, number });
        for (const copy of [structuredClone(ticket), JSON.parse(JSON.stringify(ticket)) as typeof ticket]) {
          const back = nativeTicket(copy);
          expect([...back.process]).toEqual([...process]);
          expect(back.number).toBe(number);
        }
      }),
    );
  });

  it("is refused with a code when a member is anything else", async () => {
    const good = ticketOf({ process: new Uint8Array(16).fill(171), number: 5 });
    const isDigits = (value: unknown): boolean => typeof value === "string" && /^[0-9a-f]{32}$/.test(value);
    const isNumber = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;
    await fc.assert(
      fc.asyncProperty(fc.anything(), async (value) => {
        const wrong: unknown[] = [];
        if (!isDigits(value)) wrong.push({ ...good, process: value });
        if (!isNumber(value)) wrong.push({ ...good, job: value });
        if (typeof value !== "object" || value === null) wrong.push(value);
        for (const each of wrong) await errorOf("WEFT_INVALID_ARGUMENT", () => nativeTicket(each));
      }),
    );
  });
});
