/** What events are made of: the same for every system. Metadata is a record as simulations push it; data is distinct. */
import { packed } from "weftline";

import type { Scenario } from "../suite/scenario.js";
import { mebibyte } from "../suite/scenario.js";

export interface BenchMetadata {
  step: number;
  /** When it was due, in microseconds of the common clock; 0 where latency is not measured. */
  due: number;
}

/** Keeps the texts of numbers equally long, whatever their value. */
const stepBase = 100_000_000;
const dueBase = 100_000_000_000_000;
/** Distinct records: more than any system has under way. */
const recordCount = 4096;

export const stepOf = (metadata: BenchMetadata): number => metadata.step - stepBase;
export const dueOf = (metadata: BenchMetadata): number => metadata.due - dueBase;

function recordOf(index: number, bytes: number): BenchMetadata {
  const facts = {
    rank: 100 + (index % 64),
    field: "temperature",
    origin: [(index % 8) * 512, (index % 16) * 256, 0],
    shape: [512, 256, 64],
    min: 273.15 + (index % 1000) / 1000,
    valid: index % 7 !== 0,
  };
  const record = { step: stepBase, due: dueBase, ...(bytes >= 256 ? facts : {}), note: "" };
  const missing = bytes - JSON.stringify(record).length;
  if (missing < 0) throw new Error(`metadata of ${bytes} B is too small for a record`);
  return {
    ...record,
    note: "the quick brown fox jumps over the lazy dog; ".repeat(100).slice(0, missing),
  } as BenchMetadata;
}

/** The record of 256 B of JSON, or more, in fields; native/bench/c_driver.cc has the struct. */
export const packedSchema = packed([
  { name: "step", type: "u32" },
  { name: "rank", type: "u32" },
  { name: "due", type: "f64" },
  { name: "field", type: "string", bytes: 16 },
  { name: "origin", type: "u32", length: 3 },
  { name: "shape", type: "u32", length: 3 },
  { name: "min", type: "f64" },
  { name: "valid", type: "bool" },
  { name: "note", type: "string" },
]);
const packedFixedBytes = 72;

/** Of one event, as it is stored: a packed record says the same as JSON of `metadataBytes`, and is shorter. */
export function storedMetadataBytes({ encoding, metadataBytes }: Pick<Scenario, "encoding" | "metadataBytes">): number {
  if (encoding !== "packed") return metadataBytes;
  return packedFixedBytes + (recordOf(0, metadataBytes) as unknown as { note: string }).note.length;
}

/** Of one producer. `isPeer`: of a system that knows no packed records, and is given bytes in their place. */
export class MetadataSource {
  readonly #records: BenchMetadata[] | undefined;
  readonly #raw: Buffer[] = [];

  constructor(scenario: Scenario, isPeer = false) {
    const { encoding, metadataBytes } = scenario;
    const indices = Array.from({ length: recordCount }, (_, index) => index);
    if (encoding === "raw" || (encoding === "packed" && isPeer)) {
      const bytes = storedMetadataBytes(scenario);
      this.#raw = indices.map((index) => Buffer.alloc(bytes, `event ${index}; `));
    } else this.#records = indices.map((index) => recordOf(index, metadataBytes));
  }

  /** A record, or bytes; either is used again 4,096 events later. */
  at(index: number, dueUs: number): BenchMetadata | Buffer {
    if (this.#records !== undefined) {
      const record = this.#records[index % recordCount] as BenchMetadata;
      record.step = stepBase + index;
      record.due = dueBase + Math.round(dueUs);
      return record;
    }
    const bytes = this.#raw[index % recordCount] as Buffer;
    bytes.writeUInt32LE(index, 0);
    bytes.writeDoubleLE(dueUs, 8);
    return bytes;
  }

  /** As bytes, for clients that take nothing else: JSON is encoded here, as Weftline does it in `push`. */
  bytesAt(index: number, dueUs: number): Buffer {
    const metadata = this.at(index, dueUs);
    return Buffer.isBuffer(metadata) ? metadata : Buffer.from(JSON.stringify(metadata));
  }
}

export const rawStep = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
export const rawDue = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getFloat64(8, true);

/** Distinct data of one producer, at most 256 MiB over all of them, or one event. */
export function dataRingBytes({ dataBytes, producers, events }: Scenario): number {
  if (dataBytes === 0) return 0;
  const slots = Math.floor((256 * mebibyte) / producers / dataBytes);
  return dataBytes * Math.max(1, Math.min(slots, Math.ceil(events / producers)));
}

export function fillData(words: Float64Array): void {
  for (let index = 0; index < words.length; index++) words[index] = index * 1.000_000_1;
}
