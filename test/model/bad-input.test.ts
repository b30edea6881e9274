// What is no good at every door: options out of range or misspelt, names that there are not, functions that throw what has no
// words or answer later, memory that is gone, calls out of turn. Always a WeftError with a code; and behind each of them the
// producer and the consumer go on, and the server has what it had.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import {
  type Consumer,
  type ConsumerOptions,
  EncodedJson,
  type ErrorCode,
  type Event,
  type Producer,
  type ProducerOptions,
  type SeekOptions,
  type SeekTo,
  type Topic,
  type TopicConfig,
  all,
  box,
  isWeftError,
  range,
  ranges,
  strided,
} from "../../src/index.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly n: number;
}

let place: Place;
let topic: Topic<Numbered>;
let out: Producer<Numbered>;
let consumer: Consumer<Numbered>;
let pushed = 0;
const rejections: unknown[] = [];
const onRejection = (reason: unknown): void => {
  rejections.push(reason);
};

beforeAll(async () => {
  process.on("unhandledRejection", onRejection);
  place = await Place.open();
  topic = await place.job.createTopic<Numbered>("numbers", { partitions: 2 });
  out = await topic.producer();
  consumer = topic.consumer({ name: "reader", ackEvery: 0, select: all });
});
afterAll(async () => {
  await consumer.close();
  await out.close();
  expect(await place.job.listTopics()).toHaveLength(1);
  expect(place.job.counters()).toMatchObject({ client: { messagesMalformed: 0, memoryQuarantinedBytes: 0 } });
  expect(place.server.counters()).toMatchObject({ server: { messagesMalformed: 0, producers: 0, consumers: 0 } });
  await place.close();
  process.off("unhandledRejection", onRejection);
});
beforeEach(() => {
  rejections.length = 0;
});

/** Whoever was told off goes on: an event goes in and comes out, and nothing else did. */
async function goesOn(): Promise<Event<Numbered>> {
  const n = pushed++;
  const { offset } = await out.push({ n }, Float64Array.of(n), { partition: 1 }).wait();
  expect(offset).toBe(n);
  const events = await consumer.pull({ timeoutMs: 30_000 });
  expect(events.map(({ metadata }) => metadata.n)).toEqual([n]);
  const [event] = events;
  if (event === undefined) throw new Error("no event came");
  expect(event.float64()).toEqual(Float64Array.of(n));
  expect((await topic.partition(0)).visibleEnd).toBe(0);
  return event;
}

/** Fails unless the call gives one of these codes. */
async function refused(what: string, codes: readonly ErrorCode[], call: () => unknown): Promise<void> {
  let outcome: unknown;
  try {
    outcome = await call();
  } catch (error) {
    if (isWeftError(error)) {
      expect(codes, `${what}: ${error.message}`).toContain(error.code);
      expect(error.message.length).toBeGreaterThan(error.code.length + 2);
      return;
    }
    throw new Error(`${what} threw what has no code: ${String(error)}`, { cause: error });
  }
  throw new Error(`${what} was taken, with ${String(outcome)}`);
}

const noCount = [-1, 0.5, NaN, Infinity, -Infinity, 2 ** 53, "5", "", null, true, {}, [], 5n, () => 5];
const noFunction = [null, 0, "f", {}, true, new Uint8Array(8)];
const noSignal = [null, 0, "stop", {}, new EventTarget(), new AbortController()];
const noName = ["", " ", ".", "..", ".x", "a/b", "a b", "ü", "x".repeat(201), 5, null, {}, ["x"]];
const noChoice = ["", "x", 5, null, true, {}, []];
const noOptions = [null, 5, "options", true, [], { spelt: 1 }, { Signal: undefined }];
const nobody = Object.create(null) as unknown;

