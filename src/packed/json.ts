/**
 * Packed records as JSON, for the command line: what JSON has no form for is a text. 64-bit integers are numbers where a
 * double holds them exactly, else texts of digits; numbers that are not finite "NaN", "Infinity", "-Infinity"; bytes
 * base64. Pure.
 */
import type { PlacedField, RecordLayout } from "./layout.js";
import { describeValue, nearest } from "../config/units.js";

const notFinite: Readonly<Record<string, number>> = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };

/** The record's JSON text, as `produce` takes it. */
export function recordToJson(layout: RecordLayout, record: Readonly<Record<string, unknown>>): string {
  const plain = (value: unknown): unknown => {
    if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    if (typeof value === "number" && !Number.isFinite(value)) return String(value);
    if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
    return Array.isArray(value) ? value.map(plain) : value;
  };
  return JSON.stringify(Object.fromEntries(layout.fields.map(({ name }) => [name, plain(record[name])])));
}

/** The record of a JSON value, still to be checked field by field by the writer; or what is wrong with it. */
export function recordFromJson(
  layout: RecordLayout,
  value: unknown,
): { record: Record<string, unknown> } | { problem: string } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { problem: `is ${describeValue(value)}, not an object with the fields of the topic's schema` };
  }
  const record: Record<string, unknown> = {};
  const names = layout.fields.map(({ name }) => name);
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const guess = nearest(unknown, names);
    return {
      problem: `has a member "${unknown}", which the topic's schema has not; ${guess ? `did you mean "${guess}"?` : `it has ${names.join(", ")}`}`,
    };
  }
  for (const field of layout.fields) {
    const given = (value as Record<string, unknown>)[field.name];
    record[field.name] = Array.isArray(given) ? given.map((item) => fromJson(field, item)) : fromJson(field, given);
  }
  return { record };
}

/** What it is not a form of is left as it is, for the writer to refuse. */
function fromJson({ type }: PlacedField, value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (type === "u64" || type === "i64") return /^-?\d{1,20}$/.test(value) ? BigInt(value) : value;
  if (type === "f32" || type === "f64") return notFinite[value] ?? value;
  if (type === "bytes") {
    const whole = value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value);
    return whole ? new Uint8Array(Buffer.from(value, "base64")) : value;
  }
  return value;
}
