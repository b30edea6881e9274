// The words of an error where its code travels beside them, or stands in a log line.

import { WeftError } from "../errors.js";
import { errorTable } from "../native/error-codes.js";

/** Message without the code in front, and the next step where the error has another one than its code. */
export function errorWords(error: WeftError): string {
  const message = error.message.startsWith(`${error.code}: `)
    ? error.message.slice(error.code.length + 2)
    : error.message;
  const ownNext = error.next !== "" && error.next !== errorTable[error.code].next && !message.includes(error.next);
  return ownNext ? `${message}; ${error.next}` : message;
}

/** "WEFT_IO: words; next step" of any error. */
export function errorText(error: unknown): string {
  if (error instanceof WeftError) return `${error.code}: ${errorWords(error)}`;
  return error instanceof Error ? error.message : String(error);
}
