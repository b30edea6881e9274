/**
 * Events of one frame that are handed out together: their data comes with one request into one slab (a request of its
 * own for each event whose selection names a destination). Making a group starts the requests; `ready` says when all
 * were answered. A failed request fails the events concerned, not the group. JavaScript thread.
 */
import type { WeftError } from "../errors.js";
import type { ConsumerHandle } from "../native/binding.js";
import type { Completion, CompletionHandler, Completions } from "../native/completions.js";
import type { Event } from "./event.js";
import type { Selection } from "./selection.js";
import { type Destination, packSelection } from "./selection.js";
import type { ConsumeMemory, SlabPool } from "./slab-pool.js";

/** Selections of one request (the wire format's limit). */
export const selectionsMax = 1024;
/** Each event's bytes begin at a multiple of it, so that typed views work. */
const alignmentBytes = 64;
export const alignUp = (value: number): number => Math.ceil(value / alignmentBytes) * alignmentBytes;

export interface WantedEvent {
  readonly event: Event;
  readonly selection: Selection;
  /** In the slab. */
  readonly at: number;
}

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
    const inSlab = wanted.filter(({ selection }) => selection.destination === undefined);
    if (inSlab.length > 0) {
      const wait = this.#startInSlab(group, inSlab, slabBytes);
      if (wait !== undefined) waits.push(wait);
    }
    for (const { event, selection } of wanted) {
      if (selection.destination !== undefined) waits.push(this.#fillOwn(event, selection, selection.destination));
    }
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
    return this.#fill(memory, wanted);
  }

  /** One request for one event into given memory. */
  async fetch(event: Event, selection: Selection, destination: Destination, signal?: AbortSignal): Promise<void> {
    const numbers: number[] = [];
    packSelection(numbers, event.offset, 0, selection, event.dataLength);
    await this.#request(
      event.partition,
      numbers,
      1,
      destination.bytes,
      destination.region?.handle ?? null,
      undefined,
      signal,
    );
  }

  async #fillOwn(event: Event, selection: Selection, destination: Destination): Promise<void> {
    event.selected = destination.bytes.subarray(0, selection.bytesFor(event.dataLength));
    try {
      await this.fetch(event, selection, destination);
    } catch (error) {
      event.failure = error as WeftError;
    }
  }

  /** One request for all; the event that a request failed for is left out of the next try, so the others get theirs. */
  async #fill(memory: ConsumeMemory, wanted: readonly WantedEvent[]): Promise<void> {
    // Until each request has said otherwise.
    memory.spoiled = true;
    let spoiled = false;
    let rest = wanted;
    while (rest.length > 0) {
      const outcome = await this.#fillOnce(memory, rest);
      spoiled ||= outcome.spoiled;
      const { error } = outcome;
      if (error === undefined) break;
      const failed = rest[outcome.at];
      const oneOnly = error.code === "WEFT_CORRUPT" || error.code === "WEFT_OFFSET_GONE";
      if (!oneOnly || failed === undefined) {
        for (const { event } of rest) event.failure = error;
        break;
      }
      failed.event.failure = error;
      rest = rest.filter((one) => one !== failed);
    }
    memory.spoiled = spoiled;
  }

  async #fillOnce(memory: ConsumeMemory, wanted: readonly WantedEvent[]): Promise<FillOutcome> {
    const numbers: number[] = [];
    for (const { event, selection, at } of wanted)
      packSelection(numbers, event.offset, at, selection, event.dataLength);
    const partition = wanted[0]?.event.partition ?? 0;
    const outcome: FillOutcome = { error: undefined, at: 0, spoiled: true };
    try {
      const { values } = await this.#request(
        partition,
        numbers,
        wanted.length,
        memory.bytes,
        memory.handle,
        (record) => {
          outcome.at = record.value(2);
          outcome.spoiled = record.value(3) !== 1;
        },
      );
      outcome.spoiled = values[3] !== 1;
    } catch (error) {
      outcome.error = error as WeftError;
    }
    return outcome;
  }

  #request(
    partition: number,
    numbers: readonly number[],
    count: number,
    destination: Uint8Array,
    region: ConsumeMemory["handle"] | null,
    failed?: CompletionHandler,
    signal?: AbortSignal,
  ): Promise<Completion> {
    const packed = Float64Array.from(numbers);
    return this.#completions.request(
      `fetching data of partition ${partition}`,
      (tag) => {
        this.#completions.binding.dataFetchAsync(this.#handle, partition, packed, count, destination, region, tag);
      },
      {
        signal,
        // The destination must stay referenced until the completion: this closure holds it.
        late: () => void destination,
        failed,
      },
    );
  }
}
