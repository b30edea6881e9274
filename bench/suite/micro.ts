/**
 * What single steps cost inside a process: the native ones as google-benchmark counts them, those in JavaScript as
 * tinybench does (bench/metadata.ts, for one event of a batch). Each in a process of its own, so that neither what the
 * suite has compiled nor what it has left in memory takes part.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { benchModule } from "../driver/native-programs.js";

export interface MicroRow {
  readonly name: string;
  readonly nanoseconds: number;
  readonly items_per_second: number | null;
  readonly bytes_per_second: number | null;
}

interface Counted {
  readonly name: string;
  readonly real_time: number;
  readonly items_per_second?: number;
  readonly bytes_per_second?: number;
}

const metadataProgram = fileURLToPath(new URL("../metadata.js", import.meta.url));

/** `seconds`: of each. */
export async function nativeRows(seconds: number): Promise<MicroRow[]> {
  const args = ["--benchmark_format=json", `--benchmark_min_time=${seconds}`];
  const { stdout } = await promisify(execFile)(benchModule("micro"), args, { timeout: 120_000 });
  const { benchmarks } = JSON.parse(stdout) as { benchmarks: Counted[] };
  return benchmarks.map(({ name, real_time, items_per_second, bytes_per_second }) => ({
    ...{ name, nanoseconds: real_time },
    items_per_second: items_per_second ?? null,
    bytes_per_second: bytes_per_second ?? null,
  }));
}

/** `seconds`: of each. */
export async function javascriptRows(seconds: number): Promise<MicroRow[]> {
  const args = [metadataProgram, "--json", "--seconds", String(seconds)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 120_000 });
  return JSON.parse(stdout) as MicroRow[];
}
