/**
 * A process's membership in a job: who it is, the communicators, topics, memory, counters. JavaScript thread.
 *
 * `join` is collective and blocks this thread while the ranks meet (MPI demands one thread); `attach` comes from outside
 * the MPI world and does not block; `openShared` is another thread's part in a job of its process. After that, no call
 * blocks. The process stays alive while something is under way,
 * not because a job is open; a job that was not closed is closed when the event loop ends.
 */
import { randomUUID } from "node:crypto";

import { waitUnlessAborted } from "./abortable.js";
import { Communicator } from "./communicator.js";
import type { Closable, JobContext } from "./context.js";
import { type AttachOptions, type JoinOptions, nativeJoinOptions } from "./options.js";
import { Region } from "./region.js";
import type { SharedData } from "./shared.js";
import { SlabStore } from "./slab-store.js";
import { type JobTicket, nativeTicket, ticketOf } from "./ticket.js";
import { checkInteger, checkMembers, checkSignal, checkText, checkTimeoutMs, invalid, signalOf } from "../check.js";
import { checkIsData } from "../config/plain-data.js";
import type { MetadataOfConfig, TopicConfig } from "../config/topic-config.js";
import { WeftError, isWeftError, throwIfAborted, wordsOf } from "../errors.js";
import { native } from "../native/addon.js";
import type { JobHandle, NativeBinding, NativeJobFacts, TopicHandle } from "../native/binding.js";
import { type Completion, Completions } from "../native/completions.js";
import type { TopicChange } from "../control/topic-change.js";
import type { TopicDescription, TopicSummary } from "../control/topic-description.js";
import { tryModules, withHashedModules } from "../topic/modules.js";
import { Topic } from "../topic/topic.js";

/** How long a control request may take; creating a topic syncs on every slot concerned. */
const controlTimeoutMsDefault = 30_000;

export interface RequestOptions {
  /** Default 30,000 ms. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CreateTopicOptions extends RequestOptions {
  /** What to do about a topic of that name: default "fail"; "open" takes it if its config is the same. */
  readonly ifExists?: "fail" | "open" | undefined;
}

/**
 * A process's membership in a job, from `join` or `attach`, or a thread's share in it, from `openShared`. Calls are local unless they say collective; those that ask a
 * server reject with WEFT_TIMED_OUT, WEFT_PEER_LOST, WEFT_CANCELLED (the signal) or WEFT_CLOSED (the job was closed).
 */
export class Job implements JobContext {
  /** Rank in the MPI world; 0 in a world of one. */
  readonly rank: number;
  /** Ranks in the MPI world. */
  readonly size: number;
  /** Among the ranks of this host. */
  readonly nodeRank: number;
  /** Ranks of this host. */
  readonly nodeSize: number;
  /** Among the ranks that joined under the same name. */
  readonly groupRank: number;
  /** Ranks that joined under the same name. */
  readonly groupSize: number;
  /** "client" or "server". */
  readonly role: string;
  /** The name it joined under. */
  readonly name: string;
  /** "mpich", "openmpi" or "none". */
  readonly mpi: string;
  /** The group directory, through which processes outside the MPI world attach; "" if there is none. */
  readonly group: string;
  /** Server slots known. */
  readonly serverCount: number;

  /** @internal */
  readonly completions: Completions;
  /** @internal */
  readonly opened = new Set<Closable>();
  /** @internal */
  readonly slabs = new SlabStore();
  readonly #joined: boolean;
  #closing: Promise<void> | undefined;
  #world: Communicator | undefined;

  /** @internal Use `join` or `attach`. */
  constructor(completions: Completions, joined: boolean) {
    this.completions = completions;
    this.#joined = joined;
    const facts: NativeJobFacts = completions.binding.jobFacts(completions.job);
    this.rank = facts.rank;
    this.size = facts.worldSize;
    this.nodeRank = facts.nodeRank;
    this.nodeSize = facts.nodeSize;
    this.groupRank = facts.groupRank;
    this.groupSize = facts.groupSize;
    this.role = facts.role;
    this.name = facts.name;
    this.mpi = facts.mpi;
    this.group = facts.group;
    this.serverCount = facts.serverCount;
  }

  /** Counters of the native side, as docs/counters.md names them: bytes by transport, batches, reconnects, … Local. */
  counters(): Record<string, unknown> {
    return JSON.parse(this.completions.binding.jobCounters(this.completions.job)) as Record<string, unknown>;
  }

