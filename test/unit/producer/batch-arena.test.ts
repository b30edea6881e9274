import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { BatchHandle, NativeBatch } from "../../../src/native/binding.js";
import { BatchArena, type Segment } from "../../../src/producer/batch-arena.js";

function arena(events: number, metadataBytes: number, dataBytes: number): NativeBatch {
  // As after earlier batches: nothing may rely on memory that is zero.
  const dirty = (bytes: number): ArrayBuffer => new Uint8Array(bytes).fill(0xee).buffer;
  return {
    handle: {} as BatchHandle,
    eventCapacity: events,
    metadataEnd: dirty(4 * events),
    timeDeltaUs: dirty(4 * events),
    dataLength: dirty(8 * events),
    metadata: dirty(metadataBytes),
    data: dirty(dataBytes),
  };
}

const copied = (bytes: Uint8Array): Segment => ({ bytes, copy: true, region: undefined, regionAt: 0 });
const referenced = (bytes: Uint8Array): Segment => ({ bytes, copy: false, region: undefined, regionAt: 0 });

/** What a server would store: each event's data at the next multiple of 64, out of the pieces. */
function extentOf(batch: NativeBatch, sealed: ReturnType<BatchArena["seal"]>): Uint8Array {
  const { sources, numbers } = sealed;
  const last = (sources?.length ?? 0) - 1;
  const extent = new Uint8Array(last < 0 ? 0 : (numbers?.[3 * last + 1] ?? 0) + (numbers?.[3 * last + 2] ?? 0));
  let endBefore = 0;
  sources?.forEach((source, index) => {
    const [at = 0, length = 0, extentAt = 0] = numbers?.subarray(3 * index, 3 * index + 3) ?? [];
    expect(extentAt).toBeGreaterThanOrEqual(endBefore);
    endBefore = extentAt + length;
    const from = source === null ? new Uint8Array(batch.data) : (source as Uint8Array);
    expect(at + length).toBeLessThanOrEqual(from.byteLength);
    extent.set(from.subarray(at, at + length), extentAt);
  });
  return extent;
}

describe("BatchArena", () => {
  it("writes metadata of any alphabet with its ends in bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" }), { minLength: 1, maxLength: 20 }), (values) => {
        const memory = arena(20, 64 * 1024, 64);
        const batch = new BatchArena(memory, 0, 0, 64 * 1024, 1000);
        const texts = values.map((value) => JSON.stringify({ value }));
        for (const text of texts) batch.add(text, [], 1000);
        const { count, metadataBytes, sources } = batch.seal();
        expect(count).toBe(texts.length);
        expect(sources).toBeNull();
        const ends = new Uint32Array(memory.metadataEnd);
        texts.forEach((text, index) => {
          const start = index === 0 ? 0 : (ends[index - 1] ?? 0);
          const bytes = new Uint8Array(memory.metadata, start, (ends[index] ?? 0) - start);
          expect(Buffer.from(bytes).toString()).toBe(text);
        });
        expect(metadataBytes).toBe(ends[texts.length - 1]);
      }),
    );
  });

  it("lays out copied and referenced data as the log has it, with clean padding", () => {
    const segments = fc.array(fc.record({ length: fc.integer({ min: 0, max: 200 }), copy: fc.boolean() }), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(fc.array(segments, { minLength: 1, maxLength: 12 }), (events) => {
        const memory = arena(12, 1024, 64 * 1024);
        const batch = new BatchArena(memory, 0, 0, 1024, 0);
        const expected: Uint8Array[] = [];
        let fill = 1;
        for (const event of events) {
          const parts = event.map(({ length, copy }) => {
            const bytes = new Uint8Array(length).fill(fill++ % 200);
            return copy ? copied(bytes) : referenced(bytes);
          });
          expected.push(Buffer.concat(parts.map(({ bytes }) => bytes)));
          expect(batch.fits("1", parts, Infinity)).toBe(true);
          batch.add("1", parts, 0);
        }
        const extent = extentOf(memory, batch.seal());
        const lengths = new BigUint64Array(memory.dataLength);
        const hasData = expected.some((data) => data.length > 0);
        let at = 0;
        expected.forEach((data, index) => {
          if (hasData) expect(Number(lengths[index])).toBe(data.length);
          if (data.length === 0) return;
          const start = Math.ceil(at / 64) * 64;
          expect(extent.subarray(at, start).every((byte) => byte === 0)).toBe(true);
          expect(Buffer.from(extent.subarray(start, start + data.length))).toEqual(Buffer.from(data));
          at = start + data.length;
        });
        expect(extent.length).toBe(at);
      }),
    );
  });

  it("joins copied events into one piece, so that they travel inline", () => {
    const memory = arena(4, 1024, 1024);
    const batch = new BatchArena(memory, 0, 0, 1024, 0);
    for (let index = 0; index < 4; index++) batch.add("1", [copied(new Uint8Array(10).fill(index))], 0);
    const { sources, numbers } = batch.seal();
    expect(sources).toEqual([null]);
    expect([...(numbers ?? [])]).toEqual([0, 3 * 64 + 10, 0]);
  });

  it("says when an event does not fit any more", () => {
    const batch = new BatchArena(arena(2, 100, 256), 0, 0, 100, 0);
    batch.add("x".repeat(60), [], 0);
    expect(batch.fits("x".repeat(41), [], Infinity)).toBe(false);
    expect(batch.fits("x".repeat(40), [], Infinity)).toBe(true); // the bound of 3 bytes a unit is not the truth
    expect(batch.fits("x", [copied(new Uint8Array(300))], Infinity)).toBe(false);
    expect(batch.fits("x", [referenced(new Uint8Array(300))], 200)).toBe(false);
    batch.add("x", [], 0);
    expect(batch.fits("x", [], Infinity)).toBe(false);
  });

  it("writes time behind the batch's start in microseconds", () => {
    const memory = arena(3, 100, 0);
    const batch = new BatchArena(memory, 0, 0, 100, 1000.75);
    batch.add("1", [], 1000.75);
    batch.add("2", [], 1002.5);
    batch.add("3", [], 900); // the clock was set back
    expect(batch.baseTimeMs).toBe(1000);
    expect([...new Uint32Array(memory.timeDeltaUs)]).toEqual([750, 2500, 0]);
  });
});
