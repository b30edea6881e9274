/** The type of what a JSON Schema describes, for schemas that TypeScript sees as literals (`as const`). Types only. */

interface Scalars {
  readonly string: string;
  readonly number: number;
  readonly integer: number;
  readonly boolean: boolean;
  readonly null: null;
}

type Required<S> = S extends { readonly required: readonly (infer Name)[] } ? Name : never;
type Properties<S> = S extends { readonly properties: infer P } ? P : object;
type Flat<T> = { [Name in keyof T]: T[Name] };

type ObjectOf<S> = Flat<
  {
    -readonly [Name in keyof Properties<S> as Name extends Required<S> ? Name : never]: SchemaMetadata<
      Properties<S>[Name]
    >;
  } & {
    -readonly [Name in keyof Properties<S> as Name extends Required<S> ? never : Name]?: SchemaMetadata<
      Properties<S>[Name]
    >;
  }
>;
type ArrayOf<S> = S extends { readonly items: infer Items } ? SchemaMetadata<Items>[] : unknown[];

type OfType<Type, S> = Type extends keyof Scalars
  ? Scalars[Type]
  : Type extends "array"
    ? ArrayOf<S>
    : Type extends "object"
      ? ObjectOf<S>
      : unknown;

/**
 * What metadata is that meets the schema: `type`, `properties`, `required`, `items`, `enum`, `const`, `anyOf` and `oneOf` are
 * understood, anything else is `unknown`.
 *
 * @example
 * ```ts
 * const schema = { type: "object", properties: { mag: { type: "number" } }, required: ["mag"] } as const;
 * type Quake = SchemaMetadata<typeof schema>; // { mag: number }
 * ```
 */
export type SchemaMetadata<S> = S extends { readonly const: infer Value }
  ? Value
  : S extends { readonly enum: readonly (infer Value)[] }
    ? Value
    : S extends { readonly anyOf: readonly (infer Either)[] } | { readonly oneOf: readonly (infer Either)[] }
      ? SchemaMetadata<Either>
      : S extends { readonly type: readonly (infer Types)[] }
        ? OfType<Types, S>
        : S extends { readonly type: infer Type }
          ? OfType<Type, S>
          : S extends { readonly properties: unknown }
            ? ObjectOf<S>
            : unknown;