describe("options", () => {
  const producerOptions: Record<keyof ProducerOptions<Numbered>, readonly unknown[]> = {
    name: noName,
    batchEvents: [...noCount, 0, 65_537, "Adaptive"],
    batchBytes: [...noCount, 0, 1024 ** 2 + 1],
    batchDataBytes: [...noCount, 0, 1024 ** 3 + 1],
    lingerMs: [...noCount, 3_600_001],
    maxInFlight: [...noCount, 0, 65],
    queueEvents: [...noCount, 0, 1_000_001],
    queueBytes: [...noCount, 0, 1024 ** 3 + 1],
    ordering: noChoice,
    whenFull: noChoice,
    guard: [null, 0, 1, "true", {}],
    validate: noFunction,
    selectPartition: noFunction,
    signal: noSignal,
  };
  it.each(Object.entries(producerOptions))("%s of a producer", async (name, values) => {
    for (const value of values) {
      await refused(`${name} ${typeof value}`, ["WEFT_INVALID_ARGUMENT"], () => topic.producer({ [name]: value }));
    }
    await goesOn();
  });

  const noPlace = [
    5,
    "ende",
    null,
    true,
    {},
    [],
    { offset: undefined },
    { offset: -1 },
    { offset: 0.5 },
    { offset: "1" },
    { time: 5 },
  ];
  const noTime = [
    { time: new Date(NaN) },
    { time: new Date(-1) },
    { timeNs: 5 },
    { timeNs: -1n },
    { timeNs: 2n ** 64n },
  ];
  const consumerOptions: Record<keyof ConsumerOptions<Numbered>, readonly unknown[]> = {
    name: noName,
    partitions: [5, null, "0", {}, [], [-1], [2], [0.5], ["0"], [0, 0], [null]],
    share: [5, null, "0/1", [], {}, { rank: 0 }, { rank: 1, size: 1 }, { rank: -1, size: 1 }, { rank: 0, size: 0 }],
    from: [...noPlace, ...noTime],
    until: [...noPlace, ...noTime, "cursor"],
    select: [...noFunction, "all"],
    selectFrame: noFunction,
    allocate: noFunction,
    ackEvery: [
      ...noCount.filter((value) => typeof value !== "object" || value === null),
      [],
      { events: -1 },
      { ms: 0 },
    ],
    prefetchBytes: [...noCount, 0, 2_162_687, 1024 ** 3 + 1],
    prefetchEvents: [...noCount, 0, 2 ** 31],
    slabBytes: [...noCount, 0, 4095, 1024 ** 3 + 1],
    slabs: [...noCount, 0, 65],
    eventBytesMax: [...noCount, 0, 2 ** 32 + 1],
    signal: noSignal,
  };
  it.each(Object.entries(consumerOptions))("%s of a consumer", async (name, values) => {
    const codes = ["WEFT_INVALID_ARGUMENT", ...(name === "partitions" ? ["WEFT_PARTITION_RANGE"] : [])] as ErrorCode[];
    for (const value of values) {
      await refused(
        `${name} ${JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? `${part}n` : part))}`,
        codes,
        () => topic.consumer({ [name]: value }),
      );
    }
    await goesOn();
  });

  it("of pull, run, batches and seek", async () => {
    const invalid: readonly ErrorCode[] = ["WEFT_INVALID_ARGUMENT"];
    for (const value of [...noCount, 0, 1_000_001]) {
      await refused("max", invalid, () => consumer.pull({ max: value as number }));
      await refused("max of batches", invalid, () => consumer.batches({ max: value as number }).next());
      await refused("concurrency", invalid, () => consumer.run(() => 0, { concurrency: value as number }));
    }
    for (const value of noCount.filter((one) => one !== Infinity)) {
      await refused("timeoutMs", invalid, () => consumer.pull({ timeoutMs: value as number }));
    }
    for (const handler of [undefined, ...noFunction])
      await refused("handler", invalid, () => consumer.run(handler as never));
    for (const to of [undefined, ...noPlace, ...noTime, { partition: 0 }, { partition: 0, offset: -1 }]) {
      await refused(`seek ${typeof to}`, invalid, () => consumer.seek(to as SeekTo));
    }
    for (const partition of [-1, 2, 0.5, "0", null]) {
      const id = { partition, offset: 0 } as SeekTo;
      await refused("the id of seek", ["WEFT_PARTITION_RANGE"], () => consumer.seek(id));
    }
    for (const partitions of [5, null, "0", {}, [], [2], [0, 0]]) {
      const options = { partitions } as SeekOptions;
      await refused("partitions of seek", ["WEFT_INVALID_ARGUMENT", "WEFT_PARTITION_RANGE"], () =>
        consumer.seek("latest", options),
      );
    }
    await refused("both", invalid, () => consumer.seek({ partition: 0, offset: 0 }, { partitions: [0] }));
    await goesOn();
  });

  it("that are a signal alone", async () => {
    const event = await goesOn();
    const receipt = out.push({ n: pushed++ }, Float64Array.of(pushed - 1), { partition: 1 });
    const region = place.job.alloc(8);
    const pair = out.pingPong(8);
    const calls: Record<string, (options: never) => unknown> = {
      "topic.partition": (options) => topic.partition(0, options),
      "job.topic": (options) => place.job.topic("numbers", options),
      "job.listTopics": (options) => place.job.listTopics(options),
      "job.describeTopic": (options) => place.job.describeTopic("numbers", options),
      "job.close": (options) => place.job.close(options),
      "consumer.open": (options) => consumer.open(options),
      "consumer.commit": (options) => consumer.commit(options),
      "consumer.lag": (options) => consumer.lag(options),
      "consumer.close": (options) => consumer.close(options),
      "consumer.pull": (options) => consumer.pull(options),
      "consumer.seek": (options) => consumer.seek("earliest", options),
      "event.fetch": (options) => event.fetch(all, options),
      "producer.ready": (options) => out.ready(options),
      "producer.flush": (options) => out.flush(options),
      "producer.close": (options) => out.close(options),
      "receipt.wait": (options) => receipt.wait(options),
      "region.idle": (options) => region.idle(options),
      "pingPong.next": (options) => pair.next(options),
    };
    for (const [name, call] of Object.entries(calls)) {
      for (const options of [...noOptions, ...noSignal.map((signal) => ({ signal }))]) {
        await refused(`${name}(${JSON.stringify(options)})`, ["WEFT_INVALID_ARGUMENT"], () => call(options as never));
      }
    }
    expect((await receipt.wait()).offset).toBe(pushed - 1);
    expect((await consumer.pull({ timeoutMs: 30_000 })).map(({ metadata }) => metadata.n)).toEqual([pushed - 1]);
    region.release();
    pair.release();
    await goesOn();
  });
});