  /**
   * All ranks of the MPI world, servers included. Local. Only after `join`: WEFT_UNSUPPORTED after `attach` and
   * `openShared`, since MPI wants the thread that joined.
   */
  get world(): Communicator {
    return (this.#world ??= new Communicator(
      this.completions,
      this.completions.binding.communicatorWorld(this.completions.job),
      false,
    ));
  }
  /** Short for `job.world.barrier()`. Collective. */
  async barrier(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.world.barrier(options);
  }

  /**
   * A ticket with which worker threads of this process use this job: hand it over in `workerData` or by a message, and
   * give it to `openShared` there. Good until this job is closed; that of a shared job is the ticket of the job that it
   * shares. WEFT_CLOSED when that is closed. Local.
   *
   * @example
   * ```ts
   * const ticket = job.share();
   * // const worker = new Worker(new URL("./detector.js", import.meta.url), { workerData: ticket });
   * console.log(`for job ${ticket.job} of process ${ticket.process}`);
   * ```
   */
  share(): JobTicket {
    return ticketOf(this.completions.binding.jobShare(this.completions.job));
  }

  /** Memory registered once, referenced by events without a copy. Leave it alone while `region.busy`. Local. */
  register(memory: ArrayBufferView | SharedData): Region {
    return Region.register(this.completions, memory);
  }
  /** Registered, page-aligned memory of the library; up to 4 GiB. Local. */
  alloc(bytes: number): Region {
    return Region.allocate(this.completions, bytes);
  }

  /**
   * Opens a topic. `Metadata` is the type of its events' metadata; it is not checked at run time. WEFT_TOPIC_UNKNOWN
   * names the topics there are. Local; asks slot 0.
   *
   * @example
   * ```ts
   * const field = await job.topic<{ step: number }>("field");
   * ```
   */
  async topic<Metadata = unknown>(
    name: string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Topic<Metadata>> {
    const { binding, job } = this.completions;
    if (checkText("the topic's name", name) === undefined) throw invalid("the topic's name", name, "a text");
    const signal = signalOf("job.topic", options);
    const open = (): Promise<Completion> =>
      this.completions.request(
        `opening topic '${name}'`,
        (tag) => {
          binding.topicOpenAsync(job, name, tag);
        },
        {
          signal,
          late: (completion) => {
            binding.topicClose(completion.handle as TopicHandle);
          },
        },
      );
    let opened: Completion;
    try {
      opened = await open();
    } catch (error) {
      if (!isWeftError(error, "WEFT_TOPIC_UNKNOWN")) throw error;
      // With several slots, clients are in before the topics of the configuration were created: the control plane
      // answers once they are. Where there is none it names the topics there are.
      await this.describeTopic(name, { signal });
      opened = await open();
    }
    try {
      return await Topic.open<Metadata>(this, opened.handle as TopicHandle);
    } catch (error) {
      binding.topicClose(opened.handle as TopicHandle);
      throw error;
    }
  }

  /**
   * Creates a topic on the servers and opens it. WEFT_TOPIC_EXISTS, unless `ifExists` is "open" and its config is the
   * same; WEFT_CONFIG_INVALID; WEFT_MODULE if a module that the config names is not there; WEFT_PARTITION_UNAVAILABLE if a slot that is to
   * hold a partition is away. Local: one rank creates, the others open.
   *
   * The type of the metadata is the one given, else that of the config's JSON Schema or packed fields.
   *
   * @example
   * ```ts
   * const schema = { type: "object", properties: { mag: { type: "number" } }, required: ["mag"] } as const;
   * const quakes = await job.createTopic("quakes", { validator: { schema } }, { ifExists: "open" });
   * await using out = await quakes.producer();
   * out.push({ mag: 4.6 });
   * ```
   */
  async createTopic<const Config extends TopicConfig, _Inferred extends true>(
    name: string,
    config: Config,
    options?: CreateTopicOptions,
  ): Promise<Topic<MetadataOfConfig<Config>>>;
  /** The same, with the type of the metadata given. Local. */
  async createTopic<Metadata = unknown>(
    name: string,
    config?: TopicConfig,
    options?: CreateTopicOptions,
  ): Promise<Topic<Metadata>>;
  /** Local. */
  async createTopic(name: string, config: TopicConfig = {}, options: CreateTopicOptions = {}): Promise<Topic> {
    checkMembers("createTopic", options, ["ifExists", "timeoutMs", "signal"]);
    checkIsData(`topic '${String(name)}': config`, config);
    // A request id: after a lost connection the same request is answered again instead of failing as a repetition.
    const hashed = await withHashedModules(name, config);
    await tryModules(name, hashed);
    const request = { op: "topic.create", name, config: hashed, requestId: randomUUID(), ifExists: options.ifExists };
    await this.control(0, request, options);
    return await this.topic(name, { signal: options.signal });
  }

  /** All topics, in order of name. Local; asks slot 0. */
  async listTopics(options: RequestOptions = {}): Promise<TopicSummary[]> {
    const topics: TopicSummary[] = [];
    let after: string | undefined;
    do {
      const reply = await this.control(0, { op: "topic.list", after }, options);
      topics.push(...(reply["topics"] as TopicSummary[]));
      after = reply["next"] as string | undefined;
    } while (after !== undefined);
    return topics;
  }

  /** What the catalogue says of a topic, without opening it. WEFT_TOPIC_UNKNOWN. Local; asks slot 0. */
  async describeTopic(name: string, options: RequestOptions = {}): Promise<TopicDescription> {
    const reply = await this.control(0, { op: "topic.describe", name }, options);
    return reply["topic"] as TopicDescription;
  }

  /**
   * Deletes a topic with all its events, and frees their space. Its producers and consumers fail with WEFT_TOPIC_UNKNOWN.
   * WEFT_TOPIC_UNKNOWN if there is none. A slot that is away deletes its part when it is back. Local; asks slot 0.
   */
  async deleteTopic(name: string, options: RequestOptions = {}): Promise<void> {
    await this.control(0, { op: "topic.delete", name }, options);
  }

  /**
   * Changes what of a topic may be changed: its retention, the number of its producers, more partitions. Members that are not
   * given stay as they are. Processes that have it open see new partitions when they open it again. WEFT_TOPIC_UNKNOWN,
   * WEFT_CONFIG_INVALID, WEFT_PARTITION_UNAVAILABLE if a slot of it is away: then ask again. Local; asks slot 0.
   *
   * @example
   * ```ts
   * await job.alterTopic("quakes", { retention: { ageMs: "7d" } });
   * ```
   */
  async alterTopic(name: string, change: TopicChange, options: RequestOptions = {}): Promise<TopicDescription> {
    checkIsData(`topic '${String(name)}': change`, change);
    const reply = await this.control(0, { op: "topic.alter", name, change }, options);
    return reply["topic"] as TopicDescription;
  }

  /**
   * Seals a topic, for good: it takes no more events (WEFT_TOPIC_SEALED), and consumers end behind the last one. Resolves when all that
   * servers had accepted before is stored; events that producers still held fail. WEFT_TOPIC_UNKNOWN,
   * WEFT_PARTITION_UNAVAILABLE if a slot of it is away: then ask again. Local; asks slot 0.
   */
  async sealTopic(name: string, options: RequestOptions = {}): Promise<TopicDescription> {
    const reply = await this.control(0, { op: "topic.seal", name }, options);
    return reply["topic"] as TopicDescription;
  }

  /** A request to the control plane of a server slot (docs/formats/control.md); rejects with the error it answers. Local. */
  async control(slot: number, request: object, options: RequestOptions = {}): Promise<Record<string, unknown>> {
    const { binding, job } = this.completions;
    checkMembers("a request", options, ["ifExists", "timeoutMs", "signal"]);
    checkSignal("signal of a request", options.signal);
    checkInteger("the slot", slot, 0, 65_535, 0);
    const timeoutMs = checkTimeoutMs("timeoutMs", options.timeoutMs, controlTimeoutMsDefault);
    const json = jsonOf(request);
    const what = `the control request to slot ${slot}`;
    const { text } = await this.completions.request(
      what,
      (tag) => {
        binding.controlAsync(job, slot, json, timeoutMs, tag);
      },
      { signal: options.signal },
    );
    try {
      return JSON.parse(text) as Record<string, unknown>;
    } catch (cause) {
      throw new WeftError("WEFT_INTERNAL", `slot ${slot} answered ${what} with what is not JSON`, { cause });
    }
  }

  /**
   * Closes what is open in it, then leaves. Producers flush, each for at most twice `deliveryTimeoutMs`; the first failure
   * of that is what this rejects with, once all is closed. After `join` it is collective: MPI's end waits for the other
   * ranks for at most 10 s, on this thread, and is then left out (WEFT_RANK_LOST). Aborting the signal ends the waiting
   * (WEFT_CANCELLED), not the closing. Calling it again waits for the same end.
   *
   * Worker threads that share the job are not waited for: what they have under way fails with WEFT_CLOSED, so end them
   * first. A shared job (`openShared`) ends alone.
   */
  async close(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const signal = signalOf("job.close", options);
    await waitUnlessAborted("closing the job", (this.#closing ??= this.#close()), signal);
  }
  /** As `close`: collective after `join`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const outcomes = await Promise.allSettled([...this.opened].map((one) => one.close()));
    const { binding, job } = this.completions;
    this.completions.close();
    await binding.jobClose(job, this.#joined);
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}

/** WEFT_INVALID_ARGUMENT for what has no JSON: a bigint, or an object in itself. */
function jsonOf(request: object): string {
  try {
    return JSON.stringify(request);
  } catch (cause) {
    throw new WeftError("WEFT_INVALID_ARGUMENT", `a request has no JSON: ${wordsOf(cause).split("\n")[0] ?? ""}`, {
      cause,
    });
  }
}

/**
 * Joins the job of this MPI launch. Collective: every rank of the launch calls it, servers through `serve`. Without a
 * launcher it is a world of one, which needs the group directory of running servers. WEFT_NO_SERVER, WEFT_MPI,
 * WEFT_MPI_WRONG_LAUNCHER, WEFT_GROUP_…
 *
 * @example
 * ```ts
 * await using job = await join({ name: "solver" });
 * console.error(`rank ${job.rank} of ${job.size}`);
 * ```
 */
export async function join(options: JoinOptions = {}): Promise<Job> {
  return await joinWith(native(), options);
}

/**
 * Joins a running job from outside its MPI world, through its group directory. Local. WEFT_GROUP_MISSING,
 * WEFT_GROUP_STALE, WEFT_SECRET_WRONG, WEFT_TIMED_OUT.
 *
 * @example
 * ```ts
 * await using job = await attach(process.env.WEFTLINE_GROUP!);
 * console.log((await job.listTopics()).map((topic) => topic.name));
 * ```
 */
export async function attach(group?: string, options: AttachOptions = {}): Promise<Job> {
  return await attachWith(native(), group, options);
}

/**
 * Opens, in a worker thread, the job that another thread of this process shares with `job.share()`: a `Job` with
 * topics, producers, consumers and memory of its own, over the same connections and progress thread. It has no
 * collectives (`world`: WEFT_UNSUPPORTED), and a fetch into a region that was made by `register` is a copy. Closing it,
 * or the end of its thread, ends what was opened through it and nothing else. When the job that is shared is closed,
 * calls reject with WEFT_CLOSED, as this does with its ticket. WEFT_INVALID_ARGUMENT for what is no ticket, and for the
 * ticket of another process. Local.
 *
 * @example
 * ```ts
 * const ticket = job.share(); // in the worker: from workerData
 * await using own = openShared(ticket);
 * const field = await own.topic<{ step: number }>("field");
 * await using out = await field.producer();
 * out.push({ step: 4 });
 * ```
 */
export function openShared(ticket: JobTicket): Job {
  const asked = nativeTicket(ticket);
  const binding = native();
  return new Job(new Completions(binding, binding.openShared(asked)), false);
}

/** @internal With the binding given, for tests. */
export async function joinWith(binding: NativeBinding, options: JoinOptions): Promise<Job> {
  const joinOptions = nativeJoinOptions("join", options);
  throwIfAborted("join", options.signal);
  const handle = binding.joinBegin(joinOptions);
  const completions = new Completions(binding, handle);
  try {
    binding.joinFinish(handle, null, null);
    return new Job(completions, true);
  } catch (error) {
    completions.close();
    await binding.jobClose(handle, true).catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}

/** @internal With the binding given, for tests. */
export async function attachWith(
  binding: NativeBinding,
  group: string | undefined,
  options: AttachOptions,
): Promise<Job> {
  const joinOptions = nativeJoinOptions("attach", options);
  const directory = checkText("the group directory", group) ?? null;
  throwIfAborted("attach", options.signal);
  const handle: JobHandle = await binding.attach(directory, joinOptions);
  const completions = new Completions(binding, handle);
  if (options.signal?.aborted === true) {
    // The native call cannot be taken back: what it made is.
    completions.close();
    await binding.jobClose(handle, false);
  }
  throwIfAborted("attach", options.signal);
  return new Job(completions, false);
}
