/**
 * What is wanted of each event's data: one selection for all, a function of one event (`select`), or one of all wanted
 * events of a frame (`selectFrame`), called once for it. Whatever is wrong with what they say becomes the failure of the
 * events concerned, which are then handed out without data. JavaScript thread.
 */
import { inspect } from "node:util";

import { forget } from "../check.js";
import { WeftError } from "../errors.js";
import { Event, type EventOwner } from "./event.js";
import type { WantedFrame } from "./frame-source.js";
import type { Select, SelectFrame, SelectorOptions } from "./options.js";
import { Selection, metadataOnly } from "./selection.js";

/** An event with what is wanted of it, which fits the event. */
export interface Chosen {
  readonly event: Event;
  readonly selection: Selection;
}

const correctIt = (option: string): string => `correct the ${option} function of the consumer's options`;
const anySelection = "return nothing, metadataOnly, all, range(…), ranges(…), strided(…) or box(…)";

/** What a function of the consumer's options threw, as the error of the event or events that it was asked about. */
export function thrownBy(option: string, about: string, thrown: unknown): WeftError {
  if (thrown instanceof WeftError) return thrown;
  const why = thrown instanceof Error ? String(thrown) : inspect(thrown);
  return new WeftError("WEFT_INVALID_ARGUMENT", `${option} failed for ${about}: ${why}`, {
    cause: thrown,
    next: correctIt(option),
  });
}

export class DataSelector {
  readonly #owner: EventOwner;
  readonly #select: Select<unknown> | Selection | undefined;
  readonly #selectFrame: SelectFrame<unknown> | undefined;
  readonly #eventBytesMax: number;

  constructor(owner: EventOwner, { select, selectFrame, eventBytesMax }: SelectorOptions) {
    this.#owner = owner;
    this.#select = select;
    this.#selectFrame = selectFrame;
    this.#eventBytesMax = eventBytesMax;
  }

  /** All wanted events of a frame at once; undefined where they are chosen one by one, by `choose`. */
  chooseFrame({ frame, end }: WantedFrame): readonly Chosen[] | undefined {
    const select = this.#selectFrame;
    if (select === undefined) return undefined;
    const events: Event[] = [];
    for (let index = frame.skip; index < end; index++) events.push(new Event(this.#owner, frame, index));
    let selections: readonly unknown[];
    try {
      selections = listFor(events, select([...events])); // a copy: the function may sort it
    } catch (error) {
      const failure = thrownBy("selectFrame", rangeName(events), error);
      return events.map((event) => failed(event, failure));
    }
    return events.map((event, index) => this.#checked(event, selections[index], "selectFrame"));
  }

  /** One event of a frame. */
  choose({ frame }: WantedFrame, index: number): Chosen {
    const event = new Event(this.#owner, frame, index);
    const select = this.#select;
    if (select === undefined) return { event, selection: metadataOnly };
    if (select instanceof Selection) return this.#checked(event, select, "select");
    let selection: unknown;
    try {
      selection = select(event.metadata, event);
    } catch (error) {
      return failed(event, thrownBy("select", event.name, error));
    }
    return this.#checked(event, selection, "select");
  }

  #checked(event: Event, selection: unknown, option: string): Chosen {
    if (!(selection instanceof Selection)) {
      forget(selection);
      return failed(
        event,
        new WeftError("WEFT_INVALID_ARGUMENT", `${option} returned no selection for ${event.name}`, {
          next: anySelection,
        }),
      );
    }
    const isData = selection.kind === "all" || selection.kind === "runs";
    const problem = isData ? this.#problemOf(event, selection) : undefined;
    return problem === undefined ? { event, selection } : failed(event, problem);
  }

  #problemOf(event: Event, selection: Selection): WeftError | undefined {
    const problem = selection.problemFor(event.dataLength, event.name);
    if (problem !== undefined) return problem;
    const bytes = selection.bytesFor(event.dataLength);
    if (bytes <= this.#eventBytesMax) return undefined;
    return new WeftError(
      "WEFT_BUFFER_TOO_LARGE",
      `${bytes} bytes of ${event.name} were selected; one buffer of this consumer takes ${this.#eventBytesMax}`,
      { next: "fetch it by ranges: event.fetch(range(start, end))" },
    );
  }
}

function failed(event: Event, failure: WeftError): Chosen {
  event.failure = failure;
  return { event, selection: metadataOnly };
}

function rangeName(events: readonly Event[]): string {
  const [first, last] = [events[0], events.at(-1)];
  return `events ${first?.partition}:${first?.offset} to ${last?.offset}`;
}

/** What selectFrame returned, if it is a list with one for each event. */
function listFor(events: readonly Event[], returned: unknown): readonly unknown[] {
  if (Array.isArray(returned) && returned.length === events.length) return returned as readonly unknown[];
  forget(returned);
  const what = Array.isArray(returned) ? `${returned.length} selections` : "no list";
  throw new WeftError(
    "WEFT_INVALID_ARGUMENT",
    `selectFrame returned ${what} for ${rangeName(events)}; it must return ${events.length} selections`,
    { next: `for each event of its list ${anySelection}` },
  );
}
