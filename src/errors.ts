/**
 * The one class of errors of the public API. Codes come from the table that C, TypeScript and the docs share
 * (`native/include/weftline/weft_errors.h`).
 */
import { type ErrorCode, errorTable } from "./native/error-codes.js";

export type { ErrorCode } from "./native/error-codes.js";

/** Words that replace the table's. */
export interface WeftErrorOptions {
  readonly cause?: unknown;
  /** Whether the same call may succeed later without a change by the caller. Default: the table's. */
  readonly canRetry?: boolean | undefined;
  /** What to do next. Default: the table's. */
  readonly next?: string | undefined;
}

/**
 * An error with a code.
 *
 * @example
 * ```ts
 * try {
 *   await job.topic("fields");
 * } catch (error) {
 *   if (isWeftError(error, "WEFT_TOPIC_UNKNOWN")) console.error(error.message, error.next);
 *   else throw error;
 * }
 * ```
 */
export class WeftError extends Error {
  /** "WeftError". */
  override readonly name: string = "WeftError";
  /** Such as "WEFT_BUSY": stable, for programs. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later without a change by the caller. */
  readonly canRetry: boolean;
  /** What to do next; "" where nothing helps. */
  readonly next: string;

  constructor(code: ErrorCode, message: string, options: WeftErrorOptions = {}) {
    const withCode = message.startsWith("WEFT_") ? message : `${code}: ${message}`;
    super(withCode, options.cause === undefined ? undefined : { cause: options.cause });
    const entry = errorTable[code];
    this.code = code;
    this.canRetry = options.canRetry ?? entry.canRetry;
    this.next = options.next ?? entry.next;
  }
}

/** Whether `error` is a WeftError, of that code if one is given. */
export function isWeftError(error: unknown, code?: ErrorCode): error is WeftError {
  return error instanceof WeftError && (code === undefined || error.code === code);
}

/** What was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(wordsOf(thrown), { cause: thrown });
}

/** What was thrown, in words; also of what has none, such as an object without a prototype. */
export function wordsOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    return `${typeof thrown === "object" ? "an object" : `a ${typeof thrown}`} without words`;
  }
}

/** What an aborted signal becomes: WEFT_CANCELLED with the signal's reason as its cause. */
export function cancelled(what: string, signal: AbortSignal): WeftError {
  return new WeftError("WEFT_CANCELLED", `${what} was cancelled by its signal`, { cause: signal.reason });
}

/** Throws at once if the signal is aborted already. */
export function throwIfAborted(what: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelled(what, signal);
}
