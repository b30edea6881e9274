import { describe, expect, it } from "vitest";

import { shared } from "../../../src/job/shared.js";
import { copyBytesMax, copyNow, lengthOf, segmentsOf } from "../../../src/producer/segments.js";

const megabyte = 1024 * 1024;

describe("segmentsOf", () => {
  it("copies what is small, references what is larger", () => {
    const [small] = segmentsOf(new Uint8Array(copyBytesMax), megabyte);
    const [large] = segmentsOf(new Uint8Array(copyBytesMax + 1), megabyte);
    expect([small?.copy, large?.copy]).toEqual([true, false]);
    expect(segmentsOf(undefined, megabyte)).toEqual([]);
  });

  it("takes views as the bytes they show", () => {
    const values = new Float64Array([1, 2, 3, 4]).subarray(1, 3);
    expect([...(segmentsOf(values, megabyte)[0]?.bytes ?? [])]).toEqual([...new Uint8Array(values.slice().buffer)]);
    expect(lengthOf(segmentsOf([new DataView(new ArrayBuffer(3)), new ArrayBuffer(4)], megabyte))).toBe(7);
  });

  it("keeps referenced memory from being transferred away", () => {
    const bytes = new Uint8Array(copyBytesMax + 1);
    segmentsOf(bytes, megabyte);
    // Node 20 copies it instead, newer ones refuse.
    try {
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    } catch (error) {
      expect(error).toMatchObject({ name: "DataCloneError" });
    }
    expect(bytes.byteLength).toBe(copyBytesMax + 1);
  });

  it("copies small resizable memory, and refuses to reference it", () => {
    const ResizableBuffer = ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer;
    const resizable = (length: number): Uint8Array =>
      new Uint8Array(new ResizableBuffer(length, { maxByteLength: 2 * length }));
    expect(segmentsOf(resizable(100), megabyte)[0]?.copy).toBe(true);
    expect(() => segmentsOf(resizable(copyBytesMax + 1), megabyte)).toThrow(
      /WEFT_INVALID_ARGUMENT: .*cannot be referenced without a copy/,
    );
  });

  it("takes shared memory only where it is said to be that", () => {
    for (const [length, copy] of [
      [100, true],
      [copyBytesMax + 1, false],
    ] as const) {
      const buffer = new SharedArrayBuffer(length);
      const view = new Uint8Array(buffer);
      for (const memory of [view, buffer as unknown as ArrayBuffer, [view]]) {
        expect(() => segmentsOf(memory, megabyte)).toThrow(/WEFT_INVALID_ARGUMENT: .* SharedArrayBuffer/);
      }
      for (const memory of [view, buffer]) {
        expect(segmentsOf(shared(memory), megabyte)[0]).toMatchObject({ copy, bytes: { byteLength: length } });
      }
    }
    const GrowableBuffer = SharedArrayBuffer as unknown as new (length: number, options: object) => SharedArrayBuffer;
    for (const wrong of [new Uint8Array(8), new ArrayBuffer(8), "text", new GrowableBuffer(8, { maxByteLength: 16 })]) {
      expect(() => shared(wrong as SharedArrayBuffer)).toThrow(/WEFT_INVALID_ARGUMENT: the memory of shared\(\)/);
    }
  });

  it("joins many small segments, in order", () => {
    const list = Array.from({ length: 3000 }, (_, index) => new Uint8Array([index % 256]));
    const joined = segmentsOf([...list, new Uint8Array(copyBytesMax + 1), ...list], megabyte);
    expect(joined.map(({ bytes }) => bytes.byteLength)).toEqual([3000, copyBytesMax + 1, 3000]);
    expect(joined[0]?.bytes[257]).toBe(1);
  });

  it("refuses more large segments than a batch can name", () => {
    const large = new Uint8Array(copyBytesMax + 1);
    expect(() => segmentsOf(new Array<Uint8Array>(513).fill(large), megabyte)).toThrow(/WEFT_LIMIT: .*513 segments/);
  });

  it("refuses what is no memory", () => {
    expect(() => segmentsOf("text" as never, megabyte)).toThrow(/WEFT_INVALID_ARGUMENT/);
    expect(() => segmentsOf([{}] as never, megabyte)).toThrow(/WEFT_INVALID_ARGUMENT/);
  });
});

describe("copyNow", () => {
  it("frees the caller's small memory, and leaves large memory where it is", () => {
    const small = new Uint8Array([1, 2, 3]);
    const large = new Uint8Array(copyBytesMax + 1);
    const kept = copyNow(segmentsOf([small, large], megabyte));
    small.fill(9);
    expect([...(kept[0]?.bytes ?? [])]).toEqual([1, 2, 3]);
    expect(kept[1]?.bytes.buffer).toBe(large.buffer);
  });
});
