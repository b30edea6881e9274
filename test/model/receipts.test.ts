// Receipts: whether, where and why not, at the durability that the topic has.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type Producer, type Receipt, attach } from "../../src/index.js";
import { Workplace } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly n: number;
}

describe("a receipt", () => {
  let place: Place;
  beforeAll(async () => {
    place = await Place.open();
  });
  afterAll(async () => {
    await place.close();
  });

  it("knows nothing until its batch is stored, then the event's id for ever", async () => {
    const topic = await place.job.createTopic<Numbered>("ids", { partitions: 3 });
    const out = await topic.producer({ batchEvents: 4 });
    const receipts: Receipt[] = [];
    for (let n = 0; n < 100; n++) receipts.push(out.push({ n }, undefined, { partition: n % 3 }));
    const [first] = receipts;
    expect([first?.completed, first?.id, first?.error]).toEqual([false, undefined, undefined]);
    const ids = await Promise.all(receipts.map((receipt) => receipt.wait()));
    expect(ids.map(({ partition, offset }) => [partition, offset])).toEqual(
      ids.map((_, n) => [n % 3, Math.floor(n / 3)]),
    );
    expect(receipts.every((receipt, n) => receipt.completed && receipt.id?.offset === ids[n]?.offset)).toBe(true);
    expect(await first?.wait()).toEqual(first?.id);
    for await (const { partition, offset, metadata } of topic.consumer({ from: "earliest", until: "end" })) {
      expect(ids[metadata.n]).toMatchObject({ partition, offset });
    }
    await out.close();
    expect(first?.completed).toBe(true);
  });

  it("can be waited for with a signal, which ends that waiting alone", async () => {
    const topic = await place.job.createTopic<Numbered>("signals");
    const out = await topic.producer({ lingerMs: 60_000 });
    const receipt = out.push({ n: 1 });
    const controller = new AbortController();
    const givenUp = receipt.wait({ signal: controller.signal });
    const patient = receipt.wait();
    controller.abort(new Error("enough"));
    expect((await errorOf("WEFT_CANCELLED", () => givenUp)).cause).toMatchObject({ message: "enough" });
    await errorOf("WEFT_CANCELLED", () => receipt.wait({ signal: controller.signal }));
    expect(receipt.completed).toBe(false);
    await out.flush();
    expect(await patient).toEqual({ partition: 0, offset: 0, epoch: expect.any(Number) as number });
    // What is known is said, also to who would not have waited.
    expect(await receipt.wait({ signal: controller.signal })).toEqual(receipt.id);
    await out.close();
  });

  it("of an event that was dropped rejects with that", async () => {
    const topic = await place.job.createTopic<Numbered>("dropped");
    const out = await topic.producer({ batchEvents: 1, maxInFlight: 1, queueEvents: 1, whenFull: "drop-newest" });
    const receipts = Array.from({ length: 10 }, (_, n) => out.push({ n }));
    const dropped = receipts[9];
    expect(dropped?.error?.code).toBe("WEFT_DROPPED");
    await errorOf("WEFT_DROPPED", () => dropped?.wait());
    await out.close();
    expect(receipts.filter(({ completed }) => completed)).toHaveLength(10 - out.dropped);
  });

  it("is kept by a close, after which nothing is taken", async () => {
    const topic = await place.job.createTopic<Numbered>("closed");
    const out = await topic.producer({ lingerMs: 60_000 });
    const receipt = out.push({ n: 1 });
    const closing = out.close();
    await errorOf("WEFT_CLOSED", () => out.push({ n: 2 }));
    await closing;
    expect(receipt.id).toMatchObject({ offset: 0 });
  });

  it("of a producer that was fenced rejects with that", async () => {
    const topic = await place.job.createTopic<Numbered>("fenced");
    const older = await topic.producer({ name: "one" });
    const stored = older.push({ n: 1 });
    await stored.wait();
    const newer = await topic.producer({ name: "one" });
    const refused = older.push({ n: 2 });
    await errorOf("WEFT_FENCED", () => refused.wait());
    expect([refused.completed, refused.id, stored.completed]).toEqual([false, undefined, true]);
    expect(await newer.push({ n: 3 }).wait()).toMatchObject({ offset: 1 });
    await errorOf("WEFT_FENCED", () => older.close());
    await newer.close();
  });
});

describe("on a server of its own", () => {
  let workplace: Workplace;
  beforeEach(() => {
    workplace = new Workplace();
  });
  afterEach(async () => {
    await workplace.close();
  });

  it("a receipt waits for the sync where the topic says synced, and only there", async () => {
    const syncMs = 200;
    const library = workplace.path("slow_fdatasync.so");
    const source = fileURLToPath(new URL("../integration/support/slow_fdatasync.c", import.meta.url));
    execFileSync("cc", ["-std=gnu11", "-Wall", "-Werror", "-shared", "-fPIC", source, "-o", library]);
    const env = { LD_PRELOAD: library, FDATASYNC_MS: String(syncMs) };
    const server = await workplace.serve(["--data", "./weft"], env);
    await using job = await attach(server.facts.group);
    const open = async (durability: "memory" | "written" | "synced"): Promise<Producer<Numbered>> =>
      await (await job.createTopic<Numbered>(durability, { durability })).producer();
    const times = async (out: Producer<Numbered>): Promise<number[]> => {
      const each: number[] = [];
      for (let n = 0; n < 5; n++) {
        const begun = performance.now();
        const receipt = out.push({ n });
        expect(await receipt.wait()).toMatchObject({ offset: n });
        each.push(performance.now() - begun);
      }
      return each;
    };
    // One after the other: partitions may share a log writer, and one that syncs keeps the others waiting.
    for (const durability of ["memory", "written"] as const) {
      expect(Math.min(...(await times(await open(durability)))), durability).toBeLessThan(syncMs / 2);
    }
    expect(Math.min(...(await times(await open("synced"))))).toBeGreaterThan(syncMs - 5);
  });

  it("a receipt says when its server was away for too long, and so does one whose event waited for a batch", async () => {
    const server = await workplace.serve(["--data", "./weft"]);
    const job = await attach(server.facts.group, { deliveryTimeoutMs: 700 });
    const topic = await job.createTopic<Numbered>("gone");
    const out = await topic.producer({ batchEvents: 2, maxInFlight: 1 });
    const stored = out.push({ n: 0 });
    await stored.wait();
    await server.end("SIGKILL");
    const receipts = Array.from({ length: 10 }, (_, n) => out.push({ n }));
    expect(out.queued).toBeGreaterThan(0);
    for (const receipt of receipts) {
      const error = await errorOf("WEFT_DELIVERY_TIMED_OUT", () => receipt.wait());
      expect(error.message).toContain("partition 0 of topic 'gone'");
      expect([receipt.completed, receipt.id, receipt.error]).toEqual([false, undefined, error]);
    }
    expect(stored.completed).toBe(true);
    await out.close().catch(() => undefined);
    await job.close().catch(() => undefined);
  });
});
