// What a packed schema may hold, with the place of what is wrong, and where the fields of a record lie.
import { describe, expect, it } from "vitest";

import { parseConfig } from "../../../src/config/file.js";
import { formatPath, normalizeTopicConfig } from "../../../src/config/topic-config.js";
import { describeTopic, firstDifference } from "../../../src/control/topic-description.js";
import { layoutOf } from "../../../src/packed/layout.js";
import { type PackedField, problemOfSchema } from "../../../src/packed/schema.js";

const u8: PackedField = { name: "a", type: "u8" };

function problemOf(fields: unknown): string {
  const checked = normalizeTopicConfig({ packed: { fields } });
  return "problem" in checked ? `${formatPath(checked.problem.path)}: ${checked.problem.message}` : "none";
}

describe("a packed schema", () => {
  it("lies as the C struct of docs/formats/packed.md does", () => {
    const layout = layoutOf({
      fields: [
        { name: "step", type: "u32" },
        { name: "t", type: "f64" },
        { name: "id", type: "u64" },
        { name: "label", type: "string", bytes: 16 },
        { name: "origin", type: "u32", length: 2 },
        { name: "note", type: "string" },
      ],
    });
    expect(layout.fields.map(({ at, fixedBytes }) => [at, fixedBytes])).toEqual([
      [0, 4],
      [8, 8],
      [16, 8],
      [24, 16],
      [40, 8],
      [48, 4],
    ]);
    expect(layout).toMatchObject({ fixedBytes: 56, alignment: 8 });
    expect(layout.gaps).toEqual([
      { at: 4, bytes: 4 },
      { at: 52, bytes: 4 },
    ]);
    expect(layout.variable.map(({ name }) => name)).toEqual(["note"]);
  });

  it("has no padding where nothing is wider than a byte", () => {
    const layout = layoutOf({ fields: [u8, { name: "b", type: "bytes", bytes: 3 }] });
    expect(layout).toMatchObject({ fixedBytes: 4, alignment: 1, gaps: [] });
  });

  it.each<[unknown, RegExp]>([
    ["step", /^packed\.fields: "step" is not a list of fields$/],
    [[], /^packed\.fields: has 0 fields; it takes 1 to 256$/],
    [Array.from({ length: 257 }, (_, index) => ({ name: `f${index}`, type: "u8" })), /has 257 fields/],
    [[u8, 5], /^packed\.fields\[1\]: 5 is not a mapping of name, type, length, bytes$/],
    [[u8, { nam: "b", type: "u8" }], /^packed\.fields\[1\]\.nam: "nam" is not known here; did you mean "name"\?$/],
    [[{ type: "u8" }], /^packed\.fields\[0\]\.name: nothing is not a field's name: 1 to 64 of/],
    [[{ name: "2nd", type: "u8" }], /^packed\.fields\[0\]\.name: "2nd" is not a field's name/],
    [[{ name: "__proto__", type: "u8" }], /\.name: "__proto__" is not a field's name/],
    [[{ name: "x".repeat(65), type: "u8" }], /is not a field's name/],
    [[{ name: "double", type: "f64" }], /^packed\.fields\[0\]\.name: "double" is a word of C or C\+\+/],
    [[u8, u8], /^packed\.fields\[1\]\.name: "a" is there already$/],
    [
      [
        { name: "a", type: "string" },
        { ...u8, name: "a_bytes" },
      ],
      /\[1\]\.name: "a_bytes" is there already$/,
    ],
    [
      [
        { ...u8, name: "a_bytes" },
        { name: "a", type: "bytes" },
      ],
      /\[1\]\.name: "a" needs "a_bytes" for its length/,
    ],
    [[{ name: "a", type: "uint8" }], /^packed\.fields\[0\]\.type: "uint8" is not one of u8, u16/],
    [[{ ...u8, bytes: 4 }], /^packed\.fields\[0\]\.bytes: has no meaning for the type u8; give "length"$/],
    [[{ name: "a", type: "string", length: 4 }], /\.length: has no meaning for the type string; give "bytes"$/],
    [[{ ...u8, length: 0 }], /^packed\.fields\[0\]\.length: 0 is not a whole number of 1 to 65536$/],
    [[{ name: "a", type: "bytes", bytes: 1.5 }], /\.bytes: 1\.5 is not a whole number/],
    [[u8, { name: "b", type: "f64", length: 8192 }], /^packed\.fields\[1\]: "b" ends at byte 65544 of the record/],
  ])("names the place of what is wrong: %j", (fields, message) => {
    expect(problemOf(fields)).toMatch(message);
  });

  it("is of version 1, and nothing else", () => {
    expect(problemOfSchema({ version: 2, fields: [u8] })).toMatchObject({ path: ["version"] });
    expect(problemOfSchema({ version: 1, fields: [u8] })).toBeUndefined();
    expect(problemOfSchema(null)).toMatchObject({ message: "null is not a mapping of version, fields" });
    expect(problemOfSchema({ fields: [u8], more: 1 })).toMatchObject({ path: ["more"], atKey: true });
  });

  it("belongs to the serializer packed, which it also chooses", () => {
    const message = (config: object): unknown => {
      const checked = normalizeTopicConfig(config);
      return "problem" in checked ? checked.problem.message : checked.config;
    };
    expect(message({ packed: { fields: [u8] } })).toMatchObject({
      serializer: "packed",
      packed: { version: 1, fields: [u8] },
    });
    expect(message({ serializer: "packed" })).toMatch(/is missing: the serializer "packed" needs the fields/);
    expect(message({ serializer: "json", packed: { fields: [u8] } })).toMatch(/no meaning for the serializer "json"/);
    const many = Array.from({ length: 256 }, (_, index) => ({ name: `f${index}`.padEnd(64, "x"), type: "u8" }));
    expect(message({ packed: { fields: many } })).toMatch(/options and packed have \d+ bytes of JSON together/);
  });

  it("has its place in a file named", () => {
    const text =
      "topics:\n  field:\n    packed:\n      fields:\n        - { name: a, type: u8 }\n        - { name: b, type: u9 }\n";
    expect(() => parseConfig("w.yaml", text)).toThrow(
      /: w\.yaml:6:28: topics\.field\.packed\.fields\[1\]\.type: "u9" is not one of/,
    );
  });

  it("differs from another at a field that is named", () => {
    const config = (fields: PackedField[]) => {
      const checked = normalizeTopicConfig({ packed: { fields } });
      if ("problem" in checked) throw new Error(checked.problem.message);
      return checked.config;
    };
    const topic = describeTopic("t", "uuid", "now", config([u8, { name: "b", type: "f64" }]), [0]);
    const difference = (fields: PackedField[]) => firstDifference({ packed: config(fields).packed! }, topic); // eslint-disable-line @typescript-eslint/no-non-null-assertion
    expect(difference([u8, { type: "f64", name: "b" }])).toBeUndefined();
    expect(difference([u8, { name: "b", type: "f32", length: 2 }])).toEqual({
      member: "packed.fields[1]",
      wanted: "b: f32 x 2",
      is: "b: f64",
    });
    expect(difference([u8])).toEqual({ member: "packed.fields[1]", wanted: "no field", is: "b: f64" });
  });
});
