/**
 * Makes groups of events out of frames: the data selector speaks for a whole frame, its selections become one data
 * request, as much as one slab holds. JavaScript thread.
 */
import type { WeftError } from "../errors.js";
import type { DataAllocator, Placed } from "./data-allocator.js";
import type { Chosen, DataSelector } from "./data-selector.js";
import type { Event, EventOwner } from "./event.js";
import { type DataRequests, EventGroup, type WantedEvent, alignUp, selectionsMax } from "./event-group.js";
import type { FailedPartition, FrameSource, WantedFrame } from "./frame-source.js";
import type { LentMemory, LentRange } from "./lent-memory.js";
import type { SlabPool } from "./slab-pool.js";

/** Frames looked at in one go without an event to hand out, before the event loop gets its turn. */
const framesAtOnceMax = 64;

/** What a try to make a group gave: "dry": wait for frames; "full": wait for a slab; "later": more is there. */
export type Built = EventGroup | FailedPartition | "dry" | "full" | "later";

export class GroupBuilder {
  readonly #source: FrameSource;
  readonly #requests: DataRequests;
  readonly #pool: SlabPool;
  readonly #owner: EventOwner;
  readonly #selector: DataSelector;
  readonly #allocator: DataAllocator | undefined;
  /** That selections name: of one event at a time. */
  readonly #ownMemory: LentMemory;
  #frame: WantedFrame | undefined;
  /** Of the frame's events from `skip`, if they were chosen all at once. */
  #chosen: readonly Chosen[] | undefined;
  #at = 0;
  /** An event that did not fit the group before: its selection is made, and is not asked for twice. */
  #kept: Chosen | undefined;

  constructor(
    source: FrameSource,
    requests: DataRequests,
    pool: SlabPool,
    owner: EventOwner,
    selector: DataSelector,
    allocator: DataAllocator | undefined,
    ownMemory: LentMemory,
  ) {
    this.#ownMemory = ownMemory;
    this.#source = source;
    this.#requests = requests;
    this.#pool = pool;
    this.#owner = owner;
    this.#selector = selector;
    this.#allocator = allocator;
  }

  /** What is left of a frame of these partitions is not handed out. */
  drop(partitions: ReadonlySet<number>): void {
    if (this.#frame === undefined || !partitions.has(this.#frame.frame.partition)) return;
    this.#frame = undefined;
    this.#chosen = undefined;
    this.#kept = undefined;
  }

  build(): Built {
    for (let looked = 0; looked < framesAtOnceMax; looked++) {
      if (this.#frame === undefined) {
        const next = this.#source.next();
        if (next === undefined) return "dry";
        if ("error" in next) return next;
        this.#frame = next;
        this.#at = next.frame.skip;
        this.#chosen = this.#selector.chooseFrame(next);
      }
      const built = this.#buildFrom(this.#frame);
      if (built !== undefined) return built;
    }
    return "later";
  }

  /** A group out of the rest of a frame; undefined if none of it is to be handed out. */
  #buildFrom(wanted: WantedFrame): EventGroup | FailedPartition | "full" | undefined {
    const events: Event[] = [];
    const requested: WantedEvent[] = [];
    let slabEnd = 0;
    let placedBytes = 0;
    const named: LentRange[] = [];
    while (this.#kept !== undefined || this.#at < wanted.end) {
      const chosen = this.#kept ?? this.#choose(wanted, this.#at++);
      this.#kept = undefined;
      const { event, selection } = chosen;
      if (selection.kind === "skip") {
        const problem = this.#skip(event);
        if (problem === undefined) continue;
        this.#kept = chosen;
        if (events.length === 0) return { partition: event.partition, error: problem };
        break;
      }
      const bytes = selection.kind === "none" ? 0 : selection.bytesFor(event.dataLength);
      if (bytes > 0) {
        const isOwn = selection.destination !== undefined;
        const isPlaced = !isOwn && this.#allocator !== undefined;
        const at = isOwn || isPlaced ? 0 : alignUp(slabEnd);
        let fits = requested.length < selectionsMax;
        // As much of the caller's memory is lent ahead as slabs would be.
        if (isPlaced) fits &&= placedBytes === 0 || placedBytes + bytes <= this.#pool.slabBytes;
        else if (!isOwn) fits &&= slabEnd === 0 ? this.#pool.available : at + bytes <= this.#pool.slabBytes;
        // Memory that an event before names as well: when that one's turn is over.
        const own = fits ? selection.destination?.bytes.subarray(0, bytes) : undefined;
        const lent = own === undefined ? undefined : this.#ownMemory.lend(own, event.name);
        if (lent?.isNew === true) named.push(lent.range);
        if (!fits || lent?.isNew === false) {
          this.#kept = chosen;
          if (events.length === 0) return "full";
          break;
        }
        if (isPlaced) {
          const placed = this.#place(event, bytes);
          if (placed !== undefined) requested.push({ event, selection, at: placed.at, placed });
          placedBytes += bytes;
        } else {
          if (!isOwn) slabEnd = at + bytes;
          requested.push({ event, selection, at });
        }
      }
      events.push(event);
    }
    if (this.#kept === undefined && this.#at >= wanted.end) this.#frame = undefined;
    if (events.length === 0) return undefined;
    const group = new EventGroup(events);
    if (named.length > 0) group.named = named;
    if (placedBytes > 0) group.lent = requested.flatMap(({ placed }) => (placed === undefined ? [] : [placed.lent]));
    if (requested.length > 0) this.#requests.start(group, requested, slabEnd);
    return group;
  }

  /** The event counts as acknowledged; WEFT_LIMIT while too many are behind one that was not: then it comes again. */
  #skip(event: Event): WeftError | undefined {
    try {
      this.#owner.acknowledge(event.partition, event.offset);
      return undefined;
    } catch (error) {
      return error as WeftError;
    }
  }

  /** Memory of the allocator's for an event; undefined with the event's failure. */
  #place(event: Event, bytes: number): Placed | undefined {
    try {
      return this.#allocator?.place(event, bytes);
    } catch (error) {
      event.failure = error as WeftError;
      return undefined;
    }
  }

  #choose(wanted: WantedFrame, index: number): Chosen {
    return this.#chosen?.[index - wanted.frame.skip] ?? this.#selector.choose(wanted, index);
  }
}
