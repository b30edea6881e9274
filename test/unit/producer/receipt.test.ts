import { describe, expect, it } from "vitest";

import { WeftError } from "../../../src/errors.js";
import { BatchOutcome, Receipt } from "../../../src/producer/receipt.js";

describe("Receipt", () => {
  it("knows its id once its batch is stored", async () => {
    const outcome = new BatchOutcome();
    const receipt = new Receipt();
    const early = receipt.wait();
    receipt.place(outcome, 3);
    const late = receipt.wait();
    expect([receipt.completed, receipt.id]).toEqual([false, undefined]);
    outcome.stored(2, 100, 7);
    const id = { partition: 2, offset: 103, epoch: 7 };
    expect([await early, await late, receipt.id, receipt.completed]).toEqual([id, id, id, true]);
  });

  it("rejects with what its batch failed with", async () => {
    const outcome = new BatchOutcome();
    const receipt = new Receipt();
    receipt.place(outcome, 0);
    outcome.failed(new WeftError("WEFT_FENCED", "a newer one"));
    await expect(receipt.wait()).rejects.toMatchObject({ code: "WEFT_FENCED" });
    expect([receipt.completed, receipt.error?.code]).toEqual([false, "WEFT_FENCED"]);
  });

  it("can be given up without disturbing others who wait", async () => {
    const outcome = new BatchOutcome();
    const receipt = new Receipt();
    receipt.place(outcome, 0);
    const controller = new AbortController();
    const givenUp = receipt.wait({ signal: controller.signal });
    const patient = receipt.wait();
    controller.abort(new Error("enough"));
    await expect(givenUp).rejects.toMatchObject({ code: "WEFT_CANCELLED", cause: { message: "enough" } });
    outcome.stored(0, 0, 1);
    expect((await patient).offset).toBe(0);
  });
});
