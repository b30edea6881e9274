/** The native micro-benchmarks, as google-benchmark counts them. */
import { execFile } from "node:child_process";
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

/** `seconds`: of each. */
export async function microRows(seconds: number): Promise<MicroRow[]> {
  const args = ["--benchmark_format=json", `--benchmark_min_time=${seconds}`];
  const { stdout } = await promisify(execFile)(benchModule("micro"), args, { timeout: 120_000 });
  const { benchmarks } = JSON.parse(stdout) as { benchmarks: Counted[] };
  return benchmarks.map(({ name, real_time, items_per_second, bytes_per_second }) => ({
    ...{ name, nanoseconds: real_time },
    items_per_second: items_per_second ?? null,
    bytes_per_second: bytes_per_second ?? null,
  }));
}
