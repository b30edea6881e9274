/** The type of metadata that a packed schema describes. Types only. */
import type { NumberType, PackedSchema } from "./schema.js";

type Item<Type> = Type extends "u64" | "i64" ? bigint : Type extends NumberType ? number : boolean;
type Value<Field> = Field extends { readonly type: "string" }
  ? string
  : Field extends { readonly type: "bytes" }
    ? Uint8Array
    : Field extends { readonly type: infer Type; readonly length: number }
      ? readonly Item<Type>[]
      : Field extends { readonly type: infer Type }
        ? Item<Type>
        : never;

/** The metadata of events whose topic has this schema: `PackedMetadata<typeof schema>`. */
export type PackedMetadata<Schema extends PackedSchema> = {
  readonly [Field in Schema["fields"][number] as Field["name"]]: Value<Field>;
};
