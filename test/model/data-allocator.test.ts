// Memory of the caller's for selected data: regions that the server writes into, slices of one large array, plain memory.
// Every byte arrives where it was asked for and no other byte changes; what is wrong with memory is an error of one event;
// and memory that a lost server may still write into stays busy.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import {
  type Allocate,
  type AllocateFacts,
  type ErrorCode,
  type Event,
  type Region,
  type Topic,
  all,
  attach,
  metadataOnly,
  nothing,
  range,
} from "../../src/index.js";
import { type ServerFacts, Workplace, until } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly n: number;
}

const eventCount = 40;
const words = 512;
const eventBytes = words * 8;
const dataOf = (n: number): Float64Array => Float64Array.from({ length: words }, (_, index) => n * 1000 + index);

let place: Place;
let topic: Topic<Numbered>;
beforeAll(async () => {
  place = await Place.open();
  topic = await place.job.createTopic<Numbered>("field");
  await using out = await topic.producer({ batchEvents: 8 });
  for (let n = 0; n < eventCount; n++) out.push({ n }, dataOf(n));
  await out.flush();
});
afterAll(async () => {
  await place.close();
});

function codeOf(event: Event): ErrorCode | undefined {
  try {
    void event.data;
    return undefined;
  } catch (error) {
    return (error as { code: ErrorCode }).code;
  }
}
const from = { from: "earliest", until: "end" } as const;

