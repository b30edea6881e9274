/** Reads packed records: the whole as an object, or one field. Whoever calls has checked the record's length. */
import type { PlacedField, RecordLayout } from "./layout.js";
import { readFixedText, readUtf8 } from "./text.js";
import type { RecordMemory } from "./writer.js";

/** The value of one field of the record at `at`. */
export type ReadField = (memory: RecordMemory, at: number) => unknown;
export type ReadRecord = (memory: RecordMemory, at: number) => Record<string, unknown>;

type ReadItem = (view: DataView, at: number) => unknown;

const items: Readonly<Record<Exclude<PlacedField["type"], "string" | "bytes">, ReadItem>> = {
  u8: (view, at) => view.getUint8(at),
  u16: (view, at) => view.getUint16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  u64: (view, at) => view.getBigUint64(at, true),
  i8: (view, at) => view.getInt8(at),
  i16: (view, at) => view.getInt16(at, true),
  i32: (view, at) => view.getInt32(at, true),
  i64: (view, at) => view.getBigInt64(at, true),
  f32: (view, at) => view.getFloat32(at, true),
  f64: (view, at) => view.getFloat64(at, true),
  bool: (view, at) => view.getUint8(at) !== 0,
};

/** What the record at `at` says that its length is; `available` bytes are there, and no other is looked at. */
export function recordLength(layout: RecordLayout, view: DataView, at: number, available: number): number {
  let length = layout.fixedBytes;
  if (available < length) return length;
  for (const field of layout.variable) length += view.getUint32(at + field.at, true);
  return length;
}

export function fieldReader(layout: RecordLayout, field: PlacedField): ReadField {
  const { type, length, fixedBytes, at: place } = field;
  if (field.variable) {
    const before = layout.variable.slice(0, layout.variable.indexOf(field));
    return ({ view, bytes }, at) => {
      let start = at + layout.fixedBytes;
      for (const other of before) start += view.getUint32(at + other.at, true);
      const end = start + view.getUint32(at + place, true);
      return type === "string" ? readUtf8(bytes, start, end) : bytes.subarray(start, end);
    };
  }
  if (type === "string") return ({ bytes }, at) => readFixedText(bytes, at + place, fixedBytes);
  if (type === "bytes") return ({ bytes }, at) => bytes.subarray(at + place, at + place + fixedBytes);
  const item = items[type];
  if (length === undefined) return ({ view }, at) => item(view, at + place);
  const itemBytes = fixedBytes / length;
  return ({ view }, at) => {
    const values: unknown[] = [];
    for (let index = 0; index < length; index++) values.push(item(view, at + place + index * itemBytes));
    return values;
  };
}

/** A reader of closures. */
export function recordReader(layout: RecordLayout): ReadRecord {
  const readers = layout.fields.map((field) => ({ name: field.name, read: fieldReader(layout, field) }));
  return (memory, at) => {
    const record: Record<string, unknown> = {};
    for (const { name, read } of readers) record[name] = read(memory, at);
    return record;
  };
}
