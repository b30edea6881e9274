// Packed metadata of events: whole, by field, and records that are none.
import { describe, expect, it } from "vitest";

import { Event, type EventOwner } from "../../../src/consumer/event.js";
import { FrameScratch } from "../../../src/consumer/frame-layout.js";
import { PackedCodec } from "../../../src/packed/codec.js";

const codec = new PackedCodec(
  {
    fields: [
      { name: "step", type: "u16" },
      { name: "raw", type: "bytes", bytes: 2 },
    ],
  },
  "field",
);

/** Events of a frame whose metadata has these lengths. */
function events(
  bytes: Uint8Array<ArrayBuffer>,
  lengths: number[],
  packed = true,
): Event<{ step: number; raw: Uint8Array }>[] {
  const scratch = new FrameScratch();
  const words = new Uint32Array(scratch.memory);
  words[1] = lengths.length;
  let end = 0;
  lengths.forEach((length, index) => (words[16 + index] = end += length));
  const frame = scratch.take(bytes, false, packed ? codec : undefined);
  return lengths.map((_, index) => new Event({} as EventOwner, frame, index));
}

// At an odd place in a larger buffer: frames may lie anywhere.
const memory = new Uint8Array(64).subarray(3, 3 + 12);
memory.set([1, 0, 10, 11, 2, 1, 20, 21, 3, 0, 0, 0]);

describe("an event of packed metadata", () => {
  it("gives its record as an object, made once, and by field", () => {
    const [first, second] = events(memory, [4, 4, 4]);
    expect(first?.metadata).toEqual({ step: 1, raw: Buffer.of(10, 11) });
    expect(first?.metadata).toBe(first?.metadata);
    expect(second?.field("step")).toBe(258);
    expect([...(second?.field("raw") ?? [])]).toEqual([20, 21]);
    expect([...(second?.metadataBytes ?? [])]).toEqual([2, 1, 20, 21]);
    expect(second?.metadataText).toBeUndefined();
  });

  it("refuses a record of another length, and the others are undisturbed", () => {
    const [first, second, third] = events(memory, [4, 3, 4]);
    expect(first?.field("step")).toBe(1);
    for (const read of [() => second?.metadata, () => second?.field("step")]) {
      expect(read).toThrow(/^WEFT_METADATA_INVALID: the metadata of event 0:1 has 3 bytes; its record has 4/);
    }
    expect([...(second?.metadataBytes ?? [])]).toEqual([2, 1, 20]);
    expect(third?.field("step")).toBe(21 + 3 * 256);
  });

  it("names the fields where one is asked for that is not there", () => {
    const [event] = events(memory, [4]);
    expect(() => event?.field("stop" as "step")).toThrow(/has no field 'stop'; the topic's schema has step, raw/);
    const [raw] = events(memory, [4], false);
    expect(() => raw?.field("step")).toThrow(/has no field 'step': the topic's metadata is not packed/);
  });
});
