// JSON Schema of metadata: drafts, words that name the field, schemas that are refused, and the types of them.
import { describe, expect, expectTypeOf, it } from "vitest";

import { compileSchema, problemOfSchema } from "../../../src/validator/json-schema.js";
import type { SchemaMetadata } from "../../../src/validator/schema-metadata.js";

const quake = {
  type: "object",
  properties: {
    mag: { type: "number", minimum: 0 },
    place: { type: "object", properties: { name: { type: "string", maxLength: 5 } } },
    kind: { enum: ["tectonic", "volcanic"] },
    tags: { type: "array", items: { type: "string" } },
    version: { const: 2 },
  },
  required: ["mag"],
  additionalProperties: false,
} as const;

describe("a JSON Schema", () => {
  it("says which field does not meet it, and why", () => {
    const check = compileSchema(quake);
    expect(check({ mag: 4.6, tags: ["a"], version: 2 })).toBeUndefined();
    const wrong: [unknown, string][] = [
      [{}, "metadata.mag is not there"],
      [{ mag: "4" }, 'metadata.mag is "4"; it must be number'],
      [{ mag: -1 }, "metadata.mag is -1; it must be >= 0"],
      [{ mag: 1, place: { name: "Honolulu" } }, "metadata.place.name"],
      [{ mag: 1, kind: "x" }, 'metadata.kind is "x"; it must be one of ["tectonic","volcanic"]'],
      [{ mag: 1, version: 3 }, "metadata.version is 3; it must be 2"],
      [{ mag: 1, tags: ["a", 3] }, "metadata.tags.1 is 3"],
      [{ mag: 1, depht: 3 }, "metadata.depht is not in the schema"],
      [3, "metadata is 3; it must be object"],
      [undefined, "metadata is undefined"],
    ];
    for (const [metadata, words] of wrong) expect(check(metadata)).toContain(words);
  });

  it("is of draft 7, or of 2020-12 where it says so", () => {
    const tuple = { type: "array", prefixItems: [{ type: "string" }], items: false };
    expect(problemOfSchema(tuple)).toContain("prefixItems");
    const check = compileSchema({ $schema: "https://json-schema.org/draft/2020-12/schema", ...tuple });
    expect(check(["a"])).toBeUndefined();
    expect(check(["a", "b"])).toContain("metadata");
    expect(compileSchema({ type: "string", format: "date-time" })("no date")).toBeUndefined();
  });

  it("is refused with what is wrong in it", () => {
    expect(problemOfSchema({ type: "nmber" })).toContain("type");
    expect(problemOfSchema({ propertees: {} })).toContain("propertees");
    expect(problemOfSchema({ $ref: "#/nowhere" })).toContain("nowhere");
    expect(problemOfSchema({ $async: true, type: "object" })).toContain("asynchronous");
    expect(problemOfSchema("x")).toBeDefined();
  });

  it("is the type of its metadata", () => {
    expectTypeOf<SchemaMetadata<typeof quake>>().toEqualTypeOf<{
      mag: number;
      place?: { name?: string };
      kind?: "tectonic" | "volcanic";
      tags?: string[];
      version?: 2;
    }>();
    expectTypeOf<SchemaMetadata<{ readonly type: readonly ["string", "null"] }>>().toEqualTypeOf<string | null>();
    expectTypeOf<
      SchemaMetadata<{ readonly anyOf: readonly [{ readonly type: "integer" }, { readonly const: "no" }] }>
    >().toEqualTypeOf<number | "no">();
  });
});
