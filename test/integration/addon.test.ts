// The addon alone: wrong and closed handles, arguments out of range, memory that ends with its handle.
import { once } from "node:events";
import { Worker } from "node:worker_threads";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { serve, type Server } from "../../src/index.js";
import { native } from "../../src/native/addon.js";
import type { Handle, JobHandle, NativeBinding, ProducerHandle, TopicHandle } from "../../src/native/binding.js";
import { Completions } from "../../src/native/completions.js";
import { scratchBytes } from "../../src/consumer/frame-layout.js";
import { Workplace } from "./support/weftline.js";

let binding: NativeBinding;
let place: Workplace;
let server: Server;
let job: JobHandle;
let completions: Completions;
let topic: TopicHandle;

beforeAll(async () => {
  place = new Workplace();
  binding = native();
  server = await serve({ data: place.path("weft"), signals: false, topics: { addon: {} } });
  job = await binding.attach(server.group, {});
  completions = new Completions(binding, job);
  const opened = await completions.request("open", (tag) => binding.topicOpenAsync(job, "addon", tag));
  topic = opened.handle as TopicHandle;
});
afterAll(async () => {
  completions.close();
  await binding.jobClose(job, false);
  await server.close();
  await place.close();
});

const code = (wanted: string): object => expect.objectContaining({ code: wanted }) as object;

async function openProducer(): Promise<ProducerHandle> {
  const { handle } = await completions.request("open", (tag) => binding.producerOpenAsync(topic, {}, tag));
  return handle as ProducerHandle;
}

describe("a wrong handle", () => {
  const impostors: [string, unknown][] = [
    ["undefined", undefined],
    ["null", null],
    ["a number", 7],
    ["a plain object", {}],
    ["a function", () => 1],
    ["an object that inherits from a handle", undefined],
  ];

  it.each(impostors)("%s is refused by every call", (name, value) => {
    const impostor = (name.startsWith("an object that") ? Object.create(topic) : value) as Handle<never>;
    for (const [method, member] of Object.entries(binding)) {
      if (typeof member !== "function" || !takesHandle(method)) continue;
      const call = member as (...given: unknown[]) => unknown;
      const error = caught(() => call(impostor, 1, 1, 1, 1n, null, null, 1));
      expect(error, method).toEqual(code("WEFT_WRONG_HANDLE"));
    }
  });

  it("of another kind is refused, with what it should be", () => {
    const wrong = topic as unknown as JobHandle;
    expect(() => binding.jobFacts(wrong)).toThrow(/WEFT_WRONG_HANDLE: jobFacts: argument 0 is not a handle of a job/);
    expect(() => binding.topicFacts(job as unknown as TopicHandle)).toThrow(/not a handle of a topic/);
  });
});

function takesHandle(method: string): boolean {
  const without =
    /^(abiVersion|version|setErrorFactory|code|crc32c|prepareExit|doctor|lockCheck|probeOpen|logVerify|joinBegin|attach|openShared)/;
  return !without.test(method);
}

