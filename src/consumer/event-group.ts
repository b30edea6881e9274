/**
 * Events of one frame that are handed out together: their data comes with one request into one slab, or with one for each
 * memory of the caller's (a request of its own for each event whose selection names a destination). Making a group starts the requests; `ready` says when all
 * were answered. A failed request fails the events concerned, not the group. JavaScript thread.
 */
import type { WeftError } from "../errors.js";
import type { Region } from "../job/region.js";
import type { ConsumerHandle, RegionHandle } from "../native/binding.js";
import type { Completion, CompletionHandler, Completions } from "../native/completions.js";
import type { Placed } from "./data-allocator.js";
import type { FetchedEvent, WantedBytes } from "../steps/step.js";
import type { Event } from "./event.js";
import type { LentRange } from "./lent-memory.js";
import type { Selection } from "./selection.js";
import { type Destination, checkJobOf, packSelection } from "./selection.js";
import type { ConsumeMemory, SlabPool } from "./slab-pool.js";

/** Selections of one request (the wire format's limit). */
export const selectionsMax = 1024;
/** Each event's bytes begin at a multiple of it, so that typed views work. */
const alignmentBytes = 64;
export const alignUp = (value: number): number => Math.ceil(value / alignmentBytes) * alignmentBytes;

export interface WantedEvent {
  readonly event: Event;
  readonly selection: Selection;
  /** In the slab, or in the memory that `placed` names. */
  readonly at: number;
  /** By the consumer's allocator. */
  readonly placed?: Placed | undefined;
}

/** What one request writes into. */
interface Target {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly handle: RegionHandle | null;
  /** The caller's: busy meanwhile. */
  readonly region?: Region | undefined;
}
const nothingToSend = (): void => undefined;

interface FillOutcome {
  error: WeftError | undefined;
  /** The selection that failed. */
  at: number;
  /** A server that was lost may still write into the memory. */
  spoiled: boolean;
}

export class EventGroup {
  readonly events: readonly Event[];
  memory: ConsumeMemory | undefined;
  /** Memory that selections name, until the next call gives the group back. */
  named: readonly LentRange[] | undefined;
  /** Of the caller's memory, until all were handed out. */
  lent: readonly LentRange[] | undefined;
  /** Undefined: there is nothing to wait for. */
  ready: Promise<void> | undefined;
  /** The next event to hand out. */
  next = 0;

  constructor(events: readonly Event[]) {
    this.events = events;
  }
}

export class DataRequests {
  readonly #completions: Completions;
  readonly #handle: ConsumerHandle;
  readonly #pool: SlabPool;

  constructor(completions: Completions, handle: ConsumerHandle, pool: SlabPool) {
    this.#completions = completions;
    this.#handle = handle;
    this.#pool = pool;
  }

  /** Starts the requests of a group; `slabBytes` of memory are needed for those without a destination. */
  start(group: EventGroup, wanted: readonly WantedEvent[], slabBytes: number): void {
    const waits: Promise<void>[] = [];
    const inSlab: WantedEvent[] = [];
    const byMemory = new Map<object, WantedEvent[]>();
    for (const one of wanted) {
      const { event, selection, placed } = one;
      if (placed !== undefined) {
        const memory = placed.region ?? placed.whole.buffer;
        const others = byMemory.get(memory);
        if (others === undefined) byMemory.set(memory, [one]);
        else others.push(one);
      } else if (selection.destination === undefined) inSlab.push(one);
      else waits.push(this.#fillOwn(event, selection, selection.destination));
    }
    if (inSlab.length > 0) {
      const wait = this.#startInSlab(group, inSlab, slabBytes);
      if (wait !== undefined) waits.push(wait);
    }
    for (const placed of byMemory.values()) waits.push(this.#fillPlaced(placed));
    if (waits.length > 0) group.ready = waits.length === 1 ? waits[0] : Promise.all(waits).then(() => undefined);
  }

  #startInSlab(group: EventGroup, wanted: readonly WantedEvent[], slabBytes: number): Promise<void> | undefined {
    let memory: ConsumeMemory;
    try {
      memory = this.#pool.lend(slabBytes);
    } catch (error) {
      // No memory for these: the others come all the same.
      for (const { event } of wanted) event.failure = error as WeftError;
      return undefined;
    }
    group.memory = memory;
    for (const { event, selection, at } of wanted) {
      event.memory = memory;
      event.selected = memory.bytes.subarray(at, at + selection.bytesFor(event.dataLength));
    }
    return this.#fillSlab(memory, wanted);
  }

  /** One request for one event into given memory. */
  async fetch(
    event: FetchedEvent,
    selection: Selection,
    destination: Destination,
    signal?: AbortSignal,
  ): Promise<void> {
    const numbers: number[] = [];
    packSelection(numbers, event.offset, 0, selection, event.dataLength);
    const { bytes, region } = destination;
    if (region !== undefined) checkJobOf(region, `the destination of ${event.name}`, this.#completions);
    await this.#request(event.partition, numbers, 1, { bytes, handle: region?.handle ?? null, region }, { signal });
  }

  /** Several events of any partitions into one memory: one request for each server, or more where there are over 1,024 events. */
  async fetchMany(
    wanted: readonly WantedBytes[],
    bytes: Uint8Array<ArrayBuffer>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const ordered = [...wanted].sort((left, right) => left.partition - right.partition || left.offset - right.offset);
    for (let first = 0; first < ordered.length; first += selectionsMax) {
      const some = ordered.slice(first, first + selectionsMax);
      const numbers: number[] = [];
      for (const { offset, at, selection, dataLength } of some)
        packSelection(numbers, offset, at, selection, dataLength);
      const partitions = Uint32Array.from(some, ({ partition }) => partition);
      const packed = Float64Array.from(numbers);
      await this.#completions.request(
        "fetching data of several events",
        (tag) => {
          this.#completions.binding.dataFetchPartsAsync(this.#handle, partitions, packed, bytes, tag);
        },
        // The destination must stay referenced until the completion: this closure holds it.
        { signal, late: () => void bytes },
      );
    }
  }

  async #fillOwn(event: Event, selection: Selection, destination: Destination): Promise<void> {
    event.selected = destination.bytes.subarray(0, selection.bytesFor(event.dataLength));
    try {
      await this.fetch(event, selection, destination);
    } catch (error) {
      event.failure = error as WeftError;
    }
  }

