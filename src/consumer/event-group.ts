/**
 * Events of one frame that are handed out together: their data comes with one request into one slab (a request of its
 * own for each event whose selection names a destination). Making a group starts the requests; `ready` says when all
 * were answered. A failed request fails the events concerned, not the group. JavaScript thread.
 */
import type { WeftError } from "../errors.js";
import type { ConsumerHandle } from "../native/binding.js";
import type { Completion, Completions } from "../native/completions.js";
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

/** Codes that only a server says, which is done with the memory then. */
const answeredCodes: ReadonlySet<string> = new Set([
  ...["WEFT_CORRUPT", "WEFT_SELECTION_OUTSIDE", "WEFT_OFFSET_GONE", "WEFT_TRUNCATED", "WEFT_INVALID_ARGUMENT"],
  "WEFT_PARTITION_RANGE",
]);

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
      const memory = this.#pool.lend(slabBytes);
      group.memory = memory;
      for (const { event, selection, at } of inSlab) {
        event.memory = memory;
        event.selected = memory.bytes.subarray(at, at + selection.bytesFor(event.dataLength));
      }
      waits.push(this.#fill(memory, inSlab));
    }
    for (const { event, selection } of wanted) {
      if (selection.destination !== undefined) waits.push(this.#fillOwn(event, selection, selection.destination));
    }
    group.ready = waits.length === 1 ? waits[0] : Promise.all(waits).then(() => undefined);
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
    let rest = wanted;
    while (rest.length > 0) {
      const numbers: number[] = [];
      for (const { event, selection, at } of rest)
        packSelection(numbers, event.offset, at, selection, event.dataLength);
      const partition = rest[0]?.event.partition ?? 0;
      let failedAt = 0;
      try {
        await this.#request(partition, numbers, rest.length, memory.bytes, memory.handle, (index) => {
          failedAt = index;
        });
        return;
      } catch (error) {
        const failure = error as WeftError;
        const failed = rest[failedAt];
        if (!answeredCodes.has(failure.code)) memory.spoiled = true;
        const oneOnly = failure.code === "WEFT_CORRUPT" || failure.code === "WEFT_OFFSET_GONE";
        if (!oneOnly || failed === undefined) {
          for (const { event } of rest) event.failure = failure;
          return;
        }
        failed.event.failure = failure;
        rest = rest.filter((one) => one !== failed);
      }
    }
  }

  #request(
    partition: number,
    numbers: readonly number[],
    count: number,
    destination: Uint8Array,
    region: ConsumeMemory["handle"] | null,
    failedAt?: (index: number) => void,
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
        failed: (record) => failedAt?.(record.value(2)),
      },
    );
  }
}
