// Splits a stream of bytes into lines without decoding them, so that what goes out is byte for byte what came in.

import { WeftError } from "../errors.js";

export const LINE_BYTES_MAX = 16 * 1024 * 1024;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

export interface Line {
  /** From 1. */
  number: number;
  /** Without the end of line (\n or \r\n). Valid until the next line is asked for. */
  bytes: Uint8Array;
}

/**
 * Lines of NDJSON. Empty ones are counted and skipped. A line longer than LINE_BYTES_MAX ends the stream with
 * WEFT_EVENT_TOO_LARGE, naming it: its end would have to be looked for without a bound.
 */
export async function* readLines(input: AsyncIterable<Uint8Array | string>): AsyncGenerator<Line[]> {
  let number = 0;
  let pieces: Uint8Array[] = [];
  let pieceBytes = 0;
  const finish = (last: Uint8Array): Line | undefined => {
    number++;
    let bytes = last;
    if (pieces.length > 0) {
      bytes = Buffer.concat([...pieces, last]);
      pieces = [];
      pieceBytes = 0;
    }
    if (bytes.at(-1) === RETURN) bytes = bytes.subarray(0, -1);
    return bytes.length === 0 ? undefined : { number, bytes };
  };
  for await (const given of input) {
    const chunk = typeof given === "string" ? Buffer.from(given) : given;
    const lines: Line[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      const line = finish(chunk.subarray(from, at));
      if (line) lines.push(line);
      from = at + 1;
    }
    if (from < chunk.length) {
      pieces.push(chunk.subarray(from));
      pieceBytes += chunk.length - from;
      if (pieceBytes > LINE_BYTES_MAX) {
        if (lines.length > 0) yield lines;
        throw new WeftError("WEFT_EVENT_TOO_LARGE", `line ${number + 1} is longer than ${LINE_BYTES_MAX} bytes`, {
          next: "split it; what came before it is stored",
        });
      }
    }
    if (lines.length > 0) yield lines;
  }
  if (pieceBytes > 0) {
    const line = finish(new Uint8Array(0));
    if (line) yield [line];
  }
}
