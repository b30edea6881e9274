// Which bytes of events' data come, chosen for each event (`select`) or for a whole frame (`selectFrame`): byte for byte
// beside a plain cut of what was pushed; by the server's counters no others were sent or read; and whatever a selector
// does wrong stays with the events that it did it to.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type ConsumerOptions,
  type ErrorCode,
  type Event,
  type FrameFacts,
  type Select,
  type Selection,
  type SelectFrame,
  type Topic,
  all,
  box,
  metadataOnly,
  nothing,
  range,
  ranges,
  strided,
} from "../../src/index.js";
import { Place, errorOf } from "./support.js";

interface Facts {
  readonly n: number;
  readonly kind: "empty" | "small" | "grid";
}

/** Of stored data: each has a checksum, so it is read whole. */
const blockBytes = 64 * 1024;
const rows = 120;
const columns = 1000;
const itemSize = 8;
const gridBytes = rows * columns * itemSize;
const smallBytes = 5000;
const eventCount = 60;

const kindOf = (n: number): Facts["kind"] => (["empty", "small", "grid"] as const)[n % 3] ?? "empty";
const lengthOf = (n: number): number => ({ empty: 0, small: smallBytes, grid: gridBytes })[kindOf(n)];
/** No two events, and no two blocks of one, are alike. */
function dataOf(n: number): Uint8Array {
  const words = new Uint32Array(lengthOf(n) / 4);
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index + 1, 2_654_435_761) ^ (n * 7919);
  return new Uint8Array(words.buffer);
}
const stored = Array.from({ length: eventCount }, (_, n) => dataOf(n));
const cut = (n: number, pieces: readonly (readonly [start: number, end: number])[]): Uint8Array =>
  Buffer.concat(pieces.map(([start, end]) => stored[n]?.subarray(start, end) ?? new Uint8Array()));

let place: Place;
let topic: Topic<Facts>;
beforeAll(async () => {
  place = await Place.open();
  topic = await place.job.createTopic<Facts>("field", { partitions: 2 });
  await using out = await topic.producer({ batchEvents: 10 });
  for (let n = 0; n < eventCount; n++) {
    const data = stored[n];
    out.push({ n, kind: kindOf(n) }, data?.length === 0 ? undefined : data, { partition: n % 2 });
  }
  await out.flush();
});
afterAll(async () => {
  await place.close();
});

type Options = ConsumerOptions<Facts>;
/** The two ways of choosing alike. */
const ways = [
  { way: "select", options: (select: Select<Facts>): Options => ({ select }) },
  {
    way: "selectFrame",
    options: (select: Select<Facts>): Options => ({
      selectFrame: (events) => events.map((event) => select(event.metadata, event)),
    }),
  },
];

/** What came of each event, by its number: its bytes, or the code of what hindered them. */
async function readAll(options: Options): Promise<Map<number, Uint8Array | ErrorCode>> {
  const seen = new Map<number, Uint8Array | ErrorCode>();
  await using consumer = topic.consumer({ from: "earliest", until: "end", ...options });
  for await (const event of consumer) {
    expect(seen.has(event.metadata.n), `event ${event.metadata.n} again`).toBe(false);
    seen.set(event.metadata.n, dataOrCode(event));
  }
  return seen;
}
function dataOrCode(event: Event<Facts>): Uint8Array | ErrorCode {
  try {
    return event.copy();
  } catch (error) {
    return (error as { code: ErrorCode }).code;
  }
}

interface Used {
  readonly dataBytesRead: number;
  readonly dataBytesSent: number;
}
const used = (): Used => (place.server.counters() as { server: Used }).server;

/** Blocks of the event's data that hold a wanted byte; data begins anywhere in a block, so one more may be touched. */
function blockBytesMax(pieces: readonly (readonly [start: number, end: number])[]): number {
  let blocks = 0;
  let behind = 0;
  for (const [start, end] of pieces) {
    if (start >= end) continue;
    const first = Math.max(start, behind);
    if (first < end) blocks += Math.floor((end - 1 - first) / blockBytes) + 2;
    behind = Math.max(behind, end);
  }
  return Math.min(blocks * blockBytes, gridBytes + 2 * blockBytes);
}