describe("selected data goes", () => {
  it("into slices of one region, each where it belongs, with one request for many events and without a copy", async () => {
    const array = place.job.alloc(eventCount * eventBytes);
    const facts: AllocateFacts[] = [];
    const before = place.job.counters() as { client: { fetches: number } };
    await using consumer = topic.consumer({
      ...from,
      select: all,
      allocate: ({ n }, event) => {
        facts.push(event);
        expect(event.bytes).toBe(eventBytes);
        return array.slice(n * eventBytes, (n + 1) * eventBytes);
      },
    });
    let seen = 0;
    for await (const event of consumer) {
      const { n } = event.metadata;
      expect(event.data.buffer).toBe(array.bytes.buffer);
      expect(event.data.byteOffset).toBe(array.bytes.byteOffset + n * eventBytes);
      expect(event.float64()).toEqual(dataOf(n));
      seen++;
    }
    expect(seen).toBe(eventCount);
    expect(facts).toEqual(
      Array.from({ length: eventCount }, (_, n) => ({
        partition: 0,
        offset: n,
        dataLength: eventBytes,
        bytes: eventBytes,
      })),
    );
    // All of it at once, and still there when the consumer has gone on: a program that gathers many events.
    for (let n = 0; n < eventCount; n++) {
      expect(array.float64().subarray(n * words, (n + 1) * words)).toEqual(dataOf(n));
    }
    const after = place.job.counters() as { client: { fetches: number } };
    expect(after.client.fetches - before.client.fetches).toBe(eventCount / 8); // batches of 8
    expect(array.busy).toBe(false);
    array.release();
  });

  it.each([
    { name: "a region", make: (bytes: number) => place.job.alloc(bytes) },
    { name: "registered memory", make: (bytes: number) => place.job.register(new Float64Array(bytes / 8)) },
    { name: "a slice", make: (bytes: number) => place.job.alloc(bytes + 640).slice(64, bytes + 64) },
    { name: "a typed array", make: (bytes: number) => new Float64Array(bytes / 8) },
    { name: "a Buffer", make: (bytes: number) => Buffer.alloc(bytes) },
    { name: "an ArrayBuffer", make: (bytes: number) => new ArrayBuffer(bytes) },
    { name: "memory that is longer", make: (bytes: number) => new Uint8Array(bytes + 100) },
  ] satisfies { name: string; make: (bytes: number) => ReturnType<Allocate<Numbered>> }[])(
    "into $name of each event, and it stays there",
    async ({ make }) => {
      await using consumer = topic.consumer({
        ...from,
        select: ({ n }) => range(8 * n, 8 * n + 800),
        allocate: (_metadata, { bytes }) => make(bytes),
      });
      const events: Event<Numbered>[] = [];
      for await (const event of consumer) events.push(event);
      expect(events).toHaveLength(eventCount);
      for (const event of events) {
        const { n } = event.metadata;
        expect(event.data).toHaveLength(800);
        expect(new Float64Array(event.copy().buffer)).toEqual(dataOf(n).subarray(n, n + 100));
      }
    },
  );

  it("into slices of one plain array in any order, and no byte between them changes", async () => {
    const gap = 24;
    const array = new Uint8Array(eventCount * (eventBytes + gap)).fill(0xee);
    const at = (n: number): number => (eventCount - 1 - n) * (eventBytes + gap) + gap;
    await using consumer = topic.consumer({
      ...from,
      select: all,
      allocate: ({ n }) => array.subarray(at(n), at(n) + eventBytes),
    });
    for await (const event of consumer) event.ack();
    for (let n = 0; n < eventCount; n++) {
      expect(array.slice(at(n) - gap, at(n)).every((byte) => byte === 0xee)).toBe(true);
      expect(new Float64Array(array.slice(at(n), at(n) + eventBytes).buffer)).toEqual(dataOf(n));
    }
  });

  it("nowhere for events of which nothing was selected, and to `into` where that names memory", async () => {
    const asked: number[] = [];
    const own = new Uint8Array(eventBytes);
    await using consumer = topic.consumer({
      ...from,
      select: ({ n }) => [nothing, metadataOnly, range(5, 5), all.into(own), range(0, 8)][Math.min(n, 4)] ?? nothing,
      until: { offset: 6 },
      allocate: ({ n }, { bytes }) => {
        asked.push(n);
        return new Uint8Array(bytes);
      },
    });
    const seen: number[] = [];
    for await (const event of consumer) seen.push(event.metadata.n);
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(asked).toEqual([4, 5]);
    expect(new Float64Array(own.buffer)).toEqual(dataOf(3));
  });

  it("into the same memory of all events' selections, one event at a time", async () => {
    for (const memory of [new Float64Array(words), place.job.alloc(eventBytes)]) {
      const chosen = all.into(memory);
      const seen: number[] = [];
      await using consumer = topic.consumer({ ...from, select: seen.length % 2 === 0 ? chosen : () => chosen });
      for await (const event of consumer) {
        const { n } = event.metadata;
        await new Promise((resolve) => setImmediate(resolve)); // what was sent ahead could come now
        expect(event.float64()).toEqual(dataOf(n));
        seen.push(n);
      }
      expect(seen).toEqual(Array.from({ length: eventCount }, (_, n) => n));
      if (!(memory instanceof Float64Array)) memory.release();
    }
    // Two places in turn: two events at a time.
    const two = new Float64Array(2 * words);
    await using pairs = topic.consumer({
      ...from,
      select: ({ n }) => all.into(two.subarray((n % 2) * words, ((n % 2) + 1) * words)),
    });
    for (let n = 0; n < eventCount;) {
      for (const event of await pairs.pull({ max: 10 })) {
        expect(event.float64()).toEqual(dataOf(n++));
      }
    }
  });

  it("into memory that is used again once its event was handed out, no more ahead than slabs would be", async () => {
    const free: Region[] = Array.from({ length: 4 }, () => place.job.alloc(eventBytes));
    const used = new Map<number, Region>();
    let held = 0;
    let heldMost = 0;
    await using consumer = topic.consumer({
      ...from,
      select: all,
      slabBytes: 4096, // one event a group: two prepared, one that is read, and one whose group just ended
      allocate: ({ n }) => {
        const region = free.pop();
        if (region === undefined) throw new Error("none is free");
        heldMost = Math.max(heldMost, ++held);
        used.set(n, region);
        return region;
      },
    });
    let seen = 0;
    for await (const event of consumer) {
      expect(event.float64()).toEqual(dataOf(event.metadata.n));
      const region = used.get(event.metadata.n);
      if (region !== undefined) free.push(region);
      held--;
      seen++;
    }
    expect(seen).toBe(eventCount);
    expect(heldMost).toBeLessThanOrEqual(4);
  });
});