describe("names and configs", () => {
  it("that there are not", async () => {
    const { job } = place;
    const codes: readonly ErrorCode[] = ["WEFT_TOPIC_UNKNOWN", "WEFT_INVALID_ARGUMENT"];
    for (const name of [...noName, "toString", "__proto__", "unknown"]) {
      await refused("topic", codes, () => job.topic(name as string));
      await refused("describeTopic", codes, () => job.describeTopic(name as string));
      await refused("deleteTopic", codes, () => job.deleteTopic(name as string));
      await refused("sealTopic", codes, () => job.sealTopic(name as string));
      await refused("alterTopic", codes, () => job.alterTopic(name as string, { partitions: 3 }));
    }
    for (const name of noName) await refused("createTopic", codes, () => job.createTopic(name as string));
    await goesOn();
  });

  it("of topics that say what no topic can be", async () => {
    const { job } = place;
    const codes: readonly ErrorCode[] = ["WEFT_CONFIG_INVALID", "WEFT_INVALID_ARGUMENT"];
    const circular: Record<string, unknown> = {};
    circular["options"] = circular;
    const bad: unknown[] = [
      ...[null, 5, "config", [], true],
      ...[0, -1, 0.5, NaN, "2", null, 1e9, 1n].map((partitions) => ({ partitions })),
      ...["", "tape", 5, null].map((storage) => ({ storage })),
      ...["", "never", 5, null].map((durability) => ({ durability })),
      { storage: "memory", durability: "synced" },
      ...["xml", 5, null, {}, () => ({})].map((serializer) => ({ serializer })),
      ...["x", 5, null, {}, { schema: 5 }, { pattern: 5 }, () => true].map((validator) => ({ validator })),
      { validator: { schema: { type: "object", properties: { n: () => true } } } },
      ...["x", 5, null, {}, { keyAt: 5 }, () => 0].map((partitionSelector) => ({ partitionSelector })),
      ...[5, null, {}, { fields: [] }, { fields: [{ name: "a", type: "u7" }] }].map((packed) => ({ packed })),
      ...["1", -1, "1 XB", 2 ** 50].map((segmentBytes) => ({ segmentBytes })),
      ...[{ slots: [1] }, { slots: [] }, { slots: 0 }, { slots: [0, 0] }],
      ...[{ retention: 5 }, { retention: { bytes: -1 } }, { retention: { consumedBy: 5 } }],
      ...[{ producers: 0 }, { producers: "1" }, { producerTimeoutMs: 5 }],
      { partitons: 2 },
      circular,
      { options: { value: 1n } },
      { options: { value: Symbol("s") } },
    ];
    for (const [index, config] of bad.entries()) {
      await refused(`config ${index}`, codes, () => job.createTopic("refused", config as TopicConfig));
    }
    for (const options of [...noOptions, { ifExists: "maybe" }, { timeoutMs: -1 }, { signal: 5 }]) {
      await refused("options", codes, () => job.createTopic("refused", {}, options as object));
    }
    for (const change of [
      null,
      5,
      [],
      { partitions: 1 },
      { partitions: "3" },
      { serializer: "raw" },
      { retention: 5 },
      { slots: 5 },
    ]) {
      await refused("change", codes, () => job.alterTopic("numbers", change as object));
    }
    await errorOf("WEFT_TOPIC_UNKNOWN", () => job.describeTopic("refused"));
    expect((await job.describeTopic("numbers")).partitions).toBe(2);
    await goesOn();
  });

  it("of slots, requests and memory", async () => {
    const { job } = place;
    for (const slot of [-1, 0.5, NaN, "0", null, 65_536]) {
      await refused("slot", ["WEFT_INVALID_ARGUMENT"], () => job.control(slot as number, { op: "ping" }));
    }
    for (const request of [
      {},
      { op: "pong" },
      { op: 5 },
      { op: "ping", more: 1 },
      { op: "topic.describe" },
      { value: 1n },
    ]) {
      await refused("request", ["WEFT_INVALID_ARGUMENT"], () => job.control(0, request));
    }
    for (const bytes of [...noCount, 0]) {
      const codes: readonly ErrorCode[] = ["WEFT_INVALID_ARGUMENT", "WEFT_BUFFER_TOO_LARGE"];
      await refused("alloc of a job", codes, () => job.alloc(bytes as number));
      await refused("alloc of a producer", codes, () => out.alloc(bytes as number));
      await refused("pingPong", codes, () => out.pingPong(bytes as number));
    }
    for (const memory of [null, 5, "memory", {}, [], new Uint8Array(), new SharedArrayBuffer(8), detached()]) {
      await refused("register", ["WEFT_INVALID_ARGUMENT"], () => job.register(memory as Uint8Array));
    }
    for (const partition of [-1, 2, 0.5, NaN, "0", null]) {
      await refused("partition", ["WEFT_INVALID_ARGUMENT"], () => topic.partition(partition as number));
      await refused("storedBefore", ["WEFT_PARTITION_RANGE"], () => out.storedBefore(partition as number));
    }
    await goesOn();
  });
});

