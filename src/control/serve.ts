// serve(): hosts one server slot in this process. JavaScript thread; the data plane beside it is native.
//
// The order of the start: MPI and who is who → lock and lanes → catalogue (slot 0) → this slot's partitions → topics are
// offered → clients are let in → what needs the other slots. A step that fails ends the start on every rank with that
// error. The end: no new batch, what was accepted is finished and synced, partitions and catalogue are closed, the group
// file is removed, MPI is left.

import { access } from "node:fs/promises";
import { resolve } from "node:path";
import { WeftError, throwIfAborted } from "../errors.js";
import { formatPath, normalizeTopicConfig, problemOfName, type TopicConfig } from "../config/topic-config.js";
import { native } from "../native/addon.js";
import type { JobHandle, NativeBinding, ServerHandle } from "../native/binding.js";
import { waitUnlessAborted } from "../job/abortable.js";
import { Communicator } from "../job/communicator.js";
import { Completions, type ControlRequest } from "../native/completions.js";
import { errorTable } from "../native/error-codes.js";
import { Catalogue } from "./catalogue.js";
import { type ControlFiles, realControlFiles } from "./control-files.js";
import { ControlPlane, type ServerState } from "./control-plane.js";
import { errorText } from "./error-text.js";
import { NativeHost } from "./native-host.js";
import { PartitionRecords } from "./partition-records.js";
import type { HostFacts, Log, LogLevel } from "./server-host.js";
import { listenToSignals } from "./signals.js";
import { withHashedModules } from "../topic/modules.js";
import { SlotPartitions } from "./slot-partitions.js";
import { Topics } from "./topics.js";

export const DRAIN_MS_DEFAULT = 30_000;
/** Between two looks at the clients when the server ends with its clients. */
const CLIENTS_LOOK_MS = 200;
/** None for so long means that the clients are gone, and not only between two of them. */
const CLIENTS_GONE_MS = 1_000;
/** For slot 0's word to one slot. */
const CLIENTS_GONE_TOLD_MS = 5_000;
const CLIENTS_GONE_TOLD_TIMES = 3;
/** Clients connect to all slots if there are no more (kEarlySlotsMax in native/library/slot_table.h). */
const EARLY_SLOTS_MAX = 16;

export interface ServeOptions {
  /**
   * Data directory; made if it is not there. Without one the server holds topics in memory only. `{rank}` in it becomes
   * the rank among the servers of the launch.
   */
  data?: string | undefined;
  /** Topics that exist once the server runs: created where they are missing. Those that slot 0 is given count. */
  topics?: Record<string, TopicConfig> | undefined;
  /** Group directory; default WEFTLINE_GROUP, else `group` in the data directory of slot 0. */
  group?: string | undefined;
  /** Number of the slot; default what the data directory has on record, else the rank among the servers. */
  slot?: number | undefined;
  /** Native log writers and readers; default 4, at most the cores allowed. */
  threads?: number | undefined;
  /** Registered memory for transfers; default 64 MiB. */
  slabBytes?: number | undefined;
  /** Data under way for one client; default 1 GiB. */
  dataBytesInFlight?: number | undefined;
  /** Use a data directory on a file system without locks. */
  forceLock?: boolean | undefined;
  /** Name of this program in the job; default "server". */
  name?: string | undefined;
  /** "tcp,shm": only those; default automatic. */
  transports?: string | undefined;
  /** Numeric address of the interface to use; default automatic. */
  bind?: string | undefined;
  /** For meeting the other ranks; default 30,000. */
  timeoutMs?: number | undefined;
  /** How long a drain may take before it is cut short; default 30,000. */
  drainMs?: number | undefined;
  /** "clients-gone" ends the server once it had clients and has none any more; default "stopped". */
  until?: "stopped" | "clients-gone" | undefined;
  /** Path of a file: while it is there, clients that are gone do not end the server, for others are still to come. */
  hold?: string | undefined;
  /** Whether SIGTERM and SIGINT drain the server; default true. */
  signals?: boolean | undefined;
  /** Lines for the log. The library prints nothing by itself. */
  log?: Log | undefined;
  /** Aborting it before the server runs gives up; afterwards it drains. */
  signal?: AbortSignal | undefined;
}

const LEVELS: readonly LogLevel[] = ["debug", "info", "warning", "error"];

/**
 * A running server slot, from `serve`. Calls are local unless they say collective.
 *
 * @example
 * ```ts
 * const server = await serve({ data: "./weft", until: "clients-gone" });
 * console.error(`slot ${server.slot}, group ${server.group}`);
 * await server.closed;
 * ```
 */
