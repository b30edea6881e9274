// The fields of packed metadata as a flag: step:u32,t:f64,label:string[16],origin:u32[2],note:string. The number in
// brackets is `bytes` of a string or bytes, and `length` of all other types (docs/formats/packed.md).

import { WeftError } from "../errors.js";

const FIELD = /^([^:[\]]*):([^:[\]]*)(?:\[(\d+)\])?$/;

/** The schema that a text describes; what names and types may be is checked with the topic's config. */
export function parsePackedFields(text: string): { fields: Record<string, unknown>[] } {
  const fields = text.split(",").map((part) => {
    const [whole, name, type, count] = FIELD.exec(part.trim()) ?? [];
    if (whole === undefined) {
      throw new WeftError("WEFT_INVALID_ARGUMENT", `--packed: "${part.trim()}" is not a field`, {
        next: "write name:type or name:type[number], with commas between: step:u32,label:string[16],origin:f64[3]",
      });
    }
    const member = type === "string" || type === "bytes" ? "bytes" : "length";
    return { name, type, ...(count === undefined ? {} : { [member]: Number(count) }) };
  });
  return { fields };
}
