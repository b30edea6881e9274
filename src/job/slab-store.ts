/** Registered memory that outlives the consumer that had it. JavaScript thread. */
import type { RegionHandle } from "../native/binding.js";

/**
 * Slabs of closed consumers, for those that are opened next: fresh pages, and their registration, cost as much as filling
 * them many times. One for each job, of at most `bytesMax`.
 */
export class SlabStore {
  static readonly bytesMax = 32 * 1024 * 1024;
  readonly #kept: { readonly handle: RegionHandle; readonly bytes: number }[] = [];
  #bytes = 0;

  take(bytes: number): RegionHandle | undefined {
    const index = this.#kept.findIndex((slab) => slab.bytes === bytes);
    if (index < 0) return undefined;
    this.#bytes -= bytes;
    return this.#kept.splice(index, 1)[0]?.handle;
  }

  /** False if there is no room for it. */
  keep(handle: RegionHandle, bytes: number): boolean {
    if (this.#bytes + bytes > SlabStore.bytesMax) return false;
    this.#bytes += bytes;
    this.#kept.push({ handle, bytes });
    return true;
  }
}
