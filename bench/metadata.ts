// What encoding and decoding of metadata costs, JSON beside raw bytes and packed records of the same objects:
// `npx tsc -p tsconfig.programs.json && node build/ts/bench/metadata.js`. No server: JavaScript's share only. Of JSON also
// ways to do it that were weighed, of packed records the compiled and the closure codec (docs/performance.md).
//   --seconds N  of each way, 1 by default
//   --json       rows in place of tables, as the suite has them in `micro`
import { Ajv } from "ajv";
import { Bench } from "tinybench";

import { Event } from "../src/consumer/event.js";
import { type Frame, FrameScratch, scratchBytes } from "../src/consumer/frame-layout.js";
import type { NativeBinding } from "../src/native/binding.js";
import { PackedCodec } from "../src/packed/codec.js";
import { recordMemory } from "../src/packed/writer.js";
import { partitionChoice } from "../src/producer/partition-choice.js";
import { loadValidators, validate } from "../src/producer/validation.js";
import type { TopicContext } from "../src/topic/context.js";
import { compilePattern } from "../src/validator/event-pattern.js";
import type { ValidatorConfig } from "../src/validator/validator.js";
import { crc32c } from "./driver/checksum.js";
import { AnsweringCore } from "./metadata/answering-core.js";
import { numberFields, stepFields } from "./metadata/step-record.js";
import { metadataList } from "./smoke/metadata.js";
import { benchCommand, positiveNumber } from "./suite/command.js";
import type { MicroRow } from "./suite/micro.js";

type Way = readonly [name: string, run: () => void];

const batchEvents = 128;
const objects = metadataList(batchEvents);
const texts = objects.map((one) => JSON.stringify(one));
const joined = texts.join("");
let sink = 0;
const options = benchCommand("metadata.js", "What events cost inside a process")
  .option("--seconds <number>", "for each way", positiveNumber, 1)
  .option("--json", "the rows as JSON", false)
  .parse()
  .opts<{ seconds: number; json: boolean }>();
const rows: MicroRow[] = [];
const say = (text: string): void => {
  if (!options.json) console.log(text);
};

async function compare(title: string, ways: readonly Way[]): Promise<void> {
  const time = 1000 * options.seconds;
  const bench = new Bench({ time, warmupTime: 0.3 * time });
  for (const [name, run] of ways) bench.add(name, run);
  await bench.run();
  const nsOf = (name: string): number => {
    const result = bench.getTask(name)?.result;
    if (result === undefined || !("latency" in result)) throw new Error(`${name} was not measured`);
    return (result.latency.p50 * 1e6) / batchEvents;
  };
  const [[reference] = [""]] = ways;
  say(`\n${title}`);
  for (const [name] of ways) {
    const nanoseconds = nsOf(name);
    const rate = nsOf(reference) / nanoseconds;
    say(`${name.padEnd(52)} ${nanoseconds.toFixed(0).padStart(6)} ns/event ${rate.toFixed(2).padStart(6)} x`);
    rows.push({
      ...{ name: `javascript: ${title}: ${name}`, nanoseconds },
      ...{ items_per_second: 1e9 / nanoseconds, bytes_per_second: null },
    });
  }
}

// ---- JSON alone: ways that were weighed

const buffer = Buffer.alloc(1024 * 1024);
const encoder = new TextEncoder();
const stored = Buffer.from(joined);
const ends = new Uint32Array(batchEvents);
texts.reduce((end, text, index) => (ends[index] = end + text.length), 0);
const cut = (text: string, index: number): string => text.slice(index === 0 ? 0 : ends[index - 1], ends[index]);

const encodingJson: Way[] = [
  ["JSON.stringify alone", () => objects.forEach((one) => (sink += JSON.stringify(one).length))],
  [
    "Buffer.write (UTF-8) for each event",
    () => {
      let at = 0;
      for (const one of objects) at += buffer.write(JSON.stringify(one), at);
    },
  ],
  [
    "Buffer.write (latin1) for each event",
    () => {
      let at = 0;
      for (const one of objects) at += buffer.write(JSON.stringify(one), at, "latin1");
    },
  ],
  [
    "one string of all events, one encodeInto",
    () => {
      let all = "";
      for (const one of objects) all += JSON.stringify(one);
      sink += encoder.encodeInto(all, buffer).written;
    },
  ],
];
const decodingJson: Way[] = [
  ["JSON.parse alone", () => texts.forEach((text) => (sink += (JSON.parse(text) as { step: number }).step))],
  [
    "a UTF-8 string for each event",
    () => {
      for (let index = 0; index < batchEvents; index++) {
        const text = stored.toString("utf8", index === 0 ? 0 : ends[index - 1], ends[index]);
        sink += (JSON.parse(text) as { step: number }).step;
      }
    },
  ],
  [
    "one string of the frame, cut for each event",
    () => {
      const text = stored.toString("latin1");
      for (let index = 0; index < batchEvents; index++) sink += (JSON.parse(cut(text, index)) as { step: number }).step;
    },
  ],
];

// ---- the library's own paths

async function pushing(name: string, codec: PackedCodec | undefined, values: readonly unknown[]): Promise<Way> {
  const core = new AnsweringCore(4, batchEvents);
  const producer = await core.producer(
    codec === undefined ? (name.startsWith("raw") ? "raw" : "json") : "packed",
    codec,
  );
  return [
    name,
    () => {
      for (const value of values) producer.push(value);
      core.answer();
    },
  ];
}