describe("what is wrong with memory", () => {
  it("is an error of that event's data, whose message says which, and the others come", async () => {
    const released = place.job.alloc(eventBytes);
    released.release();
    const given = place.job.register(new Uint8Array(eventBytes));
    given.release();
    const whole = place.job.alloc(eventBytes);
    const other = await attach(place.server.group);
    const elsewhere = other.alloc(eventBytes);
    const cause = new Error("said by the test");
    const bad: Record<number, [ErrorCode, () => unknown]> = {
      2: ["WEFT_INVALID_ARGUMENT", () => undefined],
      3: ["WEFT_INVALID_ARGUMENT", () => null],
      4: ["WEFT_INVALID_ARGUMENT", () => 7],
      5: ["WEFT_INVALID_ARGUMENT", () => [1, 2, 3]],
      6: ["WEFT_INVALID_ARGUMENT", () => new Uint8Array(eventBytes - 1)],
      7: ["WEFT_INVALID_ARGUMENT", () => whole.slice(8)],
      8: ["WEFT_INVALID_ARGUMENT", () => new Uint8Array(new SharedArrayBuffer(eventBytes))],
      9: ["WEFT_INVALID_ARGUMENT", () => ({ region: whole, start: -8, end: eventBytes })],
      10: ["WEFT_INVALID_ARGUMENT", () => ({ region: whole, start: 0, end: eventBytes + 8 })],
      11: ["WEFT_INVALID_ARGUMENT", () => ({ region: whole, start: NaN, end: NaN })],
      12: ["WEFT_INVALID_ARGUMENT", () => ({ region: {}, start: 0, end: eventBytes })],
      13: ["WEFT_CLOSED", () => released],
      14: ["WEFT_CLOSED", () => given],
      15: ["WEFT_CLOSED", () => ({ region: released, start: 0, end: eventBytes })],
      16: ["WEFT_INVALID_ARGUMENT", () => elsewhere],
      17: ["WEFT_INVALID_ARGUMENT", () => elsewhere.slice(0)],
      18: ["WEFT_INVALID_ARGUMENT", () => Promise.resolve(whole)],
      19: [
        "WEFT_INVALID_ARGUMENT",
        () => {
          throw cause;
        },
      ],
      20: ["WEFT_INVALID_ARGUMENT", () => structuredClone(new ArrayBuffer(8), { transfer: [] })],
    };
    await using consumer = topic.consumer({
      ...from,
      select: all,
      allocate: ({ n }, { bytes }) => (bad[n]?.[1]() ?? (n in bad ? undefined : new Uint8Array(bytes))) as Uint8Array,
    });
    const seen: number[] = [];
    for await (const event of consumer) {
      const { n } = event.metadata;
      seen.push(n);
      expect(codeOf(event), `event ${n}`).toBe(bad[n]?.[0]);
      if (n in bad) {
        const error = await errorOf(bad[n]?.[0] ?? "WEFT_INTERNAL", () => event.data);
        expect(error.message).toContain(`event 0:${n}`);
        if (n === 19) expect(error.cause).toBe(cause);
        expect(new Float64Array((await event.fetch(all)).slice().buffer)).toEqual(dataOf(n));
      } else expect(event.float64()).toEqual(dataOf(n));
    }
    expect(seen).toEqual([...Array(eventCount).keys()]);
    await using into = topic.consumer({ ...from, until: { offset: 1 }, select: all.into(elsewhere) });
    const [event] = await into.pull();
    await errorOf("WEFT_INVALID_ARGUMENT", () => event?.data);
    await errorOf("WEFT_INVALID_ARGUMENT", () => event?.fetch(all, { into: elsewhere }));
    await errorOf("WEFT_CLOSED", () => event?.fetch(all, { into: released }));
    await errorOf("WEFT_INVALID_ARGUMENT", () => event?.fetch(all, { into: whole.slice(8) }));
    expect(whole.bytes.every((byte) => byte === 0)).toBe(true);
    expect(elsewhere.bytes.every((byte) => byte === 0)).toBe(true);
    whole.release();
    await other.close();
  });

  it("is told where two events would share it before the first was handed out", async () => {
    const one = place.job.alloc(2 * eventBytes);
    await using consumer = topic.consumer({
      ...from,
      select: all,
      until: { offset: 8 }, // one batch: one group
      allocate: ({ n }) => (n === 1 ? one.slice(eventBytes - 8) : one.slice(0, eventBytes)),
    });
    const events = await consumer.pull();
    expect(events.map((event) => codeOf(event))).toEqual([undefined, ...Array<string>(7).fill("WEFT_BUSY")]);
    expect(events[0]?.float64()).toEqual(dataOf(0));
    const error = await errorOf("WEFT_BUSY", () => events[1]?.data);
    expect(error.message).toContain("the data of event 0:0 goes there");
    // It is free again for whatever comes next.
    await using next = topic.consumer({ ...from, select: all, until: { offset: 1 }, allocate: () => one });
    expect((await next.pull())[0]?.float64()).toEqual(dataOf(0));
  });

  it("is told at once where allocate is no function", async () => {
    for (const bad of [null, 0, new Uint8Array(8), {}]) {
      await errorOf("WEFT_INVALID_ARGUMENT", () => topic.consumer({ allocate: bad as never }));
    }
  });
});

