/**
 * The C header of a topic's packed metadata: a struct that is the fixed part of the record byte for byte, with its size
 * and offsets asserted when it is compiled, and readers that check lengths (docs/formats/packed.md). Pure.
 */
import { type PlacedField, type RecordLayout, layoutOf } from "./layout.js";
import { type PackedSchema, lengthNameOf } from "./schema.js";

const types: Readonly<Record<string, string>> = {
  ...{ u8: "uint8_t", u16: "uint16_t", u32: "uint32_t", u64: "uint64_t" },
  ...{ i8: "int8_t", i16: "int16_t", i32: "int32_t", i64: "int64_t" },
  ...{ f32: "float", f64: "double", bool: "bool", string: "char", bytes: "uint8_t" },
};

/** "field_record" for the topic "field": an identifier, whatever the topic's name holds. */
export function structNameOf(topicName: string): string {
  const name = `${topicName.replaceAll(/[^A-Za-z0-9]+/g, "_").replaceAll(/^_+|_+$/g, "")}_record`;
  return /^[A-Za-z]/.test(name) ? name : `topic_${name}`.replace("__", "_");
}

function memberOf(field: PlacedField): string {
  const { name, type, length, bytes } = field;
  if (field.variable) {
    const what = type === "string" ? "bytes of UTF-8" : "bytes";
    return `  uint32_t ${lengthNameOf(name)}; /* of ${name}: so many ${what} behind the struct */`;
  }
  const count = length ?? bytes;
  const comment = type === "string" ? " /* UTF-8, filled up with 0; without one at its end where it is full */" : "";
  return `  ${types[type]} ${name}${count === undefined ? "" : `[${count}]`};${comment}`;
}

function nameInStruct(field: PlacedField): string {
  return field.variable ? lengthNameOf(field.name) : field.name;
}

function readersOf(struct: string, { variable }: RecordLayout): string {
  const length = ["sizeof *record", ...variable.map(({ name }) => `(uint64_t)record->${lengthNameOf(name)}`)];
  const accessors = variable.map((field, index) => {
    const { name, type } = field;
    const before = variable.slice(0, index).map((other) => ` + record->${lengthNameOf(other.name)}`);
    return `
/* ${name} of the record at \`metadata\`: record->${lengthNameOf(name)} bytes${type === "string" ? ", without a 0 behind them" : ""}. */
static inline const ${types[type]}* ${struct}_${name}(const void* metadata, const ${struct}* record) {
  return (const ${types[type]}*)metadata + sizeof *record${before.join("")};
}
`;
  });
  return `/* Copies the fixed part of an event's metadata into \`record\`: 1, or 0 if it is no record of this schema. */
static inline int read_${struct}(const void* metadata, uint64_t bytes, ${struct}* record) {
  if (bytes < sizeof *record) return 0;
  memcpy(record, metadata, sizeof *record);
  return bytes == ${length.join(" + ")};
}
${accessors.join("")}`;
}

/** The header's text; of a schema without problems. */
export function cHeader(topicName: string, schema: PackedSchema, struct = structNameOf(topicName)): string {
  const layout = layoutOf(schema);
  const guard = `WEFTLINE_TOPIC_${struct.toUpperCase()}_H`;
  const offsets = layout.fields.map(
    (field) => `static_assert(offsetof(${struct}, ${nameInStruct(field)}) == ${field.at}, "not the topic's layout");`,
  );
  const behind =
    layout.variable.length === 0
      ? `Push one with weft_push(producer, &record, sizeof record, …).`
      : `Push it together with the bytes of ${layout.variable.map(({ name }) => name).join(", ")} behind it, in this order.`;
  return `/* Metadata of topic '${topicName}', written by \`weftline topic header ${topicName}\`. ${behind} */
#ifndef ${guard}
#define ${guard}

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records are little-endian: this machine is not"
#endif

typedef struct ${struct} {
${layout.fields.map(memberOf).join("\n")}
} ${struct};

static_assert(sizeof(${struct}) == ${layout.fixedBytes}, "not the topic's layout");
${offsets.join("\n")}

${readersOf(struct, layout)}
#endif
`;
}
