/**
 * The types of everything that the addon (`native/addon`) offers: the C ABI of `native/include/weftline/`, call by call.
 * Nothing is decided here; policy lives in the folders above. `./addon.ts` loads it.
 *
 * - A failing call throws a `WeftError` (made by the factory given to `setErrorFactory`); one that returns a promise
 *   rejects with it. Promises are used only for calls that would block and have no `_async` form: they run on a thread
 *   of their own, never on libuv's pool.
 * - A handle is an opaque object with a type tag. The wrong kind, one that was closed, or anything else throws
 *   `WEFT_WRONG_HANDLE` (`WEFT_CLOSED` if it was closed).
 * - Calls with a `tag` return at once; their outcome is a completion of the job with that tag: use
 *   `Completions.request()` of `./completions.ts` instead of choosing tags by hand.
 * - Sizes, offsets and tags are numbers (integers below 2^53); nanoseconds are bigint. Times are milliseconds; -1 waits
 *   for ever.
 * - A handle belongs to the JavaScript environment (main thread or worker) that got it.
 */

declare const handleKind: unique symbol;
/** An opaque native object. */
export interface Handle<Kind extends string> {
  readonly [handleKind]: Kind;
}
export type JobHandle = Handle<"job">;
export type CommunicatorHandle = Handle<"communicator">;
export type CollectiveHandle = Handle<"collective">;
export type TopicHandle = Handle<"topic">;
export type RegionHandle = Handle<"region">;
export type ProducerHandle = Handle<"producer">;
export type BatchHandle = Handle<"batch">;
export type ConsumerHandle = Handle<"consumer">;
export type ServerHandle = Handle<"server">;
export type ProbeHandle = Handle<"probe">;

/** `weft_join_options`; what is left out has the C default. */
export interface NativeJoinOptions {
  readonly echo?: boolean | undefined;
  readonly role?: string | undefined;
  readonly name?: string | undefined;
  readonly group?: string | undefined;
  readonly transports?: string | undefined;
  readonly bindAddress?: string | undefined;
  readonly timeoutMs?: number | undefined;
  readonly deliveryTimeoutMs?: number | undefined;
  readonly slotsExpected?: number | undefined;
}

/** `weft_ticket`. */
export interface NativeTicket {
  /** 16 bytes. */
  readonly process: Uint8Array;
  readonly number: number;
}

/** `weft_job_facts`. */
export interface NativeJobFacts {
  readonly rank: number;
  readonly worldSize: number;
  readonly nodeRank: number;
  readonly nodeSize: number;
  readonly groupRank: number;
  readonly groupSize: number;
  readonly serverCount: number;
  readonly role: string;
  readonly name: string;
  /** "mpich", "openmpi" or "none". */
  readonly mpi: string;
  /** Group directory, "" if none. */
  readonly group: string;
  /** 16 bytes. */
  readonly jobId: Uint8Array;
}

/** `weft_topic_facts`. */
export interface NativeTopicFacts {
  readonly name: string;
  readonly partitionCount: number;
  readonly uuid: Uint8Array;
  /** 0 disk, 1 memory. */
  readonly storage: number;
  /** 0 memory, 1 written, 2 synced. */
  readonly durability: number;
  /** 0 json, 1 raw, 2 packed, 3 custom. */
  readonly serializer: number;
  /** 1: demands JavaScript, 2: allows unvalidated events. */
  readonly flags: number;
  readonly eventDataBytesMax: number;
  readonly json: string;
}

export interface NativeProducerOptions {
  readonly name?: string | undefined;
  readonly batchEvents?: number | undefined;
  readonly batchBytes?: number | undefined;
  readonly batchDataBytes?: number | undefined;
  readonly batchesInFlight?: number | undefined;
}

/** `weft_batch_memory`: external ArrayBuffers over the batch's arena, made once per arena, detached at close. */
export interface NativeBatch {
  readonly handle: BatchHandle;
  readonly eventCapacity: number;
  /** u32[eventCapacity]. */
  readonly metadataEnd: ArrayBuffer;
  /** u32[eventCapacity]. */
  readonly timeDeltaUs: ArrayBuffer;
  /** u64[eventCapacity]. */
  readonly dataLength: ArrayBuffer;
  readonly metadata: ArrayBuffer;
  readonly data: ArrayBuffer;
}

