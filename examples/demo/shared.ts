/** What the demo's programs agree on: topics, the shape of their metadata, the reports that each leaves for the driver. */
import { createHash, type Hash } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const topics = { field: { partitions: 2 }, flights: { partitions: 1 } };

/** One block of the simulation's grid at one step; its data is the block's doubles, row by row. */
export interface BlockMetadata {
  readonly last?: undefined;
  readonly step: number;
  readonly rank: number;
  readonly field: string;
  /** Rows and columns of the whole grid. */
  readonly grid: readonly [number, number];
  readonly origin: readonly [number, number];
  readonly shape: readonly [number, number];
  readonly min: number;
  readonly max: number;
  readonly crc32c: string;
}
/** The last event of each rank of the simulation. It has no data. */
export interface BlocksEndMetadata {
  readonly last: true;
  readonly rank: number;
  readonly ranks: number;
  /** Of this rank, without this one. */
  readonly events: number;
  readonly bytes: number;
}
export type FieldMetadata = BlockMetadata | BlocksEndMetadata;

export interface FlightMetadata {
  readonly last?: undefined;
  readonly delay: number;
  readonly distance: number;
  readonly time: number;
}
export interface FlightsEndMetadata {
  readonly last: true;
  readonly records: number;
  readonly sha256: string;
}
export type FlightsMetadata = FlightMetadata | FlightsEndMetadata;

/** Checksum of all texts so far, in order. */
export class RunningChecksum {
  readonly #hash: Hash = createHash("sha256");
  add(text: string): void {
    this.#hash.update(text).update("\n");
  }
  /** Ends it. */
  value(): string {
    return this.#hash.digest("hex");
  }
}

/** How far a consumer has committed. */
export interface Position {
  readonly partition: number;
  readonly offset: number;
}

/** Written by each rank of the simulation (examples/gray-scott/output.c). */
export interface SimulationReport {
  readonly rank: number;
  readonly ranks: number;
  readonly events: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly pushed: readonly { readonly step: number; readonly crc32c: string }[];
}
export interface FlightsReport {
  readonly records: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly sha256: string;
}
export interface StepStatistics {
  readonly step: number;
  /** Of the box. */
  readonly mean: number;
  readonly deviation: number;
  readonly min: number;
  readonly max: number;
}
export interface AnalysisReport {
  readonly fieldEvents: number;
  /** Bytes of the boxes, and of the whole blocks for pictures. */
  readonly boxBytes: number;
  readonly pictureBytes: number;
  readonly fieldSeconds: number;
  readonly flightsEvents: number;
  readonly flightsBytes: number;
  readonly flightsSeconds: number;
  readonly delayMean: number;
  readonly statistics: readonly StepStatistics[];
  readonly pictures: readonly string[];
  readonly committed: { readonly field: readonly Position[]; readonly flights: readonly Position[] };
}
/** Of the new consumer: everything again. */
export interface ReplayReport {
  readonly fieldEvents: number;
  readonly fieldBytes: number;
  readonly fieldSeconds: number;
  /** By rank and step, as stored. */
  readonly blocks: readonly { readonly rank: number; readonly step: number; readonly crc32c: string }[];
  readonly flightsEvents: number;
  readonly flightsBytes: number;
  readonly flightsSeconds: number;
  readonly sha256: string;
}
/** Of the named consumer: what was left. */
export interface ResumeReport {
  readonly topics: readonly {
    readonly topic: string;
    readonly partition: number;
    /** Offset of the first event that came; null if none did. */
    readonly first: number | null;
    readonly events: number;
    /** Whether the offsets had no gap and no repetition. */
    readonly contiguous: boolean;
    /** Behind the newest event of the partition. */
    readonly end: number;
    /** Not acknowledged at the end. */
    readonly lag: number;
  }[];
}
export interface ServerReport {
  readonly slot: number;
  readonly slotEpoch: number;
  /** From the slot's file in the group directory. */
  readonly address: string;
  readonly ranks: number;
}

export function writeReport(directory: string, name: string, report: object): void {
  const path = join(directory, `${name}.json`);
  writeFileSync(`${path}.new`, `${JSON.stringify(report)}\n`);
  renameSync(`${path}.new`, path);
}

export function readReport<Report>(directory: string, name: string): Report {
  return JSON.parse(readFileSync(join(directory, `${name}.json`), "utf8")) as Report;
}

/** A line for the driver's progress display. */
export function progress(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function wholeNumber(name: string, text: string | undefined, low: number): number {
  const value = Number(text);
  if (text === undefined || text.trim() === "" || !Number.isSafeInteger(value) || value < low) {
    throw new Error(`--${name} is '${text ?? ""}'; it must be a whole number from ${low}`);
  }
  return value;
}

export function needed(name: string, text: string | undefined): string {
  if (text === undefined || text === "") throw new Error(`--${name} is missing`);
  return text;
}

/**
 * Runs a rank. One that fails says why and leaves without the others: the launcher then ends the launch. It does not
 * leave MPI, for that would wait for ranks that wait for this one.
 */
export async function runRank(name: string, main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  }
}
