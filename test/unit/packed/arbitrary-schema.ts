// Random schemas with records of them, and the plainest encoder there could be: it follows docs/formats/packed.md line by
// line, knows nothing of the library's layout, and is what the compiled and the closure codecs are compared with.
import fc from "fast-check";

import type { PackedField, PackedType } from "../../../src/packed/schema.js";

export type Record = { [name: string]: unknown };

const bits: Partial<{ [Type in PackedType]: number }> = { u8: 8, u16: 16, u32: 32, i8: 8, i16: 16, i32: 32 };

function itemOf(type: PackedType): fc.Arbitrary<unknown> {
  const size = bits[type];
  if (size !== undefined) {
    const low = type.startsWith("i") ? -(2 ** (size - 1)) : 0;
    return fc.integer({ min: low, max: low + 2 ** size - 1 });
  }
  if (type === "u64") {
    return fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 2n ** 64n - 1n, 2n ** 53n));
  }
  if (type === "i64") {
    return fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.constantFrom(-1n, -(2n ** 63n)));
  }
  if (type === "f32") return fc.float();
  return type === "bool" ? fc.boolean() : fc.double();
}

/** Text of any alphabet, short or long, of at most `bytesMax` bytes; without U+0000 where `zeroAllowed` is false. */
function textOf(bytesMax: number, zeroAllowed: boolean): fc.Arbitrary<string> {
  const units = fc.oneof(fc.string({ unit: "grapheme", maxLength: 60 }), fc.string({ unit: "binary", maxLength: 60 }));
  return units.map((text) => {
    let fitting = zeroAllowed ? text : text.replaceAll("\0", "0");
    while (Buffer.byteLength(fitting) > bytesMax) fitting = [...fitting].slice(0, -1).join("");
    return fitting;
  });
}

function valueOf(field: PackedField): fc.Arbitrary<unknown> {
  if (field.type === "string") return textOf(field.bytes ?? 200, field.bytes === undefined);
  if (field.type === "bytes") {
    return field.bytes === undefined
      ? fc.uint8Array({ maxLength: 40 })
      : fc.uint8Array({ minLength: field.bytes, maxLength: field.bytes });
  }
  if (field.length === undefined) return itemOf(field.type);
  return fc.array(itemOf(field.type), { minLength: field.length, maxLength: field.length });
}

const shape: fc.Arbitrary<Omit<PackedField, "name">> = fc.oneof(
  fc.record({
    type: fc.constantFrom<PackedType>("u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64", "bool"),
  }),
  fc.record({
    type: fc.constantFrom<PackedType>("u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64", "bool"),
    length: fc.integer({ min: 1, max: 12 }),
  }),
  fc.record({ type: fc.constantFrom<PackedType>("string", "bytes"), bytes: fc.integer({ min: 1, max: 80 }) }),
  fc.record({ type: fc.constantFrom<PackedType>("string", "bytes") }),
);

export const schemaWithRecords: fc.Arbitrary<{ fields: PackedField[]; records: Record[] }> = fc
  .array(shape, { minLength: 1, maxLength: 10 })
  .map((shapes) => shapes.map((one, index) => ({ name: `f${index}`, ...one })))
  .chain((fields) => {
    const record = fc.record(Object.fromEntries(fields.map((field) => [field.name, valueOf(field)])));
    return fc.record({ fields: fc.constant(fields), records: fc.array(record, { minLength: 1, maxLength: 4 }) });
  });

const widths: { [Type in PackedType]: number } = {
  ...{ u8: 1, u16: 2, u32: 4, u64: 8, i8: 1, i16: 2, i32: 4, i64: 8, f32: 4, f64: 8, bool: 1, string: 1, bytes: 1 },
};

/** The bytes of a record. */
export function referenceBytes(fields: readonly PackedField[], record: Record): Uint8Array {
  const fixed: number[] = [];
  const variable: number[] = [];
  let alignment = 1;
  const align = (to: number): void => {
    alignment = Math.max(alignment, to);
    while (fixed.length % to !== 0) fixed.push(0);
  };
  for (const field of fields) {
    const value = record[field.name];
    const isText = field.type === "string" || field.type === "bytes";
    if (!isText) {
      const width = widths[field.type];
      align(width);
      for (const item of field.length === undefined ? [value] : (value as unknown[])) {
        const view = new DataView(new ArrayBuffer(8));
        if (field.type === "f32") view.setFloat32(0, item as number, true);
        else if (field.type === "f64") view.setFloat64(0, item as number, true);
        else view.setBigUint64(0, BigInt.asUintN(64, BigInt(item as number)), true);
        fixed.push(...new Uint8Array(view.buffer, 0, width));
      }
      continue;
    }
    const bytes = [...Buffer.from(value as string)];
    if (field.bytes === undefined) {
      align(4);
      fixed.push(...[0, 8, 16, 24].map((shift) => (bytes.length >> shift) & 0xff));
      variable.push(...bytes);
    } else {
      fixed.push(...bytes, ...new Array<number>(field.bytes - bytes.length).fill(0));
    }
  }
  align(alignment);
  return Uint8Array.from([...fixed, ...variable]);
}
