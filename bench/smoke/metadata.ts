/** The metadata that is measured: a record as simulations push it, distinct, 256 bytes of JSON each. */
import { metadataBytes } from "./plan.js";

export interface BenchMetadata {
  readonly step: number;
  readonly rank: number;
  readonly field: string;
  readonly origin: readonly number[];
  readonly shape: readonly number[];
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly valid: boolean;
  readonly note: string;
}

export function metadataOf(step: number): BenchMetadata {
  const record = {
    step,
    rank: step % 64,
    field: "temperature",
    origin: [(step % 8) * 512, (step % 16) * 256, 0],
    shape: [512, 256, 64],
    min: 273.15 + (step % 1000) / 1000,
    max: 1273.15 + (step % 777) / 777,
    mean: 600 + Math.sin(step) * 50,
    valid: step % 7 !== 0,
    note: "",
  };
  const missing = metadataBytes - JSON.stringify(record).length;
  return { ...record, note: "the quick brown fox jumps over the lazy dog; ".repeat(4).slice(0, missing) };
}

export function metadataList(count: number): BenchMetadata[] {
  return Array.from({ length: count }, (_, step) => metadataOf(step));
}
