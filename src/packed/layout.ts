/** Where each field of a packed record lies: the layout of the C struct (docs/formats/packed.md). Pure. */
import { type PackedField, type PackedSchema, alignUp, alignmentOf, fixedBytesOf, isVariable } from "./schema.js";

export interface PlacedField extends PackedField {
  /** Of the field, or of the length of a variable one, in the record. */
  readonly at: number;
  /** Its bytes in the fixed part. */
  readonly fixedBytes: number;
  /** Whether its bytes lie behind the fixed part. */
  readonly variable: boolean;
}

export interface RecordLayout {
  readonly fields: readonly PlacedField[];
  /** Bytes that every record has; the size of the C struct. */
  readonly fixedBytes: number;
  readonly alignment: number;
  /** Those with bytes behind the fixed part, in order. */
  readonly variable: readonly PlacedField[];
  /** Bytes of the fixed part that belong to no field: they are 0. */
  readonly gaps: readonly { readonly at: number; readonly bytes: number }[];
}

/** Of a schema without problems. */
export function layoutOf(schema: PackedSchema): RecordLayout {
  const fields: PlacedField[] = [];
  const gaps: { at: number; bytes: number }[] = [];
  let end = 0;
  let alignment = 1;
  const advance = (at: number): void => {
    if (at > end) gaps.push({ at: end, bytes: at - end });
    end = at;
  };
  for (const field of schema.fields) {
    advance(alignUp(end, alignmentOf(field)));
    alignment = Math.max(alignment, alignmentOf(field));
    const fixedBytes = fixedBytesOf(field);
    fields.push({ ...field, at: end, fixedBytes, variable: isVariable(field) });
    end += fixedBytes;
  }
  advance(alignUp(end, alignment));
  return { fields, fixedBytes: end, alignment, variable: fields.filter(({ variable }) => variable), gaps };
}

/** "u32", "u32 x 2", "string of 16 bytes", "string". */
export function typeText({ type, length, bytes }: PackedField): string {
  if (length !== undefined) return `${type} x ${length}`;
  return bytes === undefined ? type : `${type} of ${bytes} bytes`;
}
