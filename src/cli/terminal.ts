// The streams of one run of the command: data on stdout, words on stderr, progress only on a terminal. A reader that
// goes away (`| head`) ends the command quietly.

import type { Readable, Writable } from "node:stream";
import { WeftError } from "../errors.js";
import { errorText, errorWords } from "../control/error-text.js";

export interface Streams {
  readonly input: Readable;
  readonly output: Writable;
  readonly words: Writable & { isTTY?: boolean };
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
}

/** Nobody reads stdout any more. Not a failure. */
export class ReaderGone extends Error {}

export class Terminal {
  #gone = false;
  #progressShown = false;
  #onGone: (() => void)[] = [];

  constructor(
    readonly streams: Streams,
    /** Set once the command line is parsed. */
    public json = false,
  ) {
    streams.output.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && error.code !== "ERR_STREAM_DESTROYED") this.say(`stdout: ${error.message}`);
      this.#gone = true;
      for (const call of this.#onGone.splice(0)) call();
    });
    // Words that nobody reads are no reason to fail.
    streams.words.on("error", () => undefined);
  }

  get readerGone(): boolean {
    return this.#gone;
  }

  /** Writes data, waiting while the reader is slow. Throws ReaderGone when there is none. */
  async write(data: string | Uint8Array): Promise<void> {
    // A stream that is destroyed already says nothing more.
    if (this.#gone || this.streams.output.destroyed) throw new ReaderGone();
    if (this.streams.output.write(data)) return;
    await new Promise<void>((resolve) => {
      this.streams.output.once("drain", resolve);
      this.#onGone.push(resolve);
    });
    this.#onGone = [];
    if (this.#gone) throw new ReaderGone();
  }

  /** Resolves when all data was taken. */
  async flush(): Promise<void> {
    await this.write("");
    await new Promise<void>((resolve, reject) => {
      this.streams.output.write("", (error) => (error ? reject(new ReaderGone()) : resolve()));
    });
  }

  /** A line of JSON as data. */
  async writeJson(value: unknown): Promise<void> {
    await this.write(`${JSON.stringify(value)}\n`);
  }

  /** A line of words. */
  say(text: string): void {
    this.#clearProgress();
    this.streams.words.write(`${text}\n`);
  }

  /** Replaces the line of progress, on a terminal only. */
  progress(text: string): void {
    if (this.streams.words.isTTY !== true || this.json) return;
    this.streams.words.write(`\r\u001b[K${text}`);
    this.#progressShown = true;
  }

  #clearProgress(): void {
    if (this.#progressShown) this.streams.words.write("\r\u001b[K");
    this.#progressShown = false;
  }

  /** An error in words: what failed, and what to do next. As JSON on stderr with --json. */
  fail(error: unknown): void {
    this.#clearProgress();
    const suppressed = (error as { suppressed?: unknown } | undefined)?.suppressed;
    if (suppressed !== undefined) {
      // `await using`: the first error is why, what the closing then met is a consequence.
      this.fail(suppressed);
      if (!this.json) this.say(`weftline: while closing: ${errorText((error as { error?: unknown }).error)}`);
      return;
    }
    if (this.json) {
      const { code, canRetry, next } =
        error instanceof WeftError ? error : { code: "WEFT_INTERNAL", canRetry: false, next: "" };
      const message = error instanceof WeftError ? errorWords(error) : String(error);
      this.streams.words.write(`${JSON.stringify({ error: { code, message, canRetry, next } })}\n`);
      return;
    }
    if (!(error instanceof WeftError)) {
      this.say(`weftline: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      return;
    }
    this.say(`weftline: ${error.message}`);
    if (error.next !== "" && !error.message.includes(error.next)) this.say(`  next: ${error.next}`);
  }
}

/** "4,912". */
export function grouped(number: number | bigint): string {
  return number.toLocaleString("en-US");
}

/** "1.1 MB". */
export function humanBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Columns padded to the widest cell; the last one is not padded. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, cell.length)));
  return rows
    .map((row) =>
      row.map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0))).join("   "),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}
