// Sizes and times as people write them: "256 MiB", "60s". Pure functions; a text that is not understood gives an
// explanation instead of a number, so that the caller can say where it stood.

const SIZE_FACTORS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
};

const TIME_FACTORS_MS: Readonly<Record<string, number>> = {
  "": 1,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const QUANTITY = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/;

export type Parsed = { readonly value: number } | { readonly problem: string };

function parseQuantity(given: unknown, factors: Readonly<Record<string, number>>, units: string, unit: string): Parsed {
  if (typeof given === "number") {
    if (!Number.isSafeInteger(given) || given < 0) return { problem: `${given} is not a whole number of ${unit}` };
    return { value: given };
  }
  if (typeof given !== "string") return { problem: `${describeValue(given)} is not a number or a text with a unit` };
  const match = QUANTITY.exec(given.trim());
  const factor = match ? factors[(match[2] ?? "").toLowerCase()] : undefined;
  if (!match || factor === undefined) {
    return { problem: `"${given}" is not understood: a number with one of the units ${units}` };
  }
  const value = Math.round(Number(match[1]) * factor);
  if (!Number.isSafeInteger(value)) return { problem: `"${given}" is too large` };
  return { value };
}

/** Bytes from a number of bytes, or from a text such as "64 MiB" or "1.5 GB". */
export function parseSize(given: unknown): Parsed {
  return parseQuantity(given, SIZE_FACTORS, "B, kB, MB, GB, TB, KiB, MiB, GiB, TiB", "bytes");
}

/** Milliseconds from a number of milliseconds, or from a text such as "250ms", "60s", "5min", "2h", "1d". */
export function parseTime(given: unknown): Parsed {
  return parseQuantity(given, TIME_FACTORS_MS, "ms, s, min, h, d", "milliseconds");
}

/** "256 MiB" where it divides evenly, else the number of bytes. */
export function formatSize(bytes: number): string {
  for (const [name, factor] of [
    ["TiB", 1024 ** 4],
    ["GiB", 1024 ** 3],
    ["MiB", 1024 ** 2],
    ["KiB", 1024],
  ] as const) {
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor} ${name}`;
  }
  return `${bytes} B`;
}

/** "7d", "12h", "60s", "1.5s" or "250ms". */
export function formatTime(milliseconds: number): string {
  for (const [name, factor] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
  ] as const) {
    if (milliseconds >= factor && milliseconds % factor === 0) return `${milliseconds / factor}${name}`;
  }
  if (milliseconds >= 1000 && milliseconds % 100 === 0) return `${milliseconds / 1000}s`;
  return `${milliseconds}ms`;
}

/** A short form of any value for an error message. */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "bigint") return `${value}n`;
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The candidate that is spelled most like `word`, if one is near; for "did you mean". */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const substituted = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(substituted, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