describe("selections", () => {
  it("that select nothing sensible", async () => {
    const codes: readonly ErrorCode[] = ["WEFT_INVALID_ARGUMENT", "WEFT_SELECTION_OUTSIDE"];
    for (const value of noCount) {
      const bad = value as number;
      await refused("range", codes, () => range(bad, 10));
      await refused("range", codes, () => range(0, bad));
      for (const member of ["start", "length", "stride", "count"]) {
        await refused(`${member} of strided`, codes, () => strided({ length: 1, stride: 1, count: 1, [member]: bad }));
      }
      for (const member of ["shape", "origin", "size"]) {
        const good = { shape: [4], origin: [0], size: [1], itemSize: 1 };
        await refused(`${member} of box`, codes, () => box({ ...good, [member]: [bad] }));
        await refused(`${member} of box`, codes, () => box({ ...good, [member]: bad as never }));
      }
      await refused("itemSize of box", codes, () => box({ shape: [4], origin: [0], size: [1], itemSize: bad }));
    }
    await refused("range backwards", codes, () => range(5, 4));
    await refused("a box beyond its shape", codes, () => box({ shape: [4], origin: [3], size: [2], itemSize: 1 }));
    await refused("a box of other dimensions", codes, () =>
      box({ shape: [4], origin: [0, 0], size: [1], itemSize: 1 }),
    );
    for (const nothing of [undefined, null, 5, "all", {}, [5], [null], ["01"]]) {
      await refused("ranges", codes, () => ranges(nothing as never));
      await refused("narrow", codes, () => all.narrow(nothing as never));
      await refused("into", codes, () => all.into(nothing as never));
      if (!Array.isArray(nothing)) await refused("strided", codes, () => strided(nothing as never));
      if (!Array.isArray(nothing)) await refused("box", codes, () => box(nothing as never));
    }
    const event = await goesOn();
    for (const selection of [undefined, null, 5, "all", {}, [all]]) {
      await refused("fetch", codes, () => event.fetch(selection as never));
    }
    await refused("fetch beyond", ["WEFT_SELECTION_OUTSIDE"], () => event.fetch(range(0, 9)));
    for (const into of [
      null,
      5,
      "memory",
      {},
      new Uint8Array(7),
      new SharedArrayBuffer(8),
      detached(),
      detached().buffer,
    ]) {
      await refused("into", codes, () => event.fetch(all, { into: into as Uint8Array }));
    }
    await goesOn();
  });
});