describe("memory that data is on its way into", () => {
  it("is busy until it is there, cannot be released meanwhile, and is idle then", async () => {
    const region = place.job.alloc(eventBytes);
    let asked = (): void => undefined;
    const allocated = new Promise<void>((resolve) => (asked = resolve));
    await using consumer = topic.consumer({
      ...from,
      select: all,
      until: { offset: 1 },
      allocate: () => {
        asked();
        return region;
      },
    });
    const pulled = consumer.pull();
    await allocated;
    expect(region.busy).toBe(true);
    await errorOf("WEFT_BUSY", () => {
      region.release();
    });
    await region.idle();
    expect(region.busy).toBe(false);
    expect(region.float64()).toEqual(dataOf(0));
    expect((await pulled)[0]?.float64()).toEqual(dataOf(0));
    region.release();
    region.release();
  });

  it("is busy, too, where `into` or `fetch` names it, also when a signal ended the waiting", async () => {
    const region = place.job.alloc(2 * eventBytes);
    await using consumer = topic.consumer({ ...from, until: { offset: 1 } });
    const [event] = await consumer.pull();
    const stop = new AbortController();
    const fetched = event?.fetch(all, { into: region.slice(eventBytes), signal: stop.signal });
    expect(region.busy).toBe(false); // what the fetch does begins with the next turn
    await Promise.resolve();
    stop.abort();
    await errorOf("WEFT_CANCELLED", () => fetched);
    await region.idle();
    const second = event?.fetch(all.into(region));
    await second;
    expect(region.float64().subarray(0, words)).toEqual(dataOf(0));
    expect(region.busy).toBe(false);
    region.release();
  });
});

/** Signals a process and waits, in this very turn, until none of its threads runs any more. */
function strike(pid: number, signal: "SIGSTOP" | "SIGKILL"): void {
  process.kill(pid, signal);
  const isStruck = (task: string): boolean => {
    try {
      const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, "latin1");
      return "TtZX".includes(stat.charAt(stat.lastIndexOf(")") + 2));
    } catch {
      return true; // gone
    }
  };
  const end = Date.now() + 30_000;
  for (;;) {
    const tasks = existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : [];
    if (tasks.every(isStruck)) return;
    if (Date.now() > end) throw new Error(`process ${pid} still runs 30 s after ${signal}`);
  }
}

