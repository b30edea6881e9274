/** Metadata to text or bytes, as the topic's serializer has it. */
import { invalid } from "../check.js";
import { WeftError } from "../errors.js";

/** Metadata of one event, in bytes. */
export const metadataBytesMax = 1024 * 1024;

/**
 * Metadata that is JSON text already: stored as these bytes, byte for byte. It is not parsed: the caller vouches for it.
 *
 * @example
 * ```ts
 * out.push(new EncodedJson('{"mag":4.60,"place":"Hilo"}'));
 * ```
 */
export class EncodedJson {
  /** As it will be stored. */
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type EncodeMetadata = (metadata: unknown) => string | Uint8Array;

export function metadataEncoder(serializer: "json" | "raw", bytesMax: number): EncodeMetadata {
  return serializer === "json" ? (value) => encodeJson(value, bytesMax) : (value) => encodeRaw(value, bytesMax);
}

function encodeJson(value: unknown, bytesMax: number): string {
  let text: string | undefined;
  try {
    text = value instanceof EncodedJson ? value.text : JSON.stringify(value);
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
    throw new WeftError("WEFT_METADATA_INVALID", `the metadata is not JSON: ${why}`, { cause });
  }
  // undefined, a function or a symbol have no JSON. The types of JSON.stringify do not say so.
  if ((text as string | undefined) === undefined) {
    throw new WeftError("WEFT_METADATA_INVALID", `the metadata is not JSON: ${describe(value)} has no JSON form`);
  }
  if (text.length * 3 > bytesMax) checkLength(Buffer.byteLength(text), bytesMax);
  return text;
}

function encodeRaw(value: unknown, bytesMax: number): Uint8Array {
  if (!(value instanceof Uint8Array)) {
    const problem = invalid("the metadata", value, "a Uint8Array or Buffer, for the topic's serializer is not json");
    throw new WeftError("WEFT_METADATA_INVALID", problem.message.replace("WEFT_INVALID_ARGUMENT: ", ""));
  }
  checkLength(value.byteLength, bytesMax);
  return value;
}

function checkLength(length: number, bytesMax: number): void {
  if (length <= bytesMax) return;
  throw new WeftError("WEFT_EVENT_TOO_LARGE", `the metadata has ${length} bytes; the limit is ${bytesMax}`, {
    next: "put what is large into the event's data",
  });
}

function describe(value: unknown): string {
  return value === undefined ? "undefined" : `a ${typeof value}`;
}
