// Memory of the user's own that events reference: whose it is, and when.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Producer, type Receipt, type Topic, all, attach, shared } from "../../src/index.js";
import { Workplace, until } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly n: number;
}
/** More than is copied. */
const largeBytes = 256 * 1024;

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

/** The first byte and whether all are the same, of each event. */
async function contents(topic: Topic<Numbered>): Promise<[number, number | undefined, boolean][]> {
  const seen: [number, number | undefined, boolean][] = [];
  for await (const { metadata, data } of topic.consumer({ from: "earliest", until: "end", select: all })) {
    const [first] = data;
    seen.push([metadata.n, first, data.every((byte) => byte === first)]);
  }
  return seen;
}

describe("a guard", () => {
  let workplace: Workplace;
  beforeAll(() => {
    workplace = new Workplace();
  });
  afterAll(async () => {
    await workplace.close();
  });

  it("names the event whose memory was written before its receipt, and no other", async () => {
    const topic = await place.job.createTopic<Numbered>("guarded", { partitions: 2 });
    const out = await topic.producer({ name: "solver", guard: true, lingerMs: 60_000 });
    const kept = new Uint8Array(largeBytes).fill(1);
    const changed = new Uint8Array(largeBytes + 64).fill(1);
    const region = out.register(new Uint8Array(2 * largeBytes).fill(1));
    const partition = 1;
    const good = out.push({ n: 0 }, kept, { partition });
    const bad = out.push({ n: 1 }, changed.subarray(64), { partition });
    const half = out.push({ n: 2 }, [kept, region.slice(largeBytes)], { partition });
    const copied = new Uint8Array(100).fill(1);
    const small = out.push({ n: 3 }, copied, { partition });
    changed[64] = 2; // before it was even sent
    region.bytes[2 * largeBytes - 1] = 2;
    copied.fill(2); // that one is free at once
    const waiting = bad.wait().catch((error: unknown) => error);
    const flushed = await errorOf("WEFT_BUFFER_CHANGED", () => out.flush());
    expect(flushed).toBe(bad.error);
    expect(await waiting).toBe(bad.error);
    expect([bad.completed, bad.id]).toEqual([false, undefined]);
    expect(bad.error?.message).toContain("event 1 in partition 1 of topic 'guarded', from producer 'solver'");
    expect(bad.error?.message).toContain(`memory of ${largeBytes} bytes, 64 bytes into its buffer`);
    expect((await errorOf("WEFT_BUFFER_CHANGED", () => half.wait())).message).toMatch(
      new RegExp(`event 2 .*segment 1 of its 2, bytes ${largeBytes} to ${2 * largeBytes} of a region`),
    );
    expect([await good.wait(), await small.wait()].map(({ offset }) => offset)).toEqual([0, 3]);
    await out.flush(); // it was said once
    out.push({ n: 4 }, changed, { partition });
    await out.close();
    expect(out.stored).toBe(5);
    expect((await contents(topic)).filter(([n]) => n === 3)).toEqual([[3, 1, true]]);
  });

  it("sees what was written while the event was under way", async () => {
    const server = await workplace.serve(["--data", "./still"]);
    await using job = await attach(server.facts.group);
    const topic = await job.createTopic<Numbered>("still");
    const out = await topic.producer({ guard: true });
    server.child.kill("SIGSTOP");
    const memory = new Uint8Array(largeBytes);
    const receipt = out.push({ n: 1 }, memory);
    await until("it to be sent", () => (job.counters() as { client: { batchesSent: number } }).client.batchesSent > 0);
    memory.fill(7);
    server.child.kill("SIGCONT");
    const error = await errorOf("WEFT_BUFFER_CHANGED", () => receipt.wait());
    expect(error.message).toContain("a producer without a name");
    await errorOf("WEFT_BUFFER_CHANGED", () => out.close());
  });

  it("is off unless it or WEFTLINE_GUARD is on", async () => {
    const topic = await place.job.createTopic<Numbered>("guards");
    const push = async (options: { guard?: boolean }): Promise<void> => {
      const out = await topic.producer({ ...options, lingerMs: 60_000 });
      const memory = new Uint8Array(largeBytes);
      out.push({ n: 0 }, memory);
      memory[0] = 1;
      await out.close();
    };
    const before = process.env["WEFTLINE_GUARD"];
    try {
      delete process.env["WEFTLINE_GUARD"];
      await push({});
      process.env["WEFTLINE_GUARD"] = "1";
      await errorOf("WEFT_BUFFER_CHANGED", () => push({}));
      await push({ guard: false });
    } finally {
      if (before === undefined) delete process.env["WEFTLINE_GUARD"];
      else process.env["WEFTLINE_GUARD"] = before;
    }
    await errorOf("WEFT_INVALID_ARGUMENT", () => topic.producer({ guard: "yes" as unknown as boolean }));
  });
});