/** Where a piece of a batch's data lies: null is the batch's own data memory. */
export type NativePieceSource = RegionHandle | Uint8Array | null;

export interface NativeConsumerOptions {
  /** enum weft_from: 0 earliest, 1 latest, 2 offset, 3 time, 4 cursor. */
  readonly from?: number | undefined;
  readonly fromValue?: bigint | undefined;
  readonly name?: string | undefined;
  readonly partitions?: readonly number[] | undefined;
  readonly prefetchBytes?: number | undefined;
  readonly prefetchEvents?: number | undefined;
}

export interface NativeServerOptions {
  readonly slot?: number | undefined;
  readonly data?: string | undefined;
  readonly group?: string | undefined;
  readonly forceLock?: boolean | undefined;
  readonly threads?: number | undefined;
  readonly slabBytes?: number | undefined;
  readonly dataBytesInFlightMax?: number | undefined;
}

/** `weft_server_facts`. */
export interface NativeServerFacts {
  readonly slot: number;
  readonly slotEpoch: number;
  readonly sessionCount: number;
  readonly data: string;
  readonly group: string;
}

/** `weft_server_topic`. */
export interface NativeServerTopic {
  readonly name: string;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** Slot of each partition; its length is the partition count. */
  readonly slots: readonly number[];
  readonly storage: number;
  readonly durability: number;
  readonly serializer: number;
  readonly flags: number;
  readonly eventDataBytesMax: number;
  readonly json: string;
}

/** `weft_server_partition`. */
/** weft_partition_rules of weftline_server.h. */
export interface NativePartitionRules {
  readonly sealed: number;
  readonly producers: number;
  readonly producerTimeoutMs: number;
  readonly retentionBytes: number;
  readonly retentionMs: number;
  /** Names joined by commas. */
  readonly retentionConsumedBy?: string | undefined;
}

export interface NativeServerPartition extends NativePartitionRules {
  readonly topic: string;
  readonly uuid: Uint8Array;
  readonly partition: number;
  readonly storage: number;
  readonly durability: number;
  readonly metadataDirectory?: string | undefined;
  readonly dataDirectory?: string | undefined;
  readonly segmentBytes?: number | undefined;
  readonly memoryDataBytes?: number | undefined;
  readonly memoryMetadataBytes?: number | undefined;
}

/** Makes the Error that a failing call throws. */
export type ErrorFactory = (code: string, number: number, message: string, canRetry: boolean, next: string) => Error;

export interface NativeBinding {
  // ---- library
  readonly abiVersion: number;
  readonly version: string;
  /** Must be called once per environment before anything else can fail. */
  setErrorFactory(factory: ErrorFactory): void;
  /** "WEFT_BUSY" of a number of `Completion.code`; undefined for an unknown one. */
  codeName(code: number): string | undefined;
  codeMeaning(code: number): string | undefined;
  codeNext(code: number): string | undefined;
  codeCanRetry(code: number): boolean;
  crc32c(bytes: Uint8Array, seed: number): number;
  /** weft_prepare_exit: before exit() of the process, not of a worker. Waits at most 5 s. */
  prepareExit(): void;
  /** `weft_doctor`: JSON. On its own thread. */
  doctor(options: NativeJoinOptions): Promise<string>;
  /** `weft_lock_check`, on its own thread. */
  lockCheck(directory: string): Promise<void>;
  /** A probe answers until it is closed, or collected. On its own thread, as measuring is. */
  probeOpen(options: NativeJoinOptions): Promise<ProbeHandle>;
  /** For another process's `probeMeasure`. */
  probeAddress(probe: ProbeHandle): Uint8Array;
  /** JSON. */
  probeMeasure(probe: ProbeHandle, address: Uint8Array, timeoutMs: number): Promise<string>;
  /** A measuring that is under way ends first. */
  probeClose(probe: ProbeHandle): void;
  /** `weft_log_verify` on its own thread; `report` is called with the JSON of each partition. */
  logVerify(data: string, report: (json: string) => void): Promise<void>;

