import { describe, expect, it } from "vitest";

import type { WeftError } from "../../../src/errors.js";
import { EncodedJson, metadataEncoder } from "../../../src/producer/metadata.js";

const encoderOf = (serializer: "json" | "raw", bytesMax: number, name: string): ((value: unknown) => unknown) =>
  metadataEncoder({ serializer, name, codec: undefined, custom: undefined }, bytesMax);

describe("metadata of a json topic", () => {
  const encode = encoderOf("json", 100, "field");

  it("is its JSON text", () => {
    expect(encode({ step: 1 })).toBe('{"step":1}');
    expect(encode(null)).toBe("null");
    expect(encode(new EncodedJson('{"a": 1}'))).toBe('{"a": 1}');
  });

  it("names why it has none", () => {
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    expect(() => encode(undefined)).toThrow(
      /WEFT_METADATA_INVALID: .*topic 'field' is not JSON: undefined has no JSON form/,
    );
    expect(() => encode(() => 1)).toThrow(/a function has no JSON form/);
    expect(() => encode(cyclic)).toThrow(/WEFT_METADATA_INVALID: .*circular/);
    expect(() => encode({ big: 1n })).toThrow(/WEFT_METADATA_INVALID: .*BigInt/);
  });

  it("has a limit in bytes, not characters", () => {
    expect(encode("x".repeat(98))).toHaveLength(100);
    expect(() => encode("x".repeat(99))).toThrow(
      /WEFT_EVENT_TOO_LARGE: .*topic 'field' has 101 bytes; the limit is 100/,
    );
    expect(() => encode("é".repeat(50))).toThrow(/102 bytes/);
  });
});

describe("metadata of a raw topic", () => {
  const encode = encoderOf("raw", 4, "frames");

  it("is bytes", () => {
    const bytes = new Uint8Array([1, 2]);
    expect(encode(bytes)).toBe(bytes);
    expect(() => encode({})).toThrow(/WEFT_METADATA_INVALID: .*topic 'frames' is an object/);
    expect(() => encode(new Uint8Array(5))).toThrow(/WEFT_EVENT_TOO_LARGE: .*topic 'frames'/);
  });
});

describe("a message about metadata", () => {
  it("says what to do next", () => {
    for (const [serializer, value, next] of [
      ["json", undefined, /JSON.stringify/],
      ["json", "x".repeat(200), /the event's data/],
      ["raw", {}, /Uint8Array/],
      ["raw", new Uint8Array(200), /the event's data/],
    ] as const) {
      let thrown: unknown;
      try {
        encoderOf(serializer, 100, "field")(value);
      } catch (error) {
        thrown = error;
      }
      expect((thrown as WeftError).next).toMatch(next);
    }
  });
});
