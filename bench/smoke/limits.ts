/** The native programs that measure what the machine can do without Weftline. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import {
  dataInFlight,
  dataItemBytes,
  dataItems,
  dataItemsPerBatch,
  mebibyte,
  segmentMebibytes,
  singleLimits,
} from "./plan.js";

const run = promisify(execFile);
/** From build/ts/bench/smoke, where this runs, or from WEFTLINE_BENCH_NATIVE. */
const folder = process.env["WEFTLINE_BENCH_NATIVE"] ?? fileURLToPath(new URL("../../../native/bench", import.meta.url));

export const crossingModule = `${folder}/crossing.node`;

interface Moved {
  readonly bytes: number;
  readonly seconds: number;
}

async function measure(program: string, args: readonly (string | number)[]): Promise<Record<string, number>> {
  const file = `${folder}/${program}`;
  if (!existsSync(file)) throw new Error(`${file} is missing; build it with \`npm run build\``);
  try {
    const { stdout } = await run(file, args.map(String), { timeout: 60_000, killSignal: "SIGKILL" });
    return JSON.parse(stdout) as Record<string, number>;
  } catch (cause) {
    const { stderr = "" } = cause as { stderr?: string };
    throw new Error(`${program} ${args.join(" ")} failed: ${stderr}`, { cause });
  }
}

/** RMA and CRC32C; items a second. */
export async function rmaRate(
  transport: string,
  direction: "read" | "write",
  sourceMebibytes: number,
  ringMebibytes: number,
): Promise<number> {
  const sizes = [dataItemBytes, dataItems, itemsIn(sourceMebibytes), itemsIn(ringMebibytes)];
  return rateOf((await measure("limit_rma", [transport, direction, ...sizes, dataInFlight])) as unknown as Moved);
}

/**
 * CRC32C and writes into files below `directory`, where they stay; items a second. `batchesPerSync` 0: only into the
 * page cache.
 */
export async function fileRate(directory: string, batchesPerSync: number): Promise<number> {
  const sizes = [dataItemBytes, dataItems, dataItems, segmentMebibytes];
  const grouping = [dataItemsPerBatch, batchesPerSync];
  const empty = mkdtempSync(path.join(directory, "files-"));
  return rateOf((await measure("limit_file", [empty, ...sizes, ...grouping])) as unknown as Moved);
}

/** Half a round trip of a message, in microseconds. */
export async function halfRoundTrip(transport: string): Promise<{ p50Us: number; p99Us: number }> {
  const { p50Us = NaN, p99Us = NaN } = await measure("limit_round_trip", [transport, singleLimits]);
  return { p50Us, p99Us };
}

/** One event after another through the C API, and a hand-over to a sleeping thread and back; microseconds. */
export async function singleEventsInC(
  group: string,
  topic: string,
  transport: string,
): Promise<{ p50Us: number; p99Us: number; handOversUs: number }> {
  const measured = await measure("single_events", [group, topic, transport, singleLimits]);
  const { p50Us = NaN, p99Us = NaN, handOversUs = NaN } = measured;
  return { p50Us, p99Us, handOversUs };
}

const itemsIn = (mebibytes: number): number => (mebibytes * mebibyte) / dataItemBytes;

function rateOf({ bytes, seconds }: Moved): number {
  return bytes / dataItemBytes / seconds;
}
