/** Options of consumers and of `pull`, their defaults and their check. */
import {
  checkFunction,
  checkInteger,
  checkMembers,
  checkName,
  checkSignal,
  checkTimeoutMs,
  invalid,
} from "../check.js";
import { WeftError } from "../errors.js";
import type { Region, RegionSlice } from "../job/region.js";
import type { NativeConsumerOptions } from "../native/binding.js";
import type { TopicContext } from "../topic/context.js";
import { Selection } from "./selection.js";
import { type Share, checkShare } from "./static-group.js";

/**
 * Where to begin: after the last committed event of the consumer's name ("cursor", without one "earliest"); at an offset
 * of every partition; at the first event that a server appended at or after a time.
 */
export type ConsumeFrom =
  | "cursor"
  | "earliest"
  | "latest"
  | { readonly offset: number }
  | { readonly timeNs: bigint }
  | { readonly time: Date };

/** Where `seek` goes: as `from` of every partition concerned, or to one event of one partition, by its id. */
export type SeekTo = ConsumeFrom | { readonly partition: number; readonly offset: number };

export interface SeekOptions {
  /** Default: all that the consumer reads, or that of the id. */
  readonly partitions?: readonly number[] | undefined;
  /** Ends the waiting with WEFT_CANCELLED. The seek goes on, and whoever pulls before it has ended gets WEFT_BUSY. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Where to end: behind what is visible at the opening ("end"); before an offset of every partition; before the first event that a
 * server appended at or after a time, which ends by itself once that time has passed.
 */
export type ConsumeUntil =
  "end" | "never" | { readonly offset: number } | { readonly timeNs: bigint } | { readonly time: Date };

/** What an event's data is chosen by. */
export interface SelectFacts {
  readonly partition: number;
  readonly offset: number;
  readonly dataLength: number;
}
export type Select<Metadata> = (metadata: Metadata, event: SelectFacts) => Selection;

/** An event of a frame, for `selectFrame`. Its metadata is decoded at its first use, as `event.metadata` is. */
export interface FrameFacts<Metadata> extends SelectFacts {
  readonly metadata: Metadata;
}
export type SelectFrame<Metadata> = (events: readonly FrameFacts<Metadata>[]) => readonly Selection[];

/** When acknowledged events are committed by themselves. */
export interface AckEvery {
  readonly events?: number | undefined;
  readonly ms?: number | undefined;
}

/** What an event's memory is chosen by. */
export interface AllocateFacts extends SelectFacts {
  /** Selected bytes of its data: at least so many are needed. */
  readonly bytes: number;
}
export type Allocate<Metadata> = (
  metadata: Metadata,
  event: AllocateFacts,
) => Region | RegionSlice | ArrayBufferView | ArrayBuffer;

export interface ConsumerOptions<Metadata> {
  /** Whose cursor; without one nothing can be committed. */
  readonly name?: string | undefined;
  /** Default: all. */
  readonly partitions?: readonly number[] | undefined;
  /**
   * Instead of `partitions`: members that read the topic among themselves, each partition exactly one of them, none more than one partition more
   * than another. Of `{ rank, size }` member `rank` reads the partitions p with p % size = rank. Of a Communicator all ranks
   * open a consumer of the topic, in the same order as its other collective calls (the opening is collective; with a
   * signal none waits for ever for one that does not); partitions go to members on the host of their server first. A
   * member that is left without one gets no events: its iteration ends where `until` says, else with its signal or
   * `close`. WEFT_INVALID_ARGUMENT together with `partitions`, for a rank that is not below the size, and, when it is
   * opened, if ranks opened different topics; WEFT_MPI.
   */
  readonly share?: Share | undefined;
  /** Default "cursor". */
  readonly from?: ConsumeFrom | undefined;
  /** Where iteration ends. Default "never". */
  readonly until?: ConsumeUntil | undefined;
  /**
   * Which bytes of each event's data are wanted, or one choice for all. Default: `metadataOnly`. What a function
   * throws belongs to that event alone: reading its data throws it.
   */
  readonly select?: Select<Metadata> | Selection | undefined;
  /**
   * Instead of `select`: called once for a frame, the events of one partition that came together (at most 65,536), it
   * returns a selection for each of them, in their order. Reading the data of an event throws why none came: what the
   * function threw and WEFT_INVALID_ARGUMENT for another number of selections belong to all events of the frame;
   * WEFT_INVALID_ARGUMENT for what is no selection and WEFT_SELECTION_OUTSIDE to that event alone. WEFT_INVALID_ARGUMENT
   * together with `select`.
   */
  readonly selectFrame?: SelectFrame<Metadata> | undefined;
  /**
   * Where the selected data of an event goes instead of memory of the library: called once for each event of which bytes
   * were selected (and whose selection names no memory itself, `into`), ahead of its being handed out, by up to three
   * groups of `slabBytes` or 1,024 events. A region, or a slice of one, is written by the server without a copy; any other
   * memory by one copy, when all is there. Events in one region, or one buffer, come with one request.
   *
   * The memory is lent until the event was handed out; of a region `busy` says whether data is still on its way. Reading the data of the
   * event concerned, and of no other, throws what the function threw; WEFT_INVALID_ARGUMENT for what is no memory, too
   * little, or a region of another job; WEFT_CLOSED for a region that was released; WEFT_BUSY for bytes that are lent to an
   * event that was not handed out yet. When a server is lost and nobody knows whether it still writes, its region
   * stays busy.
   */
  readonly allocate?: Allocate<Metadata> | undefined;
  /**
   * The position is committed by itself after so many acknowledged events, or so many milliseconds after the first one that
   * is not committed, whichever comes first, and at the end of an iteration and at close. A number is `events`. `events`:
   * default 1,000; 0: not by their number. `ms`: 1 to 2,147,483,647; default: not by time. Both not, as with 0: only by
   * `commit()`. Needs a name. A commit that fails is tried again with the next; what is no matter of time is told by
   * `close` and at the end of an iteration. The timer keeps no process alive.
   */
  readonly ackEvery?: number | AckEvery | undefined;
  /** Metadata that servers may send ahead, in bytes per partition; at least 2,162,688, default 4 MiB. */
  readonly prefetchBytes?: number | undefined;
  /**
   * Events that servers may send ahead, per partition, beside those of the frames that are read from or whose data is on
   * its way, of which there are at most three: 1 to 2,147,483,647; default: as many as `prefetchBytes` takes. A batch of more
   * events goes alone.
   */
  readonly prefetchEvents?: number | undefined;
  /** Memory for selected data, in bytes per slab; a larger event gets a slab of its own. Default 8 MiB. */
  readonly slabBytes?: number | undefined;
  /** Slabs: one is read while others are filled; 1 to 64, default 3. */
  readonly slabs?: number | undefined;
  /** Selected bytes of one event beyond which its data must be fetched by ranges. At most (and by default) 4 GiB. */
  readonly eventBytesMax?: number | undefined;
  /**
   * Ends the opening, and every pull and iteration, with WEFT_CANCELLED. No event is lost by it, and the consumer is
   * still to be closed.
   */
  readonly signal?: AbortSignal | undefined;
}

export interface PullOptions {
  /** At most so many events; default 1,024. */
  readonly max?: number | undefined;
  /** Default: waits for ever. 0 does not wait. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RunOptions {
  /** Events that are handled at a time; 1 to 65,536, default 1. */
  readonly concurrency?: number | undefined;
  /** Ends it with WEFT_CANCELLED once the handlers that run have ended. */
  readonly signal?: AbortSignal | undefined;
}

export const consumerDefaults = {
  ackEvery: 1000,
  prefetchBytes: 4 * 1024 * 1024,
  slabBytes: 8 * 1024 * 1024,
  slabs: 3,
  eventBytesMax: 2 ** 32,
} as const;
export const pullEventsDefault = 1024;
/** Timers of Node end there. */
export const timerMsMax = 2 ** 31 - 1;
const prefetchBytesMin = 2 * 1024 * 1024 + 64 * 1024;
const gibibyte = 1024 ** 3;
/** Time stamps are 64 bits without a sign. */
const timeNsMax = 2n ** 64n - 1n;

/** `isNow`: what is visible at the opening ends it, too. */
export interface ResolvedUntil {
  readonly isNow: boolean;
  readonly offset?: number;
  readonly timeNs?: bigint;
}

/** 0: not so. */
export interface ResolvedAckEvery {
  readonly events: number;
  readonly ms: number;
}

/** How data is chosen: at most one of the two. */
export interface SelectorOptions {
  readonly select: Select<unknown> | Selection | undefined;
  readonly selectFrame: SelectFrame<unknown> | undefined;
  readonly eventBytesMax: number;
}

export interface ResolvedConsumerOptions {
  readonly native: NativeConsumerOptions;
  /** Without `share`. */
  readonly partitions: readonly number[];
  readonly share: Share | undefined;
  readonly until: ResolvedUntil;
  readonly ackEvery: ResolvedAckEvery;
  readonly slabBytes: number;
  readonly slabs: number;
  readonly selector: SelectorOptions;
  readonly allocate: Allocate<unknown> | undefined;
}

const members = [
  ...[
    "name",
    "partitions",
    "share",
    "from",
    "until",
    "select",
    "selectFrame",
    "allocate",
    "ackEvery",
    "prefetchBytes",
    "prefetchEvents",
    "slabBytes",
    "slabs",
  ],
  ...["eventBytesMax", "signal"],
];

export function resolveConsumerOptions<Metadata>(
  topic: TopicContext,
  options: ConsumerOptions<Metadata>,
): ResolvedConsumerOptions {
  checkMembers("consumer", options, members);
  checkSignal("signal of consumer", options.signal);
  checkFunction("allocate of consumer", options.allocate);
  const whole = (name: Exclude<keyof typeof consumerDefaults, "ackEvery">, low: number, high: number): number =>
    checkInteger(`${name} of consumer`, options[name], low, high, consumerDefaults[name]);
  const partitions = resolvePartitions(topic, options.partitions);
  if (options.share !== undefined) {
    checkShare(options.share);
    if (options.partitions !== undefined) {
      throw new WeftError("WEFT_INVALID_ARGUMENT", "a consumer takes share or partitions, not both", {
        next: "leave one of them out",
      });
    }
  }
  const name = checkName("name of consumer", options.name);
  return {
    native: {
      ...resolveFrom(options.from),
      name,
      partitions: options.partitions === undefined ? undefined : partitions,
      prefetchBytes: whole("prefetchBytes", prefetchBytesMin, gibibyte),
      prefetchEvents: checkInteger("prefetchEvents of consumer", options.prefetchEvents, 1, 2 ** 31 - 1, undefined),
    },
    partitions,
    share: options.share,
    until: resolveUntil(options.until),
    ackEvery: resolveAckEvery(options.ackEvery, name !== undefined),
    slabBytes: whole("slabBytes", 4096, gibibyte),
    slabs: whole("slabs", 1, 64),
    selector: resolveSelector(options, whole("eventBytesMax", 1, 2 ** 32)),
    allocate: options.allocate as Allocate<unknown> | undefined,
  };
}

function resolveAckEvery(given: number | AckEvery | undefined, hasName: boolean): ResolvedAckEvery {
  const isParts = typeof given === "object" && (given as unknown) !== null;
  if (isParts) checkMembers("ackEvery of consumer", given, ["events", "ms"]);
  const { events, ms } = isParts ? given : { events: given, ms: undefined };
  const what = isParts ? "events of ackEvery" : "ackEvery of consumer";
  const resolved = {
    events: checkInteger(what, events, 0, Number.MAX_SAFE_INTEGER, consumerDefaults.ackEvery),
    ms: checkInteger("ms of ackEvery", ms, 1, timerMsMax, 0),
  };
  return hasName ? resolved : { events: 0, ms: 0 };
}

function resolveSelector<Metadata>(options: ConsumerOptions<Metadata>, eventBytesMax: number): SelectorOptions {
  const { select, selectFrame } = options;
  if (!(select instanceof Selection)) checkFunction("select of consumer", select);
  checkFunction("selectFrame of consumer", selectFrame);
  if (select !== undefined && selectFrame !== undefined) {
    throw new WeftError("WEFT_INVALID_ARGUMENT", "a consumer takes select or selectFrame, not both", {
      next: "leave one of them out",
    });
  }
  return {
    select: select as Select<unknown> | Selection | undefined,
    selectFrame: selectFrame as SelectFrame<unknown> | undefined,
    eventBytesMax,
  };
}

function resolvePartitions(
  topic: TopicContext,
  given: readonly number[] | undefined,
  what = "partitions of consumer",
): readonly number[] {
  const count = topic.partitionCount;
  if (given === undefined) return Array.from({ length: count }, (_, partition) => partition);
  if (!Array.isArray(given) || given.length === 0) throw invalid(what, given, "a list of numbers");
  for (const partition of given as readonly unknown[]) {
    if (typeof partition === "number" && Number.isInteger(partition) && partition >= 0 && partition < count) continue;
    throw new WeftError(
      "WEFT_PARTITION_RANGE",
      `topic '${topic.name}' has no partition ${String(partition)}: they are 0 to ${count - 1}`,
    );
  }
  const unique: readonly number[] = [...new Set<number>(given)];
  if (unique.length !== given.length) throw invalid(what, given.join(", "), "without repetition");
  return unique;
}

/** Nanoseconds since 1970, if it is a time from then to 2554. */
function timeOf(given: object): bigint | undefined {
  const { timeNs, time } = given as { readonly timeNs?: unknown; readonly time?: unknown };
  let ns: unknown = timeNs;
  if (time instanceof Date && time.getTime() >= 0) ns = BigInt(time.getTime()) * 1_000_000n;
  return typeof ns === "bigint" && ns >= 0n && ns <= timeNsMax ? ns : undefined;
}

function offsetOf(what: string, { offset }: { readonly offset: unknown }): number {
  const checked = checkInteger(`the offset of ${what}`, offset, 0, Number.MAX_SAFE_INTEGER, undefined);
  if (checked === undefined) throw invalid(`the offset of ${what}`, offset, "a whole number from 0");
  return checked;
}

function resolveUntil(until: ConsumeUntil | undefined): ResolvedUntil {
  if (until === undefined || until === "never") return { isNow: false };
  if (until === "end") return { isNow: true };
  if (typeof until === "object" && (until as unknown) !== null) {
    if ("offset" in until) {
      return { isNow: false, offset: offsetOf("until of consumer", until) };
    }
    const timeNs = timeOf(until);
    if (timeNs !== undefined) return { isNow: timeNs <= BigInt(Date.now()) * 1_000_000n, timeNs };
  }
  throw invalid(
    "until of consumer",
    until,
    '"end", "never", { offset }, { timeNs } or { time }, a time from 1970 to 2554',
  );
}

export interface ResolvedSeek {
  readonly to: Pick<NativeConsumerOptions, "from" | "fromValue">;
  /** Undefined: all that the consumer reads. */
  readonly partitions: readonly number[] | undefined;
  readonly signal: AbortSignal | undefined;
}

/** WEFT_INVALID_ARGUMENT, WEFT_PARTITION_RANGE. */
export function resolveSeek(topic: TopicContext, to: SeekTo, options: SeekOptions): ResolvedSeek {
  checkMembers("seek", options, ["partitions", "signal"]);
  const { signal, partitions } = options;
  checkSignal("signal of seek", signal);
  if ((to as unknown) === undefined) throw invalid("the place of seek", to, fromForms);
  if (typeof to !== "object" || (to as unknown) === null || !("partition" in to)) {
    const concerned = partitions === undefined ? undefined : resolvePartitions(topic, partitions, "partitions of seek");
    return { to: resolveFrom(to, "the place of seek"), partitions: concerned, signal };
  }
  if (partitions !== undefined) {
    throw new WeftError("WEFT_INVALID_ARGUMENT", "seek takes partitions or the id of an event, not both", {
      next: "leave partitions out",
    });
  }
  const { partition, offset } = to;
  return {
    to: resolveFrom({ offset }, "the place of seek"),
    partitions: resolvePartitions(topic, [partition], "the partition of seek"),
    signal,
  };
}

const fromForms = '"cursor", "earliest", "latest", { offset }, { timeNs } or { time }, a time from 1970 to 2554';

function resolveFrom(from: ConsumeFrom | undefined, what = "from of consumer"): NativeConsumerOptions {
  switch (from) {
    case undefined:
    case "cursor":
      return { from: 4 };
    case "earliest":
      return { from: 0 };
    case "latest":
      return { from: 1 };
    default:
  }
  if (typeof from === "object" && (from as unknown) !== null) {
    if ("offset" in from) {
      return {
        from: 2,
        fromValue: BigInt(offsetOf(what, from)),
      };
    }
    const timeNs = timeOf(from);
    if (timeNs !== undefined) return { from: 3, fromValue: timeNs };
  }
  throw invalid(what, from, fromForms);
}

export interface ResolvedPullOptions {
  readonly max: number;
  /** -1: for ever. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

export function resolvePullOptions(options: PullOptions): ResolvedPullOptions {
  checkMembers("pull", options, ["max", "timeoutMs", "signal"]);
  checkSignal("signal of pull", options.signal);
  return {
    max: checkInteger("max of pull", options.max, 1, 1_000_000, pullEventsDefault),
    timeoutMs: checkTimeoutMs("timeoutMs of pull", options.timeoutMs, -1),
    signal: options.signal,
  };
}

export function resolveRunOptions(options: RunOptions): {
  readonly max: number;
  readonly signal: AbortSignal | undefined;
} {
  checkMembers("run", options, ["concurrency", "signal"]);
  checkSignal("signal of run", options.signal);
  return { max: checkInteger("concurrency of run", options.concurrency, 1, 65_536, 1), signal: options.signal };
}
