// Packed records as JSON: what goes out comes back in, and what JSON has no form for is a text.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { parsePackedFields } from "../../../src/cli/packed-fields.js";
import { PackedCodec } from "../../../src/packed/codec.js";
import { recordFromJson, recordToJson } from "../../../src/packed/json.js";
import { recordMemory } from "../../../src/packed/writer.js";
import { schemaWithRecords } from "./arbitrary-schema.js";

describe("a record as JSON", () => {
  it("comes back as the same bytes", () => {
    fc.assert(
      fc.property(schemaWithRecords, ({ fields, records }) => {
        const codec = new PackedCodec({ fields }, "field");
        const bytesOf = (record: unknown): number[] => {
          const bytes = new Uint8Array(8192);
          return [...bytes.subarray(0, codec.write(recordMemory(bytes), 0, bytes.length, record))];
        };
        for (const record of records) {
          const written = Uint8Array.from(bytesOf(record));
          const text = recordToJson(codec.layout, codec.read(recordMemory(written), 0));
          const made = recordFromJson(codec.layout, JSON.parse(text));
          const back = bytesOf("record" in made ? made.record : made.problem);
          // JSON has no -0, and NaN has many forms.
          if (!/"f\d+":(\[.*)?(-?0|"NaN")[,\]}]/.test(text)) expect(back).toEqual([...written]);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("has numbers where they are exact, and texts where JSON has no form", () => {
    const { layout } = new PackedCodec(
      {
        fields: [
          { name: "small", type: "u64" },
          { name: "large", type: "i64", length: 2 },
          { name: "t", type: "f64", length: 3 },
          { name: "raw", type: "bytes" },
        ],
      },
      "field",
    );
    const record = { small: 5n, large: [-(2n ** 63n), -7n], t: [NaN, -Infinity, 0.5], raw: Buffer.of(1, 255) };
    const text = '{"small":5,"large":["-9223372036854775808",-7],"t":["NaN","-Infinity",0.5],"raw":"Af8="}';
    expect(recordToJson(layout, record)).toBe(text);
    expect(recordFromJson(layout, JSON.parse(text))).toEqual({
      record: { ...record, small: 5, large: [-(2n ** 63n), -7], raw: Uint8Array.of(1, 255) },
    });
  });

  it("leaves what is no form of a field's value for the writer to refuse", () => {
    const codec = new PackedCodec({ fields: [{ name: "raw", type: "bytes", bytes: 2 }] }, "field");
    const made = recordFromJson(codec.layout, { raw: "no base64" });
    expect(made).toEqual({ record: { raw: "no base64" } });
  });
});

describe("fields as a flag", () => {
  it("are read", () => {
    expect(parsePackedFields("step:u32, label:string[16],origin:f64[3],note:bytes")).toEqual({
      fields: [
        { name: "step", type: "u32" },
        { name: "label", type: "string", bytes: 16 },
        { name: "origin", type: "f64", length: 3 },
        { name: "note", type: "bytes" },
      ],
    });
  });
  it.each(["step", "step:u32:", "a:u8,,b:u8", "a:u8[", "a:u8[x]"])("are refused with their words: %s", (text) => {
    expect(() => parsePackedFields(text)).toThrow(/^WEFT_INVALID_ARGUMENT: --packed: ".*" is not a field$/);
  });
});
