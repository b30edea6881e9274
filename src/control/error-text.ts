// The words of an error where its code travels beside them, or stands in a log line.

import { WeftError } from "../errors.js";

/** Message without the code in front, and the next step where the error has one of its own. */
export function errorWords(error: WeftError): string {
  const message = error.message.startsWith(`${error.code}: `)
    ? error.message.slice(error.code.length + 2)
    : error.message;
  return error.next === "" || message.includes(error.next) ? message : `${message}; ${error.next}`;
}

/** "WEFT_IO: words; next step" of any error. */
export function errorText(error: unknown): string {
  if (error instanceof WeftError) return `${error.code}: ${errorWords(error)}`;
  return error instanceof Error ? error.message : String(error);
}
