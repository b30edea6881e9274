/**
 * Checks of what users give, at the door: WEFT_INVALID_ARGUMENT naming the option, what it was, and what it may be.
 */
import { WeftError } from "./errors.js";

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null) return `a ${nameOf(value)}`;
  return typeof value === "function" ? "a function" : String(value);
}

/** `constructor` of what users give may be anything. */
function nameOf(value: object): string {
  const { name } = (value.constructor ?? {}) as { readonly name?: unknown };
  return typeof name === "string" && name !== "" ? name : "object";
}

export function invalid(what: string, value: unknown, wanted: string): WeftError {
  return new WeftError("WEFT_INVALID_ARGUMENT", `${what} is ${show(value)}; it must be ${wanted}`, {
    next: `give ${wanted}`,
  });
}

/** An options object with no member but those named: a misspelt option must not be ignored. */
export function checkMembers(what: string, options: unknown, names: readonly string[]): void {
  if (options === undefined) return;
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw invalid(`the options of ${what}`, options, "an object");
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      throw new WeftError("WEFT_INVALID_ARGUMENT", `${what} has no option '${name}'; it has ${names.join(", ")}`, {
        next: "correct the option's name",
      });
    }
  }
}

/** A whole number of `low` to `high`; `undefined` is the default. */
export function checkInteger<D>(what: string, value: unknown, low: number, high: number, byDefault: D): number | D {
  if (value === undefined) return byDefault;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < low || value > high) {
    throw invalid(what, value, `a whole number of ${low} to ${high}`);
  }
  return value;
}

/** Milliseconds; Infinity waits for ever and becomes -1, as the native side has it. */
export function checkTimeoutMs<D>(what: string, value: unknown, byDefault: D): number | D {
  if (value === Infinity) return -1;
  return checkInteger(what, value, 0, Number.MAX_SAFE_INTEGER, byDefault);
}

export function checkText(what: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value.length === 0) throw invalid(what, value, "a text that is not empty");
  return value;
}

/** Names that travel and become file names. */
export function checkName(what: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || !/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/.test(value)) {
    throw invalid(what, value, "1 to 200 of A-Z a-z 0-9 . _ -, not beginning with a dot");
  }
  return value;
}

export function checkSignal(what: string, value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal)) throw invalid(what, value, "an AbortSignal");
}

/** The signal of options that have no other member. */
export function signalOf(
  what: string,
  options: { readonly signal?: AbortSignal | undefined },
): AbortSignal | undefined {
  checkMembers(what, options, ["signal"]);
  checkSignal(`signal of ${what}`, options.signal);
  return options.signal;
}

/**
 * A function of the caller's that must answer at once returned a promise: it is refused as what it is, and its rejection, which
 * nobody waits for, must not end the process.
 */
export function forget(returned: unknown): void {
  if (returned instanceof Promise) returned.catch(() => undefined);
}

export function checkFunction(what: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") throw invalid(what, value, "a function");
}
