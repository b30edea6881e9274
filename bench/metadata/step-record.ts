/** The record that says the same as the JSON metadata of bench/smoke/metadata.ts. */
import type { PackedField } from "../../src/packed/schema.js";

export const stepFields: readonly PackedField[] = [
  { name: "step", type: "u32" },
  { name: "rank", type: "u32" },
  { name: "field", type: "string", bytes: 16 },
  { name: "origin", type: "u32", length: 3 },
  { name: "shape", type: "u32", length: 3 },
  { name: "min", type: "f64" },
  { name: "max", type: "f64" },
  { name: "mean", type: "f64" },
  { name: "valid", type: "bool" },
  { name: "note", type: "string" },
];

/** The same without its longest text: what a simulation pushes. */
export const numberFields = stepFields.filter(({ name }) => name !== "note");
