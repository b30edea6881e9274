/**
 * The schema of packed metadata, as a topic has it: which fields a record holds (docs/formats/packed.md). Its check, and
 * the normal form that the catalogue keeps. Plain data, pure functions.
 */
import { describeValue, nearest } from "../config/units.js";

export const PACKED_VERSION = 1;
export const PACKED_FIELDS_MAX = 256;
/** Of the part of a record that every record of the schema has. */
export const PACKED_FIXED_BYTES_MAX = 65_536;
const NAME_CHARACTERS_MAX = 64;

export const NUMBER_TYPES = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64"] as const;
export const PACKED_TYPES = [...NUMBER_TYPES, "bool", "string", "bytes"] as const;

export type NumberType = (typeof NUMBER_TYPES)[number];
export type PackedType = (typeof PACKED_TYPES)[number];

/** One field of a record. */
export interface PackedField {
  /** An identifier; it is also the member of the C struct. */
  readonly name: string;
  readonly type: PackedType;
  /** Numbers and bool: an array of so many, 1 to 65,536. */
  readonly length?: number;
  /** string and bytes: so many bytes in the record. Without it the field has any length, behind the fixed part. */
  readonly bytes?: number;
}

/** The fields of a topic's metadata, in order. */
export interface PackedSchema<Fields extends readonly PackedField[] = readonly PackedField[]> {
  /** Of the format; 1, the default, is the only one. */
  readonly version?: number;
  readonly fields: Fields;
}

/** As the catalogue keeps it. */
export interface NormalizedPackedSchema {
  readonly version: number;
  readonly fields: PackedField[];
}

/** What is wrong at one place of a schema. */
export interface SchemaProblem {
  path: (string | number)[];
  /** Whether the place is a member's name rather than its value. */
  atKey: boolean;
  message: string;
}

export const typeAlignment: Readonly<Record<PackedType, number>> = {
  ...{ u8: 1, u16: 2, u32: 4, u64: 8, i8: 1, i16: 2, i32: 4, i64: 8, f32: 4, f64: 8, bool: 1, string: 1, bytes: 1 },
};

/** Words that no member of a struct can be called in C or C++. */
const LANGUAGE_WORDS = new Set(
  (
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class co_await " +
    "co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default delete do " +
    "double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable " +
    "namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast " +
    "requires restrict return short signed sizeof static static_assert static_cast struct switch template this " +
    "thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using virtual void volatile " +
    "wchar_t while xor xor_eq " +
    // Predefined by compilers in their default mode.
    "linux unix i386"
  ).split(" "),
);

export function isVariable(field: PackedField): boolean {
  return (field.type === "string" || field.type === "bytes") && field.bytes === undefined;
}

/** The member of the fixed part that holds the length of a variable field. */
export function lengthNameOf(name: string): string {
  return `${name}_bytes`;
}

/** Bytes of a field in the fixed part. */
export function fixedBytesOf(field: PackedField): number {
  if (field.type === "string" || field.type === "bytes") return field.bytes ?? 4;
  return typeAlignment[field.type] * (field.length ?? 1);
}

export function alignmentOf(field: PackedField): number {
  return isVariable(field) ? 4 : typeAlignment[field.type];
}

export const alignUp = (value: number, alignment: number): number => Math.ceil(value / alignment) * alignment;

/** The first thing that is wrong with a schema, with its place; undefined if nothing is. */
export function problemOfSchema(given: unknown): SchemaProblem | undefined {
  const top = problemOfMembers(given, ["version", "fields"], []);
  if (top !== undefined) return top;
  const { version, fields } = given as { version?: unknown; fields?: unknown };
  if (version !== undefined && version !== PACKED_VERSION) {
    return at(["version"], `${describeValue(version)} is not ${PACKED_VERSION}, the only version`);
  }
  if (!Array.isArray(fields)) return at(["fields"], `${describeValue(fields)} is not a list of fields`);
  if (fields.length < 1 || fields.length > PACKED_FIELDS_MAX) {
    return at(["fields"], `has ${fields.length} fields; it takes 1 to ${PACKED_FIELDS_MAX}`);
  }
  const names = new Set<string>();
  let end = 0;
  for (const [index, field] of (fields as unknown[]).entries()) {
    const problem = problemOfField(field, names);
    if (problem !== undefined) return { ...problem, path: ["fields", index, ...problem.path] };
    const placed = field as PackedField;
    end = alignUp(end, alignmentOf(placed)) + fixedBytesOf(placed);
    if (end > PACKED_FIXED_BYTES_MAX) {
      return at(
        ["fields", index],
        `"${placed.name}" ends at byte ${end} of the record; the fields take at most ${PACKED_FIXED_BYTES_MAX}`,
      );
    }
  }
  return undefined;
}

function at(path: (string | number)[], message: string): SchemaProblem {
  return { path, atKey: false, message };
}

function problemOfMembers(
  given: unknown,
  known: readonly string[],
  path: (string | number)[],
): SchemaProblem | undefined {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    return at(path, `${describeValue(given)} is not a mapping of ${known.join(", ")}`);
  }
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown === undefined) return undefined;
  const guess = nearest(unknown, known);
  const hint = guess ? `did you mean "${guess}"?` : `known here: ${known.join(", ")}`;
  return { path: [...path, unknown], atKey: true, message: `"${unknown}" is not known here; ${hint}` };
}

function problemOfField(given: unknown, names: Set<string>): SchemaProblem | undefined {
  const members = problemOfMembers(given, ["name", "type", "length", "bytes"], []);
  if (members !== undefined) return members;
  const { name, type, length, bytes } = given as Record<string, unknown>;
  if (typeof name !== "string" || name.length > NAME_CHARACTERS_MAX || !/^(?!__)[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return at(
      ["name"],
      `${describeValue(name)} is not a field's name: 1 to ${NAME_CHARACTERS_MAX} of A-Z a-z 0-9 _, not beginning with a digit or two underscores`,
    );
  }
  if (LANGUAGE_WORDS.has(name)) return at(["name"], `"${name}" is a word of C or C++, and cannot name a field`);
  if (!(PACKED_TYPES as readonly unknown[]).includes(type)) {
    return at(["type"], `${describeValue(type)} is not one of ${PACKED_TYPES.join(", ")}`);
  }
  const text = type === "string" || type === "bytes";
  if (text && length !== undefined) return at(["length"], `has no meaning for the type ${type}; give "bytes"`);
  if (!text && bytes !== undefined) return at(["bytes"], `has no meaning for the type ${String(type)}; give "length"`);
  for (const [member, value] of [
    ["length", length],
    ["bytes", bytes],
  ] as const) {
    if (value === undefined) continue;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > PACKED_FIXED_BYTES_MAX) {
      return at([member], `${describeValue(value)} is not a whole number of 1 to ${PACKED_FIXED_BYTES_MAX}`);
    }
  }
  const taken = isVariable(given as PackedField) ? [name, lengthNameOf(name)] : [name];
  for (const one of taken) {
    if (names.has(one)) {
      const why = one === name ? "is there already" : `needs "${one}" for its length, which is there already`;
      return at(["name"], `"${name}" ${why}`);
    }
    names.add(one);
  }
  return undefined;
}

/** The normal form of a schema without problems: every member in one order, nothing that says nothing. */
export function normalizeSchema(schema: PackedSchema): NormalizedPackedSchema {
  return {
    version: PACKED_VERSION,
    fields: schema.fields.map(({ name, type, length, bytes }) => ({
      name,
      type,
      ...(length === undefined ? {} : { length }),
      ...(bytes === undefined ? {} : { bytes }),
    })),
  };
}