interface Written {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly ends: readonly number[];
}

function written(codec: PackedCodec): Written {
  const bytes = new Uint8Array(1024 * 1024);
  const memory = recordMemory(bytes);
  const recordEnds: number[] = [];
  let end = 0;
  for (const one of objects) recordEnds.push((end = codec.write(memory, end, bytes.length, one)));
  return { bytes: bytes.slice(0, end), ends: recordEnds };
}

const scratch = new FrameScratch();
const words = new Uint32Array(scratch.memory, 0, scratchBytes / 4);
const owner = { acknowledge: () => undefined, fetch: () => Promise.reject(new Error("no server")) };
type StepEvent = Event<{ step: number; mean: number }>;

/** What consumerPoll leaves: columns in the scratch memory, and a string or bytes that native code made of the frame. */
function consuming(
  name: string,
  recordEnds: ArrayLike<number>,
  take: () => Frame,
  use: (event: StepEvent) => number,
): Way {
  return [
    name,
    () => {
      words[1] = batchEvents;
      words.set(recordEnds, 16);
      const frame = take();
      for (let index = 0; index < frame.count; index++) sink += use(new Event(owner, frame, index));
    },
  ];
}

const numbers = new PackedCodec({ fields: numberFields }, "bench");
const step = new PackedCodec({ fields: stepFields }, "bench");
const closures = new PackedCodec({ fields: stepFields }, "bench", false);
const ofSteps = written(step);
const ofNumbers = written(numbers);
const bytesOf = ({ bytes }: Written): number => Math.round(bytes.length / batchEvents);
const rawRecords = objects.map((_, index) => ofSteps.bytes.slice(ofSteps.ends[index - 1] ?? 0, ofSteps.ends[index]));

const jsonFrame = (): Frame => scratch.take(stored.toString("latin1"), true);
const packedFrame =
  ({ bytes }: Written, codec?: PackedCodec): (() => Frame) =>
  () =>
    scratch.take(bytes.slice(), false, codec);
const whole = (event: StepEvent): number => event.metadata.step;
const oneField = (event: StepEvent): number => event.field("step");

say(`${joined.length / batchEvents} bytes of JSON an event, ${batchEvents} events a batch, Node ${process.version}`);
say(`as a record ${bytesOf(ofSteps)} bytes, without its note ${bytesOf(ofNumbers)}`);
await compare("encoding JSON", encodingJson);
await compare("decoding JSON", decodingJson);
await compare("Producer.push: to a sealed batch, with receipts", [
  await pushing("json", undefined, objects),
  await pushing("packed", step, objects),
  await pushing("packed, closures", closures, objects),
  await pushing("packed, without the note", numbers, objects),
  await pushing("raw, the packed record's bytes", undefined, rawRecords),
]);
await compare("Consumer: from a frame to event.metadata", [
  consuming("json", ends, jsonFrame, whole),
  consuming("packed", ofSteps.ends, packedFrame(ofSteps, step), whole),
  consuming("packed, closures", ofSteps.ends, packedFrame(ofSteps, closures), whole),
  consuming("packed, without the note", ofNumbers.ends, packedFrame(ofNumbers, numbers), whole),
  consuming('packed, event.field("step") alone', ofSteps.ends, packedFrame(ofSteps, step), oneField),
  consuming(
    "raw, event.metadata",
    ofSteps.ends,
    packedFrame(ofSteps),
    (event) => (event.metadata as unknown as Uint8Array).length,
  ),
]);

// ---- what a topic demands, beside what the library that does it costs alone

const schema = {
  type: "object",
  properties: { step: { type: "integer", minimum: 0 }, field: { type: "string" }, mean: { type: "number" } },
  required: ["step", "mean"],
};
const pattern = { field: [{ prefix: "temp" }], mean: [{ numeric: [">", 0, "<", 1e6] }] };
const meetsSchema = new Ajv().compile(schema);
const meetsPattern = compilePattern(pattern);
async function validating(name: string, validator: ValidatorConfig): Promise<Way> {
  const topic = { name: "bench", description: { validator } } as unknown as TopicContext;
  const validators = await loadValidators(topic, undefined);
  return [name, () => objects.forEach((one) => validate(validators, one, []))];
}
await compare("JSON Schema", [
  ["ajv alone", () => objects.forEach((one) => (sink += meetsSchema(one) ? 1 : 0))],
  await validating("a producer's validator", { schema }),
]);
await compare("event pattern", [
  ["the compiled pattern alone", () => objects.forEach((one) => (sink += meetsPattern(one) === undefined ? 1 : 0))],
  await validating("a producer's validator", { pattern }),
]);
const choose = partitionChoice(
  {
    name: "bench",
    partitionCount: 4,
    description: { partitionSelector: { keyAt: "/field" } },
  } as unknown as TopicContext,
  {},
  { crc32c } as unknown as NativeBinding,
  {},
);
await compare("partition by key", [
  ["CRC32C of the key alone", () => objects.forEach((one) => (sink += crc32c(Buffer.from(one.field), 0) % 4))],
  ['the selector { keyAt: "/field" }', () => objects.forEach((one) => (sink += choose(one, undefined, [])))],
]);
if (!Number.isFinite(sink)) throw new Error("nothing was done");
if (options.json) console.log(JSON.stringify(rows));
