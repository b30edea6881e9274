// A server that is killed and started again under a producer and a consumer in TypeScript: both go on by themselves, and
// every event arrives once, in order.
import { afterAll, beforeAll, expect, it } from "vitest";

import { attach } from "../../src/index.js";
import { until, Workplace } from "./support/weftline.js";

let place: Workplace;
beforeAll(() => {
  place = new Workplace();
});
afterAll(() => place.close());

it("loses and repeats nothing over two kill -9 of the server", async () => {
  let server = await place.serve(["--data", "./weft"]);
  await using job = await attach(server.facts.group);
  const topic = await job.createTopic<{ n: number }>("killed");
  const out = await topic.producer({ name: "pusher" });
  const consumer = topic.consumer({ name: "reader" });
  const seen: number[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    while (!stop.signal.aborted) {
      for (const event of await consumer.pull({ timeoutMs: 100 })) {
        seen.push(event.metadata.n);
        event.ack();
      }
    }
  })();
  let pushed = 0;
  const pushing = (async () => {
    while (!stop.signal.aborted) {
      for (let index = 0; index < 20 && !stop.signal.aborted; index++) out.push({ n: pushed++ });
      await out.ready();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  for (let kill = 0; kill < 2; kill++) {
    const before = seen.length;
    await until("events to flow", () => seen.length > before + 500);
    await server.end("SIGKILL");
    server = await place.serve(["--data", "./weft"]);
  }
  const before = seen.length;
  await until("events to flow again", () => seen.length > before + 500);
  stop.abort();
  await pushing;
  await reading;
  await out.flush();
  while (seen.length < pushed) {
    const events = await consumer.pull({ timeoutMs: 30_000 });
    expect(events.length, "events that are left").toBeGreaterThan(0);
    for (const event of events) seen.push(event.metadata.n);
  }
  expect(seen).toEqual(Array.from({ length: pushed }, (_, index) => index));
});
