/**
 * Writer and reader of a topic's packed metadata, with the errors that name its fields. Made once for a topic. JavaScript
 * thread; nothing here crosses into native code, and writing allocates nothing.
 */
import { WeftError } from "../errors.js";
import { recordFunctions } from "./compile.js";
import { type PlacedField, type RecordLayout, layoutOf, typeText } from "./layout.js";
import { type ReadField, type ReadRecord, fieldReader, recordLength } from "./reader.js";
import type { PackedSchema } from "./schema.js";
import type { RecordMemory, WriteRecord } from "./writer.js";

const integerRanges: Readonly<Record<string, string>> = {
  u8: "0 to 255",
  u16: "0 to 65,535",
  u32: "0 to 4,294,967,295",
  u64: "0 to 18,446,744,073,709,551,615, a bigint or a safe integer",
  i8: "-128 to 127",
  i16: "-32,768 to 32,767",
  i32: "-2,147,483,648 to 2,147,483,647",
  i64: "-9,223,372,036,854,775,808 to 9,223,372,036,854,775,807, a bigint or a safe integer",
};

/** What a field takes, in words. */
export function wantedText({ type, length, bytes }: PlacedField): string {
  if (type === "string") return bytes === undefined ? "a text" : `a text of at most ${bytes} bytes of UTF-8`;
  if (type === "bytes") return bytes === undefined ? "a Uint8Array" : `a Uint8Array of ${bytes} bytes`;
  const range = integerRanges[type];
  const one =
    range !== undefined
      ? `whole numbers of ${range}`
      : type === "bool"
        ? "true or false"
        : type === "f32"
          ? "numbers that 32 bits hold"
          : "numbers";
  return length === undefined ? one : `a list of ${length}: ${one}`;
}

function shown(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return value.length > 40 ? `"${value.slice(0, 37)}..."` : JSON.stringify(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return `a ${value.constructor?.name ?? "object"}`;
  return typeof value === "function" || typeof value === "symbol" ? `a ${typeof value}` : String(value);
}

export class PackedCodec {
  readonly layout: RecordLayout;
  /** Bytes that every record has; all of them where there is no variable part. */
  readonly fixedBytes: number;
  readonly read: ReadRecord;
  /** Whether writer and reader were compiled; closures otherwise. */
  readonly compiled: boolean;
  readonly #topicName: string;
  readonly #write: WriteRecord;
  readonly #fields: ReadonlyMap<string, ReadField>;
  readonly #variable: boolean;

  /** Of a schema without problems; `topicName` is for the messages. */
  constructor(schema: PackedSchema, topicName: string, mayCompile = true) {
    this.#topicName = topicName;
    this.layout = layoutOf(schema);
    this.fixedBytes = this.layout.fixedBytes;
    this.#variable = this.layout.variable.length > 0;
    const fail = (field: PlacedField, value: unknown, why?: string): never => {
      throw this.#invalid(field, value, why);
    };
    const { write, read, compiled } = recordFunctions(this.layout, fail, mayCompile);
    this.#write = write;
    this.read = read;
    this.compiled = compiled;
    this.#fields = new Map(this.layout.fields.map((field) => [field.name, fieldReader(this.layout, field)]));
  }

  /**
   * Writes a record (an object with the fields, or its bytes) at `at`; returns its end, or -1 if it reaches behind
   * `limit`. At least `fixedBytes` must be there. WEFT_METADATA_INVALID naming the field; bytes up to the limit may be
   * written then.
   */
  write(memory: RecordMemory, at: number, limit: number, record: unknown): number {
    if (typeof record !== "object" || record === null) throw this.#notRecord(record);
    if (record instanceof Uint8Array) return this.#writeBytes(memory, at, limit, record);
    return this.#write(memory, at, limit, record as Record<string, unknown>);
  }

  /** The reader of one field; undefined where the schema has none of that name. */
  field(name: string): ReadField | undefined {
    return this.#fields.get(name);
  }

  /** Why the `length` bytes at `at` are no record of the schema; undefined if they are. */
  problemOf(view: DataView, at: number, length: number): string | undefined {
    if (length === this.fixedBytes && !this.#variable) return undefined;
    const wanted = recordLength(this.layout, view, at, length);
    if (length === wanted) return undefined;
    if (length < this.fixedBytes || !this.#variable) return `has ${length} bytes; its record has ${this.fixedBytes}`;
    return `has ${length} bytes; the lengths in its record make ${wanted}`;
  }

  #writeBytes(memory: RecordMemory, at: number, limit: number, record: Uint8Array): number {
    const { byteLength } = record;
    const problem = this.problemOf(new DataView(record.buffer, record.byteOffset, byteLength), 0, byteLength);
    if (problem !== undefined) {
      throw new WeftError(
        "WEFT_METADATA_INVALID",
        `the metadata of an event for topic '${this.#topicName}' ${problem}`,
        {
          next: "push an object with the fields of the topic's schema, or the bytes of a whole record",
        },
      );
    }
    if (byteLength > limit - at) return -1;
    memory.bytes.set(record, at);
    return at + byteLength;
  }

  #notRecord(value: unknown): WeftError {
    return new WeftError(
      "WEFT_METADATA_INVALID",
      `the metadata of an event for topic '${this.#topicName}' is ${shown(value)}; its serializer takes objects with the fields of its schema`,
      { next: "push an object with all fields; weftline topic describe shows them" },
    );
  }

  #invalid(field: PlacedField, value: unknown, why: string | undefined): WeftError {
    const what = value === undefined && why === undefined ? "is missing" : (why ?? `is ${shown(value)}`);
    const item = why?.startsWith("has item ") === true ? `: ${shown(value)}` : "";
    return new WeftError(
      "WEFT_METADATA_INVALID",
      `the metadata of an event for topic '${this.#topicName}': field '${field.name}' (${typeText(field)}) ${what}${item}; it takes ${wantedText(field)}`,
      { next: "correct that field; weftline topic describe shows the schema" },
    );
  }
}
