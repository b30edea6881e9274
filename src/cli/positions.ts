// --from and --until of `consume`. Pure.

import { WeftError } from "../errors.js";

export type From =
  { kind: "earliest" | "latest" | "cursor" } | { kind: "offset"; offset: number } | { kind: "time"; timeNs: bigint };

export type Until = { kind: "never" | "end" } | { kind: "offset"; offset: number } | { kind: "count"; count: number };

function refuse(flag: string, given: string, allowed: string): WeftError {
  return new WeftError("WEFT_INVALID_ARGUMENT", `${flag} '${given}' is not one of ${allowed}`, {
    next: `give ${allowed}`,
  });
}

function wholeNumber(flag: string, given: string, text: string, allowed: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number)) throw refuse(flag, given, allowed);
  return number;
}

const FROM = "earliest, latest, cursor, offset:N, time:RFC3339 before 2554 (such as time:2026-01-31T12:00:00Z)";
const UNTIL = "end, offset:N, count:N";

export function parseFrom(given: string): From {
  if (given === "earliest" || given === "latest" || given === "cursor") return { kind: given };
  if (given.startsWith("offset:"))
    return { kind: "offset", offset: wholeNumber("--from", given, given.slice(7), FROM) };
  if (given.startsWith("time:")) {
    const milliseconds = Date.parse(given.slice(5));
    // Time stamps have 64 bits of nanoseconds.
    if (Number.isNaN(milliseconds) || milliseconds < 0 || milliseconds >= Date.UTC(2554))
      throw refuse("--from", given, FROM);
    return { kind: "time", timeNs: BigInt(milliseconds) * 1_000_000n };
  }
  throw refuse("--from", given, FROM);
}

export function parseUntil(given: string | undefined): Until {
  if (given === undefined) return { kind: "never" };
  if (given === "end") return { kind: "end" };
  if (given.startsWith("offset:")) {
    return { kind: "offset", offset: wholeNumber("--until", given, given.slice(7), UNTIL) };
  }
  if (given.startsWith("count:")) return { kind: "count", count: wholeNumber("--until", given, given.slice(6), UNTIL) };
  throw refuse("--until", given, UNTIL);
}

/** "0,2,5-7" as numbers. */
export function parsePartitions(given: string): number[] {
  const allowed = "partition numbers such as 0 or 0,2,5-7";
  const numbers = given.split(",").flatMap((part) => {
    const [first = "", last = first, ...more] = part.split("-");
    const [from, to] = [
      wholeNumber("--partition", given, first, allowed),
      wholeNumber("--partition", given, last, allowed),
    ];
    if (more.length > 0 || to < from || to - from >= 4096) throw refuse("--partition", given, allowed);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
  return [...new Set(numbers)].sort((left, right) => left - right);
}

/** Nanoseconds since 1970 as RFC 3339 with microseconds, which is what events carry. */
export function formatTimeNs(timeNs: bigint): string {
  const milliseconds = Number(timeNs / 1_000_000n);
  const micros = String((timeNs / 1000n) % 1000n).padStart(3, "0");
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${micros}Z`;
}
