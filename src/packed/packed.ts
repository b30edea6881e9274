/** What a program says of packed metadata: its schema. */
import { formatPath } from "../config/topic-config.js";
import { WeftError } from "../errors.js";
import { type PackedField, type PackedSchema, problemOfSchema } from "./schema.js";

/**
 * A schema for `createTopic` and `serve`, checked: WEFT_CONFIG_INVALID names the field. Its fields keep their literal
 * types, from which `PackedMetadata` makes the type of the metadata. The bytes are those of a C struct, which
 * `weftline topic header` writes (docs/formats/packed.md). u64 and i64 are bigint; `push` takes safe integers too, where the type is not checked, and
 * leaves out members that the schema does not have. Local.
 *
 * @example
 * ```ts
 * const schema = packed([
 *   { name: "step", type: "u32" },
 *   { name: "time", type: "f64" },
 *   { name: "label", type: "string", bytes: 16 },
 * ]);
 * type Step = PackedMetadata<typeof schema>;
 * const steps = await job.createTopic<Step>("steps", { packed: schema }, { ifExists: "open" });
 * await using writer = await steps.producer();
 * writer.push({ step: 1, time: 0.5, label: "start" });
 * await writer.flush();
 * for await (const event of steps.consumer({ until: "end" })) {
 *   if (event.field("step") > 0) console.log(event.metadata.label);
 * }
 * ```
 */
export function packed<const Fields extends readonly PackedField[]>(fields: Fields): PackedSchema<Fields> {
  const schema: PackedSchema<Fields> = { version: 1, fields };
  const problem = problemOfSchema(schema);
  if (problem === undefined) return schema;
  throw new WeftError("WEFT_CONFIG_INVALID", `packed: ${formatPath(problem.path)}: ${problem.message}`, {
    next: "correct that field",
  });
}