  // ---- job
  /** Collective over MPI_COMM_WORLD; blocks for as long as the other ranks take to call it. */
  joinBegin(options: NativeJoinOptions): JobHandle;
  /** Collective; blocks until the servers are connected. `failure`: why this rank's server could not start. */
  joinFinish(job: JobHandle, server: ServerHandle | null, failure: string | null): void;
  /** On its own thread. */
  attach(group: string | null, options: NativeJoinOptions): Promise<JobHandle>;
  /**
   * Closes everything of the job, then the job. With `blocking` on this thread, as MPI demands after joinBegin (the
   * promise is settled on return); else on a thread of its own. A closed job resolves at once.
   */
  jobClose(job: JobHandle, blocking: boolean): Promise<void>;
  jobShare(job: JobHandle): NativeTicket;
  /** The job of another environment of this process, for this one: closed without `blocking`. */
  openShared(ticket: NativeTicket): JobHandle;
  jobFacts(job: JobHandle): NativeJobFacts;
  jobGroupCommunicator(job: JobHandle): number;
  jobCounters(job: JobHandle): string;

  // ---- completions (see ./completions.ts)
  /** `wake` is called on the JavaScript thread, at most once per burst. Once per job. */
  jobSetWake(job: JobHandle, wake: () => void): void;
  /** Whether the job's wake-up keeps the process alive. Not by default. */
  jobSetReferenced(job: JobHandle, referenced: boolean): void;
  /**
   * Takes up to `records.byteLength / 64` completions. Record (little-endian): u32 kind, i32 code, u64 tag,
   * u64 value[4], u32 has text, u32 has handle, u64 0. `extras[i]` is set to the text or the handle of record i, if any
   * (with a code other than 0 always the text).
   */
  jobPoll(job: JobHandle, records: ArrayBuffer, extras: unknown[]): number;

  // ---- communicators: all on the thread that joined
  communicatorWorld(job: JobHandle): CommunicatorHandle;
  communicatorSize(communicator: CommunicatorHandle): { rank: number; size: number };
  communicatorFree(communicator: CommunicatorHandle): void;
  barrierStart(communicator: CommunicatorHandle): CollectiveHandle;
  /** color < 0: this rank belongs to none. */
  communicatorSplitStart(parent: CommunicatorHandle, color: number, key: number): CollectiveHandle;
  /** The memory is referenced, and must not be touched, until `collectiveTest` says that it is complete. */
  broadcastStart(communicator: CommunicatorHandle, bytes: Uint8Array, root: number): CollectiveHandle;
  allgatherStart(communicator: CommunicatorHandle, from: Uint8Array, into: Uint8Array): CollectiveHandle;
  /** undefined: not yet. Else complete, and the handle is closed: the communicator of a split, or null. */
  collectiveTest(collective: CollectiveHandle): CommunicatorHandle | null | undefined;

  // ---- control plane and topics
  /** Completion CONTROL. */
  controlAsync(job: JobHandle, slot: number, json: string, timeoutMs: number, tag: number): void;
  /** Completion TOPIC with the handle. */
  topicOpenAsync(job: JobHandle, name: string, tag: number): void;
  topicFacts(topic: TopicHandle): NativeTopicFacts;
  topicClose(topic: TopicHandle): void;
  /** Completion PARTITION. */
  partitionQueryAsync(topic: TopicHandle, partition: number, tag: number): void;
  /** Whether the slot's server is on this host; reads a file for a slot whose address is not known yet. */
  slotLocal(job: JobHandle, slot: number): boolean;

  // ---- regions
  /** The view's ArrayBuffer is strongly referenced until the release or the end of the job. */
  regionRegister(job: JobHandle, view: Uint8Array): RegionHandle;
  regionAllocate(job: JobHandle, length: number): RegionHandle;
  /** Of an allocated region: one external ArrayBuffer, detached at the release. */
  regionMemory(region: RegionHandle): ArrayBuffer;
  /** Detaches the ArrayBuffer of an allocated region; the next `regionMemory` makes another over the same memory. */
  regionRecall(region: RegionHandle): void;
  regionRelease(region: RegionHandle): void;