describe("a server that is lost while data is on its way", () => {
  let work: Workplace;
  let server: Awaited<ReturnType<Workplace["serve"]>> & { facts: ServerFacts };
  beforeEach(async () => {
    work = new Workplace();
    server = await work.serve(["--data", "./weft"]);
  });
  afterEach(async () => {
    if (!server.ended) process.kill(server.facts.pid, "SIGCONT");
    await work.close();
  });

  it("and comes back: the data arrives, and the memory is idle", async () => {
    await using job = await attach(server.facts.group);
    const killed = await job.createTopic<Numbered>("killed");
    await using out = await killed.producer();
    out.push({ n: 3 }, dataOf(3));
    await out.flush();
    const region = job.alloc(eventBytes);
    let restarted: Promise<void> | undefined;
    await using consumer = killed.consumer({
      from: "earliest",
      select: all,
      allocate: () => {
        strike(server.facts.pid, "SIGKILL"); // before the request can reach it
        restarted = server.finished.then(async () => {
          server = await work.serve(["--data", "./weft"]);
        });
        return region;
      },
    });
    const [event] = await consumer.pull();
    await restarted;
    expect(event?.float64()).toEqual(dataOf(3));
    await region.idle();
    region.release();
  });

  it("and stays away: the data fails, and the region is busy until it is released, since nobody writes any more", async () => {
    await using job = await attach(server.facts.group, { deliveryTimeoutMs: 1500 });
    const gone = await job.createTopic<Numbered>("gone");
    await using out = await gone.producer();
    out.push({ n: 3 }, dataOf(3));
    await out.flush();
    const region = job.alloc(eventBytes);
    await using consumer = gone.consumer({
      from: "earliest",
      select: all,
      allocate: () => {
        strike(server.facts.pid, "SIGSTOP");
        return region;
      },
    });
    const fetches = (): number => (job.counters() as { client: { fetches: number } }).client.fetches;
    const pulled = consumer.pull();
    await until("the request", () => fetches() === 1);
    strike(server.facts.pid, "SIGKILL");
    const [event] = await pulled;
    expect(event && codeOf(event)).not.toBe(undefined);
    expect(region.busy).toBe(true);
    await errorOf("WEFT_BUSY", () => region.idle());
    region.release();
    expect(region.busy).toBe(false);
  });

  it("and does not answer: the data fails, and its region stays busy", async () => {
    await using job = await attach(server.facts.group, { deliveryTimeoutMs: 1500 });
    const stopped = await job.createTopic<Numbered>("stopped");
    await using out = await stopped.producer();
    out.push({ n: 3 }, dataOf(3));
    out.push({ n: 4 }, dataOf(4));
    await out.flush();
    const region = job.alloc(eventBytes);
    const plain = new Uint8Array(eventBytes);
    await using consumer = stopped.consumer({
      from: "earliest",
      select: all,
      allocate: ({ n }) => {
        strike(server.facts.pid, "SIGSTOP");
        return n === 3 ? region : plain;
      },
    });
    const events: Event[] = [];
    while (events.length < 2) events.push(...(await consumer.pull({ timeoutMs: 60_000 })));
    for (const event of events) expect(codeOf(event)).not.toBe(undefined);
    expect(region.busy).toBe(true);
    const error = await errorOf("WEFT_BUSY", () => {
      region.release();
    });
    expect(error.message).toContain("a server that was lost may still write");
    await errorOf("WEFT_BUSY", () => region.idle());
    // Of plain memory nothing is shown to a server.
    expect(plain.every((byte) => byte === 0)).toBe(true);
  });
});
