// Which events a topic lets go: the rules as a user gives them, their schema, and their normal form. Pure.

import { parseSize, parseTime } from "./units.js";

/**
 * Each rule by itself removes what it names: on disk in whole segments (`segmentBytes`), in memory in whole batches. What is read at
 * the moment stays; who asks for what is gone gets WEFT_OFFSET_GONE with the first offset there is.
 */
export interface RetentionConfig {
  /** The oldest beyond so many bytes of metadata and data, in each partition; a number or a text such as "10 GiB". */
  bytes?: number | string;
  /** What was appended longer ago; milliseconds or a text such as "7d". */
  ageMs?: number | string;
  /** What all of these consumers, by their names, have committed; 1 to 64. */
  consumedBy?: string[];
}

export interface NormalizedRetention {
  bytes?: number;
  ageMs?: number;
  consumedBy?: string[];
}

export const RETENTION_SCHEMA = {
  type: "object",
  additionalProperties: false,
  minProperties: 1,
  properties: {
    bytes: { weftSize: { minimum: 1, maximum: Number.MAX_SAFE_INTEGER } },
    ageMs: { weftTime: { minimum: 1, maximum: Number.MAX_SAFE_INTEGER } },
    consumedBy: {
      type: "array",
      items: { type: "string", pattern: "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$" },
      minItems: 1,
      maxItems: 64,
      uniqueItems: true,
    },
  },
} as const;

/** Of one that the schema has checked. */
export function normalizeRetention({ bytes, ageMs, consumedBy }: RetentionConfig): NormalizedRetention {
  const [size, time] = [parseSize(bytes), parseTime(ageMs)];
  return {
    ...("value" in size ? { bytes: size.value } : {}),
    ...("value" in time ? { ageMs: time.value } : {}),
    ...(consumedBy === undefined ? {} : { consumedBy: [...consumedBy] }),
  };
}