const rowBytes = columns * itemSize;
const cell = (row: number, column: number): number => (row * columns + column) * itemSize;
type Pieces = readonly (readonly [start: number, end: number])[];
/** Selections of a grid, with the same bytes by hand. */
const selections: readonly { name: string; selection: Selection; pieces: Pieces }[] = [
  { name: "all", selection: all, pieces: [[0, gridBytes]] },
  { name: "one byte", selection: range(70_001, 70_002), pieces: [[70_001, 70_002]] },
  { name: "no byte", selection: range(100, 100), pieces: [] },
  { name: "the last row", selection: range(cell(rows - 1, 0), gridBytes), pieces: [[cell(rows - 1, 0), gridBytes]] },
  {
    name: "the last three rows, as a box",
    selection: box({ shape: [rows, columns], origin: [rows - 3, 0], size: [3, columns], itemSize }),
    pieces: [[cell(rows - 3, 0), gridBytes]],
  },
  {
    name: "ranges in an order of their own",
    selection: ranges([
      [200_000, 200_100],
      [5, 5],
      [0, 64],
      [gridBytes - 7, gridBytes],
    ]),
    pieces: [
      [200_000, 200_100],
      [0, 64],
      [gridBytes - 7, gridBytes],
    ],
  },
  {
    name: "a column",
    selection: box({ shape: [rows, columns], origin: [0, 17], size: [rows, 1], itemSize }),
    pieces: Array.from({ length: rows }, (_, row) => [cell(row, 17), cell(row, 18)] as const),
  },
  {
    name: "a column, as strided",
    selection: strided({ start: cell(0, columns - 1), length: itemSize, stride: rowBytes, count: rows }),
    pieces: Array.from({ length: rows }, (_, row) => [cell(row, columns - 1), cell(row, columns)] as const),
  },
  {
    name: "a box inside",
    selection: box({ shape: [rows, columns], origin: [40, 300], size: [20, 50], itemSize }),
    pieces: Array.from({ length: 20 }, (_, row) => [cell(40 + row, 300), cell(40 + row, 350)] as const),
  },
  {
    name: "a row of a box",
    selection: box({ shape: [rows, columns], origin: [40, 300], size: [20, 50], itemSize }).narrow(
      box({ shape: [20, 50], origin: [19, 0], size: [1, 50], itemSize }),
    ),
    pieces: [[cell(59, 300), cell(59, 350)]],
  },
  {
    name: "an empty box",
    selection: box({ shape: [rows, columns], origin: [rows, 0], size: [0, columns], itemSize }),
    pieces: [],
  },
];

