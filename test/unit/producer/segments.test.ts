import { describe, expect, it } from "vitest";

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

  it("copies small shared or resizable memory, and refuses to reference it", () => {
    const ResizableBuffer = ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer;
    const buffers = (length: number): Uint8Array[] => [
      new Uint8Array(new SharedArrayBuffer(length)),
      new Uint8Array(new ResizableBuffer(length, { maxByteLength: 2 * length })),
    ];
    for (const small of buffers(100)) expect(segmentsOf(small, megabyte)[0]?.copy).toBe(true);
    for (const large of buffers(copyBytesMax + 1)) {
      expect(() => segmentsOf(large, megabyte)).toThrow(/WEFT_INVALID_ARGUMENT: .*cannot be referenced without a copy/);
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
