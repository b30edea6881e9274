/** Metadata to text or bytes, as the topic's serializer has it. */
import { forget, invalid } from "../check.js";
import { WeftError, wordsOf } from "../errors.js";
import { isDetached } from "../job/region.js";
import type { TopicContext } from "../topic/context.js";
import type { MetadataCodec } from "../topic/metadata-codec.js";
import { type RecordMemory, recordMemory } from "../packed/writer.js";

/** Metadata of one event, in bytes. */
export const metadataBytesMax = 1024 * 1024;

/**
 * Metadata that is JSON text already: stored as these bytes, byte for byte. It is parsed only where a validator or a partition
 * selector wants to know what it says; else the caller vouches for it.
 *
 * @example
 * ```ts
 * out.push(new EncodedJson('{"mag":4.60,"place":"Hilo"}'));
 * ```
 */
export class EncodedJson {
  /** As it will be stored. */
  readonly text: string;
  #value: { readonly value: unknown } | undefined;

  /** `value`: what the text says, if it is known already. WEFT_INVALID_ARGUMENT for what is no text. */
  constructor(text: string, value?: unknown) {
    if (typeof text !== "string") throw invalid("the text of EncodedJson", text, "a text");
    this.text = text;
    this.#value = value === undefined ? undefined : { value };
  }

  /** What the text says. WEFT_METADATA_INVALID if it is not JSON. */
  get value(): unknown {
    try {
      return (this.#value ??= { value: JSON.parse(this.text) as unknown }).value;
    } catch (cause) {
      throw new WeftError("WEFT_METADATA_INVALID", `EncodedJson is not JSON: ${(cause as Error).message}`, { cause });
    }
  }
}

/** What validators and partition selectors get to see. */
export function valueOf<Metadata>(metadata: Metadata): Metadata {
  return metadata instanceof EncodedJson ? (metadata.value as Metadata) : metadata;
}

export type EncodeMetadata = (metadata: unknown) => string | Uint8Array;

export type EncodedTopic = Pick<TopicContext, "serializer" | "name" | "codec" | "custom">;

/** What it returns from packed records is its own memory, valid until the next call. */
export function metadataEncoder(
  { serializer, name: topicName, codec, custom }: EncodedTopic,
  bytesMax: number,
): EncodeMetadata {
  if (custom !== undefined) return (value) => encodeWith(custom, value, bytesMax, topicName);
  if (serializer === "json") return (value) => encodeJson(value, bytesMax, topicName);
  if (codec === undefined) return (value) => encodeRaw(value, bytesMax, topicName);
  let scratch = recordMemory(new Uint8Array(Math.max(scratchBytes, codec.fixedBytes)));
  const encode = (record: unknown): Uint8Array => {
    const end = codec.write(scratch, 0, scratch.bytes.byteLength, record);
    if (end >= 0) {
      checkLength(end, bytesMax, topicName);
      return scratch.bytes.subarray(0, end);
    }
    checkLength(scratch.bytes.byteLength + 1, bytesMax, topicName);
    scratch = grown(scratch);
    return encode(record);
  };
  return encode;
}

/** Memory for packed records that find no open batch; it grows to what records need, at most to the largest metadata. */
const scratchBytes = 4096;
function grown(scratch: RecordMemory): RecordMemory {
  return recordMemory(new Uint8Array(Math.min(2 * scratch.bytes.byteLength, metadataBytesMax + 1)));
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
    throw notJson(topicName, wordsOf(cause).split("\n")[0] ?? "", cause);
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
  if (isDetached(value)) {
    throw new WeftError(
      "WEFT_METADATA_INVALID",
      `the metadata of an event for topic '${topicName}' is detached memory`,
      {
        next: "push bytes before their memory is transferred",
      },
    );
  }
  checkLength(value.byteLength, bytesMax, topicName);
  return value;
}

function encodeWith(codec: MetadataCodec, value: unknown, bytesMax: number, topicName: string): Uint8Array {
  const fail = (why: string, cause?: unknown): WeftError =>
    new WeftError("WEFT_METADATA_INVALID", `the serializer of topic '${topicName}' cannot take the metadata: ${why}`, {
      cause,
      next: "correct the metadata, or look at the serializer",
    });
  let encoded: unknown;
  try {
    encoded = codec.encode(value);
  } catch (cause) {
    throw fail(wordsOf(cause).split("\n")[0] ?? "", cause);
  }
  const bytes = typeof encoded === "string" ? Buffer.from(encoded) : encoded;
  if (!(bytes instanceof Uint8Array)) {
    forget(bytes);
    throw fail(`it made ${describe(bytes)}, neither bytes nor a text`);
  }
  if (isDetached(bytes)) throw fail("it made detached memory");
  checkLength(bytes.byteLength, bytesMax, topicName);
  return bytes;
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