describe.each(ways)("$way", ({ way, options }) => {
  it.each(selections)("gets $name of the grids, and no other bytes move", async ({ selection, pieces }) => {
    const before = used();
    const seen = await readAll(options(({ kind }) => (kind === "grid" ? selection : nothing)));
    const after = used();
    const grids = [...stored.keys()].filter((n) => kindOf(n) === "grid");
    expect([...seen.keys()].sort((a, b) => a - b)).toEqual(grids);
    for (const [n, data] of seen) expect(Buffer.compare(data as Uint8Array, cut(n, pieces)), `event ${n}`).toBe(0);
    const bytes = pieces.reduce((sum, [start, end]) => sum + end - start, 0);
    expect(after.dataBytesSent - before.dataBytesSent).toBe(grids.length * bytes);
    const ascending = [...pieces].sort(([a], [b]) => a - b);
    expect(after.dataBytesRead - before.dataBytesRead).toBeLessThanOrEqual(grids.length * blockBytesMax(ascending));
  });

  it("hands out no event of `nothing`, and events without data of `metadataOnly`, for which nothing is read", async () => {
    const before = used();
    expect((await readAll(options(() => nothing))).size).toBe(0);
    const seen = await readAll(options(({ n }) => (n < 20 ? metadataOnly : nothing)));
    expect([...seen.keys()].sort((a, b) => a - b)).toEqual([...Array(20).keys()]);
    expect([...seen.values()].every((data) => data.length === 0)).toBe(true);
    expect(used()).toMatchObject({ dataBytesRead: before.dataBytesRead, dataBytesSent: before.dataBytesSent });
  });

  it("chooses by metadata, partition, offset and length of each event", async () => {
    const facts = new Map<number, unknown>();
    const seen = await readAll(
      options(({ n }, { partition, offset, dataLength }) => {
        facts.set(n, { partition, offset, dataLength });
        if (partition === 1 && offset >= 20) return nothing;
        return n % 6 === 2 ? range(0, n) : n % 6 === 5 ? range(dataLength - n, dataLength) : all;
      }),
    );
    const expected = (n: number): Uint8Array => {
      if (n % 6 === 2) return cut(n, [[0, n]]);
      return n % 6 === 5 ? cut(n, [[gridBytes - n, gridBytes]]) : (stored[n] ?? new Uint8Array());
    };
    for (let n = 0; n < eventCount; n++) {
      expect(facts.get(n)).toEqual({ partition: n % 2, offset: Math.floor(n / 2), dataLength: lengthOf(n) });
      const isLeftOut = n % 2 === 1 && Math.floor(n / 2) >= 20;
      expect(seen.has(n), `event ${n}`).toBe(!isLeftOut);
      if (!isLeftOut) expect(Buffer.compare(seen.get(n) as Uint8Array, expected(n)), `event ${n}`).toBe(0);
    }
  });

  it("reads each event once where a frame fills many slabs", async () => {
    const seen = await readAll({ ...options(() => all), slabBytes: 4096, slabs: 1 });
    expect(seen.size).toBe(eventCount);
    for (const [n, data] of seen) expect(Buffer.compare(data as Uint8Array, stored[n] ?? Buffer.of()), `${n}`).toBe(0);
  });

  it("keeps what is wrong with one event from the others", async () => {
    const wrong: unknown[] = [undefined, null, 7, "all", {}, { kind: "all" }, [all], Promise.resolve(all), range];
    const seen = await readAll(
      options(({ n, kind }) => {
        if (n < wrong.length) return wrong[n] as Selection;
        if (n === 20) return range(0, gridBytes + 1);
        if (n === 21) return range(0, 1); // of an event without data
        if (n === 22) return strided({ start: 8, length: 8, stride: 1000, count: 6 });
        return kind === "small" ? range(8, 16) : nothing;
      }),
    );
    for (let n = 0; n < wrong.length; n++) expect(seen.get(n), `event ${n}`).toBe("WEFT_INVALID_ARGUMENT");
    for (const n of [20, 21, 22]) expect(seen.get(n), `event ${n}`).toBe("WEFT_SELECTION_OUTSIDE");
    for (let n = wrong.length; n < eventCount; n++) {
      if (kindOf(n) === "small" && n !== 22)
        expect(seen.get(n), `event ${n}`).toEqual(new Uint8Array(cut(n, [[8, 16]])));
    }
  });

  it("hands out an event whose data was not chosen well, and its data can still be fetched", async () => {
    await using consumer = topic.consumer({
      from: "earliest",
      until: "end",
      ...options(({ n }) => (n === 4 ? range(0, smallBytes + 1) : nothing)),
    });
    const [event] = await consumer.pull();
    const error = await errorOf("WEFT_SELECTION_OUTSIDE", () => event?.data);
    expect(error.message).toContain("event 0:2");
    expect(error.message).toContain(`${smallBytes} bytes`);
    expect(error.next).not.toBe("");
    expect(await event?.fetch(range(0, 100))).toEqual(new Uint8Array(cut(4, [[0, 100]])));
    expect(await consumer.pull()).toEqual([]);
  });

  it("says which limit was passed where too much of an event was chosen", async () => {
    const seen = await readAll({ ...options(() => all), eventBytesMax: smallBytes });
    for (const [n, data] of seen) {
      if (kindOf(n) === "grid") expect(data).toBe("WEFT_BUFFER_TOO_LARGE");
      else expect(data).toHaveLength(lengthOf(n));
    }
  });

  it("is not used with what is no function", async () => {
    for (const bad of [null, 0, "all", [all], {}]) {
      await errorOf("WEFT_INVALID_ARGUMENT", () => topic.consumer({ [way]: bad as never }));
    }
  });
});

