/** A serializer that is a pair of functions. */

/** What metadata is stored as; throws if it cannot be. The bytes are taken during the call. */
export type EncodeWith<Metadata = unknown> = (metadata: Metadata) => Uint8Array | string;
/** The metadata that stored bytes mean; throws if they mean none. The bytes stay valid, and must not be changed. */
export type DecodeMetadata<Metadata = unknown> = (bytes: Uint8Array) => Metadata;

/** What the export of a serializer's module makes of its options. */
export interface MetadataCodec<Metadata = unknown> {
  readonly encode: EncodeWith<Metadata>;
  readonly decode: DecodeMetadata<Metadata>;
}

export function isMetadataCodec(value: unknown): value is MetadataCodec {
  const { encode, decode } = (value ?? {}) as Partial<MetadataCodec>;
  return typeof encode === "function" && typeof decode === "function";
}
