// Records written and read: against a naive encoder over random schemas, as golden bytes, and with everything that can be
// wrong with a value; compiled, and as the closures that stand in where code cannot be generated.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { PackedCodec } from "../../../src/packed/codec.js";
import { type PackedField, problemOfSchema } from "../../../src/packed/schema.js";
import { recordMemory } from "../../../src/packed/writer.js";
import { type Record, referenceBytes, schemaWithRecords } from "./arbitrary-schema.js";

/** Memory as it is after earlier batches. */
const dirty = (bytes: number): Uint8Array<ArrayBuffer> => new Uint8Array(bytes).fill(0xee);

function written(codec: PackedCodec, record: unknown, at = 0): Uint8Array {
  const bytes = dirty(8192);
  const end = codec.write(recordMemory(bytes), at, bytes.length, record);
  return bytes.slice(at, end);
}

function readBack(codec: PackedCodec, bytes: Uint8Array<ArrayBuffer>): Record {
  const memory = recordMemory(bytes);
  expect(codec.problemOf(memory.view, 0, bytes.length)).toBeUndefined();
  return codec.read(memory, 0);
}

const example: PackedField[] = [
  { name: "step", type: "u32" },
  { name: "t", type: "f64" },
  { name: "id", type: "u64" },
  { name: "label", type: "string", bytes: 16 },
  { name: "origin", type: "u32", length: 2 },
  { name: "note", type: "string" },
];

