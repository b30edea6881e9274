// Memory for the data of events: which is used again, and that all of it is given back.
import { describe, expect, it } from "vitest";

import { SlabPool } from "../../../src/consumer/slab-pool.js";
import type { Completions } from "../../../src/native/completions.js";

function poolOf(slabBytes: number): { pool: SlabPool; allocated: number[]; released: number[] } {
  const allocated: number[] = [];
  const released: number[] = [];
  const binding = {
    regionAllocate: (_job: unknown, bytes: number) => allocated.push(bytes) - 1,
    regionMemory: (region: number) => new ArrayBuffer(allocated[region] ?? 0),
    regionRecall: () => undefined,
    regionRelease: (region: number) => released.push(region),
  };
  return { pool: new SlabPool({ binding, job: {} } as unknown as Completions, slabBytes, 3), allocated, released };
}

describe("SlabPool", () => {
  it("uses slabs again, and memory of larger events for those of about their size", () => {
    const { pool, allocated, released } = poolOf(8);
    for (const bytes of [5, 8]) pool.giveBack(pool.lend(bytes));
    expect(allocated).toEqual([8]);
    const lent = [pool.lend(100), pool.lend(100), pool.lend(90)];
    expect(pool.available).toBe(false);
    for (const memory of lent) pool.giveBack(memory);
    for (const memory of [pool.lend(90), pool.lend(60), pool.lend(100)]) pool.giveBack(memory);
    expect(allocated).toEqual([8, 100, 100, 90]);
    expect(released).toEqual([]);
  });

  it("gives memory of larger events back when events are smaller", () => {
    const { pool, allocated, released } = poolOf(8);
    for (const memory of [pool.lend(100), pool.lend(100)]) pool.giveBack(memory);
    pool.giveBack(pool.lend(49)); // less than half of it
    expect(released.sort()).toEqual([0, 1]);
    pool.giveBack(pool.lend(8));
    expect(allocated).toEqual([100, 100, 49, 8]);
    expect(released.sort()).toEqual([0, 1, 2]);
    pool.close();
    expect(released.sort()).toEqual([0, 1, 2, 3]);
  });

  it("uses nothing again into which a server may still write, nor after it was closed", () => {
    const { pool, allocated, released } = poolOf(8);
    for (const bytes of [8, 100]) {
      const memory = pool.lend(bytes);
      memory.spoiled = true;
      pool.giveBack(memory);
      pool.giveBack(memory);
    }
    expect(released).toEqual([0, 1]);
    const late = [pool.lend(8), pool.lend(100)];
    expect(allocated).toHaveLength(4);
    pool.close();
    for (const memory of late) pool.giveBack(memory);
    expect(released).toEqual([0, 1, 2, 3]);
  });
});
