// What encoding and decoding of JSON metadata costs beside JSON.stringify and JSON.parse of the same objects alone:
// `npx tsc -p tsconfig.programs.json && node build/ts/bench/metadata.js`. No server: JavaScript's share only. The first
// table holds ways to do it that were weighed, the second what the library does (docs/performance.md).
import { Bench } from "tinybench";

import { Event } from "../src/consumer/event.js";
import { type Frame, FrameScratch, scratchBytes } from "../src/consumer/frame-layout.js";
import type { NativeBatch } from "../src/native/binding.js";
import { BatchArena } from "../src/producer/batch-arena.js";
import { metadataEncoder } from "../src/producer/metadata.js";
import { Receipt } from "../src/producer/receipt.js";

const batchEvents = 128;

/** About 256 bytes of JSON: numbers, short texts, small arrays, as fields of a simulation have. */
function metadataOf(index: number): object {
  return {
    ...{ step: index, rank: index % 64, origin: [index % 512, (index * 7) % 512], shape: [512, 512] },
    ...{ min: -0.5 + index / 1e4, max: 1.25 + index / 1e3, name: "temperature", unit: "K", ok: true },
    ...{ run: "gray-scott-2026-11-22", note: "x".repeat(76) },
  };
}
const objects = Array.from({ length: batchEvents }, (_, index) => metadataOf(index * 31));
const texts = objects.map((one) => JSON.stringify(one));
const bytesPerEvent = texts.reduce((sum, text) => sum + text.length, 0) / batchEvents;

const arena: NativeBatch = {
  handle: {} as NativeBatch["handle"],
  eventCapacity: batchEvents,
  metadataEnd: new ArrayBuffer(4 * batchEvents),
  timeDeltaUs: new ArrayBuffer(4 * batchEvents),
  dataLength: new ArrayBuffer(8 * batchEvents),
  metadata: new ArrayBuffer(1024 * 1024),
  data: new ArrayBuffer(1024 * 1024),
};
const buffer = Buffer.from(arena.metadata);
const ends = new Uint32Array(batchEvents);
const encoder = new TextEncoder();
const joined = texts.join("");
const stored = Buffer.from(joined);
texts.reduce((end, text, index) => (ends[index] = end + text.length), 0);
let sink = 0;

const encodingWays: [string, () => void][] = [
  ["JSON.stringify alone", () => objects.forEach((one) => (sink += JSON.stringify(one).length))],
  [
    "Buffer.write per event",
    () => {
      let at = 0;
      for (const one of objects) at += buffer.write(JSON.stringify(one), at);
    },
  ],
  [
    "Buffer.write latin1 per event",
    () => {
      let at = 0;
      for (const one of objects) at += buffer.write(JSON.stringify(one), at, "latin1");
    },
  ],
  [
    "one string, one write",
    () => {
      let all = "";
      for (const one of objects) all += JSON.stringify(one);
      sink += encoder.encodeInto(all, buffer).written;
    },
  ],
];

const encode = metadataEncoder("json", 1024 * 1024, "bench");
const libraryEncodes: [string, () => void] = [
  "weftline: encode, place, receipt, seal",
  () => {
    const batch = new BatchArena(arena, 0, 0, 512 * 1024, 1000);
    for (const one of objects) {
      const receipt = new Receipt();
      receipt.place(batch.outcome, batch.add(encode(one), [], 1000));
    }
    sink += batch.seal().metadataBytes;
  },
];

const cut = (text: string, index: number): string => text.slice(index === 0 ? 0 : ends[index - 1], ends[index]);
const decodingWays: [string, () => void][] = [
  ["JSON.parse alone", () => texts.forEach((text) => (sink += (JSON.parse(text) as { step: number }).step))],
  [
    "a UTF-8 string per event",
    () => {
      for (let index = 0; index < batchEvents; index++) {
        const text = stored.toString("utf8", index === 0 ? 0 : ends[index - 1], ends[index]);
        sink += (JSON.parse(text) as { step: number }).step;
      }
    },
  ],
  [
    "one string, cut per event",
    () => {
      const text = stored.toString("latin1");
      for (let index = 0; index < batchEvents; index++) sink += (JSON.parse(cut(text, index)) as { step: number }).step;
    },
  ],
];

const scratch = new FrameScratch();
const words = new Uint32Array(scratch.memory, 0, scratchBytes / 4);
const owner = { acknowledge: () => undefined, fetch: () => Promise.reject(new Error("no server")) };
const libraryDecodes: [string, () => void] = [
  "weftline: frame, events, metadata",
  () => {
    words[1] = batchEvents;
    words.set(ends, 16);
    // What consumerPoll returns: a string that native code made of the frame.
    const frame: Frame = scratch.take(stored.toString("latin1"), true);
    for (let index = 0; index < frame.count; index++) {
      sink += new Event<{ step: number }>(owner, frame, index).metadata.step;
    }
  },
];

async function compare(ways: readonly [string, () => void][]): Promise<void> {
  const bench = new Bench({ time: 1000, warmupTime: 300 });
  for (const [name, run] of ways) bench.add(name, run);
  await bench.run();
  const nsOf = (name: string): number => {
    const result = bench.getTask(name)?.result;
    if (result === undefined || !("latency" in result)) throw new Error(`${name} was not measured`);
    return (result.latency.p50 * 1e6) / batchEvents;
  };
  const [[reference] = [""]] = ways;
  for (const [name] of ways) {
    const ratio = (100 * nsOf(reference)) / nsOf(name);
    console.log(`${name.padEnd(42)} ${nsOf(name).toFixed(0).padStart(6)} ns/event ${ratio.toFixed(0).padStart(5)} %`);
  }
}

console.log(`${bytesPerEvent.toFixed(0)} bytes an event, ${batchEvents} events a batch, Node ${process.version}`);
await compare([...encodingWays, libraryEncodes]);
await compare([...decodingWays, libraryDecodes]);
if (!Number.isFinite(sink)) throw new Error("nothing was done");