export class Server {
  /** Resolves when the server has drained and everything is closed; rejects if that went wrong. */
  readonly closed: Promise<void>;
  readonly #parts: RunningParts;
  #closing: Promise<void> | undefined;
  #world: Communicator | undefined;
  #resolveClosed!: () => void;
  #rejectClosed!: (error: unknown) => void;

  /** @internal */
  constructor(parts: RunningParts) {
    this.#parts = parts;
    this.closed = new Promise((resolve, reject) => {
      this.#resolveClosed = resolve;
      this.#rejectClosed = reject;
    });
    this.closed.catch(() => undefined); // whoever awaits it gets the error; nobody has to
  }

  /** Facts of the moment: slot, epoch, slots known, sessions, directories. Local. */
  facts(): HostFacts {
    return this.#parts.host.facts();
  }
  /** Number of the slot. */
  get slot(): number {
    return this.#parts.slot;
  }
  /** The group directory, through which processes outside the MPI world attach. */
  get group(): string {
    return this.#parts.group;
  }
  /** "starting", "running" or "draining". */
  get state(): ServerState {
    return this.#parts.control.state;
  }
  /** Counters of the native side, as docs/counters.md names them. Local. */
  counters(): Record<string, unknown> {
    return JSON.parse(this.#parts.binding.jobCounters(this.#parts.job)) as Record<string, unknown>;
  }

  /**
   * All ranks of the MPI world: a server takes part in the collectives that clients start over `job.world`. Local.
   */
  get world(): Communicator {
    const { binding, completions, job } = this.#parts;
    return (this.#world ??= new Communicator(completions, binding.communicatorWorld(job), false));
  }

  /**
   * Drains and closes: takes no new batch, finishes and syncs what it has, for at most `timeoutMs` (default `drainMs`;
   * WEFT_TIMED_OUT, and what was not acknowledged is given up). Collective after an MPI launch: MPI's end waits for the
   * other ranks for at most 10 s. Aborting the signal ends the waiting (WEFT_CANCELLED), not the drain. Calling it again
   * waits for the same end.
   */
  async close(
    options: { readonly timeoutMs?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    this.#closing ??= this.#parts.end(options.timeoutMs).then(this.#resolveClosed, (error: unknown) => {
      this.#rejectClosed(error);
      throw error;
    });
    await waitUnlessAborted("closing the server", this.#closing, options.signal);
  }

  /** As `close`: collective after an MPI launch. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

interface RunningParts {
  binding: NativeBinding;
  job: JobHandle;
  completions: Completions;
  host: NativeHost;
  control: ControlPlane;
  slot: number;
  group: string;
  end: (timeoutMs: number | undefined) => Promise<void>;
}

function checkOptions(options: ServeOptions): void {
  for (const [name, config] of Object.entries(options.topics ?? {})) {
    const named = problemOfName(name);
    const checked = normalizeTopicConfig(config);
    const problem = named ?? ("problem" in checked ? checked.problem.message : undefined);
    if (problem === undefined) continue;
    const path = "problem" in checked && !named ? checked.problem.path : [];
    throw new WeftError("WEFT_CONFIG_INVALID", `serve: ${formatPath(["topics", name, ...path])}: ${problem}`, {
      next: "correct that member",
    });
  }
}

/**
 * Hosts a server slot until it is closed, a signal comes, or its clients are gone. Collective under an MPI launch, like
 * `join`; without a launcher it is a world of one. With `group` of a job that runs, it joins that job, for example to
 * start a lost slot again.
 *
 * WEFT_CONFIG_INVALID (a topic of the options), WEFT_TOPIC_EXISTS (with another config), WEFT_DATA_DIRECTORY_LOCKED,
 * WEFT_NOT_WRITABLE, WEFT_NO_SPACE, WEFT_IO, WEFT_FORMAT_NEWER, WEFT_CORRUPT (the catalogue); of the launch WEFT_MPI,
 * WEFT_MPI_WRONG_LAUNCHER, WEFT_TIMED_OUT, WEFT_FABRIC; WEFT_CANCELLED. One rank's failure is every rank's.
 *
 * @example
 * ```ts
 * await using server = await serve({ data: "/scratch/me/weft", topics: { field: { partitions: 4 } } });
 * await server.closed; // SIGTERM drains
 * ```
 */
export async function serve(options: ServeOptions = {}): Promise<Server> {
  return startServer(options, native(), realControlFiles);
}

/** @internal With the native core and the files given, for tests. */
export async function startServer(options: ServeOptions, binding: NativeBinding, files: ControlFiles): Promise<Server> {
  throwIfAborted("serve", options.signal);
  checkOptions(options);
  const log: Log = options.log ?? (() => undefined);
  const job = binding.joinBegin({
    role: "server",
    name: options.name,
    group: options.group,
    transports: options.transports,
    bindAddress: options.bind,
    timeoutMs: options.timeoutMs,
  });
  const completions = new Completions(binding, job);
  const start = new ServerStart(options, binding, job, completions, files, log);
  try {
    return await start.run();
  } catch (error) {
    await start.abandon(error);
    throw error;
  }
}

class ServerStart {
  private server: ServerHandle | undefined;
  private catalogue: Catalogue | undefined;
  private finished = false;
  private stopSignals: () => void = () => undefined;
  private drain: ((why: string) => void) | undefined;
  /** A signal that came before there was anything to drain: the server drains as soon as it runs. */
  private signalBefore: string | undefined;
  private readonly release: () => void;
  private readonly checksum = (bytes: Uint8Array): number => this.binding.crc32c(bytes, 0);

  constructor(
    private readonly options: ServeOptions,
    private readonly binding: NativeBinding,
    private readonly job: JobHandle,
    private readonly completions: Completions,
    private readonly files: ControlFiles,
    private readonly log: Log,
  ) {
    this.release = completions.hold(); // a server keeps its process alive
    if (options.signals !== false) this.stopSignals = listenToSignals((signal) => this.onSignal(signal), log);
  }

  async run(): Promise<Server> {
    const { options, binding, job, completions, log } = this;
    const startedAtMs = Date.now();
    const early: ControlRequest[] = [];
    completions.onLog = (level, line) => log(LEVELS[level] ?? "info", line);
    completions.onControlRequest = (request) => early.push(request);
    const rank = String(binding.jobFacts(job).groupRank);
    const data = options.data === undefined ? undefined : resolve(options.data.replaceAll("{rank}", rank));
    if (data !== undefined) await this.files.makeDirectory(data);
    const server = binding.serverStart(job, {
      slot: options.slot,
      data,
      group: options.group,
      threads: options.threads,
      slabBytes: options.slabBytes,
      dataBytesInFlightMax: options.dataBytesInFlight,
      forceLock: options.forceLock,
    });
    this.server = server;
    const records = new PartitionRecords(this.files, data, this.checksum);
    const host = new NativeHost({ binding, job, server, completions, records });
    const { slot } = host.facts();
    const partitions = new SlotPartitions(host, records, log);
    const topics = slot === 0 ? await this.openCatalogue(host, partitions, data) : undefined;
    const control = new ControlPlane({ host, partitions, topics, version: binding.version, log, startedAtMs });
    completions.onControlRequest = (request) => {
      void this.answer(control, server, request);
    };
    for (const request of early.splice(0)) void this.answer(control, server, request);
    await partitions.openRecorded();
    topics?.offerAll();
    // With one slot everything can be settled before anybody looks; with more, the others must be reachable first.
    const alone = host.facts().slotCount === 1;
    if (topics && alone) await this.settle(topics);
    throwIfAborted("serve", options.signal);
    binding.joinFinish(job, server, null);
    this.finished = true;
    if (topics && !alone) await this.settle(topics);
    control.running();
    const { slotEpoch, group } = host.facts();
    log(
      "info",
      `slot ${slot} (epoch ${slotEpoch}) runs: ${partitions.count} partitions, data ${data ?? "none"}, group ${group}`,
    );
    return this.handOver(host, control, slot, group);
  }

  private async openCatalogue(host: NativeHost, partitions: SlotPartitions, data: string | undefined): Promise<Topics> {
    this.catalogue = await Catalogue.open({
      files: this.files,
      data,
      checksum: this.checksum,
      warn: (text) => this.log("warning", text),
    });
    return new Topics(host, this.catalogue, partitions, this.log);
  }

  /** Half-created topics come to their end, and those that the options name come to be. */
  private async settle(topics: Topics): Promise<void> {
    await topics.reconcile();
    for (const [name, config] of Object.entries(this.options.topics ?? {})) {
      await topics.create({ name, config: await withHashedModules(name, config), ifExists: "open" });
    }
  }

  private async answer(control: ControlPlane, server: ServerHandle, request: ControlRequest): Promise<void> {
    const reply = await control.answer(request.json);
    try {
      if ("json" in reply) this.binding.serverControlReply(server, request.request, 0, reply.json);
      else this.binding.serverControlReply(server, request.request, errorTable[reply.code].number, reply.text);
    } catch (error) {
      // The server was stopped meanwhile, or the asker is gone.
      this.log("debug", `a control reply could not be sent: ${errorText(error)}`);
    }
  }

  /**
   * The end with the clients. Every client has a session with slot 0 for as long as it is in the job; with the others
   * only if they are few, else where it has something to do. So the others end when slot 0 tells them, if they are many.
   */
  private watchClients(host: NativeHost, control: ControlPlane, drain: (why: string) => void): () => void {
    const why = "the clients are gone";
    const { slot, slotCount } = host.facts();
    const byWord = slotCount > EARLY_SLOTS_MAX;
    if (slot !== 0) {
      control.onClientsGone = () => drain(why);
      return byWord ? () => undefined : watchClients(host, this.options.hold, () => drain(why));
    }
    return watchClients(host, this.options.hold, () => {
      void (byWord ? tellClientsGone(host, this.log) : Promise.resolve()).then(() => drain(why));
    });
  }

  private onSignal(signal: string): void {
    if (this.drain) this.drain(signal);
    else this.signalBefore = signal;
  }

  private handOver(host: NativeHost, control: ControlPlane, slot: number, group: string): Server {
    const { options, binding, job, completions, log } = this;
    const stopWatching: (() => void)[] = [];
    const server = new Server({
      binding,
      job,
      completions,
      host,
      control,
      slot,
      group,
      end: async (timeoutMs) => {
        for (const stop of stopWatching) stop();
        control.state = "draining";
        try {
          await this.end(timeoutMs ?? options.drainMs ?? DRAIN_MS_DEFAULT);
        } finally {
          // Until here the signals stay ours, so that a second one can cut the drain short.
          this.stopSignals();
        }
      },
    });
    const drain = (why: string): void => {
      log("info", `${why}: slot ${slot} drains`);
      server.close().catch((error: unknown) => log("error", `the drain failed: ${errorText(error)}`));
    };
    this.drain = drain;
    const onAbort = (): void => drain("the caller's signal was aborted");
    options.signal?.addEventListener("abort", onAbort, { once: true });
    stopWatching.push(() => options.signal?.removeEventListener("abort", onAbort));
    control.onStopRequest = () => drain("a client asked for it");
    if (options.until === "clients-gone") stopWatching.push(this.watchClients(host, control, drain));
    if (this.signalBefore !== undefined) drain(this.signalBefore);
    return server;
  }

  private async end(timeoutMs: number): Promise<void> {
    const { binding, completions, server } = this;
    try {
      if (server)
        await completions.request("draining the server", (tag) => binding.serverStopAsync(server, timeoutMs, tag));
    } finally {
      await this.leave();
    }
  }

  private async leave(): Promise<void> {
    try {
      await this.catalogue?.close();
    } finally {
      this.release();
      this.completions.close();
      await this.binding.jobClose(this.job, true);
    }
  }

  /** After a failed start: the other ranks are told why, and everything is closed. */
  async abandon(error: unknown): Promise<void> {
    const { binding, job, log } = this;
    this.stopSignals();
    try {
      if (!this.finished) binding.joinFinish(job, null, errorText(error));
    } catch {
      // It reports the failure that it was given: the caller gets the original.
    }
    try {
      await this.end(0);
    } catch (second) {
      log("warning", `after the failed start: ${errorText(second)}`);
    }
  }
}

/** To every other slot, a few at a time; one that never answers is left to its launcher. */
async function tellClientsGone(host: NativeHost, log: Log): Promise<void> {
  const { slot: own, slotCount } = host.facts();
  let next = 0;
  const tell = async (): Promise<void> => {
    for (let slot = next++; slot < slotCount; slot = next++) {
      if (slot === own) continue;
      let failure: unknown;
      for (let tried = 0; tried < CLIENTS_GONE_TOLD_TIMES; tried++) {
        try {
          await host.control(slot, { op: "clients.gone" }, CLIENTS_GONE_TOLD_MS);
          failure = undefined;
          break;
        } catch (error) {
          failure = error;
        }
      }
      if (failure === undefined) continue;
      log(
        "warning",
        `slot ${slot} was not told that the clients are gone: ${errorText(failure)}; if it still runs, send it SIGTERM`,
      );
    }
  };
  await Promise.all(Array.from({ length: EARLY_SLOTS_MAX }, tell));
}

/** Calls `gone` once when there were clients and there are none any more, nor a file that says that more will come. */
function watchClients(host: NativeHost, hold: string | undefined, gone: () => void): () => void {
  let emptySinceMs: number | undefined;
  let held = hold !== undefined;
  let looking = false;
  const look = (): void => {
    if (hold === undefined || !held || looking) return;
    looking = true;
    void access(hold)
      .catch(() => (held = false))
      .finally(() => (looking = false));
  };
  const timer = setInterval(() => {
    // By what was ever opened, for a client may come and go between two looks.
    const { clientCount, clientsOpened } = host.clients();
    if (clientCount === 0) look();
    if (clientCount > 0 || clientsOpened === 0 || held) {
      emptySinceMs = undefined;
      return;
    }
    emptySinceMs ??= Date.now();
    if (Date.now() - emptySinceMs >= CLIENTS_GONE_MS) {
      clearInterval(timer);
      gone();
    }
  }, CLIENTS_LOOK_MS);
  return () => clearInterval(timer);
}
