// The text of the C header; that it compiles, and that records go both ways, is in test/integration/packed.test.ts.
import { expect, it } from "vitest";

import { cHeader, structNameOf } from "../../../src/packed/c-header.js";

it("is the struct of the format's example, with its layout asserted", () => {
  const text = cHeader("quakes.eu", {
    fields: [
      { name: "step", type: "u32" },
      { name: "t", type: "f64" },
      { name: "label", type: "string", bytes: 16 },
      { name: "note", type: "string" },
    ],
  });
  expect(text).toContain(`typedef struct quakes_eu_record {
  uint32_t step;
  double t;
  char label[16]; /* UTF-8, filled up with 0; without one at its end where it is full */
  uint32_t note_bytes; /* of note: so many bytes of UTF-8 behind the struct */
} quakes_eu_record;

static_assert(sizeof(quakes_eu_record) == 40, "not the topic's layout");
static_assert(offsetof(quakes_eu_record, step) == 0, "not the topic's layout");
static_assert(offsetof(quakes_eu_record, t) == 8, "not the topic's layout");
static_assert(offsetof(quakes_eu_record, label) == 16, "not the topic's layout");
static_assert(offsetof(quakes_eu_record, note_bytes) == 32, "not the topic's layout");
`);
  expect(text).toContain("#ifndef WEFTLINE_TOPIC_QUAKES_EU_RECORD_H\n");
});

it.each([
  ["field", "field_record"],
  ["a.b-c", "a_b_c_record"],
  ["2nd", "topic_2nd_record"],
  ["_", "topic_record"],
])("names the struct of topic '%s' %s", (topic, struct) => {
  expect(structNameOf(topic)).toBe(struct);
});
