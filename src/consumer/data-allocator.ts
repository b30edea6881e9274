/**
 * Memory of the caller's for the selected data of each event (`allocate`), checked before anything is asked for. Whatever
 * is wrong with it is an error of that event's data alone. JavaScript thread.
 */
import { forget } from "../check.js";
import { WeftError } from "../errors.js";
import type { Region } from "../job/region.js";
import type { Completions } from "../native/completions.js";
import { thrownBy } from "./data-selector.js";
import type { Event } from "./event.js";
import { LentMemory, type LentRange } from "./lent-memory.js";
import type { Allocate } from "./options.js";
import { destinationOf } from "./selection.js";

/** Where the data of one event goes, in memory that other events may share: they then come with one request. */
export interface Placed {
  /** Where the event's bytes are. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly region: Region | undefined;
  /** The memory that all events in this region, or in this buffer, share. */
  readonly whole: Uint8Array<ArrayBuffer>;
  /** Of `bytes` in it. */
  readonly at: number;
  readonly lent: LentRange;
}

export class DataAllocator {
  readonly #completions: Completions;
  readonly #allocate: Allocate<unknown>;
  readonly #lent = new LentMemory();

  constructor(completions: Completions, allocate: Allocate<unknown>) {
    this.#completions = completions;
    this.#allocate = allocate;
  }

  /** WEFT_INVALID_ARGUMENT, WEFT_CLOSED, WEFT_BUSY, or the WeftError that the function threw. */
  place(event: Event, bytes: number): Placed {
    const { partition, offset, dataLength } = event;
    let memory: unknown;
    try {
      memory = this.#allocate(event.metadata, { partition, offset, dataLength, bytes });
    } catch (error) {
      throw thrownBy("allocate", event.name, error);
    }
    forget(memory);
    const what = `the memory that allocate gave for ${event.name}`;
    const { bytes: given, region } = destinationOf(memory, what, this.#completions);
    if (given.byteLength < bytes) {
      throw new WeftError("WEFT_INVALID_ARGUMENT", `${what} has ${given.byteLength} bytes; ${bytes} were selected`, {
        next: "give as many bytes as the function's second argument says, or more",
      });
    }
    const own = given.subarray(0, bytes);
    const { range, isNew } = this.#lent.lend(own, event.name);
    if (!isNew) {
      const why = range.spoiled
        ? `a server that was lost may still write the data of ${range.name} into it`
        : `the data of ${range.name} goes there, which was not handed out yet`;
      throw new WeftError("WEFT_BUSY", `${what} is lent: ${why}`, {
        next: "give each event memory of its own until it was handed out; its data can still be fetched",
      });
    }
    const whole = region?.bytes ?? new Uint8Array(own.buffer);
    return { bytes: own, region, whole, at: own.byteOffset - whole.byteOffset, lent: range };
  }

  giveBack(lent: readonly LentRange[]): void {
    this.#lent.giveBack(lent);
  }
}