function detached(): Uint8Array<ArrayBuffer> {
  const memory = new Uint8Array(64);
  structuredClone(memory.buffer, { transfer: [memory.buffer] });
  return memory;
}

/** Functions of a user's that answer late, not at all, or throw what has no words. */
const functions: Record<string, () => never> = {
  "that rejects later": () => Promise.reject(new Error("said by the test")) as never,
  "that resolves later": () => Promise.resolve(true) as never,
  "that throws an object without a prototype": () => {
    throw nobody;
  },
  "that throws nothing": () => {
    throw undefined; // eslint-disable-line @typescript-eslint/only-throw-error -- what functions of users may do
  },
  "that throws a symbol": () => {
    throw Symbol("said by the test"); // eslint-disable-line @typescript-eslint/only-throw-error -- the same
  },
  "that returns an object without a prototype": () => nobody as never,
};

describe.each(Object.entries(functions))("a function %s", (_name, bad) => {
  /** No promise of it ends the process. */
  const settled = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    expect(rejections).toEqual([]);
  };

  it("as a validator or a partition selector costs that push alone", async () => {
    const codes: readonly ErrorCode[] = ["WEFT_INVALID_ARGUMENT", "WEFT_VALIDATOR_REJECTED", "WEFT_PARTITION_RANGE"];
    let isBad = true;
    const validating = await topic.producer({ validate: () => (isBad ? bad() : true) });
    const selecting = await topic.producer({ selectPartition: () => (isBad ? bad() : 1) });
    for (const producer of [validating, selecting]) {
      isBad = true;
      await refused("push", codes, () => producer.push({ n: 0 }));
      isBad = false;
      const n = pushed++;
      producer.push({ n }, Float64Array.of(n), { partition: 1 });
      await producer.close();
      expect((await consumer.pull({ timeoutMs: 30_000 })).map(({ metadata }) => metadata.n)).toEqual([n]);
    }
    await settled();
    await goesOn();
  });

  it("as a data selector or an allocator costs the data of its events, which can be fetched", async () => {
    await goesOn();
    const kinds: ConsumerOptions<Numbered>[] = [
      { select: bad },
      { selectFrame: bad },
      { selectFrame: (events) => events.map(() => bad()) },
      { select: all, allocate: bad },
    ];
    for (const options of kinds) {
      await using reader = topic.consumer({ ...options, from: "earliest", until: "end" });
      let seen = 0;
      for await (const event of reader) {
        await refused("data", ["WEFT_INVALID_ARGUMENT"], () => event.data);
        expect(new Float64Array((await event.fetch(all)).slice().buffer)).toEqual(Float64Array.of(event.metadata.n));
        seen++;
      }
      expect(seen).toBe(pushed);
    }
    await settled();
    await goesOn();
  });

  it("as a handler ends the run, and the consumer goes on behind its event", async () => {
    if (_name.includes("resolves") || _name.includes("returns")) return; // what a handler returns is its own
    await goesOn();
    await using reader = topic.consumer({ from: { offset: 0 }, until: "end", partitions: [1] });
    const error = await errorOf("WEFT_HANDLER", () => reader.run(bad));
    expect(error.message).toContain("event 1:0");
    const [next] = await reader.pull({ max: 1 });
    expect(next?.offset).toBe(1);
    await settled();
    await goesOn();
  });

  it("as a serializer of a module costs that event alone", async () => {
    if (_name.includes("symbol") || _name.includes("nothing")) return; // as the others that throw
    const text = bad.toString().includes("throw") ? "() => { throw Object.create(null); }" : bad.toString();
    const body = text.includes("nobody") ? "() => Object.create(null)" : text;
    const file = place.file(
      `serializer-${Object.keys(functions).indexOf(_name)}.mjs`,
      `const bad = ${body}; let calls = 0;
       export default () => ({ encode: (n) => (n < 0 ? bad() : String(n)), decode: (bytes) => (bytes[0] === 0x37 ? bad() : Number(new TextDecoder().decode(bytes))) });`,
    );
    const own = await place.job.createTopic<number>("serialized", { serializer: { module: file } });
    const writer = await own.producer();
    await refused("push", ["WEFT_METADATA_INVALID"], () => writer.push(-1));
    for (const n of [6, 7, 8]) writer.push(n);
    await writer.close();
    await using reader = own.consumer({ from: "earliest", until: "end" });
    const seen: number[] = [];
    for await (const event of reader) {
      if (event.offset !== 1) seen.push(event.metadata);
      else if (body.includes("throw")) await refused("metadata", ["WEFT_METADATA_INVALID"], () => event.metadata);
    }
    expect(seen).toEqual([6, 8]);
    await place.job.deleteTopic("serialized");
    await settled();
    await goesOn();
  });
});

