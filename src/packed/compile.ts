/**
 * Compiles the writer and the reader of a schema to JavaScript made for it: each field is one access of an object and one
 * store or load at a constant place. Measured beside closures in docs/performance.md. Field names are identifiers, which
 * the check of the schema (schema.ts) sees to: nothing else of a user comes into the code.
 *
 * Where code generation from strings is not allowed (node --disallow-code-generation-from-strings) the closures of
 * writer.ts and reader.ts do the same, slower.
 */
import type { PlacedField, RecordLayout } from "./layout.js";
import { type ReadRecord, fieldReader, recordReader } from "./reader.js";
import { readFixedText } from "./text.js";
import {
  type Fail,
  type WriteRecord,
  isList,
  recordWriter,
  writeFixedBytes,
  writeFixedText,
  writeI64,
  writeU64,
  writeVariable,
} from "./writer.js";

/** Arrays up to here are written out item by item; longer ones are loops. */
const unrolledMax = 8;

const setters: Readonly<Record<string, string>> = {
  ...{ u8: "setUint8", u16: "setUint16", u32: "setUint32", i8: "setInt8", i16: "setInt16", i32: "setInt32" },
  ...{ f32: "setFloat32", f64: "setFloat64" },
};
const getters: Readonly<Record<string, string>> = {
  ...{ u8: "getUint8", u16: "getUint16", u32: "getUint32", i8: "getInt8", i16: "getInt16", i32: "getInt32" },
  ...{ f32: "getFloat32", f64: "getFloat64", u64: "getBigUint64", i64: "getBigInt64" },
};

/** When `value` is not what a number type takes; it is evaluated more than once. */
const refusals: Readonly<Record<string, string>> = {
  u8: "typeof value !== 'number' || (value & 0xff) !== value",
  u16: "typeof value !== 'number' || (value & 0xffff) !== value",
  u32: "typeof value !== 'number' || value >>> 0 !== value",
  i8: "typeof value !== 'number' || (value << 24) >> 24 !== value",
  i16: "typeof value !== 'number' || (value << 16) >> 16 !== value",
  i32: "typeof value !== 'number' || (value | 0) !== value",
  f32: "typeof value !== 'number' || (isFinite(value) && !isFinite(Math.fround(value)))",
  f64: "typeof value !== 'number'",
};

/** Stores `value` at the place, or says what is wrong with it. */
function storeCode(type: PlacedField["type"], place: string, failure: string): string {
  if (type === "u64" || type === "i64") {
    return `if (!${type === "u64" ? "writeU64" : "writeI64"}(view, ${place}, value)) ${failure};`;
  }
  if (type === "bool") {
    return `if (typeof value !== 'boolean') ${failure}; view.setUint8(${place}, value ? 1 : 0);`;
  }
  return `if (${refusals[type]}) ${failure}; view.${setters[type]}(${place}, value, true);`;
}

function loadCode(type: PlacedField["type"], place: string): string {
  if (type === "bool") return `view.getUint8(${place}) !== 0`;
  return `view.${getters[type]}(${place}, true)`;
}

function writeFieldCode(field: PlacedField, index: number): string {
  const { name, type, length, at } = field;
  const get = `value = record.${name};`;
  if (type === "string" || type === "bytes") {
    const write = type === "string" ? "writeFixedText" : "writeFixedBytes";
    return `${get} ${write}(memory, at + ${at}, fields[${index}], value, fail);`;
  }
  if (length === undefined) return `${get} ${storeCode(type, `at + ${at}`, `fail(fields[${index}], value)`)}`;
  const itemBytes = field.fixedBytes / length;
  const check =
    `list = record.${name}; if (!isList(list)) fail(fields[${index}], list); ` +
    `if (list.length !== ${length}) fail(fields[${index}], list, 'has ' + list.length + ' items');`;
  const item = (number: string, place: string): string =>
    `value = list[${number}]; ${storeCode(type, place, `fail(fields[${index}], value, 'has item ' + ${number})`)}`;
  if (length > unrolledMax) {
    return `${check} for (let i = 0; i < ${length}; i++) { ${item("i", `at + ${at} + i * ${itemBytes}`)} }`;
  }
  const lines = Array.from({ length }, (_, number) => item(String(number), `at + ${at + number * itemBytes}`));
  return [check, ...lines].join("\n");
}

function writerCode(layout: RecordLayout): string {
  const lines = layout.fields.map((field, index) => {
    if (!field.variable) return writeFieldCode(field, index);
    return (
      `start = end; end = writeVariable(memory, start, limit, fields[${index}], record.${field.name}, fail); ` +
      `if (end < 0) return -1; view.setUint32(at + ${field.at}, end - start, true);`
    );
  });
  for (const gap of layout.gaps) {
    for (let index = 0; index < gap.bytes; index++) lines.push(`view.setUint8(at + ${gap.at + index}, 0);`);
  }
  return `"use strict";
return (memory, at, limit, record) => {
const { view } = memory;
let value, list, start, end = at + ${layout.fixedBytes};
${lines.join("\n")}
return end;
};`;
}

function readerCode(layout: RecordLayout): string {
  const lines = layout.fields.map((field, index) => {
    const { name, type, length, at } = field;
    if (field.variable) return `${name}: readers[${index}](memory, at),`;
    if (type === "string") return `${name}: readFixedText(bytes, at + ${at}, ${field.fixedBytes}),`;
    if (type === "bytes") return `${name}: bytes.subarray(at + ${at}, at + ${at + field.fixedBytes}),`;
    if (length === undefined) return `${name}: ${loadCode(type, `at + ${at}`)},`;
    if (length > unrolledMax) return `${name}: readers[${index}](memory, at),`;
    const itemBytes = field.fixedBytes / length;
    const list = Array.from({ length }, (_, item) => loadCode(type, `at + ${at + item * itemBytes}`));
    return `${name}: [${list.join(", ")}],`;
  });
  return `"use strict";
return (memory, at) => {
const { view, bytes } = memory;
return {
${lines.join("\n")}
};
};`;
}

export interface RecordFunctions {
  readonly write: WriteRecord;
  readonly read: ReadRecord;
  /** Whether they were compiled. */
  readonly compiled: boolean;
}

/** The functions of a layout; `fail` says what is wrong with a value. */
export function recordFunctions(layout: RecordLayout, fail: Fail, mayCompile = true): RecordFunctions {
  if (mayCompile) {
    const readers = layout.fields.map((field) => fieldReader(layout, field));
    const scope = {
      ...{ fields: layout.fields, readers, fail, isList, readFixedText },
      ...{ writeFixedBytes, writeFixedText, writeI64, writeU64, writeVariable },
    };
    try {
      const make = <T>(code: string): T => {
        // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the code is made above, of checked names
        const made = new Function(...Object.keys(scope), code) as (...values: unknown[]) => T;
        return made(...Object.values(scope));
      };
      return { write: make(writerCode(layout)), read: make(readerCode(layout)), compiled: true };
    } catch (error) {
      if (!(error instanceof EvalError)) throw error;
    }
  }
  return { write: recordWriter(layout, fail), read: recordReader(layout), compiled: false };
}
