/** What events are made of: the same for every system. Metadata is a record as simulations push it; data is distinct. */
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

/** Of one producer. */
export class MetadataSource {
  readonly #json: boolean;
  readonly #records: BenchMetadata[] = [];
  readonly #raw: Buffer[] = [];

  constructor({ encoding, metadataBytes }: Scenario) {
    this.#json = encoding === "json";
    for (let index = 0; index < recordCount; index++) {
      if (this.#json) this.#records.push(recordOf(index, metadataBytes));
      else this.#raw.push(Buffer.alloc(metadataBytes, `event ${index}; `));
    }
  }

  /** A record, or bytes; either is used again 4,096 events later. */
  at(index: number, dueUs: number): BenchMetadata | Buffer {
    if (this.#json) {
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