describe("calls out of turn", () => {
  it("of one consumer wait for each other, or are refused", async () => {
    await goesOn();
    const waiting = consumer.pull({ timeoutMs: 30_000 });
    await refused("pull", ["WEFT_BUSY"], () => consumer.pull());
    await refused("seek", ["WEFT_BUSY"], () => consumer.seek("earliest"));
    await refused("iteration", ["WEFT_BUSY"], () => consumer[Symbol.asyncIterator]().next());
    await refused("run", ["WEFT_BUSY"], () => consumer.run(() => 0));
    const n = pushed++;
    out.push({ n }, Float64Array.of(n), { partition: 1 });
    expect((await waiting).map(({ metadata }) => metadata.n)).toEqual([n]);
    await goesOn();
  });

  it("of what was closed say so", async () => {
    const ended = await topic.producer();
    const region = ended.alloc(8);
    await ended.close();
    await refused("push", ["WEFT_CLOSED"], () => ended.push({ n: 0 }));
    region.release();
    await refused("push of a released region", ["WEFT_CLOSED"], () => out.push({ n: 0 }, region));
    const reader = topic.consumer({ name: "other", from: "earliest", until: "end", select: all });
    const [event] = await reader.pull({ max: 1 });
    await reader.close();
    await refused("ack", ["WEFT_CLOSED"], () => event?.ack());
    await refused("fetch", ["WEFT_CLOSED"], () => event?.fetch(all));
    await refused("data", ["WEFT_CLOSED"], () => event?.data ?? 0);
    for (const call of [
      () => reader.pull(),
      () => reader.seek("earliest"),
      () => reader.commit(),
      () => reader.lag(),
      () => reader.open(),
    ]) {
      await refused("a closed consumer", ["WEFT_CLOSED"], call);
    }
    await goesOn();
  });

  it("acknowledge out of order, twice, and of another consumer: each has its own position", async () => {
    const mine = await goesOn();
    await using other = topic.consumer({
      name: "another",
      ackEvery: 0,
      from: "earliest",
      until: "end",
      partitions: [1],
    });
    for (let more = 0; more < 2; more++) await goesOn();
    const events: Event<Numbered>[] = [];
    while (events.length < 3) events.push(...(await other.pull({ timeoutMs: 30_000 })));
    for (const event of [...events].reverse().slice(0, -1)) event.ack();
    events.at(-1)?.ack();
    mine.ack();
    expect((await other.lag())[0]?.position).toBe(0);
    events[0]?.ack();
    expect((await other.lag())[0]?.position).toBe(events.length);
    expect((await consumer.lag()).find(({ partition }) => partition === 1)?.position).toBe(0);
    await goesOn();
  });
});

