/**
 * Memory that is registered once and then referenced without a copy: the caller's (`register`) or the library's
 * (`alloc`). JavaScript thread. A region counts the events under way that reference it; whoever writes into it waits
 * for `idle()` first.
 */
import { markAsUntransferable } from "node:worker_threads";

import { invalid, signalOf } from "../check.js";
import { WeftError, isWeftError, throwIfAborted } from "../errors.js";
import type { RegionHandle } from "../native/binding.js";
import type { Completions } from "../native/completions.js";
import { abortable } from "./abortable.js";
import { SharedData, isSharedBuffer, notShared } from "./shared.js";

/** Longest memory that one ArrayBuffer of Node 20 can show. */
export const bufferBytesMax = 2 ** 32;

/** Bytes `start` to `end` of a region, as data of an event or as a destination. */
export interface RegionSlice {
  readonly region: Region;
  readonly start: number;
  readonly end: number;
}

/**
 * Memory that is registered once and then referenced by events without a copy: the caller's (`register`) or the
 * library's (`alloc`). All calls are local.
 *
 * @example
 * ```ts
 * const region = out.register(new Float64Array(512 * 512));
 * for (let step = 0; step < 3; step++) {
 *   region.float64().fill(step);
 *   out.push({ step }, region);
 *   await region.idle(); // before the next overwrite
 * }
 * region.release();
 * ```
 */
export class Region {
  /** The whole memory. Of `alloc()`ed regions it is detached (length 0) after `release()`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #completions: Completions;
  readonly #handle: RegionHandle;
  readonly #senders = new Set<() => void>();
  #busyCount = 0;
  #waiters: (() => void)[] = [];
  #released = false;
  #quarantined = false;

  /** @internal Use `job.register`, `job.alloc`, or those of a producer. */
  constructor(completions: Completions, handle: RegionHandle, bytes: Uint8Array<ArrayBuffer>) {
    this.#completions = completions;
    this.#handle = handle;
    this.bytes = bytes;
  }

  /** @internal */
  static register(completions: Completions, memory: ArrayBufferView | SharedData): Region {
    const isShared = memory instanceof SharedData;
    const bytes = isShared ? memory.bytes : ownedBytes("the memory to register", memory);
    if (bytes.byteLength === 0) throw invalid("the memory to register", memory, "of at least 1 byte");
    const handle = completions.binding.regionRegister(completions.job, bytes);
    if (!isShared) markAsUntransferable(bytes.buffer);
    return new Region(completions, handle, bytes);
  }

  /** @internal */
  static allocate(completions: Completions, length: number): Region {
    if (length > bufferBytesMax) {
      throw new WeftError(
        "WEFT_BUFFER_TOO_LARGE",
        `${length} bytes do not fit one ArrayBuffer (${bufferBytesMax} bytes)`,
        { next: "allocate several regions and push them as a list of segments" },
      );
    }
    if (!Number.isSafeInteger(length) || length < 1) throw invalid("the length of a region", length, "1 to 2^32");
    const handle = completions.binding.regionAllocate(completions.job, length);
    const memory = completions.binding.regionMemory(handle);
    markAsUntransferable(memory);
    return new Region(completions, handle, new Uint8Array(memory));
  }

  /** In bytes. */
  get length(): number {
    return this.bytes.byteLength;
  }
  /** The memory as doubles; its start must be a multiple of 8 in its ArrayBuffer. */
  float64(): Float64Array {
    return new Float64Array(this.bytes.buffer, this.bytes.byteOffset, Math.floor(this.bytes.byteLength / 8));
  }
  /** Whether events that reference it, or data that comes into it, are under way, or a lost server may still write into it. */
  get busy(): boolean {
    return this.#busyCount > 0 || this.#quarantined;
  }

