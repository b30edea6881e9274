// Random sequences of calls, good and bad ones, on topics, producers and consumers of a real server, with a model of arrays
// beside it: after each call what the library says is what the model says.
//
// A failure prints the seed, the path and the calls it shrank to, and a line /*replayPath="…"*/. The same again, and only
// that:
//   WEFTLINE_RANDOM_SEED=… WEFTLINE_RANDOM_PATH=… WEFTLINE_RANDOM_REPLAY=… npx vitest run --project model test/model/random-calls.test.ts
// More sequences: WEFTLINE_RANDOM_RUNS=1000; test/long has a longer loop of longer ones.
import { afterAll, beforeAll, expect, it } from "vitest";

import { runRandomCalls } from "./random/runs.js";
import { Place } from "./support.js";

let place: Place;
const rejections: unknown[] = [];
const onRejection = (reason: unknown): void => {
  rejections.push(reason);
};
beforeAll(async () => {
  process.on("unhandledRejection", onRejection);
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
  process.off("unhandledRejection", onRejection);
});

it("random calls do what a model of them does", { timeout: 3_600_000 }, async () => {
  await runRandomCalls(place, { numRuns: 40, maxCommands: 60, timeLimitMs: 120_000 });
  expect(rejections).toEqual([]);
  expect(await place.job.listTopics()).toEqual([]);
  expect(place.job.counters()).toMatchObject({ client: { messagesMalformed: 0, memoryQuarantinedBytes: 0 } });
  expect(place.server.counters()).toMatchObject({ server: { messagesMalformed: 0, producers: 0, consumers: 0 } });
});
