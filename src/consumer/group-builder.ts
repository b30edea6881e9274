/**
 * Makes groups of events out of frames: the data selector speaks for a whole frame, its selections become one data
 * request, as much as one slab holds. JavaScript thread.
 */
import { WeftError } from "../errors.js";
import { Event, type EventOwner } from "./event.js";
import { type DataRequests, EventGroup, type WantedEvent, alignUp, selectionsMax } from "./event-group.js";
import type { FrameSource, WantedFrame } from "./frame-source.js";
import type { Select } from "./options.js";
import { Selection } from "./selection.js";
import type { SlabPool } from "./slab-pool.js";

/** Frames looked at in one go without an event to hand out, before the event loop gets its turn. */
const framesAtOnceMax = 64;

interface Chosen {
  readonly event: Event;
  readonly selection: Selection;
}

/** What a try to make a group gave: "dry": wait for frames; "full": wait for a slab; "later": more is there. */
export type Built = EventGroup | WeftError | "dry" | "full" | "later";

export class GroupBuilder {
  readonly #source: FrameSource;
  readonly #requests: DataRequests;
  readonly #pool: SlabPool;
  readonly #owner: EventOwner;
  readonly #select: Select<unknown> | Selection | undefined;
  readonly #eventBytesMax: number;
  #frame: WantedFrame | undefined;
  #at = 0;
  /** An event that did not fit the group before: its selection is made, and is not asked for twice. */
  #kept: Chosen | undefined;

  constructor(
    source: FrameSource,
    requests: DataRequests,
    pool: SlabPool,
    owner: EventOwner,
    select: Select<unknown> | Selection | undefined,
    eventBytesMax: number,
  ) {
    this.#source = source;
    this.#requests = requests;
    this.#pool = pool;
    this.#owner = owner;
    this.#select = select;
    this.#eventBytesMax = eventBytesMax;
  }

  build(): Built {
    for (let looked = 0; looked < framesAtOnceMax; looked++) {
      if (this.#frame === undefined) {
        const next = this.#source.next();
        if (next === undefined) return "dry";
        if (next instanceof WeftError) return next;
        this.#frame = next;
        this.#at = next.frame.skip;
      }
      const built = this.#buildFrom(this.#frame);
      if (built !== undefined) return built;
    }
    return "later";
  }

  /** A group out of the rest of a frame; undefined if none of it is to be handed out. */
  #buildFrom(wanted: WantedFrame): EventGroup | "full" | undefined {
    const events: Event[] = [];
    const requested: WantedEvent[] = [];
    let slabEnd = 0;
    while (this.#kept !== undefined || this.#at < wanted.end) {
      const chosen = this.#kept ?? this.#choose(new Event(this.#owner, wanted.frame, this.#at++));
      this.#kept = undefined;
      const { event, selection } = chosen;
      if (selection.kind === "skip") {
        this.#owner.acknowledge(event.partition, event.offset);
        continue;
      }
      const bytes = selection.kind === "none" ? 0 : selection.bytesFor(event.dataLength);
      if (bytes > 0) {
        const inSlab = selection.destination === undefined;
        const at = alignUp(slabEnd);
        const fits =
          requested.length < selectionsMax &&
          (!inSlab || (slabEnd === 0 ? this.#pool.available : at + bytes <= this.#pool.slabBytes));
        if (!fits) {
          this.#kept = chosen;
          if (events.length === 0) return "full";
          break;
        }
        if (inSlab) slabEnd = at + bytes;
        requested.push({ event, selection, at: inSlab ? at : 0 });
      }
      events.push(event);
    }
    if (this.#kept === undefined && this.#at >= wanted.end) this.#frame = undefined;
    if (events.length === 0) return undefined;
    const group = new EventGroup(events);
    if (requested.length > 0) this.#requests.start(group, requested, slabEnd);
    return group;
  }

  /** What is wanted of an event; whatever is wrong with that becomes the event's own failure. */
  #choose(event: Event): Chosen {
    let selection: Selection = metadataOnlySelection;
    try {
      if (this.#select instanceof Selection) selection = this.#select;
      else if (this.#select !== undefined) selection = this.#select(event.metadata, event);
      if (!(selection instanceof Selection)) {
        throw new WeftError("WEFT_INVALID_ARGUMENT", `select returned no selection for ${event.name}`, {
          next: "return nothing, metadataOnly, all, range(…), ranges(…), strided(…) or box(…)",
        });
      }
      if (selection.kind === "all" || selection.kind === "runs") this.#check(event, selection);
      return { event, selection };
    } catch (error) {
      event.failure =
        error instanceof WeftError
          ? error
          : new WeftError("WEFT_INVALID_ARGUMENT", `select failed for ${event.name}: ${String(error)}`, {
              cause: error,
              next: "correct the select function of the consumer's options",
            });
      return { event, selection: metadataOnlySelection };
    }
  }

  #check(event: Event, selection: Selection): void {
    const problem = selection.problemFor(event.dataLength, event.name);
    if (problem !== undefined) throw problem;
    const bytes = selection.bytesFor(event.dataLength);
    if (bytes <= this.#eventBytesMax) return;
    throw new WeftError(
      "WEFT_BUFFER_TOO_LARGE",
      `${bytes} bytes of ${event.name} were selected; one buffer of this consumer takes ${this.#eventBytesMax}`,
      { next: "fetch it by ranges: event.fetch(range(start, end))" },
    );
  }
}

const metadataOnlySelection = new Selection("none", []);
