// Memory for the data of events: which is used again, and that all of it is given back.
import { describe, expect, it } from "vitest";

import { SlabPool } from "../../../src/consumer/slab-pool.js";
import { SlabStore } from "../../../src/job/slab-store.js";
import { WeftError } from "../../../src/errors.js";
import type { Completions } from "../../../src/native/completions.js";

function poolOf(
  slabBytes: number,
  store = new SlabStore(),
): { pool: SlabPool; allocated: number[]; released: number[] } {
  const allocated: number[] = [];
  const released: number[] = [];
  const binding = {
    regionAllocate: (_job: unknown, bytes: number) => allocated.push(bytes) - 1,
    regionMemory: (region: number) => new ArrayBuffer(allocated[region] ?? 0),
    regionRecall: () => undefined,
    regionRelease: (region: number) => released.push(region),
  };
  return {
    pool: new SlabPool({ binding, job: {} } as unknown as Completions, store, slabBytes, 3),
    allocated,
    released,
  };
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
    expect(released.sort()).toEqual([0, 1, 2]); // the slab waits for another consumer
  });

  it("takes slabs of closed consumers, of its size, up to a limit", () => {
    const store = new SlabStore();
    const bytes = SlabStore.bytesMax / 2;
    const first = poolOf(bytes, store);
    for (const memory of [first.pool.lend(1), first.pool.lend(1), first.pool.lend(1)]) first.pool.giveBack(memory);
    first.pool.close();
    expect(first.released).toHaveLength(1);
    const other = poolOf(bytes / 2, store);
    other.pool.lend(1);
    expect(other.allocated).toEqual([bytes / 2]);
    const next = poolOf(bytes, store);
    next.allocated.push(...first.allocated);
    for (let count = 0; count < 3; count++) next.pool.lend(1);
    expect(next.allocated).toHaveLength(4);
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

  it("leaves memory that a cut-off request may still use where it is, and goes on", () => {
    const { pool } = poolOf(8);
    const memory = pool.lend(8);
    memory.spoiled = true;
    const binding = {
      regionRecall: () => undefined,
      regionRelease: () => {
        throw new WeftError("WEFT_BUSY", "1 fetch of the region is under way");
      },
    };
    const busy = new SlabPool({ binding, job: {} } as unknown as Completions, new SlabStore(), 8, 3);
    expect(() => {
      busy.giveBack(memory);
    }).not.toThrow();
  });
});
