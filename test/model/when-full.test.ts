// What push does when the producer's queue is full.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Producer, type Receipt, type Topic, type WhenFull, attach } from "../../src/index.js";
import { Workplace } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly n: number;
}

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

const small = { batchEvents: 4, maxInFlight: 1, queueEvents: 8 } as const;
/** One batch is under way, and one fills. */
const inBatches = small.batchEvents * (small.maxInFlight + 1);
const eventCount = 300;
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

async function open(whenFull: WhenFull): Promise<[Topic<Numbered>, Producer<Numbered>]> {
  const topic = await place.job.createTopic<Numbered>(`full-${whenFull}`);
  return [topic, await topic.producer({ ...small, whenFull })];
}
/** In one turn of the event loop: no answer comes between them by itself. */
const pushAll = (out: Producer<Numbered>): Receipt[] => upTo(eventCount).map((n) => out.push({ n }));

async function stored(topic: Topic<Numbered>): Promise<number[]> {
  const seen: number[] = [];
  for await (const { metadata } of topic.consumer({ from: "earliest", until: "end" })) seen.push(metadata.n);
  return seen;
}

describe("a full queue", () => {
  it("is an error by default, and the event was not taken", async () => {
    const [topic, out] = await open("error");
    let taken = 0;
    await errorOf("WEFT_BUSY", () => {
      for (;;) {
        out.push({ n: taken });
        taken++;
      }
    });
    expect(taken).toBe(inBatches + small.queueEvents);
    await out.close();
    expect(await stored(topic)).toEqual(upTo(taken));
    expect(out.dropped).toBe(0);
  });

  it("blocks until there is room: all events are stored, in order", async () => {
    const [topic, out] = await open("block");
    const receipts = pushAll(out);
    expect(out.queued).toBeLessThanOrEqual(small.queueEvents);
    await out.flush();
    expect(receipts.every((receipt) => receipt.completed)).toBe(true);
    expect(await receipts.at(-1)?.wait()).toMatchObject({ offset: eventCount - 1 });
    await out.close();
    expect(await stored(topic)).toEqual(upTo(eventCount));
  });

  it("drops the newest: those that came first are stored", async () => {
    const [topic, out] = await open("drop-newest");
    const receipts = pushAll(out);
    await out.flush(); // which does not fail
    const kept = inBatches + small.queueEvents;
    expect(out.dropped).toBe(eventCount - kept);
    await errorOf("WEFT_DROPPED", async () => await receipts.at(-1)?.wait());
    out.push({ n: 1000 });
    await out.close();
    expect(await stored(topic)).toEqual([...upTo(kept), 1000]);
    expect(out.stored).toBe(kept + 1);
  });

  it("drops the oldest that wait: those under way and the last ones are stored, under numbers without a gap", async () => {
    const [topic, out] = await open("drop-oldest");
    const receipts = pushAll(out);
    await out.flush();
    expect(out.dropped).toBe(eventCount - inBatches - small.queueEvents);
    await errorOf("WEFT_DROPPED", async () => await receipts[inBatches]?.wait());
    expect(await receipts.at(-1)?.wait()).toMatchObject({ offset: inBatches + small.queueEvents - 1 });
    await out.close();
    expect(await stored(topic)).toEqual([...upTo(inBatches), ...upTo(eventCount).slice(-small.queueEvents)]);
  });

  it("of bytes drops as many as make room, and gives their regions back", async () => {
    const topic = await place.job.createTopic<Numbered>("full-bytes");
    const out = await topic.producer({ ...small, queueBytes: 100, whenFull: "drop-oldest" });
    const region = out.alloc(100_000);
    for (const n of upTo(50)) out.push({ n }, region);
    const text = "x".repeat(90);
    out.push({ n: 50, text } as Numbered);
    await out.flush();
    await region.idle();
    expect(out.dropped + out.stored).toBe(51);
    const numbers = await stored(topic);
    expect(numbers.at(-1)).toBe(50);
    await out.close();
  });

  it("blocks no longer than events have to be delivered: then they fail, and room is there", async () => {
    const workplace = new Workplace();
    const server = await workplace.serve(["--data", "./gone"]);
    const job = await attach(server.facts.group, { deliveryTimeoutMs: 700 });
    const topic = await job.createTopic<Numbered>("gone");
    const out = await topic.producer({ ...small, whenFull: "block" });
    out.push({ n: -1 });
    await out.flush();
    await server.end("SIGKILL");
    const begun = performance.now();
    for (const n of upTo(40)) out.push({ n });
    expect(performance.now() - begun).toBeLessThan(60_000);
    await errorOf("WEFT_DELIVERY_TIMED_OUT", () => out.flush());
    await out.close().catch(() => undefined);
    await job.close().catch(() => undefined);
    await workplace.close();
  }, 120_000);

  it("says which there are", async () => {
    const topic = await place.job.createTopic<Numbered>("full-wrong");
    const error = await errorOf("WEFT_INVALID_ARGUMENT", () => topic.producer({ whenFull: "wait" as WhenFull }));
    expect(error.message).toContain("drop-oldest");
  });
});