describe("metadata and data", () => {
  it("that no topic takes leave the batch as it was", async () => {
    const raw = await place.job.createTopic<Uint8Array>("bytes", { serializer: "raw" });
    const writer = await raw.producer({ lingerMs: 1000 });
    writer.push(Uint8Array.of(1), Uint8Array.of(1));
    await refused("detached metadata", ["WEFT_METADATA_INVALID"], () => writer.push(detached()));
    for (const data of [detached(), detached().buffer, [Uint8Array.of(2), detached()]]) {
      await refused("detached data", ["WEFT_INVALID_ARGUMENT"], () => writer.push(Uint8Array.of(2), data));
    }
    writer.push(Uint8Array.of(3), Uint8Array.of(3));
    await writer.close();
    const seen: unknown[] = [];
    await using reader = raw.consumer({ from: "earliest", until: "end", select: all });
    for await (const event of reader) seen.push([...event.metadata, ...event.data]);
    expect(seen).toEqual([
      [1, 1],
      [3, 3],
    ]);
    await place.job.deleteTopic("bytes");
    for (const text of [undefined, null, 5, {}, ["{}"]]) {
      await refused("EncodedJson", ["WEFT_INVALID_ARGUMENT"], () => new EncodedJson(text as string));
    }
    const notJson: unknown[] = [
      undefined,
      () => 0,
      Symbol("s"),
      1n,
      { toJSON: () => undefined },
      {
        get n() {
          throw nobody;
        },
      },
    ];
    for (const metadata of notJson) {
      await refused(`metadata ${typeof metadata}`, ["WEFT_METADATA_INVALID"], () => out.push(metadata as Numbered));
    }
    for (const options of [null, 5, "0", [], { partiton: 1 }]) {
      await refused("options of push", ["WEFT_INVALID_ARGUMENT"], () =>
        out.push({ n: 0 }, undefined, options as object),
      );
    }
    await goesOn();
  });
});