function caught(call: () => unknown): unknown {
  try {
    const result = call();
    // jobClose rejects instead of throwing when the handle is good; a wrong one throws.
    if (result instanceof Promise) result.catch(() => undefined);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("a closed handle", () => {
  it("is refused by every call, and its memory is detached", async () => {
    const producer = await openProducer();
    const batch = binding.batchOpen(producer);
    if (batch === null) throw new Error("no batch");
    const view = new Uint8Array(batch.metadata);
    expect(view.byteLength).toBeGreaterThan(0);
    await completions.request("close", (tag) => binding.producerCloseAsync(producer, tag));
    expect(view.byteLength).toBe(0);
    expect(() => binding.batchOpen(producer)).toThrow(/WEFT_CLOSED: batchOpen: the producer was closed/);
    expect(() => binding.batchCancel(batch.handle)).toThrow(/WEFT_CLOSED/);
    expect(() => binding.batchSubmit(batch.handle, 0, 1, 1, 0n, null, null, 1)).toThrow(/WEFT_CLOSED/);
  });

  it("is what all handles of a closed job are; closing again does nothing", async () => {
    const other = await binding.attach(server.group, {});
    const others = new Completions(binding, other);
    const { handle } = await others.request("open", (tag) => binding.topicOpenAsync(other, "addon", tag));
    const region = binding.regionAllocate(other, 4096);
    const memory = binding.regionMemory(region);
    others.close();
    await binding.jobClose(other, false);
    await binding.jobClose(other, false);
    expect(memory.byteLength).toBe(0);
    expect(() => binding.topicFacts(handle as TopicHandle)).toThrow(/WEFT_CLOSED/);
    expect(() => binding.regionMemory(region)).toThrow(/WEFT_CLOSED/);
    expect(() => binding.jobFacts(other)).toThrow(/WEFT_CLOSED/);
  });

  it("is a batch that was sent", async () => {
    const producer = await openProducer();
    const batch = binding.batchOpen(producer);
    if (batch === null) throw new Error("no batch");
    new Uint8Array(batch.metadata).set(Buffer.from("{}"));
    new Uint32Array(batch.metadataEnd)[0] = 2;
    new Uint32Array(batch.timeDeltaUs)[0] = 0;
    const submitted = completions.request("submit", (tag) =>
      binding.batchSubmit(batch.handle, 0, 1, 2, 0n, null, null, tag),
    );
    expect(() => binding.batchSubmit(batch.handle, 0, 1, 2, 0n, null, null, 1)).toThrow(/WEFT_CLOSED/);
    await submitted;
    await completions.request("close", (tag) => binding.producerCloseAsync(producer, tag));
  });
});

describe("arguments out of range", () => {
  it("are refused by name, and nothing happens", async () => {
    const producer = await openProducer();
    const batch = binding.batchOpen(producer);
    if (batch === null) throw new Error("no batch");
    const { handle } = batch;
    const submit = (count: number, bytes: number, sources: (Uint8Array | null)[] | null, numbers: number[]): void => {
      binding.batchSubmit(handle, 0, count, bytes, 0n, sources, Float64Array.from(numbers), 1);
    };
    expect(() => submit(1e9, 1, null, [])).toThrow(/more events or metadata/);
    expect(() => submit(1, 2 ** 40, null, [])).toThrow(/more events or metadata/);
    expect(() => submit(1, 1, [new Uint8Array(8)], [4, 5, 0])).toThrow(/pieces that lie in their sources/);
    expect(() => submit(1, 1, [new Uint8Array(8)], [NaN, 5, 0])).toThrow(/pieces that lie in their sources/);
    expect(() => submit(1, 1, [null], [0, 2 ** 50, 0])).toThrow(/pieces that lie in their sources/);
    expect(() => submit(1, 1, [null], [])).toThrow(/three numbers/);
    expect(() => submit(1, 1, [{} as Uint8Array], [0, 0, 0])).toThrow(/WEFT_WRONG_HANDLE/);
    expect(() => binding.batchSubmit(handle, -1, 1, 1, 0n, null, null, 1)).toThrow(/argument 1/);
    binding.batchCancel(handle);
    await completions.request("close", (tag) => binding.producerCloseAsync(producer, tag));
  });

  it("of memory that is too short or detached are refused", async () => {
    const { handle } = await completions.request("open", (tag) => binding.consumerOpenAsync(topic, {}, tag));
    const consumer = handle as Parameters<NativeBinding["consumerPoll"]>[0];
    expect(() => binding.consumerPoll(consumer, new ArrayBuffer(100), true)).toThrow(/WEFT_INVALID_ARGUMENT/);
    const detached = new ArrayBuffer(scratchBytes);
    structuredClone(detached, { transfer: [detached] });
    expect(() => binding.consumerPoll(consumer, detached, true)).toThrow(/WEFT_INVALID_ARGUMENT/);
    const fetch = (numbers: number[], count: number): void => {
      binding.dataFetchAsync(consumer, 0, Float64Array.from(numbers), count, new Uint8Array(8), null, 1);
    };
    expect(() => fetch([0, 0, 1, 0, 8], 1)).toThrow(/whole selections/);
    expect(() => fetch([0, 0, 1, 0, 8, 0], 2)).toThrow(/whole selections/);
    expect(() => fetch([0, 0, 1, 0, -8, 0], 1)).toThrow(/whole selections/);
    expect(() => fetch([0, 0, 1e9, 0, 8, 0], 1)).toThrow(/whole selections/);
    await completions.request("close", (tag) => binding.consumerCloseAsync(consumer, tag));
  });

  it("of options are refused by their name", () => {
    expect(() => binding.producerOpenAsync(topic, { batchEvents: -1 }, 1)).toThrow(/option 'batchEvents'/);
    expect(() => binding.producerOpenAsync(topic, { name: 7 as never }, 1)).toThrow(/option 'name' must be a string/);
    expect(() => binding.producerOpenAsync(topic, { name: "a\0b" }, 1)).toThrow(/NUL/);
    expect(() => binding.consumerOpenAsync(topic, { partitions: ["x" as never] }, 1)).toThrow(/a list of numbers/);
  });
});

describe("a region", () => {
  it("is one ArrayBuffer until it is recalled or released", () => {
    const region = binding.regionAllocate(job, 8192);
    const first = binding.regionMemory(region);
    expect(binding.regionMemory(region)).toBe(first);
    new Uint8Array(first).fill(7);
    binding.regionRecall(region);
    expect(first.byteLength).toBe(0);
    const second = binding.regionMemory(region);
    expect(new Uint8Array(second)[8191]).toBe(7);
    binding.regionRelease(region);
    expect(second.byteLength).toBe(0);
    expect(() => binding.regionRelease(region)).toThrow(/WEFT_CLOSED/);
  });
});

describe("a worker thread that is terminated inside a call", () => {
  // Node-API refuses what would run JavaScript from that moment on, in the middle of the call.
  const begin = `
    const { parentPort, workerData } = require("node:worker_threads");
    (async () => {
      const { native } = await import(workerData.addon);
      const { Completions } = await import(workerData.completions);
      const binding = native();
      const job = binding.openShared(workerData.ticket);
      const completions = new Completions(binding, job);
      const closed = binding.openShared(workerData.ticket);
      await binding.jobClose(closed, false);
      parentPort.postMessage("begun");`;
  const built = (path: string): string => new URL(`../../dist/native/${path}`, import.meta.url).href;

  it.each([
    ["with a flag", "binding.jobSetReferenced(job, true)"],
    ["that makes an object", "binding.jobFacts(job)"],
    ["that makes a promise", "binding.jobClose(closed, true).catch(() => 0)"],
    ["that throws", "try { binding.jobFacts({}) } catch {}"],
    ["with options", 'try { binding.topicOpenAsync(job, "addon", -1) } catch {}'],
    ["that makes memory", "binding.regionRelease(binding.regionAllocate(job, 4096))"],
  ])("%s harms nobody", async (_what, call) => {
    const workerData = {
      ticket: binding.jobShare(job),
      addon: built("addon.js"),
      completions: built("completions.js"),
    };
    for (let round = 0; round < 20; round++) {
      const worker = new Worker(`${begin} for (;;) { ${call} } })()`, { eval: true, workerData });
      await once(worker, "message");
      await new Promise((resolve) => setTimeout(resolve, round % 5));
      expect(await worker.terminate()).toBe(1);
    }
    expect(binding.jobFacts(job).name).toBe("client");
  });
});
