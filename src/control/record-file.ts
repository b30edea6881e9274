// A file of checksummed JSON records, appended one at a time and synced each time: what carries the catalogue
// (docs/formats/catalogue.md has the bytes). Not for concurrent callers: the catalogue queues them.
//
// Promises: an append that returned is durable. One that failed is not in the file; when that cannot be guaranteed any
// more (a sync failed, a failed write could not be undone), the file takes no more records.
// What can fail: a torn tail is cut at open; damage before the tail is WEFT_CORRUPT and changes nothing.

import { WeftError } from "../errors.js";
import { type AppendFile, commitFile, type ControlFiles, prepareFile } from "./control-files.js";

export type Checksum = (bytes: Uint8Array) => number;

export const RECORD_BYTES_MAX = 64 * 1024;
const PREFIX_BYTES = 18; // two times eight digits, each with a space behind
const PREFIX = /^([0-9a-f]{8}) ([0-9a-f]{8}) $/;
const NEWLINE = 0x0a;

export interface CatalogueRecord {
  n: number;
  type: string;
  [member: string]: unknown;
}

export interface RecordsRead {
  records: CatalogueRecord[];
  /** Bytes of the good part. */
  length: number;
  /** Set if something behind the good part is to be cut. */
  tail?: { bytes: number; reason: string };
}

function hexadecimal(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}

export function encodeRecord(record: CatalogueRecord, checksum: Checksum): Uint8Array {
  const json = Buffer.from(JSON.stringify(record), "utf8");
  if (json.length > RECORD_BYTES_MAX) {
    throw new WeftError(
      "WEFT_LIMIT",
      `a catalogue record of ${json.length} bytes is larger than ${RECORD_BYTES_MAX}; give the topic fewer partitions or options`,
    );
  }
  const prefix = `${hexadecimal(json.length)} ${hexadecimal(checksum(json))} `;
  return Buffer.concat([Buffer.from(prefix, "latin1"), json, Buffer.from("\n")]);
}

type Line = { record: CatalogueRecord; end: number } | { reason: string };

function decodeRecordAt(bytes: Uint8Array, at: number, checksum: Checksum): Line {
  const prefix = PREFIX.exec(Buffer.from(bytes.subarray(at, at + PREFIX_BYTES)).toString("latin1"));
  if (!prefix) return { reason: "does not begin with length and checksum" };
  const length = Number.parseInt(prefix[1] ?? "", 16);
  if (length > RECORD_BYTES_MAX) return { reason: `says it has ${length} bytes, more than ${RECORD_BYTES_MAX}` };
  const from = at + PREFIX_BYTES;
  if (from + length >= bytes.length) return { reason: "ends before its length" };
  if (bytes[from + length] !== NEWLINE) return { reason: "has no newline at its end" };
  const json = bytes.subarray(from, from + length);
  if (hexadecimal(checksum(json)) !== prefix[2]) return { reason: "does not match its checksum" };
  try {
    return { record: JSON.parse(Buffer.from(json).toString("utf8")) as CatalogueRecord, end: from + length + 1 };
  } catch {
    return { reason: "is not JSON" };
  }
}

/** Where a good record begins behind `from`, if any: then what lies before it was stored and is damaged. */
function goodRecordBehind(bytes: Uint8Array, from: number, checksum: Checksum): number | undefined {
  // Anywhere, not only behind a newline: the newline may be what is damaged.
  const text = Buffer.from(bytes.subarray(from + 1)).toString("latin1");
  for (const { index } of text.matchAll(/[0-9a-f]{8} [0-9a-f]{8} \{/g)) {
    if ("record" in decodeRecordAt(bytes, from + 1 + index, checksum)) return from + 1 + index;
  }
  return undefined;
}

export function decodeRecords(path: string, bytes: Uint8Array, checksum: Checksum): RecordsRead {
  const records: CatalogueRecord[] = [];
  let at = 0;
  while (at < bytes.length) {
    const line = decodeRecordAt(bytes, at, checksum);
    const previous = records.at(-1);
    const reason =
      "reason" in line
        ? line.reason
        : previous !== undefined && line.record.n !== previous.n + 1
          ? `has number ${line.record.n} behind ${previous.n}`
          : undefined;
    if (reason !== undefined) {
      // A record out of sequence is itself intact, so it was stored like that: never a torn tail.
      const next = "record" in line ? at : goodRecordBehind(bytes, at, checksum);
      if (next !== undefined) {
        throw new WeftError(
          "WEFT_CORRUPT",
          `${path}: the record at byte ${at} ${reason}, and good records follow at byte ${next}: stored bytes are damaged; restore the file from a copy`,
        );
      }
      return { records, length: at, tail: { bytes: bytes.length - at, reason } };
    }
    if ("record" in line) {
      records.push(line.record);
      at = line.end;
    }
  }
  return { records, length: at };
}

export class RecordFile {
  private constructor(
    private readonly files: ControlFiles,
    readonly path: string,
    private readonly checksum: Checksum,
    private file: AppendFile,
    private length: number,
  ) {}

  private failure: WeftError | undefined;

  /** Reads all records, cuts a torn tail (reported through `warn`), and leaves the file open for more. */
  static async open(
    files: ControlFiles,
    path: string,
    checksum: Checksum,
    warn: (text: string) => void,
  ): Promise<{ file: RecordFile; records: CatalogueRecord[] }> {
    await files.remove(`${path}.new`);
    const bytes = (await files.read(path)) ?? new Uint8Array(0);
    const { records, length, tail } = decodeRecords(path, bytes, checksum);
    const file = await files.openForAppend(path);
    try {
      if (tail) {
        warn(
          `${path}: cut ${tail.bytes} bytes at byte ${length}: the last record ${tail.reason}; a crash while it was written leaves that`,
        );
        await file.truncate(length);
        await file.sync();
      }
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
    return { file: new RecordFile(files, path, checksum, file, length), records };
  }

  async append(record: CatalogueRecord): Promise<void> {
    if (this.failure) throw this.failure;
    const bytes = encodeRecord(record, this.checksum);
    try {
      await this.file.append(bytes);
    } catch (error) {
      await this.undo(error);
      throw error;
    }
    try {
      await this.file.sync();
    } catch (error) {
      // The kernel may have dropped the pages: a second fdatasync would succeed and prove nothing.
      throw this.refuseFromNowOn(error);
    }
    this.length += bytes.length;
  }

  private async undo(cause: unknown): Promise<void> {
    try {
      await this.file.truncate(this.length);
    } catch {
      throw this.refuseFromNowOn(cause);
    }
  }

  private refuseFromNowOn(cause: unknown): WeftError {
    const why = cause instanceof Error ? cause.message : String(cause);
    this.failure = new WeftError(
      "WEFT_SYNC_FAILED",
      `${this.path} takes no more records: ${why}; topics that exist go on, to change them start the server again`,
      { cause },
    );
    return this.failure;
  }

  /** Puts `records` in the place of all there are, atomically. On failure before the rename the old file goes on. */
  async replace(records: readonly CatalogueRecord[]): Promise<void> {
    if (this.failure) throw this.failure;
    const bytes = Buffer.concat(records.map((record) => encodeRecord(record, this.checksum)));
    await prepareFile(this.files, this.path, bytes);
    try {
      await commitFile(this.files, this.path);
      await this.file.close();
      this.file = await this.files.openForAppend(this.path);
    } catch (error) {
      throw this.refuseFromNowOn(error);
    }
    this.length = bytes.length;
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}