  // ---- producer
  /** Completion PRODUCER with the handle. */
  producerOpenAsync(topic: TopicHandle, options: NativeProducerOptions, tag: number): void;
  /** Behind the last event stored under its name before it was opened; 0: none. */
  producerStoredBefore(producer: ProducerHandle, partition: number): number;
  /** What was acknowledged so far becomes durable; completion FLUSH. */
  producerSyncAsync(producer: ProducerHandle, tag: number): void;
  /** The handle, its batches and their memory are closed at once; completion CLOSED when all is acknowledged. */
  producerCloseAsync(producer: ProducerHandle, tag: number): void;
  /** null: all batches are in flight. The same object comes again for the same arena. */
  batchOpen(producer: ProducerHandle): NativeBatch | null;
  batchCancel(batch: BatchHandle): void;
  /**
   * Completion BATCH. `sources[i]` with `numbers[3 i ..]` = {position in the source, length, position in the extent}.
   * A Uint8Array source must stay referenced by the caller until the completion.
   */
  batchSubmit(
    batch: BatchHandle,
    partition: number,
    count: number,
    metadataBytes: number,
    baseTimeNs: bigint,
    sources: readonly NativePieceSource[] | null,
    numbers: Float64Array | null,
    tag: number,
  ): void;

  // ---- consumer
  /** Completion CONSUMER with the handle; later FRAMES with the same tag. */
  consumerOpenAsync(topic: TopicHandle, options: NativeConsumerOptions, tag: number): void;
  /** The handle is closed at once; completion CLOSED. */
  consumerCloseAsync(consumer: ConsumerHandle, tag: number): void;
  /**
   * Takes the next frame: copies its header and columns into `scratch` (see ../consumer/frame-layout.ts), releases it,
   * and returns its metadata: with `text` one string (the column of ends then counts UTF-16 units), or a Uint8Array of
   * its own where the bytes are not UTF-8 or `text` is false. null: no frame is there. Throws a failed partition's
   * error; scratch then holds its number.
   */
  consumerPoll(consumer: ConsumerHandle, scratch: ArrayBuffer, text: boolean): string | Uint8Array<ArrayBuffer> | null;
  consumerPosition(
    consumer: ConsumerHandle,
    partition: number,
  ): { startOffset: number; hadCursor: boolean; visibleEnd: number };
  /** Completion SEEK. Nothing is polled meanwhile. Without partitions: all that it reads. */
  consumerSeekAsync(
    consumer: ConsumerHandle,
    to: Pick<NativeConsumerOptions, "partitions" | "from" | "fromValue">,
    tag: number,
  ): void;
  /**
   * Completion DATA. `selections`: for each, offset, destination position, run count, and for each run start, length,
   * level count, and for each level stride, count. `destination` must stay referenced until the completion.
   */
  dataFetchAsync(
    consumer: ConsumerHandle,
    partition: number,
    selections: Float64Array,
    count: number,
    destination: Uint8Array,
    region: RegionHandle | null,
    tag: number,
  ): void;
  /** The same of several partitions, one for each selection, into plain memory: one request for each server that has some. */
  dataFetchPartsAsync(
    consumer: ConsumerHandle,
    partitions: Uint32Array,
    selections: Float64Array,
    destination: Uint8Array,
    tag: number,
  ): void;
  /** Completion COMMIT. */
  commitAsync(consumer: ConsumerHandle, partition: number, offset: number, tag: number): void;

  // ---- hosting a server
  serverStart(job: JobHandle, options: NativeServerOptions): ServerHandle;
  /** Completion SERVER; the handle is closed when it comes. */
  serverStopAsync(server: ServerHandle, timeoutMs: number, tag: number): void;
  serverFacts(server: ServerHandle): NativeServerFacts;
  serverTopicPut(server: ServerHandle, topic: NativeServerTopic): void;
  serverTopicRemove(server: ServerHandle, name: string): void;
  /** Completion SERVER: value 0 first offset, 1 next offset, 2 epoch; text: what recovery cut off. */
  serverPartitionOpenAsync(server: ServerHandle, partition: NativeServerPartition, tag: number): void;
  /** Completion SERVER. */
  serverPartitionAlterAsync(
    server: ServerHandle,
    uuid: Uint8Array,
    partition: number,
    rules: NativePartitionRules,
    tag: number,
  ): void;
  /** Completion SERVER. */
  serverPartitionCloseAsync(
    server: ServerHandle,
    uuid: Uint8Array,
    partition: number,
    remove: boolean,
    tag: number,
  ): void;
  /** JSON. */
  serverPartitionDescribe(server: ServerHandle, uuid: Uint8Array, partition: number): string;
  /** `request`: `Completion.request` of a CONTROL_REQUEST. code 0: `text` is the reply's JSON, else why not. */
  serverControlReply(server: ServerHandle, request: bigint, code: number, text: string): void;
}
