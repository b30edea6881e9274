/**
 * Memory for selected data: a bounded number of registered slabs, lent to one group of events at a time. Giving one back
 * detaches its ArrayBuffer, so that views of the old events see nothing instead of the next events' bytes. JavaScript
 * thread.
 */
import { isWeftError } from "../errors.js";
import type { SlabStore } from "../job/slab-store.js";
import type { RegionHandle } from "../native/binding.js";
import type { Completions } from "../native/completions.js";

/** Memory that holds the data of events until it is released. */
export class ConsumeMemory {
  readonly handle: RegionHandle;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** @internal A slab of the pool; else it was made for one event. */
  readonly pooled: boolean;
  released = false;
  /**
   * A request into it failed in a way that leaves open whether a server still writes: it must not be used again.
   */
  spoiled = false;

  constructor(handle: RegionHandle, memory: ArrayBuffer, pooled: boolean) {
    this.handle = handle;
    this.bytes = new Uint8Array(memory);
    this.pooled = pooled;
  }
}

export class SlabPool {
  readonly #store: SlabStore;
  readonly #completions: Completions;
  readonly #slabBytes: number;
  readonly #lentMax: number;
  readonly #free: RegionHandle[] = [];
  /**
   * Those that were too large for a slab: events of one size come one after another, and pages that the system has to
   * make for each cost more than the data. With those that are lent no more than `lentMax`.
   */
  readonly #large: { readonly handle: RegionHandle; readonly bytes: number }[] = [];
  #lent = 0;
  #closed = false;

  constructor(completions: Completions, store: SlabStore, slabBytes: number, slabs: number) {
    this.#store = store;
    this.#completions = completions;
    this.#slabBytes = slabBytes;
    this.#lentMax = slabs;
  }

  get slabBytes(): number {
    return this.#slabBytes;
  }
  /** Whether `lend` has something. */
  get available(): boolean {
    return this.#lent < this.#lentMax;
  }

  /** Memory of at least so many bytes; a slab where that does. */
  lend(bytes: number): ConsumeMemory {
    const { binding, job } = this.#completions;
    const pooled = bytes <= this.#slabBytes;
    if (pooled) this.#releaseLarge();
    const handle =
      (pooled ? (this.#free.pop() ?? this.#store.take(this.#slabBytes)) : this.#takeLarge(bytes)) ??
      binding.regionAllocate(job, pooled ? this.#slabBytes : bytes);
    const memory = new ConsumeMemory(handle, binding.regionMemory(handle), pooled);
    this.#lent++;
    return memory;
  }

  #takeLarge(bytes: number): RegionHandle | undefined {
    const kept = this.#large.pop();
    if (kept === undefined) return undefined;
    if (kept.bytes >= bytes && kept.bytes <= 2 * bytes) return kept.handle;
    // Others than they were: room for them.
    this.#completions.binding.regionRelease(kept.handle);
    this.#releaseLarge();
    return undefined;
  }

  /** Also after `close`. */
  giveBack(memory: ConsumeMemory): void {
    if (memory.released) return;
    memory.released = true;
    this.#lent--;
    const { binding } = this.#completions;
    const bytes = memory.bytes.byteLength;
    binding.regionRecall(memory.handle);
    if (memory.spoiled || this.#closed) {
      this.#release(memory.handle);
      return;
    }
    if (memory.pooled) this.#free.push(memory.handle);
    else this.#large.push({ handle: memory.handle, bytes });
  }

  /** What a request that was cut off may still use stays until the job is closed. */
  #release(handle: RegionHandle): void {
    try {
      this.#completions.binding.regionRelease(handle);
    } catch (error) {
      if (!isWeftError(error, "WEFT_BUSY")) throw error;
    }
  }

  #releaseLarge(): void {
    for (const { handle } of this.#large.splice(0)) this.#completions.binding.regionRelease(handle);
  }

  close(): void {
    this.#closed = true;
    for (const handle of this.#free.splice(0)) {
      if (!this.#store.keep(handle, this.#slabBytes)) this.#completions.binding.regionRelease(handle);
    }
    this.#releaseLarge();
  }
}