describe("select", () => {
  it("that throws fails the data of that event alone", async () => {
    for (const thrown of [new Error("said by the test"), "a text", undefined, Object.create(null) as object]) {
      const seen = await readAll({
        select: ({ n, kind }) => {
          if (n === 5) throw thrown; // eslint-disable-line @typescript-eslint/only-throw-error -- anything may be thrown
          return kind === "grid" ? range(0, 8) : nothing;
        },
      });
      expect(seen.size).toBe(eventCount / 3);
      for (const [n, data] of seen) {
        expect(data, `event ${n}`).toEqual(n === 5 ? "WEFT_INVALID_ARGUMENT" : new Uint8Array(cut(n, [[0, 8]])));
      }
    }
  });
});

describe("selectFrame", () => {
  it("is called once for each frame, in order, with its events", async () => {
    const calls: { partition: number; offsets: number[] }[] = [];
    const seen = await readAll({
      // One event of data a group, so that a frame is handed out in several.
      slabBytes: 4096,
      selectFrame: (events) => {
        const [first] = events;
        calls.push({ partition: first?.partition ?? -1, offsets: events.map(({ offset }) => offset) });
        expect(events.every(({ metadata: { n }, offset, partition }) => n === 2 * offset + partition)).toBe(true);
        (events as FrameFacts<Facts>[]).sort((a, b) => b.offset - a.offset); // its own list: nothing comes of it
        return events.map(() => all).reverse();
      },
    });
    for (let n = 0; n < eventCount; n++) expect(seen.get(n), `event ${n}`).toHaveLength(lengthOf(n));
    for (const partition of [0, 1]) {
      const own = calls.filter((call) => call.partition === partition);
      expect(own.flatMap(({ offsets }) => offsets)).toEqual([...Array(eventCount / 2).keys()]);
      expect(own).toHaveLength(3); // batches of 10
    }
  });

  it("sees no event that is not to be handed out", async () => {
    const offsets: number[] = [];
    await using consumer = topic.consumer({
      partitions: [0],
      from: { offset: 3 },
      until: { offset: 14 },
      selectFrame: (events) => {
        offsets.push(...events.map(({ offset }) => offset));
        return events.map(() => metadataOnly);
      },
    });
    for await (const event of consumer) event.ack();
    expect(offsets).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
  });

  it("that throws or returns another number fails the data of that frame, and the next one comes", async () => {
    const wrong: SelectFrame<Facts>[] = [
      () => {
        throw new Error("said by the test");
      },
      () => [],
      (events) => [...events.map(() => all), all],
      () => undefined as never,
      () => "all" as never,
      () => all as never,
      (events) => Promise.resolve(events.map(() => all)) as never,
    ];
    for (const one of wrong) {
      const seen = await readAll({
        selectFrame: (events) =>
          events[0]?.offset === 10 ? one(events) : events.map(({ dataLength }) => range(0, Math.min(dataLength, 3))),
      });
      for (let n = 0; n < eventCount; n++) {
        const isWrong = n >= 20 && n < 40;
        const expected = isWrong ? "WEFT_INVALID_ARGUMENT" : new Uint8Array(cut(n, [[0, Math.min(3, lengthOf(n))]]));
        expect(seen.get(n), `event ${n}`).toEqual(expected);
      }
    }
  });

  it("says of which events it went wrong, and keeps the cause", async () => {
    const cause = new Error("said by the test");
    await using consumer = topic.consumer({
      from: "earliest",
      partitions: [1],
      selectFrame: () => {
        throw cause;
      },
    });
    const [event] = await consumer.pull();
    const error = await errorOf("WEFT_INVALID_ARGUMENT", () => event?.data);
    expect(error.message).toContain("selectFrame failed for events 1:0 to 9: Error: said by the test");
    expect(error.cause).toBe(cause);
    expect(error.next).toContain("selectFrame");
  });

  it("and select are not given together", async () => {
    const both = { select: all, selectFrame: () => [] };
    const error = await errorOf("WEFT_INVALID_ARGUMENT", () => topic.consumer(both));
    expect(error.message).toContain("select or selectFrame");
  });
});
