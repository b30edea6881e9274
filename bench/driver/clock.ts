/**
 * One clock for all ranks: the monotonic clock of the host, which its processes share; between hosts the differences are
 * taken from barriers, to about a millisecond. Microseconds.
 */
import { readFileSync } from "node:fs";
import type { Communicator } from "weftline";

import { median } from "../suite/statistics.js";

const rounds = 15;

export const localUs = (): number => Number(process.hrtime.bigint()) / 1000;

export class CommonClock {
  /** Added to the local clock. */
  readonly offsetUs: number;

  private constructor(offsetUs: number) {
    this.offsetUs = offsetUs;
  }

  /** Collective: all ranks, programs in C among them. */
  static async agree(world: Communicator): Promise<CommonClock> {
    const hosts = await gather(world, [hostNumber()]);
    const first = hosts[0]?.[0];
    if (hosts.every(([host]) => host === first)) return new CommonClock(0);
    const offsets: number[] = [];
    for (let round = 0; round < rounds; round++) {
      await world.barrier();
      const times = await gather(world, [localUs()]);
      offsets.push((times[0]?.[0] ?? NaN) - (times[world.rank]?.[0] ?? NaN));
    }
    return new CommonClock(median(offsets));
  }

  nowUs(): number {
    return localUs() + this.offsetUs;
  }
}

/** Doubles of each rank, in order of rank; all give as many. Collective. */
export async function gather(world: Communicator, numbers: readonly number[]): Promise<number[][]> {
  const all = await world.allgather(new Float64Array(numbers));
  return all.map((bytes) => Array.from(new Float64Array(bytes.slice().buffer)));
}

/** Equal on the same host since the same boot: 48 bits of the boot's identity. */
function hostNumber(): number {
  const text = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").replaceAll("-", "");
  return Number.parseInt(text.slice(0, 12), 16);
}