  async #fillSlab(memory: ConsumeMemory, wanted: readonly WantedEvent[]): Promise<void> {
    // Until each request has said otherwise.
    memory.spoiled = true;
    const { spoiled } = await this.#fill(memory, wanted);
    memory.spoiled = spoiled;
  }

  /** Into memory of the allocator's: one region, or one buffer. */
  async #fillPlaced(wanted: readonly WantedEvent[]): Promise<void> {
    const placed = wanted[0]?.placed;
    if (placed === undefined) return;
    const { whole, region } = placed;
    for (const { event, placed: own } of wanted) event.selected = own?.bytes;
    const { unsafe } = await this.#fill({ bytes: whole, handle: region?.handle ?? null, region }, wanted);
    // Plain memory is written by this process alone.
    if (region === undefined || !unsafe) return;
    for (const { placed: own } of wanted) if (own !== undefined) own.lent.spoiled = true;
  }

  /** One request for all; the event that a request failed for is left out of the next try, so the others get theirs. */
  async #fill(target: Target, wanted: readonly WantedEvent[]): Promise<{ spoiled: boolean; unsafe: boolean }> {
    let spoiled = false;
    let unsafe = false;
    let rest = wanted;
    while (rest.length > 0) {
      const outcome = await this.#fillOnce(target, rest);
      spoiled ||= outcome.spoiled;
      const { error } = outcome;
      if (error === undefined) break;
      unsafe ||= outcome.spoiled;
      const failed = rest[outcome.at];
      const oneOnly = error.code === "WEFT_CORRUPT" || error.code === "WEFT_OFFSET_GONE";
      if (!oneOnly || failed === undefined) {
        for (const { event } of rest) event.failure = error;
        break;
      }
      failed.event.failure = error;
      rest = rest.filter((one) => one !== failed);
    }
    return { spoiled, unsafe };
  }

  async #fillOnce(target: Target, wanted: readonly WantedEvent[]): Promise<FillOutcome> {
    const numbers: number[] = [];
    for (const { event, selection, at } of wanted)
      packSelection(numbers, event.offset, at, selection, event.dataLength);
    const partition = wanted[0]?.event.partition ?? 0;
    const outcome: FillOutcome = { error: undefined, at: 0, spoiled: true };
    try {
      const { values } = await this.#request(partition, numbers, wanted.length, target, {
        refused: () => {
          outcome.spoiled = false;
        },
        failed: (record) => {
          outcome.at = record.value(2);
          outcome.spoiled = record.value(3) !== 1;
        },
      });
      outcome.spoiled = values[3] !== 1;
    } catch (error) {
      outcome.error = error as WeftError;
    }
    return outcome;
  }

  /** `refused`: it was not begun. `failed`: the completion of one that failed. */
  #request(
    partition: number,
    numbers: readonly number[],
    count: number,
    { bytes, handle, region }: Target,
    options: {
      readonly refused?: () => void;
      readonly failed?: CompletionHandler;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<Completion> {
    const packed = Float64Array.from(numbers);
    return this.#completions.request(
      `fetching data of partition ${partition}`,
      (tag) => {
        try {
          this.#completions.binding.dataFetchAsync(this.#handle, partition, packed, count, bytes, handle, tag);
        } catch (error) {
          options.refused?.();
          throw error;
        }
        region?.hold(nothingToSend);
      },
      {
        signal: options.signal,
        // The destination must stay referenced until the completion: this closure holds it.
        late: () => void bytes,
        failed: options.failed,
        settled: (record) => {
          if (record.code === 0 || record.value(3) === 1) region?.unhold();
          else region?.quarantine();
        },
      },
    );
  }
}
