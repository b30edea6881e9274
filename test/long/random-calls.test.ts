// The longer loop of test/model/random-calls.test.ts: more and longer sequences of random calls. How a failure is replayed is said
// there; with `--project long test/long/random-calls.test.ts`.
import { afterAll, beforeAll, expect, it } from "vitest";

import { runRandomCalls } from "../model/random/runs.js";
import { Place } from "../model/support.js";

let place: Place;
beforeAll(async () => {
  process.env["WEFTLINE_GUARD"] = "1";
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

it("random calls do what a model of them does, for a long time", { timeout: 3_600_000 }, async () => {
  await runRandomCalls(place, { numRuns: 1500, maxCommands: 200, timeLimitMs: 1_800_000 });
  expect(await place.job.listTopics()).toEqual([]);
});