describe.each([
  ["compiled", true],
  ["of closures", false],
])("a codec %s", (_name, mayCompile) => {
  const codecOf = (fields: PackedField[]): PackedCodec => {
    expect(problemOfSchema({ fields })).toBeUndefined();
    const codec = new PackedCodec({ fields }, "field", mayCompile);
    expect(codec.compiled).toBe(mayCompile);
    return codec;
  };

  it("writes what the format says, and reads it back", () => {
    fc.assert(
      fc.property(schemaWithRecords, fc.integer({ min: 0, max: 9 }), ({ fields, records }, at) => {
        const codec = codecOf(fields);
        for (const record of records) {
          const bytes = written(codec, record, at);
          expect(Buffer.from(bytes).toString("hex")).toBe(Buffer.from(referenceBytes(fields, record)).toString("hex"));
          const read = readBack(codec, bytes.slice());
          expect(Object.keys(read)).toEqual(fields.map(({ name }) => name));
          for (const [name, value] of Object.entries(record)) {
            const plain = (one: unknown): unknown => (one instanceof Uint8Array ? [...one] : one);
            const field = codec.field(name)?.(recordMemory(bytes.slice()), 0);
            expect(plain(read[name])).toEqual(plain(value));
            expect(plain(field)).toEqual(plain(value));
          }
          expect([...written(codec, bytes)]).toEqual([...bytes]); // its bytes are a record too
        }
      }),
      { numRuns: 300 },
    );
  });

  it("writes these bytes for ever", () => {
    const record = { step: 7, t: -0.5, id: 2n ** 63n + 1n, label: "größe", origin: [1, 0xffffffff], note: "n\u0000é" };
    expect(Buffer.from(written(codecOf(example), record)).toString("hex")).toBe(
      "0700000000000000" + // step, gap
        "000000000000e0bf" + // t
        "0100000000000080" + // id
        "6772c3b6c39f65000000000000000000" + // label
        "01000000ffffffff" + // origin
        "0400000000000000" + // note_bytes, gap
        "6e00c3a9", // note
    );
  });

  it("takes safe integers for 64 bits, and typed arrays for lists", () => {
    const codec = codecOf([
      { name: "u", type: "u64" },
      { name: "i", type: "i64", length: 3 },
      { name: "f", type: "f32", length: 20 },
    ]);
    const i = [-1, Number.MIN_SAFE_INTEGER, -4_294_967_296];
    const bytes = written(codec, { u: Number.MAX_SAFE_INTEGER, i, f: new Float32Array(20).fill(1.5) });
    expect(readBack(codec, bytes.slice())).toEqual({
      u: 2n ** 53n - 1n,
      i: i.map(BigInt),
      f: new Array<number>(20).fill(1.5),
    });
  });

  it.each<[PackedField, unknown, RegExp]>([
    [{ name: "a", type: "u8" }, undefined, /field 'a' \(u8\) is missing; it takes whole numbers of 0 to 255$/],
    [{ name: "a", type: "u8" }, 256, /\(u8\) is 256; it takes/],
    [{ name: "a", type: "u8" }, 1.5, /\(u8\) is 1.5;/],
    [{ name: "a", type: "u16" }, 65_536, /\(u16\) is 65536;/],
    [{ name: "a", type: "u32" }, -1, /\(u32\) is -1;/],
    [{ name: "a", type: "u32" }, 2 ** 32, /\(u32\) is 4294967296;/],
    [{ name: "a", type: "u32" }, "7", /\(u32\) is "7";/],
    [{ name: "a", type: "u32" }, 7n, /\(u32\) is 7n;/],
    [{ name: "a", type: "i8" }, 128, /\(i8\) is 128;/],
    [{ name: "a", type: "i16" }, -32_769, /\(i16\) is -32769;/],
    [{ name: "a", type: "i32" }, 2 ** 31, /\(i32\) is 2147483648;/],
    [{ name: "a", type: "i32" }, NaN, /\(i32\) is NaN;/],
    [{ name: "a", type: "u64" }, -1n, /\(u64\) is -1n;/],
    [{ name: "a", type: "u64" }, 2n ** 64n, /\(u64\) is 18446744073709551616n;/],
    [{ name: "a", type: "u64" }, 2 ** 53, /\(u64\) is 9007199254740992; it takes .* a bigint or a safe integer$/],
    [{ name: "a", type: "i64" }, 2n ** 63n, /\(i64\) is 9223372036854775808n;/],
    [{ name: "a", type: "i64" }, 0.5, /\(i64\) is 0.5;/],
    [{ name: "a", type: "f32" }, 1e39, /\(f32\) is 1e\+39; it takes numbers that 32 bits hold$/],
    [{ name: "a", type: "f64" }, "1", /\(f64\) is "1"; it takes numbers$/],
    [{ name: "a", type: "f64" }, null, /\(f64\) is null;/],
    [{ name: "a", type: "bool" }, 1, /\(bool\) is 1; it takes true or false$/],
    [{ name: "a", type: "string", bytes: 4 }, "abcde", /\(string of 4 bytes\) has 5 bytes of UTF-8; it takes a text/],
    [{ name: "a", type: "string", bytes: 4 }, "ééé", /has 6 bytes of UTF-8/],
    [{ name: "a", type: "string", bytes: 30 }, "é".repeat(30), /has 60 bytes of UTF-8/],
    [{ name: "a", type: "string", bytes: 40 }, "x".repeat(41), /has 41 bytes of UTF-8/],
    [{ name: "a", type: "string", bytes: 4 }, "a\0b", /holds U\+0000, which would end it/],
    [{ name: "a", type: "string", bytes: 60 }, `${"a".repeat(30)}\0`, /holds U\+0000/],
    [{ name: "a", type: "string", bytes: 9 }, "\ud800", /has half a surrogate pair/],
    [{ name: "a", type: "string" }, "\udc00", /\(string\) has half a surrogate pair/],
    [{ name: "a", type: "string" }, 5, /\(string\) is 5; it takes a text$/],
    [
      { name: "a", type: "bytes", bytes: 2 },
      new Uint8Array(3),
      /\(bytes of 2 bytes\) has 3 bytes; it takes a Uint8Arr/,
    ],
    [{ name: "a", type: "bytes", bytes: 2 }, [1, 2], /\(bytes of 2 bytes\) is a list of 2;/],
    [{ name: "a", type: "bytes" }, "ab", /\(bytes\) is "ab"; it takes a Uint8Array$/],
    [{ name: "a", type: "u8", length: 2 }, [1], /\(u8 x 2\) has 1 items; it takes a list of 2: whole numbers/],
    [{ name: "a", type: "u8", length: 2 }, 1, /\(u8 x 2\) is 1;/],
    [{ name: "a", type: "u8", length: 2 }, [1, 256], /\(u8 x 2\) has item 1: 256;/],
    [{ name: "a", type: "f64", length: 9 }, [...Array(8).keys(), "x"], /\(f64 x 9\) has item 8: "x";/],
    [{ name: "a", type: "bool", length: 1 }, [undefined], /has item 0: undefined; it takes a list of 1: true or false/],
  ])("refuses %j of a value that it does not take", (field, value, message) => {
    const codec = codecOf([field]);
    let thrown: unknown;
    try {
      written(codec, { a: value });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({
      code: "WEFT_METADATA_INVALID",
      message: expect.stringMatching(message) as string,
      next: "correct that field; weftline topic describe shows the schema",
    });
    expect((thrown as Error).message).toContain("for topic 'field': field 'a'");
  });

  it("refuses what is no object, and bytes that are no record", () => {
    const codec = codecOf(example);
    expect(() => written(codec, 7)).toThrow(/topic 'field' is 7; its serializer takes objects with the fields/);
    expect(() => written(codec, null)).toThrow(/is null/);
    expect(() => written(codec, new Uint8Array(55))).toThrow(/topic 'field' has 55 bytes; its record has 56$/);
    expect(() => written(codec, new Uint8Array(57))).toThrow(/has 57 bytes; the lengths in its record make 56$/);
    expect(() => written(codecOf([{ name: "a", type: "u8" }]), new Uint8Array(2))).toThrow(
      /2 bytes; its record has 1$/,
    );
  });

  it("says when the variable part has no room, and writes nothing behind the limit", () => {
    const codec = codecOf(example);
    const record = { step: 1, t: 0, id: 0, label: "", origin: [0, 0], note: "0123456789" };
    for (const note of [record.note, "x".repeat(40), "é".repeat(20)]) {
      const need = 56 + Buffer.byteLength(note);
      for (let limit = 56; limit <= need; limit++) {
        const bytes = dirty(256);
        expect(codec.write(recordMemory(bytes), 0, limit, { ...record, note })).toBe(limit < need ? -1 : need);
        expect(bytes.subarray(limit).every((byte) => byte === 0xee)).toBe(true);
      }
    }
  });

  it("reads no record whose length is wrong, whatever its lengths say", () => {
    const codec = codecOf([
      { name: "a", type: "string" },
      { name: "b", type: "bytes" },
    ]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (random) => {
        const bytes = Uint8Array.from(random);
        const { view } = recordMemory(bytes);
        const sum = bytes.length < 8 ? -1 : 8 + view.getUint32(0, true) + view.getUint32(4, true);
        const problem = codec.problemOf(view, 0, bytes.length);
        expect(problem === undefined).toBe(sum === bytes.length);
        if (problem === undefined) codec.read(recordMemory(bytes), 0);
      }),
      { examples: [[new Uint8Array(8)], [Uint8Array.of(255, 255, 255, 255, 8, 0, 0, 0)]] },
    );
  });

  it("reads any other bool than 0 as true, and replaces what is not UTF-8", () => {
    const codec = codecOf([
      { name: "ok", type: "bool" },
      { name: "text", type: "string", bytes: 3 },
    ]);
    expect(readBack(codec, Uint8Array.of(7, 0xff, 0x41, 0x42))).toEqual({ ok: true, text: "\ufffdAB" });
  });
});
