// flush({ durability }): above the topic's level what was acknowledged is synced, once and only where it is not yet; below it
// nothing more happens; what cannot be is said before anything is sent. That a sync keeps events over a loss of power is shown by
// native/test/broker/sync_test.cc.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { attach } from "../../src/index.js";
import { Workplace } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly n: number;
}

describe("flush with a durability", () => {
  let place: Place;
  beforeAll(async () => {
    place = await Place.open();
  });
  afterAll(async () => {
    await place.close();
  });
  const syncs = (): number => (place.server.counters() as { server: { syncs: number } }).server.syncs;

  it("syncs the partitions that have new events of this producer", async () => {
    const topic = await place.job.createTopic<Numbered>("written", { partitions: 3 });
    await using out = await topic.producer();
    out.push({ n: 1 }, undefined, { partition: 0 });
    out.push({ n: 2 }, undefined, { partition: 2 });
    await out.flush();
    const before = syncs();
    await out.flush({ durability: "written" });
    await out.flush({ durability: "memory" });
    expect(syncs()).toBe(before);
    await out.flush({ durability: "synced" });
    expect(syncs()).toBe(before + 2);
    await out.flush({ durability: "synced" }); // nothing is new
    expect(syncs()).toBe(before + 2);
    out.push({ n: 3 }, undefined, { partition: 1 });
    await out.flush({ durability: "synced" });
    expect(syncs()).toBe(before + 3);
  });

  it("has nothing to add in a topic that is synced", async () => {
    const topic = await place.job.createTopic<Numbered>("synced", { durability: "synced" });
    await using out = await topic.producer();
    out.push({ n: 1 });
    await out.flush();
    const before = syncs();
    await out.flush({ durability: "synced" });
    expect(syncs()).toBe(before);
  });

  it("cannot make memory durable, and says so before it sends", async () => {
    const topic = await place.job.createTopic<Numbered>("memory", {
      storage: "memory",
      memoryDataBytes: 1 << 20,
    });
    await using out = await topic.producer({ lingerMs: 60_000 });
    const receipt = out.push({ n: 1 });
    const error = await errorOf("WEFT_UNSUPPORTED", () => out.flush({ durability: "synced" }));
    expect(error.message).toContain("topic 'memory' is kept in memory");
    await errorOf("WEFT_UNSUPPORTED", () => out.flush({ durability: "written" }));
    expect(receipt.completed).toBe(false);
    await out.flush({ durability: "memory" });
    expect(receipt.completed).toBe(true);
  });

  it("takes no nonsense, and the producer goes on", async () => {
    const topic = await place.job.createTopic<Numbered>("nonsense");
    await using out = await topic.producer();
    const receipt = out.push({ n: 1 });
    for (const options of [{ durability: "safe" }, { durability: 2 }, { durabilty: "synced" }, null, 7]) {
      await errorOf("WEFT_INVALID_ARGUMENT", () => out.flush(options as never));
    }
    const aborted = AbortSignal.abort();
    await errorOf("WEFT_CANCELLED", () => out.flush({ durability: "synced", signal: aborted }));
    await out.flush({ durability: "synced" });
    expect(receipt.completed).toBe(true);
  });

  it("fails in time where the server is gone", async () => {
    const there = new Workplace();
    try {
      const server = await there.serve(["--data", there.path("weft")]);
      await using job = await attach(there.path("weft/group"), { deliveryTimeoutMs: 1500 });
      const topic = await job.createTopic<Numbered>("gone");
      await using out = await topic.producer();
      out.push({ n: 1 });
      await out.flush();
      server.child.kill("SIGKILL");
      await server.finished;
      const began = performance.now();
      const error = await out.flush({ durability: "synced" }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toMatchObject({ code: expect.stringMatching(/^WEFT_(TIMED_OUT|PEER_LOST|GROUP_)/) as string });
      expect(performance.now() - began).toBeLessThan(10_000);
    } finally {
      await there.close();
    }
  });
});