describe("two regions in turn", () => {
  it("are written and sent at once, and nothing that is under way is written", async () => {
    const topic = await place.job.createTopic<Numbered>("ping-pong", { storage: "memory", durability: "memory" });
    const out = await topic.producer({ guard: true });
    const buffers = out.pingPong(largeBytes);
    const stepCount = 60;
    let last: Receipt | undefined;
    let overlaps = 0;
    for (let step = 0; step < stepCount; step++) {
      const region = await buffers.next();
      expect([region.busy, region.length, region === buffers.regions[step % 2]]).toEqual([false, largeBytes, true]);
      // The other one is on its way while this one is written, or arrived; it does not wait to be sent.
      if (last?.completed === false) {
        expect(out.batchesUnderWay).toBeGreaterThan(0);
        overlaps++;
      }
      region.bytes.fill(step);
      last = out.push({ n: step }, region);
    }
    expect(overlaps).toBeGreaterThan(0);
    await errorOf("WEFT_BUSY", () => {
      buffers.release();
    });
    await out.flush();
    buffers.release();
    buffers.release();
    await out.close();
    expect(await contents(topic)).toEqual(Array.from({ length: stepCount }, (_, n) => [n, n, true]));
  });

  it("take no turn when the waiting ends by a signal, and are both given back after an error", async () => {
    const topic = await place.job.createTopic<Numbered>("ping-pong-signal");
    const out = await topic.producer();
    await errorOf("WEFT_INVALID_ARGUMENT", () => out.pingPong(0));
    await errorOf("WEFT_BUFFER_TOO_LARGE", () => out.pingPong(2 ** 32 + 1));
    const buffers = out.pingPong(largeBytes);
    for (let step = 0; step < 2; step++) out.push({ n: step }, await buffers.next());
    await errorOf("WEFT_CANCELLED", () => buffers.next({ signal: AbortSignal.abort() }));
    expect(await buffers.next()).toBe(buffers.regions[0]);
    await out.close();
    buffers[Symbol.dispose]();
  });
});

describe("shared memory", () => {
  it("is data where it is said to be shared: copied, referenced or registered", async () => {
    const topic = await place.job.createTopic<Numbered>("shared");
    const out = await topic.producer();
    const memory = new Uint8Array(new SharedArrayBuffer(largeBytes)).fill(5);
    await out.push({ n: 0 }, shared(memory)).wait();
    const copied = out.push({ n: 1 }, shared(memory.subarray(0, 100)));
    memory.fill(6, 0, 100);
    await copied.wait();
    const region = out.register(shared(memory.subarray(100)));
    out.push({ n: 2 }, [region.slice(0), shared(memory.subarray(200))]);
    await region.idle();
    region.release();
    await out.close();
    expect(await contents(topic)).toEqual([
      [0, 5, true],
      [1, 5, true],
      [2, 5, true],
    ]);
  });

  it("is refused elsewhere, and nothing else is disturbed", async () => {
    const topic = await place.job.createTopic<Numbered>("not-shared");
    const out: Producer<Numbered> = await topic.producer();
    for (const bytes of [100, largeBytes]) {
      const memory = new Uint8Array(new SharedArrayBuffer(bytes));
      const error = await errorOf("WEFT_INVALID_ARGUMENT", () => out.push({ n: 0 }, memory));
      expect(error.next).toContain("shared(memory)");
      await errorOf("WEFT_INVALID_ARGUMENT", () => out.register(memory));
    }
    expect(await out.push({ n: 1 }).wait()).toMatchObject({ offset: 0 });
    await out.close();
  });
});
