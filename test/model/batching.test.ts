// When a batch is sent: counted by the server as stored batches, and by the client where the server stands still.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Job, type Producer, type ProducerOptions, attach } from "../../src/index.js";
import { Workplace, until } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Text {
  readonly text: string;
}
/** JSON of 100 bytes. */
const hundred: Text = { text: "x".repeat(100 - '{"text":""}'.length) };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let place: Place;
let topicCount = 0;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

const batchesStored = (): number =>
  (place.server.counters() as { server: { batchesStored: number } }).server.batchesStored;
const batchesSent = (job: Job): number => (job.counters() as { client: { batchesSent: number } }).client.batchesSent;

/** Batches that the server stored of what `push` pushed and flushed. */
async function batchesOf(
  options: ProducerOptions<Text>,
  push: (out: Producer<Text>) => void | Promise<void>,
): Promise<number> {
  const topic = await place.job.createTopic<Text>(`batching-${topicCount++}`);
  const out = await topic.producer(options);
  const before = batchesStored();
  await push(out);
  await out.flush();
  const count = batchesStored() - before;
  await out.close();
  return count;
}
function pushMany(count: number): (out: Producer<Text>) => void {
  return (out) => {
    for (let n = 0; n < count; n++) out.push(hundred);
  };
}

describe("a batch is sent", () => {
  it("at so many events", async () => {
    expect(await batchesOf({ batchEvents: 10, lingerMs: 60_000 }, pushMany(100))).toBe(10);
    expect(await batchesOf({ batchEvents: 10, lingerMs: 60_000 }, pushMany(101))).toBe(11);
    expect(await batchesOf({ lingerMs: 60_000 }, pushMany(128))).toBe(1);
  });

  it("at so many bytes of metadata", async () => {
    expect(await batchesOf({ batchBytes: 1000, lingerMs: 60_000 }, pushMany(100))).toBe(10);
    expect(await batchesOf({ batchBytes: 1099, lingerMs: 60_000 }, pushMany(100))).toBe(10);
    expect(await batchesOf({ batchBytes: 50, lingerMs: 60_000 }, pushMany(7))).toBe(7); // each is larger
  });

  it("at so many bytes of data, copied or referenced", async () => {
    const copied = new Uint8Array(10_000);
    const pushCopied = (out: Producer<Text>): void => {
      for (let n = 0; n < 60; n++) out.push(hundred, copied);
    };
    expect(await batchesOf({ batchDataBytes: 64 * 1024, lingerMs: 60_000 }, pushCopied)).toBe(10);
    const referenced = new Uint8Array(1024 * 1024);
    const pushReferenced = (out: Producer<Text>): void => {
      for (let n = 0; n < 12; n++) out.push(hundred, referenced);
    };
    expect(await batchesOf({ lingerMs: 60_000 }, pushReferenced)).toBe(3);
  });

  it("after so long, with all that came meanwhile", async () => {
    const lingerMs = 200;
    let waitedMs = 0;
    const count = await batchesOf({ lingerMs }, async (out) => {
      const begun = performance.now();
      const receipts = [];
      for (let n = 0; n < 3; n++) {
        receipts.push(out.push(hundred));
        await turn();
      }
      expect(out.batchesUnderWay).toBe(0);
      await Promise.all(receipts.map((receipt) => receipt.wait()));
      waitedMs = performance.now() - begun;
    });
    expect(count).toBe(1);
    expect(waitedMs).toBeGreaterThan(lingerMs - 5);
  });

  it("at the end of the turn by default, where the line is free", async () => {
    const count = await batchesOf({}, async (out) => {
      for (let n = 0; n < 3; n++) {
        out.push(hundred);
        const receipt = out.push(hundred);
        await receipt.wait();
      }
    });
    expect(count).toBe(3);
  });

  it("by a flush in the middle", async () => {
    const count = await batchesOf({ batchEvents: 4, lingerMs: 60_000 }, async (out) => {
      pushMany(6)(out); // 4 and 2
      await out.flush();
      pushMany(2)(out);
    });
    expect(count).toBe(3);
  });
});

describe("an adaptive batch", () => {
  it("has no number of events, but bytes", async () => {
    expect(await batchesOf({ batchEvents: "adaptive" }, pushMany(2000))).toBe(1);
    expect(await batchesOf({ batchEvents: "adaptive", batchBytes: 10_000 }, pushMany(2000))).toBe(20);
    expect(await batchesOf({ batchEvents: "adaptive", lingerMs: 60_000 }, pushMany(2000))).toBe(1);
    const pushCopied = (out: Producer<Text>): void => {
      for (let n = 0; n < 60; n++) out.push(hundred, new Uint8Array(10_000));
    };
    expect(await batchesOf({ batchEvents: "adaptive", batchDataBytes: 64 * 1024 }, pushCopied)).toBe(10);
  });

  it("ends at the number that the format has", async () => {
    const topic = await place.job.createTopic<number>("most");
    const out = await topic.producer({ batchEvents: "adaptive" });
    const before = batchesStored();
    const count = 70_000;
    for (let n = 0; n < count; n++) out.push(1);
    const last = out.push(1);
    await out.flush();
    expect(batchesStored() - before).toBe(2);
    expect(await last.wait()).toMatchObject({ offset: count });
    await out.close();
  });

  it("takes the largest metadata all the same", async () => {
    const topic = await place.job.createTopic<string>("largest");
    const out = await topic.producer({ batchEvents: "adaptive" });
    const text = "x".repeat(1024 * 1024 - 2); // with its quotes
    expect(await out.push(text).wait()).toMatchObject({ offset: 0 });
    await errorOf("WEFT_EVENT_TOO_LARGE", () => out.push(`${text}x`));
    await out.close();
  });

  it("is refused under another name", async () => {
    const topic = await place.job.createTopic("names");
    const wrong = "adaptively" as "adaptive";
    expect((await errorOf("WEFT_INVALID_ARGUMENT", () => topic.producer({ batchEvents: wrong }))).message).toContain(
      '"adaptive"',
    );
  });
});

describe("beside a server that stands still", () => {
  let workplace: Workplace;
  beforeAll(() => {
    workplace = new Workplace();
  });
  afterAll(async () => {
    await workplace.close();
  });

  it("no more than maxInFlight batches are sent, and what gathers adaptively is one", async () => {
    const server = await workplace.serve(["--data", "./still"]);
    await using job = await attach(server.facts.group);
    const topic = await job.createTopic<Text>("still");
    const adaptive = await topic.producer({ batchEvents: "adaptive" });
    const counted = await topic.producer({ batchEvents: 10, maxInFlight: 3 });
    server.child.kill("SIGSTOP");
    const first = adaptive.push(hundred);
    const before = batchesSent(job);
    await until("the first batch to be sent", () => batchesSent(job) === before + 1);
    for (let turns = 0; turns < 50; turns++) {
      pushMany(100)(adaptive);
      await turn();
    }
    expect(batchesSent(job)).toBe(before + 1);
    expect([adaptive.batchesUnderWay, adaptive.queued]).toEqual([1, 0]);

    pushMany(100)(counted);
    await until("as many as may to be sent", () => batchesSent(job) === before + 4);
    expect(counted.batchesUnderWay).toBe(4); // one more has its arena and waits
    expect(counted.queued).toBe(60);

    server.child.kill("SIGCONT");
    await first.wait();
    await adaptive.flush();
    await counted.flush();
    expect(batchesSent(job)).toBe(before + 2 + 10);
    await adaptive.close();
    await counted.close();
  });
});