  /** Part of it. `end` defaults to the region's end. */
  slice(start: number, end: number = this.length): RegionSlice {
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start || end > this.length) {
      throw invalid("the slice of a region", `${start} to ${end}`, `within 0 to ${this.length}`);
    }
    return { region: this, start, end };
  }

  /**
   * Resolves when no event pushed from it is under way, nor data into it: then it may be written again. Sends open batches
   * that reference it first. Whether those events were stored is said by their receipts and by `flush()`. WEFT_BUSY where a
   * server was lost that may still write into it. Local.
   */
  async idle(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const signal = signalOf("region.idle", options);
    throwIfAborted("region.idle", signal);
    this.send();
    if (this.#busyCount > 0) {
      await abortable("region.idle", signal, (resolve) => {
        const waiter = (): void => {
          resolve();
        };
        this.#waiters.push(waiter);
        return () => {
          this.#waiters = this.#waiters.filter((one) => one !== waiter);
        };
      });
    }
    if (this.#quarantined) throw stillWritten();
  }

  /**
   * Gives the memory back. WEFT_BUSY while events or data are under way, and as long as a server that was lost may still
   * write into it; a second call does nothing.
   */
  release(): void {
    if (this.#released) return;
    if (this.#busyCount > 0) {
      throw new WeftError("WEFT_BUSY", `the region is referenced by ${this.#busyCount} events or fetches under way`, {
        next: "await region.idle() first",
      });
    }
    try {
      this.#completions.binding.regionRelease(this.#handle);
    } catch (error) {
      // The native side knows whether that server is proven gone.
      throw this.#quarantined && isWeftError(error, "WEFT_BUSY") ? stillWritten() : error;
    }
    this.#quarantined = false;
    this.#released = true;
  }
  /** As `release`. */
  [Symbol.dispose](): void {
    this.release();
  }

  /** @internal Sends open batches that reference it. */
  send(): void {
    for (const send of [...this.#senders]) send();
  }
  /** @internal The handle; WEFT_CLOSED after the release. */
  get handle(): RegionHandle {
    if (this.#released) throw new WeftError("WEFT_CLOSED", "the region was released");
    return this.#handle;
  }
  /** @internal */
  get released(): boolean {
    return this.#released;
  }
  /** @internal Whether it was registered in this job: no other can use it. */
  isOf(completions: Completions): boolean {
    return this.#completions === completions;
  }
  /** @internal An event references it: `send` sends what its producer holds back. */
  hold(send: () => void): void {
    this.#busyCount++;
    this.#senders.add(send);
  }
  /** @internal What held it has failed, and a server may still write into it. */
  quarantine(): void {
    this.#quarantined = true;
    this.unhold();
  }
  /** @internal That event is done. */
  unhold(): void {
    if (--this.#busyCount > 0) return;
    this.#senders.clear();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}

function stillWritten(): WeftError {
  return new WeftError("WEFT_BUSY", "a server that was lost may still write into the region", {
    next: "use other memory; release it when that server is known to be gone, or close the job",
  });
}

/**
 * The bytes of memory that may be referenced for long: not shared with other threads, not resizable, not detached.
 */
export function ownedBytes(what: string, memory: unknown): Uint8Array<ArrayBuffer> {
  const bytes = viewBytes(what, memory);
  if (isResizable(bytes.buffer)) {
    throw new WeftError(
      "WEFT_INVALID_ARGUMENT",
      `${what} lies in a resizable ArrayBuffer, which cannot be referenced without a copy`,
      { next: "use memory of alloc(), or copy it into a plain ArrayBuffer" },
    );
  }
  return bytes;
}

/** Whether the memory of a view was transferred away. */
export function isDetached({ buffer, byteLength }: ArrayBufferView): boolean {
  if (byteLength > 0 || buffer.byteLength > 0) return false;
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}

function detached(what: string): WeftError {
  return new WeftError("WEFT_INVALID_ARGUMENT", `${what} is detached: its memory was transferred or released`, {
    next: "use it before, or give other memory",
  });
}

/** Any view or ArrayBuffer as bytes; shared and detached memory is refused. */
export function viewBytes(what: string, memory: unknown): Uint8Array<ArrayBuffer> {
  if (ArrayBuffer.isView(memory)) {
    if (isSharedBuffer(memory.buffer)) throw notShared(what);
    if (isDetached(memory)) throw detached(what);
    return new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength);
  }
  if (memory instanceof ArrayBuffer) {
    try {
      return new Uint8Array(memory);
    } catch {
      throw detached(what);
    }
  }
  if (isSharedBuffer(memory)) throw notShared(what);
  throw invalid(what, memory, "a typed array, a Buffer, an ArrayBuffer, a Region, or a list of them");
}

function isResizable(buffer: ArrayBuffer): boolean {
  return (buffer as { readonly resizable?: boolean }).resizable === true;
}
