/**
 * Texts in packed records. Short ASCII texts are written unit by unit, longer ones with one call of Node, which costs as
 * much as the loop at 24 units (42 ns; the loop takes 1.6 ns a unit).
 */

const unitsInLoopMax = 24;

/**
 * What Buffer.write and toString come down to: Node has them on every Buffer, its types do not. Called directly they save
 * 20 ns a text of sorting out arguments, a tenth of what pushing a record costs.
 */
interface Utf8Buffer extends Buffer {
  utf8Write?: (text: string, at: number, room: number) => number;
  utf8Slice?: (start: number, end: number) => string;
}
const direct = Buffer.prototype as Utf8Buffer;
const writeUtf8: (bytes: Utf8Buffer, text: string, at: number, room: number) => number =
  typeof direct.utf8Write === "function"
    ? (bytes, text, at, room) => bytes.utf8Write?.(text, at, room) ?? 0
    : (bytes, text, at, room) => bytes.write(text, at, room);
/** The text of UTF-8 from `start` to `end`; what is not UTF-8 becomes U+FFFD. */
export const readUtf8: (bytes: Utf8Buffer, start: number, end: number) => string =
  typeof direct.utf8Slice === "function"
    ? (bytes, start, end) => bytes.utf8Slice?.(start, end) ?? ""
    : (bytes, start, end) => bytes.toString("utf8", start, end);

const zerosInLoopMax = 8;
const loneSurrogate = /\p{Surrogate}/u;

/** What `writeText` returns instead of a number of bytes. */
export const textProblem = { tooLong: -1, notWellFormed: -2, hasZero: -3 } as const;

/** Writes UTF-8 at `at`, at most `room` bytes; how many, or what is wrong (bytes in the room may be written then). */
export function writeText(bytes: Buffer, at: number, room: number, text: string, zeroAllowed: boolean): number {
  const { length } = text;
  if (length > room) return textProblem.tooLong; // a UTF-16 unit is at least one byte
  if (length > unitsInLoopMax) return writeLongText(bytes, at, room, text, zeroAllowed);
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f || (unit === 0 && !zeroAllowed)) return writeLongText(bytes, at, room, text, zeroAllowed);
    bytes[at + index] = unit;
  }
  return length;
}

function writeLongText(bytes: Buffer, at: number, room: number, text: string, zeroAllowed: boolean): number {
  if (!zeroAllowed && text.includes("\0")) return textProblem.hasZero;
  const written = writeUtf8(bytes, text, at, room); // whole characters only
  // As many bytes as units: all is ASCII, if nothing was left out for want of room.
  if (written === text.length && written + 4 <= room) return written;
  if (loneSurrogate.test(text)) return textProblem.notWellFormed;
  return Buffer.byteLength(text) === written ? written : textProblem.tooLong;
}

/** Writes zeros from `start` to `end`. */
export function writeZeros(bytes: Buffer, start: number, end: number): void {
  // Not Buffer's own fill, which takes three times as long.
  if (end - start > zerosInLoopMax) Uint8Array.prototype.fill.call(bytes, 0, start, end);
  else for (let index = start; index < end; index++) bytes[index] = 0;
}

/** The text of `size` bytes at `at`, up to the first 0. */
export function readFixedText(bytes: Buffer, at: number, size: number): string {
  let end = at;
  const limit = at + size;
  while (end < limit && bytes[end] !== 0) end++;
  return readUtf8(bytes, at, end);
}
