/**
 * From what a user pushes as data to segments that a batch can take: small ones are copied, larger ones referenced.
 * JavaScript thread.
 */
import { markAsUntransferable } from "node:worker_threads";

import { invalid } from "../check.js";
import { WeftError } from "../errors.js";
import { Region, type RegionSlice, ownedBytes, viewBytes } from "../job/region.js";
import { SharedData } from "../job/shared.js";
import { type Segment, batchPiecesMax } from "./batch-arena.js";
import type { DataDescription } from "../validator/validator.js";
import type { EventData, EventSegment } from "./options.js";

/**
 * Up to here data is copied into the batch: a copy of 16 KiB costs about 2 µs, less than registering memory for one use
 * and a further request of the server; and the caller's memory is free again at once.
 */
export const copyBytesMax = 16 * 1024;

const none: readonly Segment[] = [];

/** The segments of an event's data. `copiedBytesMax`: what one batch can copy. */
export function segmentsOf(data: EventData | undefined, copiedBytesMax: number): readonly Segment[] {
  if (data === undefined) return none;
  if (!Array.isArray(data)) return [segmentOf(data as EventSegment)];
  const segments = (data as readonly EventSegment[]).map((one) => segmentOf(one));
  let copied = 0;
  for (const { bytes, copy } of segments) if (copy) copied += bytes.byteLength + 64;
  if (segments.length <= batchPiecesMax / 2 && copied <= copiedBytesMax) return segments;
  const joined = joinSmall(segments);
  if (joined.length > batchPiecesMax) {
    throw new WeftError(
      "WEFT_LIMIT",
      `the data has ${joined.length} segments of more than ${copyBytesMax} bytes; the limit is ${batchPiecesMax}`,
      { next: "join segments, or push several events" },
    );
  }
  return joined;
}

/** Bytes of an event's data. */
export function dataBytesOf(data: EventData | undefined): number {
  return lengthOf(segmentsOf(data, Infinity));
}

export function lengthOf(segments: readonly Segment[]): number {
  let length = 0;
  for (const { bytes } of segments) length += bytes.byteLength;
  return length;
}

export function describeData(segments: readonly Segment[]): DataDescription {
  return { bytes: lengthOf(segments), segments: segments.length };
}

/** A copy of what would be copied later, for events that must wait: the caller's memory is free at once all the same. */
export function copyNow(segments: readonly Segment[]): readonly Segment[] {
  if (!segments.some((segment) => segment.copy)) return segments;
  return segments.map((segment) => (segment.copy ? { ...segment, bytes: segment.bytes.slice() } : segment));
}

function segmentOf(data: EventSegment): Segment {
  if (data instanceof Region) return regionSegment(data, 0, data.length);
  if (isRegionSlice(data)) return regionSegment(data.region, data.start, data.end);
  if (data instanceof SharedData) {
    const { bytes } = data;
    return { bytes, copy: bytes.byteLength <= copyBytesMax, region: undefined, regionAt: 0 };
  }
  const bytes = viewBytes("the data", data);
  if (bytes.byteLength <= copyBytesMax) return { bytes, copy: true, region: undefined, regionAt: 0 };
  const owned = ownedBytes(`the data of ${bytes.byteLength} bytes`, bytes);
  // In flight it must not be detached by a transfer to another thread.
  markAsUntransferable(owned.buffer);
  return { bytes: owned, copy: false, region: undefined, regionAt: 0 };
}

function isRegionSlice(data: unknown): data is RegionSlice {
  return typeof data === "object" && data !== null && (data as RegionSlice).region instanceof Region;
}

function regionSegment(region: Region, start: number, end: number): Segment {
  void region.handle; // WEFT_CLOSED if it was released
  const isWhole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
  if (!(isWhole && start >= 0 && start <= end && end <= region.length)) {
    throw invalid("the slice of a region", `${start} to ${end}`, `within 0 to ${region.length}`);
  }
  const bytes = region.bytes.subarray(start, end);
  // As from C: a request of the server for each of them would cost several times the copy.
  if (bytes.byteLength <= copyBytesMax) return { bytes, copy: true, region: undefined, regionAt: 0 };
  return { bytes, copy: false, region, regionAt: start };
}

/** Neighbours that are small become one segment of memory of our own. */
function joinSmall(segments: readonly Segment[]): readonly Segment[] {
  const joined: Segment[] = [];
  let small: Uint8Array[] = [];
  const endSmall = (): void => {
    if (small.length === 0) return;
    const bytes = new Uint8Array(small.reduce((sum, one) => sum + one.byteLength, 0));
    let at = 0;
    for (const one of small) {
      bytes.set(one, at);
      at += one.byteLength;
    }
    joined.push({ bytes, copy: bytes.byteLength <= copyBytesMax, region: undefined, regionAt: 0 });
    small = [];
  };
  for (const segment of segments) {
    if (segment.copy) small.push(segment.bytes);
    else {
      endSmall();
      joined.push(segment);
    }
  }
  endSmall();
  return joined;
}
