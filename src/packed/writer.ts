/**
 * Writes packed records: one function for each field, closures over its place. Where code may be generated, writer and
 * reader of a schema are compiled instead (compile.ts), which is several times as fast; both do the same, and are tested
 * against each other. A value that a field does not take is never written elsewhere than into its own record.
 */
import type { PlacedField, RecordLayout } from "./layout.js";
import { textProblem, writeText, writeZeros } from "./text.js";

/** Says why a field's value cannot be written. Never returns. */
export type Fail = (field: PlacedField, value: unknown, why?: string) => never;

/** Memory that records are written into or read from, in the two forms that are needed. */
export interface RecordMemory {
  readonly view: DataView;
  readonly bytes: Buffer;
}

/**
 * Writes a record at `at` and returns its end, or -1 where its variable part would reach behind `limit`: the fixed part
 * must fit. Throws what `Fail` throws; bytes from `at` to `limit` may be written all the same.
 */
export type WriteRecord = (memory: RecordMemory, at: number, limit: number, record: Record<string, unknown>) => number;

export function recordMemory({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): RecordMemory {
  return {
    view: new DataView(buffer, byteOffset, byteLength),
    bytes: Buffer.from(buffer, byteOffset, byteLength),
  };
}

type WriteItem = (view: DataView, at: number, value: unknown) => boolean;

const whole = (low: number, high: number, put: (view: DataView, at: number, value: number) => void): WriteItem => {
  return (view, at, value) => {
    if (typeof value !== "number" || !Number.isInteger(value) || value < low || value > high) return false;
    put(view, at, value);
    return true;
  };
};

/** Each returns false for what it does not take. */
const items: Readonly<Record<Exclude<PlacedField["type"], "string" | "bytes">, WriteItem>> = {
  u8: whole(0, 0xff, (view, at, value) => view.setUint8(at, value)),
  u16: whole(0, 0xffff, (view, at, value) => view.setUint16(at, value, true)),
  u32: whole(0, 0xffff_ffff, (view, at, value) => view.setUint32(at, value, true)),
  i8: whole(-0x80, 0x7f, (view, at, value) => view.setInt8(at, value)),
  i16: whole(-0x8000, 0x7fff, (view, at, value) => view.setInt16(at, value, true)),
  i32: whole(-0x8000_0000, 0x7fff_ffff, (view, at, value) => view.setInt32(at, value, true)),
  u64: writeU64,
  i64: writeI64,
  f32(view, at, value) {
    if (typeof value !== "number" || (Number.isFinite(value) && !Number.isFinite(Math.fround(value)))) return false;
    view.setFloat32(at, value, true);
    return true;
  },
  f64(view, at, value) {
    if (typeof value !== "number") return false;
    view.setFloat64(at, value, true);
    return true;
  },
  bool(view, at, value) {
    if (typeof value !== "boolean") return false;
    view.setUint8(at, value ? 1 : 0);
    return true;
  },
};

/** Also whole numbers that a double holds exactly: they need no bigint, which would be an allocation. */
export function writeU64(view: DataView, at: number, value: unknown): boolean {
  if (typeof value === "bigint") {
    if (BigInt.asUintN(64, value) !== value) return false;
    view.setBigUint64(at, value, true);
    return true;
  }
  if (!Number.isSafeInteger(value) || (value as number) < 0) return false;
  writeWords(view, at, value as number);
  return true;
}

export function writeI64(view: DataView, at: number, value: unknown): boolean {
  if (typeof value === "bigint") {
    if (BigInt.asIntN(64, value) !== value) return false;
    view.setBigInt64(at, value, true);
    return true;
  }
  if (!Number.isSafeInteger(value)) return false;
  writeWords(view, at, value as number);
  return true;
}

/** Two's complement of 64 bits: conversions to words are modulo 2^32. */
function writeWords(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true);
  view.setInt32(at + 4, Math.floor(value / 4_294_967_296), true);
}

export function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

export function writeFixedText(memory: RecordMemory, at: number, field: PlacedField, value: unknown, fail: Fail): void {
  if (typeof value !== "string") fail(field, value);
  const written = writeText(memory.bytes, at, field.fixedBytes, value, false);
  if (written < 0) failText(field, value, written, fail);
  writeZeros(memory.bytes, at + written, at + field.fixedBytes);
}

export function writeFixedBytes(
  memory: RecordMemory,
  at: number,
  field: PlacedField,
  value: unknown,
  fail: Fail,
): void {
  if (!(value instanceof Uint8Array)) fail(field, value);
  if (value.length !== field.fixedBytes) fail(field, value, `has ${value.length} bytes`);
  memory.bytes.set(value, at);
}

/** Writes behind the fixed part; the end, or -1 where there is no room. */
export function writeVariable(
  memory: RecordMemory,
  at: number,
  limit: number,
  field: PlacedField,
  value: unknown,
  fail: Fail,
): number {
  if (field.type === "string") {
    if (typeof value !== "string") fail(field, value);
    const written = writeText(memory.bytes, at, limit - at, value, true);
    if (written >= 0) return at + written;
    return written === textProblem.tooLong ? -1 : failText(field, value, written, fail);
  }
  if (!(value instanceof Uint8Array)) fail(field, value);
  if (value.length > limit - at) return -1;
  memory.bytes.set(value, at);
  return at + value.length;
}

function failText(field: PlacedField, value: string, problem: number, fail: Fail): never {
  if (problem === textProblem.hasZero) fail(field, value, "holds U+0000, which would end it");
  if (problem === textProblem.notWellFormed) fail(field, value, "has half a surrogate pair, which has no UTF-8");
  fail(field, value, `has ${Buffer.byteLength(value)} bytes of UTF-8`);
}

type WriteField = (memory: RecordMemory, at: number, value: unknown) => void;

function fieldWriter(field: PlacedField, fail: Fail): WriteField {
  const { type, length, at: place } = field;
  if (type === "string") return (memory, at, value) => writeFixedText(memory, at + place, field, value, fail);
  if (type === "bytes") return (memory, at, value) => writeFixedBytes(memory, at + place, field, value, fail);
  const item = items[type];
  if (length === undefined) {
    return ({ view }, at, value) => {
      if (!item(view, at + place, value)) fail(field, value);
    };
  }
  const itemBytes = field.fixedBytes / length;
  return ({ view }, at, value) => {
    if (!isList(value)) fail(field, value);
    if (value.length !== length) fail(field, value, `has ${value.length} items`);
    for (let index = 0; index < length; index++) {
      if (!item(view, at + place + index * itemBytes, value[index])) fail(field, value[index], `has item ${index}`);
    }
  };
}

/** A writer of closures. */
export function recordWriter(layout: RecordLayout, fail: Fail): WriteRecord {
  const writers = layout.fields
    .filter(({ variable }) => !variable)
    .map((field) => ({ name: field.name, write: fieldWriter(field, fail) }));
  return (memory, at, limit, record) => {
    const { view, bytes } = memory;
    for (const { name, write } of writers) write(memory, at, record[name]);
    for (const gap of layout.gaps) writeZeros(bytes, at + gap.at, at + gap.at + gap.bytes);
    let end = at + layout.fixedBytes;
    for (const field of layout.variable) {
      const start = end;
      end = writeVariable(memory, start, limit, field, record[field.name], fail);
      if (end < 0) return -1;
      view.setUint32(at + field.at, end - start, true);
    }
    return end;
  };
}
