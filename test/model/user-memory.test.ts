// Memory of the user's own that events reference: whose it is, and when.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { all } from "../../src/index.js";
import { Place } from "./support.js";

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

describe("a region", () => {
  it("can be given back as soon as it is idle, each time", async () => {
    const topic = await place.job.createTopic<{ n: number }>("regions", { storage: "memory" });
    const out = await topic.producer();
    const eventCount = 500;
    for (let n = 0; n < eventCount; n++) {
      const region = out.alloc(20_000);
      region.float64().fill(n);
      out.push({ n }, region);
      await region.idle();
      region.release();
    }
    await out.close();
    let seen = 0;
    for await (const event of topic.consumer({ from: "earliest", until: "end", select: all })) {
      expect(new Set(event.float64())).toEqual(new Set([event.metadata.n]));
      seen++;
    }
    expect(seen).toBe(eventCount);
  });
});
