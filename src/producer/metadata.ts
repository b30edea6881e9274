/** Metadata to text or bytes, as the topic's serializer has it. */
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

/** `topicName` is for the messages. */
export function metadataEncoder(serializer: "json" | "raw", bytesMax: number, topicName: string): EncodeMetadata {
  return serializer === "json"
    ? (value) => encodeJson(value, bytesMax, topicName)
    : (value) => encodeRaw(value, bytesMax, topicName);
}

function notJson(topicName: string, why: string, cause?: unknown): WeftError {
  return new WeftError(
    "WEFT_METADATA_INVALID",
    `the metadata of an event for topic '${topicName}' is not JSON: ${why}`,
    {
      cause,
      next: "push a value that JSON.stringify takes, or its text as EncodedJson",
    },
  );
}

function encodeJson(value: unknown, bytesMax: number, topicName: string): string {
  let text: string | undefined;
  try {
    text = value instanceof EncodedJson ? value.text : JSON.stringify(value);
  } catch (cause) {
    throw notJson(topicName, cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause), cause);
  }
  // undefined, a function or a symbol have no JSON. The types of JSON.stringify do not say so.
  if ((text as string | undefined) === undefined) throw notJson(topicName, `${describe(value)} has no JSON form`);
  if (text.length * 3 > bytesMax) checkLength(Buffer.byteLength(text), bytesMax, topicName);
  return text;
}

function encodeRaw(value: unknown, bytesMax: number, topicName: string): Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new WeftError(
      "WEFT_METADATA_INVALID",
      `the metadata of an event for topic '${topicName}' is ${describe(value)}; its serializer takes bytes`,
      { next: "push a Uint8Array or Buffer" },
    );
  }
  checkLength(value.byteLength, bytesMax, topicName);
  return value;
}

function checkLength(length: number, bytesMax: number, topicName: string): void {
  if (length <= bytesMax) return;
  throw new WeftError(
    "WEFT_EVENT_TOO_LARGE",
    `the metadata of an event for topic '${topicName}' has ${length} bytes; the limit is ${bytesMax}`,
    { next: "put what is large into the event's data" },
  );
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
